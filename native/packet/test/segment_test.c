#include <stdint.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/compose.h"
#include "packet/headers.h"
#include "packet/parse.h"
#include "packet/segment.h"
#include "packet/test/claim.h"

#define FRAMES_MAX 64

static struct packet_pool *pool;

/* A super-frame with 'payload_size' counting bytes, its checksum partial. */
static struct packet *
make_super_frame(uint16_t eth_type, uint8_t proto, uint32_t payload_size, bool tagged)
{
    struct flow_key key;
    struct packet *packet = packet_alloc(pool, 60000);
    memset(&key, 0, sizeof key);
    key.eth_type = be16(eth_type);
    key.vlan0_tpid = tagged ? be16(ETH_TYPE_VLAN) : 0;
    key.vlan0_tci = tagged ? be16(0x1005) : 0;
    key.ip_proto = proto;
    key.ip_ttl = 64;
    key.tp_src = be16(1000);
    key.tp_dst = be16(2000);
    key.tcp_flags = be16(0x010 | TCP_PSH | TCP_CWR);
    packet_compose(packet, &key);

    /* The composed payload has 64 bytes; the frame grows from there. */
    uint32_t header_size = packet->size - 64;
    for (uint32_t i = 0; i < payload_size; i++) {
        packet->data[header_size + i] = (uint8_t) (i * 7 + i / 256);
    }
    packet->size = header_size + payload_size;
    uint8_t *ip = packet->data + packet->l3_ofs;
    uint32_t l3_size = packet->size - packet->l3_ofs;
    if (eth_type == ETH_TYPE_IPV4) {
        put_be16(ip + 2, (uint16_t) l3_size);
        put_be16(ip + 4, 0xfffe);
        put_raw16(ip + 10, 0);
        put_raw16(ip + 10, checksum(ip, IPV4_SIZE));
    } else {
        put_be16(ip + 4, (uint16_t) (l3_size - IPV6_SIZE));
    }
    packet_parse(packet, 2, &key);
    if (proto == PROTO_TCP) {
        put_be32(packet->data + packet->l4_ofs + 4, 0xfffffff0);
    } else {
        put_be16(packet->data + packet->l4_ofs + 4, (uint16_t) packet->l4_size);
    }
    packet->flags |= PACKET_CSUM_PARTIAL;
    packet->csum_start = packet->l4_ofs;
    packet->csum_offset = proto == PROTO_TCP ? 16 : 6;
    put_raw16(packet->data + packet->l4_ofs + packet->csum_offset,
              checksum_fold(checksum_pseudo(packet, proto, packet->l4_size)));
    return packet;
}

static uint32_t
segment(struct packet *packet, struct packet **segments)
{
    struct packet_segmenter segmenter;
    uint32_t n = 0, n_more;
    packet_segment_begin(&segmenter, pool, packet);
    while ((n_more = packet_segment_next(&segmenter, segments + n, 5)) > 0) {
        n += n_more;
        CHECK(n <= FRAMES_MAX);
    }
    CHECK(packet_segment_done(&segmenter));
    packet_segment_end(&segmenter);
    return n;
}

/* What any segment must be. */
static void
check_segment(struct packet *packet, uint32_t index, uint32_t n, uint32_t header_size, uint32_t first, bool tcp)
{
    struct flow_key key;
    const uint8_t *l4 = packet->data + packet->l4_ofs;
    CHECK(!packet_has_offload(packet) && packet->in_port == 3 && packet->l4_size <= packet->size);
    packet_parse(packet, 2, &key);
    CHECK(packet->l4_ofs + packet->l4_size == packet->size && packet_checksum_ok(packet));
    for (uint32_t i = 0; i < packet->size - header_size; i++) {
        CHECK(packet->data[header_size + i] == (uint8_t) ((first + i) * 7 + (first + i) / 256));
    }
    if (packet->l3_type == PACKET_L3_IPV4) {
        CHECK(get_be16(packet->data + packet->l3_ofs + 4) == (uint16_t) (0xfffe + index));
    }
    if (tcp) {
        CHECK(get_be32(l4 + 4) == 0xfffffff0 + first);
        CHECK(!(l4[13] & TCP_PSH) == (index + 1 < n) && !(l4[13] & TCP_CWR) == (index > 0));
    } else {
        CHECK(get_be16(l4 + 4) == packet->l4_size);
    }
}

