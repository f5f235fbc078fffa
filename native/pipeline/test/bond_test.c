/* Bonds that spread packets: what the datapath is told to do, what is counted, and under which id packets come back. */
#include "pipeline/test/pipeline_rig.h"

#define BOND 7
#define BUCKETS 256

/* Ports 1 and 2 are the bond, buckets in turn; port 3 is another bundle. */
static void
bond(struct rig *rig, uint8_t output, uint16_t flags, uint32_t shift)
{
    struct {
        struct sluice_bundle_set set;
        uint32_t members[2 + 2 + BUCKETS];
    } command;
    memset(&command, 0, sizeof command);
    command.set.bridge = 1;
    command.set.bundle = BOND;
    command.set.bundle_flags = flags;
    command.set.bond_output = output;
    command.set.active_member = 1;
    command.set.n_members = command.set.n_enabled = 2;
    command.set.n_buckets = BUCKETS;
    for (uint32_t i = 0; i < 2 + 2 + BUCKETS; i++) {
        command.members[i] = 1 + (i + shift) % 2;
    }
    CHECK(!rig_do(rig, &command, SLUICE_COMMAND_BUNDLE_SET, sizeof command));
}

static void
setup(struct rig *rig)
{
    struct actions a = { .size = 0 };
    rig_init(rig);
    rig_bridge(rig, 1);
    for (uint32_t port = 1; port <= 3; port++) {
        rig_port(rig, 1, port, 10 + port, 0);
    }
    rig_bundle(rig, 1, 3, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
    add_output(&a, PORT_NORMAL);
    rig_only(rig, 1, &a);
}

static uint64_t
bytes_of(struct rig *rig, uint32_t bucket, uint32_t *recirc_id)
{
    static struct {
        struct sluice_bond_info info;
        struct sluice_bond_bucket buckets[BUCKETS];
    } reply;
    size_t used;
    struct sluice_bond_query query = {
        .type = SLUICE_QUERY_BOND_STATS, .size = sizeof query, .bridge = 1, .bundle = BOND
    };
    int error =
        pipeline_query(rig->pipeline, (const struct sluice_record *) &query, (uint8_t *) &reply, sizeof reply, &used);
    if (recirc_id) {
        *recirc_id = error ? 0 : reply.info.recirc_id;
    }
    return error ? 0 : reply.buckets[bucket].n_bytes;
}

static uint64_t
bytes_of_all(struct rig *rig)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        sum += bytes_of(rig, i, NULL);
    }
    return sum;
}

static void
test_recirculation(struct rig *rig)
{
    struct flow_key key = tcp_key(13);
    struct flow_key mask;
    uint32_t id;
    bond(rig, SLUICE_BOND_OUTPUT_HASH_L4, SLUICE_BUNDLE_FLAG_BALANCED, 0);
    bytes_of(rig, 0, &id);
    CHECK(id == 1);
    CHECK(!strcmp(rig_xlate(rig, &key, &mask), "hash(l4(0)),recirc(0x1)"));
    CHECK(!mask.tp_src && !mask.tp_dst && !mask.ip_src);
    CHECK(!bytes_of_all(rig));
    claim("balance-tcp: one megaflow for all connections, which are told apart when they come back");

    struct flow_key back = key;
    back.recirc_id = be32(id);
    back.dp_hash = be32(0xabcdef04);
    CHECK(!strcmp(rig_xlate(rig, &back, &mask), "11"));
    CHECK(mask.dp_hash == be32(0xff));
    back.dp_hash = be32(0xabcdef05);
    EXPECT(rig, &back, "12");
    EXPECT(rig, &back, "12");
    CHECK(bytes_of(rig, 4, NULL) == 100 && bytes_of(rig, 5, NULL) == 200 && bytes_of_all(rig) == 300);
    bond(rig, SLUICE_BOND_OUTPUT_HASH_L4, SLUICE_BUNDLE_FLAG_BALANCED, 1);
    EXPECT(rig, &back, "11");
    CHECK(bytes_of(rig, 5, &id) == 300 && id == 1);
    claim("a bucket that moves to another member keeps its counters, and the bond its id");
}

