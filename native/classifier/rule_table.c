#include "classifier/rule_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/rule_memory.h"
#include "classifier/conjunction.h"
#include "classifier/hash.h"
#include "classifier/subtable.h"
#include "packet/bytes.h"

#define BUCKETS_MIN 16u

/* What lookups go through, greatest priority first.  Immutable. */
struct subtable_list {
    uint32_t n;
    struct subtable_place {
        uint32_t max_priority;
        uint8_t prefix_lengths[SUBTABLE_PREFIXES]; /* Of a subtable that begins with prefixes; else zero. */
        struct subtable *subtable;
    } places[];
};

struct rule_table {
    _Atomic(struct subtable_list *) list;
    struct prefix_set prefixes[SUBTABLE_PREFIXES];

    /* The writer's. */
    struct limbo *limbo;
    struct table_counters *counters;
    uint32_t prefix_fields;
    struct subtable **buckets; /* By the hash of the mask. */
    uint32_t n_buckets, n_subtables;
    uint64_t n_rules;
};

struct rule_table *
rule_table_create(struct limbo *limbo, uint32_t prefix_fields)
{
    struct rule_table *table = calloc(1, sizeof *table);

    if (table == NULL) {
        return NULL;
    }
    table->limbo = limbo;
    table->prefix_fields = prefix_fields;
    table->n_buckets = BUCKETS_MIN;
    table->buckets = calloc(BUCKETS_MIN, sizeof *table->buckets);
    table->counters = calloc(1, sizeof *table->counters);
    if (table->buckets == NULL || table->counters == NULL) {
        free(table->buckets);
        free(table->counters);
        free(table);
        return NULL;
    }
    atomic_init(&table->counters->refs, 1);
    for (uint32_t i = 0; i < SUBTABLE_PREFIXES; i++) {
        prefix_set_init(&table->prefixes[i], subtable_prefix_bits(i));
    }
    return table;
}

void
rule_table_destroy(struct rule_table *table)
{
    if (table == NULL) {
        return;
    }
    for (uint32_t i = 0; i < table->n_buckets; i++) {
        struct subtable *next;
        for (struct subtable *subtable = table->buckets[i]; subtable != NULL; subtable = next) {
            next = subtable->next;
            subtable_destroy(subtable);
        }
    }
    for (uint32_t i = 0; i < SUBTABLE_PREFIXES; i++) {
        prefix_set_clear(&table->prefixes[i]);
    }
    free(atomic_load_explicit(&table->list, memory_order_relaxed));
    table_counters_unref(table->counters);
    free(table->buckets);
    free(table);
}

/* The best rule that alone says what it matches.  Clauses of conjunctions go to 'soft', or are passed over if it is null. */
static const struct rule *
search_subtables(const struct rule_table *table, uint64_t version, const struct flow_key *key,
                 struct flow_key *read_mask, struct soft_matches *soft)
{
    const struct subtable_list *list = atomic_load_explicit(&table->list, memory_order_acquire);
    const struct rule *best = NULL;
    struct prefix_memo memo;

    prefix_memo_init(&memo, table->prefixes, list != NULL ? list->n : 0);
    for (uint32_t i = 0; list != NULL && i < list->n; i++) {
        if (best != NULL && list->places[i].max_priority <= best->priority) {
            break;
        }
        if (memo.is_early && read_mask != NULL
            && prefix_memo_excludes(&memo, list->places[i].prefix_lengths, key, read_mask)) {
            continue;
        }
        if (!memo.is_early && i + 1 < list->n) {
            __builtin_prefetch(list->places[i + 1].subtable);
        }
        const struct rule *rule = subtable_lookup(list->places[i].subtable, version, key, read_mask, &memo);
        if (rule == NULL || (best != NULL && rule->priority <= best->priority)) {
            continue;
        }
        if (!rule_is_soft(rule)) {
            best = rule;
        } else if (soft != NULL) {
            soft_matches_add(soft, rule);
        }
    }
    return best;
}

/* Looks a conjunction up that all of its clauses are there for. */
struct conjunction_lookup {
    const struct rule_table *table;
    uint64_t version;
    const struct flow_key *key;
    struct flow_key *read_mask;
};

static const struct rule *
look_up_conjunction(void *lookup_, uint32_t id)
{
    const struct conjunction_lookup *lookup = lookup_;
    struct flow_key key = *lookup->key;

    key.conj_id = be32(id);
    return search_subtables(lookup->table, lookup->version, &key, lookup->read_mask, NULL);
}

