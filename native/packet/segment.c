#include "packet/segment.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"

/* What a super-frame is made of, where we can cut it. */
struct anatomy {
    uint32_t l4_ofs;  /* Of the header that each segment gets one of. */
    uint32_t l3_ofs;  /* Of the IP header before it. */
    uint32_t payload; /* Where the payload begins.  0: we cannot cut it. */
    bool is_tunneled; /* These headers are inside a tunnel. */
    uint8_t l3_type;  /* enum packet_l3 */
    uint8_t l4_type;  /* enum packet_l4 */
};

static uint8_t
gso_l4_type(const struct packet *packet)
{
    switch (packet->gso_type & ~PACKET_GSO_ECN) {
    case PACKET_GSO_TCPV4:
    case PACKET_GSO_TCPV6:
        return PACKET_L4_TCP;
    case PACKET_GSO_UDP_L4:
        return PACKET_L4_UDP;
    default:
        return PACKET_L4_NONE;
    }
}

/* Finds the IP header that ends at 'l4', behind the outer headers: that whose length reaches to 'end'. */
static bool
find_inner_ip(const struct packet *packet, uint32_t l4, uint32_t end, uint8_t proto, struct anatomy *anatomy)
{
    uint32_t room = l4 - packet->l4_ofs;
    const uint8_t *bytes = packet->data;

    for (uint32_t size = IPV4_SIZE; size <= IPV4_SIZE_MAX && size <= room; size += 4) {
        const uint8_t *ip = bytes + l4 - size;
        if (ip[0] == (0x40 | size / 4) && ip[9] == proto && get_be16(ip + 2) == end - l4 + size) {
            anatomy->l3_type = PACKET_L3_IPV4;
            anatomy->l3_ofs = l4 - size;
            return true;
        }
    }
    const uint8_t *ip = bytes + l4 - IPV6_SIZE;
    anatomy->l3_type = PACKET_L3_IPV6;
    anatomy->l3_ofs = l4 - IPV6_SIZE;
    return room >= IPV6_SIZE && ip[0] >> 4 == 6 && ip[6] == proto && get_be16(ip + 4) == end - l4;
}

/* Whether the outer headers can be given to each segment: a sequence number could not. */
static bool
outer_repeats(const struct packet *packet)
{
    const uint8_t *ip = packet->data + packet->l3_ofs;
    const uint8_t *l4 = packet->data + packet->l4_ofs;

    if (packet->l4_type != PACKET_L4_NONE) {
        return packet->l4_type == PACKET_L4_UDP;
    }
    if (ip[packet->l3_type == PACKET_L3_IPV4 ? 9 : 6] != PROTO_GRE) {
        return true;
    }
    return packet->l4_size >= GRE_SIZE + 4 && !(get_be16(l4) & GRE_SEQ);
}

static struct anatomy
dissect(const struct packet *packet)
{
    struct anatomy anatomy = {
        .l4_ofs = packet->l4_ofs, .l3_ofs = packet->l3_ofs, .l3_type = packet->l3_type, .l4_type = gso_l4_type(packet)
    };
    uint32_t end = packet->l4_ofs + packet->l4_size;

    if (!packet->gso_size || packet->l4_ofs == PACKET_NO_OFFSET || end > packet->size
        || packet->l3_type == PACKET_L3_NONE) {
        return anatomy;
    }
    anatomy.is_tunneled = packet_has_inner_offload(packet);
    if (!anatomy.is_tunneled) {
        if (anatomy.l4_type != packet->l4_type) {
            return anatomy;
        }
    } else {
        anatomy.l4_ofs = packet->csum_start;
        uint8_t proto = anatomy.l4_type == PACKET_L4_TCP ? PROTO_TCP : PROTO_UDP;
        uint32_t least = anatomy.l4_type == PACKET_L4_TCP ? TCP_SIZE : UDP_SIZE;
        if (anatomy.l4_ofs + least > end || !outer_repeats(packet)
            || !find_inner_ip(packet, anatomy.l4_ofs, end, proto, &anatomy)) {
            return anatomy;
        }
    }
    if (anatomy.l4_type == PACKET_L4_UDP) {
        anatomy.payload = anatomy.l4_ofs + UDP_SIZE;
    } else if (anatomy.l4_type == PACKET_L4_TCP) {
        uint32_t header_size = 4u * (packet->data[anatomy.l4_ofs + 12] >> 4);
        bool is_whole = header_size >= TCP_SIZE && anatomy.l4_ofs + header_size <= end;
        anatomy.payload = is_whole ? anatomy.l4_ofs + header_size : 0;
    }
    return anatomy;
}

