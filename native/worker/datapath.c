/* Entry points of the flow-table ABI. */
#include "sluice/datapath.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "pipeline/pipeline.h"
#include "worker/state.h"

#define FLOW_LIMIT_DEFAULT 200000u
#define MAX_IDLE_MS_DEFAULT 10000u
#define RUN_BURSTS_MAX 65536u

static void
hook_execute(void *aux, const struct flow_key *key, const uint8_t *frame, size_t frame_size, const void *actions,
             size_t actions_size)
{
    struct sluice_datapath *datapath = aux;

    worker_execute(datapath->control_worker, key, frame, frame_size, actions, actions_size);
}

static void
hook_execute_telling(void *aux, const struct flow_key *key, const uint8_t *frame, size_t frame_size,
                     const void *actions, size_t actions_size)
{
    struct sluice_datapath *datapath = aux;

    worker_execute_telling(datapath->control_worker, key, frame, frame_size, actions, actions_size);
}

static void
hook_remark(void *aux, struct sluice_event_remark *remark, const void *key, const void *first_key)
{
    struct sluice_datapath *datapath = aux;
    const struct ring_part parts[] = {
        { remark, sizeof *remark },
        { key, remark->key_size },
        { first_key, remark->first_key_size },
    };

    ring_put(&datapath->ring, DATAPATH_PORTS_MAX, (struct sluice_record *) remark, parts, 3);
}

static void
hook_flows_changed(void *aux)
{
    maintain_tell_reports(aux);
}

static uint64_t
hook_now(void *aux)
{
    return datapath_now(aux);
}

static bool
hook_netflow(void *aux, struct sluice_event_netflow *event, const struct sluice_netflow_record *records)
{
    struct sluice_datapath *datapath = aux;
    const struct ring_part parts[] = {
        { event, sizeof *event },
        { records, event->n_records * sizeof *records },
    };

    return ring_put(&datapath->ring, DATAPATH_PORTS_MAX, (struct sluice_record *) event, parts, 2);
}

static int
create_workers(struct sluice_datapath *datapath)
{
    int error = worker_create(datapath, datapath->n_workers, 1, &datapath->control_worker);

    for (uint32_t i = 0; i < datapath->n_workers && error == 0; i++) {
        error = worker_create(datapath, i, 0, &datapath->workers[i]);
    }
    for (uint32_t i = 0; i < datapath->n_threads && error == 0; i++) {
        error = worker_start(datapath->workers[i]);
    }
    return error;
}

static int
create_parts(struct sluice_datapath *datapath, const struct sluice_datapath_options *options)
{
    int error = ring_init(&datapath->ring, options->ring, options->ring_size, options->wake, options->aux);

    if (error != 0) {
        return error;
    }
    datapath->epoch = epoch_create();
    datapath->control_reader = datapath->epoch == NULL ? NULL : epoch_register(datapath->epoch);
    if (datapath->control_reader == NULL) {
        return ENOMEM;
    }
    epoch_offline(datapath->control_reader);
    const struct pipeline_options pipeline = {
        .epoch = datapath->epoch,
        .hooks = { datapath, hook_execute, hook_execute_telling, hook_flows_changed, hook_chore_waits,
                   hook_control_enter, hook_control_leave, hook_remark, hook_now, hook_netflow },
        .n_threads = datapath->n_workers + 2, /* With the control thread and that of keep-alives. */
    };
    error = pipeline_create(&pipeline, &datapath->pipeline);
    if (error == 0) {
        error = port_table_init(datapath);
    }
    if (error == 0) {
        error = create_workers(datapath);
    }
    if (error == 0) {
        error = keepalive_sender_init(datapath);
    }
    /* Without rtnetlink nobody hears of the host's devices, but everything else works. */
    if (link_monitor_open(&datapath->monitor) != 0) {
        datapath->monitor.fd = -1;
    }
    if (error == 0 && datapath->n_threads != 0) {
        error = maintain_start(datapath);
    }
    return error;
}

