#include "pipeline/ofmeter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/flow_store.h"
#include "meter/meter_table.h"
#include "pipeline/pipeline_state.h"

#define METER_FLAGS \
    (SLUICE_METER_FLAG_KBPS | SLUICE_METER_FLAG_PKTPS | SLUICE_METER_FLAG_BURST | SLUICE_METER_FLAG_STATS)

void
ofmeter_free(void *pipeline_, struct versioned *versioned)
{
    struct pipeline *pipeline = pipeline_;
    struct ofmeter *meter = (struct ofmeter *) versioned;

    meter_table_remove(pipeline->meters, meter->dp_meter, meter->meter);
    free(meter->meter);
    free(meter);
}

const struct ofmeter *
ofmeter_find(const struct bridge *bridge, uint32_t id, uint64_t version)
{
    return (const struct ofmeter *) version_map_find(bridge->meters, id, version);
}

/* Checks all that does not depend on which meters there are. */
static uint32_t
check(const struct sluice_meter_mod *command)
{
    const struct sluice_meter_band *bands = (const struct sluice_meter_band *) (command + 1);
    uint32_t units = command->meter_flags & (SLUICE_METER_FLAG_KBPS | SLUICE_METER_FLAG_PKTPS);

    if (command->n_bands > METER_BANDS_MAX || command->size != sizeof *command + command->n_bands * sizeof *bands
        || command->pad != 0) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    if (command->command == SLUICE_METER_COMMAND_DELETE) {
        return command->n_bands != 0 ? SLUICE_ERROR_INVALID_RECORD : 0;
    }
    if (command->command > SLUICE_METER_COMMAND_DELETE || command->n_bands == 0
        || (command->meter_flags & ~(uint32_t) METER_FLAGS) != 0 || units == 0 || (units & (units - 1)) != 0
        || !(ofmeter_id_is_plain(command->meter) || command->meter == SLUICE_METER_SLOWPATH
             || command->meter == SLUICE_METER_CONTROLLER)) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    for (uint32_t i = 0; i < command->n_bands; i++) {
        if (bands[i].rate == 0) {
            return SLUICE_ERROR_BAD_ARGUMENT;
        }
    }
    return 0;
}

/* A meter as the command wants it, under a number of its own or, if 'old' is not null, under that one's. */
static uint32_t
create(struct pipeline *pipeline, const struct sluice_meter_mod *command, const struct ofmeter *old,
       struct ofmeter **meterp)
{
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    uint64_t now_ms = hooks->now(hooks->aux);
    struct ofmeter *meter = calloc(1, sizeof *meter);

    if (meter == NULL) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    meter->meter = meter_create(command->meter_flags, (const struct sluice_meter_band *) (command + 1),
                                command->n_bands, 1000 * now_ms);
    meter->versioned.id = command->meter;
    meter->created_ms = old != NULL ? old->created_ms : now_ms;
    meter->dp_meter = old != NULL ? old->dp_meter : 0;
    if (meter->meter == NULL || (old == NULL && meter_table_reserve(pipeline->meters, &meter->dp_meter) != 0)) {
        free(meter->meter);
        free(meter);
        return SLUICE_ERROR_NO_MEMORY;
    }
    *meterp = meter;
    return 0;
}

static uint32_t
set(struct pipeline *pipeline, struct version_map *meters, const struct sluice_meter_mod *command, uint64_t *dp_meter)
{
    const struct ofmeter *old = (const struct ofmeter *) version_map_newest(meters, command->meter);
    bool adds = command->command == SLUICE_METER_COMMAND_ADD;
    struct ofmeter *meter;

    if (adds == (old != NULL)) {
        return adds ? SLUICE_ERROR_EXISTS : SLUICE_ERROR_NO_SUCH_METER;
    }
    uint32_t error = create(pipeline, command, old, &meter);
    if (error != 0) {
        return error;
    }
    uint32_t mark = version_map_mark(meters);
    *dp_meter = meter->dp_meter;
    if ((old != NULL && version_map_remove(meters, command->meter) != 0)
        || version_map_add(meters, &meter->versioned) != 0) {
        version_map_undo(meters, mark);
        ofmeter_free(pipeline, &meter->versioned);
        return SLUICE_ERROR_NO_MEMORY;
    }
    return 0;
}

/* Removes a meter with the rules that use it. */
static uint32_t delete (struct pipeline *pipeline, struct version_map *meters, uint32_t bridge, uint32_t id)
{
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    uint32_t error = 0;

    if (ofmeter_id_is_plain(id)) {
        struct flow_store *flows = transaction_flows(pipeline, bridge, &error);
        if (flows != NULL) {
            error = flow_store_delete_references(flows, ACTION_REFERENCE_METER, id, SLUICE_REMOVED_REASON_METER_DELETE,
                                                 hooks->now(hooks->aux));
        }
    }
    if (error == 0 && version_map_remove(meters, id) != 0) {
        error = SLUICE_ERROR_NO_MEMORY;
    }
    return error;
}

static uint32_t
delete_all(struct pipeline *pipeline, struct version_map *meters, uint32_t bridge)
{
    uint32_t error = 0;

    while (error == 0 && version_map_count(meters) != 0) {
        uint32_t last = version_map_count(meters) - 1;
        error = delete (pipeline, meters, bridge, version_map_at(meters, last)->id);
    }
    return error;
}

