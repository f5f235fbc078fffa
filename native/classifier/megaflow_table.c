#include "classifier/megaflow_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t
index_slot(const struct megaflow *megaflow)
{
    return (uint64_t) megaflow->hash << 32 | (megaflow->index + 1);
}

static uint32_t
slot_hash(uint64_t slot, const void *aux)
{
    (void) aux;
    return (uint32_t) (slot >> 32);
}

static struct mask_list *
current_list(const struct flow_cache *cache)
{
    return atomic_load_explicit(&cache->list, memory_order_relaxed);
}

static void
publish_list(struct flow_cache *cache, struct mask_list *list)
{
    struct mask_list *old = current_list(cache);

    atomic_store_explicit(&cache->list, list, memory_order_release);
    if (old != NULL) {
        limbo_put(&cache->limbo, free, old);
    }
}

static bool
mask_is(const struct megaflow_mask *mask, const struct flow_key *bits)
{
    uint32_t n = 0;

    for (uint32_t word = 0; word < SLUICE_KEY_PIPELINE_WORD; word++) {
        if (bits->words[word] != 0) {
            if (n == mask->n_words || mask->words[n].key_word != word || mask->words[n].mask != bits->words[word]) {
                return false;
            }
            n++;
        }
    }
    return n == mask->n_words;
}

static struct megaflow_mask *
create_mask(struct flow_cache *cache, const struct flow_key *bits)
{
    uint32_t n = 0;

    for (uint32_t word = 0; word < SLUICE_KEY_PIPELINE_WORD; word++) {
        n += bits->words[word] != 0;
    }
    struct megaflow_mask *mask = calloc(1, sizeof *mask + n * sizeof mask->words[0]);
    if (mask == NULL) {
        return NULL;
    }
    for (uint32_t word = 0; word < SLUICE_KEY_PIPELINE_WORD; word++) {
        if (bits->words[word] != 0) {
            mask->words[mask->n_words++] = (struct megaflow_word){ bits->words[word], cache->factors[word], word };
        }
    }
    return mask;
}

int
cache_get_mask(struct flow_cache *cache, const struct flow_key *bits, uint32_t n_max, struct megaflow_mask **maskp)
{
    struct mask_list *old = current_list(cache);
    uint32_t n = old != NULL ? old->n : 0;

    for (uint32_t i = 0; i < n; i++) {
        if (mask_is(old->masks[i], bits)) {
            *maskp = old->masks[i];
            return 0;
        }
    }
    if (n >= n_max) {
        return ENOSPC;
    }
    struct mask_list *list = malloc(sizeof *list + (n + 1) * sizeof list->masks[0]);
    struct megaflow_mask *mask = create_mask(cache, bits);
    if (list == NULL || mask == NULL) {
        free(list);
        free(mask);
        return ENOMEM;
    }
    list->n = n + 1;
    if (n != 0) {
        memcpy(list->masks, old->masks, n * sizeof list->masks[0]);
    }
    list->masks[n] = mask;
    publish_list(cache, list);
    *maskp = mask;
    return 0;
}

static void
free_mask(void *mask_)
{
    struct megaflow_mask *mask = mask_;

    slot_table_clear(&mask->slots);
    free(mask);
}

void
cache_drop_mask(struct flow_cache *cache, struct megaflow_mask *mask)
{
    struct mask_list *old = current_list(cache);
    struct mask_list *list = malloc(sizeof *list + old->n * sizeof list->masks[0]);

    if (list == NULL) {
        return; /* It stays, empty. */
    }
    list->n = 0;
    for (uint32_t i = 0; i < old->n; i++) {
        if (old->masks[i] != mask) {
            list->masks[list->n++] = old->masks[i];
        }
    }
    publish_list(cache, list);
    limbo_put(&cache->limbo, free_mask, mask);
}

static int
compare_scores(const void *a_, const void *b_)
{
    const struct megaflow_mask *const *a = a_, *const *b = b_;

    return (*a)->score < (*b)->score ? 1 : (*a)->score > (*b)->score ? -1 : 0;
}

