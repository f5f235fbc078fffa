/* What each OpenFlow action becomes.  Expected texts are what Open vSwitch 3.1 prints for the same flows. */
#include "pipeline/test/pipeline_rig.h"

static void
test_output(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    add_output(&a, PORT_IN_PORT);
    add_output(&a, 1);
    add_output(&a, 2);
    add_output(&a, PORT_CONTROLLER);
    add_output(&a, PORT_LOCAL);
    add_output(&a, 77);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "1,2,controller(reason=1,id=0,max_len=0,table=0,in_port=1),100");
    claim("a packet leaves where it came in only by IN_PORT; missing ports are passed over");

    a.size = 0;
    add_output(&a, PORT_FLOOD);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "2,3,100");
    a.size = 0;
    add_output(&a, PORT_ALL);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "2,3,4,100");
    claim("FLOOD leaves out ports with NO_FLOOD, ALL does not, neither goes back");

    a.size = 0;
    ADD_ACTION(&a, OUTPUT, output, .port = 2, .max_len = 100);
    add_set_field(&a, SLUICE_FIELD_REG1, 3, field_ones(32));
    ADD_ACTION(&a, OUTPUT_REG, output_reg, .field = SLUICE_FIELD_REG1, .n_bits = 16);
    add_set_field(&a, SLUICE_FIELD_REG1, 0xfffd, field_ones(32));
    ADD_ACTION(&a, OUTPUT_REG, output_reg, .field = SLUICE_FIELD_REG1, .n_bits = 16, .max_len = 9);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "2,3,controller(reason=1,id=0,max_len=9,table=0,in_port=1)");
    claim("output goes to ports in registers, reserved ones too, and max_len is the controller's alone");

    a.size = 0;
    add_set_field(&a, SLUICE_FIELD_ETH_DST, 7, field_ones(48));
    ADD_ACTION(&a, OUTPUT_TRUNC, output_trunc, .port = 2, .max_len = 100);
    ADD_ACTION(&a, OUTPUT_TRUNC, output_trunc, .port = 1, .max_len = 100);
    ADD_ACTION(&a, OUTPUT_TRUNC, output_trunc, .port = PORT_IN_PORT, .max_len = 14);
    ADD_ACTION(&a, OUTPUT_TRUNC, output_trunc, .port = PORT_FLOOD, .max_len = 14);
    add_output(&a, 3);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "trunc(100),set(eth_dst=7),2,trunc(14),1,3");
    claim("output_trunc is for one port that is real, and for that output only");
}

static struct flow_key
mpls_key(uint32_t label, uint32_t ttl, bool bos)
{
    struct flow_key key;
    memset(&key, 0, sizeof key);
    key.in_port = be32(1);
    key.eth_type = be16(ETH_TYPE_MPLS);
    key.mpls0_lse = be32(label << 12 | (uint32_t) bos << 8 | ttl);
    key.mpls1_lse = bos ? 0 : be32(77u << 12 | 0x100 | 9);
    return key;
}