const struct rule *
rule_table_lookup(const struct rule_table *table, uint64_t version, const struct flow_key *key,
                  struct flow_key *read_mask)
{
    struct soft_matches soft = { .n = 0 };
    const struct rule *rule = search_subtables(table, version, key, read_mask, &soft);

    if (soft.n != 0) {
        struct conjunction_lookup lookup = { table, version, key, read_mask };
        rule = conjunction_resolve(&soft, rule, version, look_up_conjunction, &lookup);
    }
    return rule;
}

static struct subtable_place
place_of(struct subtable *subtable, uint32_t max_priority)
{
    struct subtable_place place = { .max_priority = max_priority, .subtable = subtable };

    if (subtable->begins_with_prefixes) {
        memcpy(place.prefix_lengths, subtable->prefix_lengths, sizeof place.prefix_lengths);
    }
    return place;
}

/* Makes a list with 'subtable' at its proper place, or without it if it has no rules, and makes it current. */
static int
update_list(struct rule_table *table, struct subtable *subtable)
{
    const struct subtable_list *old = atomic_load_explicit(&table->list, memory_order_relaxed);
    uint32_t n_old = old != NULL ? old->n : 0;
    struct subtable_list *list = malloc(sizeof *list + (n_old + 1) * sizeof list->places[0]);
    bool wanted = subtable->n_rules != 0;

    if (list == NULL) {
        return ENOMEM;
    }
    uint32_t priority = wanted ? subtable_max_priority(subtable) : 0;
    list->n = 0;
    for (uint32_t i = 0; i < n_old; i++) {
        if (old->places[i].subtable == subtable) {
            continue;
        }
        if (wanted && old->places[i].max_priority < priority) {
            list->places[list->n++] = place_of(subtable, priority);
            wanted = false;
        }
        list->places[list->n++] = old->places[i];
    }
    if (wanted) {
        list->places[list->n++] = place_of(subtable, priority);
    }
    subtable->listed = subtable->n_rules != 0;
    atomic_store_explicit(&table->list, list, memory_order_release);
    if (old != NULL) {
        limbo_put(table->limbo, free, (void *) old);
    }
    return 0;
}

static uint32_t
hash_mask(const struct match *match)
{
    uint64_t hash = hash_word(hash_word(0, match->map[0]), match->map[1]);
    uint32_t n = match_map_count(match->map);

    for (uint32_t i = 0; i < n; i++) {
        hash = hash_word(hash, match->words[2 * i + 1]);
    }
    return hash_finish(hash);
}

static bool
mask_is_of(const struct rule_mask *mask, const struct match *match)
{
    if (mask->map[0] != match->map[0] || mask->map[1] != match->map[1]) {
        return false;
    }
    for (uint32_t i = 0; i < mask->n_words; i++) {
        if (mask->masks[i] != match->words[2 * i + 1]) {
            return false;
        }
    }
    return true;
}

static struct subtable *
find_subtable(const struct rule_table *table, const struct match *match)
{
    uint32_t hash = hash_mask(match);
    struct subtable *subtable = table->buckets[hash & (table->n_buckets - 1)];

    while (subtable != NULL && (subtable->hash != hash || !mask_is_of(subtable->mask, match))) {
        subtable = subtable->next;
    }
    return subtable;
}

static struct rule_mask *
create_mask(struct rule_table *table, const struct match *match)
{
    uint32_t n = match_map_count(match->map);
    struct rule_mask *mask = malloc(sizeof *mask + n * (sizeof mask->masks[0] + 1));
    uint32_t word, i = 0;

    if (mask == NULL) {
        return NULL;
    }
    atomic_init(&mask->refs, 1);
    mask->n_words = n;
    mask->map[0] = match->map[0];
    mask->map[1] = match->map[1];
    mask->counters = table->counters;
    table_counters_ref(table->counters);
    uint8_t *indexes = (uint8_t *) (mask->masks + n);
    MATCH_FOR_EACH_WORD(word, match->map) {
        indexes[i] = (uint8_t) word;
        mask->masks[i] = match->words[2 * i + 1];
        i++;
    }
    return mask;
}

