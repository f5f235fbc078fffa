/* The configuration that translation reads: immutable snapshots of bridges, their ports and bundles.
 *
 * A 'struct bridge' lasts as long as the bridge; it holds what is not configuration: rules and learned addresses.  A
 * 'struct bridge_view' is one state of its configuration.  A transaction changes a draft, which is a copy of the view
 * that is in force; ports and bundles are never changed, but replaced by new ones, and shared between views by counted
 * references.  A 'struct config' is all views of one moment and the version of the rules that goes with them; workers
 * get at everything through one pointer to it.
 *
 * Threads.  Everything here is made and freed under the control lock, and freed only after the epoch let it go. */
#ifndef SLUICE_PIPELINE_CONFIG_H
#define SLUICE_PIPELINE_CONFIG_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "pipeline/tlv_map.h"
#include "sluice/records.h"

struct flow_key;
struct flow_store;
struct mac_table;
struct mcast_table;
struct netflow;
struct version_map;
struct pipeline;
struct tunnel_index;

#define BRIDGE_ID_MAX 65535u
#define BRIDGE_TABLES_MAX 255u

/* Counters of a port that has no device: a patch port or a tunnel; they outlive its configuration.  Any thread. */
struct port_counters {
    _Atomic uint32_t refs;
    _Atomic uint64_t rx_packets;
    _Atomic uint64_t rx_bytes;
    _Atomic uint64_t tx_packets;
    _Atomic uint64_t tx_bytes;
};

void port_counters_ref(struct port_counters *counters);
void port_counters_unref(struct port_counters *counters);

/* An OpenFlow port. */
struct ofport {
    uint32_t refs;
    uint32_t ofp_port;
    uint32_t dp_port; /* 0 for a patch port; tunnels share theirs. */
    uint32_t config;  /* enum sluice_ofport_config */
    bool link_down;
    uint8_t spanning;         /* enum sluice_spanning_flag */
    uint8_t packet_type_mode; /* enum sluice_packet_type_mode */
    uint16_t monitor_flags;   /* enum sluice_monitor_flag */
    uint8_t bfd_dst_mac[6];   /* All zero: any. */
    uint32_t bfd_ip;          /* Network order; 0: any. */
    uint32_t peer_bridge;     /* 0: no peer. */
    uint32_t peer_port;
    struct port_counters *counters; /* Counted. */
    bool is_tunnel;
    struct sluice_tunnel tunnel;
    uint32_t n_dscps;
    struct sluice_queue_dscp dscps[]; /* Queues that mark packets. */
};

/* Whether the port is up, so that it is worth to send packets there. */
static inline bool
ofport_is_live(const struct ofport *port)
{
    return !port->link_down && !(port->config & SLUICE_OFPORT_CONFIG_PORT_DOWN);
}

/* Whether the spanning tree lets packets pass. */
static inline bool
ofport_forwards(const struct ofport *port)
{
    return !(port->spanning & SLUICE_SPANNING_FLAG_NO_FORWARD);
}

/* Hash buckets of a bond that spreads packets over its members. */
#define BOND_BUCKETS 256u

/* What went by each bucket of a bond, whichever members they fell to, and the id under which packets come back to it. */
struct bond_load {
    _Atomic uint32_t refs;
    const struct frozen_state *frozen; /* Owns a reference. */
    struct {
        _Atomic uint64_t n_packets;
        _Atomic uint64_t n_bytes;
    } buckets[BOND_BUCKETS];
};

/* A bundle: what NORMAL takes for one port. */
struct bundle {
    uint32_t refs;
    uint32_t id;
    uint16_t vlan_mode; /* enum sluice_vlan_mode */
    uint16_t vlan;      /* Tag, or native VLAN. */
    uint16_t qinq_ethertype;
    uint16_t flags; /* enum sluice_bundle_flag */
    bool all_trunks;
    bool all_cvlans;
    uint64_t trunks[64];
    uint64_t cvlans[64];
    uint8_t bond_output; /* enum sluice_bond_output */
    uint8_t bond_input;  /* enum sluice_bond_input */
    uint32_t active_member;
    uint32_t hash_basis;
    uint32_t n_enabled;
    uint32_t n_buckets;
    uint32_t n_members;
    struct bond_load *load; /* Counted; null unless the bond is balanced. */
    uint32_t members[];     /* OpenFlow ports; then those that are enabled, then one for each bucket. */
};

#define MIRRORS_MAX 32u

/* A mirror. */
struct mirror {
    uint32_t refs;
    uint32_t out_bundle; /* 0: 'out_vlan'. */
    uint16_t out_vlan;
    uint16_t snaplen; /* 0: whole packets. */
    bool selects_all;
    bool has_vlans;
    uint64_t vlans[64];
    struct port_counters *counters; /* Counted; packets that it selected are in 'tx'. */
    uint32_t n_sources;
    uint32_t n_destinations;
    uint32_t bundles[]; /* Sources, then destinations. */
};

struct bridge {
    struct pipeline *pipeline;
    uint32_t id;
    uint32_t n_tables;
    struct flow_store *flows;
    struct mac_table *macs; /* Counted. */
    struct mcast_table *mcast;
    struct netflow *netflow;    /* Counted. */
    struct version_map *meters; /* Of struct ofmeter. */
    struct version_map *groups; /* Of struct ofgroup. */
};

