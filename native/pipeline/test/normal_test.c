/* NORMAL.  Expected texts are what Open vSwitch 3.1 prints for the same ports. */
#include "pipeline/mac_table.h"
#include "pipeline/test/pipeline_rig.h"

static void
setup(struct rig *rig)
{
    struct actions a = { .size = 0 };
    rig_init(rig);
    rig_bridge(rig, 1);
    for (uint32_t port = 1; port <= 4; port++) {
        rig_port(rig, 1, port, port, 0);
    }
    rig_port(rig, 1, PORT_LOCAL, 100, 0);
    add_output(&a, PORT_NORMAL);
    rig_only(rig, 1, &a);
}

static void
bundles(struct rig *rig)
{
    rig_bundle(rig, 1, 1, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
    rig_bundle(rig, 1, 3, SLUICE_VLAN_MODE_ACCESS, 10, 0, 0);
    rig_bundle(rig, 1, 4, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
    rig_bundle(rig, 1, PORT_LOCAL, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
    rig_bundle(rig, 1, 2, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
}

/* A packet from 'dp_port' with source and destination ...:src and ...:dst; vid 0: untagged. */
static struct flow_key
packet(uint32_t dp_port, uint8_t src, uint8_t dst, uint16_t vid, uint16_t pcp)
{
    struct flow_key key = tcp_key(dp_port);
    key.eth_src[5] = src;
    key.eth_dst[5] = dst;
    if (vid || pcp) {
        key_set_vlan(&key, vid, pcp);
    }
    return key;
}

#define EXPECT_PACKET(RIG, PORT, SRC, DST, VID, PCP, TEXT) \
    do { \
        struct flow_key key_ = packet(PORT, SRC, DST, VID, PCP); \
        EXPECT(RIG, &key_, TEXT); \
    } while (0)

static void
test_flooding(struct rig *rig)
{
    EXPECT_PACKET(rig, 1, 1, 2, 0, 0, "drop");
    claim("a port in no bundle gets nothing through");
    bundles(rig);
    EXPECT_PACKET(rig, 1, 1, 2, 0, 0, "4,100,2");
    EXPECT_PACKET(rig, 1, 1, 2, 10, 3, "pop_vlan,3,push_vlan(vid=10,pcp=3),4,100,2");
    EXPECT_PACKET(rig, 3, 3, 2, 0, 0, "push_vlan(vid=10,pcp=0),1,4,100,2");
    EXPECT_PACKET(rig, 3, 3, 2, 10, 0, "drop");
    EXPECT_PACKET(rig, 3, 3, 2, 0, 2, "pop_vlan,push_vlan(vid=10,pcp=2),1,4,100,2");
    EXPECT_PACKET(rig, 100, 4, 2, 0, 0, "1,4,2");
    rig_port(rig, 1, 4, 4, SLUICE_OFPORT_CONFIG_NO_FLOOD);
    EXPECT_PACKET(rig, 1, 1, 2, 0, 0, "100,2");
    rig_port(rig, 1, 4, 4, 0);
    struct flow_key partial = packet(1, 1, 2, 0, 0);
    partial.eth_type = be16(ETH_TYPE_VLAN);
    EXPECT(rig, &partial, "drop");
    claim("flooding follows the order of bundles, and VLANs of access and trunk ports");
}

static void
test_learning(struct rig *rig)
{
    struct flow_key mask;
    EXPECT_PACKET(rig, 2, 0x22, 0x77, 0, 0, "1,4,100");
    EXPECT_PACKET(rig, 1, 0x11, 0x22, 0, 0, "2");
    EXPECT_PACKET(rig, 2, 0x22, 0x11, 0, 0, "1");
    EXPECT_PACKET(rig, 4, 0x44, 0x22, 5, 0, "1,100,2");
    EXPECT_PACKET(rig, 2, 0x55, 0x22, 0, 0, "drop");
    claim("an address is learned per VLAN, and packets go only to its port, never back");

    EXPECT_PACKET(rig, 4, 0x22, 0x77, 0, 0, "1,100,2");
    EXPECT_PACKET(rig, 1, 0x11, 0x22, 0, 0, "4");
    claim("an address moves with its packets");

    struct flow_key key = packet(1, 0x11, 0x22, 0, 0);
    key.eth_dst[0] = 1;
    EXPECT(rig, &key, "4,100,2");
    key = packet(1, 0, 0, 0, 0);
    memcpy(key.eth_dst, (uint8_t[]){ 0x01, 0x80, 0xc2, 0, 0, 0x0e }, 6);
    EXPECT(rig, &key, "drop");
    rig_bridge_flags(rig, 1, SLUICE_BRIDGE_FLAG_FORWARD_BPDU, 0);
    EXPECT(rig, &key, "4,100,2");
    rig_bridge_flags(rig, 1, 0, 0);
    claim("multicast floods; reserved addresses only with forward-bpdu");

    key = packet(1, 0x11, 0x22, 10, 3);
    rig_xlate(rig, &key, &mask);
    CHECK(mask.eth_src[0] == 0xff && mask.eth_dst[5] == 0xff && mask.vlan0_tci == 0xffff);
    key = packet(1, 0x11, 0x22, 0, 0);
    rig_xlate(rig, &key, &mask);
    CHECK(mask.vlan0_tci == be16(0x1fff) && !mask.ip_src && !mask.tp_dst);
    claim("NORMAL reads addresses and the VLAN, and a priority only where it copies one");

    rig->now_ms += 299999;
    EXPECT_PACKET(rig, 2, 0x23, 0x11, 0, 0, "1");
    rig->now_ms += 1;
    pipeline_maintain(rig->pipeline, rig->now_ms);
    EXPECT_PACKET(rig, 2, 0x23, 0x22, 0, 0, "1,4,100");
    claim("addresses age after 300 seconds");
}

static void
test_modes(struct rig *rig)
{
    struct sluice_fdb_flush flush = { .bridge = 1, .ofp_port = UINT32_MAX };
    rig_bundle(rig, 1, 4, SLUICE_VLAN_MODE_NATIVE_UNTAGGED, 20, 30, 0);
    rig_bundle(rig, 1, 2, SLUICE_VLAN_MODE_NATIVE_TAGGED, 20, 0, 0);
    rig_bundle(rig, 1, 1, SLUICE_VLAN_MODE_TRUNK, 0, 40, 0);
    CHECK(!rig_do(rig, &flush, SLUICE_COMMAND_FDB_FLUSH, sizeof flush));
    EXPECT_PACKET(rig, 4, 0x70, 0x71, 0, 0, "push_vlan(vid=20,pcp=0),100,2");
    EXPECT_PACKET(rig, 2, 1, 2, 0, 0, "4,push_vlan(vid=20,pcp=0),100");
    EXPECT_PACKET(rig, 4, 3, 4, 20, 0, "100,2");
    EXPECT_PACKET(rig, 4, 3, 4, 31, 0, "drop");
    EXPECT_PACKET(rig, 100, 5, 6, 20, 5, "pop_vlan,4,push_vlan(vid=20,pcp=5),2");
    EXPECT_PACKET(rig, 1, 5, 6, 20, 5, "drop");
    EXPECT_PACKET(rig, 1, 5, 6, 0, 0, "drop");
    EXPECT_PACKET(rig, 100, 7, 8, 10, 5, "pop_vlan,3,push_vlan(vid=10,pcp=5),2");
    rig_bundle(rig, 1, 3, SLUICE_VLAN_MODE_ACCESS, 10, 0, SLUICE_BUNDLE_FLAG_PRIORITY_TAGS);
    EXPECT_PACKET(rig, 100, 7, 8, 10, 5, "pop_vlan,push_vlan(vid=0,pcp=5),3,pop_vlan,push_vlan(vid=10,pcp=5),2");
    EXPECT_PACKET(rig, 100, 7, 8, 10, 0, "pop_vlan,3,push_vlan(vid=10,pcp=0),2");
    claim("native-tagged, native-untagged, limited trunks and priority tags");

    struct flow_key key = packet(100, 7, 8, 20, 5);
    key.vlan1_tpid = be16(ETH_TYPE_VLAN);
    key.vlan1_tci = be16(VLAN_CFI | 30);
    EXPECT(rig, &key, "pop_vlan,4,push_vlan(vid=20,pcp=5),2");
    rig_bundle(rig, 1, 4, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
    EXPECT_PACKET(rig, 100, 7, 8, 0, 5, "4");
    rig_bundle(rig, 1, 4, SLUICE_VLAN_MODE_NATIVE_UNTAGGED, 20, 30, 0);
    claim("below a native VLAN another tag stays, and a trunk keeps a tag that only has a priority");

    rig_bundle(rig, 1, 3, SLUICE_VLAN_MODE_ACCESS, 10, 0, SLUICE_BUNDLE_FLAG_PROTECTED);
    rig_bundle(rig, 1, 2, SLUICE_VLAN_MODE_TRUNK, 0, 0, SLUICE_BUNDLE_FLAG_PROTECTED);
    EXPECT_PACKET(rig, 3, 9, 10, 0, 0, "push_vlan(vid=10,pcp=0),100");
    claim("protected ports do not talk to each other");

    struct sluice_bundle_del del = { .bridge = 1, .bundle = 2 };
    EXPECT_PACKET(rig, 2, 0x31, 0x32, 0, 0, "100");
    EXPECT_PACKET(rig, 100, 0x33, 0x31, 0, 0, "2");
    CHECK(!rig_do(rig, &del, SLUICE_COMMAND_BUNDLE_DEL, sizeof del));
    EXPECT_PACKET(rig, 100, 0x33, 0x31, 0, 0, "drop");
    claim("what was learned behind a bundle goes with it");
}

static void
test_stale(struct rig *rig)
{
    struct flow_key key = packet(1, 0x61, 0x62, 40, 0);
    struct xlate_out out;
    const struct xlate_in in = { .key = &key, .now_ms = rig->now_ms, .learn = true };
    xlate_out_init(&out);
    rig_xlate(rig, &key, NULL);
    xlate(rig->pipeline, &in, &out);
    CHECK(!xlate_is_stale(rig->pipeline, &out.change, out.stamps, out.n_stamps, NULL));

    EXPECT_PACKET(rig, 100, 0x99, 0x98, 40, 0, "1");
    CHECK(!xlate_is_stale(rig->pipeline, &out.change, out.stamps, out.n_stamps, NULL));
    CHECK(out.change == pipeline_change(rig->pipeline));
    rig_xlate(rig, &(struct flow_key){ .in_port = 0 }, NULL);
    key = packet(100, 0x62, 0x61, 40, 0);
    rig_xlate(rig, &key, NULL);
    CHECK(xlate_is_stale(rig->pipeline, &out.change, out.stamps, out.n_stamps, NULL));
    claim("learning an address makes stale what flooded for it, and nothing else");

    key = packet(1, 0x61, 0x62, 40, 0);
    xlate(rig->pipeline, &in, &out);
    struct actions a = { .size = 0 };
    add_output(&a, 2);
    CHECK(!rig_flow(rig, 1, 7, 1, NULL, NULL, &a));
    CHECK(!xlate_is_stale(rig->pipeline, &out.change, out.stamps, out.n_stamps, NULL));
    struct flow_key value;
    struct flow_key mask;
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    value.in_port = be32(3);
    mask.in_port = UINT32_MAX;
    CHECK(!rig_flow(rig, 1, 0, 1, &value, &mask, &a));
    CHECK(xlate_is_stale(rig->pipeline, &out.change, out.stamps, out.n_stamps, NULL));
    claim("a change of a table makes stale what visited it, and nothing else");

    xlate(rig->pipeline, &in, &out);
    rig_bridge(rig, 9);
    CHECK(!xlate_is_stale(rig->pipeline, &out.change, out.stamps, out.n_stamps, NULL));
    rig_port(rig, 1, 4, 4, 0);
    CHECK(xlate_is_stale(rig->pipeline, &out.change, out.stamps, out.n_stamps, NULL));
    claim("a change of a bridge makes its own megaflows stale, not another's");
    xlate_out_uninit(&out);
}

static void
changed(void *aux, uint16_t vlan, uint64_t mac, enum mac_change change)
{
    (void) change;
    (void) vlan;
    (void) mac;
    ++*(uint32_t *) aux;
}

static void
test_mac_table(void)
{
    struct epoch *epoch = epoch_create();
    uint32_t n_changed = 0;
    struct mac_table *table = mac_table_create(epoch, changed, &n_changed);
    uint32_t bundle;
    for (uint32_t i = 0; i < 8192; i++) {
        CHECK(mac_table_learn(table, 0, i, i < 100 ? 7 : 8, false, false, i));
    }
    CHECK(n_changed == 8192 && mac_table_count(table) == 8192);
    CHECK(mac_table_learn(table, 0, 9999, 7, false, false, 9000));
    CHECK(mac_table_count(table) == 8192 && n_changed == 8194);
    CHECK(mac_table_lookup(table, 0, 0, &bundle) && bundle == 7 && !mac_table_lookup(table, 0, 100, &bundle));
    claim("a full table drops the oldest entry of the port that has most");

    CHECK(mac_table_learn(table, 1, 5, 1, true, false, 10000));
    CHECK(!mac_table_learn(table, 1, 5, 2, true, true, 14999));
    CHECK(mac_table_lookup(table, 1, 5, &bundle) && bundle == 1);
    CHECK(mac_table_learn(table, 1, 5, 2, true, true, 15000));
    claim("a gratuitous ARP behind a bond does not move an address for 5 seconds");

    mac_table_refresh(table, 0, 50, 7, 400000);
    CHECK(mac_table_expire(table, 399999) == 700000);
    CHECK(mac_table_count(table) == 1);
    claim("refreshed addresses live on");

    struct mac_entry_info entries[4];
    uint64_t next;
    for (uint32_t i = 0; i < 9; i++) {
        mac_table_learn(table, 3, 1000 + i, 1, false, false, 400001 + i);
    }
    uint32_t n = 0;
    for (uint64_t from = 0;; from = next) {
        n += mac_table_dump(table, from, entries, 4, &next);
        if (!next) {
            break;
        }
    }
    CHECK(n == 10);
    mac_table_configure(table, 3, 300);
    CHECK(mac_table_count(table) == 3);
    mac_table_flush(table, UINT32_MAX);
    CHECK(mac_table_count(table) == 0);
    claim("dumps give each entry once; a smaller limit evicts");
    mac_table_unref(table);
    epoch_destroy(epoch);
}

/* Addresses that the administrator set, in the table alone. */
static void
test_static_entries(void)
{
    struct epoch *epoch = epoch_create();
    uint32_t n_changed = 0;
    struct mac_table *table = mac_table_create(epoch, changed, &n_changed);
    struct mac_table_stats stats;
    uint32_t bundle;

    CHECK(mac_table_learn(table, 0, 1, 7, false, false, 0));
    CHECK(mac_table_set_static(table, 0, 1, 7, 1000) && mac_table_set_static(table, 0, 2, 8, 1000) && n_changed == 3);
    CHECK(!mac_table_learn(table, 0, 1, 9, false, false, 2000) && !mac_table_learn(table, 0, 2, 9, true, false, 2000));
    CHECK(mac_table_lookup(table, 0, 1, &bundle) && bundle == 7);
    CHECK(mac_table_holds(table, 0, 1, 9) && !mac_table_holds(table, 0, 1, 7) && !mac_table_holds(table, 0, 3, 7));
    CHECK(mac_table_expire(table, 10000000) == UINT64_MAX && mac_table_count(table) == 2);
    mac_table_flush(table, UINT32_MAX);
    CHECK(mac_table_count(table) == 2);
    claim("packets, time and a flush leave static addresses alone");

    CHECK(mac_table_set_static(table, 0, 1, 8, 1000) && mac_table_lookup(table, 0, 1, &bundle) && bundle == 8);
    for (uint64_t mac = 100; mac < 400; mac++) {
        CHECK(mac_table_learn(table, 0, mac, 7, false, false, mac));
    }
    struct mac_entry_info entries[2];
    uint64_t next;
    CHECK(mac_table_dump(table, 0, entries, 2, &next) == 2 && next == 2 && entries[0].is_static
          && entries[1].is_static);
    CHECK(mac_table_dump(table, 301, entries, 2, &next) == 1 && !next && entries[0].mac == 399);
    mac_table_get_stats(table, &stats);
    CHECK(stats.n == 302 && stats.n_static == 2 && stats.n_changes[MAC_LEARNED] == 301
          && stats.n_changes[MAC_MOVED] == 1);
    mac_table_clear_stats(table);
    mac_table_get_stats(table, &stats);
    CHECK(stats.n == 302 && !stats.n_changes[MAC_LEARNED]);
    claim("static addresses live through the growth of the table, and changes are counted");

    mac_table_configure(table, 2, 300);
    CHECK(mac_table_count(table) == 2 && !mac_table_learn(table, 0, 5, 7, false, false, 0));
    CHECK(!mac_table_set_static(table, 0, 5, 7, 0) && mac_table_has_static(table, 0, 2));
    CHECK(mac_table_remove_static(table, 0, 2) && !mac_table_remove_static(table, 0, 2));
    CHECK(mac_table_learn(table, 0, 5, 7, false, false, 0) && !mac_table_remove_static(table, 0, 5));
    mac_table_flush(table, 8);
    CHECK(mac_table_count(table) == 1 && !mac_table_has_static(table, 0, 1));
    claim("a table full of static addresses learns nothing; they go with their port");
    mac_table_unref(table);
    epoch_destroy(epoch);
}

/* The same by commands. */
static void
test_static_commands(struct rig *rig)
{
    struct sluice_fdb_set set = { .bridge = 1, .ofp_port = 4, .mac = { 0, 0, 0, 0, 0, 0x61 } };
    struct sluice_fdb_del del = { .bridge = 1, .mac = { 0, 0, 0, 0, 0, 0x61 } };
    CHECK(!rig_do(rig, &set, SLUICE_COMMAND_FDB_SET, sizeof set));
    EXPECT_PACKET(rig, 1, 0x60, 0x61, 0, 0, "4");
    EXPECT_PACKET(rig, 2, 0x61, 0x60, 0, 0, "1");
    EXPECT_PACKET(rig, 1, 0x60, 0x61, 0, 0, "4");
    set.ofp_port = 55;
    CHECK(rig_do(rig, &set, SLUICE_COMMAND_FDB_SET, sizeof set) == SLUICE_ERROR_NO_SUCH_PORT);
    set.bridge = 9;
    CHECK(rig_do(rig, &set, SLUICE_COMMAND_FDB_SET, sizeof set) == SLUICE_ERROR_NO_SUCH_BRIDGE);
    CHECK(!rig_do(rig, &del, SLUICE_COMMAND_FDB_DEL, sizeof del));
    CHECK(rig_do(rig, &del, SLUICE_COMMAND_FDB_DEL, sizeof del) == SLUICE_ERROR_NO_SUCH_ADDRESS);
    EXPECT_PACKET(rig, 1, 0x60, 0x61, 0, 0, "4,100,2");
    claim("packets go where an address was set to be, until that is taken back");
}

int
main(void)
{
    static struct rig rig;
    setup(&rig);
    test_flooding(&rig);
    test_learning(&rig);
    test_static_commands(&rig);
    test_modes(&rig);
    test_stale(&rig);
    rig_uninit(&rig);
    test_mac_table();
    test_static_entries();
    return 0;
}
