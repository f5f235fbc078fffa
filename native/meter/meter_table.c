#include "meter/meter_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

struct meter_table *
meter_table_create(void)
{
    return calloc(1, sizeof(struct meter_table));
}

static struct meter_chunk *
get_chunk(const struct meter_table *table, uint32_t i)
{
    return atomic_load_explicit(&table->chunks[i], memory_order_relaxed);
}

void
meter_table_destroy(struct meter_table *table)
{
    for (uint32_t i = 0; table != NULL && i < METER_CHUNKS; i++) {
        free(get_chunk(table, i));
    }
    free(table);
}

/* The lowest free number of a chunk; METER_CHUNK if there is none. */
static uint32_t
find_free(const struct meter_chunk *chunk)
{
    for (uint32_t i = 0; i < METER_CHUNK / 64; i++) {
        if (~chunk->reserved[i] != 0) {
            return 64 * i + (uint32_t) __builtin_ctzll(~chunk->reserved[i]);
        }
    }
    return METER_CHUNK;
}

int
meter_table_reserve(struct meter_table *table, uint32_t *id)
{
    for (uint32_t i = 0; i < METER_CHUNKS; i++) {
        struct meter_chunk *chunk = get_chunk(table, i);
        if (chunk == NULL) {
            chunk = calloc(1, sizeof *chunk);
            if (chunk == NULL) {
                return ENOMEM;
            }
            atomic_store_explicit(&table->chunks[i], chunk, memory_order_release);
        }
        uint32_t at = find_free(chunk);
        if (at < METER_CHUNK) {
            chunk->reserved[at / 64] |= UINT64_C(1) << at % 64;
            *id = METER_CHUNK * i + at;
            return 0;
        }
    }
    return ENOSPC;
}

void
meter_table_put(struct meter_table *table, uint32_t id, struct meter *meter)
{
    struct meter_chunk *chunk = get_chunk(table, id / METER_CHUNK);

    assert(chunk != NULL && (chunk->reserved[id % METER_CHUNK / 64] >> id % 64 & 1) != 0);
    atomic_store_explicit(&chunk->meters[id % METER_CHUNK], meter, memory_order_release);
}

void
meter_table_remove(struct meter_table *table, uint32_t id, const struct meter *meter)
{
    struct meter_chunk *chunk = get_chunk(table, id / METER_CHUNK);
    struct meter *there = atomic_load_explicit(&chunk->meters[id % METER_CHUNK], memory_order_relaxed);

    if (there == NULL || there == meter) {
        atomic_store_explicit(&chunk->meters[id % METER_CHUNK], NULL, memory_order_relaxed);
        chunk->reserved[id % METER_CHUNK / 64] &= ~(UINT64_C(1) << id % 64);
    }
}