struct bridge_view {
    struct bridge *bridge; /* Not owned. */
    uint32_t flags;        /* enum sluice_bridge_flag */
    uint32_t frag_mode;
    uint32_t depth_max;
    uint32_t sflow_probability; /* Of UINT32_MAX; 0: no sFlow. */
    uint32_t sflow_header;
    uint32_t ipfix_probability; /* Of UINT32_MAX; 0: no IPFIX of the bridge's. */
    uint32_t netflow_timeout_s; /* 0: no NetFlow. */
    uint32_t mac_aging_s;
    uint32_t mac_table_size;
    uint32_t mcast_aging_s;
    uint32_t mcast_table_size;

    uint32_t n_ports;
    struct ofport **ports; /* By ascending number; LOCAL is last. */
    uint32_t n_bundles;
    struct bundle **bundles; /* In order of creation, which is the order of flooding. */
    /* Made by bridge_view_index(); null in a draft. */
    uint32_t *port_bundles; /* Parallel to 'ports': index in 'bundles' or UINT32_MAX. */
    uint32_t *bundle_order; /* Indexes in 'bundles' by ascending id. */

    uint32_t mirror_map; /* Bit for each mirror there is. */
    struct mirror *mirrors[MIRRORS_MAX];
    uint64_t flood_vlans[64];
    struct tlv_map tlvs;

    uint8_t miss[BRIDGE_TABLES_MAX]; /* enum sluice_miss of each table. */
};

/* Which port of which bridge a datapath port is. */
struct dp_port_ref {
    const struct bridge_view *view;
    const struct ofport *port;
};

struct config {
    uint64_t version; /* Of the rules. */
    const struct topology *topology;
};

/* Shared by the configs between two changes of anything but rules. */
struct topology {
    uint32_t n_views;
    uint32_t n_dp_ports;
    struct dp_port_ref *dp_ports; /* By datapath port; 'view' is null where there is none, and for tunnels. */
    struct tunnel_index *tunnels;
    const struct bridge_view *views[]; /* By ascending id. */
};

/* The id of the bundle of ports that are in none, such as OFPP_NONE and CONTROLLER of a packet-out. */
#define BUNDLE_NONE UINT32_MAX

/* A view of a new bridge, or a copy that shares ports and bundles.  Null when out of memory. */
struct bridge_view *bridge_view_create(struct bridge *bridge);
struct bridge_view *bridge_view_copy(const struct bridge_view *view);

/* Gives up ports and bundles.  Null is fine. */
void bridge_view_destroy(void *view);

/* Makes the indexes of a draft, which must not change any more.  0 or ENOMEM. */
int bridge_view_index(struct bridge_view *view);

/* Lookups. */
/* The OpenFlow port that bundle 'id' is shown with, its first; PORT_NONE if it has none. */
uint32_t bridge_view_bundle_port(const struct bridge_view *view, uint32_t id);
const struct ofport *bridge_view_find_port(const struct bridge_view *view, uint32_t ofp_port);
const struct bundle *bridge_view_find_bundle(const struct bridge_view *view, uint32_t id);
const struct bundle *bridge_view_bundle_of_port(const struct bridge_view *view, uint32_t ofp_port);
const struct bridge_view *topology_find(const struct topology *topology, uint32_t bridge);

/* Where a packet with 'key', whose in_port is a datapath port, enters: a bridge and one of its ports; null if nowhere. */
const struct dp_port_ref *topology_find_arrival(const struct topology *topology, const struct flow_key *key);

/* Puts 'port' (taking the caller's reference) in place of the one with its number, or as a new one.  0 or ENOMEM. */
int bridge_view_put_port(struct bridge_view *view, struct ofport *port);
bool bridge_view_remove_port(struct bridge_view *view, uint32_t ofp_port);

int bridge_view_put_bundle(struct bridge_view *view, struct bundle *bundle);
bool bridge_view_remove_bundle(struct bridge_view *view, uint32_t id);

/* A port from its command, with the counters of 'old' if not null; a bundle from its command, whose members follow it.
 * One reference.  Null when out of memory. */
struct ofport *ofport_create(const struct sluice_ofport_set *command, const struct ofport *old);
struct bundle *bundle_create(const struct sluice_bundle_set *command);
void bundle_unref(struct bundle *bundle);

/* Puts 'mirror' (taking the caller's reference) in place of number 'i'; null removes. */
void bridge_view_put_mirror(struct bridge_view *view, uint32_t i, struct mirror *mirror);

/* A mirror from its command, with the counters of 'old' if not null.  One reference.  Null when out of memory. */
struct mirror *mirror_create(const struct sluice_mirror_set *command, const struct mirror *old);
void mirror_unref(struct mirror *mirror);

/* The topology of 'n' views, which it does not own.  Null when out of memory. */
struct topology *topology_create(const struct bridge_view *const *views, uint32_t n);
void topology_destroy(void *topology);

static inline bool
bundle_has_trunk(const struct bundle *bundle, uint16_t vlan)
{
    return bundle->all_trunks || (bundle->trunks[vlan / 64 & 63] >> (vlan & 63) & 1);
}

static inline bool
vlan_map_has(const uint64_t vlans[64], uint16_t vlan)
{
    return vlans[vlan / 64 & 63] >> (vlan & 63) & 1;
}

static inline bool
bundle_has_cvlan(const struct bundle *bundle, uint16_t vlan)
{
    return bundle->all_cvlans || (bundle->cvlans[vlan / 64 & 63] >> (vlan & 63) & 1);
}

#endif
