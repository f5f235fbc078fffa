/* What is done to flow caches from time to time, by any thread. */
#include <errno.h>
#include <string.h>

#include "classifier/megaflow_table.h"
#include "packet/match.h"
#include "sluice/records.h"

/* Megaflows looked at for each hold of the mutex, so that the worker seldom finds it taken. */
#define STRETCH 256u

/* Calls 'each' for every megaflow that is not free, in stretches. */
static void
for_each(struct flow_cache *cache, void (*each)(struct flow_cache *, struct megaflow *, void *), void *aux)
{
    uint32_t n_made;
    uint32_t i = 0;

    do {
        pthread_mutex_lock(&cache->mutex);
        n_made = cache->n_made;
        for (uint32_t end = i + STRETCH < n_made ? i + STRETCH : n_made; i < end; i++) {
            struct megaflow *megaflow = cache_megaflow(cache, i);
            if (megaflow_state(megaflow) != MEGAFLOW_FREE) {
                each(cache, megaflow, aux);
            }
        }
        pthread_mutex_unlock(&cache->mutex);
    } while (i < n_made);
}

static bool
is_idle(const struct flow_cache *cache, const struct megaflow *megaflow, const struct flow_cache_sweep *sweep)
{
    uint64_t used = atomic_load_explicit(&megaflow->used_ms, memory_order_relaxed);
    uint64_t idle = sweep->idle_ms;

    if (sweep->flows_wanted != 0 && cache->n_live > sweep->flows_wanted) {
        if (cache->n_live / 2 > sweep->flows_wanted) {
            return true;
        }
        idle = sweep->idle_over_ms;
    }
    return used + idle < sweep->now_ms;
}

static bool
is_stale(struct flow_cache *cache, struct megaflow *megaflow, uint64_t change)
{
    uint64_t known = atomic_load_explicit(&megaflow->change, memory_order_relaxed);

    if (known == change || cache->hooks.is_stale == NULL) {
        return false;
    }
    if (cache->hooks.is_stale(cache->hooks.aux, megaflow, &known)) {
        return true;
    }
    atomic_store_explicit(&megaflow->change, known, memory_order_relaxed);
    return false;
}

struct sweeping {
    const struct flow_cache_sweep *how;
    uint32_t n_revalidated;
};

static void
kill(struct flow_cache *cache, struct megaflow *megaflow)
{
    cache_tell(cache, megaflow, SLUICE_MEGAFLOW_CHANGE_DELETE);
    cache_kill(cache, megaflow);
}

static void
sweep_megaflow(struct flow_cache *cache, struct megaflow *megaflow, void *sweeping_)
{
    struct sweeping *sweeping = sweeping_;
    const struct flow_cache_sweep *how = sweeping->how;
    uint64_t n_pushed = megaflow->body->n_packets_pushed;

    cache_push_megaflow(cache, megaflow);
    if (megaflow_state(megaflow) != MEGAFLOW_LIVE) {
        return;
    }
    if (is_idle(cache, megaflow, how)) {
        kill(cache, megaflow);
    } else if (is_stale(cache, megaflow, how->change)) {
        bool news = megaflow->body->n_packets_pushed != n_pushed;
        if (sweeping->n_revalidated >= how->n_revalidations_max || !cache_revalidate(cache, megaflow, news)) {
            kill(cache, megaflow);
        }
        sweeping->n_revalidated++;
    }
}

uint32_t
flow_cache_sweep(struct flow_cache *cache, const struct flow_cache_sweep *sweep)
{
    struct sweeping sweeping = { .how = sweep };

    for_each(cache, sweep_megaflow, &sweeping);
    pthread_mutex_lock(&cache->mutex);
    cache_rank_masks(cache);
    limbo_reclaim(&cache->limbo);
    uint32_t n_live = cache->n_live;
    pthread_mutex_unlock(&cache->mutex);
    return n_live;
}

static void
push_megaflow(struct flow_cache *cache, struct megaflow *megaflow, void *aux)
{
    (void) aux;
    cache_push_megaflow(cache, megaflow);
}

void
flow_cache_push(struct flow_cache *cache)
{
    for_each(cache, push_megaflow, NULL);
}

struct flush {
    bool (*chosen)(void *aux, void *data);
    void *aux;
};

