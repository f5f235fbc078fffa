#include "classifier/signature_cache.h"

#include <stddef.h>

#include "classifier/pages.h"

#define ENTRIES_MIN 8192u

/* Periods of rest after it did not help. */
#define REST_PERIODS 64

void
signature_cache_init(struct signature_cache *cache, uint64_t n_max)
{
    *cache = (struct signature_cache){ .n_max = 2 };
    while (cache->n_max * 2 <= n_max) {
        cache->n_max *= 2;
    }
}

static void
resize(struct signature_cache *cache, uint64_t n_entries)
{
    if (cache->entries != NULL) {
        pages_free(cache->entries, (cache->limit + 1) * sizeof *cache->entries);
    }
    cache->entries = n_entries != 0 ? pages_alloc(n_entries * sizeof *cache->entries) : NULL;
    cache->limit = cache->entries != NULL ? n_entries - 1 : 0;
    atomic_store_explicit(&cache->n_entries, cache->entries != NULL ? n_entries : 0, memory_order_relaxed);
}

void
signature_cache_uninit(struct signature_cache *cache)
{
    resize(cache, 0);
}

/* A search costs about as much as a look here from one and a half masks on. */
static bool
searches_are_long(const struct signature_cache *cache)
{
    return cache->n_searches != 0 && 2 * (uint64_t) cache->n_probes > 3 * (uint64_t) cache->n_searches;
}

void
signature_cache_judge(struct signature_cache *cache, uint32_t n_masks)
{
    uint64_t n_entries = cache->entries != NULL ? cache->limit + 1 : 0;

    if (cache->n_rest != 0) {
        cache->n_rest--;
    } else if (n_entries == 0) {
        if (n_masks > 1 && searches_are_long(cache)) {
            resize(cache, cache->n_max < ENTRIES_MIN ? cache->n_max : ENTRIES_MIN);
        }
    } else if (n_masks <= 1) {
        resize(cache, 0);
    } else if (cache->n_conflicts > cache->n_packets / 16) {
        if (n_entries < cache->n_max) {
            resize(cache, n_entries * 4 < cache->n_max ? n_entries * 4 : cache->n_max);
        } else if (cache->n_hits < (cache->n_hits + cache->n_searches) / 4) {
            resize(cache, 0);
            cache->n_rest = REST_PERIODS;
        }
    }
    cache->n_packets = cache->n_hits = cache->n_searches = cache->n_probes = cache->n_conflicts = 0;
}

/* When both places are taken by others only one packet in four gets one, so that a flood of flows does not wash out those
 * that are still found. */
void
signature_cache_put(struct signature_cache *cache, uint64_t hash, uint32_t index)
{
    uint64_t *pair = &cache->entries[hash & cache->limit & ~UINT64_C(1)];
    uint64_t entry = (hash >> 32) << 32 | (index + 1);

    for (int i = 0; i < 2; i++) {
        if (pair[i] == 0 || (pair[i] ^ hash) >> 32 == 0) {
            pair[i] = entry;
            return;
        }
    }
    cache->n_conflicts++;
    if ((++cache->turn & 3) == 0) {
        pair[cache->turn >> 2 & 1] = entry;
    }
}
