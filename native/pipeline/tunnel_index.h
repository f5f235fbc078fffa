/* Which tunnel port a packet comes out of.
 *
 * Several OpenFlow ports share a datapath port.  Which one receives a packet is told by its tunnel key and addresses:
 * a port that demands a key goes before one that takes any, then one with a remote address before one that takes any,
 * then one with a local address, one that does not care, and one that leaves it to the flow table.
 *
 * An index is part of a topology: immutable, made and freed with it. */
#ifndef SLUICE_PIPELINE_TUNNEL_INDEX_H
#define SLUICE_PIPELINE_TUNNEL_INDEX_H 1

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/config.h"
#include "sluice/flow_key.h"

struct tunnel_index;

/* The tunnels of 'n' views.  Null when out of memory. */
struct tunnel_index *tunnel_index_create(const struct bridge_view *const *views, uint32_t n);

/* Null is fine. */
void tunnel_index_destroy(struct tunnel_index *index);

/* The port that receives a packet with 'key', whose in_port is a datapath port; null if there is none. */
const struct dp_port_ref *tunnel_index_find(const struct tunnel_index *index, const struct flow_key *key);

/* A tunnel that listens on the datapath port for packets of 'ip_proto' to 'dst_port' (0 for protocols without ports);
 * null if there is none. */
const struct ofport *tunnel_index_listener(const struct tunnel_index *index, uint8_t ip_proto, uint16_t dst_port);

/* Whether any tunnel listens. */
bool tunnel_index_listens(const struct tunnel_index *index);

/* Whether the packet came out of a tunnel. */
static inline bool
key_is_tunneled(const struct flow_key *key)
{
    static const uint8_t none[16];
    return key->tun_dst || __builtin_memcmp(key->tun_ipv6_dst, none, sizeof none);
}

#endif
