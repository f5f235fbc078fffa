#include <stdlib.h>
#include <string.h>

#include "classifier/flow_store.h"
#include "packet/match.h"
#include "pipeline/bond.h"
#include "pipeline/field.h"
#include "pipeline/mac_table.h"
#include "pipeline/mcast_table.h"
#include "pipeline/ofgroup.h"
#include "pipeline/ofmeter.h"
#include "pipeline/pipeline_state.h"
#include "pipeline/route_table.h"
#include "tunnel/neighbor.h"

static bool
port_is_real(uint32_t port)
{
    return (port && port < PORT_MAX) || port == PORT_LOCAL;
}

static uint32_t
bridge_add(struct pipeline *pipeline, const struct sluice_bridge_add *command)
{
    if (!command->bridge || command->bridge > BRIDGE_ID_MAX || !command->n_tables
        || command->n_tables > BRIDGE_TABLES_MAX) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    if (pipeline_view(pipeline, command->bridge)) {
        return SLUICE_ERROR_EXISTS;
    }
    uint32_t error = transaction_touch(pipeline, command->bridge);
    if (error) {
        return error;
    }
    struct bridge *bridge = bridge_create(pipeline, command->bridge, command->n_tables);
    if (!bridge) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    struct bridge_view *view = bridge_view_create(bridge);
    if (!view) {
        bridge_destroy(bridge);
        return SLUICE_ERROR_NO_MEMORY;
    }
    struct bridge_slot *slot = &pipeline->slots[command->bridge];
    slot->draft = view;
    slot->drafted = true;
    return 0;
}

static uint32_t
bridge_del(struct pipeline *pipeline, uint32_t id)
{
    struct bridge_view *view = pipeline_view(pipeline, id);
    uint32_t error = view ? transaction_touch(pipeline, id) : SLUICE_ERROR_NO_SUCH_BRIDGE;
    if (error) {
        return error;
    }
    struct bridge_slot *slot = &pipeline->slots[id];
    if (slot->flows_open) {
        flow_store_rollback(view->bridge->flows);
        slot->flows_open = false;
    }
    if (slot->meters_open) {
        version_map_rollback(view->bridge->meters);
        slot->meters_open = false;
    }
    if (slot->groups_open) {
        version_map_rollback(view->bridge->groups);
        slot->groups_open = false;
    }
    if (slot->draft && (!slot->view || slot->draft->bridge != slot->view->bridge)) {
        bridge_destroy(slot->draft->bridge);
    }
    bridge_view_destroy(slot->draft);
    slot->draft = NULL;
    slot->drafted = true;
    return 0;
}

static uint32_t
bridge_set(struct pipeline *pipeline, const struct sluice_bridge_set *command)
{
    uint32_t error;
    if (command->frag_mode > SLUICE_FRAG_MODE_NX_MATCH) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (!draft) {
        return error;
    }
    draft->flags = command->bridge_flags;
    flow_store_set_monitored(draft->bridge->flows, (command->bridge_flags & SLUICE_BRIDGE_FLAG_MONITOR_FLOWS) != 0);
    draft->frag_mode = command->frag_mode;
    draft->depth_max = command->max_resubmit_depth;
    draft->sflow_probability = command->sflow_probability;
    draft->sflow_header = command->sflow_header;
    draft->ipfix_probability = command->ipfix_probability;
    draft->netflow_timeout_s = command->netflow_timeout_s;
    draft->mac_aging_s = command->mac_aging_s ? command->mac_aging_s : MAC_AGING_S_DEFAULT;
    draft->mac_table_size = command->mac_table_size ? command->mac_table_size : MAC_TABLE_SIZE_DEFAULT;
    draft->mcast_aging_s = command->mcast_aging_s ? command->mcast_aging_s : MCAST_AGING_S_DEFAULT;
    draft->mcast_table_size = command->mcast_table_size ? command->mcast_table_size : MCAST_TABLE_SIZE_DEFAULT;
    return 0;
}

#define SPANNING_FLAGS \
    (uint32_t)(SLUICE_SPANNING_FLAG_NO_FORWARD | SLUICE_SPANNING_FLAG_NO_LEARN | SLUICE_SPANNING_FLAG_NO_BPDU)