static void
test_mpls(struct rig *rig)
{
    struct flow_key ip = tcp_key(1);
    struct flow_key one = mpls_key(20, 64, true);
    struct flow_key two = mpls_key(20, 1, false);
    struct flow_key mask;
    struct actions a = { .size = 0 };
    ADD_ACTION(&a, DEC_TTL, dec_ttl, .n_controllers = 0);
    ADD_ACTION(&a, PUSH_MPLS, push_mpls, .ethertype = ETH_TYPE_MPLS);
    ADD_ACTION(&a, SET_MPLS_LABEL, set_mpls_label, .label = 10);
    add_output(&a, 2);
    ADD_ACTION(&a, PUSH_MPLS, push_mpls, .ethertype = ETH_TYPE_MPLS);
    add_output(&a, 3);
    rig_only(rig, 1, &a);
    CHECK(!strcmp(rig_xlate(rig, &ip, &mask), "set(ttl=3f),push_mpls(label=10,tc=0,ttl=63,bos=1),2,"
                                              "push_mpls(label=10,tc=0,ttl=63,bos=0),3"));
    CHECK(mask.ip_ttl == 0xff && mask.ip_tos == 0xfc && !mask.mpls0_lse);
    claim("a pushed label has the TTL and class of the IP header as changed so far");

    a.size = 0;
    ADD_ACTION(&a, SET_MPLS_TTL, set_mpls_ttl, .ttl = 7);
    add_output(&a, 2);
    ADD_ACTION(&a, POP_MPLS, pop_mpls, .ethertype = ETH_TYPE_IPV4);
    add_output(&a, 3);
    ADD_ACTION(&a, DEC_TTL, dec_ttl, .n_controllers = 0);
    add_output(&a, 4);
    rig_only(rig, 1, &a);
    EXPECT(rig, &one, "keep_hash(),set(mpls_ttl=7),2,pop_mpls(0x800),3,recirc(0x1)");
    claim("after the last label is popped what needs the headers under it recirculates");

    a.size = 0;
    ADD_ACTION(&a, DEC_MPLS_TTL, dec_mpls_ttl, .pad = 0);
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    EXPECT(rig, &one, "set(mpls_ttl=3f),2");
    EXPECT(rig, &two, "drop");
    claim("a label's TTL that runs out ends the actions");

    a.size = 0;
    for (uint32_t i = 0; i < 4; i++) {
        ADD_ACTION(&a, PUSH_MPLS, push_mpls, .ethertype = ETH_TYPE_MPLS);
    }
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    EXPECT(rig, &ip, "drop");
    claim("a fourth label drops the packet");
}

static void
test_check_pkt_larger(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    add_set_field(&a, SLUICE_FIELD_ETH_DST, 7, field_ones(48));
    ADD_ACTION(&a, CHECK_PKT_LARGER, check_pkt_larger, .pkt_len = 200, .field = SLUICE_FIELD_REG0, .n_bits = 1);
    ADD_ACTION(&a, RESUBMIT, resubmit, .in_port = PORT_IN_PORT, .table = 1);
    rig_only(rig, 1, &a);
    struct actions larger = { .size = 0 }, other = { .size = 0 };
    struct flow_key value, mask;
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    value.regs[0] = mask.regs[0] = be32(1);
    add_set_field(&larger, SLUICE_FIELD_ETH_DST, 8, field_ones(48));
    add_output(&larger, 2);
    add_output(&other, 3);
    CHECK(!rig_flow(rig, 1, 1, 2, &value, &mask, &larger) && !rig_flow(rig, 1, 1, 1, NULL, NULL, &other));
    EXPECT(rig, &key, "set(eth_dst=7),check_pkt_len(size=200,gt(set(eth_dst=8),2),le(3))");
    claim("check_pkt_larger translates what follows twice, each branch from the same packet");
}

