/* Segments that are joined are, cut again, what they were; and only those are joined that may be. */
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/segment.h"
#include "packet/test/claim.h"
#include "port/coalesce.h"

static struct packet_pool *pool;
static uint64_t seed = 20;

struct shape {
    _Bool is_ipv6;
    uint32_t n_tags;
    uint32_t tcp_size;
    uint32_t payload_size;
    uint16_t gso_size;
};

static void
leave_checksum(struct packet *packet)
{
    packet->flags |= PACKET_CSUM_PARTIAL;
    packet->csum_start = packet->l4_ofs;
    packet->csum_offset = 16;
    put_raw16(packet->data + packet->l4_ofs + 16, checksum_fold(checksum_pseudo(packet, 6, packet->l4_size)));
}

/* A super-frame of TCP with random contents. */
static struct packet *
make_super_frame(const struct shape *shape)
{
    static const uint8_t ipv4[20] = { 0x45, 0, 0, 0, 0x12, 0x34, 0x40, 0, 64, 6, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2 };
    static const uint8_t ipv6[8] = { 0x60, 0, 0, 0, 0, 0, 6, 64 };
    uint32_t l3 = 14 + 4 * shape->n_tags;
    uint32_t l4 = l3 + (shape->is_ipv6 ? 40 : 20);
    struct packet *packet = packet_alloc(pool, l4 + shape->tcp_size + shape->payload_size);
    struct flow_key key;

    CHECK(packet != NULL);
    for (uint32_t i = 0; i < packet->size; i++) {
        packet->data[i] = (uint8_t) random_next(&seed);
    }
    for (uint32_t i = 0; i < shape->n_tags; i++) {
        put_be16(packet->data + 12 + 4 * i, 0x8100);
        packet->data[14 + 4 * i] |= 0x10;
    }
    put_be16(packet->data + l3 - 2, shape->is_ipv6 ? 0x86dd : 0x0800);
    uint8_t *ip = packet->data + l3;
    if (shape->is_ipv6) {
        memcpy(ip, ipv6, sizeof ipv6);
        put_be16(ip + 4, (uint16_t) (packet->size - l4));
    } else {
        memcpy(ip, ipv4, sizeof ipv4);
        put_be16(ip + 2, (uint16_t) (packet->size - l3));
        put_raw16(ip + 10, checksum(ip, 20));
    }
    packet->data[l4 + 12] = (uint8_t) (shape->tcp_size / 4 << 4);
    packet->data[l4 + 13] = 0x10;
    packet_parse(packet, 2, &key);
    CHECK(packet->l4_type == PACKET_L4_TCP && packet->l4_ofs == l4);
    leave_checksum(packet);
    packet->gso_type = shape->is_ipv6 ? PACKET_GSO_TCPV6 : PACKET_GSO_TCPV4;
    packet->gso_size = shape->gso_size;
    return packet;
}

/* Cuts the packet, which it takes; segments have their checksums done. */
static uint32_t
cut(struct packet *packet, struct packet **segments)
{
    struct packet_segmenter segmenter;
    uint32_t n = 0, more;

    packet_segment_begin(&segmenter, pool, packet);
    while ((more = packet_segment_next(&segmenter, segments + n, PACKET_BATCH_MAX)) != 0) {
        n += more;
    }
    CHECK(packet_segment_done(&segmenter));
    packet_segment_end(&segmenter);
    return n;
}

static uint32_t
make_segments(const struct shape *shape, struct packet **segments)
{
    uint32_t n = cut(make_super_frame(shape), segments);

    for (uint32_t i = 0; i < n; i++) {
        struct flow_key key;
        packet_parse(segments[i], 2, &key);
        leave_checksum(segments[i]);
    }
    return n;
}

static struct shape
random_shape(void)
{
    struct shape shape = {
        .is_ipv6 = random_next(&seed) & 1,
        .n_tags = (uint32_t) (random_next(&seed) % 3),
        .tcp_size = 20 + 4 * (uint32_t) (random_next(&seed) % 11),
        .gso_size = (uint16_t) (1 + random_next(&seed) % 1400),
    };
    shape.payload_size = shape.gso_size * (uint32_t) (1 + random_next(&seed) % 20) + 1
                         + (uint32_t) (random_next(&seed) % shape.gso_size);
    return shape;
}

/* What the device makes of the joined packets. */
static struct packet *
joined_packet(struct packet *const *packets, const struct coalesced *joined)
{
    struct packet *whole = packet_alloc(pool, joined->size);
    struct flow_key key;
    uint32_t at = joined->header_size;

    CHECK(whole != NULL);
    memcpy(whole->data, joined->header, joined->header_size);
    for (uint32_t i = 0; i < joined->n; i++) {
        uint32_t size = packets[i]->size - joined->header_size;
        memcpy(whole->data + at, packets[i]->data + joined->header_size, size);
        at += size;
    }
    CHECK(at == joined->size);
    packet_parse(whole, 2, &key);
    CHECK(whole->l4_ofs + whole->l4_size == whole->size);
    whole->flags |= PACKET_CSUM_PARTIAL;
    whole->csum_start = joined->csum_start;
    whole->csum_offset = joined->csum_offset;
    whole->gso_type = joined->gso_type;
    whole->gso_size = joined->gso_size;
    return whole;
}

