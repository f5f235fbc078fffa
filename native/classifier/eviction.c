#include "classifier/eviction.h"

#include <stdlib.h>

#include "packet/hash.h"

/* Counters of groups by hash, with open addressing: 'size' is a power of two above the number of rules. */
struct group_count {
    uint32_t hash;
    uint32_t n; /* 0: free. */
};

struct groups {
    struct group_count *counts; /* Null: there is one group. */
    uint32_t mask;              /* Size less one. */
    uint32_t n_max;             /* Rules of the largest group. */
    struct flow_key bits;       /* What tells groups apart. */
};

static bool
may_go(const struct rule *rule, uint8_t table)
{
    return rule->table == table && !(rule->flags & SLUICE_FLOW_FLAG_READ_ONLY);
}

/* Bits that a rule does not match are zero. */
static uint32_t
group_hash(const struct groups *groups, const struct rule *rule)
{
    const uint8_t *indexes = rule_mask_indexes(rule->mask);
    uint32_t hash = 0;

    for (uint32_t i = 0; i < rule->mask->n_words; i++) {
        uint64_t value = rule->values[i] & groups->bits.words[indexes[i]];
        if (value != 0) {
            hash = hash_add(hash, indexes[i]);
            hash = hash_add(hash, (uint32_t) value);
            hash = hash_add(hash, (uint32_t) (value >> 32));
        }
    }
    return hash_end(hash, 0);
}

static struct group_count *
find_count(const struct groups *groups, uint32_t hash)
{
    uint32_t i = hash & groups->mask;

    while (groups->counts[i].n != 0 && groups->counts[i].hash != hash) {
        i = (i + 1) & groups->mask;
    }
    return &groups->counts[i];
}

/* Counts the rules of each group.  Without memory for that, all are one group. */
static void
count_groups(struct groups *groups, const struct flow_store *store, uint8_t table)
{
    const struct match *by = store->tables[table].evict_by;
    struct flow_key value;
    uint32_t size = 16;

    *groups = (struct groups){ .counts = NULL };
    if (by == NULL) {
        return;
    }
    while (size < 2 * store->expiry.n) {
        size *= 2;
    }
    groups->counts = calloc(size, sizeof *groups->counts);
    groups->mask = size - 1;
    match_expand(by, &value, &groups->bits);
    for (uint32_t i = 0; groups->counts != NULL && i < store->expiry.n; i++) {
        const struct rule *rule = store->expiry.elements[i].rule;
        if (may_go(rule, table)) {
            uint32_t hash = group_hash(groups, rule);
            struct group_count *count = find_count(groups, hash);
            count->hash = hash;
            count->n++;
            groups->n_max = count->n > groups->n_max ? count->n : groups->n_max;
        }
    }
}

struct rule *
eviction_choose(const struct flow_store *store, uint8_t table)
{
    struct groups groups;
    struct rule *victim = NULL;
    uint64_t victim_due = 0;

    count_groups(&groups, store, table);
    for (uint32_t i = 0; i < store->expiry.n; i++) {
        struct rule *rule = store->expiry.elements[i].rule;
        if (!may_go(rule, table)
            || (groups.counts != NULL && find_count(&groups, group_hash(&groups, rule))->n < groups.n_max)) {
            continue;
        }
        uint64_t due = rule_due_ms(rule);
        if (victim == NULL || rule->importance < victim->importance
            || (rule->importance == victim->importance && due < victim_due)) {
            victim = rule;
            victim_due = due;
        }
    }
    free(groups.counts);
    return victim;
}
