#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/flow_store.h"
#include "pipeline/action_check.h"
#include "pipeline/mac_table.h"
#include "pipeline/mcast_table.h"
#include "pipeline/netflow.h"
#include "pipeline/ofgroup.h"
#include "pipeline/ofmeter.h"
#include "pipeline/pipeline_state.h"

/* Makes room for one more element. */
static bool
grow(void *arrayp, uint32_t n, uint32_t *capacity, size_t size)
{
    void **array = arrayp;
    if (n < *capacity) {
        return true;
    }
    uint32_t wanted = *capacity ? 2 * *capacity : 16;
    void *grown = realloc(*array, wanted * size);
    if (!grown) {
        return false;
    }
    *array = grown;
    *capacity = wanted;
    return true;
}

static void
address_changed(void *bridge_, uint16_t vlan, uint64_t mac, enum mac_change change)
{
    static const uint32_t counters[] = {
        [MAC_LEARNED] = SLUICE_COVERAGE_MAC_LEARNING_LEARNED,
        [MAC_MOVED] = SLUICE_COVERAGE_MAC_LEARNING_MOVED,
        [MAC_EXPIRED] = SLUICE_COVERAGE_MAC_LEARNING_EXPIRED,
        [MAC_EVICTED] = SLUICE_COVERAGE_MAC_LEARNING_EVICTED,
        [MAC_FLUSHED] = 0,
        [MAC_SET] = 0,
    };
    struct bridge *bridge = bridge_;
    pipeline_cover(bridge->pipeline, counters[change]);
    /* Readers read the cell before they look the address up. */
    uint32_t cell = pipeline_cell(CELL_ADDRESS, bridge->id, mac | (uint64_t) vlan << 48);
    atomic_fetch_add_explicit(&bridge->pipeline->address_cells[cell], 1, memory_order_relaxed);
    pipeline_changed(bridge->pipeline);
}