static uint32_t
ofport_set(struct pipeline *pipeline, const struct sluice_ofport_set *command)
{
    uint32_t error;
    size_t dscps_size = (size_t) command->n_dscps * sizeof(struct sluice_queue_dscp);
    if (command->size != sizeof *command + command->tunnel_size + dscps_size
        || (command->tunnel_size && command->tunnel_size != sizeof(struct sluice_tunnel))) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    if (!port_is_real(port_normalize(command->ofp_port)) || command->dp_port > UINT16_MAX
        || (command->tunnel_size && !command->dp_port) || command->spanning_flags & ~SPANNING_FLAGS) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (!draft) {
        return error;
    }
    const struct ofport *old = bridge_view_find_port(draft, port_normalize(command->ofp_port));
    struct ofport *port = ofport_create(command, old);
    if (!port || bridge_view_put_port(draft, port)) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    return 0;
}

static uint32_t
ofport_del(struct pipeline *pipeline, const struct sluice_ofport_del *command)
{
    uint32_t error;
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (!draft) {
        return error;
    }
    return bridge_view_remove_port(draft, port_normalize(command->ofp_port)) ? 0 : SLUICE_ERROR_NO_SUCH_PORT;
}

/* True if learned addresses of 'old' may be wrong for 'bundle'. */
static bool
vlans_differ(const struct bundle *old, const struct bundle *bundle)
{
    return old->vlan_mode != bundle->vlan_mode || old->vlan != bundle->vlan
           || memcmp(old->trunks, bundle->trunks, sizeof old->trunks)
           || memcmp(old->cvlans, bundle->cvlans, sizeof old->cvlans);
}

static uint32_t
bundle_set(struct pipeline *pipeline, const struct sluice_bundle_set *command)
{
    uint32_t error;
    uint64_t n = (uint64_t) command->n_members + command->n_enabled + command->n_buckets;
    if ((n * 4 + 7) / 8 * 8 != command->size - sizeof *command) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    if (command->vlan_mode > SLUICE_VLAN_MODE_DOT1Q_TUNNEL || command->tag > VLAN_VID_MASK
        || command->bundle == BUNDLE_NONE || command->bond_output > SLUICE_BOND_OUTPUT_HASH_L4
        || command->bond_input > SLUICE_BOND_INPUT_UNMOVED
        || (command->n_buckets && command->n_buckets != BOND_BUCKETS)) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (!draft) {
        return error;
    }
    struct bundle *bundle = bundle_create(command);
    if (!bundle) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    const struct bundle *old = bridge_view_find_bundle(draft, command->bundle);
    if (bond_take_load(pipeline, command->bridge, bundle, old)) {
        bundle_unref(bundle);
        return SLUICE_ERROR_NO_MEMORY;
    }
    if (old && vlans_differ(old, bundle)) {
        transaction_flush_macs(pipeline, command->bridge, command->bundle);
        transaction_flush_mdb(pipeline, command->bridge, command->bundle);
    }
    return bridge_view_put_bundle(draft, bundle) ? SLUICE_ERROR_NO_MEMORY : 0;
}

static uint32_t
bundle_del(struct pipeline *pipeline, const struct sluice_bundle_del *command)
{
    uint32_t error;
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (!draft) {
        return error;
    }
    if (!bridge_view_remove_bundle(draft, command->bundle)) {
        return SLUICE_ERROR_NO_SUCH_PORT;
    }
    const struct mac_edit edit = { .bridge = command->bridge, .kind = MAC_EDIT_BUNDLE_GONE, .bundle = command->bundle };
    return transaction_edit_macs(pipeline, &edit);
}

static uint32_t
mirror_set(struct pipeline *pipeline, const struct sluice_mirror_set *command)
{
    uint32_t error;
    uint64_t tail = (((uint64_t) command->n_sources + 1) / 2 + ((uint64_t) command->n_destinations + 1) / 2) * 8;
    if (tail != command->size - sizeof *command) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    if (command->mirror >= MIRRORS_MAX || command->out_vlan > VLAN_VID_MASK) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (!draft) {
        return error;
    }
    struct mirror *mirror = mirror_create(command, draft->mirrors[command->mirror]);
    if (!mirror) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    bridge_view_put_mirror(draft, command->mirror, mirror);
    return 0;
}