static void
test_set(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct flow_key mask;
    struct actions a = { .size = 0 };
    add_set_field(&a, SLUICE_FIELD_IP_SRC, 0x01020000, 0xffff0000);
    add_output(&a, 2);
    ADD_ACTION(&a, DEC_TTL, dec_ttl, .n_controllers = 0);
    add_output(&a, 3);
    add_set_field(&a, SLUICE_FIELD_TCP_DST, 9, 0xffff);
    ADD_ACTION(&a, SET_IP_DSCP, set_ip_dscp, .tos = 4);
    add_output(&a, 4);
    add_set_field(&a, SLUICE_FIELD_ETH_DST, 7, field_ones(48));
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    CHECK(!strcmp(rig_xlate(rig, &key, &mask), "set(ip_src=1020000/ffff0000),2,set(ttl=3f),3,"
                                               "set(tos=4/fc),set(dst=9),4,set(eth_dst=7),2"));
    CHECK(mask.ip_src == be32(0xffff0000) && mask.ip_dst == 0 && mask.ip_tos == 0xfc && mask.ip_ttl == 0xff);
    CHECK(mask.tp_dst == 0xffff && mask.tp_src == 0 && mask.ip_proto == 0xff && mask.ip_frag == 3);
    CHECK(!memcmp(mask.eth_src, (uint8_t[6]){ 0 }, 6) && mask.eth_dst[0] == 0xff);
    claim("sets are put off until an output needs them, and un-wildcard what they write");

    a.size = 0;
    ADD_ACTION(&a, MOVE, move, .n_bits = 16, .src_field = SLUICE_FIELD_IP_SRC, .dst_field = SLUICE_FIELD_TCP_DST);
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    CHECK(!strcmp(rig_xlate(rig, &key, &mask), "set(dst=1),2"));
    CHECK(mask.ip_src == be32(0x0000ffff) && mask.tp_dst == 0xffff);
    claim("move reads its source and writes its destination");

    a.size = 0;
    add_set_field(&a, SLUICE_FIELD_IPV6_SRC, 1, field_ones(128));
    add_set_field(&a, SLUICE_FIELD_UDP_SRC, 1, 0xffff);
    add_set_field(&a, SLUICE_FIELD_VLAN_VID, 0x1005, 0x1fff);
    ADD_ACTION(&a, SET_VLAN_PCP, set_vlan_pcp, .pcp = 3);
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "push_vlan(vid=5,pcp=3),2");
    claim("a field of a header that the packet does not have is not set; a VLAN makes its tag");

    a.size = 0;
    uint32_t from = a.size;
    ADD_ACTION(&a, SET_ETH_SRC, set_eth_src, .mac = { 0, 0, 0, 0, 0, 9 });
    add_output(&a, 2);
    wrap_actions(&a, from, SLUICE_ACTION_CLONE);
    add_output(&a, 3);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "set(eth_src=9),2,set(eth_src=1),3");
    claim("a clone leaves the packet as it was");

    a.size = 0;
    ADD_ACTION(&a, SET_QUEUE, set_queue, .queue = 5);
    add_output(&a, 3);
    ADD_ACTION(&a, POP_QUEUE, pop_queue, .pad = 0);
    add_output(&a, 4);
    ADD_ACTION(&a, ENQUEUE, enqueue, .port = 2, .queue = 7);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "set(skb_priority=5),3,set(skb_priority=0),4,set(skb_priority=7),2");
    claim("queues: set_queue, pop_queue, enqueue");
}

static void
test_queue_dscp(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    struct {
        struct sluice_ofport_set port;
        struct sluice_queue_dscp dscps[2];
    } marked = {
        .port = { .bridge = 1, .ofp_port = 2, .dp_port = 2, .n_dscps = 2 },
        .dscps = { { .queue = 0, .dscp = 1 }, { .queue = 5, .dscp = 46 } },
    };

    CHECK(!rig_do(rig, &marked, SLUICE_COMMAND_OFPORT_SET, sizeof marked));
    key.ip_tos = 0x13;
    ADD_ACTION(&a, SET_QUEUE, set_queue, .queue = 5);
    add_output(&a, 2);
    add_output(&a, 3);
    ADD_ACTION(&a, SET_QUEUE, set_queue, .queue = 6);
    add_output(&a, 2);
    ADD_ACTION(&a, POP_QUEUE, pop_queue, .pad = 0);
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key,
           "set(tos=b8/fc),set(skb_priority=5),2,set(tos=10/fc),3,set(skb_priority=6),2,"
           "set(tos=4/fc),set(skb_priority=0),2");
    claim("a queue's DSCP goes with what leaves by it, and by that port only");

    key.eth_type = be16(ETH_TYPE_ARP);
    key.ip_tos = 0;
    a.size = 0;
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "2");
    claim("what is not IP has no DSCP");

    marked.port.n_dscps = 1;
    marked.port.size = sizeof marked;
    CHECK(rig_command(rig, &marked, SLUICE_COMMAND_OFPORT_SET, sizeof marked) == SLUICE_ERROR_INVALID_RECORD);
    marked.port.n_dscps = UINT32_MAX;
    CHECK(rig_command(rig, &marked, SLUICE_COMMAND_OFPORT_SET, sizeof marked) == SLUICE_ERROR_INVALID_RECORD);
    claim("a record that says another number of queues than it has is refused");
    rig_port(rig, 1, 2, 2, 0);
}

