/* A meter: counts packets against bands and says which of them are over a band's rate.
 *
 * Each band is a bucket that holds 'burst_size' million tokens, full at first, and gets 'rate' of them each microsecond.
 * A packet costs a million tokens where rates are packets a second, and a thousand for each of its bits where they are
 * kilobits a second.  A packet that finds too few in some band is over that one; of several, the one with the highest rate
 * counts it.  So a rate is exact if the bucket holds what comes in a microsecond or a burst of packets, whichever is more.
 *
 * Threads.  meter_run() in any number of threads at once, without a lock: a bucket is one word, the point in scaled time
 * at which it was empty, which a burst of packets moves on with one compare-and-swap.  Everything else here is
 * immutable or counters. */
#ifndef METER_METER_H
#define METER_METER_H 1

#include <stdatomic.h>
#include <stdint.h>

#include "sluice/records.h"

/* Packets of one call at most. */
#define METER_BURST_MAX 32u
#define METER_BANDS_MAX 8u

struct meter_band {
    uint32_t rate;
    uint32_t burst_size;
    uint64_t capacity;      /* Tokens that the bucket holds. */
    _Atomic uint64_t empty; /* Microseconds times rate, modulo 2^64, at which the bucket was empty. */
    _Atomic uint64_t n_packets;
    _Atomic uint64_t n_bytes;
};

struct meter {
    uint32_t flags; /* enum sluice_meter_flag */
    uint32_t n_bands;
    _Atomic uint64_t used_us;
    _Atomic uint64_t n_packets;
    _Atomic uint64_t n_bytes;
    struct meter_band bands[];
};

/* Makes a meter with full buckets.  'bands' are 'n' of at most METER_BANDS_MAX, whose rates are not 0; a burst size of
 * 0 stands for one second's worth.  The caller frees it with free().  Null when out of memory. */
struct meter *meter_create(uint32_t flags, const struct sluice_meter_band *bands, uint32_t n, uint64_t now_us);

/* Counts 'n' packets (at most METER_BURST_MAX) of these sizes in bytes.  Returns a bit for each that is over a band and
 * to be dropped.  Any thread. */
uint32_t meter_run(struct meter *meter, const uint32_t *sizes, uint32_t n, uint64_t now_us);

#endif