static uint32_t
mirror_del(struct pipeline *pipeline, const struct sluice_mirror_del *command)
{
    uint32_t error;
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (!draft) {
        return error;
    }
    if (command->mirror >= MIRRORS_MAX) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    bridge_view_put_mirror(draft, command->mirror, NULL);
    return 0;
}

static uint32_t
flood_vlans_set(struct pipeline *pipeline, const struct sluice_flood_vlans_set *command)
{
    uint32_t error;
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (!draft) {
        return error;
    }
    if (!memcmp(draft->flood_vlans, command->vlans, sizeof draft->flood_vlans)) {
        return 0;
    }
    memcpy(draft->flood_vlans, command->vlans, sizeof draft->flood_vlans);
    return transaction_flush_macs(pipeline, command->bridge, UINT32_MAX);
}

static uint32_t
table_set(struct pipeline *pipeline, const struct sluice_table_set *command)
{
    uint32_t error;
    struct bridge_view *view = pipeline_view(pipeline, command->bridge);
    if (!view) {
        return SLUICE_ERROR_NO_SUCH_BRIDGE;
    }
    if (command->table >= view->bridge->n_tables) {
        return SLUICE_ERROR_BAD_TABLE;
    }
    if (command->miss > SLUICE_MISS_DROP) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    const struct match *groups = command->groups_size ? (const struct match *) (command + 1) : NULL;
    if (command->size != sizeof *command + command->groups_size) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    if (groups && match_check_exact(groups, command->groups_size, SLUICE_KEY_WORDS)) {
        return SLUICE_ERROR_BAD_MATCH;
    }
    struct flow_store *flows = view->bridge->flows;
    error = flow_store_set_table(flows, command->table, command->max_flows, command->evict != 0, groups);
    if (!error && flow_store_is_over(flows, command->table)) {
        const struct pipeline_hooks *hooks = &pipeline->options.hooks;
        flows = transaction_flows(pipeline, command->bridge, &error);
        error = flows ? flow_store_shrink(flows, (uint8_t) command->table, hooks->now(hooks->aux)) : error;
    }
    if (error || view->miss[command->table] == command->miss) {
        return error;
    }
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (draft) {
        draft->miss[command->table] = (uint8_t) command->miss;
    }
    return error;
}

static uint32_t
flow_mod(struct pipeline *pipeline, const struct sluice_flow_mod *command, uint64_t *n_rules)
{
    uint32_t error;
    struct flow_store *flows = transaction_flows(pipeline, command->bridge, &error);
    if (!flows) {
        return error;
    }
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    return flow_store_flow_mod(flows, command, hooks->now(hooks->aux), n_rules);
}

static uint32_t
flow_flush(struct pipeline *pipeline, const struct sluice_flow_flush *command)
{
    uint32_t error;
    struct flow_store *flows = transaction_flows(pipeline, command->bridge, &error);
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    error = flows ? flow_store_flush(flows, hooks->now(hooks->aux)) : error;
    error = error ? error : ofgroup_flush(pipeline, command->bridge);
    return error ? error : ofmeter_flush(pipeline, command->bridge);
}

/* A packet-out or a resume. */
static uint32_t
packet(struct pipeline *pipeline, const struct sluice_record *command)
{
    uint32_t error = command->type == SLUICE_COMMAND_RESUME ? resume_check(pipeline, (const void *) command)
                                                            : packet_out_check(pipeline, (const void *) command);
    if (error || !pipeline->transaction.independent) {
        return error ? error : transaction_add_packet(pipeline, command);
    }
    /* What came before is not to be undone with the packet, and what comes after it waits for it. */
    if (!transaction_is_empty(pipeline)) {
        error = pipeline_commit(pipeline) ? SLUICE_ERROR_NO_MEMORY : 0;
        pipeline_begin(pipeline, true);
    }
    error = error ? error : transaction_add_packet(pipeline, command);
    if (error) {
        pipeline_rollback(pipeline);
    } else if (pipeline_commit(pipeline)) {
        error = SLUICE_ERROR_NO_MEMORY;
    }
    pipeline_begin(pipeline, true);
    return error;
}

static uint32_t
mdb_flush(struct pipeline *pipeline, uint32_t bridge)
{
    return pipeline_view(pipeline, bridge) ? transaction_flush_mdb(pipeline, bridge, UINT32_MAX)
                                           : SLUICE_ERROR_NO_SUCH_BRIDGE;
}

