#include "classifier/flow_cache.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/megaflow_table.h"
#include "packet/bytes.h"

#define FLOWS_MAX_DEFAULT 200000u
#define MASKS_MAX_DEFAULT 128u
#define SIGNATURES_MAX_DEFAULT (2u << 20)

/* A megaflow without packets for this long may be replaced when the cache is full. */
#define REPLACE_IDLE_MS 100

/* Megaflows looked at to find one that may be replaced, and how many free ones may be passed over. */
#define REPLACE_TRIES 16
#define REPLACE_STEPS 1024

/* Masks beyond 'masks_max' for packets of masks that there is no more room for. */
#define MASKS_NARROW_MAX 8u

/* Further masks for ports that made less than their part of them. */
#define MASKS_RESERVE 32u

/* Arrays of more bytes than this are fetched ahead; smaller ones are in the processor's caches anyway. */
#define PREFETCH_SIZE (256u << 10)

static uint64_t
next_factor(uint64_t *state)
{
    *state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = *state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) | 1;
}

struct flow_cache *
flow_cache_create(const struct flow_cache_options *options)
{
    struct flow_cache *cache = aligned_alloc(64, (sizeof *cache + 63) & ~(size_t) 63);
    uint64_t random = options->hash_seed;

    if (cache == NULL) {
        return NULL;
    }
    memset(cache, 0, sizeof *cache);
    cache->n_of_port = calloc(CACHE_PORTS, sizeof *cache->n_of_port);
    if (cache->n_of_port == NULL) {
        free(cache);
        return NULL;
    }
    signature_cache_init(&cache->signatures,
                         options->signatures_max != 0 ? options->signatures_max : SIGNATURES_MAX_DEFAULT);
    for (size_t i = 0; i < sizeof cache->signature_factors / sizeof cache->signature_factors[0]; i++) {
        cache->signature_factors[i] = next_factor(&random);
    }
    for (size_t i = 0; i < SLUICE_KEY_PIPELINE_WORD; i++) {
        cache->factors[i] = next_factor(&random);
    }
    pthread_mutex_init(&cache->mutex, NULL);
    limbo_init(&cache->limbo, options->epoch);
    cache->hooks = options->hooks;
    atomic_init(&cache->full_ms, UINT64_MAX);
    cache->flows_max = options->flows_max != 0 ? options->flows_max : FLOWS_MAX_DEFAULT;
    cache->masks_max = options->masks_max != 0 ? options->masks_max : MASKS_MAX_DEFAULT;
    return cache;
}

void
flow_cache_destroy(struct flow_cache *cache)
{
    if (cache == NULL) {
        return;
    }
    flow_cache_flush(cache, NULL, NULL);
    limbo_uninit(&cache->limbo);
    free(atomic_load(&cache->list));
    slab_uninit(&cache->slab);
    signature_cache_uninit(&cache->signatures);
    pthread_mutex_destroy(&cache->mutex);
    free(cache->n_of_port);
    free(cache);
}

/* A hash of what tells connections apart, without what differs among a connection's packets. */
static uint64_t
signature_hash(const struct flow_cache *cache, const struct flow_key *key)
{
    const uint64_t *factors = cache->signature_factors;
    const uint64_t *words = key->words;
    const uint64_t l3_bits = UINT64_C(0xff0000ff) << 32; /* ip_frag and ip_proto of their word. */
    uint64_t hash = words[0] * factors[0];

    hash += words[SLUICE_KEY_L2_WORD] * factors[1];
    hash += words[SLUICE_KEY_L2_WORD + 1] * factors[2];
    hash += words[offsetof(struct flow_key, vlan0_tpid) / 8] * factors[3];
    hash += words[offsetof(struct flow_key, ip_src) / 8] * factors[4];
    hash += (words[offsetof(struct flow_key, ipv6_label) / 8] & l3_bits) * factors[5];
    hash += words[offsetof(struct flow_key, tp_src) / 8] * factors[6];
    hash += words[offsetof(struct flow_key, tun_id) / 8] * factors[7];
    if (key->eth_type == be16(0x86dd)) {
        const uint64_t *addresses = &words[offsetof(struct flow_key, ipv6_src) / 8];
        hash += addresses[0] * factors[8] + addresses[1] * factors[9];
        hash += addresses[2] * factors[10] + addresses[3] * factors[11];
    }
    hash ^= hash >> 32;
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return hash ^ hash >> 32;
}

static void
count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* The lookup of a burst. */
struct burst {
    const struct flow_key *const *keys;
    struct megaflow **megaflows;
    uint32_t missing; /* Bit for each key that is not found yet. */
    uint64_t signatures[FLOW_CACHE_BURST];
    uint32_t hashes[FLOW_CACHE_BURST];
};