static void
test_vlan(struct rig *rig)
{
    struct flow_key plain = tcp_key(1);
    struct flow_key tagged = tcp_key(1);
    struct actions a = { .size = 0 };
    key_set_vlan(&tagged, 10, 3);

    ADD_ACTION(&a, PUSH_VLAN, push_vlan, .ethertype = 0x8100);
    add_set_field(&a, SLUICE_FIELD_VLAN_VID, 0x1005, 0x1fff);
    add_output(&a, 2);
    add_set_field(&a, SLUICE_FIELD_VLAN_VID, 0x1006, 0x1fff);
    add_output(&a, 3);
    ADD_ACTION(&a, STRIP_VLAN, strip_vlan, .form = 1);
    add_output(&a, 4);
    rig_only(rig, 1, &a);
    EXPECT(rig, &plain, "push_vlan(vid=5,pcp=0),2,pop_vlan,push_vlan(vid=6,pcp=0),3,pop_vlan,4");
    EXPECT(rig, &tagged, "push_vlan(vid=5,pcp=0),2,pop_vlan,push_vlan(vid=6,pcp=0),3,pop_vlan,4");

    a.size = 0;
    ADD_ACTION(&a, SET_VLAN_VID, set_vlan_vid, .vid = 5, .push = 1);
    add_output(&a, 2);
    ADD_ACTION(&a, STRIP_VLAN, strip_vlan, .form = 0);
    add_output(&a, 3);
    rig_only(rig, 1, &a);
    EXPECT(rig, &tagged, "pop_vlan,push_vlan(vid=5,pcp=3),2,pop_vlan,3");
    EXPECT(rig, &plain, "push_vlan(vid=5,pcp=0),2,pop_vlan,3");

    a.size = 0;
    ADD_ACTION(&a, SET_VLAN_PCP, set_vlan_pcp, .pcp = 5, .push = 1);
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    EXPECT(rig, &tagged, "pop_vlan,push_vlan(vid=10,pcp=5),2");
    EXPECT(rig, &plain, "push_vlan(vid=0,pcp=5),2");

    a.size = 0;
    ADD_ACTION(&a, PUSH_VLAN, push_vlan, .ethertype = 0x88a8);
    add_set_field(&a, SLUICE_FIELD_VLAN_VID, 0x1005, 0x1fff);
    ADD_ACTION(&a, PUSH_VLAN, push_vlan, .ethertype = 0x8100);
    add_set_field(&a, SLUICE_FIELD_VLAN_VID, 0x1006, 0x1fff);
    add_output(&a, 2);
    ADD_ACTION(&a, STRIP_VLAN, strip_vlan, .form = 1);
    add_output(&a, 3);
    ADD_ACTION(&a, STRIP_VLAN, strip_vlan, .form = 1);
    add_output(&a, 4);
    rig_only(rig, 1, &a);
    EXPECT(rig, &plain, "push_vlan(tpid=0x88a8,vid=5,pcp=0),push_vlan(vid=6,pcp=0),2,pop_vlan,3,pop_vlan,4");
    EXPECT(rig, &tagged, "pop_vlan,push_vlan(tpid=0x88a8,vid=5,pcp=0),push_vlan(vid=6,pcp=0),2,pop_vlan,3,pop_vlan,4");
    claim("VLAN tags are pushed, popped and set as OpenFlow 1.0 and 1.1 mean it");
}

