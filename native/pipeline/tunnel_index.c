#include "pipeline/tunnel_index.h"

#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"

/* What decides.  Without padding, so that it can be compared and hashed as bytes.  Addresses are as the port is
 * configured: 'local' is what packets arrive at. */
struct tunnel_match {
    uint64_t in_key;
    uint8_t local[16];
    uint8_t remote[16];
    uint32_t dp_port;
    uint8_t in_key_flow;
    uint8_t local_flow;
    uint8_t remote_flow;
    uint8_t mode; /* enum sluice_packet_type_mode */
};

_Static_assert(sizeof(struct tunnel_match) == 48, "no padding");

struct slot {
    struct tunnel_match match;
    struct dp_port_ref ref; /* 'port' is null in a free slot. */
};

/* The ways in which the local address may be configured, in the order in which they are tried. */
enum local_kind {
    LOCAL_CONFIGURED,
    LOCAL_ANY,
    LOCAL_FLOW,
    N_LOCAL_KINDS,
};

struct listener {
    uint16_t dst_port;
    uint8_t ip_proto;
    const struct ofport *port;
};

struct tunnel_index {
    uint32_t mask;                  /* Slots less one. */
    bool used[2][2][N_LOCAL_KINDS]; /* By in_key_flow, remote_flow, local kind: whether there is any. */
    struct listener *listeners;
    uint32_t n_listeners;
    struct slot slots[];
};

static uint64_t
hash_match(const struct tunnel_match *match)
{
    uint64_t words[sizeof *match / 8];
    uint64_t hash = 0;
    memcpy(words, match, sizeof words);
    for (uint32_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        hash = (hash ^ words[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return hash;
}

/* The slot of the match, or the free one where it would be: a table is never full. */
static struct slot *
find_slot(const struct tunnel_index *index, const struct tunnel_match *match)
{
    for (uint64_t i = hash_match(match);; i++) {
        struct slot *slot = (struct slot *) &index->slots[i & index->mask];
        if (!slot->ref.port || !memcmp(&slot->match, match, sizeof *match)) {
            return slot;
        }
    }
}

static bool
is_zero(const uint8_t address[16])
{
    static const uint8_t none[16];
    return !memcmp(address, none, sizeof none);
}

static void
insert(struct tunnel_index *index, const struct bridge_view *view, const struct ofport *port)
{
    const struct sluice_tunnel *tunnel = &port->tunnel;
    struct tunnel_match match = {
        .in_key = be64(tunnel->in_key),
        .dp_port = port->dp_port,
        .in_key_flow = (tunnel->tunnel_flags & SLUICE_TUNNEL_FLAG_IN_KEY_FLOW) != 0,
        .local_flow = (tunnel->tunnel_flags & SLUICE_TUNNEL_FLAG_LOCAL_FLOW) != 0,
        .remote_flow = (tunnel->tunnel_flags & SLUICE_TUNNEL_FLAG_REMOTE_FLOW) != 0,
        .mode = tunnel->packet_type_mode,
    };
    memcpy(match.local, tunnel->local, sizeof match.local);
    memcpy(match.remote, tunnel->remote, sizeof match.remote);

    struct slot *slot = find_slot(index, &match);
    if (!slot->ref.port) {
        slot->match = match;
        slot->ref = (struct dp_port_ref){ view, port };
    }
    enum local_kind kind = match.local_flow ? LOCAL_FLOW : is_zero(match.local) ? LOCAL_ANY : LOCAL_CONFIGURED;
    index->used[match.in_key_flow][match.remote_flow][kind] = true;

    if (tunnel->ip_proto && !tunnel_index_listener(index, tunnel->ip_proto, tunnel->dst_port)) {
        index->listeners[index->n_listeners++] = (struct listener){ tunnel->dst_port, tunnel->ip_proto, port };
    }
}

struct tunnel_index *
tunnel_index_create(const struct bridge_view *const *views, uint32_t n)
{
    uint32_t n_tunnels = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < views[i]->n_ports; j++) {
            n_tunnels += views[i]->ports[j]->is_tunnel;
        }
    }
    uint32_t n_slots = 2;
    while (n_slots < 2 * n_tunnels) {
        n_slots *= 2;
    }
    struct tunnel_index *index = calloc(1, sizeof *index + n_slots * sizeof index->slots[0]);
    struct listener *listeners = calloc(n_tunnels + 1, sizeof *listeners);
    if (!index || !listeners) {
        free(index);
        free(listeners);
        return NULL;
    }
    index->mask = n_slots - 1;
    index->listeners = listeners;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < views[i]->n_ports; j++) {
            if (views[i]->ports[j]->is_tunnel) {
                insert(index, views[i], views[i]->ports[j]);
            }
        }
    }
    return index;
}