#define FOR_EACH_BIT(I, BITS) \
    for (uint32_t set_ = (BITS), I; set_ != 0 && (I = (uint32_t) __builtin_ctz(set_), true); set_ &= set_ - 1)

/* Looks the burst up by signature. */
static void
find_by_signature(struct flow_cache *cache, struct burst *burst)
{
    struct signature_cache *signatures = &cache->signatures;
    uint32_t indexes[FLOW_CACHE_BURST];
    uint32_t n_found = 0;

    FOR_EACH_BIT(i, burst->missing)
    {
        burst->signatures[i] = signature_hash(cache, burst->keys[i]);
        signature_cache_prefetch(signatures, burst->signatures[i]);
    }
    FOR_EACH_BIT(i, burst->missing)
    {
        indexes[i] = signature_cache_find(signatures, burst->signatures[i]);
        if (indexes[i] != 0) {
            struct megaflow *megaflow = cache_megaflow(cache, indexes[i] - 1);
            __builtin_prefetch(megaflow);
            __builtin_prefetch(megaflow->values);
        }
    }
    FOR_EACH_BIT(i, burst->missing)
    {
        if (indexes[i] == 0) {
            continue;
        }
        struct megaflow *megaflow = cache_megaflow(cache, indexes[i] - 1);
        if (megaflow_state(megaflow) != MEGAFLOW_LIVE) {
            continue;
        }
        const struct megaflow_mask *mask = atomic_load_explicit(&megaflow->mask, memory_order_relaxed);
        if (megaflow_has_key(megaflow, mask, burst->keys[i])) {
            burst->megaflows[i] = megaflow;
            burst->missing &= ~(UINT32_C(1) << i);
            n_found++;
        }
    }
    signatures->n_hits += n_found;
    count(&cache->n_signature_hits, n_found);
}

/* Looks for the missing ones under one mask. */
static void
find_by_mask(struct flow_cache *cache, struct megaflow_mask *mask, struct burst *burst)
{
    const struct slot_array *array = atomic_load_explicit(&mask->slots.array, memory_order_acquire);
    uint32_t n_found = 0;

    if (array == NULL) {
        return;
    }
    bool ahead = array->limit * sizeof array->slots[0] > PREFETCH_SIZE;
    FOR_EACH_BIT(i, burst->missing)
    {
        burst->hashes[i] = megaflow_hash(mask, burst->keys[i]);
        if (ahead) {
            __builtin_prefetch((const void *) &array->slots[burst->hashes[i] & array->limit]);
        }
    }
    if (ahead) {
        FOR_EACH_BIT(i, burst->missing)
        {
            uint64_t slot = atomic_load_explicit(&array->slots[burst->hashes[i] & array->limit], memory_order_relaxed);
            if (slot >> 32 == burst->hashes[i] && slot != SLOT_REMOVED) {
                struct megaflow *megaflow = cache_megaflow(cache, (uint32_t) slot - 1);
                __builtin_prefetch(megaflow);
                __builtin_prefetch(megaflow->values);
            }
        }
    }
    FOR_EACH_BIT(i, burst->missing)
    {
        burst->megaflows[i] = cache_find(cache, mask, burst->hashes[i], burst->keys[i]);
        if (burst->megaflows[i] != NULL) {
            burst->missing &= ~(UINT32_C(1) << i);
            n_found++;
        }
    }
    if (n_found != 0) {
        count(&mask->n_hits, n_found);
    }
}

/* Searches all masks for those that are missing. */
static void
find_by_masks(struct flow_cache *cache, struct burst *burst)
{
    const struct mask_list *list = atomic_load_explicit(&cache->list, memory_order_acquire);
    struct signature_cache *signatures = &cache->signatures;
    uint32_t before = burst->missing, n_probes = 0;

    for (uint32_t i = 0; list != NULL && i < list->n && burst->missing != 0; i++) {
        uint32_t was_missing = burst->missing;
        n_probes += (uint32_t) __builtin_popcount(was_missing);
        find_by_mask(cache, list->masks[i], burst);
        signatures->n_probes += (i + 1) * (uint32_t) __builtin_popcount(was_missing & ~burst->missing);
    }
    signatures->n_searches += (uint32_t) __builtin_popcount(before & ~burst->missing);
    count(&cache->n_mask_probes, n_probes);
    if (signatures->entries != NULL) {
        FOR_EACH_BIT(i, before & ~burst->missing)
        {
            signature_cache_put(signatures, burst->signatures[i], burst->megaflows[i]->index);
        }
    }
}

/* Whether the megaflow is still what translation would make. */
static bool
is_current(struct flow_cache *cache, struct megaflow *megaflow, uint64_t change)
{
    uint64_t known = atomic_load_explicit(&megaflow->change, memory_order_relaxed);

    if (known == change || cache->hooks.is_stale == NULL) {
        return true;
    }
    if (cache->hooks.is_stale(cache->hooks.aux, megaflow, &known)) {
        return false;
    }
    atomic_store_explicit(&megaflow->change, known, memory_order_relaxed);
    return true;
}

