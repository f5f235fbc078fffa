/* Inside of a flow cache: megaflows by mask.
 *
 * For flow_cache.c, megaflow_table.c and flow_sweep.c only.  What is not said to be the worker's or atomic is guarded by
 * the cache's mutex; lookups go through what is published by atomic stores. */
#ifndef CLASSIFIER_MEGAFLOW_TABLE_H
#define CLASSIFIER_MEGAFLOW_TABLE_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "classifier/epoch.h"
#include "classifier/flow_cache.h"
#include "classifier/hash.h"
#include "classifier/signature_cache.h"
#include "classifier/slab.h"
#include "classifier/slot_table.h"
#include "packet/bytes.h"
#include "packet/match.h"

/* Megaflows are allocated by the thousand and never given back. */
#define CHUNK_FLOWS 1024u
#define CHUNKS_MAX 8192u

#define CACHE_PORTS 65536u

enum megaflow_state {
    MEGAFLOW_FREE,
    MEGAFLOW_LIVE,
    MEGAFLOW_DEAD, /* Unlinked; waits for readers. */
};

/* The megaflows of one mask. */
struct megaflow_mask {
    struct slot_table slots; /* The hash, then the index plus one. */
    _Atomic uint64_t n_hits; /* Written by the worker. */
    uint64_t n_hits_ranked;  /* Those that the last ranking saw. */
    uint64_t score;
    uint32_t n_flows;
    uint32_t dp_port; /* Whose packet it was made for. */
    uint32_t n_words;
    struct megaflow_word words[];
};

/* The masks in the order in which they are searched.  Immutable. */
struct mask_list {
    uint32_t n;
    struct megaflow_mask *masks[];
};

struct flow_cache {
    /* The worker's, but for atomics that others read. */
    _Alignas(64) struct signature_cache signatures;
    uint64_t signature_factors[12];
    uint64_t factors[SLUICE_KEY_PIPELINE_WORD];
    _Atomic uint64_t n_hits;
    _Atomic uint64_t n_misses;
    _Atomic uint64_t n_signature_hits;
    _Atomic uint64_t n_again_hits;
    _Atomic uint64_t n_mask_probes;
    _Atomic uint64_t n_not_cached;
    _Atomic uint64_t full_ms; /* When the cache was last full of megaflows in use, if none has gone since. */

    /* Published. */
    _Atomic(struct mask_list *) list;
    _Atomic(struct megaflow *) chunks[CHUNKS_MAX];

    _Alignas(64) pthread_mutex_t mutex;
    struct limbo limbo;
    struct flow_cache_hooks hooks;
    bool is_telling;
    _Atomic uint32_t flows_max;
    uint32_t masks_max;
    uint32_t n_live;
    _Atomic uint32_t
        *n_of_port;           /* CACHE_PORTS of them: live megaflows of each datapath port.  The worker looks, too. */
    _Atomic uint32_t n_ports; /* Those that have any. */
    uint32_t n_dead;
    uint32_t n_made;     /* Megaflows in chunks. */
    uint32_t first_free; /* Index plus one, or 0. */
    uint32_t hand;       /* Where the search for a megaflow to replace goes on. */
    uint32_t n_vain;     /* Megaflows in a row that the search found in use. */
    uint64_t vain_ms;    /* When that were all. */
    uint64_t n_replaced;
    uint64_t last_id;
    uint64_t last_serial;
    struct slab slab; /* Of chunks and bodies. */
};

static inline struct megaflow *
cache_megaflow(const struct flow_cache *cache, uint32_t index)
{
    struct megaflow *chunk = atomic_load_explicit(&cache->chunks[index / CHUNK_FLOWS], memory_order_acquire);

    return &chunk[index % CHUNK_FLOWS];
}

/* The datapath port of a packet. */
static inline uint32_t
cache_port(const struct flow_key *key)
{
    return be32(key->in_port) % CACHE_PORTS;
}

