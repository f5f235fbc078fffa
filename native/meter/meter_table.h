/* The meters of a datapath by the numbers that datapath actions call them by.
 *
 * Numbers are given out lowest first.  A number belongs to one OpenFlow meter from meter_table_reserve() on, also while
 * the meter that stands under it is replaced by one with other bands, until its last one is removed.
 *
 * Threads.  meter_table_get(): any reader of the epoch that whoever frees meters waits for.  All else: one thread at a
 * time (the control lock). */
#ifndef METER_METER_TABLE_H
#define METER_METER_TABLE_H 1

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "meter/meter.h"

/* Meters that there can be. */
#define METER_IDS_MAX (1u << 18)
#define METER_CHUNK 512u
#define METER_CHUNKS (METER_IDS_MAX / METER_CHUNK)

struct meter_chunk {
    _Atomic(struct meter *) meters[METER_CHUNK];
    uint64_t reserved[METER_CHUNK / 64]; /* A bit for each number that is in use. */
};

struct meter_table {
    _Atomic(struct meter_chunk *) chunks[METER_CHUNKS]; /* Null where no number was ever used. */
};

/* Makes an empty table.  Null when out of memory. */
struct meter_table *meter_table_create(void);

/* Frees the table, but not the meters.  Null is fine. */
void meter_table_destroy(struct meter_table *table);

/* Reserves the lowest free number.  0, or ENOSPC or ENOMEM. */
int meter_table_reserve(struct meter_table *table, uint32_t *id);

/* Puts 'meter' under a reserved number in place of what was there, for packets to meet from now on. */
void meter_table_put(struct meter_table *table, uint32_t id, struct meter *meter);

/* 'meter' is about to be freed: frees the number unless another meter is under it. */
void meter_table_remove(struct meter_table *table, uint32_t id, const struct meter *meter);

/* The meter under a number, or null. */
static inline struct meter *
meter_table_get(const struct meter_table *table, uint32_t id)
{
    if (id >= METER_IDS_MAX) {
        return NULL;
    }
    struct meter_chunk *chunk = atomic_load_explicit(&table->chunks[id / METER_CHUNK], memory_order_acquire);

    return chunk == NULL ? NULL : atomic_load_explicit(&chunk->meters[id % METER_CHUNK], memory_order_acquire);
}

#endif