void
tunnel_index_destroy(struct tunnel_index *index)
{
    if (index) {
        free(index->listeners);
        free(index);
    }
}

/* An address of the key as ports have it. */
static void
put_address(uint8_t out[16], uint32_t ipv4, const uint8_t ipv6[16])
{
    if (ipv4) {
        memset(out, 0, 10);
        memset(out + 10, 0xff, 2);
        put_raw32(out + 12, ipv4);
    } else {
        memcpy(out, ipv6, 16);
    }
}

/* Of the ports that a match fits but for the mode, the one that the packet's type is for. */
static const struct dp_port_ref *
find_mode(const struct tunnel_index *index, struct tunnel_match *match, bool is_ethernet)
{
    const uint8_t modes[] = { is_ethernet ? SLUICE_PACKET_TYPE_MODE_LEGACY_L2 : SLUICE_PACKET_TYPE_MODE_LEGACY_L3,
                              SLUICE_PACKET_TYPE_MODE_PTAP };
    for (uint32_t i = 0; i < sizeof modes; i++) {
        match->mode = modes[i];
        const struct slot *slot = find_slot(index, match);
        if (slot->ref.port) {
            return &slot->ref;
        }
    }
    return NULL;
}

const struct dp_port_ref *
tunnel_index_find(const struct tunnel_index *index, const struct flow_key *key)
{
    bool is_ethernet = (be32(key->packet_type) >> 16) != 1;
    for (uint32_t i = 0; i < 2 * 2 * N_LOCAL_KINDS; i++) {
        uint32_t in_key_flow = i / (2 * N_LOCAL_KINDS);
        uint32_t remote_flow = i / N_LOCAL_KINDS % 2;
        enum local_kind kind = i % N_LOCAL_KINDS;
        if (!index->used[in_key_flow][remote_flow][kind]) {
            continue;
        }
        struct tunnel_match match = {
            .in_key = in_key_flow ? 0 : key->tun_id,
            .dp_port = be32(key->in_port),
            .in_key_flow = (uint8_t) in_key_flow,
            .local_flow = kind == LOCAL_FLOW,
            .remote_flow = (uint8_t) remote_flow,
        };
        if (kind == LOCAL_CONFIGURED) {
            put_address(match.local, key->tun_dst, key->tun_ipv6_dst);
        }
        if (!remote_flow) {
            put_address(match.remote, key->tun_src, key->tun_ipv6_src);
        }
        const struct dp_port_ref *found = find_mode(index, &match, is_ethernet);
        if (found) {
            return found;
        }
    }
    return NULL;
}

const struct ofport *
tunnel_index_listener(const struct tunnel_index *index, uint8_t ip_proto, uint16_t dst_port)
{
    for (uint32_t i = 0; i < index->n_listeners; i++) {
        if (index->listeners[i].ip_proto == ip_proto && index->listeners[i].dst_port == dst_port) {
            return index->listeners[i].port;
        }
    }
    return NULL;
}

bool
tunnel_index_listens(const struct tunnel_index *index)
{
    return index->n_listeners != 0;
}