int
sluice_datapath_create(const struct sluice_datapath_options *options, struct sluice_datapath **datapathp)
{
    *datapathp = NULL;
    if (options->size != sizeof *options || options->version != SLUICE_ABI_VERSION
        || options->n_workers > DATAPATH_WORKERS_MAX || options->wake == NULL) {
        return EINVAL;
    }
    struct sluice_datapath *datapath = aligned_alloc(64, (sizeof *datapath + 63) & ~(size_t) 63);
    if (datapath == NULL) {
        return ENOMEM;
    }
    memset(datapath, 0, sizeof *datapath);
    datapath->n_threads = options->n_workers;
    datapath->n_shared = options->n_workers == 0 ? 1 : options->n_workers;
    datapath->n_workers = datapath->n_shared;
    polling_init(&datapath->polling);
    datapath->flow_limit = options->flow_limit != 0 ? options->flow_limit : FLOW_LIMIT_DEFAULT;
    datapath->max_idle_ms = MAX_IDLE_MS_DEFAULT;
    datapath->monitor.fd = -1;
    datapath->stop_fd = -1;
    pthread_mutex_init(&datapath->control, NULL);
    int error = create_parts(datapath, options);
    if (error != 0) {
        sluice_datapath_destroy(datapath);
        return error;
    }
    *datapathp = datapath;
    return 0;
}

void
sluice_datapath_destroy(struct sluice_datapath *datapath)
{
    if (datapath == NULL) {
        return;
    }
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        if (datapath->workers[i] != NULL) {
            worker_stop(datapath->workers[i]);
        }
    }
    maintain_stop(datapath);
    keepalive_sender_stop(datapath);
    link_monitor_close(&datapath->monitor);
    port_table_uninit(datapath);
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        worker_destroy(datapath->workers[i]);
    }
    worker_destroy(datapath->control_worker);
    keepalive_sender_uninit(datapath);
    pipeline_destroy(datapath->pipeline);
    epoch_unregister(datapath->control_reader);
    epoch_destroy(datapath->epoch);
    pthread_mutex_destroy(&datapath->control);
    free(datapath);
}

int
sluice_datapath_submit(struct sluice_datapath *datapath, const void *batch, size_t size, struct sluice_result *results,
                       size_t n_results)
{
    datapath_lock(datapath);
    int error = batch_apply(datapath, batch, size, results, n_results);
    /* A clock that was set by the batch may have made timers due. */
    if (datapath->next_sweep_ms == 0) {
        maintain(datapath, 1);
    }
    datapath_unlock(datapath);
    return error;
}

int
sluice_datapath_query(struct sluice_datapath *datapath, const void *query, size_t size, void *reply, size_t reply_size,
                      size_t *used)
{
    const struct sluice_record *record = query;

    *used = 0;
    if ((uintptr_t) query % 8 != 0 || (uintptr_t) reply % 8 != 0 || size < sizeof *record
        || size > SLUICE_ABI_QUERY_SIZE_MAX || record->size != size || size % 8 != 0) {
        return EINVAL;
    }
    datapath_lock(datapath);
    int error = query_answer(datapath, record, reply, reply_size, used);
    datapath_unlock(datapath);
    return error;
}

int
sluice_datapath_run(struct sluice_datapath *datapath, uint32_t max_bursts, uint64_t *n_packets)
{
    uint32_t limit = max_bursts == 0 || max_bursts > RUN_BURSTS_MAX ? RUN_BURSTS_MAX : max_bursts;
    uint32_t n_bursts = 0;
    uint64_t n;

    *n_packets = 0;
    if (datapath->n_threads != 0) {
        return EBUSY;
    }
    do {
        n = worker_run(datapath->workers[0], limit, &n_bursts);
        *n_packets += n;
    } while (n != 0 && n_bursts < limit);
    datapath_lock(datapath);
    maintain(datapath, 0);
    datapath_unlock(datapath);
    return 0;
}

uint64_t
sluice_datapath_now(const struct sluice_datapath *datapath)
{
    return datapath_now(datapath);
}