static void
grow_buckets(struct rule_table *table)
{
    uint32_t n_buckets = 2 * table->n_buckets;
    struct subtable **buckets = calloc(n_buckets, sizeof *buckets);

    if (buckets == NULL) {
        return; /* Longer chains until there is memory. */
    }
    for (uint32_t i = 0; i < table->n_buckets; i++) {
        struct subtable *next;
        for (struct subtable *subtable = table->buckets[i]; subtable != NULL; subtable = next) {
            next = subtable->next;
            subtable->next = buckets[subtable->hash & (n_buckets - 1)];
            buckets[subtable->hash & (n_buckets - 1)] = subtable;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->n_buckets = n_buckets;
}

static struct subtable *
create_subtable(struct rule_table *table, const struct match *match)
{
    struct rule_mask *mask = create_mask(table, match);
    uint32_t hash = hash_mask(match);

    if (mask == NULL) {
        return NULL;
    }
    struct subtable *subtable = subtable_create(mask, hash, table->prefix_fields);
    if (subtable == NULL) {
        return NULL;
    }
    if (table->n_subtables >= table->n_buckets) {
        grow_buckets(table);
    }
    struct subtable **bucket = &table->buckets[hash & (table->n_buckets - 1)];
    subtable->next = *bucket;
    *bucket = subtable;
    table->n_subtables++;
    return subtable;
}

/* Lets go of a subtable without rules. */
static void
drop_subtable(struct rule_table *table, struct subtable *subtable)
{
    struct subtable **link = &table->buckets[subtable->hash & (table->n_buckets - 1)];

    if (subtable->listed && update_list(table, subtable) != 0) {
        return; /* It stays, empty, until it is needed again or there is memory. */
    }
    while (*link != subtable) {
        link = &(*link)->next;
    }
    *link = subtable->next;
    table->n_subtables--;
    limbo_put(table->limbo, subtable_destroy, subtable);
}

struct rule *
rule_table_new_rule(struct rule_table *table, const struct match *match)
{
    uint32_t n = match_map_count(match->map);
    struct rule *rule = rule_memory_alloc(rule_size(n));

    if (rule == NULL) {
        return NULL;
    }
    struct subtable *subtable = find_subtable(table, match);
    if (subtable == NULL) {
        subtable = create_subtable(table, match);
    }
    if (subtable == NULL) {
        rule_memory_free(rule, rule_size(n));
        return NULL;
    }
    rule->mask = subtable->mask;
    atomic_fetch_add_explicit(&rule->mask->refs, 1, memory_order_relaxed);
    atomic_init(&rule->remove_version, RULE_VERSION_NEVER);
    atomic_init(&rule->refs, 1);
    rule->position = RULE_POSITION_NONE;
    rule->expiry = RULE_POSITION_NONE;
    for (uint32_t i = 0; i < n; i++) {
        rule->values[i] = match->words[2 * i];
    }
    return rule;
}

static void
prefixes_change(struct rule_table *table, const struct subtable *subtable, const struct rule *rule,
                void (*change)(struct prefix_set *, struct limbo *, const uint32_t *, uint32_t))
{
    const uint8_t *indexes = rule_mask_indexes(rule->mask);
    struct flow_key key;

    if (subtable->prefix_stage == UINT8_MAX) {
        return;
    }
    memset(&key.words[SLUICE_KEY_L3_WORD], 0, 8 * (SLUICE_KEY_L4_WORD - SLUICE_KEY_L3_WORD));
    for (uint32_t i = 0; i < rule->mask->n_words; i++) {
        key.words[indexes[i]] = rule->values[i];
    }
    for (uint32_t i = 0; i < SUBTABLE_PREFIXES; i++) {
        if (subtable->prefix_lengths[i] != 0) {
            uint32_t value[PREFIX_VALUE_WORDS];
            subtable_prefix_value(i, key.bytes, value);
            change(&table->prefixes[i], table->limbo, value, subtable->prefix_lengths[i]);
        }
    }
}

/* The subtable of a rule's mask, which is there as long as the rule or any other of the mask is in the table. */
static struct subtable *
rule_subtable(const struct rule_table *table, const struct rule *rule)
{
    struct match_buffer buffer;

    rule_put_match(rule, &buffer.match);
    return find_subtable(table, &buffer.match);
}

/* The prefixes are changed before the rule can be found, and the list after, so that no lookup that may see the rule misses
 * it: it is not visible before its version is current, which is later. */
int
rule_table_insert(struct rule_table *table, struct rule *rule)
{
    struct subtable *subtable = rule_subtable(table, rule);

    if (subtable == NULL) {
        /* The last rule of the mask left between rule_table_new_rule() and now. */
        struct match_buffer buffer;
        rule_put_match(rule, &buffer.match);
        subtable = create_subtable(table, &buffer.match);
        if (subtable == NULL) {
            return ENOMEM;
        }
        rule_mask_unref(rule->mask);
        rule->mask = subtable->mask;
        atomic_fetch_add_explicit(&rule->mask->refs, 1, memory_order_relaxed);
    }
    uint32_t max_before = subtable->n_rules != 0 ? subtable_max_priority(subtable) : 0;
    if (subtable_insert(subtable, table->limbo, rule) != 0) {
        return ENOMEM;
    }
    prefixes_change(table, subtable, rule, prefix_set_insert);
    if ((!subtable->listed || rule->priority > max_before) && update_list(table, subtable) != 0) {
        prefixes_change(table, subtable, rule, prefix_set_remove);
        subtable_remove(subtable, table->limbo, rule);
        return ENOMEM;
    }
    table->n_rules++;
    return 0;
}

static void
unref_rule(void *rule)
{
    rule_unref(rule);
}

void
rule_table_remove(struct rule_table *table, struct rule *rule)
{
    struct subtable *subtable = rule_subtable(table, rule);

    subtable_remove(subtable, table->limbo, rule);
    prefixes_change(table, subtable, rule, prefix_set_remove);
    table->n_rules--;
    if (subtable->n_rules == 0) {
        drop_subtable(table, subtable);
    } else if (rule->priority > subtable_max_priority(subtable)) {
        /* Were there no memory, lookups would only search it earlier than they need to. */
        update_list(table, subtable);
    }
    limbo_put(table->limbo, unref_rule, rule);
}

bool
rule_table_remove_all(struct rule_table *table, uint64_t n_rules)
{
    struct subtable_list *list = atomic_load_explicit(&table->list, memory_order_relaxed);

    if (table->n_rules != n_rules) {
        return false;
    }
    atomic_store_explicit(&table->list, NULL, memory_order_release);
    if (list != NULL) {
        limbo_put(table->limbo, free, list);
    }
    for (uint32_t i = 0; i < table->n_buckets; i++) {
        for (struct subtable *subtable = table->buckets[i], *next; subtable != NULL; subtable = next) {
            next = subtable->next;
            limbo_put(table->limbo, subtable_destroy, subtable);
        }
        table->buckets[i] = NULL;
    }
    for (uint32_t i = 0; i < SUBTABLE_PREFIXES; i++) {
        prefix_set_empty(&table->prefixes[i], table->limbo);
    }
    table->n_subtables = 0;
    table->n_rules = 0;
    return true;
}

/* The values of a match, as rules have them. */
static void
match_values(const struct match *match, uint64_t values[SLUICE_KEY_WORDS])
{
    uint32_t n = match_map_count(match->map);

    for (uint32_t i = 0; i < n; i++) {
        values[i] = match->words[2 * i];
    }
}

struct rule *
rule_table_find(const struct rule_table *table, uint64_t version, const struct match *match, uint32_t priority)
{
    const struct subtable *subtable = find_subtable(table, match);
    uint64_t values[SLUICE_KEY_WORDS];

    if (subtable == NULL) {
        return NULL;
    }
    match_values(match, values);
    struct rule *rule = subtable_find(subtable, values);
    while (rule != NULL && (rule->priority != priority || !rule_is_visible(rule, version))) {
        rule = atomic_load_explicit(&rule->next, memory_order_relaxed);
    }
    return rule;
}

/* The words in which a subtable's rules can be compared with a match: those of both masks. */
struct comparison {
    uint32_t n;
    struct {
        uint64_t mask;
        uint64_t value;
        uint32_t position;
    } words[SLUICE_KEY_WORDS];
};

static uint32_t
map_position(const uint64_t map[SLUICE_KEY_MAP_WORDS], uint32_t word)
{
    uint64_t below = (UINT64_C(1) << word % 64) - 1;

    if (word < 64) {
        return (uint32_t) __builtin_popcountll(map[0] & below);
    }
    return (uint32_t) (__builtin_popcountll(map[0]) + __builtin_popcountll(map[1] & below));
}

/* Compares the bits that both masks have.  Returns whether these are all of the match's. */
static bool
compare_with(const struct rule_mask *mask, const struct match *match, struct comparison *comparison)
{
    bool whole = true;
    uint32_t word, i = 0;

    comparison->n = 0;
    MATCH_FOR_EACH_WORD(word, match->map) {
        uint64_t value = match->words[2 * i], bits = match->words[2 * i + 1];
        i++;
        if (!(mask->map[word / 64] >> word % 64 & 1)) {
            whole = false;
            continue;
        }
        uint32_t position = map_position(mask->map, word);
        uint64_t common = bits & mask->masks[position];
        whole &= common == bits;
        if (common != 0) {
            comparison->words[comparison->n].mask = common;
            comparison->words[comparison->n].value = value & common;
            comparison->words[comparison->n++].position = position;
        }
    }
    return whole;
}

static bool
comparison_holds(const struct comparison *comparison, const struct rule *rule)
{
    for (uint32_t i = 0; i < comparison->n; i++) {
        if ((rule->values[comparison->words[i].position] & comparison->words[i].mask) != comparison->words[i].value) {
            return false;
        }
    }
    return true;
}

/* Calls 'visit' for the visible rules of a subtable that have what the comparison says. */
static bool
visit_subtable(const struct subtable *subtable, uint64_t version, const struct comparison *comparison,
               bool (*visit)(struct rule *, void *), void *aux)
{
    const struct slot_array *array = atomic_load_explicit(&subtable->rules.array, memory_order_relaxed);
    const uint64_t pointer_bits = (UINT64_C(1) << 48) - 1, ahead = 8;
    uint64_t slot;

    SLOT_TABLE_FOR_EACH(slot, array)
    {
        uint64_t later = atomic_load_explicit(&array->slots[(i_ + ahead) & array->limit], memory_order_relaxed);
        __builtin_prefetch((const void *) (uintptr_t) (later & pointer_bits));
        struct rule *rule = (struct rule *) (uintptr_t) (slot & pointer_bits);
        if (!comparison_holds(comparison, rule)) {
            continue;
        }
        for (; rule != NULL; rule = atomic_load_explicit(&rule->next, memory_order_relaxed)) {
            if (rule_is_visible(rule, version) && !visit(rule, aux)) {
                return false;
            }
        }
    }
    return true;
}

void
rule_table_visit(const struct rule_table *table, uint64_t version, const struct match *match,
                 bool (*visit)(struct rule *, void *), void *aux)
{
    const struct subtable_list *list = atomic_load_explicit(&table->list, memory_order_relaxed);

    for (uint32_t i = 0; list != NULL && i < list->n; i++) {
        const struct subtable *subtable = list->places[i].subtable;
        struct comparison comparison;

        if (!compare_with(subtable->mask, match, &comparison)) {
            continue; /* Its rules are wider than the match in some bit. */
        }
        if (mask_is_of(subtable->mask, match)) {
            uint64_t values[SLUICE_KEY_WORDS];
            match_values(match, values);
            struct rule *rule = subtable_find(subtable, values);
            for (; rule != NULL; rule = atomic_load_explicit(&rule->next, memory_order_relaxed)) {
                if (rule_is_visible(rule, version) && !visit(rule, aux)) {
                    return;
                }
            }
        } else if (!visit_subtable(subtable, version, &comparison, visit, aux)) {
            return;
        }
    }
}

struct overlap_search {
    uint32_t priority;
    bool found;
};

static bool
visit_overlap(struct rule *rule, void *search_)
{
    struct overlap_search *search = search_;

    search->found = rule->priority == search->priority;
    return !search->found;
}

bool
rule_table_overlaps(const struct rule_table *table, uint64_t version, const struct match *match, uint32_t priority)
{
    const struct subtable_list *list = atomic_load_explicit(&table->list, memory_order_relaxed);
    struct overlap_search search = { priority, false };

    for (uint32_t i = 0; list != NULL && i < list->n && !search.found; i++) {
        const struct subtable *subtable = list->places[i].subtable;
        struct comparison comparison;

        if (subtable_has_priority(subtable, priority)) {
            compare_with(subtable->mask, match, &comparison);
            visit_subtable(subtable, version, &comparison, visit_overlap, &search);
        }
    }
    return search.found;
}

struct table_counters *
rule_table_counters(const struct rule_table *table)
{
    return table->counters;
}

void
rule_table_measure(const struct rule_table *table, struct rule_table_size *size)
{
    *size = (struct rule_table_size){ .n_rules = table->n_rules, .n_subtables = table->n_subtables };
    size->n_bytes = sizeof *table + table->n_buckets * sizeof *table->buckets;
    for (uint32_t i = 0; i < SUBTABLE_PREFIXES; i++) {
        size->n_bytes += prefix_set_size(&table->prefixes[i]);
    }
    for (uint32_t i = 0; i < table->n_buckets; i++) {
        for (const struct subtable *subtable = table->buckets[i]; subtable != NULL; subtable = subtable->next) {
            size->n_bytes += subtable_size(subtable);
        }
    }
}
