#include "classifier/eviction.h"
#include "classifier/flow_transaction.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Changes of one transaction after which what they replaced in the indexes is freed, as far as readers let it go. */
#define RECLAIM_PERIOD 1024

int
report_queue_reserve(struct report_queue *queue, uint64_t n)
{
    uint64_t capacity = queue->capacity != 0 ? queue->capacity : 64;

    if (queue->tail - queue->head + n <= queue->capacity) {
        return 0;
    }
    while (capacity < queue->tail - queue->head + n) {
        capacity *= 2;
    }
    struct report *elements = malloc(capacity * sizeof *elements);
    if (elements == NULL) {
        return ENOMEM;
    }
    for (uint64_t i = queue->head; i != queue->tail; i++) {
        elements[i & (capacity - 1)] = queue->elements[i & (queue->capacity - 1)];
    }
    free(queue->elements);
    queue->elements = elements;
    queue->capacity = capacity;
    return 0;
}

/* Room for one more change. */
static int
reserve_change(struct flow_store *store)
{
    struct change_list *list = store->list;

    if (list != NULL && list->n < list->capacity) {
        return 0;
    }
    uint32_t capacity = list != NULL ? 2 * list->capacity : 4;
    struct change_list *grown = realloc(list, sizeof *list + capacity * sizeof list->changes[0]);
    if (grown == NULL) {
        return ENOMEM;
    }
    if (list == NULL) {
        grown->store = store;
        grown->n = 0;
    }
    grown->capacity = capacity;
    store->list = grown;
    return 0;
}

void
report_free(struct report *report)
{
    rule_unref(report->rule);
    action_list_unref(report->old_actions);
}

static void
note_change(struct flow_store *store, struct change change)
{
    store->list->changes[store->list->n++] = change;
    store->changed[change.rule->table / 64] |= UINT64_C(1) << change.rule->table % 64;
    store->n_reports += change.report != 0;
    if (store->list->n % RECLAIM_PERIOD == 0) {
        limbo_reclaim(&store->limbo);
    }
}

static void
count_rule(struct store_table *table, const struct rule *rule, int by)
{
    table->n_rules += (uint32_t) by;
    if (rule_is_hidden(rule)) {
        table->n_hidden += (uint32_t) by;
    }
}

/* Puts the rule at its place in the order. */
static int
enter_order(struct store_table *table, struct rule *rule, const struct rule *place_of)
{
    if (place_of == NULL) {
        return rule_order_append(&table->order, rule);
    }
    rule->position = place_of->position;
    rule->sequence = place_of->sequence;
    rule_order_return(&table->order, rule);
    return 0;
}

/* Room for one more report, if 'change' asks for one. */
static int
reserve_report(struct flow_store *store, uint8_t change)
{
    return change != 0 ? report_queue_reserve(&store->reports, store->n_reports + 1) : 0;
}

int
timeouts_file(struct flow_store *store, struct rule *rule)
{
    int error = expiry_heap_add(&store->expiry, rule);

    if (error == 0) {
        eviction_file(store, rule);
    }
    return error;
}

void
timeouts_unfile(struct flow_store *store, struct rule *rule)
{
    eviction_unfile(store, rule);
    expiry_heap_remove(&store->expiry, rule);
}

int
transaction_add(struct flow_store *store, struct rule *rule, const struct rule *place_of, uint8_t change)
{
    struct store_table *table = &store->tables[rule->table];

    assert(store->open);
    rule->add_version = store->version;
    if (rule->stats->added_version == 0) {
        rule->stats->added_version = store->version;
    }
    change = store->is_monitored && !rule_is_hidden(rule) ? change : 0;
    if (reserve_change(store) != 0 || reserve_report(store, change) != 0 || timeouts_file(store, rule) != 0) {
        rule_unref(rule);
        return ENOMEM;
    }
    if (cookie_index_add(&store->cookies, rule) != 0) {
        goto out_of_expiry;
    }
    if (reference_counts_add(&store->references, rule->actions) != 0) {
        goto out_of_cookies;
    }
    if (learned_cookies_add(&store->learned, rule->actions) != 0) {
        goto out_of_references;
    }
    if (enter_order(table, rule, place_of) != 0) {
        goto out_of_learned;
    }
    if (rule_table_insert(table->rules, rule) != 0) {
        goto out_of_order;
    }
    count_rule(table, rule, 1);
    struct action_list *old =
        change != 0 && place_of != NULL && place_of->actions != rule->actions ? place_of->actions : NULL;
    if (old != NULL) {
        action_list_ref(old);
    }
    struct rule_stats *old_stats = place_of != NULL && place_of->stats != rule->stats ? place_of->stats : NULL;
    note_change(store, (struct change){ rule, true, change, store->origin, old, old_stats });
    return 0;

out_of_order:
    rule_order_leave(&table->order, rule);
out_of_learned:
    learned_cookies_remove(&store->learned, rule->actions);
out_of_references:
    reference_counts_remove(&store->references, rule->actions);
out_of_cookies:
    cookie_index_remove(&store->cookies, rule);
out_of_expiry:
    timeouts_unfile(store, rule);
    rule_unref(rule);
    return ENOMEM;
}

int
transaction_remove(struct flow_store *store, struct rule *rule, uint8_t reason, bool report)
{
    struct store_table *table = &store->tables[rule->table];

    assert(store->open);
    report =
        report && (store->is_monitored || (rule->flags & SLUICE_FLOW_FLAG_SEND_FLOW_REM) != 0) && !rule_is_hidden(rule);
    uint8_t change = report ? SLUICE_FLOW_CHANGE_REMOVED : 0;
    if (reserve_change(store) != 0 || reserve_report(store, change) != 0) {
        return ENOMEM;
    }
    rule->removed_reason = reason;
    atomic_store_explicit(&rule->remove_version, store->version, memory_order_relaxed);
    timeouts_unfile(store, rule);
    cookie_index_remove(&store->cookies, rule);
    reference_counts_remove(&store->references, rule->actions);
    learned_cookies_remove(&store->learned, rule->actions);
    rule_order_leave(&table->order, rule);
    count_rule(table, rule, -1);
    note_change(store, (struct change){ rule, false, change, store->origin, NULL, NULL });
    return 0;
}

