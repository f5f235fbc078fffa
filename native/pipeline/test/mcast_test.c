/* Snooping in NORMAL: what packets of IGMP and MLD make of others' ways, and of their megaflows. */
#include "packet/checksum.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pipeline/mcast_table.h"
#include "pipeline/test/pipeline_rig.h"

#define PORTS 4u

static void
setup(struct rig *rig, uint32_t flags)
{
    struct actions a = { .size = 0 };
    rig_init(rig);
    rig_bridge(rig, 1);
    for (uint32_t port = 1; port <= PORTS; port++) {
        rig_port(rig, 1, port, port, 0);
        rig_bundle(rig, 1, port, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
    }
    add_output(&a, PORT_NORMAL);
    rig_only(rig, 1, &a);
    rig_bridge_flags(rig, 1, SLUICE_BRIDGE_FLAG_MCAST_SNOOPING | flags, 0);
}

/* A frame and its bytes, which end where the frame does, so that the sanitizer sees who reads on. */
struct frame {
    uint8_t bytes[128];
    uint32_t size;
};

static void
put_ipv4(struct frame *frame, uint8_t proto, uint8_t group, const uint8_t *l4, uint32_t l4_size)
{
    const uint8_t head[34] = { 0x01, 0, 0x5e, 1,   1, group, 0x50, 0x54, 0,
                               0,    0, 9,    8,   0, 0x45,  0,    0,    (uint8_t) (20 + l4_size),
                               0,    1, 0x40, 0,   1, proto, 0,    0,    10,
                               0,    0, 9,    224, 1, 1,     group };
    memcpy(frame->bytes, head, sizeof head);
    memcpy(frame->bytes + sizeof head, l4, l4_size);
    frame->size = (uint32_t) sizeof head + l4_size;
    put_raw16(frame->bytes + 24, checksum(frame->bytes + 14, 20));
}

/* Of the group ff0e::1:'group' from fe80::9, or from nowhere. */
static void
put_ipv6(struct frame *frame, uint8_t proto, uint8_t group, bool has_source, const uint8_t *l4, uint32_t l4_size)
{
    uint8_t head[54] = { 0x33, 0x33, 0, 1, 0, group, 0x50, 0x54, 0, 0, 0, 9, 0x86, 0xdd, 0x60 };
    head[19] = (uint8_t) l4_size;
    head[20] = proto;
    head[21] = 1;
    if (has_source) {
        head[22] = 0xfe;
        head[23] = 0x80;
        head[37] = 9;
    }
    const uint8_t to[16] = { 0xff, 0x0e, [13] = 1, [15] = group };
    memcpy(head + 38, to, sizeof to);
    memcpy(frame->bytes, head, sizeof head);
    memcpy(frame->bytes + sizeof head, l4, l4_size);
    frame->size = (uint32_t) sizeof head + l4_size;
    if (proto == PROTO_ICMPV6) {
        /* The sum of a pseudo header, and of what follows it. */
        uint8_t summed[40 + sizeof frame->bytes] = { 0 };
        memcpy(summed, head + 22, 32);
        summed[35] = (uint8_t) l4_size;
        summed[39] = proto;
        memcpy(summed + 40, l4, l4_size);
        memset(summed + 42, 0, 2);
        put_raw16(frame->bytes + sizeof head + 2, checksum(summed, 40 + l4_size));
    }
}

/* A query, report or done of MLDv1. */
static void
put_mld(struct frame *frame, uint8_t type, uint8_t group, bool has_source)
{
    uint8_t l4[24] = { type, [8] = 0xff, [9] = 0x0e, [21] = 1, [23] = group };
    if (type == 130) {
        memset(l4 + 8, 0, 16);
    }
    put_ipv6(frame, PROTO_ICMPV6, group, has_source, l4, sizeof l4);
}

/* A report of MLDv2 with one record. */
static void
put_mld2(struct frame *frame, uint8_t record, uint8_t group)
{
    const uint8_t l4[28] = { 143, [7] = 1, [8] = record, [12] = 0xff, [13] = 0x0e, [25] = 1, [27] = group };
    put_ipv6(frame, PROTO_ICMPV6, group, true, l4, sizeof l4);
}

static void
put_igmp(struct frame *frame, uint8_t type, uint8_t group)
{
    uint8_t l4[8] = { type, 0, 0, 0, 224, 1, 1, group };
    if (type == 0x11) {
        memset(l4 + 4, 0, 4);
    }
    put_raw16(l4 + 2, checksum(l4, sizeof l4));
    put_ipv4(frame, PROTO_IGMP, group, l4, sizeof l4);
}

/* Translates the frame as it comes in by 'port'.  The actions as text. */
static const char *
receive(struct rig *rig, const struct frame *frame, uint32_t port, struct xlate_out *kept)
{
    static char text[4096];
    struct packet packet;
    struct flow_key key;
    struct xlate_out out;
    uint8_t *bytes = malloc(frame->size);
    CHECK(bytes);
    memcpy(bytes, frame->bytes, frame->size);
    bytes[11] = (uint8_t) port; /* A host behind each port. */
    packet_wrap(&packet, bytes, frame->size, 0, frame->size);
    packet.in_port = port;
    packet_parse(&packet, 2, &key);
    key.in_port = be32(port);
    const struct xlate_in in = { .key = &key, .now_ms = rig->now_ms, .learn = true, .packet = &packet };
    xlate_out_init(&out);
    xlate(rig->pipeline, &in, &out);
    rig_text(out.actions, out.actions_size, text, sizeof text);
    if (kept) {
        *kept = out;
    } else {
        xlate_out_uninit(&out);
    }
    epoch_quiesce(rig->reader);
    free(bytes);
    return text;
}

#define EXPECT_FRAME(RIG, FRAME, PORT, TEXT) \
    do { \
        const char *text_ = receive(RIG, FRAME, PORT, NULL); \
        if (strcmp(text_, TEXT)) { \
            fprintf(stderr, "line %d: got %s, expected %s\n", __LINE__, text_, TEXT); \
            exit(1); \
        } \
    } while (0)

static bool
is_stale(struct rig *rig, struct xlate_out *out)
{
    return xlate_is_stale(rig->pipeline, &out->change, out->stamps, out->n_stamps, NULL);
}

static void
put_data(struct frame *frame, uint8_t group)
{
    static const uint8_t udp[12] = { 0x10, 0, 0x20, 0, 0, 12 };
    put_ipv4(frame, PROTO_UDP, group, udp, sizeof udp);
}

static void
test_ways(struct rig *rig)
{
    struct frame frame;
    struct frame data;
    put_data(&data, 7);
    EXPECT_FRAME(rig, &data, 1, "2,3,4");
    claim("what nobody asked for goes everywhere");
    put_igmp(&frame, 0x16, 7);
    EXPECT_FRAME(rig, &frame, 2, "drop");
    EXPECT_FRAME(rig, &data, 1, "2");
    claim("a group goes to who reported it, and the report to nobody");
    put_igmp(&frame, 0x11, 7);
    EXPECT_FRAME(rig, &frame, 4, "1,2,3");
    EXPECT_FRAME(rig, &data, 1, "2,4");
    put_igmp(&frame, 0x16, 7);
    EXPECT_FRAME(rig, &frame, 3, "4");
    EXPECT_FRAME(rig, &data, 1, "2,3,4");
    EXPECT_FRAME(rig, &data, 2, "3,4");
    claim("routers get groups and reports");
    rig_bundle(rig, 1, 2, SLUICE_VLAN_MODE_ACCESS, 5, 0, 0);
    EXPECT_FRAME(rig, &data, 1, "3,4");
    rig_bundle(rig, 1, 2, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
    claim("a port whose VLANs change is in no group");
    frame.bytes[40] ^= 1;
    EXPECT_FRAME(rig, &frame, 1, "4");
    EXPECT_FRAME(rig, &data, 2, "3,4");
    claim("a report with a bad checksum goes its way and says nothing");
}

static void
test_mld(struct rig *rig)
{
    static const uint8_t udp[12] = { 0x10, 0, 0x20, 0, 0, 12 };
    struct frame frame;
    struct frame data;
    put_ipv6(&data, PROTO_UDP, 7, true, udp, sizeof udp);
    EXPECT_FRAME(rig, &data, 1, "2,3,4");
    put_mld(&frame, 131, 7, true);
    receive(rig, &frame, 2, NULL);
    EXPECT_FRAME(rig, &data, 1, "2");
    put_mld2(&frame, 4, 7);
    receive(rig, &frame, 3, NULL);
    EXPECT_FRAME(rig, &data, 1, "2,3");
    claim("a group of IPv6 goes to who reported it, by MLDv1 or MLDv2");
    put_mld(&frame, 132, 7, true);
    receive(rig, &frame, 2, NULL);
    EXPECT_FRAME(rig, &data, 1, "3");
    put_mld2(&frame, 3, 7);
    receive(rig, &frame, 3, NULL);
    claim("who is done, or wants it of nobody, gets it no more");
    put_mld(&frame, 131, 8, true);
    receive(rig, &frame, 2, NULL);
    put_ipv6(&data, PROTO_UDP, 8, true, udp, sizeof udp);
    put_mld(&frame, 130, 8, false);
    receive(rig, &frame, 4, NULL);
    EXPECT_FRAME(rig, &data, 1, "2");
    put_mld(&frame, 130, 8, true);
    receive(rig, &frame, 4, NULL);
    EXPECT_FRAME(rig, &data, 1, "2,4");
    claim("behind a query with a source there is a router, which gets all");
    put_mld(&frame, 131, 9, true);
    frame.bytes[60] ^= 1;
    receive(rig, &frame, 3, NULL);
    put_ipv6(&data, PROTO_UDP, 9, true, udp, sizeof udp);
    EXPECT_FRAME(rig, &data, 1, "2,3,4");
    claim("a report with a bad checksum says nothing");
}

/* As test_bad_input(), of MLDv2. */
static void
test_bad_mld(struct rig *rig)
{
    uint64_t random = 78;
    for (uint32_t i = 0; i < 30000; i++) {
        struct frame frame;
        uint8_t l4[72] = { (uint8_t) (i % 4 ? 143 : 130 + i / 4 % 3), 0, 0, 0, 0, 0, 0, 3 };
        const uint32_t size = 4 + (uint32_t) (random_next(&random) % 68);
        for (uint32_t at = 8; at < sizeof l4; at++) {
            l4[at] = (uint8_t) (random_next(&random) >> 40 & (at % 20 < 12 ? 7 : 255));
        }
        l4[7] = (uint8_t) (random_next(&random) >> 40);
        put_ipv6(&frame, PROTO_ICMPV6, 22, true, l4, size);
        receive(rig, &frame, 1 + i % PORTS, NULL);
    }
    claim("30000 messages of MLD with random records are read no further than they are long");
}

static void
test_staleness(struct rig *rig)
{
    struct frame data;
    struct frame frame;
    struct xlate_out out;
    put_data(&data, 9);
    put_igmp(&frame, 0x16, 9);
    receive(rig, &frame, 2, NULL);
    receive(rig, &data, 1, &out);
    CHECK(out.cacheable && !is_stale(rig, &out));
    rig->now_ms += 5000;
    receive(rig, &frame, 2, NULL);
    put_igmp(&frame, 0x16, 10);
    receive(rig, &frame, 3, NULL);
    CHECK(!is_stale(rig, &out));
    claim("a megaflow stays when its group is reported again, and when others change");
    put_igmp(&frame, 0x16, 9);
    receive(rig, &frame, 3, NULL);
    CHECK(is_stale(rig, &out));
    xlate_out_uninit(&out);
    receive(rig, &data, 1, &out);
    put_igmp(&frame, 0x17, 9);
    receive(rig, &frame, 3, NULL);
    CHECK(is_stale(rig, &out));
    xlate_out_uninit(&out);
    receive(rig, &data, 1, &out);
    put_igmp(&frame, 0x11, 9);
    receive(rig, &frame, 3, NULL);
    CHECK(is_stale(rig, &out));
    xlate_out_uninit(&out);
    receive(rig, &data, 1, &out);
    rig->now_ms += 400000;
    pipeline_maintain(rig->pipeline, rig->now_ms);
    CHECK(is_stale(rig, &out));
    xlate_out_uninit(&out);
    claim("it is translated again when a port joins, leaves or ages, and when a router comes");
    receive(rig, &frame, 3, &out);
    CHECK(!out.cacheable);
    xlate_out_uninit(&out);
    claim("a query serves itself alone");
}

/* Reports of three records with random bytes in them, cut short, whose checksums are right. */
static void
test_bad_input(struct rig *rig)
{
    uint64_t random = 77;
    for (uint32_t i = 0; i < 30000; i++) {
        struct frame frame;
        uint8_t l4[64] = { 0x22, 0, 0, 0, 0, 0, 0, 3 };
        const uint32_t size = 4 + (uint32_t) (random_next(&random) % 60);
        for (uint32_t at = 8; at < sizeof l4; at++) {
            l4[at] = (uint8_t) (random_next(&random) >> 40 & (at % 8 < 4 ? 7 : 255));
        }
        l4[7] = (uint8_t) (random_next(&random) >> 40);
        put_raw16(l4 + 2, 0);
        put_raw16(l4 + 2, checksum(l4, size));
        put_ipv4(&frame, PROTO_IGMP, 22, l4, size);
        receive(rig, &frame, 1 + i % PORTS, NULL);
    }
    claim("30000 reports of random records are read no further than they are long");
}

int
main(void)
{
    struct rig rig;
    setup(&rig, 0);
    test_ways(&rig);
    rig_uninit(&rig);
    setup(&rig, 0);
    test_mld(&rig);
    test_bad_mld(&rig);
    rig_uninit(&rig);
    setup(&rig, SLUICE_BRIDGE_FLAG_MCAST_NO_UNREGISTERED);
    test_staleness(&rig);
    test_bad_input(&rig);
    rig_uninit(&rig);
    return 0;
}
