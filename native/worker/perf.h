/* What a worker measures of its turns besides its counters, when it is asked to: how they are distributed, and the last
 * thousand one by one, and by milliseconds.
 *
 * Threads.  The worker writes.  Anyone reads at the same time: each number is whole, but numbers of one turn that is being
 * written may belong to two.  Nothing is ever taken back; who wants to count from some moment on subtracts. */
#ifndef WORKER_PERF_H
#define WORKER_PERF_H 1

#include <stdatomic.h>
#include <stdint.h>

#include "sluice/records.h"

#define PERF_HISTOGRAMS 6u
#define PERF_BINS 32u
#define PERF_HISTORY 1000u

struct perf_histogram {
    uint64_t walls[PERF_BINS];
    _Atomic uint64_t bins[PERF_BINS];
};

/* A turn, or the turns of a millisecond. */
struct perf_sample {
    _Atomic uint64_t stamp;
    _Atomic uint64_t n_turns;
    _Atomic uint64_t cycles;
    _Atomic uint64_t busy_cycles;
    _Atomic uint64_t miss_cycles;
    _Atomic uint64_t n_packets;
    _Atomic uint64_t n_batches;
    _Atomic uint64_t n_misses;
};

struct perf_history {
    _Atomic uint64_t n; /* Samples ever begun; the one at n % PERF_HISTORY is being written. */
    struct perf_sample samples[PERF_HISTORY];
};

struct worker_perf {
    struct perf_histogram histograms[PERF_HISTOGRAMS]; /* By enum sluice_histogram. */
    struct perf_history turns;
    struct perf_history milliseconds;
};

/* What a turn was. */
struct perf_turn {
    uint64_t number;
    uint64_t cycles; /* Without sleep. */
    uint64_t miss_cycles;
    uint64_t n_packets;
    uint64_t n_batches;
    uint64_t n_misses;
};

/* 'walls' are those of one histogram after another; the last of each is taken to be without limit.  Null when out of
 * memory; free() frees it. */
struct worker_perf *perf_create(const uint64_t walls[PERF_HISTOGRAMS * PERF_BINS]);

/* The worker only. */
void perf_add_turn(struct worker_perf *perf, const struct perf_turn *turn, uint64_t now_ms);

static inline void
perf_histogram_add(struct worker_perf *perf, uint32_t kind, uint64_t value)
{
    struct perf_histogram *histogram = &perf->histograms[kind];
    uint32_t i = 0;

    while (i < PERF_BINS - 1 && value > histogram->walls[i]) {
        i++;
    }
    atomic_store_explicit(&histogram->bins[i], atomic_load_explicit(&histogram->bins[i], memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

#endif
