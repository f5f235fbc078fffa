#include "worker/flood.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/flow_cache.h"
#include "classifier/rule.h"
#include "worker/dump.h"
#include "worker/megaflow.h"
#include "worker/ring.h"
#include "worker/state.h"

/* Misses between two sweeps from which on a port may be told of, and turns that it was held back for. */
#define MISSES_MIN 5000u
#define HELD_MIN 1000u

/* Between two events of a port. */
#define TELL_MS 10000u

/* Rules that are told of, and those among which they are chosen. */
#define RULES_TOLD 8u
#define RULES_MAX 1024u

/* Megaflows of a port that are looked at in each cache. */
#define SAMPLE_MAX 16384u

/* What a port's misses came to so far. */
static struct sluice_miss_info
misses_of(const struct sluice_datapath *datapath, const struct dp_port *entry)
{
    struct sluice_miss_info info = { .type = SLUICE_QUERY_MISS_STATS,
                                     .size = sizeof info,
                                     .dp_port = entry->port->dp_port };

    for (uint32_t q = 0; q < entry->port->n_rxq; q++) {
        info.n_misses += atomic_load_explicit(&entry->queues[q].debt.n_misses, memory_order_relaxed);
        info.n_held += atomic_load_explicit(&entry->queues[q].debt.n_held, memory_order_relaxed);
    }
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        struct flow_cache_port_stats stats;
        flow_cache_get_port_stats(datapath->workers[i]->cache, info.dp_port, &stats);
        info.n_megaflows += stats.n_flows;
        info.n_masks += stats.n_masks;
        info.fills_cache |= stats.fills;
    }
    return info;
}

static void
watch_port(struct sluice_datapath *datapath, struct dp_port *entry, uint64_t now_ms)
{
    struct sluice_miss_info info = misses_of(datapath, entry);
    uint64_t n_misses = info.n_misses - entry->flood.n_misses;
    uint64_t n_held = info.n_held - entry->flood.n_held;
    uint64_t period_ms = now_ms - entry->flood.looked_ms;

    entry->flood.n_misses = info.n_misses;
    entry->flood.n_held = info.n_held;
    entry->flood.looked_ms = now_ms;
    if (n_misses < MISSES_MIN || (n_held < HELD_MIN && !info.fills_cache)
        || (entry->flood.told_ms != 0 && now_ms < entry->flood.told_ms + TELL_MS)) {
        return;
    }
    struct sluice_event_flood event = {
        .type = SLUICE_EVENT_FLOOD,
        .dp_port = info.dp_port,
        .n_masks = info.n_masks,
        .n_megaflows = info.n_megaflows,
        .n_misses = n_misses,
        .n_held = n_held,
        .period_ms = (uint32_t) period_ms,
        .fills_cache = info.fills_cache,
    };
    const struct ring_part part = { &event, sizeof event };
    /* From no port: the one that floods may have used up its part of the ring. */
    if (ring_put(&datapath->ring, DATAPATH_PORTS_MAX, (struct sluice_record *) &event, &part, 1)) {
        entry->flood.told_ms = now_ms;
    }
}

static struct dp_port *
entry_at(const struct sluice_datapath *datapath, uint32_t number)
{
    return number < DATAPATH_PORTS_MAX ? atomic_load_explicit(&datapath->ports.ports[number], memory_order_relaxed)
                                       : NULL;
}

void
flood_watch(struct sluice_datapath *datapath, uint64_t now_ms)
{
    for (uint32_t seen = 0, i = 0; seen < datapath->ports.n_ports && i < DATAPATH_PORTS_MAX; i++) {
        struct dp_port *entry = entry_at(datapath, i);
        if (entry != NULL) {
            seen++;
            watch_port(datapath, entry, now_ms);
        }
    }
}

int
flood_answer_ports(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                   size_t reply_size, size_t *used)
{
    struct dump dump;
    int error = dump_begin(&dump, query, reply, reply_size);

    if (error != 0) {
        return error;
    }
    for (uint32_t seen = 0, i = 0; seen < datapath->ports.n_ports && i < DATAPATH_PORTS_MAX; i++) {
        const struct dp_port *entry = entry_at(datapath, i);
        if (entry != NULL) {
            struct sluice_miss_info *info = dump_add(&dump, sizeof *info);
            seen++;
            if (info != NULL) {
                *info = misses_of(datapath, entry);
            }
        }
    }
    return dump_end(&dump, used);
}