static void
test_tables(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct flow_key value;
    struct flow_key mask;
    struct actions a = { .size = 0 };

    rig_clear(rig, 1);
    add_set_field(&a, SLUICE_FIELD_REG0, 1, field_ones(32));
    add_resubmit(&a, 1);
    ADD_ACTION(&a, RESUBMIT, resubmit, .in_port = 2, .table = 255);
    add_output(&a, 3);
    CHECK(!rig_flow(rig, 1, 0, 1, NULL, NULL, &a));
    a.size = 0;
    add_output(&a, 2);
    CHECK(!rig_flow(rig, 1, 1, 1, NULL, NULL, &a));
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    value.in_port = be32(2);
    mask.in_port = UINT32_MAX;
    a.size = 0;
    add_output(&a, 4);
    add_output(&a, PORT_IN_PORT);
    CHECK(!rig_flow(rig, 1, 0, 9, &value, &mask, &a));
    EXPECT(rig, &key, "2,4,1,3");
    claim("resubmit to a table and as from a port, which only the search sees");

    rig_clear(rig, 1);
    a.size = 0;
    ADD_ACTION(&a, WRITE_METADATA, write_metadata, .metadata = 5, .mask = UINT64_MAX);
    uint32_t from = a.size;
    add_output(&a, 2);
    add_set_field(&a, SLUICE_FIELD_ETH_SRC, 9, field_ones(48));
    ADD_ACTION(&a, PUSH_VLAN, push_vlan, .ethertype = 0x8100);
    add_output(&a, 3);
    wrap_actions(&a, from, SLUICE_ACTION_WRITE_ACTIONS);
    ADD_ACTION(&a, GOTO_TABLE, goto_table, .table = 3);
    CHECK(!rig_flow(rig, 1, 0, 1, NULL, NULL, &a));
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    value.metadata = be64(5);
    mask.metadata = UINT64_MAX;
    a.size = 0;
    add_output(&a, 4);
    CHECK(!rig_flow(rig, 1, 3, 1, &value, &mask, &a));
    EXPECT(rig, &key, "4,set(eth_src=9),push_vlan(vid=0,pcp=0),3");
    claim("the action set is executed at the end, in OpenFlow's order, with the last output");

    a.size = 0;
    ADD_ACTION(&a, EXIT, exit, .pad = 0);
    CHECK(!rig_flow(rig, 1, 3, 1, &value, &mask, &a));
    EXPECT(rig, &key, "drop");
    a.size = 0;
    ADD_ACTION(&a, CLEAR_ACTIONS, clear_actions, .pad = 0);
    CHECK(!rig_flow(rig, 1, 3, 1, &value, &mask, &a));
    EXPECT(rig, &key, "drop");
    claim("exit and clear_actions leave nothing of the action set");
}

