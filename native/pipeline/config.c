#include "pipeline/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "pipeline/bond.h"
#include "pipeline/field.h"
#include "pipeline/mac_table.h"
#include "pipeline/mcast_table.h"
#include "pipeline/tunnel_index.h"

void
port_counters_ref(struct port_counters *counters)
{
    atomic_fetch_add_explicit(&counters->refs, 1, memory_order_relaxed);
}

void
port_counters_unref(struct port_counters *counters)
{
    if (counters && atomic_fetch_sub_explicit(&counters->refs, 1, memory_order_acq_rel) == 1) {
        free(counters);
    }
}

static void
ofport_unref(struct ofport *port)
{
    if (!--port->refs) {
        port_counters_unref(port->counters);
        free(port);
    }
}

void
bundle_unref(struct bundle *bundle)
{
    if (!--bundle->refs) {
        bond_load_unref(bundle->load);
        free(bundle);
    }
}

struct ofport *
ofport_create(const struct sluice_ofport_set *command, const struct ofport *old)
{
    struct ofport *port = calloc(1, sizeof *port + command->n_dscps * sizeof port->dscps[0]);
    if (!port) {
        return NULL;
    }
    port->refs = 1;
    port->ofp_port = port_normalize(command->ofp_port);
    port->dp_port = command->dp_port;
    port->config = command->config;
    port->link_down = command->link_down != 0;
    port->spanning = (uint8_t) command->spanning_flags;
    port->packet_type_mode = (uint8_t) command->packet_type_mode;
    port->monitor_flags = command->monitor_flags;
    memcpy(port->bfd_dst_mac, command->bfd_dst_mac, sizeof port->bfd_dst_mac);
    memcpy(&port->bfd_ip, command->bfd_ip, sizeof port->bfd_ip);
    port->peer_bridge = command->peer_bridge;
    port->peer_port = port_normalize(command->peer_ofp_port);
    if (command->tunnel_size) {
        port->is_tunnel = true;
        memcpy(&port->tunnel, command + 1, sizeof port->tunnel);
    }
    port->n_dscps = command->n_dscps;
    memcpy(port->dscps, (const uint8_t *) (command + 1) + command->tunnel_size,
           command->n_dscps * sizeof port->dscps[0]);
    if (old) {
        port->counters = old->counters;
        port_counters_ref(port->counters);
    } else {
        port->counters = calloc(1, sizeof *port->counters);
        if (!port->counters) {
            free(port);
            return NULL;
        }
        atomic_init(&port->counters->refs, 1);
    }
    return port;
}

static bool
is_zero(const uint64_t *words, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (words[i]) {
            return false;
        }
    }
    return true;
}

struct bundle *
bundle_create(const struct sluice_bundle_set *command)
{
    const uint32_t *members = (const uint32_t *) (command + 1);
    uint32_t n = command->n_members + command->n_enabled + command->n_buckets;
    struct bundle *bundle = calloc(1, sizeof *bundle + n * sizeof *members);
    if (!bundle) {
        return NULL;
    }
    bundle->refs = 1;
    bundle->id = command->bundle;
    bundle->vlan_mode = command->vlan_mode;
    bundle->vlan = command->tag;
    bundle->qinq_ethertype = command->qinq_ethtype ? command->qinq_ethtype : ETH_TYPE_QINQ;
    bundle->flags = command->bundle_flags;
    memcpy(bundle->trunks, command->trunks, sizeof bundle->trunks);
    memcpy(bundle->cvlans, command->cvlans, sizeof bundle->cvlans);
    bundle->all_trunks = is_zero(command->trunks, 64);
    bundle->all_cvlans = is_zero(command->cvlans, 64);
    bundle->bond_output = command->bond_output;
    bundle->bond_input = command->bond_input;
    bundle->active_member = port_normalize(command->active_member);
    bundle->hash_basis = command->hash_basis;
    bundle->n_enabled = command->n_enabled;
    bundle->n_buckets = command->n_buckets;
    bundle->n_members = command->n_members;
    for (uint32_t i = 0; i < n; i++) {
        bundle->members[i] = port_normalize(members[i]);
    }
    return bundle;
}

