/* Multicast groups of bridges: what the administrator asks of them. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/field.h"
#include "pipeline/mcast_table.h"
#include "pipeline/pipeline_state.h"

int
mdb_dump(const struct pipeline *pipeline, const struct sluice_bridge_query *query, uint8_t *reply, size_t room,
         size_t *used)
{
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    if (!view) {
        return ENOENT;
    }
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    struct sluice_dump_reply head = { .cursor = query->cursor };
    size_t at = sizeof head;
    size_t fits = room < at ? 0 : (room - at) / sizeof(struct sluice_mdb_info);
    if (!fits) {
        return ENOSPC;
    }
    /* All that fits at once: to go on, the table is walked from its beginning. */
    struct mcast_entry_info *entries = malloc(fits * sizeof *entries);
    if (!entries) {
        return ENOMEM;
    }
    head.n_records = mcast_table_dump(view->bridge->mcast, hooks->now(hooks->aux), head.cursor, entries,
                                      (uint32_t) fits, &head.cursor);
    for (uint32_t i = 0; i < head.n_records; i++) {
        struct sluice_mdb_info info = {
            .type = query->type,
            .size = sizeof info,
            .ofp_port = bridge_view_bundle_port(view, entries[i].bundle),
            .vlan = entries[i].vlan,
            .is_router = entries[i].is_router,
            .age_s = entries[i].age_s,
        };
        memcpy(info.group, entries[i].group, sizeof info.group);
        memcpy(reply + at, &info, sizeof info);
        at += sizeof info;
    }
    free(entries);
    memcpy(reply, &head, sizeof head);
    *used = at;
    return 0;
}
