/* Finds TCP segments of a batch that follow one another and may leave as one super-frame, which the device or the
 * receiver takes for less than its parts.
 *
 * Only segments whose checksum is still to be done are joined: nothing that was damaged is made good that way. */
#ifndef PORT_COALESCE_H
#define PORT_COALESCE_H 1

#include <stdint.h>

struct packet;

/* Ethernet with two tags, IPv6 without and IPv4 with options, TCP with options. */
#define COALESCE_HEADER_MAX 142u

/* A super-frame: 'header', then what is behind 'header_size' of each of the packets. */
struct coalesced {
    uint32_t n; /* Packets of it; 1: it is the packet as it is, and nothing else here is set. */
    uint32_t header_size;
    uint32_t size; /* Bytes of the whole. */
    uint16_t gso_size;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint8_t gso_type;
    uint8_t header[COALESCE_HEADER_MAX];
};

/* Joins the first of 'n' parsed packets (1 at least) with as many that follow it as may be. */
void coalesce(struct packet *const *packets, uint32_t n, struct coalesced *joined);

#endif
