/* Internet checksums (RFC 1071, RFC 1624) and SCTP's CRC32c.
 *
 * Checksum fields and the 16-bit words that they are made of are "raw": as they lie in the packet.  One's-complement
 * sums do not care about byte order as long as it is one.  All functions are pure; any thread. */
#ifndef PACKET_CHECKSUM_H
#define PACKET_CHECKSUM_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "packet/packet.h"

/* Adds 'size' bytes to 'sum', the first at an even position.  An odd last byte counts as if a zero followed. */
uint32_t checksum_add(uint32_t sum, const void *bytes, size_t size);

/* Folds a sum into 16 bits, not complemented. */
static inline uint16_t
checksum_fold(uint32_t sum)
{
    sum = (sum & 0xffff) + (sum >> 16);
    sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t) sum;
}

/* The checksum of 'size' bytes: complemented, ready to be stored. */
uint16_t checksum(const void *bytes, size_t size);

/* The checksum field after a covered 16-bit word changed. */
uint16_t checksum_update16(uint16_t field, uint16_t old_word, uint16_t new_word);

/* The checksum field after 'size' covered bytes (even, at an even position) changed. */
uint16_t checksum_update(uint16_t field, const void *old_bytes, const void *new_bytes, size_t size);

/* The sum of the pseudo-header of 'packet' for its L4 header, for 'l4_size' bytes.  'packet' is IPv4 or IPv6 and was
 * parsed; 'proto' is the number that L4's checksum covers.  With a routing header, its last address is used. */
uint32_t checksum_pseudo(const struct packet *packet, uint8_t proto, uint32_t l4_size);

/* CRC32c of SCTP: 'crc' begins as 0; returns the value to store, little-endian. */
uint32_t crc32c(uint32_t crc, const void *bytes, size_t size);

/* Computes the IPv4 header checksum and L4 checksum of a parsed packet anew and stores them; ends PACKET_CSUM_PARTIAL.
 * Fragments get only the IPv4 one.  UDP over IPv4 whose field is 0 gets one too. */
void packet_checksum_fill(struct packet *packet);

/* Whether the checksums of a parsed packet are right: IPv4's header and L4's.  An absent UDP checksum over IPv4, a
 * partial one, and any in a fragment are. */
bool packet_checksum_ok(const struct packet *packet);

/* The same of L4's alone. */
bool packet_l4_checksum_ok(const struct packet *packet);

/* Ends PACKET_CSUM_PARTIAL by summing from 'csum_start' on, as the device would.  Nothing to do without the flag. */
void packet_checksum_complete(struct packet *packet);

#endif