static uint64_t
next_random(struct pipeline *pipeline)
{
    uint64_t z = pipeline->random += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* What the flow store asks of the actions of a command. */
static uint32_t
check_actions(void *bridge, const void *actions, size_t size, uint8_t table, uint32_t n_tables)
{
    (void) bridge;
    return action_check(actions, size, table, n_tables);
}

/* What the flow store asks of the actions of a rule. */
static uint32_t
check_references(void *bridge, const void *actions, size_t size)
{
    return action_check_references(bridge, actions, size);
}

/* Which multicast groups there are changed. */
static void
multicast_changed(void *bridge_, uint16_t vlan, const uint8_t *group)
{
    const struct bridge *bridge = bridge_;
    pipeline_count_cell(bridge->pipeline, mcast_cell(bridge->id, vlan, group));
}

static void
multicast_counted(void *bridge_, enum mcast_event event, uint32_t n)
{
    static const uint8_t counters[] = {
        [MCAST_LEARNED] = SLUICE_COVERAGE_MCAST_SNOOPING_LEARNED,
        [MCAST_EXPIRED] = SLUICE_COVERAGE_MCAST_SNOOPING_EXPIRED,
        [MCAST_EVICTED] = SLUICE_COVERAGE_MCAST_SNOOPING_EVICTED,
        [MCAST_LOST] = SLUICE_COVERAGE_MCAST_SNOOPING_LOST,
    };
    const struct bridge *bridge = bridge_;
    atomic_fetch_add_explicit(&bridge->pipeline->coverage[counters[event]], n, memory_order_relaxed);
}

struct bridge *
bridge_create(struct pipeline *pipeline, uint32_t id, uint32_t n_tables)
{
    struct bridge *bridge = calloc(1, sizeof *bridge);
    if (!bridge) {
        return NULL;
    }
    bridge->pipeline = pipeline;
    bridge->id = id;
    bridge->n_tables = n_tables;
    bridge->macs = mac_table_create(pipeline->options.epoch, address_changed, bridge);
    bridge->mcast = mcast_table_create(
        pipeline->options.epoch,
        &(struct mcast_hooks){ .changed = multicast_changed, .count = multicast_counted, .aux = bridge });
    bridge->netflow = netflow_create(pipeline, id, next_random(pipeline));
    bridge->flows = flow_store_create(&(struct flow_store_options){
        .epoch = pipeline->options.epoch,
        .bridge = id,
        .n_tables = n_tables,
        .check_actions = check_actions,
        .check_references = check_references,
        .aux = bridge,
        .random_seed = next_random(pipeline),
    });
    bridge->meters = version_map_create(pipeline->options.epoch, ofmeter_free, pipeline);
    bridge->groups = version_map_create(pipeline->options.epoch, ofgroup_free, pipeline);
    if (!bridge->flows || !bridge->macs || !bridge->mcast || !bridge->netflow || !bridge->meters || !bridge->groups) {
        bridge_destroy(bridge);
        return NULL;
    }
    return bridge;
}

void
bridge_destroy(void *bridge_)
{
    struct bridge *bridge = bridge_;
    flow_store_destroy(bridge->flows);
    mac_table_unref(bridge->macs);
    mcast_table_destroy(bridge->mcast);
    netflow_unref(bridge->netflow);
    version_map_destroy(bridge->meters);
    version_map_destroy(bridge->groups);
    free(bridge);
}

uint32_t
transaction_touch(struct pipeline *pipeline, uint32_t id)
{
    struct transaction *txn = &pipeline->transaction;
    assert(txn->open && id <= BRIDGE_ID_MAX);
    if (id >= pipeline->n_slots) {
        uint32_t n = id + 1 > 2 * pipeline->n_slots ? id + 1 : 2 * pipeline->n_slots;
        struct bridge_slot *slots = realloc(pipeline->slots, n * sizeof *slots);
        if (!slots) {
            return SLUICE_ERROR_NO_MEMORY;
        }
        memset(slots + pipeline->n_slots, 0, (n - pipeline->n_slots) * sizeof *slots);
        pipeline->slots = slots;
        pipeline->n_slots = n;
    }
    if (!pipeline->slots[id].touched) {
        if (!grow(&txn->touched, txn->n_touched, &txn->touched_capacity, sizeof *txn->touched)) {
            return SLUICE_ERROR_NO_MEMORY;
        }
        txn->touched[txn->n_touched++] = id;
        pipeline->slots[id].touched = true;
    }
    return 0;
}

struct bridge_view *
transaction_draft(struct pipeline *pipeline, uint32_t id, uint32_t *error)
{
    struct bridge_view *view = pipeline_view(pipeline, id);
    *error = view ? transaction_touch(pipeline, id) : SLUICE_ERROR_NO_SUCH_BRIDGE;
    if (*error) {
        return NULL;
    }
    struct bridge_slot *slot = &pipeline->slots[id];
    if (!slot->drafted) {
        slot->draft = bridge_view_copy(view);
        if (!slot->draft) {
            *error = SLUICE_ERROR_NO_MEMORY;
            return NULL;
        }
        slot->drafted = true;
    }
    return slot->draft;
}

static uint64_t
current_version(const struct pipeline *pipeline)
{
    return atomic_load_explicit(&pipeline->config, memory_order_relaxed)->version;
}

struct flow_store *
transaction_flows(struct pipeline *pipeline, uint32_t id, uint32_t *error)
{
    struct bridge_view *view = pipeline_view(pipeline, id);
    *error = view ? transaction_touch(pipeline, id) : SLUICE_ERROR_NO_SUCH_BRIDGE;
    if (*error) {
        return NULL;
    }
    struct bridge_slot *slot = &pipeline->slots[id];
    if (!slot->flows_open) {
        flow_store_begin(view->bridge->flows, current_version(pipeline) + 1);
        slot->flows_open = true;
    }
    return view->bridge->flows;
}

struct version_map *
transaction_meters(struct pipeline *pipeline, uint32_t id, uint32_t *error)
{
    struct bridge_view *view = pipeline_view(pipeline, id);
    *error = view ? transaction_touch(pipeline, id) : SLUICE_ERROR_NO_SUCH_BRIDGE;
    if (*error) {
        return NULL;
    }
    struct bridge_slot *slot = &pipeline->slots[id];
    if (!slot->meters_open) {
        version_map_begin(view->bridge->meters, current_version(pipeline) + 1);
        slot->meters_open = true;
    }
    return view->bridge->meters;
}

struct version_map *
transaction_groups(struct pipeline *pipeline, uint32_t id, uint32_t *error)
{
    struct bridge_view *view = pipeline_view(pipeline, id);
    *error = view ? transaction_touch(pipeline, id) : SLUICE_ERROR_NO_SUCH_BRIDGE;
    if (*error) {
        return NULL;
    }
    struct bridge_slot *slot = &pipeline->slots[id];
    if (!slot->groups_open) {
        version_map_begin(view->bridge->groups, current_version(pipeline) + 1);
        slot->groups_open = true;
    }
    return view->bridge->groups;
}

uint32_t
transaction_edit_macs(struct pipeline *pipeline, const struct mac_edit *edit)
{
    struct transaction *txn = &pipeline->transaction;
    if (!grow(&txn->mac_edits, txn->n_mac_edits, &txn->mac_edits_capacity, sizeof *txn->mac_edits)) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    txn->mac_edits[txn->n_mac_edits++] = *edit;
    return 0;
}

uint32_t
transaction_flush_macs(struct pipeline *pipeline, uint32_t bridge, uint32_t bundle)
{
    const struct mac_edit edit = { .bridge = bridge, .kind = MAC_EDIT_FLUSH, .bundle = bundle };
    return transaction_edit_macs(pipeline, &edit);
}

uint32_t
transaction_flush_mdb(struct pipeline *pipeline, uint32_t bridge, uint32_t bundle)
{
    const struct mac_edit edit = { .bridge = bridge, .kind = MAC_EDIT_MDB_FLUSH, .bundle = bundle };
    return transaction_edit_macs(pipeline, &edit);
}

void
pipeline_begin(struct pipeline *pipeline, bool independent)
{
    struct transaction *txn = &pipeline->transaction;
    assert(!txn->open);
    txn->open = true;
    txn->independent = independent;
    txn->n_touched = 0;
    txn->n_mac_edits = 0;
    txn->n_packets = 0;
}

bool
transaction_is_empty(const struct pipeline *pipeline)
{
    const struct transaction *txn = &pipeline->transaction;
    return !txn->n_touched && !txn->n_mac_edits && !txn->n_packets;
}

static void
forget_packets(struct transaction *txn)
{
    for (uint32_t i = 0; i < txn->n_packets; i++) {
        packet_job_free(&txn->packets[i]);
    }
    txn->n_packets = 0;
}

/* Ends what the transaction remembers of its bridges. */
static void
end_transaction(struct pipeline *pipeline)
{
    struct transaction *txn = &pipeline->transaction;
    for (uint32_t i = 0; i < txn->n_touched; i++) {
        struct bridge_slot *slot = &pipeline->slots[txn->touched[i]];
        slot->draft = NULL;
        slot->drafted = false;
        slot->touched = false;
        slot->flows_open = false;
        slot->meters_open = false;
        slot->groups_open = false;
    }
    txn->open = false;
    txn->n_touched = 0;
}

void
pipeline_rollback(struct pipeline *pipeline)
{
    struct transaction *txn = &pipeline->transaction;
    assert(txn->open);
    forget_packets(txn);
    for (uint32_t i = 0; i < txn->n_touched; i++) {
        struct bridge_slot *slot = &pipeline->slots[txn->touched[i]];
        struct bridge_view *view = pipeline_view(pipeline, txn->touched[i]);
        if (slot->flows_open && view) {
            flow_store_rollback(view->bridge->flows);
        }
        if (slot->meters_open && view) {
            version_map_rollback(view->bridge->meters);
        }
        if (slot->groups_open && view) {
            version_map_rollback(view->bridge->groups);
        }
        if (slot->draft && (!slot->view || slot->draft->bridge != slot->view->bridge)) {
            bridge_destroy(slot->draft->bridge);
        }
        bridge_view_destroy(slot->draft);
    }
    end_transaction(pipeline);
}

static bool
has_drafts(const struct pipeline *pipeline)
{
    const struct transaction *txn = &pipeline->transaction;
    for (uint32_t i = 0; i < txn->n_touched; i++) {
        if (pipeline->slots[txn->touched[i]].drafted) {
            return true;
        }
    }
    return false;
}

static bool
index_drafts(struct pipeline *pipeline)
{
    const struct transaction *txn = &pipeline->transaction;
    for (uint32_t i = 0; i < txn->n_touched; i++) {
        struct bridge_view *draft = pipeline->slots[txn->touched[i]].draft;
        if (draft && bridge_view_index(draft)) {
            return false;
        }
    }
    return true;
}

/* The topology as it will be, or null without memory. */
static struct topology *
draft_topology(struct pipeline *pipeline)
{
    const struct bridge_view **views = malloc((pipeline->n_slots + 1) * sizeof *views);
    struct topology *topology = NULL;
    if (views && index_drafts(pipeline)) {
        uint32_t n = 0;
        for (uint32_t id = 0; id < pipeline->n_slots; id++) {
            const struct bridge_view *view = pipeline_view(pipeline, id);
            if (view) {
                views[n++] = view;
            }
        }
        topology = topology_create(views, n);
    }
    free(views);
    return topology;
}

/* Puts drafts in force and retires what they replace. */
static void
adopt_drafts(struct pipeline *pipeline)
{
    const struct transaction *txn = &pipeline->transaction;
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    uint64_t version = current_version(pipeline);
    for (uint32_t i = 0; i < txn->n_touched; i++) {
        uint32_t id = txn->touched[i];
        struct bridge_slot *slot = &pipeline->slots[id];
        if (!slot->drafted) {
            continue;
        }
        if (slot->view && (!slot->draft || slot->draft->bridge != slot->view->bridge)) {
            mac_table_retire(slot->view->bridge->macs);
            limbo_put(&pipeline->limbo, bridge_destroy, slot->view->bridge);
        }
        if (slot->view) {
            limbo_put(&pipeline->limbo, bridge_view_destroy, slot->view);
        }
        slot->view = slot->draft;
        if (slot->view) {
            mac_table_configure(slot->view->bridge->macs, slot->view->mac_table_size, slot->view->mac_aging_s);
            mcast_table_configure(slot->view->bridge->mcast, slot->view->flags & SLUICE_BRIDGE_FLAG_MCAST_SNOOPING,
                                  slot->view->mcast_table_size, slot->view->mcast_aging_s, hooks->now(hooks->aux));
            netflow_configure(slot->view->bridge->netflow, slot->view->netflow_timeout_s, hooks->now(hooks->aux));
        }
        pipeline_set_cell(pipeline, pipeline_cell(CELL_BRIDGE, id, 0), version);
    }
}

/* Makes what depends on the tables that changed stale, unless it can tell that no rule that came or went concerns it. */
static void
log_changes(struct pipeline *pipeline, uint32_t bridge, const struct flow_store *flows)
{
    uint32_t version = (uint32_t) current_version(pipeline);
    const uint64_t *changed = flow_store_changed_tables(flows);
    uint32_t n_changes = flow_store_n_changes(flows);
    for (uint32_t i = 0; i < n_changes && n_changes <= CHANGE_LOG_SPAN; i++) {
        const struct rule *rule = flow_store_change(flows, i);
        change_log_put(&pipeline->changes, pipeline_cell(CELL_TABLE, bridge, rule->table), version, rule);
    }
    for (uint32_t table = 0; table < BRIDGE_TABLES_MAX; table++) {
        if (changed[table / 64] >> (table % 64) & 1) {
            uint32_t cell = pipeline_cell(CELL_TABLE, bridge, table);
            if (n_changes > CHANGE_LOG_SPAN) {
                change_log_put(&pipeline->changes, cell, version, NULL);
            }
            atomic_store_explicit(&pipeline->table_cells[cell], version, memory_order_release);
        }
    }
}

/* Ends the transactions of the rules.  Returns true if removed rules wait to be reported. */
static bool
commit_flows(struct pipeline *pipeline)
{
    const struct transaction *txn = &pipeline->transaction;
    bool removed = false;
    for (uint32_t i = 0; i < txn->n_touched; i++) {
        uint32_t id = txn->touched[i];
        struct bridge_slot *slot = &pipeline->slots[id];
        if (slot->meters_open && slot->view) {
            ofmeter_commit(pipeline, slot->view->bridge);
        }
        if (slot->groups_open && slot->view) {
            ofgroup_commit(slot->view->bridge);
        }
        if (!slot->flows_open || !slot->view) {
            continue;
        }
        struct flow_store *flows = slot->view->bridge->flows;
        log_changes(pipeline, id, flows);
        removed |= flow_store_commit(flows);
    }
    return removed;
}

/* What was learned behind a bundle that is gone other bridges forget, too: they may have learned it on the way. */
static void
forget_elsewhere(struct pipeline *pipeline, struct mac_table *macs, uint32_t bundle)
{
    const struct topology *topology = atomic_load_explicit(&pipeline->config, memory_order_relaxed)->topology;
    struct mac_entry_info entries[64];
    uint64_t from = 0;
    do {
        uint32_t n = mac_table_dump(macs, from, entries, sizeof entries / sizeof entries[0], &from);
        for (uint32_t i = 0; i < n; i++) {
            for (uint32_t k = 0; k < topology->n_views && entries[i].bundle == bundle && !entries[i].is_static; k++) {
                struct mac_table *other = topology->views[k]->bridge->macs;
                if (other != macs) {
                    mac_table_forget(other, entries[i].vlan, entries[i].mac);
                }
            }
        }
    } while (from);
}

static void
edit_macs(struct pipeline *pipeline)
{
    const struct transaction *txn = &pipeline->transaction;
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    for (uint32_t i = 0; i < txn->n_mac_edits; i++) {
        const struct mac_edit *edit = &txn->mac_edits[i];
        const struct bridge_view *view = pipeline_view(pipeline, edit->bridge);
        if (!view) {
            continue;
        }
        struct mac_table *macs = view->bridge->macs;
        switch (edit->kind) {
        case MAC_EDIT_FLUSH:
            mac_table_flush(macs, edit->bundle);
            break;
        case MAC_EDIT_BUNDLE_GONE:
            forget_elsewhere(pipeline, macs, edit->bundle);
            mac_table_flush(macs, edit->bundle);
            mcast_table_flush(view->bridge->mcast, edit->bundle);
            break;
        case MAC_EDIT_MDB_FLUSH:
            mcast_table_flush(view->bridge->mcast, edit->bundle);
            break;
        case MAC_EDIT_SET:
            mac_table_set_static(macs, edit->vlan, edit->mac, edit->bundle, hooks->now(hooks->aux));
            break;
        case MAC_EDIT_DEL:
            mac_table_remove_static(macs, edit->vlan, edit->mac);
            break;
        case MAC_EDIT_CLEAR_STATS:
            mac_table_clear_stats(macs);
            break;
        case MAC_EDIT_LEARN:
            mac_table_learn(macs, edit->vlan, edit->mac, edit->bundle, edit->gratuitous, edit->is_bond,
                            hooks->now(hooks->aux));
            break;
        }
    }
}

/* Does what came of the packets of the transaction that was committed.  Where they go flows may be learned, which takes
 * transactions of their own, so the list is taken away meanwhile. */
static void
do_packets(struct pipeline *pipeline)
{
    struct transaction *txn = &pipeline->transaction;
    struct packet_job *packets = txn->packets;
    uint32_t n = txn->n_packets;
    if (!n) {
        return;
    }
    txn->packets = NULL;
    txn->packets_capacity = 0;
    txn->n_packets = 0;
    for (uint32_t i = 0; i < n; i++) {
        packet_do(pipeline, &packets[i]);
        packet_job_free(&packets[i]);
    }
    free(packets);
}

int
pipeline_commit(struct pipeline *pipeline)
{
    struct transaction *txn = &pipeline->transaction;
    assert(txn->open);

    const struct config *old = atomic_load_explicit(&pipeline->config, memory_order_relaxed);
    bool drafts = has_drafts(pipeline);
    bool touched = txn->n_touched;
    if (touched) {
        struct config *config = malloc(sizeof *config);
        const struct topology *topology = drafts ? draft_topology(pipeline) : old->topology;
        if (!config || !topology) {
            free(config);
            if (drafts) {
                topology_destroy((void *) topology);
            }
            pipeline_rollback(pipeline);
            return ENOMEM;
        }
        config->version = old->version + 1;
        config->topology = topology;
        atomic_store_explicit(&pipeline->config, config, memory_order_release);

        limbo_put(&pipeline->limbo, free, (void *) old);
        if (drafts) {
            limbo_put(&pipeline->limbo, topology_destroy, (void *) old->topology);
            adopt_drafts(pipeline);
            pipeline_set_cell(pipeline, pipeline_cell(CELL_PORTS, 0, 0), config->version);
        }
    }
    bool removed = commit_flows(pipeline);
    end_transaction(pipeline);
    edit_macs(pipeline);
    if (touched) {
        pipeline_changed(pipeline);
    }
    limbo_reclaim(&pipeline->limbo);

    if (removed && pipeline->options.hooks.flows_changed) {
        pipeline->options.hooks.flows_changed(pipeline->options.hooks.aux);
    }
    do_packets(pipeline);
    return 0;
}

uint32_t
transaction_add_packet(struct pipeline *pipeline, const struct sluice_record *command)
{
    struct transaction *txn = &pipeline->transaction;
    const struct config *now = atomic_load_explicit(&pipeline->config, memory_order_relaxed);
    bool drafts = has_drafts(pipeline);
    const struct config draft = { now->version + 1, drafts ? draft_topology(pipeline) : now->topology };
    uint32_t error = SLUICE_ERROR_NO_MEMORY;

    if (draft.topology && grow(&txn->packets, txn->n_packets, &txn->packets_capacity, sizeof *txn->packets)) {
        error = packet_translate(pipeline, command, &draft, &txn->packets[txn->n_packets]);
        txn->n_packets += !error;
    }
    if (drafts) {
        topology_destroy((void *) draft.topology);
    }
    return error;
}