static uint32_t
settings(struct pipeline *pipeline, const struct sluice_settings *command)
{
    uint32_t limit = command->vlan_limit ? command->vlan_limit : 2;
    atomic_store_explicit(&pipeline->vlan_limit, limit > 2 ? 2 : limit, memory_order_relaxed);
    pipeline->holds_rules = (command->settings_flags & SLUICE_SETTINGS_FLAG_HOLD) != 0;
    return 0;
}

/* Takes effect at once, and not with the transaction: routes of the host are not configuration of ours. */
static uint32_t
tunnel_routes(struct pipeline *pipeline, const struct sluice_tunnel_routes *command)
{
    uint64_t size = (uint64_t) command->n_routes * sizeof(struct sluice_tunnel_route)
                    + (uint64_t) command->n_addresses * sizeof(struct sluice_tunnel_address);
    if (size != command->size - sizeof *command) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    if (command->port_min > command->port_max) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    struct route_table *table = route_table_create(command);
    if (!table) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    const struct route_table *old = atomic_exchange_explicit(&pipeline->routes, table, memory_order_acq_rel);
    if (old) {
        limbo_put(&pipeline->limbo, free, (void *) old);
    }
    pipeline_count_cell(pipeline, pipeline_cell(CELL_ROUTES, 0, 0));
    return 0;
}

static uint64_t
now_ms(const struct pipeline *pipeline)
{
    return pipeline->options.hooks.now(pipeline->options.hooks.aux);
}

static uint32_t
neighbor_command(struct pipeline *pipeline, const struct sluice_record *record)
{
    const void *command = record;
    if (record->type == SLUICE_COMMAND_NEIGHBOR_SET) {
        const struct sluice_neighbor_set *set = command;
        return neighbor_set(pipeline->neighbors, set->device, set->address, set->mac, now_ms(pipeline))
                   ? 0
                   : SLUICE_ERROR_NO_MEMORY;
    }
    if (record->type == SLUICE_COMMAND_NEIGHBOR_FLUSH) {
        neighbor_flush(pipeline->neighbors, ((const struct sluice_neighbor_flush *) command)->device);
        return 0;
    }
    uint32_t aging_ms = ((const struct sluice_neighbor_aging *) command)->aging_ms;
    if (!aging_ms) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    neighbor_set_aging(pipeline->neighbors, aging_ms, now_ms(pipeline));
    return 0;
}

static uint32_t
tlv_map_set(struct pipeline *pipeline, const struct sluice_tlv_map_set *command)
{
    uint32_t error;
    struct bridge_view *draft = transaction_draft(pipeline, command->bridge, &error);
    if (!draft) {
        return error;
    }
    return tlv_map_read(&draft->tlvs, command) ? 0 : SLUICE_ERROR_INVALID_RECORD;
}

/* Sizes of the fixed parts of the commands, and whether something may follow. */
#define FIXED(NAME, STRUCT, TAIL) [SLUICE_COMMAND_##NAME] = { sizeof(struct sluice_##STRUCT), TAIL }
static const struct {
    uint16_t size;
    bool has_tail;
} formats[] = {
    FIXED(BRIDGE_ADD, bridge_add, false),
    FIXED(BRIDGE_DEL, bridge_del, false),
    FIXED(BRIDGE_SET, bridge_set, false),
    FIXED(OFPORT_SET, ofport_set, true),
    FIXED(OFPORT_DEL, ofport_del, false),
    FIXED(BUNDLE_SET, bundle_set, true),
    FIXED(BUNDLE_DEL, bundle_del, false),
    FIXED(TABLE_SET, table_set, true),
    FIXED(FLOW_MOD, flow_mod, true),
    FIXED(PACKET_OUT, packet_out, true),
    FIXED(FDB_FLUSH, fdb_flush, false),
    FIXED(FLOW_FLUSH, flow_flush, false),
    FIXED(SETTINGS, settings, false),
    FIXED(METER_MOD, meter_mod, true),
    FIXED(GROUP_MOD, group_mod, true),
    FIXED(MIRROR_SET, mirror_set, true),
    FIXED(MIRROR_DEL, mirror_del, false),
    FIXED(FLOOD_VLANS_SET, flood_vlans_set, false),
    FIXED(TUNNEL_ROUTES, tunnel_routes, true),
    FIXED(NEIGHBOR_SET, neighbor_set, false),
    FIXED(NEIGHBOR_FLUSH, neighbor_flush, false),
    FIXED(NEIGHBOR_AGING, neighbor_aging, false),
    FIXED(FDB_SET, fdb_set, false),
    FIXED(FDB_DEL, fdb_del, false),
    FIXED(FDB_STATS_CLEAR, fdb_stats_clear, false),
    FIXED(TLV_MAP_SET, tlv_map_set, true),
    FIXED(RESUME, resume, true),
    FIXED(MDB_FLUSH, mdb_flush, false),
};
#undef FIXED

