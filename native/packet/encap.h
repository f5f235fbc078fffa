/* Headers in front of everything else: Ethernet and the network service header (RFC 8300).
 *
 * Packets must have been parsed.  Offsets stay right, except that what is behind a popped NSH is not known until the
 * packet is parsed again.  Any thread that owns the packet. */
#ifndef PACKET_ENCAP_H
#define PACKET_ENCAP_H 1

#include <stdbool.h>
#include <stdint.h>

#include "packet/packet.h"

/* Puts an Ethernet header with these addresses before a packet that has none; another one is left as it is.
 * Returns false if there is no headroom; the packet is unchanged. */
bool packet_push_eth(struct packet *packet, const uint8_t src[6], const uint8_t dst[6]);

/* Puts an MPLS label stack entry, in network order, before all of the packet, which is then one of 'eth_type'.  Returns
 * false if there is no headroom; the packet is unchanged. */
bool packet_encap_mpls(struct packet *packet, uint16_t eth_type, uint32_t lse);

/* Removes the Ethernet header and VLAN tags, if there are any: the packet is then one of its Ethernet type. */
void packet_pop_eth(struct packet *packet);

/* Puts the 'size' bytes of an NSH before the packet: before its Ethernet header if it has one.  The header's next
 * protocol follows from the packet.  The packet must not be one to be segmented.
 * Returns false if there is no headroom or NSH cannot carry such a packet; the packet is unchanged. */
bool packet_push_nsh(struct packet *packet, const void *header, uint32_t size);

/* Removes the NSH that the packet begins with; the packet must be parsed again.  Returns false, and changes nothing, if
 * it does not begin with one or if what follows is neither Ethernet, IP nor NSH. */
bool packet_pop_nsh(struct packet *packet);

#endif
