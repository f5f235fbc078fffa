/* Hashes of a packet's flow, to spread flows over buckets or links: multipath, bundle, groups, the datapath's hash action.
 *
 * The values are those of Open vSwitch, because people compute from them where a flow goes and expect it to stay there.
 * Pure; any thread. */
#ifndef PACKET_FLOW_HASH_H
#define PACKET_FLOW_HASH_H 1

#include <stdbool.h>
#include <stdint.h>

#include "packet/packet.h"
#include "sluice/flow_key.h"

/* Which fields, as NXAST_MULTIPATH and NXAST_BUNDLE number them. */
enum hash_fields {
    HASH_ETH_SRC,
    HASH_SYMMETRIC_L4,
    HASH_SYMMETRIC_L3L4,
    HASH_SYMMETRIC_L3L4_UDP,
    HASH_NW_SRC,
    HASH_NW_DST,
    HASH_SYMMETRIC_L3,
    HASH_FIELDS_COUNT,
};

/* The hash of the fields of 'key'. */
uint32_t flow_hash(const struct flow_key *key, enum hash_fields fields, uint32_t basis);

/* Whether the ports take part in symmetric_l3l4 of the IP packet of 'key'; with UDP's if 'udp'. */
bool flow_hash_has_ports(const struct flow_key *key, bool udp);

/* Hash of the addresses, the protocol and, where there are any, the ports or the ICMP type and code. */
uint32_t flow_hash_five_tuple(const struct flow_key *key);

/* The same of a parsed packet, or what the device that received it computed instead. */
uint32_t packet_hash_five_tuple(const struct packet *packet);

/* Makes that hash the packet's, whatever is done to it from here on; one that it has stays. */
void packet_keep_hash(struct packet *packet);

/* The datapath's hash algorithms, of a parsed packet.  sym_l4 is the same for both directions of a connection, and is of
 * the packet as it is, looking behind 'vlan_limit' tags. */
uint32_t packet_hash_l4(const struct packet *packet, uint32_t basis);
uint32_t packet_hash_sym_l4(const struct packet *packet, uint32_t vlan_limit, uint32_t basis);

#endif