static void
test_segments(uint16_t eth_type, uint8_t proto, uint8_t gso_type, const char *text)
{
    static const uint32_t sizes[] = { 1, 999, 1000, 1001, 2000, 29500 };
    bool tcp = proto == PROTO_TCP;
    for (uint32_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        struct packet *segments[FRAMES_MAX];
        uint32_t size = sizes[i / 2];
        struct packet *packet = make_super_frame(eth_type, proto, size, i & 1);
        uint32_t header_size = packet->size - size;
        packet->in_port = 3;
        packet->gso_type = gso_type;
        packet->gso_size = 1000;
        uint32_t n = segment(packet, segments);
        CHECK(n == (size + 999) / 1000);
        for (uint32_t j = 0; j < n; j++) {
            check_segment(segments[j], j, n, header_size, j * 1000, tcp);
        }
        packet_release_burst(segments, n);
    }
    claim(text);
}

enum outer {
    OUTER_VXLAN,
    OUTER_VXLAN_CSUM,
    OUTER_GRE,
    OUTER_GRE_CSUM,
    OUTER_IP, /* The inner packet without its Ethernet header. */
    N_OUTER
};

/* Puts the headers of a tunnel before the frame, whose offsets must then be parsed anew.  Returns their size. */
static uint32_t
wrap(struct packet *packet, enum outer outer, bool is_ipv6, bool inner_is_ipv6)
{
    static const uint32_t l4_sizes[N_OUTER] = { UDP_SIZE + 8, UDP_SIZE + 8, GRE_SIZE, GRE_SIZE + 4, 0 };
    uint32_t ip_size = is_ipv6 ? IPV6_SIZE : IPV4_SIZE;
    uint8_t proto = outer <= OUTER_VXLAN_CSUM ? PROTO_UDP
                    : outer <= OUTER_GRE_CSUM ? PROTO_GRE
                    : inner_is_ipv6           ? 41
                                              : 4;

    if (outer == OUTER_IP) {
        packet_close_gap(packet, 0, ETH_SIZE);
    }
    uint32_t inner_size = packet->size;
    uint32_t size = ETH_SIZE + ip_size + l4_sizes[outer];
    CHECK(packet_open_gap(packet, 0, size));
    memset(packet->data, 0, size);
    put_be16(packet->data + 12, is_ipv6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4);
    uint8_t *ip = packet->data + ETH_SIZE;
    uint8_t *l4 = ip + ip_size;
    ip[0] = is_ipv6 ? 0x60 : 0x45;
    ip[is_ipv6 ? 6 : 9] = proto;
    ip[is_ipv6 ? 7 : 8] = 64;
    put_be16(ip + (is_ipv6 ? 4 : 2), (uint16_t) ((is_ipv6 ? 0 : ip_size) + l4_sizes[outer] + inner_size));
    if (!is_ipv6) {
        put_be16(ip + 4, 0xfffe);
        put_raw16(ip + 10, checksum(ip, ip_size));
    }
    if (proto == PROTO_UDP) {
        put_be16(l4 + 2, 4789);
        put_be16(l4 + 4, (uint16_t) (l4_sizes[outer] + inner_size));
        put_be16(l4 + 6, outer == OUTER_VXLAN_CSUM ? 0x1234 : 0);
        l4[UDP_SIZE] = 8;
    } else if (proto == PROTO_GRE) {
        put_be16(l4, outer == OUTER_GRE_CSUM ? GRE_CSUM : 0);
        put_be16(l4 + 2, ETH_TYPE_TEB);
    }
    return size;
}

