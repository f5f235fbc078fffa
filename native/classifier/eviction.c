#include "classifier/eviction.h"

#include <errno.h>
#include <stdlib.h>

#include "packet/hash.h"

/* Rules that are alike.  The heap has the one to give up on top; the time that a rule is filed under is a lower bound, as
 * in the heap of timeouts.  Where a rule is, the heap of timeouts remembers. */
struct group {
    struct group *next; /* Of the same chain. */
    uint32_t hash;
    uint32_t place; /* In 'by_size'. */
    uint32_t n;
    uint32_t capacity;
    struct candidate {
        uint64_t due_ms;
        struct rule *rule;
    } * candidates;
};

struct eviction {
    struct flow_key bits;   /* What tells groups apart. */
    struct group **chains;  /* By hash; a power of two of them. */
    struct group **by_size; /* A heap, the largest on top, with room for as many groups as there are chains. */
    uint32_t n_chains;
    uint32_t n_groups;
};

bool
eviction_may_take(const struct rule *rule, uint8_t table)
{
    return rule->table == table && !(rule->flags & SLUICE_FLOW_FLAG_READ_ONLY);
}

/* Bits that a rule does not match are zero. */
static uint32_t
group_hash(const struct eviction *index, const struct rule *rule)
{
    const uint8_t *indexes = rule_mask_indexes(rule->mask);
    uint32_t hash = 0;

    for (uint32_t i = 0; i < rule->mask->n_words; i++) {
        uint64_t value = rule->values[i] & index->bits.words[indexes[i]];
        if (value != 0) {
            hash = hash_add(hash, indexes[i]);
            hash = hash_add(hash, (uint32_t) value);
            hash = hash_add(hash, (uint32_t) (value >> 32));
        }
    }
    return hash_end(hash, 0);
}

/* Groups by size. */

static void
place_group(struct eviction *index, uint32_t i, struct group *group)
{
    index->by_size[i] = group;
    group->place = i;
}

