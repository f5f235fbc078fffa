/* Batches: untrusted bytes, taken apart with a check before each step. */
#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "classifier/flow_cache.h"
#include "pipeline/pipeline.h"
#include "worker/shaper.h"
#include "worker/state.h"

/* Least bytes of a batch's header and of a record. */
#define ALIGNMENT 8u

static size_t
pad8(size_t size)
{
    return (size + 7) & ~(size_t) 7;
}

/* Whether the batch is well-formed: its header, and records that fill it exactly. */
static _Bool
is_well_formed(const uint8_t *bytes, size_t size)
{
    const struct sluice_batch *batch = (const struct sluice_batch *) bytes;
    size_t at = sizeof *batch;
    uint32_t n = 0;

    if ((uintptr_t) bytes % ALIGNMENT != 0 || size < sizeof *batch || size > SLUICE_ABI_BATCH_SIZE_MAX
        || batch->size != size || batch->version != SLUICE_ABI_VERSION || batch->pad != 0
        || (batch->flags & ~SLUICE_BATCH_FLAG_INDEPENDENT) != 0) {
        return 0;
    }
    while (at < size) {
        const struct sluice_record *record = (const struct sluice_record *) (bytes + at);
        if (size - at < sizeof *record || record->size < sizeof *record || record->size % ALIGNMENT != 0
            || record->size > size - at) {
            return 0;
        }
        at += record->size;
        n++;
    }
    return n == batch->n_commands;
}

static void
fail(struct sluice_result *result, uint32_t error, int system_error)
{
    result->error = error;
    result->system_error = (uint32_t) system_error;
}

/* The result of a device's errno value. */
static void
device_result(struct sluice_result *result, int error)
{
    if (error == ENOTSUP) {
        fail(result, SLUICE_ERROR_NOT_SUPPORTED, error);
    } else if (error == EINVAL) {
        fail(result, SLUICE_ERROR_BAD_ARGUMENT, error);
    } else if (error != 0) {
        fail(result, SLUICE_ERROR_DEVICE, error);
    }
}

/* Whether 'record' has 'fixed' bytes and exactly the tails 'a' and 'b', each padded. */
static _Bool
has_tails(const struct sluice_record *record, size_t fixed, uint32_t a, uint32_t b)
{
    return record->size >= fixed && a <= record->size && b <= record->size && record->size == fixed + pad8(a) + pad8(b);
}

/* Copies a name of 'size' bytes, without zero bytes in it, to 'name' of 'room' bytes. */
static _Bool
copy_name(char *name, size_t room, const void *bytes, size_t size)
{
    if (size == 0 || size >= room || memchr(bytes, '\0', size) != NULL) {
        return 0;
    }
    memcpy(name, bytes, size);
    name[size] = '\0';
    return 1;
}

static void
do_port_open(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_port_open *open = (const struct sluice_port_open *) record;
    char name[PORT_NAME_SIZE];
    uint32_t ifindex = 0;

    if (record->size < sizeof *open || !has_tails(record, sizeof *open, open->name_size, open->config_size)) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    const uint8_t *tail = (const uint8_t *) (open + 1);
    if (open->dp_port == 0 || open->dp_port >= DATAPATH_PORTS_MAX
        || !copy_name(name, sizeof name, tail, open->name_size)) {
        fail(result, SLUICE_ERROR_BAD_ARGUMENT, 0);
        return;
    }
    if (port_table_get(datapath, open->dp_port) != NULL) {
        fail(result, SLUICE_ERROR_EXISTS, 0);
        return;
    }
    const struct port_options options = {
        .dp_port = open->dp_port,
        .name = name,
        .config = (const char *) tail + pad8(open->name_size),
        .config_size = open->config_size,
        .n_threads = datapath->n_workers + 1,
        .host = &datapath->ports.host,
    };
    device_result(result, port_table_open(datapath, open->port_class, &options, &ifindex));
    result->value = ifindex;
}

static void
do_port_close(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_port_close *close = (const struct sluice_port_close *) record;

    if (record->size != sizeof *close) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
    } else if (port_table_close(datapath, close->dp_port) != 0) {
        fail(result, SLUICE_ERROR_NO_SUCH_PORT, 0);
    }
}

static void
do_port_set(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_port_set *set = (const struct sluice_port_set *) record;

    if (record->size < sizeof *set || !has_tails(record, sizeof *set, set->config_size, 0)) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    struct port *port = port_table_get(datapath, set->dp_port);
    if (port == NULL) {
        fail(result, SLUICE_ERROR_NO_SUCH_PORT, 0);
        return;
    }
    device_result(result, port_set(port, (const char *) (set + 1), set->config_size));
    port_table_follow(datapath, set->dp_port);
}

