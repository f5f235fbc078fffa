/** `sluice ofctl` beside the real ovs-ofctl, both against the same running switch. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { meterCommand, parseMeter } from "../../ts/openflow/index.js";
import { missing, type Ran, type Switch, sluice, startSluice } from "../system/switch.js";

const reason = missing({ tools: ["ovs-ofctl"] });
if (reason !== undefined) console.log(`skip: ofctl beside ovs-ofctl: ${reason}`);

let under: Switch;
const test = suite("ofctl");
const maybe = reason === undefined ? test : test.skip;

const own = (...words: string[]): Ran => under.run(process.execPath, sluice, "ofctl", ...words);

test.before(async () => {
  under = await startSluice({ dummy: true });
  const vsctl = (...words: string[]): void => {
    under.ok(process.execPath, sluice, "vsctl", ...words);
  };
  vsctl("add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy");
  for (const [index, name] of ["p1", "p2", "eth-x.1"].entries()) {
    const request = `ofport_request=${index + 1}`;
    vsctl("add-port", "br0", name, "--", "set", "interface", name, "type=dummy", request);
  }
});

test.after(async () => {
  await under.stop();
});

/** Takes out what differs between two runs of the same tool: times. */
function masked({ status, stdout, stderr }: Ran): string {
  const text = `${stdout}---\n${stderr}exit ${status}`;
  return (
    text
      .replaceAll(/duration([=:])[\d.]+s/g, "duration$1Ds")
      .replaceAll(/(idle|hard)_age=\d+/g, "$1_age=A")
      .replaceAll(/time=[\d.]+ ms/g, "time=T")
      .replaceAll(/^sluice ofctl:/gm, "ovs-ofctl:")
      .replaceAll(/^[-\dTZ:]+\|/gm, "TIME|")
      // What ends a refused connection depends on whose bytes come first.
      .replaceAll(/\((Broken pipe|Connection reset by peer|Protocol error)\)$/gm, "(END)")
  );
}

/** Runs each command with both tools, one after the other, and compares all that they say. */
function alike(commands: readonly (readonly string[])[]): void {
  const said = (which: "own" | "theirs"): string[] =>
    all.filter((one) => one.own !== one.theirs).map((one) => `$ ofctl ${one.words.join(" ")}\n${one[which]}`);
  const all = commands.map((words) => {
    const theirs = masked(under.run("ovs-ofctl", ...words));
    return { words, theirs, own: masked(own(...words)) };
  });
  assert.is(said("own").join("\n"), said("theirs").join("\n"));
}

const words = (lines: string): string[][] =>
  lines
    .trim()
    .split("\n")
    .map((line) => line.trim().split(" "));

const frame = "00112233445566778899aabb08004500001400000000401100000a0000010a000002";

maybe("flows are added, changed, listed and deleted as by ovs-ofctl", () => {
  alike(
    words(`
    del-flows br0
    add-flow br0 priority=5,ip,nw_dst=10.0.0.0/8,actions=output:2
    add-flow br0 in_port=3,actions=p1,LOCAL
    add-flow br0 table=3,idle_timeout=99,cookie=7,actions=drop
    add-flow br0 ipv6,ipv6_src=::1,reg3=5,actions=drop
    -O OpenFlow13 add-flow br0 table=2,priority=9,tcp,in_port=p1,actions=output:2,goto_table:3
    -O OpenFlow15 add-flow br0 table=4,importance=3,udp,actions=set_field:5->reg1,output:p2
    dump-flows br0
    --names dump-flows br0
    --no-names dump-flows br0
    --no-stats dump-flows br0
    --sort dump-flows br0
    --rsort=in_port dump-flows br0
    -m dump-flows br0
    -O OpenFlow13 dump-flows br0
    -O OpenFlow14 --no-stats dump-flows br0
    -O OpenFlow15 dump-flows br0
    -O OpenFlow15 --names dump-flows br0
    dump-flows br0 ip
    dump-flows br0 table=3
    dump-flows br0 out_port=2
    dump-flows br0 cookie=7/-1
    -O OpenFlow13 dump-flows br0 table=2,tcp
    dump-aggregate br0
    -O OpenFlow13 dump-aggregate br0 ip
    -O OpenFlow15 dump-aggregate br0
    mod-flows br0 ip,actions=output:1
    -O OpenFlow13 mod-flows br0 cookie=7/-1,actions=output:1
    --strict mod-flows br0 priority=5,ip,nw_dst=10.0.0.0/8,actions=drop
    dump-flows br0
    --strict del-flows br0 priority=5,ip,nw_dst=10.0.0.0/8
    del-flows br0 cookie=7/-1
    -O OpenFlow13 del-flows br0 out_port=LOCAL
    dump-flows br0
    -O OpenFlow13 del-flows br0
    dump-flows br0
  `),
  );
});

