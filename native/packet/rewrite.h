/* Changes headers of packets, and keeps checksums right, complete or partial.
 *
 * Packets must have been parsed; their offsets stay right.  A field whose header a packet does not have is left alone:
 * so it is safe to apply any rewrite to any packet. */
#ifndef PACKET_REWRITE_H
#define PACKET_REWRITE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "packet/match.h"
#include "packet/packet.h"

/* Whether every masked bit of 'match' is one that packet_rewrite() can write: Ethernet addresses, VLAN tags, the MPLS
 * entries, IP addresses, TOS, TTL, flow label, ARP and ND fields, NSH's fields, L4 ports, ICMP type and code,
 * skb_priority and pkt_mark. */
bool packet_rewrite_check(const struct match *match);

/* Sets the masked bits of 'match' in each of 'n' packets.  For VLANs: a tag must be there already (push first). */
void packet_rewrite(struct packet *const *packets, uint32_t n, const struct match *match);

/* Pushes a VLAN tag outside of those that are there.  'tpid' and 'tci' are raw (network byte order).  Bit 0x1000 of
 * 'tci', which in a flow key means "there is a tag", is sent as 0.
 * Returns false if there is no headroom or no Ethernet header; the packet is unchanged. */
bool packet_push_vlan(struct packet *packet, uint16_t tpid, uint16_t tci);

/* Removes the outermost VLAN tag, if there is one. */
void packet_pop_vlan(struct packet *packet);

/* Pushes an MPLS label stack entry, behind VLAN tags and before other entries.  'eth_type', the packet's after that, and
 * 'lse' are raw.  Returns false, with nothing changed, if there is no headroom or no whole Ethernet header. */
bool packet_push_mpls(struct packet *packet, uint16_t eth_type, uint32_t lse);

/* Removes the outermost entry, if there is one.  What is under the last one is only known when the packet is parsed
 * again.  A packet that begins with its label stack is then one of 'eth_type', which may say Ethernet. */
void packet_pop_mpls(struct packet *packet, uint16_t eth_type);

#endif