static void
do_port_inject(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_port_inject *inject = (const struct sluice_port_inject *) record;

    if (record->size < sizeof *inject || !has_tails(record, sizeof *inject, inject->frame_size, 0)) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    struct port *port = port_table_get(datapath, inject->dp_port);
    if (port == NULL) {
        fail(result, SLUICE_ERROR_NO_SUCH_PORT, 0);
        return;
    }
    /* The worker must have the port before it can be woken for it. */
    port_table_publish(datapath);
    device_result(result, port_inject(port, inject->queue, (const uint8_t *) (inject + 1), inject->frame_size));
}

static void
do_clock_set(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_clock_set *set = (const struct sluice_clock_set *) record;

    if (record->size != sizeof *set) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    if (set->mode > 1) {
        fail(result, SLUICE_ERROR_BAD_ARGUMENT, 0);
        return;
    }
    atomic_store(set->mode == 0 ? &datapath->clock.ahead_ms : &datapath->clock.frozen_ms, set->now_ms);
    atomic_store(&datapath->clock.is_frozen, set->mode);
    datapath->next_maintenance_ms = 0;
    datapath->next_sweep_ms = 0;
}

static void
do_settings(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_settings *settings = (const struct sluice_settings *) record;

    if (record->size != sizeof *settings) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    if (settings->flow_limit != 0) {
        datapath->flow_limit = settings->flow_limit;
        for (uint32_t i = 0; i < datapath->n_workers; i++) {
            flow_cache_set_limit(datapath->workers[i]->cache, settings->flow_limit);
        }
    }
    if (settings->max_idle_ms != 0) {
        datapath->max_idle_ms = settings->max_idle_ms;
    }
    atomic_store(&datapath->settings_flags, settings->settings_flags);
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        flow_cache_tell(datapath->workers[i]->cache, settings->settings_flags & SLUICE_SETTINGS_FLAG_TELL_MEGAFLOWS);
    }
}

static void
do_megaflow_flush(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    (void) result;
    (void) record;
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        flow_cache_flush(datapath->workers[i]->cache, NULL, NULL);
    }
}

static void
do_link_set(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_link_set *set = (const struct sluice_link_set *) record;
    char name[IFNAMSIZ];

    (void) datapath;
    if (record->size < sizeof *set || !has_tails(record, sizeof *set, set->name_size, 0)) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
    } else if (!copy_name(name, sizeof name, set + 1, set->name_size)) {
        fail(result, SLUICE_ERROR_BAD_ARGUMENT, 0);
    } else {
        device_result(result, link_set(name, set));
    }
}

static void
do_tc_change(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_tc_request *request = (const struct sluice_tc_request *) record;
    uint8_t reply[512];
    size_t used;

    (void) datapath;
    if (record->size < sizeof *request || !has_tails(record, sizeof *request, request->message_size, 0)) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
    } else {
        device_result(result, link_tc(request + 1, request->message_size, reply, sizeof reply, &used));
    }
}

static void
placement_result(struct sluice_result *result, int error)
{
    if (error == ENOENT) {
        fail(result, SLUICE_ERROR_NO_SUCH_PORT, 0);
    } else {
        device_result(result, error);
    }
}

static void
do_worker_set(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_worker_set *set = (const struct sluice_worker_set *) record;

    if (record->size != sizeof *set) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    placement_result(result, placement_set_worker(datapath, set));
}

static void
do_queue_place(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_queue_place *place = (const struct sluice_queue_place *) record;

    if (record->size != sizeof *place) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    placement_result(result, port_table_place(datapath, place->dp_port, place->queue, place->worker));
}

static void
do_polling_set(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_polling_set *set = (const struct sluice_polling_set *) record;

    if (record->size != sizeof *set) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    placement_result(result, placement_set_polling(datapath, set));
}

static void
do_port_police(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_port_police *police = (const struct sluice_port_police *) record;

    if (record->size != sizeof *police) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    int error = port_table_police(datapath, police);
    if (error != 0) {
        fail(result, error == ENOENT ? SLUICE_ERROR_NO_SUCH_PORT : SLUICE_ERROR_NO_MEMORY, 0);
    }
}

static void
do_port_shape(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_port_shape *shape = (const struct sluice_port_shape *) record;

    if (record->size != sizeof *shape) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    if (shape->kind > SLUICE_SHAPE_KIND_QUEUES) {
        fail(result, SLUICE_ERROR_BAD_ARGUMENT, 0);
        return;
    }
    int error = port_table_shape(datapath, shape);
    if (error != 0) {
        fail(result, error == ENOENT ? SLUICE_ERROR_NO_SUCH_PORT : SLUICE_ERROR_NO_MEMORY, 0);
    }
}

