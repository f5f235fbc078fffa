#include "worker/query_worker.h"

#include <errno.h>
#include <string.h>

#include "classifier/flow_cache.h"
#include "worker/cycles.h"
#include "worker/dump.h"
#include "worker/perf.h"
#include "worker/state.h"

static uint64_t
get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint32_t
count_queues(const struct worker *worker)
{
    const struct queue_list *list = atomic_load(&worker->queues);

    return list->n;
}

static void
fill_worker(const struct sluice_datapath *datapath, const struct worker *worker, struct sluice_worker_info *info)
{
    const struct worker_counters *counters = &worker->counters;
    struct flow_cache_stats stats = { 0 };

    flow_cache_add_stats(worker->cache, &stats);
    *info = (struct sluice_worker_info){
        .type = SLUICE_QUERY_WORKER_STATS,
        .size = sizeof *info,
        .worker = worker->index,
        .core = worker->core,
        .cpu = worker->cpu,
        .n_queues = count_queues(worker),
        .n_polls = get(&counters->n_polls),
        .n_idle_polls = get(&counters->n_idle_polls),
        .n_sleeps = get(&counters->n_sleeps),
        .busy_cycles = get(&counters->busy_cycles),
        .idle_cycles = get(&counters->idle_cycles),
        .sleep_cycles = get(&counters->sleep_cycles),
        .miss_cycles = get(&counters->miss_cycles),
        .n_packets = get(&counters->n_packets),
        .n_batches = get(&counters->n_batches),
        .n_recirculated = get(&counters->n_recirculated),
        .n_simple_hit = stats.n_again_hits,
        .n_emc_hit = stats.n_signature_hits,
        .n_megaflow_hit = stats.n_hits - stats.n_signature_hits - stats.n_again_hits,
        .n_mask_probe = stats.n_mask_probes,
        .n_miss = get(&counters->n_misses),
        .n_tx_packets = get(&counters->n_tx_packets),
        .n_tx_batches = get(&counters->n_tx_batches),
        .cycles_hz = polling_hz(&datapath->polling),
        .now_cycles = cycles(),
    };
}

int
query_worker_stats(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                   size_t reply_size, size_t *used)
{
    struct dump dump;
    int error = dump_begin(&dump, query, reply, reply_size);

    for (uint32_t i = 0; i < datapath->n_workers && error == 0; i++) {
        struct sluice_worker_info *info = dump_add(&dump, sizeof *info);
        if (info != NULL) {
            fill_worker(datapath, datapath->workers[i], info);
        }
    }
    return error != 0 ? error : dump_end(&dump, used);
}

static void
add_queues(struct dump *dump, const struct dp_port *entry)
{
    for (uint32_t q = 0; q < entry->n_rxq; q++) {
        const struct rx_queue *queue = &entry->queues[q];
        struct sluice_queue_info *info = dump_add(dump, sizeof *info);
        if (info != NULL) {
            *info = (struct sluice_queue_info){
                .type = SLUICE_QUERY_QUEUE_STATS,
                .size = sizeof *info,
                .dp_port = entry->port->dp_port,
                .queue = q,
                .worker = queue->worker,
                .n_packets = get(&entry->port->rx[q].n_packets),
                .cycles = get(&queue->cycles),
            };
        }
    }
}

int
query_queue_stats(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                  size_t reply_size, size_t *used)
{
    struct dump dump;
    int error = dump_begin(&dump, query, reply, reply_size);

    for (uint32_t seen = 0, i = 0; error == 0 && seen < datapath->ports.n_ports && i < DATAPATH_PORTS_MAX; i++) {
        const struct dp_port *entry = atomic_load_explicit(&datapath->ports.ports[i], memory_order_relaxed);
        if (entry != NULL) {
            seen++;
            add_queues(&dump, entry);
        }
    }
    return error != 0 ? error : dump_end(&dump, used);
}

static void
add_histogram(struct dump *dump, uint32_t worker, uint32_t kind, const struct perf_histogram *histogram)
{
    struct sluice_histogram_info *info = dump_add(dump, sizeof *info);

    if (info != NULL) {
        info->type = SLUICE_QUERY_WORKER_HISTOGRAMS;
        info->size = sizeof *info;
        info->worker = worker;
        info->kind = kind;
        for (uint32_t i = 0; i < PERF_BINS; i++) {
            info->walls[i] = histogram->walls[i];
            info->bins[i] = get(&histogram->bins[i]);
        }
    }
}

int
query_worker_histograms(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                        size_t reply_size, size_t *used)
{
    struct dump dump;
    int error = dump_begin(&dump, query, reply, reply_size);

    for (uint32_t i = 0; i < datapath->n_workers && error == 0; i++) {
        const struct worker_perf *perf = atomic_load(&datapath->workers[i]->perf);
        for (uint32_t kind = 0; perf != NULL && kind < PERF_HISTOGRAMS; kind++) {
            add_histogram(&dump, i, kind, &perf->histograms[kind]);
        }
    }
    return error != 0 ? error : dump_end(&dump, used);
}

static void
fill_sample(const struct perf_sample *sample, struct sluice_history_info *info)
{
    *info = (struct sluice_history_info){
        .type = SLUICE_QUERY_WORKER_HISTORY,
        .size = sizeof *info,
        .stamp = get(&sample->stamp),
        .n_turns = get(&sample->n_turns),
        .cycles = get(&sample->cycles),
        .busy_cycles = get(&sample->busy_cycles),
        .miss_cycles = get(&sample->miss_cycles),
        .n_packets = get(&sample->n_packets),
        .n_batches = get(&sample->n_batches),
        .n_misses = get(&sample->n_misses),
    };
}

int
query_worker_history(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                     size_t reply_size, size_t *used)
{
    const struct sluice_history_query *ask = (const struct sluice_history_query *) query;
    struct sluice_dump_reply header = { 0 };

    if (query->size != sizeof *ask || ask->kind > SLUICE_HISTORY_MILLISECONDS) {
        return EINVAL;
    }
    if (ask->worker >= datapath->n_workers) {
        return ENOENT;
    }
    if (reply_size < sizeof header) {
        return ENOSPC;
    }
    const struct worker_perf *perf = atomic_load(&datapath->workers[ask->worker]->perf);
    if (perf != NULL) {
        const struct perf_history *history = ask->kind == SLUICE_HISTORY_TURNS ? &perf->turns : &perf->milliseconds;
        uint64_t n = atomic_load_explicit(&history->n, memory_order_acquire);
        uint64_t limit = ask->limit < PERF_HISTORY - 1 ? ask->limit : PERF_HISTORY - 1;
        uint64_t room = (reply_size - sizeof header) / sizeof(struct sluice_history_info);
        limit = limit < room ? limit : room;
        limit = limit < n ? limit : n;
        struct sluice_history_info *records = (struct sluice_history_info *) (reply + sizeof header);
        for (uint64_t i = 0; i < limit; i++) {
            fill_sample(&history->samples[(n - 1 - i) % PERF_HISTORY], &records[i]);
        }
        header.n_records = (uint32_t) limit;
    }
    memcpy(reply, &header, sizeof header);
    *used = sizeof header + header.n_records * sizeof(struct sluice_history_info);
    return 0;
}
