/* Hashes of a packet's flow, to spread flows over buckets or links: what the datapath's hash action computes.
 *
 * Packets must have been parsed.  All functions are pure; any thread.  What is not IP hashes to 0, as in Open vSwitch:
 * its packets must not be spread. */
#ifndef PACKET_FLOW_HASH_H
#define PACKET_FLOW_HASH_H 1

#include <stdint.h>

#include "packet/packet.h"

/* Of the IP addresses, the protocol and, for TCP, UDP and SCTP, the ports. */
uint32_t packet_hash_l4(const struct packet *packet, uint32_t basis);

/* The same for both directions of a connection. */
uint32_t packet_hash_sym_l4(const struct packet *packet, uint32_t basis);

#endif