uint32_t
ofmeter_mod(struct pipeline *pipeline, const struct sluice_meter_mod *command, uint64_t *dp_meter)
{
    uint32_t error = check(command);
    struct version_map *meters = error == 0 ? transaction_meters(pipeline, command->bridge, &error) : NULL;

    if (meters == NULL) {
        return error;
    }
    if (command->command != SLUICE_METER_COMMAND_DELETE) {
        return set(pipeline, meters, command, dp_meter);
    }
    if (command->meter == SLUICE_METER_ALL) {
        return delete_all(pipeline, meters, command->bridge);
    }
    return version_map_newest(meters, command->meter) != NULL
               ? delete (pipeline, meters, command->bridge, command->meter)
               : 0;
}

uint32_t
ofmeter_flush(struct pipeline *pipeline, uint32_t bridge)
{
    uint32_t error;
    struct version_map *meters = transaction_meters(pipeline, bridge, &error);

    return meters != NULL ? delete_all(pipeline, meters, bridge) : error;
}

/* What was translated while it was not there, or is told of it, is stale. */
static void
touch_cell(const struct bridge *bridge, uint32_t id)
{
    struct pipeline *pipeline = bridge->pipeline;
    uint64_t version = atomic_load_explicit(&pipeline->config, memory_order_relaxed)->version;

    pipeline_set_cell(pipeline, pipeline_cell(CELL_METER, bridge->id, id), version);
}

static void
added(void *bridge_, struct versioned *versioned)
{
    const struct bridge *bridge = bridge_;
    const struct ofmeter *meter = (const struct ofmeter *) versioned;

    meter_table_put(bridge->pipeline->meters, meter->dp_meter, meter->meter);
    touch_cell(bridge, versioned->id);
}

static void
removed(void *bridge_, struct versioned *versioned)
{
    touch_cell(bridge_, versioned->id);
}

void
ofmeter_commit(struct pipeline *pipeline, struct bridge *bridge)
{
    (void) pipeline;
    version_map_commit(bridge->meters, added, removed, bridge);
}

/* Writes the record of a meter.  Returns its size, or 0 if it does not fit. */
static size_t
put_meter(const struct bridge *bridge, const struct ofmeter *ofmeter, uint64_t now_ms, uint8_t *record, size_t room)
{
    const struct meter *meter = ofmeter->meter;
    size_t size = sizeof(struct sluice_meter_info) + meter->n_bands * sizeof(struct sluice_meter_band_info);

    if (size > room) {
        return 0;
    }
    const struct sluice_meter_info info = {
        .type = SLUICE_QUERY_METER_DUMP,
        .size = (uint32_t) size,
        .bridge = bridge->id,
        .meter = ofmeter->versioned.id,
        .meter_flags = meter->flags,
        .dp_meter = ofmeter->dp_meter,
        .n_flows = (uint32_t) flow_store_count_references(bridge->flows, ACTION_REFERENCE_METER, ofmeter->versioned.id),
        .n_bands = meter->n_bands,
        .n_packets = atomic_load_explicit(&meter->n_packets, memory_order_relaxed),
        .n_bytes = atomic_load_explicit(&meter->n_bytes, memory_order_relaxed),
        .created_ms = ofmeter->created_ms,
        .now_ms = now_ms,
    };
    memcpy(record, &info, sizeof info);
    for (uint32_t i = 0; i < meter->n_bands; i++) {
        const struct sluice_meter_band_info band = {
            .rate = meter->bands[i].rate,
            .burst_size = meter->bands[i].burst_size,
            .n_packets = atomic_load_explicit(&meter->bands[i].n_packets, memory_order_relaxed),
            .n_bytes = atomic_load_explicit(&meter->bands[i].n_bytes, memory_order_relaxed),
        };
        memcpy(record + sizeof info + i * sizeof band, &band, sizeof band);
    }
    return size;
}

int
ofmeter_dump(const struct pipeline *pipeline, const struct sluice_object_query *query, uint64_t now_ms, uint8_t *reply,
             size_t room, size_t *used)
{
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    struct sluice_dump_reply head = { 0, 0, 0 };
    size_t at = sizeof head;

    if (view == NULL) {
        return ENOENT;
    }
    if (room < at || query->cursor > UINT32_MAX) {
        return ENOSPC;
    }
    /* A cursor is the number to go on from; no meter is 0. */
    bool all = query->id == SLUICE_METER_ALL;
    const struct version_map *meters = view->bridge->meters;
    for (uint32_t i = version_map_position(meters, all ? (uint32_t) query->cursor : query->id);
         i < version_map_count(meters); i++) {
        const struct ofmeter *meter = (const struct ofmeter *) version_map_at(meters, i);
        if (!all && meter->versioned.id != query->id) {
            break;
        }
        size_t size = put_meter(view->bridge, meter, now_ms, reply + at, room - at);
        if (size == 0) {
            head.cursor = meter->versioned.id;
            break;
        }
        at += size;
        head.n_records++;
    }
    if (head.cursor != 0 && head.n_records == 0) {
        return ENOSPC;
    }
    memcpy(reply, &head, sizeof head);
    *used = at;
    return 0;
}