uint32_t
transaction_mark(const struct flow_store *store)
{
    return store->list != NULL ? store->list->n : 0;
}

static void
undo_add(struct flow_store *store, struct rule *rule)
{
    struct store_table *table = &store->tables[rule->table];

    timeouts_unfile(store, rule);
    cookie_index_remove(&store->cookies, rule);
    reference_counts_remove(&store->references, rule->actions);
    learned_cookies_remove(&store->learned, rule->actions);
    rule_order_leave(&table->order, rule);
    count_rule(table, rule, -1);
    rule_table_remove(table->rules, rule);
}

/* Nothing here needs memory: the rule was in all these places when the transaction began. */
static void
undo_remove(struct flow_store *store, struct rule *rule)
{
    struct store_table *table = &store->tables[rule->table];

    atomic_store_explicit(&rule->remove_version, RULE_VERSION_NEVER, memory_order_relaxed);
    rule->removed_reason = 0;
    int error = timeouts_file(store, rule);
    error |= cookie_index_add(&store->cookies, rule);
    error |= reference_counts_add(&store->references, rule->actions);
    error |= learned_cookies_add(&store->learned, rule->actions);
    assert(error == 0);
    (void) error;
    rule_order_return(&table->order, rule);
    count_rule(table, rule, 1);
}

void
transaction_undo(struct flow_store *store, uint32_t mark)
{
    struct change_list *list = store->list;

    while (list != NULL && list->n > mark) {
        struct change change = list->changes[--list->n];
        store->n_reports -= change.report != 0;
        action_list_unref(change.old_actions);
        if (change.added) {
            undo_add(store, change.rule);
        } else {
            undo_remove(store, change.rule);
        }
    }
}

void
flow_store_begin(struct flow_store *store, uint64_t version)
{
    assert(!store->open && version > store->version);
    store->open = true;
    store->version = version;
    memset(store->changed, 0, sizeof store->changed);
}

/* No reader runs at a version any more that sees the removed rules of the list.  A table whose rules all go is emptied at
 * once. */
static void
unlink_removed(void *list_)
{
    struct change_list *list = list_;
    struct flow_store *store = list->store;
    uint32_t n_removed[256] = { 0 };
    bool emptied[256] = { false };

    for (uint32_t i = 0; i < list->n; i++) {
        if (!list->changes[i].added) {
            n_removed[list->changes[i].rule->table]++;
        }
    }
    for (uint32_t table = 0; table < store->n_tables; table++) {
        emptied[table] = n_removed[table] != 0 && rule_table_remove_all(store->tables[table].rules, n_removed[table]);
        store->n_unlinking -= n_removed[table];
    }
    for (uint32_t i = 0; i < list->n; i++) {
        struct rule *rule = list->changes[i].rule;
        if (list->changes[i].added) {
            continue;
        }
        if (!emptied[rule->table]) {
            rule_table_remove(store->tables[rule->table].rules, rule);
        }
    }
    free(list);
}

uint32_t
flow_store_n_changes(const struct flow_store *store)
{
    return store->list != NULL ? store->list->n : 0;
}

const struct rule *
flow_store_change(const struct flow_store *store, uint32_t i)
{
    return store->list->changes[i].rule;
}

static void
tidy_orders(struct flow_store *store)
{
    for (uint32_t i = 0; i < 4; i++) {
        for (uint64_t bits = store->changed[i]; bits != 0; bits &= bits - 1) {
            rule_order_tidy(&store->tables[64 * i + (uint32_t) __builtin_ctzll(bits)].order);
        }
    }
}

bool
flow_store_commit(struct flow_store *store)
{
    struct change_list *list = store->list;
    struct report_queue *queue = &store->reports;
    uint64_t n_removed = 0;

    assert(store->open);
    for (uint32_t i = 0; list != NULL && i < list->n; i++) {
        const struct change *change = &list->changes[i];
        n_removed += !change->added;
        if (change->old_stats != NULL) {
            rule_stats_succeed(change->old_stats, change->rule->stats);
        }
        if (change->report != 0) {
            rule_ref(change->rule);
            queue->elements[queue->tail++ & (queue->capacity - 1)] = (struct report){
                change->rule, change->old_actions, store->now_ms, change->origin, change->report,
            };
        }
    }
    if (n_removed != 0) {
        store->n_unlinking += n_removed;
        limbo_put(&store->unlinking, unlink_removed, list);
    } else {
        free(list);
    }
    store->list = NULL;
    store->n_reports = 0;
    store->open = false;
    learned_cookies_tidy(&store->learned);
    tidy_orders(store);
    reference_counts_tidy(&store->references);
    flow_store_collect(store);
    return queue->head != queue->tail;
}

void
flow_store_rollback(struct flow_store *store)
{
    assert(store->open);
    transaction_undo(store, 0);
    free(store->list);
    store->list = NULL;
    store->n_reports = 0;
    store->open = false;
    learned_cookies_tidy(&store->learned);
    store->version--;
    flow_store_collect(store);
}

uint64_t
flow_store_collect(struct flow_store *store)
{
    limbo_reclaim(&store->unlinking);
    limbo_reclaim(&store->limbo);
    return store->n_unlinking;
}
