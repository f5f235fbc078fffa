/* A signature cache: which megaflow the last packet with a given hash was under.
 *
 * An entry is 32 bits of the hash and the index of a megaflow plus one.  Packets whose hashes agree share an entry,
 * two of which lie side by side for each place.  What it says is a guess that the caller verifies.
 *
 * It watches how it does: it is off while a search of the masks is as cheap, grows while packets push each other out,
 * and rests for some time when it is as great as it may be and still does not help.  One thread, the worker. */
#ifndef CLASSIFIER_SIGNATURE_CACHE_H
#define CLASSIFIER_SIGNATURE_CACHE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct signature_cache {
    uint64_t *entries; /* Null while off. */
    uint64_t limit;    /* Number of entries - 1. */
    uint64_t n_max;
    _Atomic uint64_t n_entries; /* For statistics, from any thread. */

    /* Since the last judgement. */
    uint32_t n_packets;
    uint32_t n_hits;
    uint32_t n_searches;  /* Of masks, for packets that were found there. */
    uint32_t n_probes;    /* Masks that these took. */
    uint32_t n_conflicts; /* Entries of another packet that were overwritten. */
    uint32_t n_rest;      /* Judgements to sit out. */
    uint32_t turn;        /* For choices among equals. */
};

/* Packets between two judgements. */
#define SIGNATURE_PERIOD 65536

void signature_cache_init(struct signature_cache *cache, uint64_t n_max);
void signature_cache_uninit(struct signature_cache *cache);

/* Judges the past period and changes what has to be changed. */
void signature_cache_judge(struct signature_cache *cache, uint32_t n_masks);

static inline void
signature_cache_prefetch(const struct signature_cache *cache, uint64_t hash)
{
    __builtin_prefetch(&cache->entries[hash & cache->limit & ~UINT64_C(1)]);
}

/* The index of the megaflow that 'hash' was last under plus one, or 0. */
static inline uint32_t
signature_cache_find(const struct signature_cache *cache, uint64_t hash)
{
    const uint64_t *pair = &cache->entries[hash & cache->limit & ~UINT64_C(1)];

    if ((pair[0] ^ hash) >> 32 == 0) {
        return (uint32_t) pair[0];
    }
    return (pair[1] ^ hash) >> 32 == 0 ? (uint32_t) pair[1] : 0;
}

/* Remembers a megaflow by its index for 'hash'. */
void signature_cache_put(struct signature_cache *cache, uint64_t hash, uint32_t index);

#endif