static void
test_lookup_by_datapath(struct rig *rig)
{
    const struct pipeline_hashed packets[] = { { 4, 60 }, { 0x105, 1500 }, { 6, 1 } };
    struct flow_key key = tcp_key(13);
    uint32_t ports[3];
    bond(rig, SLUICE_BOND_OUTPUT_HASH_L4, SLUICE_BUNDLE_FLAG_BALANCED | SLUICE_BUNDLE_FLAG_LB_OUTPUT, 0);
    EXPECT(rig, &key, "hash(l4(0)),lb_output(1)");
    pipeline_spread(rig->pipeline, 1, BOND, packets, 3, ports);
    CHECK(ports[0] == 11 && ports[1] == 12 && ports[2] == 11);
    CHECK(bytes_of(rig, 4, NULL) == 160 && bytes_of(rig, 5, NULL) == 1800);
    pipeline_spread(rig->pipeline, 1, BOND + 1, packets, 1, ports);
    CHECK(!ports[0]);
    pipeline_spread(rig->pipeline, 9, BOND, packets, 1, ports);
    CHECK(!ports[0]);
    claim("lb_output: the datapath looks buckets up, and drops when the bond is gone");
}

static void
test_hash_of_addresses(struct rig *rig)
{
    struct flow_key key = tcp_key(13);
    struct flow_key mask;
    uint64_t before = bytes_of_all(rig);
    bond(rig, SLUICE_BOND_OUTPUT_HASH_MAC, SLUICE_BUNDLE_FLAG_BALANCED, 0);
    const char *text = rig_xlate(rig, &key, &mask);
    CHECK(!strcmp(text, "11") || !strcmp(text, "12"));
    CHECK(mask.eth_src[0] == 0xff);
    CHECK(bytes_of_all(rig) == before + 100);
    claim("balance-slb: what goes by each hash of addresses is counted");
    bond(rig, SLUICE_BOND_OUTPUT_ACTIVE, 0, 0);
    uint32_t id;
    CHECK(!bytes_of(rig, 0, &id) && !id);
    claim("a bond that spreads nothing counts nothing");
}

static void
test_patch_member(struct rig *rig)
{
    struct flow_key key = tcp_key(13);
    rig_bridge(rig, 2);
    rig_patch(rig, 1, 1, 2, 9);
    rig_patch(rig, 1, 2, 2, 9);
    rig_patch(rig, 2, 9, 1, 1);
    rig_port(rig, 2, 4, 24, 0);
    struct actions a = { .size = 0 };
    add_output(&a, 4);
    rig_only(rig, 2, &a);
    bond(rig, SLUICE_BOND_OUTPUT_HASH_L4, SLUICE_BUNDLE_FLAG_BALANCED, 0);
    EXPECT(rig, &key, "24");
    struct flow_key mask;
    rig_xlate(rig, &key, &mask);
    CHECK(mask.tp_src == UINT16_MAX && mask.tp_dst == UINT16_MAX);
    claim("a member without a device is chosen by the translation, and what is beyond it has nothing to do with the "
          "bond");
}

static void
test_bond_gone(struct rig *rig)
{
    struct flow_key back = tcp_key(13);
    uint32_t id;
    bytes_of(rig, 0, &id);
    back.recirc_id = be32(id);
    struct sluice_bundle_del del = { .bridge = 1, .bundle = BOND };
    CHECK(!rig_do(rig, &del, SLUICE_COMMAND_BUNDLE_DEL, sizeof del));
    EXPECT(rig, &back, "drop");
    claim("a packet that comes back to a bond that is gone is dropped");
}

int
main(void)
{
    struct rig rig;
    setup(&rig);
    test_recirculation(&rig);
    test_lookup_by_datapath(&rig);
    test_hash_of_addresses(&rig);
    test_patch_member(&rig);
    test_bond_gone(&rig);
    rig_uninit(&rig);
    return 0;
}