/* Where the payload of a super-frame begins, or 0 if the packet is not one that we can cut. */
static uint32_t
payload_offset(const struct packet *packet)
{
    return packet->gso_type != PACKET_GSO_NONE ? dissect(packet).payload : 0;
}

uint32_t
packet_segment_size(const struct packet *packet)
{
    uint32_t header_size = payload_offset(packet);
    uint32_t size = header_size + packet->gso_size;
    return header_size && size < packet->size ? size : packet->size;
}

void
packet_segment_begin(struct packet_segmenter *segmenter, struct packet_pool *pool, struct packet *packet)
{
    struct anatomy anatomy = packet->gso_type != PACKET_GSO_NONE ? dissect(packet) : (struct anatomy){ .payload = 0 };

    *segmenter = (struct packet_segmenter){
        .packet = packet,
        .pool = pool,
        .header_size = anatomy.payload,
        .payload_size = anatomy.payload ? packet->l4_ofs + packet->l4_size - anatomy.payload : 0,
        .l3_ofs = anatomy.l3_ofs,
        .l4_ofs = anatomy.l4_ofs,
        .l3_type = anatomy.l3_type,
        .l4_type = anatomy.l4_type,
        .is_tunneled = anatomy.is_tunneled,
    };
}

/* Gives the IP header at 'l3_ofs', which reaches to the end of the segment, its own length and identification. */
static void
adjust_ip(const struct packet_segmenter *segmenter, struct packet *segment, uint8_t l3_type, uint32_t l3_ofs)
{
    uint8_t *ip = segment->data + l3_ofs;
    uint32_t size = segment->size - l3_ofs;

    if (l3_type == PACKET_L3_IPV4) {
        put_be16(ip + 2, (uint16_t) size);
        put_be16(ip + 4, (uint16_t) (get_be16(ip + 4) + segmenter->index));
    } else {
        put_be16(ip + 4, (uint16_t) (size - IPV6_SIZE));
    }
}

/* Gives a segment its own sequence number, flags and lengths. */
static void
adjust_headers(const struct packet_segmenter *segmenter, struct packet *segment, bool last)
{
    uint8_t *l4 = segment->data + segmenter->l4_ofs;

    adjust_ip(segmenter, segment, segmenter->l3_type, segmenter->l3_ofs);
    if (segmenter->l4_type == PACKET_L4_UDP) {
        put_be16(l4 + 4, (uint16_t) (segment->size - segmenter->l4_ofs));
        return;
    }
    put_be32(l4 + 4, get_be32(l4 + 4) + segmenter->next);
    if (!last) {
        l4[13] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
    }
    if (segmenter->index && segmenter->packet->gso_type & PACKET_GSO_ECN) {
        l4[13] &= (uint8_t) ~TCP_CWR;
    }
}

static void
fill_inner_checksums(const struct packet_segmenter *segmenter, struct packet *segment)
{
    struct packet inner;

    packet_wrap(&inner, segment->data, segment->size, 0, segment->size);
    inner.l3_ofs = (uint16_t) segmenter->l3_ofs;
    inner.l4_ofs = (uint16_t) segmenter->l4_ofs;
    inner.l3_type = segmenter->l3_type;
    inner.l4_type = segmenter->l4_type;
    inner.l4_size = segment->size - segmenter->l4_ofs;
    packet_checksum_fill(&inner);
}