uint32_t
flow_cache_lookup(struct flow_cache *cache, const struct flow_key *const keys[], uint32_t n, uint64_t change,
                  struct megaflow *megaflows[])
{
    uint32_t all = n < 32 ? (UINT32_C(1) << n) - 1 : UINT32_MAX;
    struct burst burst;

    assert(n <= FLOW_CACHE_BURST);
    burst.keys = keys;
    burst.megaflows = megaflows;
    burst.missing = all;
    for (uint32_t i = 0; i < n; i++) {
        megaflows[i] = NULL;
    }
    if (cache->signatures.entries != NULL) {
        find_by_signature(cache, &burst);
    }
    if (burst.missing != 0) {
        find_by_masks(cache, &burst);
    }
    uint32_t found = all & ~burst.missing;
    FOR_EACH_BIT(i, all & ~burst.missing)
    {
        if (!is_current(cache, megaflows[i], change)) {
            megaflows[i] = NULL;
            found &= ~(UINT32_C(1) << i);
        }
    }
    count(&cache->n_hits, (uint64_t) __builtin_popcount(found));
    count(&cache->n_misses, (uint64_t) __builtin_popcount(all & ~found));
    cache->signatures.n_packets += n;
    if (cache->signatures.n_packets >= SIGNATURE_PERIOD) {
        const struct mask_list *list = atomic_load_explicit(&cache->list, memory_order_acquire);
        signature_cache_judge(&cache->signatures, list != NULL ? list->n : 0);
    }
    return found;
}

bool
megaflow_is_wide(const struct megaflow *megaflow)
{
    static const struct flow_key wide = {
        .eth_type = UINT16_MAX,
        .vlan0_tpid = UINT16_MAX,
        .vlan0_tci = UINT16_MAX,
        .vlan1_tpid = UINT16_MAX,
        .vlan1_tci = UINT16_MAX,
        .mpls0_lse = UINT32_MAX,
        .mpls1_lse = UINT32_MAX,
        .mpls2_lse = UINT32_MAX,
        .ip_frag = UINT8_MAX,
    };
    const struct megaflow_mask *mask = atomic_load_explicit(&megaflow->mask, memory_order_relaxed);

    for (uint32_t i = 0; i < mask->n_words; i++) {
        uint64_t word = mask->words[i].key_word;
        if (word >= SLUICE_KEY_L2_WORD && word < SLUICE_KEY_OPTIONS_WORD && mask->words[i].mask & ~wide.words[word]) {
            return false;
        }
    }
    return true;
}

bool
flow_cache_find_again(struct flow_cache *cache, struct megaflow *megaflow, uint64_t serial, uint32_t n, uint64_t change)
{
    if (megaflow_state(megaflow) != MEGAFLOW_LIVE || megaflow->body->serial != serial
        || !is_current(cache, megaflow, change)) {
        return false;
    }
    count(&cache->n_hits, n);
    count(&cache->n_again_hits, n);
    count(&atomic_load_explicit(&megaflow->mask, memory_order_relaxed)->n_hits, n);
    return true;
}

uint64_t
flow_cache_n_probes(const struct flow_cache *cache)
{
    return atomic_load_explicit(&cache->n_mask_probes, memory_order_relaxed);
}

/* Whether a megaflow may go for one of a port that has little, or not. */
static bool
may_replace(const struct flow_cache *cache, const struct megaflow *megaflow, bool for_little, uint64_t now_ms)
{
    return atomic_load_explicit(&megaflow->used_ms, memory_order_relaxed) + REPLACE_IDLE_MS < now_ms
           || (for_little && !cache_has_little(cache, megaflow->dp_port));
}

/* Makes room for one of 'port' when there are as many as there may be.  Once all were found in use, nothing is looked at
 * for the rest of the millisecond: a full cache must not make misses dear. */
static bool
replace_one(struct flow_cache *cache, uint32_t port, uint64_t now_ms)
{
    bool for_little = cache_has_little(cache, port);
    uint32_t n_tries = 0;

    if (cache->n_vain >= cache->n_live && !for_little) {
        if (cache->vain_ms == now_ms) {
            return false;
        }
        cache->n_vain = 0;
    }
    for (uint32_t i = 0; i < REPLACE_STEPS && n_tries < REPLACE_TRIES && cache->n_made != 0; i++) {
        struct megaflow *megaflow = cache_megaflow(cache, cache->hand);
        cache->hand = (cache->hand + 1) % cache->n_made;
        if (megaflow_state(megaflow) != MEGAFLOW_LIVE) {
            continue;
        }
        n_tries++;
        if (may_replace(cache, megaflow, for_little, now_ms)) {
            cache_kill(cache, megaflow);
            cache->n_replaced++;
            cache->n_vain = 0;
            return true;
        }
        if (!for_little && ++cache->n_vain >= cache->n_live) {
            cache->vain_ms = now_ms;
            return false;
        }
    }
    return false;
}

