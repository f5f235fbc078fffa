#include "worker/perf.h"

#include <stdlib.h>
#include <string.h>

struct worker_perf *
perf_create(const uint64_t walls[PERF_HISTOGRAMS * PERF_BINS])
{
    struct worker_perf *perf = calloc(1, sizeof *perf);

    for (uint32_t i = 0; perf != NULL && i < PERF_HISTOGRAMS; i++) {
        memcpy(perf->histograms[i].walls, &walls[i * PERF_BINS], sizeof perf->histograms[i].walls);
    }
    return perf;
}

static void
add(_Atomic uint64_t *sum, uint64_t n)
{
    atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + n, memory_order_relaxed);
}

static void
sample_begin(struct perf_sample *sample, uint64_t stamp)
{
    atomic_store_explicit(&sample->stamp, stamp, memory_order_relaxed);
    atomic_store_explicit(&sample->n_turns, 0, memory_order_relaxed);
    atomic_store_explicit(&sample->cycles, 0, memory_order_relaxed);
    atomic_store_explicit(&sample->busy_cycles, 0, memory_order_relaxed);
    atomic_store_explicit(&sample->miss_cycles, 0, memory_order_relaxed);
    atomic_store_explicit(&sample->n_packets, 0, memory_order_relaxed);
    atomic_store_explicit(&sample->n_batches, 0, memory_order_relaxed);
    atomic_store_explicit(&sample->n_misses, 0, memory_order_relaxed);
}

static void
sample_add(struct perf_sample *sample, const struct perf_turn *turn)
{
    add(&sample->n_turns, 1);
    add(&sample->cycles, turn->cycles);
    add(&sample->busy_cycles, turn->n_packets != 0 ? turn->cycles : 0);
    add(&sample->miss_cycles, turn->miss_cycles);
    add(&sample->n_packets, turn->n_packets);
    add(&sample->n_batches, turn->n_batches);
    add(&sample->n_misses, turn->n_misses);
}

/* The sample that is being written. */
static struct perf_sample *
current(struct perf_history *history)
{
    return &history->samples[atomic_load_explicit(&history->n, memory_order_relaxed) % PERF_HISTORY];
}

/* Those before it may be read from now on. */
static void
finish(struct perf_history *history)
{
    atomic_store_explicit(&history->n, atomic_load_explicit(&history->n, memory_order_relaxed) + 1,
                          memory_order_release);
}

void
perf_add_turn(struct worker_perf *perf, const struct perf_turn *turn, uint64_t now_ms)
{
    perf_histogram_add(perf, SLUICE_HISTOGRAM_CYCLES, turn->cycles);
    perf_histogram_add(perf, SLUICE_HISTOGRAM_PACKETS, turn->n_packets);
    perf_histogram_add(perf, SLUICE_HISTOGRAM_MISSES, turn->n_misses);
    if (turn->n_packets != 0) {
        perf_histogram_add(perf, SLUICE_HISTOGRAM_CYCLES_PER_PACKET, turn->cycles / turn->n_packets);
    }

    struct perf_sample *millisecond = current(&perf->milliseconds);
    if (atomic_load_explicit(&millisecond->stamp, memory_order_relaxed) != now_ms) {
        if (atomic_load_explicit(&millisecond->n_turns, memory_order_relaxed) != 0) {
            finish(&perf->milliseconds);
            millisecond = current(&perf->milliseconds);
        }
        sample_begin(millisecond, now_ms);
    }
    sample_add(millisecond, turn);

    struct perf_sample *sample = current(&perf->turns);
    sample_begin(sample, turn->number);
    sample_add(sample, turn);
    finish(&perf->turns);
}
