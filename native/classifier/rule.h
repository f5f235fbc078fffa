/* One OpenFlow rule.
 *
 * A rule is in table 'table' of a flow store from version 'add_version' on, until 'remove_version'.  Match, priority,
 * cookie and actions never change: modifying a rule replaces it by one that shares its statistics.  So whoever holds a
 * reference (a megaflow's credit) may read them at any time, from any thread, even after the rule left its table.
 *
 * The match is kept as values only; the words they stand for and their masks are in 'mask', which all rules of a
 * subtable share. */
#ifndef CLASSIFIER_RULE_H
#define CLASSIFIER_RULE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "classifier/action_list.h"
#include "packet/match.h"
#include "sluice/flow_key.h"
#include "sluice/records.h"

/* In 'flags', beside those of enum sluice_flow_flag: the actions are clauses of conjunctions, so that the rule alone says
 * nothing of a packet.  Kept where a lookup reads anyway. */
#define RULE_FLAG_SOFT 0x8000u

#define RULE_VERSION_NEVER UINT64_MAX
#define RULE_POSITION_NONE UINT32_MAX

/* Counters of a table, shared with its rules so that they outlive it. */
struct table_counters {
    _Atomic uint32_t refs;
    _Atomic uint64_t n_matches; /* Lookups that found a rule, */
    _Atomic uint64_t n_misses;  /* and those that did not. */
};

/* Which bits of the key a subtable's rules match.  Immutable, shared, counted; any thread. */
struct rule_mask {
    _Atomic uint32_t refs;
    uint32_t n_words;
    uint64_t map[SLUICE_KEY_MAP_WORDS];
    struct table_counters *counters; /* Of the table it is in. */
    uint64_t masks[];                /* 'n_words' masks, then 'n_words' bytes that say which word of the key. */
};

/* Statistics of a rule, shared with the rules that it was modified into. */
struct rule_stats {
    _Atomic uint64_t n_packets;
    _Atomic uint64_t n_bytes;
    _Atomic uint64_t used_ms; /* When the last packet that counts passed, or when it was added. */
    uint64_t created_ms;
    uint64_t added_version; /* In which the first of these rules appeared; 0 until it does. */
    /* Of the rule that was added in the place of these rules, to which what is counted later belongs; counted.  Null as
     * long as there is none.  Never changes again. */
    _Atomic(struct rule_stats *) successor;
    bool begins_anew; /* What is counted for those before it only tells that packets passed. */
    _Atomic uint32_t refs;
};

/* Packets meet most rules cold, so what a lookup and a translation read of one is together at its end. */
struct rule {
    /* The flow store's own; only under the control lock. */
    struct rule *cookie_next, *cookie_prev;
    uint64_t sequence; /* Its place in dumps. */
    uint32_t position; /* In the table's order, or RULE_POSITION_NONE. */
    uint32_t expiry;   /* In the heap of timeouts, or RULE_POSITION_NONE. */

    /* What dumps read. */
    uint64_t modified_ms;
    uint16_t idle_timeout_s;
    uint16_t hard_timeout_s;
    uint32_t importance;
    uint8_t removed_reason; /* enum sluice_removed_reason, once it is being removed. */

    _Atomic uint32_t refs;

    /* What translation reads of the rule that it found. */
    struct rule_stats *stats;    /* Counted. */
    struct action_list *actions; /* Counted. */
    uint64_t cookie;
    struct rule_mask *mask; /* Counted. */

    /* What lookups read. */
    uint64_t add_version;
    _Atomic uint64_t remove_version; /* RULE_VERSION_NEVER while it is to stay. */
    _Atomic(struct rule *) next;     /* Same match, lower priority or older. */
    uint32_t priority;
    uint16_t flags; /* enum sluice_flow_flag. */
    uint8_t table;
    uint32_t hash; /* Of the match's values. */

    uint64_t values[]; /* mask->n_words of them. */
};

/* Bytes of a rule whose match has 'n_words' words. */
static inline size_t
rule_size(uint32_t n_words)
{
    return sizeof(struct rule) + n_words * sizeof(uint64_t);
}

static inline const uint8_t *
rule_mask_indexes(const struct rule_mask *mask)
{
    return (const uint8_t *) (mask->masks + mask->n_words);
}

/* Whether packets whose translation runs at 'version' see the rule.  Any thread. */
static inline bool
rule_is_visible(const struct rule *rule, uint64_t version)
{
    return rule->add_version <= version && version < atomic_load_explicit(&rule->remove_version, memory_order_relaxed);
}

/* Takes a reference.  The caller holds one, or found the rule and has passed no quiescent point since. */
static inline void
rule_ref(const struct rule *rule)
{
    atomic_fetch_add_explicit(&((struct rule *) rule)->refs, 1, memory_order_relaxed);
}

/* Gives up a reference; the last one frees the rule.  Null is fine.  Any thread. */
void rule_unref(const struct rule *rule);

/* Give up references to what rules share.  Null is fine.  Any thread. */
void rule_mask_unref(struct rule_mask *mask);
void rule_stats_unref(struct rule_stats *stats);

/* Statistics with one reference, which is the caller's, or null without memory.  Any thread. */
struct rule_stats *rule_stats_create(uint64_t created_ms, uint64_t used_ms);

/* Has what is counted for 'old' from now on be counted for 'new'.  The writer, once. */
void rule_stats_succeed(struct rule_stats *old, struct rule_stats *new);

/* Counts packets for a rule and for its table.  'used_ms' is the time of the last of them.  Any thread. */
void rule_credit(const struct rule *rule, uint64_t n_packets, uint64_t n_bytes, uint64_t used_ms);

/* The two halves of rule_credit(). */
void rule_stats_credit(struct rule_stats *stats, uint64_t n_packets, uint64_t n_bytes, uint64_t used_ms);

static inline void
table_counters_credit_match(struct table_counters *counters, uint64_t n_packets)
{
    atomic_fetch_add_explicit(&counters->n_matches, n_packets, memory_order_relaxed);
}

/* Bytes of the rule's match in the ABI's form, and the match itself into 'match', which has that much room. */
size_t rule_match_size(const struct rule *rule);
void rule_put_match(const struct rule *rule, struct match *match);

/* Whether the rule is but a clause of conjunctions. */
static inline bool
rule_is_soft(const struct rule *rule)
{
    return (rule->flags & RULE_FLAG_SOFT) != 0;
}

/* Whether the rule matches everything. */
static inline bool
rule_is_catchall(const struct rule *rule)
{
    return rule->mask->n_words == 0;
}

/* Rules that dumps leave out unless asked. */
static inline bool
rule_is_hidden(const struct rule *rule)
{
    return rule->priority > UINT16_MAX || (rule->flags & SLUICE_FLOW_FLAG_HIDDEN) != 0;
}

#endif
