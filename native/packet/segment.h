/* Does in software what an output port cannot: completes checksums and cuts super-frames (GSO) into segments.
 *
 * TCP over IPv4 and IPv6, and UDP (each segment a datagram); and TCP within a tunnel of one level, as the kernel's own tunnel
 * devices hand it out: the checksum to be completed is then the inner one, and tells where the inner TCP header is.
 * The packets must have been parsed. */
#ifndef PACKET_SEGMENT_H
#define PACKET_SEGMENT_H 1

#include <stdbool.h>
#include <stdint.h>

#include "packet/packet.h"

/* Whether the packet must be segmented or completed before a port without offloads may send it. */
static inline bool
packet_has_offload(const struct packet *packet)
{
    return packet->gso_type != PACKET_GSO_NONE || packet->flags & PACKET_CSUM_PARTIAL;
}

/* Whether what is to be done concerns TCP or UDP inside a tunnel, whose headers the packet still has.  Devices that take
 * super-frames do not take those: virtio-net's header has no word for them. */
static inline bool
packet_has_inner_offload(const struct packet *packet)
{
    return packet->flags & PACKET_CSUM_PARTIAL && packet->l4_ofs != PACKET_NO_OFFSET
           && packet->csum_start > packet->l4_ofs;
}

/* Bytes of the longest frame that the packet is sent as: of a segment if it is to be cut, else its own. */
uint32_t packet_segment_size(const struct packet *packet);

/* Walks over the segments of one packet. */
struct packet_segmenter {
    struct packet *packet; /* Owned until packet_segment_end(). */
    struct packet_pool *pool;
    uint32_t header_size; /* Bytes repeated before each segment's payload. */
    uint32_t next;        /* Payload bytes already sent. */
    uint32_t payload_size;
    uint32_t index;  /* Of the next segment. */
    uint32_t l3_ofs; /* Of the headers that each segment gets its own of: with a tunnel, the inner ones. */
    uint32_t l4_ofs;
    uint8_t l3_type; /* enum packet_l3 */
    uint8_t l4_type; /* enum packet_l4 */
    bool is_tunneled;
};

/* Begins.  Takes 'packet'.  Segments come from 'pool'. */
void packet_segment_begin(struct packet_segmenter *segmenter, struct packet_pool *pool, struct packet *packet);

/* Fills 'packets' with up to 'n' segments (finished: no offloads left), which the caller owns, and returns how many.
 * 0: no more, or the pool is dry (packet_segment_done() tells which).  A packet without GSO comes out as itself, with
 * its checksum complete. */
uint32_t packet_segment_next(struct packet_segmenter *segmenter, struct packet **packets, uint32_t n);

/* Whether all segments came out. */
bool packet_segment_done(const struct packet_segmenter *segmenter);

/* Ends; releases what is left of the packet. */
void packet_segment_end(struct packet_segmenter *segmenter);

#endif