static void
test_limits(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    struct xlate_out out;
    const struct xlate_in in = { .key = &key };
    xlate_out_init(&out);

    add_output(&a, 2);
    add_resubmit(&a, 0);
    rig_only(rig, 1, &a);
    xlate(rig->pipeline, &in, &out);
    CHECK(out.failed && out.drop_reason == SLUICE_DROP_REASON_RECURSION_TOO_DEEP);
    claim("a loop of resubmits drops the packet");

    rig_clear(rig, 1);
    for (uint8_t table = 0; table < 20; table++) {
        a.size = 0;
        add_resubmit(&a, (uint8_t) (table + 1));
        add_resubmit(&a, (uint8_t) (table + 1));
        CHECK(!rig_flow(rig, 1, table, 1, NULL, NULL, &a));
    }
    xlate(rig->pipeline, &in, &out);
    CHECK(out.failed && out.drop_reason == SLUICE_DROP_REASON_TOO_MANY_RESUBMITS);
    claim("more than 4096 resubmits drop the packet");

    rig_clear(rig, 1);
    for (uint8_t table = 0; table < 11; table++) {
        a.size = 0;
        for (int i = 0; i < 14; i++) {
            ADD_ACTION(&a, STACK_PUSH, stack_push, .field = SLUICE_FIELD_XXREG0, .n_bits = 128);
        }
        add_resubmit(&a, (uint8_t) (table + 1));
        add_resubmit(&a, (uint8_t) (table + 1));
        CHECK(!rig_flow(rig, 1, table, 1, NULL, NULL, &a));
    }
    xlate(rig->pipeline, &in, &out);
    CHECK(out.failed && out.drop_reason == SLUICE_DROP_REASON_STACK_TOO_BIG);
    claim("more than 64 kB of stack drop the packet");

    a.size = 0;
    for (int i = 0; i < 300; i++) {
        ADD_ACTION(&a, CONTROLLER, controller, .max_len = 1);
    }
    add_resubmit(&a, 1);
    rig_only(rig, 1, &a);
    for (uint8_t table = 1; table < 9; table++) {
        a.size -= 16;
        add_resubmit(&a, (uint8_t) (table + 1));
        CHECK(!rig_flow(rig, 1, table, 1, NULL, NULL, &a));
    }
    xlate(rig->pipeline, &in, &out);
    CHECK(out.failed && out.drop_reason == SLUICE_DROP_REASON_ACTIONS_TOO_BIG);
    claim("more than 60 kB of datapath actions drop the packet");

    rig_clear(rig, 1);
    for (uint32_t table = 0; table < 253; table++) {
        a.size = 0;
        ADD_ACTION(&a, GOTO_TABLE, goto_table, .table = table + 1);
        CHECK(!rig_flow(rig, 1, (uint8_t) table, 1, NULL, NULL, &a));
    }
    a.size = 0;
    add_output(&a, 2);
    CHECK(!rig_flow(rig, 1, 253, 1, NULL, NULL, &a));
    EXPECT(rig, &key, "2");
    claim("a packet may go through all 254 tables");
    xlate_out_uninit(&out);
}

static void
test_controller(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };

    rig_clear(rig, 1);
    EXPECT(rig, &key, "drop");
    rig_bridge_flags(rig, 1, SLUICE_BRIDGE_FLAG_PACKET_IN_ON_MISS, 0);
    EXPECT(rig, &key, "controller(reason=7,id=0,max_len=65535,table=0,in_port=1)");
    struct flow_key quiet = tcp_key(3);
    rig_port(rig, 1, 3, 3, SLUICE_OFPORT_CONFIG_NO_PACKET_IN);
    EXPECT(rig, &quiet, "drop");
    rig_port(rig, 1, 3, 3, 0);
    claim("a miss is a packet-in if someone wants it and the port allows it");

    add_output(&a, PORT_CONTROLLER);
    CHECK(!rig_flow(rig, 1, 0, 0, NULL, NULL, &a));
    EXPECT(rig, &key, "controller(reason=6,id=0,max_len=0,table=0,in_port=1)");
    claim("an output to the controller by a table-miss rule says so");

    a.size = 0;
    struct sluice_action_dec_ttl *dec = actions_add(&a, SLUICE_ACTION_DEC_TTL, sizeof *dec + 8);
    dec->n_controllers = 2;
    ((uint16_t *) (dec + 1))[1] = 7;
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    key.ip_ttl = 1;
    EXPECT(rig, &key, "drop");
    rig_bridge_flags(rig, 1, SLUICE_BRIDGE_FLAG_INVALID_TTL_TO_CONTROLLER, 0);
    EXPECT(rig, &key,
           "controller(reason=2,id=0,max_len=65535,table=0,in_port=1),"
           "controller(reason=2,id=7,max_len=65535,table=0,in_port=1)");
    key.ip_ttl = 2;
    EXPECT(rig, &key, "set(ttl=1),2");
    rig_bridge_flags(rig, 1, 0, 0);
    claim("a TTL that runs out ends the actions and may be a packet-in to each controller");
}