struct bridge_view *
bridge_view_create(struct bridge *bridge)
{
    struct bridge_view *view = calloc(1, sizeof *view);
    if (view) {
        view->bridge = bridge;
        view->mac_aging_s = MAC_AGING_S_DEFAULT;
        view->mac_table_size = MAC_TABLE_SIZE_DEFAULT;
        view->mcast_aging_s = MCAST_AGING_S_DEFAULT;
        view->mcast_table_size = MCAST_TABLE_SIZE_DEFAULT;
    }
    return view;
}

struct bridge_view *
bridge_view_copy(const struct bridge_view *view)
{
    struct bridge_view *copy = malloc(sizeof *copy);
    if (!copy) {
        return NULL;
    }
    *copy = *view;
    copy->port_bundles = NULL;
    copy->bundle_order = NULL;
    copy->ports = malloc((view->n_ports + 1) * sizeof *copy->ports);
    copy->bundles = malloc((view->n_bundles + 1) * sizeof *copy->bundles);
    if (!copy->ports || !copy->bundles) {
        free(copy->ports);
        free(copy->bundles);
        free(copy);
        return NULL;
    }
    for (uint32_t i = 0; i < view->n_ports; i++) {
        copy->ports[i] = view->ports[i];
        copy->ports[i]->refs++;
    }
    for (uint32_t i = 0; i < view->n_bundles; i++) {
        copy->bundles[i] = view->bundles[i];
        copy->bundles[i]->refs++;
    }
    for (uint32_t i = 0; i < MIRRORS_MAX; i++) {
        if (copy->mirrors[i]) {
            copy->mirrors[i]->refs++;
        }
    }
    return copy;
}

void
bridge_view_destroy(void *view_)
{
    struct bridge_view *view = view_;
    if (!view) {
        return;
    }
    for (uint32_t i = 0; i < view->n_ports; i++) {
        ofport_unref(view->ports[i]);
    }
    for (uint32_t i = 0; i < view->n_bundles; i++) {
        bundle_unref(view->bundles[i]);
    }
    for (uint32_t i = 0; i < MIRRORS_MAX; i++) {
        mirror_unref(view->mirrors[i]);
    }
    free(view->ports);
    free(view->bundles);
    free(view->port_bundles);
    free(view->bundle_order);
    free(view);
}