/** Like words(), with a word in quotes for one that has blanks. */
const quoted = (lines: string): string[][] =>
  lines
    .trim()
    .split("\n")
    .map((line) => Array.from(line.matchAll(/'([^']*)'|(\S+)/g), ([, inner, word]) => inner ?? word ?? ""));

/** Runs a command that cannot be done twice. */
function done(...command: string[]): void {
  assert.is(masked(own(...command)), "---\nexit 0", command.join(" "));
}

maybe("groups are added, changed, listed and deleted as by ovs-ofctl", () => {
  const add = (group: string, ...options: string[]): void => done(...options, "add-group", "br0", group);
  add("group_id=1,type=all,bucket=output:1,bucket=actions=set_field:7->reg1,output:p2");
  add("group_id=2,type=select,bucket=weight:5,output:1,bucket=bucket_id:9,watch_port:p2,actions=output:2,bucket=drop");
  add("group_id=3,type=ff,bucket=watch_port:1,watch_group:1,actions=mod_nw_ttl:3,output:1", "-O", "OpenFlow13");
  add("group_id=4,type=select,selection_method=hash,fields(ip_dst,nw_proto,ip_src=255.255.0.0),bucket=1");
  add("group_id=5 type=select selection_method=dp_hash selection_method_param=5,bucket=2");
  add("group_id=6,type=select,selection_method=hash,fields=ip_src,bucket=resubmit(,2)", "-O", "OpenFlow15");
  add("group_id=0x8,type=indirect,bucket=group:1");
  done("add-flow", "br0", "in_port=1,actions=group:1");
  alike(
    words(`
    dump-groups br0
    --names dump-groups br0
    -O OpenFlow11 dump-groups br0
    -O OpenFlow13 dump-groups br0 2
    -O OpenFlow15 dump-groups br0
    -O OpenFlow15 dump-groups br0 2
    -O OpenFlow15 dump-groups br0 77
    dump-groups br0 nosuch
    dump-group-stats br0
    dump-group-stats br0 group_id=1
    -O OpenFlow11 dump-group-stats br0
    -O OpenFlow13 dump-group-stats br0 group_id=2
    -O OpenFlow13 dump-group-stats br0 group_id=77
    dump-group-features br0
    -O OpenFlow11 dump-group-features br0
    -O OpenFlow13 dump-group-features br0
    -O OpenFlow15 dump-group-features br0
    add-group br0 group_id=1,type=all,bucket=output:1
    -O OpenFlow13 add-group br0 group_id=1,type=select,bucket=weight:2,output:1
    mod-group br0 group_id=1,type=select,bucket=output:1
    dump-groups br0
    mod-group br0 group_id=99,type=all
    -O OpenFlow13 mod-group br0 group_id=99,type=all
    --may-create mod-group br0 group_id=9,type=all
    -O OpenFlow13 --may-create mod-group br0 group_id=9,type=all,bucket=1
    insert-buckets br0 group_id=99,command_bucket_id=last,bucket=output:1
    -O OpenFlow13 insert-buckets br0 group_id=1,command_bucket_id=last,bucket=output:1
    -O OpenFlow13 remove-buckets br0 group_id=1
    insert-buckets br0
    insert-buckets br0 group_id=1,bucket=output:1
    insert-buckets br0 group_id=1,command_bucket_id=all,bucket=output:1
    insert-buckets br0 group_id=1,command_bucket_id=4294967040,bucket=output:1
    insert-buckets br0 group_id=1,type=all,command_bucket_id=1
    remove-buckets br0 group_id=1,bucket=output:1
    add-group br0 group_id=7
    add-group br0 type=all
    add-group br0 group_id=7,type=foo
    add-group br0 group_id=4294967041,type=all
    add-group br0 group_id=x,type=all
    add-group br0 group_id=,type=all
    add-group br0 group_id=7,type=all,foo=bar
    add-group br0 group_id=7,type=all,bucket=
    add-group br0 group_id=7,type=all,bucket=weight:1,output:1
    add-group br0 group_id=7,type=select,bucket=weight:65536,output:1
    add-group br0 group_id=7,type=select,bucket=watch_port:nosuch,output:1
    add-group br0 group_id=7,type=select,bucket=watch_port:IN_PORT,output:1
    add-group br0 group_id=7,type=select,bucket=watch_group:4294967041,output:1
    add-group br0 group_id=7,type=select,bucket=bucket_id:4294967041,output:1
    add-group br0 group_id=7,type=ff,bucket=output:1
    add-group br0 group_id=7,type=indirect,bucket=output:1,bucket=output:2
    add-group br0 group_id=7,type=indirect
    add-group br0 group_id=7,type=all,command_bucket_id=1
    add-group br0 group_id=7,type=all,selection_method=muchtoolongforthis
    add-group br0 group_id=7,type=all,selection_method_param=7
    add-group br0 group_id=7,type=all,fields=ip_dst
    add-group br0 group_id=7,type=select,selection_method=dp_hash,fields=ip_dst,bucket=1
    add-group br0 group_id=7,type=select,selection_method=hash,fields=nosuch,bucket=1
    add-group br0 group_id=7,type=select,selection_method=hash,fields(ip_dst,nosuch,nw_proto),bucket=1
    add-group br0 group_id=7,type=select,selection_method=hash,fields(ip_dst,ip_dst),bucket=1
    add-group br0 group_id=7,type=select,selection_method=hash,fields=ip_dst=0.0.0.0,bucket=1
    dump-group-stats br0 foo=1
    dump-group-stats br0 type=all
    del-groups br0 bucket=1
    del-groups br0 group_id=77
    -O OpenFlow13 del-groups br0 group_id=8
    dump-groups br0
  `),
  );
  done("insert-buckets", "br0", "group_id=2,command_bucket_id=first,bucket=bucket_id:20,output:3");
  done(
    "-O",
    "OpenFlow15",
    "insert-buckets",
    "br0",
    "group_id=2,command_bucket_id=9,bucket=bucket_id:21,weight:7,output:3",
  );
  alike(words("dump-groups br0"));
  done("remove-buckets", "br0", "group_id=2,command_bucket_id=20");
  alike(words("dump-groups br0"));
  done("remove-buckets", "br0", "group_id=2");
  done("del-groups", "br0", "group_id=1");
  alike(
    words(`
    dump-groups br0
    dump-flows br0
    del-groups br0
    dump-groups br0
    -O OpenFlow13 dump-group-stats br0
  `),
  );
});

maybe("groups of a file are changed by the command that each line names", () => {
  const file = join(under.directory, "groups.txt");
  const lines = ["# groups", "group_id=1,type=all,bucket=output:1", "", "  add group_id=2,type=all # a second one"];
  lines.push("add_or_mod group_id=3,type=select,bucket=2", "mod group_id=2,type=all,bucket=3", "delete group_id=1");
  lines.push("insert_bucket group_id=3,command_bucket_id=last,bucket=bucket_id:8,output:3");
  writeFileSync(file, lines.join("\n"));
  done("add-groups", "br0", file);
  alike(words("dump-groups br0"));
  done("del-groups", "br0");
  writeFileSync(file, "group_id=1,type=all,bucket=output:1\ngroup_id=2,type=foo");
  alike([
    ["add-groups", "br0", file],
    ["add-groups", "br0", `${file}.none`],
    ["dump-groups", "br0"],
  ]);
});

maybe("meters are added, changed, listed and deleted as by ovs-ofctl", () => {
  const add = (meter: string): void => done("-O", "OpenFlow13", "add-meter", "br0", meter);
  add("meter=1 pktps burst stats bands=type=drop rate=1 burst_size=1");
  add("meter=controller pktps bands=type=drop rate=5");
  alike(
    quoted(`
    -O OpenFlow13 meter-features br0
    -O OpenFlow15 dump-meters br0
    -O OpenFlow13 mod-meter br0 'meter=1 kbps bands=type=drop rate=100,type=drop rate=200'
    -O OpenFlow13 dump-meters br0 meter=1
    -O OpenFlow13 add-flow br0 in_port=1,actions=meter:1,output:2
    -O OpenFlow13 meter-stats br0
    -O OpenFlow14 meter-stats br0 meter=1
    -O OpenFlow13 meter-stats br0 meter=controller
    -O OpenFlow13 meter-stats br0 meter=77
    -O OpenFlow13 del-meters br0 meter=1
    -O OpenFlow13 dump-meters br0
    -O OpenFlow13 del-meters br0
    -O OpenFlow13 dump-meters br0
    -O OpenFlow13 del-flows br0
  `),
  );
});

maybe("meters that cannot be are refused with ovs-ofctl's words", () => {
  const refused = [
    "meter=9",
    "meter=9 bands=type=drop rate=1",
    "meter=9 kbps bands=",
    "meter=9 kbps bands=rate=3",
    "meter=9 kbps bands=type=drop",
    "meter=9 kbps bands=type=drop rate=1 burst_size=2",
    "meter=9 kbps burst bands=type=drop rate=1",
    "meter=9 kbps bands=type=dscp_remark rate=1",
    "meter=9 kbps bands=type=drop rate=1 prec_level=1",
    "meter=9 kbps bands=type=other rate=1",
    "meter=0 kbps bands=type=drop rate=1",
    "foo=9 kbps bands=type=drop rate=1",
  ];
  for (const meter of refused) {
    const { stderr } = under.run("ovs-ofctl", "-O", "OpenFlow13", "add-meter", "br0", meter);
    try {
      parseMeter(meter, meterCommand.add);
      assert.unreachable(meter);
    } catch (error) {
      assert.is(`ovs-ofctl: ${error instanceof Error ? error.message : ""}\n`, stderr, meter);
    }
  }
});

maybe("options of tunnels are mapped to fields and unmapped as by ovs-ofctl", () => {
  const map = "{class=0xffff,type=0,len=4}->tun_metadata0,{class=1,type=0x80,len=124}->tun_metadata63";
  done("add-tlv-map", "br0", map);
  alike([
    ["dump-tlv-map", "br0"],
    ["-O", "OpenFlow13", "dump-tlv-map", "br0"],
    ["add-tlv-map", "br0", "{class=0xffff"],
  ]);
  done("del-tlv-map", "br0", "{class=0xffff,type=0,len=4}->tun_metadata0");
  alike(words("dump-tlv-map br0\ndel-tlv-map br0\ndump-tlv-map br0"));
});

maybe("flows that cannot be end with ovs-ofctl's words and status", () => {
  alike(
    words(`
    add-flow br0 foo=1,actions=drop
    add-flow br0 priority=5
    add-flow br0 in_port=nosuch,actions=drop
    --no-names add-flow br0 in_port=p1,actions=drop
    add-flow br0 table=nosuch,actions=drop
    add-flow br0 table=300,actions=drop
    add-flow br0 table=254,actions=drop
    add-flow br0 table=254,ipv6,reg3=3,actions=drop
    -O OpenFlow13 add-flow br0 priority=7,check_overlap,cookie=0x12,idle_timeout=5,in_port=1,actions=group:3
    --names add-flow br0 in_port=p1,actions=group:4
    -O OpenFlow13 --strict mod-flows br0 cookie=1/1,priority=3,ip,actions=group:3
    add-flow br0 tcp,nw_proto=5,nw_src=1.2.3.4,tp_dst=80,actions=drop
    del-flows br0 priority=3
    del-flows br0 idle_timeout=3
    del-flows br0 send_flow_rem
    del-flows br0 cookie=1
    del-flows br0 ip,actions=drop
    del-flows br0 out_group=3
    mod-flows br0 importance=3,actions=drop
    dump-flows br0 cookie=5
    dump-flows br0 priority=5
    --sort=foo dump-flows br0
    del-flows br0
  `),
  );
});

maybe("files of flows are read as by ovs-ofctl", () => {
  const good = join(under.directory, "good");
  const bad = join(under.directory, "bad");
  writeFileSync(
    good,
    "table=3,actions=drop\n# remark\n\nadd table=4,actions=drop # why\nmodify table=4,actions=output:1\n",
  );
  writeFileSync(bad, "table=1,actions=drop\nbad\n");
  alike([
    ["add-flows", "br0", good],
    ["dump-flows", "br0"],
    ["add-flows", "br0", bad],
    ["add-flows", "br0", "/nosuch"],
    ["dump-flows", "br0"],
  ]);
  under.ok("sh", "-c", `echo delete | '${process.execPath}' '${sluice}' ofctl add-flows br0 -`);
  alike([["dump-flows", "br0"]]);
});

maybe("the switch, its tables and ports are told and changed as by ovs-ofctl", () => {
  alike([
    ...words(`
    show br0
    -O OpenFlow11 show br0
    -O OpenFlow13 show br0
    -O OpenFlow10,OpenFlow15 show br0
    dump-desc br0
    -O OpenFlow15 dump-desc br0
    dump-tables br0
    -O OpenFlow13 dump-tables br0
    dump-ports br0
    --names dump-ports br0
    -O OpenFlow13 dump-ports br0
    -O OpenFlow14 dump-ports br0 1
    dump-ports br0 p2
    dump-ports br0 nosuch
    dump-ports-desc br0
    dump-ports-desc br0 p1
    -O OpenFlow15 dump-ports-desc br0 p1
    mod-port br0 p1 down
    mod-port br0 p1 no-flood
    show br0
    -O OpenFlow13 show br0
    mod-port br0 1 up
    -O OpenFlow13 mod-port br0 1 flood
    mod-port br0 p1 foo
    mod-port br0 nosuch up
    probe br0
    ping br0 32
    ping br0 99999999
  `),
  ]);
});

maybe("packets are sent as by ovs-ofctl", () => {
  alike([
    ["packet-out", "br0", `in_port=1 packet=${frame} actions=output:2`],
    ["-O", "OpenFlow13", "packet-out", "br0", `in_port=p1,packet=${frame},actions=output:p2`],
    ["-O", "OpenFlow15", "packet-out", "br0", `in_port=1 packet=${frame} actions=output:2`],
    ["packet-out", "br0", "1", "output:2", frame],
    ["packet-out", "br0", "1", "output:2", "0011223"],
    ["packet-out", "br0", "in_port=1 actions=drop"],
    ["packet-out", "br0", `in_port=nosuch packet=${frame}`],
    ["packet-out", "br0", `in_port=99999 packet=${frame}`],
    ["packet-out", "br0", "in_port=1 packet=001122334455 actions=drop"],
    ["packet-out", "br0", "1"],
    ["dump-ports", "br0"],
  ]);
});

maybe("wrong command lines end with ovs-ofctl's words and status", () => {
  alike([
    [],
    ...words(`
    nosuch br0
    add-flow
    add-flow br0 a b
    show
    show nosuch
    show tcp:127.0.0.1:1
    show unix:/nosuch
    show unix:br0.mgmt
    --bad show br0
    -O OpenFlow99 show br0
    -O
    -T 1 probe br0
    -t x probe br0
    -t 5 probe br0
  `),
  ]);
});

maybe("a switch that speaks no common version is told of as by ovs-ofctl", () => {
  under.ok(process.execPath, sluice, "vsctl", "set", "bridge", "br0", "protocols=OpenFlow13");
  try {
    alike(words("show br0\n-O OpenFlow13 probe br0"));
  } finally {
    under.ok(process.execPath, sluice, "vsctl", "set", "bridge", "br0", "protocols=[]");
  }
});

test("--json is what programs can read", () => {
  own("del-flows", "br0");
  assert.is(own("add-flow", "br0", "table=1,priority=7,cookie=0x10,tcp,in_port=1,actions=output:2").status, 0);
  const [flow] = JSON.parse(own("--json", "dump-flows", "br0").stdout) as Record<string, unknown>[];
  assert.is(flow?.["table"], 1);
  assert.is(flow?.["priority"], 7);
  assert.is(flow?.["cookie"], "0x10");
  assert.is(flow?.["match"], "tcp,in_port=1");
  assert.is(flow?.["actions"], "output:2");
  const named = JSON.parse(own("--json", "--names", "dump-flows", "br0").stdout) as Record<string, unknown>[];
  assert.is(named[0]?.["actions"], "output:p2");
  const about = JSON.parse(own("--json", "show", "br0").stdout) as { n_tables: number; ports: { name: string }[] };
  assert.is(about.n_tables, 254);
  assert.equal(about.ports.map((port) => port.name).sort(), ["br0", "eth-x.1", "p1", "p2"]);
  const counters = JSON.parse(own("--json", "dump-ports", "br0").stdout) as { port: number }[];
  assert.is(counters.length, 4);
});

test("a socket whose path is longer than an address is reached", () => {
  const path = join(under.directory, "x".repeat(60), "y".repeat(60));
  spawnSync("mkdir", ["-p", path]);
  spawnSync("ln", ["-s", join(under.directory, "br0.mgmt"), join(path, "mgmt")]);
  assert.is(own("probe", join(path, "mgmt")).status, 0);
});

test("a reader that stops reading ends the command quietly", () => {
  const lines = Array.from({ length: 2000 }, (_, index) => `priority=${index},ip,actions=output:1`);
  writeFileSync(join(under.directory, "many"), `${lines.join("\n")}\n`);
  assert.is(own("add-flows", "br0", join(under.directory, "many")).status, 0);
  const { stdout, stderr } = under.run("sh", "-c", `'${process.execPath}' '${sluice}' ofctl dump-flows br0 | head -1`);
  assert.is(stderr, "");
  assert.match(stdout, /^NXST_FLOW reply/);
});

test("--help names every command, with examples", () => {
  const { stdout, status } = own("--help");
  assert.is(status, 0);
  assert.match(stdout, /dump-flows SWITCH[\s\S]*packet-out[\s\S]*Examples:/);
});

test.run();