/* Gives the headers of the tunnel their own lengths and checksums; the inner ones are done.  A checksum that is not there
 * stays away. */
static void
adjust_outer(const struct packet_segmenter *segmenter, struct packet *segment)
{
    uint8_t *l4 = segment->data + segment->l4_ofs;
    uint8_t l4_type = segment->l4_type;

    adjust_ip(segmenter, segment, segment->l3_type, segment->l3_ofs);
    if (l4_type == PACKET_L4_UDP) {
        put_be16(l4 + 4, (uint16_t) segment->l4_size);
        segment->l4_type = get_raw16(l4 + 6) ? PACKET_L4_UDP : PACKET_L4_NONE;
    } else if (segment->data[segment->l3_ofs + (segment->l3_type == PACKET_L3_IPV4 ? 9 : 6)] == PROTO_GRE
               && get_be16(l4) & GRE_CSUM) {
        put_raw16(l4 + GRE_SIZE, 0);
        put_raw16(l4 + GRE_SIZE, checksum(l4, segment->l4_size));
    }
    packet_checksum_fill(segment);
    segment->l4_type = l4_type;
}

/* The next segment, or null if the pool is dry. */
static struct packet *
make_segment(struct packet_segmenter *segmenter)
{
    const struct packet *packet = segmenter->packet;
    uint32_t left = segmenter->payload_size - segmenter->next;
    uint32_t payload_size = left < packet->gso_size ? left : packet->gso_size;
    struct packet *segment = packet_alloc(segmenter->pool, segmenter->header_size + payload_size);
    if (!segment) {
        return NULL;
    }
    memcpy(segment->data, packet->data, segmenter->header_size);
    memcpy(segment->data + segmenter->header_size, packet->data + segmenter->header_size + segmenter->next,
           payload_size);
    segment->in_port = packet->in_port;
    segment->l2_5_ofs = packet->l2_5_ofs;
    segment->l3_ofs = packet->l3_ofs;
    segment->l4_ofs = packet->l4_ofs;
    segment->l3_type = packet->l3_type;
    segment->l4_type = packet->l4_type;
    segment->flags = packet->flags & (PACKET_HASH_VALID | PACKET_ROUTED);
    segment->hash = packet->hash;
    segment->rx_queue = packet->rx_queue;
    segment->skb_priority = packet->skb_priority;
    segment->pkt_mark = packet->pkt_mark;
    segment->l4_size = segmenter->header_size - packet->l4_ofs + payload_size;

    adjust_headers(segmenter, segment, payload_size == left);
    if (segmenter->is_tunneled) {
        fill_inner_checksums(segmenter, segment);
        adjust_outer(segmenter, segment);
    } else {
        packet_checksum_fill(segment);
    }
    segmenter->next += payload_size;
    segmenter->index++;
    return segment;
}

uint32_t
packet_segment_next(struct packet_segmenter *segmenter, struct packet **packets, uint32_t n)
{
    uint32_t n_made = 0;
    if (!segmenter->packet || !n) {
        return 0;
    }
    if (!segmenter->header_size) {
        packet_checksum_complete(segmenter->packet);
        segmenter->packet->gso_type = PACKET_GSO_NONE;
        segmenter->packet->gso_size = 0;
        packets[0] = segmenter->packet;
        segmenter->packet = NULL;
        return 1;
    }
    while (n_made < n && !packet_segment_done(segmenter)) {
        packets[n_made] = make_segment(segmenter);
        if (!packets[n_made]) {
            break;
        }
        n_made++;
    }
    return n_made;
}

bool
packet_segment_done(const struct packet_segmenter *segmenter)
{
    if (!segmenter->packet) {
        return true;
    }
    /* A super-frame without payload is one segment. */
    return segmenter->header_size && segmenter->index && segmenter->next >= segmenter->payload_size;
}

void
packet_segment_end(struct packet_segmenter *segmenter)
{
    if (segmenter->packet) {
        packet_release(segmenter->packet);
        segmenter->packet = NULL;
    }
}