static void
flush_megaflow(struct flow_cache *cache, struct megaflow *megaflow, void *flush_)
{
    const struct flush *flush = flush_;

    if (megaflow_state(megaflow) == MEGAFLOW_LIVE
        && (flush->chosen == NULL || flush->chosen(flush->aux, megaflow_data(megaflow)))) {
        kill(cache, megaflow);
    }
}

void
flow_cache_flush(struct flow_cache *cache, bool (*chosen)(void *aux, void *data), void *aux)
{
    struct flush flush = { chosen, aux };

    for_each(cache, flush_megaflow, &flush);
    flow_cache_collect(cache);
}

uint32_t
flow_cache_collect(struct flow_cache *cache)
{
    pthread_mutex_lock(&cache->mutex);
    limbo_reclaim(&cache->limbo);
    uint32_t n_dead = cache->n_dead;
    pthread_mutex_unlock(&cache->mutex);
    return n_dead;
}

void
flow_cache_set_limit(struct flow_cache *cache, uint32_t flows_max)
{
    pthread_mutex_lock(&cache->mutex);
    cache->flows_max = flows_max;
    atomic_store_explicit(&cache->full_ms, UINT64_MAX, memory_order_relaxed);
    pthread_mutex_unlock(&cache->mutex);
}

void
flow_cache_tell(struct flow_cache *cache, bool on)
{
    pthread_mutex_lock(&cache->mutex);
    cache->is_telling = on;
    pthread_mutex_unlock(&cache->mutex);
}

/* Writes the megaflow's match at 'match'. */
static void
put_match(const struct megaflow *megaflow, const struct megaflow_mask *mask, struct match *match)
{
    const uint64_t *values = megaflow_values(megaflow, mask);

    memset(match->map, 0, sizeof match->map);
    for (uint32_t i = 0; i < mask->n_words; i++) {
        match->map[mask->words[i].key_word / 64] |= UINT64_C(1) << mask->words[i].key_word % 64;
        match->words[2 * i] = values[i];
        match->words[2 * i + 1] = mask->words[i].mask;
    }
}

size_t
megaflow_put_record(const struct megaflow *megaflow, uint32_t worker, uint8_t *record, size_t room)
{
    const struct megaflow_mask *mask = atomic_load_explicit(&megaflow->mask, memory_order_relaxed);
    const struct megaflow_body *body = megaflow->body;
    size_t match_bytes = sizeof(struct match) + 16 * (size_t) mask->n_words;
    size_t key_bytes = sizeof(struct match) + 16 * (size_t) match_map_count(body->key_map);
    size_t size = sizeof(struct sluice_megaflow_info) + match_bytes + key_bytes + body->actions_size;

    if (size > room) {
        return 0;
    }
    struct sluice_megaflow_info *info = (struct sluice_megaflow_info *) (void *) record;
    uint64_t n_packets = atomic_load_explicit(&megaflow->n_packets, memory_order_relaxed);
    *info = (struct sluice_megaflow_info){
        .type = SLUICE_QUERY_MEGAFLOW_DUMP,
        .size = (uint32_t) size,
        .n_packets = n_packets,
        .n_bytes = atomic_load_explicit(&megaflow->n_bytes, memory_order_relaxed),
        .used_ms = n_packets != 0 ? atomic_load_explicit(&megaflow->used_ms, memory_order_relaxed) : 0,
        .id = body->id,
        .worker = worker,
        .tcp_flags = atomic_load_explicit(&megaflow->tcp_flags, memory_order_relaxed),
        .match_size = (uint32_t) match_bytes,
        .key_size = (uint32_t) key_bytes,
        .actions_size = body->actions_size,
    };
    struct match *match = (struct match *) (void *) (info + 1);
    put_match(megaflow, mask, match);
    struct match *key = (struct match *) (void *) ((uint8_t *) match + match_bytes);
    const uint64_t *values = body->bytes + (body->actions_size + body->data_size) / 8;
    memcpy(key->map, body->key_map, sizeof key->map);
    for (uint32_t i = 0, n = match_map_count(key->map); i < n; i++) {
        key->words[2 * i] = values[i];
        key->words[2 * i + 1] = UINT64_MAX;
    }
    memcpy((uint8_t *) key + key_bytes, megaflow_actions(megaflow), body->actions_size);
    return size;
}

