/* Making a megaflow of a translation: for a packet that missed, and for a sweep that found one stale. */
#include <errno.h>
#include <string.h>

#include "classifier/megaflow_table.h"
#include "sluice/records.h"

static uint64_t
load(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Fills 'map' with the words of 'key' that are not zero, as far as a packet can have them.  Returns their number. */
static uint32_t
map_key(const struct flow_key *key, uint64_t map[SLUICE_KEY_MAP_WORDS])
{
    uint32_t n = 0;

    memset(map, 0, SLUICE_KEY_MAP_WORDS * sizeof map[0]);
    for (uint32_t word = 0; word < SLUICE_KEY_PIPELINE_WORD; word++) {
        if (key->words[word] != 0) {
            map[word / 64] |= UINT64_C(1) << word % 64;
            n++;
        }
    }
    return n;
}

static struct megaflow_body *
create_body(struct flow_cache *cache, const struct flow_cache_insertion *insertion, uint32_t n_words)
{
    uint64_t map[SLUICE_KEY_MAP_WORDS];
    uint32_t n_key_words = map_key(insertion->key, map);
    uint32_t n_values = n_words > MEGAFLOW_VALUES ? n_words : 0;
    size_t size =
        sizeof(struct megaflow_body) + insertion->actions_size + insertion->data_size + 8 * (n_key_words + n_values);
    struct megaflow_body *body = slab_alloc(&cache->slab, size);

    if (body == NULL) {
        return NULL;
    }
    *body = (struct megaflow_body){ .cache = cache,
                                    .size = (uint32_t) size,
                                    .actions_size = insertion->actions_size,
                                    .data_size = insertion->data_size,
                                    .created_ms = insertion->now_ms };
    memcpy(body->key_map, map, sizeof map);
    uint64_t *at = body->bytes;
    if (insertion->actions_size != 0) {
        memcpy(at, insertion->actions, insertion->actions_size);
    }
    at += insertion->actions_size / 8;
    if (insertion->data_size != 0) {
        memcpy(at, insertion->data, insertion->data_size);
    }
    at += insertion->data_size / 8;
    uint32_t word;
    MATCH_FOR_EACH_WORD(word, body->key_map) {
        *at++ = insertion->key->words[word];
    }
    body->values = n_values != 0 ? at : NULL;
    return body;
}

struct megaflow_words
megaflow_words(const struct megaflow *megaflow)
{
    const struct megaflow_mask *mask = atomic_load_explicit(&megaflow->mask, memory_order_relaxed);

    return (struct megaflow_words){ mask->n_words, mask->words, megaflow_values(megaflow, mask) };
}

void
megaflow_get_key(const struct megaflow *megaflow, struct flow_key *key)
{
    const struct megaflow_body *body = megaflow->body;
    const uint64_t *at = body->bytes + (body->actions_size + body->data_size) / 8;
    uint32_t word;

    memset(key, 0, sizeof *key);
    MATCH_FOR_EACH_WORD(word, body->key_map) {
        key->words[word] = *at++;
    }
}

/* Fills in a megaflow.  One that replaces another goes on counting where that was, for those who watch; what was counted
 * so far belongs to the old one's rules. */
static void
fill(struct flow_cache *cache, struct megaflow *megaflow, const struct megaflow_mask *mask,
     const struct flow_cache_insertion *insertion, const struct megaflow *old)
{
    struct megaflow_body *body = megaflow->body;
    uint64_t *values = mask->n_words <= MEGAFLOW_VALUES ? megaflow->values : body->values;

    for (uint32_t i = 0; i < mask->n_words; i++) {
        values[i] = insertion->key->words[mask->words[i].key_word] & mask->words[i].mask;
    }
    megaflow->hash = megaflow_hash(mask, insertion->key);
    megaflow->dp_port = cache_port(insertion->key);
    if (old != NULL) {
        body->n_packets_pushed = load(&old->n_packets);
        body->n_bytes_pushed = load(&old->n_bytes);
        body->created_ms = old->body->created_ms;
        body->id = old->body->id;
    } else {
        body->id = ++cache->last_id;
    }
    body->serial = ++cache->last_serial;
    atomic_store_explicit(&megaflow->change, insertion->change, memory_order_relaxed);
    atomic_store_explicit(&megaflow->n_packets, body->n_packets_pushed, memory_order_relaxed);
    atomic_store_explicit(&megaflow->n_bytes, body->n_bytes_pushed, memory_order_relaxed);
    atomic_store_explicit(&megaflow->used_ms, insertion->now_ms, memory_order_relaxed);
    atomic_store_explicit(&megaflow->tcp_flags, old != NULL ? atomic_load(&old->tcp_flags) : 0, memory_order_relaxed);
}

void
megaflow_free_body(struct flow_cache *cache, struct megaflow_body *body)
{
    slab_free(&cache->slab, body, body->size);
}

void
cache_tell(struct flow_cache *cache, const struct megaflow *megaflow, uint32_t change)
{
    if (cache->is_telling && cache->hooks.tell != NULL) {
        cache->hooks.tell(cache->hooks.aux, megaflow, change);
    }
}

static bool
same_actions(const struct megaflow *a, const struct megaflow *b)
{
    return a->body->actions_size == b->body->actions_size
           && !memcmp(megaflow_actions(a), megaflow_actions(b), a->body->actions_size);
}

int
cache_make(struct flow_cache *cache, struct megaflow_mask *mask, const struct flow_cache_insertion *insertion,
           struct megaflow *old, struct megaflow **megaflowp)
{
    struct megaflow *megaflow = cache_allocate(cache);

    if (megaflow == NULL) {
        return ENOSPC;
    }
    megaflow->body = create_body(cache, insertion, mask->n_words);
    if (megaflow->body == NULL) {
        cache_give_back(cache, megaflow);
        return ENOMEM;
    }
    fill(cache, megaflow, mask, insertion, old);
    int error = cache_link(cache, mask, megaflow, old);
    if (error != 0) {
        megaflow_free_body(cache, megaflow->body);
        cache_give_back(cache, megaflow);
        return error;
    }
    if (old == NULL) {
        cache_tell(cache, megaflow, SLUICE_MEGAFLOW_CHANGE_ADD);
    } else if (!same_actions(old, megaflow)) {
        /* The old one waits for readers, of which this thread is one. */
        cache_tell(cache, megaflow, SLUICE_MEGAFLOW_CHANGE_MODIFY);
    }
    *megaflowp = megaflow;
    return 0;
}

/* Whether a translation that read 'bits' read nothing but what 'mask' has. */
static bool
mask_has_all(const struct megaflow_mask *mask, const struct flow_key *bits)
{
    struct flow_key extra = *bits;
    uint64_t any = 0;

    for (uint32_t i = 0; i < mask->n_words; i++) {
        extra.words[mask->words[i].key_word] &= ~mask->words[i].mask;
    }
    for (uint32_t word = 0; word < SLUICE_KEY_PIPELINE_WORD; word++) {
        any |= extra.words[word];
    }
    return any == 0;
}

bool
cache_revalidate(struct flow_cache *cache, struct megaflow *megaflow, bool may_learn)
{
    struct megaflow_mask *mask = atomic_load_explicit(&megaflow->mask, memory_order_relaxed);
    struct flow_cache_insertion insertion = { 0 };
    struct megaflow *fresh;
    struct flow_key key;

    if (cache->hooks.revalidate == NULL) {
        return false;
    }
    megaflow_get_key(megaflow, &key);
    if (!cache->hooks.revalidate(cache->hooks.aux, &key, may_learn, &insertion)) {
        return false;
    }
    insertion.key = &key;
    insertion.now_ms = load(&megaflow->used_ms);
    if (mask_has_all(mask, insertion.mask) && cache_make(cache, mask, &insertion, megaflow, &fresh) == 0) {
        return true;
    }
    if (cache->hooks.release != NULL) {
        cache->hooks.release(cache->hooks.aux, (void *) insertion.data);
    }
    return false;
}
