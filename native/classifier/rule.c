#include "classifier/rule.h"

#include <stdlib.h>

#include "classifier/rule_memory.h"
#include "classifier/rule_table.h"

void
table_counters_ref(struct table_counters *counters)
{
    atomic_fetch_add_explicit(&counters->refs, 1, memory_order_relaxed);
}

void
table_counters_unref(struct table_counters *counters)
{
    if (counters != NULL && atomic_fetch_sub_explicit(&counters->refs, 1, memory_order_acq_rel) == 1) {
        free(counters);
    }
}

void
rule_mask_unref(struct rule_mask *mask)
{
    if (mask != NULL && atomic_fetch_sub_explicit(&mask->refs, 1, memory_order_acq_rel) == 1) {
        table_counters_unref(mask->counters);
        free(mask);
    }
}

struct rule_stats *
rule_stats_create(uint64_t created_ms, uint64_t used_ms)
{
    struct rule_stats *stats = rule_memory_alloc(sizeof *stats);

    if (stats != NULL) {
        stats->created_ms = created_ms;
        atomic_init(&stats->used_ms, used_ms);
        atomic_init(&stats->refs, 1);
    }
    return stats;
}

void
rule_stats_unref(struct rule_stats *stats)
{
    while (stats != NULL && atomic_fetch_sub_explicit(&stats->refs, 1, memory_order_acq_rel) == 1) {
        struct rule_stats *successor = atomic_load_explicit(&stats->successor, memory_order_relaxed);
        rule_memory_free(stats, sizeof *stats);
        stats = successor;
    }
}

void
rule_stats_succeed(struct rule_stats *old, struct rule_stats *new)
{
    atomic_fetch_add_explicit(&new->refs, 1, memory_order_relaxed);
    atomic_store_explicit(&old->successor, new, memory_order_release);
}

void
rule_unref(const struct rule *const_rule)
{
    struct rule *rule = (struct rule *) const_rule;

    if (rule != NULL && atomic_fetch_sub_explicit(&rule->refs, 1, memory_order_acq_rel) == 1) {
        action_list_unref(rule->actions);
        rule_stats_unref(rule->stats);
        size_t size = rule_size(rule->mask->n_words);
        rule_mask_unref(rule->mask);
        rule_memory_free(rule, size);
    }
}

void
rule_stats_credit(struct rule_stats *stats, uint64_t n_packets, uint64_t n_bytes, uint64_t used_ms)
{
    struct rule_stats *next;
    bool counts = true;

    while ((next = atomic_load_explicit(&stats->successor, memory_order_acquire)) != NULL) {
        counts = counts && !next->begins_anew;
        stats = next;
    }
    if (counts) {
        atomic_fetch_add_explicit(&stats->n_packets, n_packets, memory_order_relaxed);
        atomic_fetch_add_explicit(&stats->n_bytes, n_bytes, memory_order_relaxed);
    }
    uint64_t used = atomic_load_explicit(&stats->used_ms, memory_order_relaxed);
    while (used < used_ms
           && !atomic_compare_exchange_weak_explicit(&stats->used_ms, &used, used_ms, memory_order_relaxed,
                                                     memory_order_relaxed)) {
    }
}

void
rule_credit(const struct rule *rule, uint64_t n_packets, uint64_t n_bytes, uint64_t used_ms)
{
    rule_stats_credit(rule->stats, n_packets, n_bytes, used_ms);
    table_counters_credit_match(rule->mask->counters, n_packets);
}

size_t
rule_match_size(const struct rule *rule)
{
    return sizeof(struct match) + 16 * (size_t) rule->mask->n_words;
}

void
rule_put_match(const struct rule *rule, struct match *match)
{
    const struct rule_mask *mask = rule->mask;

    for (int i = 0; i < SLUICE_KEY_MAP_WORDS; i++) {
        match->map[i] = mask->map[i];
    }
    for (uint32_t i = 0; i < mask->n_words; i++) {
        match->words[2 * i] = rule->values[i];
        match->words[2 * i + 1] = mask->masks[i];
    }
}
