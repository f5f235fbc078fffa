/* Addresses of bridges: what the administrator sets and asks of them. */
#include <errno.h>
#include <string.h>

#include "pipeline/field.h"
#include "pipeline/mac_table.h"
#include "pipeline/pipeline_state.h"
#include "pipeline/xlate_ctx.h"

#define FDB_CHUNK 64u

/* The bundle that has the port, or BUNDLE_NONE. */
static uint32_t
bundle_of_port(const struct bridge_view *view, uint32_t port)
{
    for (uint32_t i = 0; i < view->n_bundles; i++) {
        for (uint32_t j = 0; j < view->bundles[i]->n_members; j++) {
            if (view->bundles[i]->members[j] == port) {
                return view->bundles[i]->id;
            }
        }
    }
    return BUNDLE_NONE;
}

uint32_t
fdb_flush(struct pipeline *pipeline, const struct sluice_fdb_flush *command)
{
    const struct bridge_view *view = pipeline_view(pipeline, command->bridge);
    if (!view) {
        return SLUICE_ERROR_NO_SUCH_BRIDGE;
    }
    if (command->ofp_port == UINT32_MAX) {
        return transaction_flush_macs(pipeline, command->bridge, UINT32_MAX);
    }
    uint32_t port = port_normalize(command->ofp_port);
    if (!bridge_view_find_port(view, port)) {
        return SLUICE_ERROR_NO_SUCH_PORT;
    }
    uint32_t bundle = bundle_of_port(view, port);
    return bundle == BUNDLE_NONE ? 0 : transaction_flush_macs(pipeline, command->bridge, bundle);
}

uint32_t
fdb_set(struct pipeline *pipeline, const struct sluice_fdb_set *command)
{
    const struct bridge_view *view = pipeline_view(pipeline, command->bridge);
    if (!view) {
        return SLUICE_ERROR_NO_SUCH_BRIDGE;
    }
    if (command->vlan > UINT16_MAX || command->pad) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    struct mac_edit edit = {
        .bridge = command->bridge,
        .kind = MAC_EDIT_SET,
        .bundle = bundle_of_port(view, port_normalize(command->ofp_port)),
        .vlan = (uint16_t) command->vlan,
        .mac = (uint64_t) field_value_load(command->mac, 6),
    };
    if (edit.bundle == BUNDLE_NONE) {
        return SLUICE_ERROR_NO_SUCH_PORT;
    }
    struct mac_table_stats stats;
    mac_table_get_stats(view->bridge->macs, &stats);
    uint32_t bundle;
    if (stats.n_static >= stats.size_max && !mac_table_lookup(view->bridge->macs, edit.vlan, edit.mac, &bundle)) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    return transaction_edit_macs(pipeline, &edit);
}

uint32_t
fdb_del(struct pipeline *pipeline, const struct sluice_fdb_del *command)
{
    const struct bridge_view *view = pipeline_view(pipeline, command->bridge);
    if (!view) {
        return SLUICE_ERROR_NO_SUCH_BRIDGE;
    }
    const struct mac_edit edit = {
        .bridge = command->bridge,
        .kind = MAC_EDIT_DEL,
        .vlan = (uint16_t) command->vlan,
        .mac = (uint64_t) field_value_load(command->mac, 6),
    };
    if (command->vlan > UINT16_MAX || !mac_table_has_static(view->bridge->macs, edit.vlan, edit.mac)) {
        return SLUICE_ERROR_NO_SUCH_ADDRESS;
    }
    return transaction_edit_macs(pipeline, &edit);
}

uint32_t
fdb_clear_stats(struct pipeline *pipeline, uint32_t bridge)
{
    const struct mac_edit edit = { .bridge = bridge, .kind = MAC_EDIT_CLEAR_STATS };
    return pipeline_view(pipeline, bridge) ? transaction_edit_macs(pipeline, &edit) : SLUICE_ERROR_NO_SUCH_BRIDGE;
}

int
fdb_stats(const struct pipeline *pipeline, const struct sluice_bridge_query *query, uint8_t *reply, size_t room,
          size_t *used)
{
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    if (!view) {
        return ENOENT;
    }
    struct mac_table_stats stats;
    mac_table_get_stats(view->bridge->macs, &stats);
    const struct sluice_fdb_stats_info info = {
        .n = stats.n,
        .n_static = stats.n_static,
        .size_max = stats.size_max,
        .n_learned = stats.n_changes[MAC_LEARNED],
        .n_expired = stats.n_changes[MAC_EXPIRED],
        .n_evicted = stats.n_changes[MAC_EVICTED],
        .n_moved = stats.n_changes[MAC_MOVED],
    };
    if (room < sizeof info) {
        return ENOSPC;
    }
    memcpy(reply, &info, sizeof info);
    *used = sizeof info;
    return 0;
}

int
fdb_dump(const struct pipeline *pipeline, const struct sluice_bridge_query *query, uint8_t *reply, size_t room,
         size_t *used)
{
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    if (!view) {
        return ENOENT;
    }
    struct sluice_dump_reply head = { .cursor = query->cursor };
    size_t at = sizeof head;
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    uint64_t now = hooks->now(hooks->aux);
    do {
        struct mac_entry_info entries[FDB_CHUNK];
        size_t fits = room < at ? 0 : (room - at) / sizeof(struct sluice_fdb_info);
        if (!fits) {
            break;
        }
        uint64_t next;
        uint32_t n = mac_table_dump(view->bridge->macs, head.cursor, entries,
                                    fits < FDB_CHUNK ? (uint32_t) fits : FDB_CHUNK, &next);
        for (uint32_t i = 0; i < n; i++) {
            struct sluice_fdb_info info = {
                .type = query->type,
                .size = sizeof info,
                .ofp_port = bridge_view_bundle_port(view, entries[i].bundle),
                .vlan = entries[i].vlan,
                .is_static = entries[i].is_static,
                .age_ms = now > entries[i].used_ms ? now - entries[i].used_ms : 0,
            };
            field_value_store(info.mac, 6, entries[i].mac);
            memcpy(reply + at, &info, sizeof info);
            at += sizeof info;
        }
        head.n_records += n;
        head.cursor = next;
    } while (head.cursor);
    if (room < sizeof head || (head.cursor && !head.n_records)) {
        return ENOSPC;
    }
    memcpy(reply, &head, sizeof head);
    *used = at;
    return 0;
}