int
flow_cache_dump(struct flow_cache *cache, uint32_t worker, uint64_t *cursor, uint8_t *records, size_t room,
                size_t *used, uint32_t *n_records)
{
    uint64_t i = *cursor;
    bool full = false;

    *used = 0;
    *n_records = 0;
    do {
        pthread_mutex_lock(&cache->mutex);
        uint64_t end = i + STRETCH < cache->n_made ? i + STRETCH : cache->n_made;
        for (; i < end && !full; i++) {
            const struct megaflow *megaflow = cache_megaflow(cache, (uint32_t) i);
            if (megaflow_state(megaflow) != MEGAFLOW_LIVE) {
                continue;
            }
            size_t size = megaflow_put_record(megaflow, worker, records + *used, room - *used);
            full = size == 0;
            i -= full;
            *used += size;
            *n_records += !full;
        }
        *cursor = i < cache->n_made ? i : 0;
        pthread_mutex_unlock(&cache->mutex);
    } while (*cursor != 0 && !full);
    return full && *n_records == 0 ? ENOSPC : 0;
}

void
flow_cache_get_port_stats(struct flow_cache *cache, uint32_t port, struct flow_cache_port_stats *stats)
{
    pthread_mutex_lock(&cache->mutex);
    const struct mask_list *list = atomic_load_explicit(&cache->list, memory_order_relaxed);
    uint32_t n_masks = list != NULL ? list->n : 0;
    *stats = (struct flow_cache_port_stats){ .n_flows = atomic_load(&cache->n_of_port[port % CACHE_PORTS]) };
    for (uint32_t i = 0; i < n_masks; i++) {
        stats->n_masks += list->masks[i]->dp_port == port;
    }
    stats->fills = (cache->n_live >= cache->flows_max && 2 * stats->n_flows > cache->n_live)
                   || (n_masks >= cache->masks_max && 2 * stats->n_masks > n_masks);
    pthread_mutex_unlock(&cache->mutex);
}

/* A visit of a port's megaflows. */
struct port_visit {
    uint32_t port;
    bool (*visit)(void *aux, void *data);
    void *aux;
    bool is_over;
};

static void
visit_megaflow(struct flow_cache *cache, struct megaflow *megaflow, void *visit_)
{
    struct port_visit *visit = visit_;

    (void) cache;
    if (!visit->is_over && megaflow_state(megaflow) == MEGAFLOW_LIVE && megaflow->dp_port == visit->port) {
        visit->is_over = !visit->visit(visit->aux, megaflow_data(megaflow));
    }
}

void
flow_cache_visit_port(struct flow_cache *cache, uint32_t port, bool (*visit)(void *aux, void *data), void *aux)
{
    struct port_visit all = { .port = port, .visit = visit, .aux = aux };

    for_each(cache, visit_megaflow, &all);
}

void
flow_cache_add_stats(struct flow_cache *cache, struct flow_cache_stats *stats)
{
    pthread_mutex_lock(&cache->mutex);
    const struct mask_list *list = atomic_load_explicit(&cache->list, memory_order_relaxed);
    uint64_t n_signatures = atomic_load_explicit(&cache->signatures.n_entries, memory_order_relaxed);
    stats->n_hits += atomic_load_explicit(&cache->n_hits, memory_order_relaxed);
    stats->n_misses += atomic_load_explicit(&cache->n_misses, memory_order_relaxed);
    stats->n_again_hits += atomic_load_explicit(&cache->n_again_hits, memory_order_relaxed);
    stats->n_signature_hits += atomic_load_explicit(&cache->n_signature_hits, memory_order_relaxed);
    stats->n_mask_probes += atomic_load_explicit(&cache->n_mask_probes, memory_order_relaxed);
    stats->n_not_cached += atomic_load_explicit(&cache->n_not_cached, memory_order_relaxed);
    stats->n_replaced += cache->n_replaced;
    stats->n_flows += cache->n_live;
    stats->n_masks += list != NULL ? list->n : 0;
    stats->n_signatures += n_signatures;
    stats->n_bytes += sizeof *cache + 8 * n_signatures + cache->slab.n_bytes;
    for (uint32_t i = 0; list != NULL && i < list->n; i++) {
        stats->n_bytes += slot_table_size(&list->masks[i]->slots);
    }
    pthread_mutex_unlock(&cache->mutex);
}