/* Megaflows that a port may have whatever others do, if it is 'port' that asks. */
static inline uint32_t
cache_part(const struct flow_cache *cache, uint32_t port)
{
    uint32_t n = atomic_load_explicit(&cache->n_ports, memory_order_relaxed);

    n += atomic_load_explicit(&cache->n_of_port[port], memory_order_relaxed) == 0;
    return atomic_load_explicit(&cache->flows_max, memory_order_relaxed) / (n != 0 ? n : 1);
}

/* Whether a port has less than its part of the cache. */
static inline bool
cache_has_little(const struct flow_cache *cache, uint32_t port)
{
    return atomic_load_explicit(&cache->n_of_port[port], memory_order_relaxed) < cache_part(cache, port);
}

static inline uint16_t
megaflow_state(const struct megaflow *megaflow)
{
    return atomic_load_explicit(&megaflow->state, memory_order_acquire);
}

/* The values of the match, of which there are mask->n_words. */
static inline const uint64_t *
megaflow_values(const struct megaflow *megaflow, const struct megaflow_mask *mask)
{
    return mask->n_words <= MEGAFLOW_VALUES ? megaflow->values : megaflow->body->values;
}

static inline uint32_t
megaflow_hash(const struct megaflow_mask *mask, const struct flow_key *key)
{
    uint64_t hash = 0;

    for (uint32_t i = 0; i < mask->n_words; i++) {
        hash += (key->words[mask->words[i].key_word] & mask->words[i].mask) * mask->words[i].factor;
    }
    return hash_finish(hash ^ (hash >> 32));
}

static inline bool
megaflow_has_key(const struct megaflow *megaflow, const struct megaflow_mask *mask, const struct flow_key *key)
{
    const uint64_t *values = megaflow_values(megaflow, mask);
    uint64_t differing = 0;

    for (uint32_t i = 0; i < mask->n_words; i++) {
        differing |= (key->words[mask->words[i].key_word] & mask->words[i].mask) ^ values[i];
    }
    return differing == 0;
}

/* The mask, made if need be.  ENOSPC: there are 'n_max' others; ENOMEM. */
int cache_get_mask(struct flow_cache *cache, const struct flow_key *mask, uint32_t n_max, struct megaflow_mask **maskp);

/* Lets go of a mask that has no megaflow. */
void cache_drop_mask(struct flow_cache *cache, struct megaflow_mask *mask);

/* Puts the most used masks first. */
void cache_rank_masks(struct flow_cache *cache);

/* Finds the live megaflow that has the key among those of 'mask', or null. */
struct megaflow *cache_find(const struct flow_cache *cache, const struct megaflow_mask *mask, uint32_t hash,
                            const struct flow_key *key);

/* A free megaflow, or null when there is no memory or there are too many dead ones. */
struct megaflow *cache_allocate(struct flow_cache *cache);

/* Puts a complete megaflow in, in the place of 'old' if that is not null.  0 or ENOMEM. */
int cache_link(struct flow_cache *cache, struct megaflow_mask *mask, struct megaflow *megaflow, struct megaflow *old);

/* Takes a live megaflow out and puts it in limbo. */
void cache_kill(struct flow_cache *cache, struct megaflow *megaflow);

/* Gives back a megaflow that was allocated and not linked; its body is the caller's. */
void cache_give_back(struct flow_cache *cache, struct megaflow *megaflow);

/* megaflow_make.c */

/* Makes a megaflow of a translation, in the place of 'old' if that is not null.  0, ENOSPC or ENOMEM. */
int cache_make(struct flow_cache *cache, struct megaflow_mask *mask, const struct flow_cache_insertion *insertion,
               struct megaflow *old, struct megaflow **megaflowp);

/* Has a stale megaflow translated again and puts the result in its place.  False: it is to be removed. */
bool cache_revalidate(struct flow_cache *cache, struct megaflow *megaflow, bool may_learn);

void megaflow_free_body(struct flow_cache *cache, struct megaflow_body *body);

/* Tells the owner of a change, if it wants to know. */
void cache_tell(struct flow_cache *cache, const struct megaflow *megaflow, uint32_t change);

/* Tells the owner of packets since the last time. */
void cache_push_megaflow(struct flow_cache *cache, struct megaflow *megaflow);

#endif