static void
test_round_trip(void)
{
    for (int round = 0; round < 2000; round++) {
        struct packet *before[64], *after[64];
        struct coalesced joined;
        const struct shape shape = random_shape();
        uint32_t n = make_segments(&shape, before);
        CHECK(n >= 2);
        coalesce(before, n, &joined);
        CHECK(joined.n == n && joined.gso_size == shape.gso_size);
        uint32_t n_after = cut(joined_packet(before, &joined), after);
        CHECK(n_after == n);
        for (uint32_t i = 0; i < n; i++) {
            struct flow_key key;
            packet_parse(after[i], 2, &key);
            CHECK(packet_checksum_ok(after[i]));
            /* A sum of zero has two forms. */
            put_raw16(after[i]->data + after[i]->l4_ofs + 16, 0);
            put_raw16(before[i]->data + before[i]->l4_ofs + 16, 0);
            CHECK(before[i]->size == after[i]->size && memcmp(before[i]->data, after[i]->data, after[i]->size) == 0);
        }
        packet_release_burst(before, n);
        packet_release_burst(after, n);
    }
    claim("joined segments that are cut again are what they were");
}

/* How many of four segments are joined after 'change' was done to the third. */
static uint32_t
joined_after(_Bool is_ipv6, void (*change)(struct packet *third))
{
    const struct shape shape = {
        .is_ipv6 = is_ipv6, .n_tags = 1, .tcp_size = 32, .payload_size = 400, .gso_size = 100
    };
    struct packet *segments[4];
    struct coalesced joined;

    CHECK(make_segments(&shape, segments) == 4);
    change(segments[2]);
    coalesce(segments, 4, &joined);
    packet_release_burst(segments, 4);
    return joined.n;
}

#define CHANGE(NAME, STATEMENT) \
    static void NAME(struct packet *p) \
    { \
        uint8_t *l3 = p->data + p->l3_ofs, *l4 = p->data + p->l4_ofs; \
        (void) l3, (void) l4; \
        STATEMENT; \
    }
CHANGE(nothing, )
CHANGE(checksum_done, packet_checksum_complete(p))
CHANGE(other_host, p->data[5] ^= 1)
CHANGE(other_vlan, p->data[15] ^= 1)
CHANGE(other_tos, l3[1] ^= 4)
CHANGE(other_ttl, l3[8] ^= 1)
CHANGE(other_address, l3[17] ^= 1)
CHANGE(other_port, l4[1] ^= 1)
CHANGE(gap, l4[7] ^= 1)
CHANGE(other_ack, l4[11] ^= 1)
CHANGE(other_window, l4[15] ^= 1)
CHANGE(other_option, l4[31] ^= 1)
CHANGE(fin, l4[13] |= 1)
CHANGE(cwr, l4[13] |= 0x80)
CHANGE(push, l4[13] |= 8)
CHANGE(padded, p->size++)
CHANGE(already_super, p->gso_type = PACKET_GSO_TCPV4)
CHANGE(not_the_device_s, p->csum_start = (uint16_t) (p->csum_start - 2))

static void
test_differences(void)
{
    void (*const others[])(struct packet *) = {
        checksum_done, other_host,       other_vlan, other_tos,    other_ttl,    other_address, other_port,
        gap,           other_ack,        fin,        other_window, other_option, cwr,           padded,
        already_super, not_the_device_s,
    };

    for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
        CHECK(joined_after(is_ipv6, nothing) == 4);
        for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
            CHECK(joined_after(is_ipv6, others[i]) == 2);
        }
        CHECK(joined_after(is_ipv6, push) == 3);
    }
    claim("a segment that differs in what a super-frame cannot tell is not joined, and PSH ends one");
}

static void
test_limits(void)
{
    const struct shape large = { .tcp_size = 20, .payload_size = 63000, .gso_size = 3000 };
    struct packet *segments[64];
    struct coalesced joined;
    uint32_t n = make_segments(&large, segments);

    CHECK(n == 21);
    for (uint32_t i = 0; i < 2; i++) {
        /* Two more that go on where the last ends. */
        segments[n] = packet_clone(pool, segments[n - 1], UINT32_MAX);
        put_be32(segments[n]->data + segments[n]->l4_ofs + 4,
                 get_be32(segments[n - 1]->data + segments[n - 1]->l4_ofs + 4) + 3000);
        n++;
    }
    coalesce(segments, n, &joined);
    CHECK(joined.n == 21 && joined.size == 63000 + 54);
    coalesce(segments, 1, &joined);
    CHECK(joined.n == 1 && joined.size == segments[0]->size);
    packet_release_burst(segments, n);
    claim("a super-frame is an IP packet's length at most");
}

int
main(void)
{
    const struct packet_pool_options options = { .n_small = 128, .n_large = 64 };
    struct packet_pool_stats stats;

    CHECK(packet_pool_create(&options, &pool) == 0);
    test_round_trip();
    test_differences();
    test_limits();
    packet_pool_get_stats(pool, &stats);
    CHECK(stats.n_small_free == 128 && stats.n_large_free == 64);
    packet_pool_destroy(pool);
    return 0;
}
