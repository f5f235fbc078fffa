#include "meter/meter.h"

#include <assert.h>
#include <stdlib.h>

/* Tokens that a packet costs a meter of packets, and a byte one of kilobits. */
#define PACKET_TOKENS 1000000u
#define BYTE_TOKENS 8000u

/* Tokens of a packet, or of a kilobit. */
#define BURST_TOKENS UINT64_C(1000000)

/* Idle for so many tokens' worth of time, a bucket is full whatever its word says, which may have wrapped around. */
#define WRAP_TOKENS (UINT64_C(1) << 62)

struct meter *
meter_create(uint32_t flags, const struct sluice_meter_band *bands, uint32_t n, uint64_t now_us)
{
    struct meter *meter = calloc(1, sizeof *meter + n * sizeof meter->bands[0]);

    assert(n <= METER_BANDS_MAX);
    if (meter == NULL) {
        return NULL;
    }
    meter->flags = flags;
    meter->n_bands = n;
    atomic_init(&meter->used_us, now_us);
    for (uint32_t i = 0; i < n; i++) {
        struct meter_band *band = &meter->bands[i];
        band->rate = bands[i].rate;
        band->burst_size = bands[i].burst_size != 0 ? bands[i].burst_size : bands[i].rate;
        band->capacity = band->burst_size * BURST_TOKENS;
        atomic_init(&band->empty, now_us * band->rate - band->capacity);
    }
    return meter;
}

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

/* What the packets take from a bucket with so many tokens; '*over' gets a bit for each that finds too few. */
static uint64_t
take(uint64_t tokens, const uint64_t *costs, uint32_t n, uint32_t *over)
{
    uint64_t taken = 0;

    *over = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (costs[i] <= tokens - taken) {
            taken += costs[i];
        } else {
            *over |= UINT32_C(1) << i;
        }
    }
    return taken;
}

/* Lets the packets take from the band's bucket.  Returns a bit for each that is over the band. */
static uint32_t
run_band(struct meter *meter, struct meter_band *band, const uint64_t *costs, uint32_t n, uint64_t now_us)
{
    uint64_t now = now_us * band->rate;
    uint64_t empty = atomic_load_explicit(&band->empty, memory_order_acquire);

    for (;;) {
        /* Threads that race after so long an idle time may both find the bucket full, once, which is harmless. */
        uint64_t used_us = atomic_load_explicit(&meter->used_us, memory_order_relaxed);
        uint64_t begin = empty;
        uint32_t over;
        int64_t tokens = (int64_t) (now - empty);
        if (tokens > (int64_t) band->capacity || (now_us > used_us && now_us - used_us > WRAP_TOKENS / band->rate)) {
            tokens = (int64_t) band->capacity;
            begin = now - band->capacity;
        }
        /* Below zero: another thread has seen a later time. */
        uint64_t taken = take(tokens > 0 ? (uint64_t) tokens : 0, costs, n, &over);
        if (taken == 0
            || atomic_compare_exchange_weak_explicit(&band->empty, &empty, begin + taken, memory_order_acq_rel,
                                                     memory_order_acquire)) {
            return over;
        }
    }
}

/* Counts the packets that are over bands, each in the one with the highest rate. */
static void
count_over(struct meter *meter, const uint32_t *over, const uint32_t *sizes, uint32_t all)
{
    while (all != 0) {
        uint32_t i = (uint32_t) __builtin_ctz(all);
        struct meter_band *highest = NULL;
        all &= all - 1;
        for (uint32_t b = 0; b < meter->n_bands; b++) {
            struct meter_band *band = &meter->bands[b];
            if ((over[b] >> i & 1) != 0 && (highest == NULL || band->rate > highest->rate)) {
                highest = band;
            }
        }
        assert(highest != NULL);
        add(&highest->n_packets, 1);
        add(&highest->n_bytes, sizes[i]);
    }
}

uint32_t
meter_run(struct meter *meter, const uint32_t *sizes, uint32_t n, uint64_t now_us)
{
    uint64_t costs[METER_BURST_MAX];
    uint32_t over[METER_BANDS_MAX];
    uint64_t n_bytes = 0;
    uint32_t all = 0;

    assert(n <= METER_BURST_MAX);
    for (uint32_t i = 0; i < n; i++) {
        n_bytes += sizes[i];
        costs[i] = meter->flags & SLUICE_METER_FLAG_PKTPS ? PACKET_TOKENS : (uint64_t) BYTE_TOKENS * sizes[i];
    }
    add(&meter->n_packets, n);
    add(&meter->n_bytes, n_bytes);
    for (uint32_t b = 0; b < meter->n_bands; b++) {
        over[b] = run_band(meter, &meter->bands[b], costs, n, now_us);
        all |= over[b];
    }
    atomic_store_explicit(&meter->used_us, now_us, memory_order_relaxed);
    count_over(meter, over, sizes, all);
    return all;
}