void
cache_rank_masks(struct flow_cache *cache)
{
    struct mask_list *old = current_list(cache);
    bool ordered = true;

    if (old == NULL) {
        return;
    }
    for (uint32_t i = 0; i < old->n; i++) {
        struct megaflow_mask *mask = old->masks[i];
        uint64_t n_hits = atomic_load_explicit(&mask->n_hits, memory_order_relaxed);
        mask->score = mask->score / 2 + (n_hits - mask->n_hits_ranked);
        mask->n_hits_ranked = n_hits;
        ordered &= i == 0 || old->masks[i - 1]->score >= mask->score;
    }
    struct mask_list *list = ordered ? NULL : malloc(sizeof *list + old->n * sizeof list->masks[0]);
    if (list != NULL) {
        memcpy(list, old, sizeof *list + old->n * sizeof list->masks[0]);
        qsort(list->masks, list->n, sizeof list->masks[0], compare_scores);
        publish_list(cache, list);
    }
}

struct megaflow *
cache_find(const struct flow_cache *cache, const struct megaflow_mask *mask, uint32_t hash, const struct flow_key *key)
{
    struct slot_search search = slot_search_begin(&mask->slots, hash);

    while (slot_search_next(&search)) {
        if (search.slot >> 32 == hash && search.slot != SLOT_REMOVED) {
            struct megaflow *megaflow = cache_megaflow(cache, (uint32_t) search.slot - 1);
            if (megaflow_has_key(megaflow, mask, key) && megaflow_state(megaflow) == MEGAFLOW_LIVE) {
                return megaflow;
            }
        }
    }
    return NULL;
}

static bool
add_chunk(struct flow_cache *cache)
{
    uint32_t n_max = cache->flows_max + cache->flows_max / 4 + CHUNK_FLOWS;
    uint32_t i = cache->n_made / CHUNK_FLOWS;
    struct megaflow *chunk;

    if (cache->n_made >= n_max || i >= CHUNKS_MAX) {
        return false;
    }
    chunk = slab_alloc(&cache->slab, CHUNK_FLOWS * sizeof *chunk);
    if (chunk == NULL) {
        return false;
    }
    memset(chunk, 0, CHUNK_FLOWS * sizeof *chunk);
    for (uint32_t k = CHUNK_FLOWS; k-- > 0;) {
        chunk[k].index = cache->n_made + k;
        chunk[k].next_free = cache->first_free;
        cache->first_free = chunk[k].index + 1;
    }
    cache->n_made += CHUNK_FLOWS;
    atomic_store_explicit(&cache->chunks[i], chunk, memory_order_release);
    return true;
}

struct megaflow *
cache_allocate(struct flow_cache *cache)
{
    if (cache->first_free == 0) {
        limbo_reclaim(&cache->limbo);
    }
    if (cache->first_free == 0 && !add_chunk(cache)) {
        return NULL;
    }
    struct megaflow *megaflow = cache_megaflow(cache, cache->first_free - 1);
    cache->first_free = megaflow->next_free;
    return megaflow;
}

void
cache_give_back(struct flow_cache *cache, struct megaflow *megaflow)
{
    atomic_store_explicit(&megaflow->state, MEGAFLOW_FREE, memory_order_release);
    atomic_store_explicit(&megaflow->mask, NULL, memory_order_relaxed);
    megaflow->body = NULL;
    megaflow->next_free = cache->first_free;
    cache->first_free = megaflow->index + 1;
}

