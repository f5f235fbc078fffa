/* Workers and their cores, while packets pass. */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/flow_cache.h"
#include "worker/cycles.h"
#include "worker/state.h"

/* Time over which the rate of the time stamp counter must have been watched to be believed. */
#define RATE_NS_MIN 1000000u

void
polling_init(struct polling *polling)
{
    polling->base_cycles = cycles();
    polling->base_ns = real_now_ns();
    if (sched_getaffinity(0, sizeof polling->cpus, &polling->cpus) != 0) {
        CPU_ZERO(&polling->cpus);
    }
}

uint64_t
polling_hz(const struct polling *polling)
{
    uint64_t ns, n_cycles;

    do {
        n_cycles = cycles() - polling->base_cycles;
        ns = real_now_ns() - polling->base_ns;
    } while (ns < RATE_NS_MIN);
    return (uint64_t) ((double) n_cycles * 1e9 / (double) ns);
}

/* Room for what the worker is to measure, once it is asked to. */
static int
give_perf(struct sluice_datapath *datapath, struct worker *worker)
{
    if (!(atomic_load(&datapath->polling.flags) & SLUICE_POLLING_FLAG_METRICS) || atomic_load(&worker->perf) != NULL) {
        return 0;
    }
    struct worker_perf *perf = perf_create(datapath->polling.walls);
    atomic_store(&worker->perf, perf);
    return perf == NULL ? ENOMEM : 0;
}

/* Starts one more worker thread. */
static int
add_worker(struct sluice_datapath *datapath, uint32_t index)
{
    struct worker *worker;
    int error = worker_create(datapath, index, 0, &worker);

    if (error == 0) {
        flow_cache_tell(worker->cache, atomic_load(&datapath->settings_flags) & SLUICE_SETTINGS_FLAG_TELL_MEGAFLOWS);
        error = give_perf(datapath, worker);
    }
    if (error == 0) {
        error = worker_start(worker);
    }
    if (error != 0) {
        worker_destroy(worker);
        return error;
    }
    datapath->workers[index] = worker;
    atomic_store(&datapath->n_workers, index + 1);
    return 0;
}

static int
bind_thread(const struct sluice_datapath *datapath, struct worker *worker, uint32_t cpu)
{
    cpu_set_t cpus = datapath->polling.cpus;

    if (cpu != WORKER_NONE) {
        if (cpu >= CPU_SETSIZE) {
            return EINVAL;
        }
        CPU_ZERO(&cpus);
        CPU_SET(cpu, &cpus);
    }
    int error = pthread_setaffinity_np(worker->thread, sizeof cpus, &cpus);
    if (error == 0) {
        worker->cpu = cpu;
    }
    return error;
}

/* As top and ps show it. */
static void
name_thread(struct worker *worker)
{
    char name[16];

    if (worker->core == WORKER_NONE) {
        snprintf(name, sizeof name, "rest/id:%u", worker->index);
    } else {
        snprintf(name, sizeof name, "pmd-c%02u/id:%u", worker->core % 1000, worker->index);
    }
    pthread_setname_np(worker->thread, name);
}

int
placement_set_worker(struct sluice_datapath *datapath, const struct sluice_worker_set *set)
{
    uint32_t n = atomic_load(&datapath->n_workers);

    if (datapath->n_threads == 0) {
        return ENOTSUP;
    }
    if (set->worker > n || set->worker < datapath->n_shared) {
        return EINVAL;
    }
    if (set->worker == DATAPATH_WORKERS_MAX) {
        return ENOSPC;
    }
    int error = set->worker == n ? add_worker(datapath, n) : 0;
    if (error != 0) {
        return error;
    }
    struct worker *worker = datapath->workers[set->worker];
    worker->core = set->core;
    name_thread(worker);
    error = bind_thread(datapath, worker, set->core == WORKER_NONE ? WORKER_NONE : set->cpu);
    if (set->core == WORKER_NONE) {
        flow_cache_flush(worker->cache, NULL, NULL);
    }
    return error;
}

int
placement_set_polling(struct sluice_datapath *datapath, const struct sluice_polling_set *set)
{
    struct polling *polling = &datapath->polling;
    uint32_t n = atomic_load(&datapath->n_workers);
    int error = 0;

    if (set->polling_flags & ~(uint32_t) SLUICE_POLLING_FLAG_METRICS) {
        return EINVAL;
    }
    memcpy(polling->walls, set->walls, sizeof polling->walls);
    atomic_store(&polling->flags, set->polling_flags);
    atomic_store(&polling->pause_us_max, set->pause_us_max);
    for (uint32_t i = 0; i < n && error == 0; i++) {
        error = give_perf(datapath, datapath->workers[i]);
    }
    return error;
}