static void
check_outer(struct packet *packet, enum outer outer, uint32_t index)
{
    struct flow_key key;

    packet_parse(packet, 2, &key);
    const uint8_t *l4 = packet->data + packet->l4_ofs;
    CHECK(packet->l4_ofs + packet->l4_size == packet->size);
    /* Tunnels over IPv6 may do without, too (RFC 6935); nothing else may. */
    CHECK(packet_checksum_ok(packet) || (packet->l3_type == PACKET_L3_IPV6 && outer == OUTER_VXLAN));
    if (packet->l3_type == PACKET_L3_IPV4) {
        CHECK(get_be16(packet->data + packet->l3_ofs + 4) == (uint16_t) (0xfffe + index));
    }
    if (outer <= OUTER_VXLAN_CSUM) {
        CHECK(get_be16(l4 + 4) == packet->l4_size && !get_raw16(l4 + 6) == (outer == OUTER_VXLAN));
    } else if (outer == OUTER_GRE_CSUM) {
        CHECK(!checksum(l4, packet->l4_size));
    }
}

static void
test_tunnel(enum outer outer, bool is_ipv6, uint16_t inner_type, uint8_t proto)
{
    static const uint32_t sizes[] = { 1, 999, 1000, 1001, 29500 };

    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct packet *segments[FRAMES_MAX];
        struct flow_key key;
        struct packet *packet = make_super_frame(inner_type, proto, sizes[i], false);
        uint32_t inner_header_size = packet->size - sizes[i] - (outer == OUTER_IP ? ETH_SIZE : 0);
        uint32_t outer_size = wrap(packet, outer, is_ipv6, inner_type == ETH_TYPE_IPV6);
        packet->gso_type = proto == PROTO_UDP            ? PACKET_GSO_UDP_L4
                           : inner_type == ETH_TYPE_IPV6 ? PACKET_GSO_TCPV6 | PACKET_GSO_ECN
                                                         : PACKET_GSO_TCPV4 | PACKET_GSO_ECN;
        packet->gso_size = 1000;
        packet->in_port = 3;
        packet_parse(packet, 2, &key);
        CHECK(packet_has_inner_offload(packet));
        CHECK(packet_segment_size(packet) == outer_size + inner_header_size + (sizes[i] < 1000 ? sizes[i] : 1000));
        uint32_t n = segment(packet, segments);
        CHECK(n == (sizes[i] + 999) / 1000);
        for (uint32_t j = 0; j < n; j++) {
            CHECK(segments[j]->in_port == 3);
            check_outer(segments[j], outer, j);
            packet_close_gap(segments[j], 0, outer_size);
            packet_reset(segments[j]);
            segments[j]->in_port = 3;
            if (outer == OUTER_IP) {
                segments[j]->bare_type = inner_type;
            }
            packet_parse(segments[j], 2, &key);
            check_segment(segments[j], j, n, inner_header_size, j * 1000, proto == PROTO_TCP);
        }
        packet_release_burst(segments, n);
    }
}

static void
test_tunnels(void)
{
    for (uint32_t outer = 0; outer < N_OUTER; outer++) {
        for (uint32_t versions = 0; versions < 4; versions++) {
            uint16_t inner_type = versions & 1 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4;
            test_tunnel(outer, versions & 2, inner_type, PROTO_TCP);
            test_tunnel(outer, versions & 2, inner_type, PROTO_UDP);
        }
    }
    claim("TCP and UDP inside tunnels are cut into segments, each with headers of the tunnel");
}