/* The position of 'ofp_port' in 'ports', or where it would be. */
static uint32_t
find_port(const struct bridge_view *view, uint32_t ofp_port)
{
    uint32_t low = 0;
    for (uint32_t high = view->n_ports; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (view->ports[middle]->ofp_port < ofp_port) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

const struct ofport *
bridge_view_find_port(const struct bridge_view *view, uint32_t ofp_port)
{
    uint32_t i = find_port(view, ofp_port);
    return i < view->n_ports && view->ports[i]->ofp_port == ofp_port ? view->ports[i] : NULL;
}

/* The position of bundle 'id' in 'bundles', or 'n_bundles'. */
static uint32_t
find_bundle(const struct bridge_view *view, uint32_t id)
{
    uint32_t i = 0;
    if (view->bundle_order) {
        for (uint32_t high = view->n_bundles; i < high;) {
            uint32_t middle = i + (high - i) / 2;
            if (view->bundles[view->bundle_order[middle]]->id < id) {
                i = middle + 1;
            } else {
                high = middle;
            }
        }
        bool found = i < view->n_bundles && view->bundles[view->bundle_order[i]]->id == id;
        return found ? view->bundle_order[i] : view->n_bundles;
    }
    while (i < view->n_bundles && view->bundles[i]->id != id) {
        i++;
    }
    return i;
}

const struct bundle *
bridge_view_find_bundle(const struct bridge_view *view, uint32_t id)
{
    uint32_t i = find_bundle(view, id);
    return i < view->n_bundles ? view->bundles[i] : NULL;
}

uint32_t
bridge_view_bundle_port(const struct bridge_view *view, uint32_t id)
{
    const struct bundle *bundle = bridge_view_find_bundle(view, id);

    return bundle != NULL && bundle->n_members != 0 ? bundle->members[0] : PORT_NONE;
}

const struct bundle *
bridge_view_bundle_of_port(const struct bridge_view *view, uint32_t ofp_port)
{
    uint32_t i = find_port(view, ofp_port);
    if (i == view->n_ports || view->ports[i]->ofp_port != ofp_port || view->port_bundles[i] == UINT32_MAX) {
        return NULL;
    }
    return view->bundles[view->port_bundles[i]];
}

/* For each port the index of its bundle, or null without memory. */
static uint32_t *
index_ports(const struct bridge_view *view)
{
    uint32_t *port_bundles = malloc((view->n_ports + 1) * sizeof *port_bundles);
    if (!port_bundles) {
        return NULL;
    }
    for (uint32_t i = 0; i < view->n_ports; i++) {
        port_bundles[i] = UINT32_MAX;
    }
    for (uint32_t i = 0; i < view->n_bundles; i++) {
        const struct bundle *bundle = view->bundles[i];
        for (uint32_t j = 0; j < bundle->n_members; j++) {
            uint32_t at = find_port(view, bundle->members[j]);
            if (at < view->n_ports && view->ports[at]->ofp_port == bundle->members[j]) {
                port_bundles[at] = i;
            }
        }
    }
    return port_bundles;
}

struct numbered {
    uint32_t id;
    uint32_t index;
};

static int
compare_ids(const void *a_, const void *b_)
{
    const struct numbered *a = a_;
    const struct numbered *b = b_;
    return a->id < b->id ? -1 : a->id > b->id;
}

/* Indexes of the bundles by ascending id, or null without memory. */
static uint32_t *
order_bundles(const struct bridge_view *view)
{
    struct numbered *numbered = malloc((view->n_bundles + 1) * sizeof *numbered);
    uint32_t *order = malloc((view->n_bundles + 1) * sizeof *order);
    if (numbered && order) {
        for (uint32_t i = 0; i < view->n_bundles; i++) {
            numbered[i] = (struct numbered){ view->bundles[i]->id, i };
        }
        qsort(numbered, view->n_bundles, sizeof *numbered, compare_ids);
        for (uint32_t i = 0; i < view->n_bundles; i++) {
            order[i] = numbered[i].index;
        }
    } else {
        free(order);
        order = NULL;
    }
    free(numbered);
    return order;
}

int
bridge_view_index(struct bridge_view *view)
{
    uint32_t *port_bundles = index_ports(view);
    uint32_t *bundle_order = order_bundles(view);
    if (!port_bundles || !bundle_order) {
        free(port_bundles);
        free(bundle_order);
        return ENOMEM;
    }
    free(view->port_bundles);
    free(view->bundle_order);
    view->port_bundles = port_bundles;
    view->bundle_order = bundle_order;
    return 0;
}

int
bridge_view_put_port(struct bridge_view *view, struct ofport *port)
{
    uint32_t at = find_port(view, port->ofp_port);
    if (at < view->n_ports && view->ports[at]->ofp_port == port->ofp_port) {
        ofport_unref(view->ports[at]);
        view->ports[at] = port;
        return 0;
    }
    struct ofport **ports = realloc(view->ports, (view->n_ports + 1) * sizeof *ports);
    if (!ports) {
        return ENOMEM;
    }
    view->ports = ports;
    memmove(ports + at + 1, ports + at, (view->n_ports - at) * sizeof *ports);
    ports[at] = port;
    view->n_ports++;
    return 0;
}

bool
bridge_view_remove_port(struct bridge_view *view, uint32_t ofp_port)
{
    uint32_t at = find_port(view, ofp_port);
    if (at == view->n_ports || view->ports[at]->ofp_port != ofp_port) {
        return false;
    }
    ofport_unref(view->ports[at]);
    view->n_ports--;
    memmove(view->ports + at, view->ports + at + 1, (view->n_ports - at) * sizeof *view->ports);
    return true;
}

int
bridge_view_put_bundle(struct bridge_view *view, struct bundle *bundle)
{
    uint32_t at = find_bundle(view, bundle->id);
    if (at < view->n_bundles) {
        bundle_unref(view->bundles[at]);
        view->bundles[at] = bundle;
        return 0;
    }
    struct bundle **bundles = realloc(view->bundles, (view->n_bundles + 1) * sizeof *bundles);
    if (!bundles) {
        return ENOMEM;
    }
    view->bundles = bundles;
    bundles[view->n_bundles++] = bundle;
    return 0;
}

bool
bridge_view_remove_bundle(struct bridge_view *view, uint32_t id)
{
    uint32_t at = find_bundle(view, id);
    if (at == view->n_bundles) {
        return false;
    }
    bundle_unref(view->bundles[at]);
    view->n_bundles--;
    memmove(view->bundles + at, view->bundles + at + 1, (view->n_bundles - at) * sizeof *view->bundles);
    return true;
}

const struct bridge_view *
topology_find(const struct topology *topology, uint32_t bridge)
{
    uint32_t low = 0;
    for (uint32_t high = topology->n_views; low < high;) {
        uint32_t middle = low + (high - low) / 2;
        if (topology->views[middle]->bridge->id < bridge) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < topology->n_views && topology->views[low]->bridge->id == bridge ? topology->views[low] : NULL;
}

struct topology *
topology_create(const struct bridge_view *const *views, uint32_t n)
{
    struct topology *topology = calloc(1, sizeof *topology + n * sizeof *views);
    if (!topology) {
        return NULL;
    }
    topology->n_views = n;
    uint32_t n_dp_ports = 0;
    for (uint32_t i = 0; i < n; i++) {
        topology->views[i] = views[i];
        for (uint32_t j = 0; j < views[i]->n_ports; j++) {
            uint32_t dp_port = views[i]->ports[j]->dp_port;
            n_dp_ports = dp_port >= n_dp_ports ? dp_port + 1 : n_dp_ports;
        }
    }
    topology->dp_ports = calloc(n_dp_ports + 1, sizeof *topology->dp_ports);
    topology->tunnels = tunnel_index_create(views, n);
    if (!topology->dp_ports || !topology->tunnels) {
        topology_destroy(topology);
        return NULL;
    }
    topology->n_dp_ports = n_dp_ports;
    for (uint32_t i = 0; i < n; i++) {
        for (uint32_t j = 0; j < views[i]->n_ports; j++) {
            struct dp_port_ref *ref = &topology->dp_ports[views[i]->ports[j]->dp_port];
            if (views[i]->ports[j]->dp_port && !views[i]->ports[j]->is_tunnel) {
                ref->view = views[i];
                ref->port = views[i]->ports[j];
            }
        }
    }
    return topology;
}

void
topology_destroy(void *topology_)
{
    struct topology *topology = topology_;
    if (topology) {
        tunnel_index_destroy(topology->tunnels);
        free(topology->dp_ports);
        free(topology);
    }
}

const struct dp_port_ref *
topology_find_arrival(const struct topology *topology, const struct flow_key *key)
{
    uint32_t dp_port = be32(key->in_port);
    if (key_is_tunneled(key)) {
        return tunnel_index_find(topology->tunnels, key);
    }
    return dp_port < topology->n_dp_ports && topology->dp_ports[dp_port].view ? &topology->dp_ports[dp_port] : NULL;
}