bool
pipeline_has_command(uint16_t type)
{
    return type < sizeof formats / sizeof formats[0] && formats[type].size;
}

static uint32_t
execute(struct pipeline *pipeline, const struct sluice_record *record, uint64_t *value)
{
    if (!pipeline_has_command(record->type) || record->size < formats[record->type].size
        || (!formats[record->type].has_tail && record->size != formats[record->type].size)) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    const void *command = record;
    switch (record->type) {
    case SLUICE_COMMAND_BRIDGE_ADD:
        return bridge_add(pipeline, command);
    case SLUICE_COMMAND_BRIDGE_DEL:
        return bridge_del(pipeline, ((const struct sluice_bridge_del *) command)->bridge);
    case SLUICE_COMMAND_BRIDGE_SET:
        return bridge_set(pipeline, command);
    case SLUICE_COMMAND_OFPORT_SET:
        return ofport_set(pipeline, command);
    case SLUICE_COMMAND_OFPORT_DEL:
        return ofport_del(pipeline, command);
    case SLUICE_COMMAND_BUNDLE_SET:
        return bundle_set(pipeline, command);
    case SLUICE_COMMAND_BUNDLE_DEL:
        return bundle_del(pipeline, command);
    case SLUICE_COMMAND_TABLE_SET:
        return table_set(pipeline, command);
    case SLUICE_COMMAND_FLOW_MOD:
        return flow_mod(pipeline, command, value);
    case SLUICE_COMMAND_PACKET_OUT:
    case SLUICE_COMMAND_RESUME:
        return packet(pipeline, record);
    case SLUICE_COMMAND_FDB_FLUSH:
        return fdb_flush(pipeline, command);
    case SLUICE_COMMAND_FDB_SET:
        return fdb_set(pipeline, command);
    case SLUICE_COMMAND_FDB_DEL:
        return fdb_del(pipeline, command);
    case SLUICE_COMMAND_FDB_STATS_CLEAR:
        return fdb_clear_stats(pipeline, ((const struct sluice_fdb_stats_clear *) command)->bridge);
    case SLUICE_COMMAND_MDB_FLUSH:
        return mdb_flush(pipeline, ((const struct sluice_mdb_flush *) command)->bridge);
    case SLUICE_COMMAND_FLOW_FLUSH:
        return flow_flush(pipeline, command);
    case SLUICE_COMMAND_GROUP_MOD:
        return ofgroup_mod(pipeline, command);
    case SLUICE_COMMAND_METER_MOD:
        return ofmeter_mod(pipeline, command, value);
    case SLUICE_COMMAND_MIRROR_SET:
        return mirror_set(pipeline, command);
    case SLUICE_COMMAND_MIRROR_DEL:
        return mirror_del(pipeline, command);
    case SLUICE_COMMAND_FLOOD_VLANS_SET:
        return flood_vlans_set(pipeline, command);
    case SLUICE_COMMAND_TLV_MAP_SET:
        return tlv_map_set(pipeline, command);
    case SLUICE_COMMAND_TUNNEL_ROUTES:
        return tunnel_routes(pipeline, command);
    case SLUICE_COMMAND_NEIGHBOR_SET:
    case SLUICE_COMMAND_NEIGHBOR_FLUSH:
    case SLUICE_COMMAND_NEIGHBOR_AGING:
        return neighbor_command(pipeline, record);
    default:
        return settings(pipeline, command);
    }
}

void
pipeline_command(struct pipeline *pipeline, const struct sluice_record *record, struct sluice_result *result)
{
    *result = (struct sluice_result){ 0, 0, 0 };
    result->error = execute(pipeline, record, &result->value);
}