/* Rules by how many of the megaflows looked at come from them. */
struct rule_counts {
    uint32_t n_seen;
    uint32_t n_seen_here; /* Of the cache at hand. */
    uint32_t n;
    struct rule_count {
        const struct rule *rule; /* Counted. */
        uint32_t n_megaflows;
    } all[2 * RULES_MAX]; /* By address; null: free. */
};

static void
count_rule(void *aux, const struct rule *rule)
{
    struct rule_counts *counts = aux;
    uint32_t slot = (uint32_t) (((uintptr_t) rule >> 6) * 2654435761u) % (2 * RULES_MAX);

    while (counts->all[slot].rule != NULL && counts->all[slot].rule != rule) {
        slot = (slot + 1) % (2 * RULES_MAX);
    }
    if (counts->all[slot].rule == NULL) {
        if (counts->n == RULES_MAX) {
            return;
        }
        counts->n++;
        counts->all[slot].rule = rule;
        rule_ref(rule);
    }
    counts->all[slot].n_megaflows++;
}

static bool
count_megaflow(void *aux, void *data)
{
    struct rule_counts *counts = aux;

    megaflow_each_rule(data, count_rule, counts);
    counts->n_seen++;
    return ++counts->n_seen_here < SAMPLE_MAX;
}

/* Most megaflows first; among equals, later tables, whose rules say more of the packet. */
static int
compare_counts(const void *a_, const void *b_)
{
    const struct rule_count *a = a_, *b = b_;

    if (a->n_megaflows != b->n_megaflows) {
        return a->n_megaflows < b->n_megaflows ? 1 : -1;
    }
    return a->rule == NULL || b->rule == NULL ? 0 : (int) b->rule->table - (int) a->rule->table;
}

static void
add_rule(struct dump *dump, const struct rule_count *count, uint32_t n_seen)
{
    size_t match_bytes = rule_match_size(count->rule);
    struct sluice_miss_rule *info = dump_add(dump, sizeof *info + match_bytes);

    if (info != NULL) {
        info->type = SLUICE_QUERY_MISS_RULES;
        info->size = (uint32_t) (sizeof *info + match_bytes);
        info->table = count->rule->table;
        info->priority = count->rule->priority;
        info->cookie = count->rule->cookie;
        info->n_megaflows = count->n_megaflows;
        info->n_seen = n_seen;
        info->match_size = (uint32_t) match_bytes;
        rule_put_match(count->rule, (struct match *) (void *) (info + 1));
    }
}

int
flood_answer_rules(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                   size_t reply_size, size_t *used)
{
    const struct sluice_miss_rules_query *ask = (const struct sluice_miss_rules_query *) query;
    const struct sluice_dump_query begin = { .size = sizeof begin };
    struct rule_counts *counts = calloc(1, sizeof *counts);
    struct dump dump;

    if (query->size != sizeof *ask || counts == NULL) {
        free(counts);
        return query->size != sizeof *ask ? EINVAL : ENOMEM;
    }
    int error = dump_begin(&dump, (const struct sluice_record *) &begin, reply, reply_size);
    if (error != 0) {
        free(counts);
        return error;
    }
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        counts->n_seen_here = 0;
        flow_cache_visit_port(datapath->workers[i]->cache, ask->dp_port, count_megaflow, counts);
    }
    qsort(counts->all, 2 * RULES_MAX, sizeof counts->all[0], compare_counts);
    for (uint32_t i = 0; i < 2 * RULES_MAX && counts->all[i].rule != NULL; i++) {
        if (i < RULES_TOLD) {
            add_rule(&dump, &counts->all[i], counts->n_seen);
        }
        rule_unref(counts->all[i].rule);
    }
    free(counts);
    error = dump_end(&dump, used);
    /* What did not fit is not gone on with: the caller gives room for all. */
    ((struct sluice_dump_reply *) (void *) reply)->cursor = 0;
    return error;
}
