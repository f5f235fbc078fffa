#include "packet/segment.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"

/* Where the payload of a super-frame begins, or 0 if the packet is not one that we can cut. */
static uint32_t
payload_offset(const struct packet *packet)
{
    const uint8_t *l4 = packet->data + packet->l4_ofs;
    uint32_t header_size;
    if (!packet->gso_size || packet->l4_ofs + packet->l4_size > packet->size) {
        return 0;
    }
    switch (packet->gso_type & ~PACKET_GSO_ECN) {
    case PACKET_GSO_TCPV4:
    case PACKET_GSO_TCPV6:
        header_size = packet->l4_type == PACKET_L4_TCP ? 4u * (l4[12] >> 4) : 0;
        return header_size >= TCP_SIZE && header_size <= packet->l4_size ? packet->l4_ofs + header_size : 0;
    case PACKET_GSO_UDP_L4:
        return packet->l4_type == PACKET_L4_UDP ? packet->l4_ofs + UDP_SIZE : 0;
    default:
        return 0;
    }
}

uint32_t
packet_segment_size(const struct packet *packet)
{
    uint32_t header_size = packet->gso_type != PACKET_GSO_NONE ? payload_offset(packet) : 0;
    uint32_t size = header_size + packet->gso_size;
    return header_size && size < packet->size ? size : packet->size;
}

void
packet_segment_begin(struct packet_segmenter *segmenter, struct packet_pool *pool, struct packet *packet)
{
    uint32_t header_size = packet->gso_type != PACKET_GSO_NONE ? payload_offset(packet) : 0;
    *segmenter = (struct packet_segmenter){
        .packet = packet,
        .pool = pool,
        .header_size = header_size,
        .payload_size = header_size ? packet->l4_ofs + packet->l4_size - header_size : 0,
    };
}

/* Gives a segment its own sequence number, flags and lengths. */
static void
adjust_headers(const struct packet_segmenter *segmenter, struct packet *segment, bool last)
{
    uint8_t *ip = segment->data + segment->l3_ofs;
    uint8_t *l4 = segment->data + segment->l4_ofs;
    uint32_t l3_size = segment->size - segment->l3_ofs;
    if (segment->l3_type == PACKET_L3_IPV4) {
        put_be16(ip + 2, (uint16_t) l3_size);
        put_be16(ip + 4, (uint16_t) (get_be16(ip + 4) + segmenter->index));
    } else {
        put_be16(ip + 4, (uint16_t) (l3_size - IPV6_SIZE));
    }
    if (segment->l4_type == PACKET_L4_UDP) {
        put_be16(l4 + 4, (uint16_t) segment->l4_size);
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
    packet_checksum_fill(segment);
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