/* Has a mask take in whole what tells connections apart: masks that differ in how much they read of that become one.  What
 * is read without need makes a megaflow narrower, and that is all. */
static void
narrow_mask(struct flow_key *mask)
{
    memset(mask->eth_dst, 0xff, sizeof mask->eth_dst);
    memset(mask->eth_src, 0xff, sizeof mask->eth_src);
    memset(mask->ipv6_src, 0xff, sizeof mask->ipv6_src);
    memset(mask->ipv6_dst, 0xff, sizeof mask->ipv6_dst);
    mask->vlan0_tpid = mask->vlan0_tci = UINT16_MAX;
    mask->ip_src = mask->ip_dst = UINT32_MAX;
    mask->ip_proto = UINT8_MAX;
    mask->tp_src = mask->tp_dst = UINT16_MAX;
}

/* Whether a port made less than its part of the masks. */
static bool
has_few_masks(const struct flow_cache *cache, uint32_t port)
{
    const struct mask_list *list = atomic_load_explicit(&cache->list, memory_order_relaxed);
    uint32_t n_ports = atomic_load_explicit(&cache->n_ports, memory_order_relaxed);
    uint32_t n = 0;

    n_ports += atomic_load_explicit(&cache->n_of_port[port], memory_order_relaxed) == 0;
    for (uint32_t i = 0; list != NULL && i < list->n; i++) {
        n += list->masks[i]->dp_port == port;
    }
    return n * n_ports < cache->masks_max;
}

/* The mask that the megaflow is to have: the one that was read, or one that takes in more. */
static int
choose_mask(struct flow_cache *cache, const struct flow_key *bits, uint32_t port, struct megaflow_mask **maskp)
{
    int error = cache_get_mask(cache, bits, cache->masks_max, maskp);
    uint32_t n_max = cache->masks_max + MASKS_NARROW_MAX;

    if (error == ENOSPC && has_few_masks(cache, port)) {
        n_max += MASKS_RESERVE;
        error = cache_get_mask(cache, bits, n_max, maskp);
    }
    if (error == ENOSPC) {
        struct flow_key narrow = *bits;
        narrow_mask(&narrow);
        error = cache_get_mask(cache, &narrow, n_max, maskp);
    }
    if (error == 0 && (*maskp)->n_flows == 0) {
        (*maskp)->dp_port = port;
    }
    return error;
}

/* As flow_cache_insert(), with the mutex held. */
static int
insert(struct flow_cache *cache, const struct flow_cache_insertion *insertion, struct megaflow **megaflowp,
       bool *replaced)
{
    uint32_t port = cache_port(insertion->key);
    struct megaflow_mask *mask;
    int error = choose_mask(cache, insertion->mask, port, &mask);

    if (error != 0) {
        return error;
    }
    struct megaflow *old = cache_find(cache, mask, megaflow_hash(mask, insertion->key), insertion->key);
    mask->n_flows++; /* So that it stays whatever is removed here. */
    bool room = old != NULL || cache->n_live < cache->flows_max || replace_one(cache, port, insertion->now_ms);
    error = room ? cache_make(cache, mask, insertion, old, megaflowp) : ENOSPC;
    if (!room && cache->n_vain >= cache->n_live) {
        atomic_store_explicit(&cache->full_ms, insertion->now_ms, memory_order_relaxed);
    }
    mask->n_flows--;
    if (mask->n_flows == 0) {
        cache_drop_mask(cache, mask);
    }
    *replaced = old != NULL;
    return error;
}

bool
flow_cache_may_insert(struct flow_cache *cache, const struct flow_key *key, uint64_t now_ms)
{
    if (atomic_load_explicit(&cache->full_ms, memory_order_relaxed) != now_ms
        || cache_has_little(cache, cache_port(key))) {
        return true;
    }
    count(&cache->n_not_cached, 1);
    return false;
}

int
flow_cache_insert(struct flow_cache *cache, const struct flow_cache_insertion *insertion, struct megaflow **megaflowp,
                  bool *replaced)
{
    int error = EAGAIN;

    *megaflowp = NULL;
    if (pthread_mutex_trylock(&cache->mutex) == 0) {
        error = insert(cache, insertion, megaflowp, replaced);
        pthread_mutex_unlock(&cache->mutex);
    }
    if (error != 0) {
        *megaflowp = NULL;
        count(&cache->n_not_cached, 1);
    }
    return error;
}
