/* From a packet to its flow key.
 *
 * A header that is cut short or malformed leaves the fields behind it zero, as Open vSwitch does: the packet still has
 * the key of what came before.  Key members that the packet has no header for are zero.
 *
 * 'in_port' of the key is the datapath port (network byte order); who enters a bridge replaces it by the OpenFlow port.
 * 'skb_priority', 'pkt_mark' and what is in its metadata come from the packet.  'vlan_limit' is how many VLAN tags are looked into, 0 to 2; the
 * tag beyond is an Ethernet type like any other (Open_vSwitch other_config:vlan-limit; its default is 1).
 *
 * These functions also set the packet's offsets and layer types, which rewriting needs. */
#ifndef PACKET_PARSE_H
#define PACKET_PARSE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "packet/packet.h"
#include "sluice/flow_key.h"

/* Words of the key that parsing may write: those below this one.  They fit one 64-bit map. */
#define PACKET_KEY_WORDS SLUICE_KEY_OPTIONS_WORD
_Static_assert(PACKET_KEY_WORDS < 64, "words that come from a packet fit one map");

/* Fills the whole of 'key'. */
void packet_parse(struct packet *packet, uint32_t vlan_limit, struct flow_key *key);

/* Fills 'keys' for 'n' packets (at most PACKET_BATCH_MAX) and tells in 'maps' which words of each are other than
 * zero (exactly: equal keys have equal maps); bit i stands for word i, all below PACKET_KEY_WORDS, but that bit
 * PACKET_KEY_WORDS stands for all words of a tunnel's options.
 *
 * 'maps' goes in and out: on entry keys[i] must be zero outside of the words in maps[i].  A worker zeroes its arrays of
 * keys and maps once and passes them again and again; so only words that differ in use are touched. */
void packet_parse_burst(struct packet *const *packets, uint32_t n, uint32_t vlan_limit, struct flow_key *keys,
                        uint64_t *maps);

/* Whether 'n' packets, as ports receive them, are alike: of the key's 'eth_type' (network order), without tag, label or
 * metadata, no fragments, nothing for a device to complete.  False, too, where that takes more than a glance.  Does not
 * parse.  Adds the packets' bytes to '*n_bytes' and the TCP flags, in host order, to '*tcp_flags'. */
bool packet_burst_is_alike(struct packet *const *packets, uint32_t n, uint16_t eth_type, uint64_t *n_bytes,
                           uint16_t *tcp_flags);

#endif