void
cache_push_megaflow(struct flow_cache *cache, struct megaflow *megaflow)
{
    struct megaflow_body *body = megaflow->body;
    uint64_t n_packets = atomic_load_explicit(&megaflow->n_packets, memory_order_relaxed);
    uint64_t n_bytes = atomic_load_explicit(&megaflow->n_bytes, memory_order_relaxed);

    if (n_packets == body->n_packets_pushed && n_bytes == body->n_bytes_pushed) {
        return;
    }
    if (cache->hooks.credit != NULL) {
        cache->hooks.credit(cache->hooks.aux, megaflow_data(megaflow), n_packets - body->n_packets_pushed,
                            n_bytes - body->n_bytes_pushed,
                            atomic_load_explicit(&megaflow->used_ms, memory_order_relaxed),
                            atomic_load_explicit(&megaflow->tcp_flags, memory_order_relaxed));
    }
    body->n_packets_pushed = n_packets;
    body->n_bytes_pushed = n_bytes;
}

/* No reader has the megaflow any more: the last packets are counted now. */
static void
free_megaflow(void *megaflow_)
{
    struct megaflow *megaflow = megaflow_;
    struct megaflow_body *body = megaflow->body;
    struct flow_cache *cache = body->cache;

    cache_push_megaflow(cache, megaflow);
    if (cache->hooks.release != NULL) {
        cache->hooks.release(cache->hooks.aux, megaflow_data(megaflow));
    }
    megaflow_free_body(cache, body);
    cache->n_dead--;
    cache_give_back(cache, megaflow);
}

static bool
find_slot(const struct megaflow_mask *mask, const struct megaflow *megaflow, struct slot_search *search)
{
    *search = slot_search_begin(&mask->slots, megaflow->hash);
    while (slot_search_next(search)) {
        if (search->slot == index_slot(megaflow)) {
            return true;
        }
    }
    return false;
}

static void
count_of_port(struct flow_cache *cache, uint32_t port, int by)
{
    uint32_t before = atomic_load_explicit(&cache->n_of_port[port], memory_order_relaxed);
    uint32_t after = before + (uint32_t) by;
    uint32_t n_ports = atomic_load_explicit(&cache->n_ports, memory_order_relaxed);

    atomic_store_explicit(&cache->n_of_port[port], after, memory_order_relaxed);
    atomic_store_explicit(&cache->n_ports, n_ports + (before == 0) - (after == 0), memory_order_relaxed);
}

static void
bury(struct flow_cache *cache, struct megaflow *megaflow)
{
    struct megaflow_mask *mask = atomic_load_explicit(&megaflow->mask, memory_order_relaxed);

    atomic_store_explicit(&megaflow->state, MEGAFLOW_DEAD, memory_order_release);
    atomic_store_explicit(&cache->full_ms, UINT64_MAX, memory_order_relaxed);
    mask->n_flows--;
    cache->n_live--;
    cache->n_dead++;
    count_of_port(cache, megaflow->dp_port, -1);
    limbo_put(&cache->limbo, free_megaflow, megaflow);
}

int
cache_link(struct flow_cache *cache, struct megaflow_mask *mask, struct megaflow *megaflow, struct megaflow *old)
{
    struct slot_search search;

    atomic_store_explicit(&megaflow->mask, mask, memory_order_relaxed);
    atomic_store_explicit(&megaflow->state, MEGAFLOW_LIVE, memory_order_release);
    if (old != NULL && find_slot(mask, old, &search)) {
        slot_search_set(&search, index_slot(megaflow));
        bury(cache, old);
    } else if (slot_table_put(&mask->slots, &cache->limbo, megaflow->hash, index_slot(megaflow), slot_hash, NULL)) {
        return ENOMEM;
    }
    mask->n_flows++;
    cache->n_live++;
    count_of_port(cache, megaflow->dp_port, 1);
    return 0;
}

void
cache_kill(struct flow_cache *cache, struct megaflow *megaflow)
{
    struct megaflow_mask *mask = atomic_load_explicit(&megaflow->mask, memory_order_relaxed);
    struct slot_search search;

    if (find_slot(mask, megaflow, &search)) {
        slot_table_drop(&mask->slots, &search);
    }
    bury(cache, megaflow);
    if (mask->n_flows == 0) {
        cache_drop_mask(cache, mask);
    }
}