static void
raise_group(struct eviction *index, struct group *group)
{
    uint32_t i = group->place;

    while (i > 0 && index->by_size[(i - 1) / 2]->n < group->n) {
        place_group(index, i, index->by_size[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place_group(index, i, group);
}

static void
lower_group(struct eviction *index, struct group *group)
{
    uint32_t i = group->place;

    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < index->n_groups && index->by_size[child + 1]->n > index->by_size[child]->n) {
            child++;
        }
        if (child >= index->n_groups || index->by_size[child]->n <= group->n) {
            break;
        }
        place_group(index, i, index->by_size[child]);
        i = child;
    }
    place_group(index, i, group);
}

static struct group **
find_group(const struct eviction *index, uint32_t hash)
{
    struct group **link = &index->chains[hash & (index->n_chains - 1)];

    while (*link != NULL && (*link)->hash != hash) {
        link = &(*link)->next;
    }
    return link;
}

static int
grow(struct eviction *index)
{
    uint32_t n_chains = index->n_chains != 0 ? 2 * index->n_chains : 16;
    struct group **chains = calloc(n_chains, sizeof *chains);
    struct group **by_size = realloc(index->by_size, n_chains * sizeof *by_size);

    index->by_size = by_size != NULL ? by_size : index->by_size;
    if (chains == NULL || by_size == NULL) {
        free(chains);
        return ENOMEM;
    }
    for (uint32_t i = 0; i < index->n_groups; i++) {
        struct group *group = by_size[i];
        struct group **chain = &chains[group->hash & (n_chains - 1)];
        group->next = *chain;
        *chain = group;
    }
    free(index->chains);
    index->chains = chains;
    index->n_chains = n_chains;
    return 0;
}

/* The group of that hash, or null without memory. */
static struct group *
get_group(struct eviction *index, uint32_t hash)
{
    if (index->n_groups == index->n_chains && grow(index) != 0) {
        return NULL;
    }
    struct group **link = find_group(index, hash);
    if (*link == NULL) {
        struct group *group = calloc(1, sizeof *group);
        if (group == NULL) {
            return NULL;
        }
        group->hash = hash;
        *link = group;
        place_group(index, index->n_groups++, group);
    }
    return *link;
}

static void
remove_group(struct eviction *index, struct group *group)
{
    struct group **link = find_group(index, group->hash);
    struct group *last = index->by_size[--index->n_groups];

    *link = group->next;
    if (last != group) {
        /* No group is smaller than an empty one. */
        last->place = group->place;
        raise_group(index, last);
    }
    free(group->candidates);
    free(group);
}

/* Rules of a group. */

static bool
goes_before(const struct candidate *one, const struct candidate *other)
{
    return one->rule->importance != other->rule->importance ? one->rule->importance < other->rule->importance
                                                            : one->due_ms < other->due_ms;
}

static void
place(struct expiry_heap *expiry, struct group *group, uint32_t i, struct candidate candidate)
{
    group->candidates[i] = candidate;
    expiry->elements[candidate.rule->expiry].eviction = i;
}

static void
sift_up(struct expiry_heap *expiry, struct group *group, uint32_t i, struct candidate candidate)
{
    while (i > 0 && goes_before(&candidate, &group->candidates[(i - 1) / 2])) {
        place(expiry, group, i, group->candidates[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(expiry, group, i, candidate);
}

static void
sift_down(struct expiry_heap *expiry, struct group *group, uint32_t i, struct candidate candidate)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < group->n && goes_before(&group->candidates[child + 1], &group->candidates[child])) {
            child++;
        }
        if (child >= group->n || !goes_before(&group->candidates[child], &candidate)) {
            break;
        }
        place(expiry, group, i, group->candidates[child]);
        i = child;
    }
    place(expiry, group, i, candidate);
}

static int
file(struct eviction *index, struct expiry_heap *expiry, struct rule *rule)
{
    struct group *group = get_group(index, group_hash(index, rule));

    if (group == NULL) {
        return ENOMEM;
    }
    if (group->n == group->capacity) {
        uint32_t capacity = group->capacity != 0 ? 2 * group->capacity : 2;
        struct candidate *candidates = realloc(group->candidates, capacity * sizeof *candidates);
        if (candidates == NULL) {
            return ENOMEM;
        }
        group->candidates = candidates;
        group->capacity = capacity;
    }
    group->n++;
    sift_up(expiry, group, group->n - 1, (struct candidate){ rule_due_ms(rule), rule });
    raise_group(index, group);
    return 0;
}

void
eviction_forget(struct store_table *table)
{
    struct eviction *index = table->eviction;

    table->eviction = NULL;
    for (uint32_t i = 0; index != NULL && i < index->n_groups; i++) {
        free(index->by_size[i]->candidates);
        free(index->by_size[i]);
    }
    if (index != NULL) {
        free(index->chains);
        free(index->by_size);
        free(index);
    }
}

void
eviction_file(struct flow_store *store, struct rule *rule)
{
    struct store_table *table = &store->tables[rule->table];

    if (table->eviction == NULL || rule->expiry == RULE_POSITION_NONE || !eviction_may_take(rule, rule->table)) {
        return;
    }
    if (file(table->eviction, &store->expiry, rule) != 0) {
        eviction_forget(table);
    }
}

void
eviction_unfile(struct flow_store *store, struct rule *rule)
{
    struct eviction *index = store->tables[rule->table].eviction;

    if (index == NULL || rule->expiry == RULE_POSITION_NONE || !eviction_may_take(rule, rule->table)) {
        return;
    }
    struct group *group = *find_group(index, group_hash(index, rule));
    uint32_t i = store->expiry.elements[rule->expiry].eviction;
    struct candidate last = group->candidates[--group->n];
    if (i != group->n) {
        if (i > 0 && goes_before(&last, &group->candidates[(i - 1) / 2])) {
            sift_up(&store->expiry, group, i, last);
        } else {
            sift_down(&store->expiry, group, i, last);
        }
    }
    if (group->n == 0) {
        remove_group(index, group);
    } else {
        lower_group(index, group);
    }
}

static int
make_index(struct flow_store *store, uint8_t table_id)
{
    struct store_table *table = &store->tables[table_id];
    struct flow_key value;

    table->eviction = calloc(1, sizeof *table->eviction);
    if (table->eviction == NULL) {
        return ENOMEM;
    }
    if (table->evict_by != NULL) {
        match_expand(table->evict_by, &value, &table->eviction->bits);
    }
    for (uint32_t i = 0; i < store->expiry.n && table->eviction != NULL; i++) {
        struct rule *rule = store->expiry.elements[i].rule;
        if (rule->table == table_id) {
            eviction_file(store, rule);
        }
    }
    return table->eviction != NULL ? 0 : ENOMEM;
}

/* As if all were one group. */
static struct rule *
choose_of_all(const struct flow_store *store, uint8_t table)
{
    struct candidate victim = { 0, NULL };

    for (uint32_t i = 0; i < store->expiry.n; i++) {
        struct rule *rule = store->expiry.elements[i].rule;
        struct candidate candidate = { rule_due_ms(rule), rule };
        if (eviction_may_take(rule, table) && (victim.rule == NULL || goes_before(&candidate, &victim))) {
            victim = candidate;
        }
    }
    return victim.rule;
}

struct rule *
eviction_choose(struct flow_store *store, uint8_t table_id)
{
    struct store_table *table = &store->tables[table_id];

    if (table->eviction == NULL && make_index(store, table_id) != 0) {
        return choose_of_all(store, table_id);
    }
    if (table->eviction->n_groups == 0) {
        return NULL;
    }
    struct group *group = table->eviction->by_size[0];
    for (;;) {
        struct candidate top = group->candidates[0];
        uint64_t due_ms = rule_due_ms(top.rule);
        if (due_ms == top.due_ms) {
            return top.rule;
        }
        /* Traffic has moved its end on. */
        top.due_ms = due_ms;
        sift_down(&store->expiry, group, 0, top);
    }
}