static void
test_ports(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    add_output(&a, 2);
    add_output(&a, 3);
    rig_only(rig, 1, &a);
    rig_port(rig, 1, 2, 2, SLUICE_OFPORT_CONFIG_NO_FWD);
    EXPECT(rig, &key, "3");
    rig_port(rig, 1, 2, 2, 0);
    rig_port(rig, 1, 1, 1, SLUICE_OFPORT_CONFIG_NO_RECV);
    EXPECT(rig, &key, "drop");
    rig_port(rig, 1, 1, 1, 0);
    EXPECT(rig, &key, "2,3");
    key.in_port = be32(999);
    EXPECT(rig, &key, "drop");
    claim("NO_FWD, NO_RECV and unknown ports");

    struct flow_key value;
    struct flow_key mask;
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    value.tp_dst = be16(2);
    mask.tp_dst = 0xffff;
    value.eth_type = be16(ETH_TYPE_IPV4);
    mask.eth_type = 0xffff;
    a.size = 0;
    add_output(&a, 4);
    CHECK(!rig_flow(rig, 1, 0, 9, &value, &mask, &a));
    key = tcp_key(1);
    EXPECT(rig, &key, "4");
    key.ip_frag = FRAG_ANY;
    EXPECT(rig, &key, "2,3");
    rig_bridge_flags(rig, 1, 0, SLUICE_FRAG_MODE_NX_MATCH);
    EXPECT(rig, &key, "4");
    rig_bridge_flags(rig, 1, 0, SLUICE_FRAG_MODE_DROP);
    EXPECT(rig, &key, "drop");
    rig_bridge_flags(rig, 1, 0, 0);
    claim("fragments have no ports in normal mode, have them in nx-match, and may be dropped");
}

static void
test_patch(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    rig_bridge(rig, 2);
    rig_port(rig, 2, 1, 5, 0);
    rig_port(rig, 2, PORT_LOCAL, 101, 0);
    rig_patch(rig, 1, 8, 2, 9);
    rig_patch(rig, 2, 9, 1, 8);

    add_set_field(&a, SLUICE_FIELD_REG0, 5, field_ones(32));
    add_output(&a, 8);
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    struct flow_key value;
    struct flow_key mask;
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    value.in_port = be32(8);
    mask.in_port = UINT32_MAX;
    a.size = 0;
    add_output(&a, 4);
    CHECK(!rig_flow(rig, 1, 0, 9, &value, &mask, &a));
    a.size = 0;
    ADD_ACTION(&a, SET_ETH_SRC, set_eth_src, .mac = { 0, 0, 0, 0, 0, 0x99 });
    add_output(&a, PORT_ALL);
    add_output(&a, PORT_IN_PORT);
    ADD_ACTION(&a, EXIT, exit, .pad = 0);
    rig_only(rig, 2, &a);
    EXPECT(rig, &key, "set(eth_src=99),5,101,4,set(eth_src=1),2");
    claim("a patch port leads through the peer's tables and back, and this bridge goes on as it was");

    uint64_t reply[64];
    size_t used;
    struct sluice_ofport_query query = {
        .type = SLUICE_QUERY_OFPORT_STATS, .size = sizeof query, .bridge = 1, .ofp_port = 8
    };
    CHECK(!pipeline_query(rig->pipeline, (struct sluice_record *) &query, (uint8_t *) reply, sizeof reply, &used));
    const struct sluice_ofport_info *info = (const void *) reply;
    CHECK(info->tx_packets == 1 && info->rx_packets == 1 && info->tx_bytes == 100);
    claim("patch ports count what goes through them");
}

int
main(void)
{
    static struct rig rig;
    rig_init(&rig);
    rig_bridge(&rig, 1);
    for (uint32_t port = 1; port <= 4; port++) {
        rig_port(&rig, 1, port, port, port == 4 ? SLUICE_OFPORT_CONFIG_NO_FLOOD : 0);
    }
    rig_port(&rig, 1, PORT_LOCAL, 100, 0);
    test_output(&rig);
    test_queue_dscp(&rig);
    test_mpls(&rig);
    test_check_pkt_larger(&rig);
    test_set(&rig);
    test_vlan(&rig);
    test_tables(&rig);
    test_limits(&rig);
    test_controller(&rig);
    test_ports(&rig);
    test_patch(&rig);
    rig_uninit(&rig);
    return 0;
}