static void
do_shape_queue(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_shape_queue *command = (const struct sluice_shape_queue *) record;

    if (record->size != sizeof *command) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
        return;
    }
    struct shaper *shaper = port_table_shaper(datapath, command->dp_port);
    if (shaper == NULL) {
        fail(result, SLUICE_ERROR_NO_SUCH_PORT, 0);
    } else {
        device_result(result, shaper_set_queue(shaper, command));
    }
}

typedef void command_func(struct sluice_datapath *, const struct sluice_record *, struct sluice_result *);

static command_func *
own_command(uint16_t type)
{
    switch (type) {
    case SLUICE_COMMAND_PORT_OPEN:
        return do_port_open;
    case SLUICE_COMMAND_PORT_CLOSE:
        return do_port_close;
    case SLUICE_COMMAND_PORT_SET:
        return do_port_set;
    case SLUICE_COMMAND_PORT_POLICE:
        return do_port_police;
    case SLUICE_COMMAND_PORT_SHAPE:
        return do_port_shape;
    case SLUICE_COMMAND_SHAPE_QUEUE:
        return do_shape_queue;
    case SLUICE_COMMAND_PORT_INJECT:
        return do_port_inject;
    case SLUICE_COMMAND_CLOCK_SET:
        return do_clock_set;
    case SLUICE_COMMAND_SETTINGS:
        return do_settings;
    case SLUICE_COMMAND_MEGAFLOW_FLUSH:
        return do_megaflow_flush;
    case SLUICE_COMMAND_LINK_SET:
        return do_link_set;
    case SLUICE_COMMAND_TC_CHANGE:
        return do_tc_change;
    case SLUICE_COMMAND_WORKER_SET:
        return do_worker_set;
    case SLUICE_COMMAND_QUEUE_PLACE:
        return do_queue_place;
    case SLUICE_COMMAND_POLLING_SET:
        return do_polling_set;
    case SLUICE_COMMAND_KEEPALIVE_SET:
        return keepalive_do_set;
    case SLUICE_COMMAND_KEEPALIVE_DEL:
        return keepalive_do_del;
    default:
        return NULL;
    }
}

/* Whether what was counted so far moves to something new: what is counted later would be lost with the old. */
static _Bool
copies_counters(const struct sluice_record *record)
{
    const struct sluice_group_mod *mod = (const struct sluice_group_mod *) record;

    return record->type == SLUICE_COMMAND_GROUP_MOD && record->size >= sizeof *mod
           && (mod->command == SLUICE_GROUP_COMMAND_INSERT_BUCKET
               || mod->command == SLUICE_GROUP_COMMAND_REMOVE_BUCKET);
}

static void
apply_one(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    command_func *own = own_command(record->type);

    memset(result, 0, sizeof *result);
    if (own != NULL) {
        own(datapath, record, result);
    }
    if (copies_counters(record)) {
        maintain_push_caches(datapath);
    }
    /* Settings concern both. */
    if (pipeline_has_command(record->type)) {
        if (result->error == 0) {
            pipeline_command(datapath->pipeline, record, result);
        }
    } else if (own == NULL) {
        fail(result, SLUICE_ERROR_INVALID_RECORD, 0);
    }
}

/* Applies the commands; false when a failed one undoes the transaction. */
static _Bool
apply_all(struct sluice_datapath *datapath, const uint8_t *bytes, struct sluice_result *results)
{
    const struct sluice_batch *batch = (const struct sluice_batch *) bytes;
    _Bool independent = (batch->flags & SLUICE_BATCH_FLAG_INDEPENDENT) != 0;
    size_t at = sizeof *batch;

    for (uint32_t i = 0; i < batch->n_commands; i++) {
        const struct sluice_record *record = (const struct sluice_record *) (bytes + at);
        apply_one(datapath, record, &results[i]);
        if (results[i].error != 0 && !independent) {
            for (uint32_t rest = i + 1; rest < batch->n_commands; rest++) {
                results[rest] = (struct sluice_result){ .error = SLUICE_ERROR_CANCELED, .system_error = ECANCELED };
            }
            return 0;
        }
        at += record->size;
    }
    return 1;
}

int
batch_apply(struct sluice_datapath *datapath, const void *batch, size_t size, struct sluice_result *results,
            size_t n_results)
{
    const struct sluice_batch *header = batch;

    if (!is_well_formed(batch, size)) {
        return EINVAL;
    }
    if (n_results < header->n_commands) {
        return ENOSPC;
    }
    pipeline_begin(datapath->pipeline, (header->flags & SLUICE_BATCH_FLAG_INDEPENDENT) != 0);
    _Bool commit = apply_all(datapath, batch, results);
    port_table_publish(datapath);
    if (commit) {
        pipeline_commit(datapath->pipeline);
    } else {
        pipeline_rollback(datapath->pipeline);
    }
    return 0;
}