static void
test_sequenced_tunnel(void)
{
    struct packet *segments[FRAMES_MAX];
    struct flow_key key;
    struct packet *packet = make_super_frame(ETH_TYPE_IPV4, PROTO_TCP, 5000, false);

    wrap(packet, OUTER_GRE_CSUM, false, false);
    put_be16(packet->data + ETH_SIZE + IPV4_SIZE, GRE_SEQ);
    packet->gso_type = PACKET_GSO_TCPV4;
    packet->gso_size = 1000;
    packet_parse(packet, 2, &key);
    CHECK(segment(packet, segments) == 1 && segments[0] == packet);
    packet_release(packet);
    claim("a tunnel whose packets are numbered is not cut");
}

static void
test_no_gso(void)
{
    struct packet *packets[FRAMES_MAX];
    struct packet *packet = make_super_frame(ETH_TYPE_IPV4, PROTO_UDP, 333, false);
    CHECK(packet_has_offload(packet));
    CHECK(segment(packet, packets) == 1 && packets[0] == packet && !packet_has_offload(packet));
    CHECK(packet_checksum_ok(packet));
    packet_release(packet);
    claim("a packet without GSO comes out as itself with its checksum complete");
}

static void
test_lies(void)
{
    /* A device may claim anything: no read or write may leave the packet. */
    uint64_t state = 1;
    for (uint32_t i = 0; i < 3000; i++) {
        struct packet *packets[FRAMES_MAX];
        struct packet_segmenter segmenter;
        struct packet *packet = make_super_frame(i & 1 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6, PROTO_TCP, 500, false);
        packet->gso_type = (uint8_t) random_next(&state);
        packet->gso_size = (uint16_t) (random_next(&state) % 3 ? random_next(&state) % 50 : 0);
        packet->csum_start = (uint16_t) (random_next(&state) % 600);
        packet->csum_offset = (uint16_t) (random_next(&state) % 40);
        packet->data[packet->l4_ofs + 12] = (uint8_t) random_next(&state);
        packet_segment_begin(&segmenter, pool, packet);
        uint32_t n = packet_segment_next(&segmenter, packets, FRAMES_MAX);
        packet_release_burst(packets, n);
        packet_segment_end(&segmenter);
    }
    claim("wrong offload descriptions are survived");
}

static void
test_dry_pool(void)
{
    struct packet *packets[512];
    struct packet_segmenter segmenter;
    struct packet *packet = make_super_frame(ETH_TYPE_IPV4, PROTO_TCP, 5000, false);
    packet->gso_type = PACKET_GSO_TCPV4;
    packet->gso_size = 1000;
    uint32_t n = packet_alloc_burst(pool, 64, packets, 512);
    packet_release(packets[--n]);
    packet_segment_begin(&segmenter, pool, packet);
    CHECK(packet_segment_next(&segmenter, packets + n, 32) == 1);
    CHECK(packet_segment_next(&segmenter, packets + n + 1, 32) == 0 && !packet_segment_done(&segmenter));
    packet_segment_end(&segmenter);
    packet_release_burst(packets, n + 1);
    claim("a dry pool ends segmentation early, and it says so");
}

int
main(void)
{
    const struct packet_pool_options options = { .n_small = 128, .n_large = 4 };
    CHECK(!packet_pool_create(&options, &pool));
    test_segments(ETH_TYPE_IPV4, PROTO_TCP, PACKET_GSO_TCPV4 | PACKET_GSO_ECN, "TCP over IPv4 is cut into segments");
    test_segments(ETH_TYPE_IPV6, PROTO_TCP, PACKET_GSO_TCPV6 | PACKET_GSO_ECN, "TCP over IPv6 is cut into segments");
    test_segments(ETH_TYPE_IPV4, PROTO_UDP, PACKET_GSO_UDP_L4, "UDP over IPv4 is cut into datagrams");
    test_segments(ETH_TYPE_IPV6, PROTO_UDP, PACKET_GSO_UDP_L4, "UDP over IPv6 is cut into datagrams");
    test_tunnels();
    test_sequenced_tunnel();
    test_no_gso();
    test_lies();
    test_dry_pool();
    packet_pool_destroy(pool);
    return 0;
}
