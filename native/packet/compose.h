/* From a flow key to a packet: what `ovs-ofctl compose-packet`, netdev-dummy/receive with a flow, and
 * `ofproto/trace --generate` make.
 *
 * Ethernet with up to two tags, ARP, IPv4 and IPv6 with TCP, UDP, SCTP, ICMP, ICMPv6 (neighbour discovery with its
 * options) or IGMP, and MPLS.  UDP, TCP without SYN, FIN or RST, and ICMP echoes carry 64 bytes that count from 0.
 * Checksums are right, but for SCTP's, which is 0 as in Open vSwitch.  IPv6 fragments have no fragment header. */
#ifndef PACKET_COMPOSE_H
#define PACKET_COMPOSE_H 1

#include "packet/packet.h"
#include "sluice/flow_key.h"

/* The longest frame that is made. */
#define PACKET_COMPOSE_SIZE_MAX 512

/* Writes the frame into 'packet', at its 'data', whose room behind must be PACKET_COMPOSE_SIZE_MAX bytes at least, and
 * sets its 'size' and metadata; the packet is parsed afterwards, with two tags.  Any thread. */
void packet_compose(struct packet *packet, const struct flow_key *key);

struct packet_payload {
    const uint8_t *bytes;
    uint32_t size;
};

/* As packet_compose(), but with 'payload', if it is not null, in place of the 64 bytes.  If 'size' is not 0, zeros are
 * added that make a frame of 'size' bytes, and without 'payload' they are all that there is of it.  There must be room for
 * PACKET_COMPOSE_SIZE_MAX bytes with the payload, and for 'size' bytes, which are at most PACKET_LARGE_SIZE. */
void packet_compose_sized(struct packet *packet, const struct flow_key *key, const struct packet_payload *payload,
                          uint32_t size);

#endif
