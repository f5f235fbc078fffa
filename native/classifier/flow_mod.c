/* What OpenFlow's flow_mods do to a flow store. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/eviction.h"
#include "classifier/flow_transaction.h"

#define OFPP_ANY 0xffffffffu
#define OFPG_ANY 0xffffffffu

/* Longest chain of one cookie that is gone through before a search by match is tried instead. */
#define COOKIE_CHAIN_MAX 1024

/* A flow_mod taken apart. */
struct request {
    const struct sluice_flow_mod *record;
    const struct match *match;
    const uint8_t *actions;
    uint64_t now_ms;
};

/* Takes the record apart and checks all that does not depend on the tables. */
static uint32_t
request_parse(const struct flow_store *store, const struct sluice_flow_mod *record, struct request *request)
{
    if (record->size < sizeof *record || record->match_size > record->size - sizeof *record
        || record->actions_size > record->size - sizeof *record - record->match_size
        || (record->match_size | record->actions_size) % 8 != 0) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    const uint8_t *bytes = (const uint8_t *) (record + 1);
    request->record = record;
    request->match = (const struct match *) (const void *) bytes;
    request->actions = bytes + record->match_size;
    if (match_check_exact(bytes, record->match_size, SLUICE_KEY_WORDS) != 0) {
        return SLUICE_ERROR_BAD_MATCH;
    }
    if (record->command > SLUICE_FLOW_COMMAND_DELETE_STRICT) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    if (record->table >= store->n_tables && record->table != FLOW_STORE_ALL_TABLES) {
        return SLUICE_ERROR_BAD_TABLE;
    }
    return 0;
}

/* Table 255 in a command that adds means the first. */
static uint8_t
table_to_add_to(const struct request *request)
{
    return request->record->table == FLOW_STORE_ALL_TABLES ? 0 : request->record->table;
}

static uint32_t
check_actions(const struct flow_store *store, const struct request *request, uint8_t table)
{
    if (store->options.check_actions == NULL) {
        return 0;
    }
    return store->options.check_actions(store->options.aux, request->actions, request->record->actions_size, table,
                                        store->n_tables);
}

static uint32_t
check_references(const struct flow_store *store, const struct request *request)
{
    if (store->options.check_references == NULL) {
        return 0;
    }
    return store->options.check_references(store->options.aux, request->actions, request->record->actions_size);
}

static bool
may_change(const struct request *request, const struct rule *rule)
{
    return !(rule->flags & SLUICE_FLOW_FLAG_READ_ONLY) || (request->record->flow_flags & SLUICE_FLOW_FLAG_READ_ONLY);
}

static bool
may_see(const struct request *request, const struct rule *rule)
{
    return !rule_is_hidden(rule) || (request->record->flow_flags & SLUICE_FLOW_FLAG_HIDDEN);
}

/* The flags that a rule keeps. */
static uint16_t
rule_flags(const struct sluice_flow_mod *record)
{
    return record->flow_flags
           & (SLUICE_FLOW_FLAG_SEND_FLOW_REM | SLUICE_FLOW_FLAG_CHECK_OVERLAP | SLUICE_FLOW_FLAG_RESET_COUNTS
              | SLUICE_FLOW_FLAG_NO_PACKET_COUNTS | SLUICE_FLOW_FLAG_NO_BYTE_COUNTS | SLUICE_FLOW_FLAG_HIDDEN
              | SLUICE_FLOW_FLAG_READ_ONLY);
}

/* Statistics of a rule that is added in the place of 'old', which may be null.  As in Open vSwitch it goes on being idle
 * where the old one was, and on counting unless the command says that counts begin anew. */
static struct rule_stats *
create_added_stats(const struct request *request, const struct rule *old)
{
    if (old == NULL) {
        return rule_stats_create(request->now_ms, request->now_ms);
    }
    struct rule_stats *from = old->stats;
    struct rule_stats *stats =
        rule_stats_create(request->now_ms, atomic_load_explicit(&from->used_ms, memory_order_relaxed));
    if (stats == NULL) {
        return NULL;
    }
    stats->begins_anew = (request->record->flow_flags & SLUICE_FLOW_FLAG_RESET_COUNTS) != 0;
    if (!stats->begins_anew) {
        atomic_init(&stats->n_packets, atomic_load_explicit(&from->n_packets, memory_order_relaxed));
        atomic_init(&stats->n_bytes, atomic_load_explicit(&from->n_bytes, memory_order_relaxed));
    }
    return stats;
}

/* A rule as the record wants it, without statistics. */
static struct rule *
create_rule(struct flow_store *store, const struct request *request, const struct match *match, uint8_t table)
{
    const struct sluice_flow_mod *record = request->record;
    struct rule *rule = rule_table_new_rule(store->tables[table].rules, match);

    if (rule == NULL) {
        return NULL;
    }
    rule->actions = action_lists_get(store->actions, request->actions, record->actions_size);
    if (rule->actions == NULL) {
        rule_unref(rule);
        return NULL;
    }
    rule->priority = record->priority;
    rule->cookie = record->new_cookie;
    rule->modified_ms = request->now_ms;
    rule->idle_timeout_s = record->idle_timeout_s;
    rule->hard_timeout_s = record->hard_timeout_s;
    rule->importance = record->importance;
    rule->flags = rule_flags(record);
    rule->flags |= rule->actions->n_conjunctions != 0 ? RULE_FLAG_SOFT : 0;
    rule->table = table;
    return rule;
}

/* Evicts until the table has 'n_max' rules at most.  0, table_full or no_memory. */
static uint32_t
shrink(struct flow_store *store, struct store_table *table, uint8_t table_id, uint32_t n_max)
{
    while (table->n_rules > n_max) {
        struct rule *victim = table->evict ? eviction_choose(store, table_id) : NULL;
        if (victim == NULL) {
            return SLUICE_ERROR_TABLE_FULL;
        }
        if (transaction_remove(store, victim, SLUICE_REMOVED_REASON_EVICTION, true) != 0) {
            return SLUICE_ERROR_NO_MEMORY;
        }
    }
    return 0;
}

/* Makes room for one more rule. */
static uint32_t
make_room(struct flow_store *store, struct store_table *table, uint8_t table_id)
{
    return table->max_flows == 0 ? SLUICE_ERROR_TABLE_FULL : shrink(store, table, table_id, table->max_flows - 1);
}

uint32_t
flow_store_shrink(struct flow_store *store, uint8_t table, uint64_t now_ms)
{
    store->now_ms = now_ms;
    store->origin = 0;
    uint32_t error = shrink(store, &store->tables[table], table, store->tables[table].max_flows);
    /* Rules that may not go stay. */
    error = error == SLUICE_ERROR_TABLE_FULL ? 0 : error;
    return error != 0 ? error : transaction_remove_orphans(store);
}

static uint32_t
add(struct flow_store *store, const struct request *request, uint64_t *n_rules)
{
    const struct sluice_flow_mod *record = request->record;
    uint8_t table_id = table_to_add_to(request);
    struct store_table *table = &store->tables[table_id];
    struct rule *old = rule_table_find(table->rules, store->version, request->match, record->priority);
    uint32_t error = check_actions(store, request, table_id);

    error = error != 0 ? error : check_references(store, request);
    if (error != 0) {
        return error;
    }
    if (old != NULL && !may_change(request, old)) {
        return SLUICE_ERROR_NOT_PERMITTED;
    }
    if (old == NULL) {
        if ((record->flow_flags & SLUICE_FLOW_FLAG_CHECK_OVERLAP)
            && rule_table_overlaps(table->rules, store->version, request->match, record->priority)) {
            return SLUICE_ERROR_OVERLAP;
        }
        error = make_room(store, table, table_id);
        if (error != 0) {
            return error;
        }
    }
    struct rule *rule = create_rule(store, request, request->match, table_id);
    if (rule == NULL || (rule->stats = create_added_stats(request, old)) == NULL) {
        rule_unref(rule);
        return SLUICE_ERROR_NO_MEMORY;
    }
    if (old != NULL && transaction_remove(store, old, SLUICE_REMOVED_REASON_DELETE, false) != 0) {
        rule_unref(rule);
        return SLUICE_ERROR_NO_MEMORY;
    }
    *n_rules = 1;
    return transaction_add(store, rule, old, SLUICE_FLOW_CHANGE_ADDED) != 0 ? SLUICE_ERROR_NO_MEMORY : 0;
}

/* Searching for the rules that a command is about. */
struct search {
    struct flow_store *store;
    const struct request *request;
    uint32_t error;
};

static bool
rule_passes(const struct request *request, const struct rule *rule, bool deletes)
{
    const struct sluice_flow_mod *record = request->record;

    return ((rule->cookie ^ record->cookie) & record->cookie_mask) == 0 && may_see(request, rule)
           && (!deletes || record->out_port == OFPP_ANY || action_list_outputs_to(rule->actions, record->out_port))
           && (!deletes || record->out_group == OFPG_ANY
               || action_list_refers_to(rule->actions, ACTION_REFERENCE_GROUP, record->out_group));
}

static bool
found(struct rule *rule, struct search *search)
{
    struct flow_store *store = search->store;

    if (store->n_found == store->found_capacity) {
        uint32_t capacity = store->found_capacity != 0 ? 2 * store->found_capacity : 64;
        struct rule **rules = realloc(store->found, capacity * sizeof *rules);
        if (rules == NULL) {
            search->error = SLUICE_ERROR_NO_MEMORY;
            return false;
        }
        store->found = rules;
        store->found_capacity = capacity;
    }
    store->found[store->n_found++] = rule;
    return true;
}

static bool
command_deletes(const struct request *request)
{
    return request->record->command >= SLUICE_FLOW_COMMAND_DELETE;
}

/* Loose commands pass over rules that may not be changed. */
static bool
visit(struct rule *rule, void *search_)
{
    struct search *search = search_;

    if (!rule_passes(search->request, rule, command_deletes(search->request)) || !may_change(search->request, rule)) {
        return true;
    }
    return found(rule, search);
}

/* Whether a rule is within the match of a loose command. */
static bool
rule_is_within(const struct rule *rule, const struct match *match)
{
    struct match_buffer buffer;

    rule_put_match(rule, &buffer.match);
    return match_contains(match, &buffer.match);
}

/* Searches by an exact cookie.  False if that would take long and a match could be quicker. */
static bool
search_cookie(struct search *search)
{
    const struct sluice_flow_mod *record = search->request->record;
    const struct match *match = search->request->match;
    bool whole_match = match->map[0] != 0 || match->map[1] != 0;
    uint32_t n = 0;

    for (struct rule *rule = cookie_index_chain(&search->store->cookies, record->cookie); rule != NULL;
         rule = rule->cookie_next) {
        if (whole_match && ++n > COOKIE_CHAIN_MAX) {
            search->store->n_found = 0;
            return false;
        }
        if (rule->cookie == record->cookie && (record->table == FLOW_STORE_ALL_TABLES || record->table == rule->table)
            && rule_is_visible(rule, search->store->version) && (!whole_match || rule_is_within(rule, match))
            && !visit(rule, search)) {
            break;
        }
    }
    return true;
}

/* Goes through a table in the order in which its rules came, which for a match of everything is quicker than through its
 * hash tables: rules that came together lie together. */
static void
search_in_order(struct search *search, const struct rule_order *order)
{
    for (uint32_t i = 0; i < order->n; i++) {
        struct rule *rule = rule_order_at(order, i);
        if (rule != NULL && !visit(rule, search)) {
            return;
        }
    }
}

static void
search_strict(struct search *search, uint8_t table)
{
    const struct request *request = search->request;
    struct rule *rule = rule_table_find(search->store->tables[table].rules, search->store->version, request->match,
                                        request->record->priority);

    if (rule == NULL || !rule_passes(request, rule, command_deletes(request))) {
        return;
    }
    if (!may_change(request, rule)) {
        search->error = SLUICE_ERROR_NOT_PERMITTED;
        return;
    }
    found(rule, search);
}

/* Puts the rules that the command is about into 'store->found'. */
static uint32_t
find_rules(struct flow_store *store, const struct request *request, bool strict)
{
    struct search search = { store, request, 0 };
    uint8_t wanted = request->record->table;

    store->n_found = 0;
    if (!strict && request->record->cookie_mask == UINT64_MAX && search_cookie(&search)) {
        return search.error;
    }
    for (uint32_t table = 0; table < store->n_tables && search.error == 0; table++) {
        if (wanted != FLOW_STORE_ALL_TABLES && wanted != table) {
            continue;
        }
        if (strict) {
            search_strict(&search, (uint8_t) table);
        } else if (request->match->map[0] == 0 && request->match->map[1] == 0) {
            search_in_order(&search, &store->tables[table].order);
        } else {
            rule_table_visit(store->tables[table].rules, store->version, request->match, visit, &search);
        }
    }
    return search.error;
}

/* A rule with new actions in the place of 'old', which it takes all else from. */
static struct rule *
create_modified(struct flow_store *store, const struct request *request, const struct rule *old)
{
    const struct sluice_flow_mod *record = request->record;
    struct match_buffer buffer;

    rule_put_match(old, &buffer.match);
    struct rule *rule = create_rule(store, request, &buffer.match, old->table);
    if (rule == NULL) {
        return NULL;
    }
    rule->priority = old->priority;
    rule->cookie = record->flow_flags & SLUICE_FLOW_FLAG_ADD_KEEPS_COOKIE ? old->cookie : record->new_cookie;
    rule->idle_timeout_s = old->idle_timeout_s;
    rule->hard_timeout_s = old->hard_timeout_s;
    rule->importance = old->importance;
    rule->flags = (uint16_t) ((old->flags & ~RULE_FLAG_SOFT) | (rule->flags & RULE_FLAG_SOFT));
    if (record->flow_flags & SLUICE_FLOW_FLAG_RESET_COUNTS) {
        rule->stats =
            rule_stats_create(old->stats->created_ms, atomic_load_explicit(&old->stats->used_ms, memory_order_relaxed));
        if (rule->stats == NULL) {
            rule_unref(rule);
            return NULL;
        }
        rule->stats->begins_anew = true;
        rule->stats->added_version = old->stats->added_version;
    } else {
        rule->stats = old->stats;
        atomic_fetch_add_explicit(&rule->stats->refs, 1, memory_order_relaxed);
    }
    return rule;
}

static uint32_t
modify_rule(struct flow_store *store, const struct request *request, struct rule *old)
{
    struct rule *rule = create_modified(store, request, old);

    if (rule == NULL) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    if (transaction_remove(store, old, SLUICE_REMOVED_REASON_DELETE, false) != 0) {
        rule_unref(rule);
        return SLUICE_ERROR_NO_MEMORY;
    }
    bool differs = rule->actions != old->actions || rule->cookie != old->cookie;
    uint8_t change = differs ? SLUICE_FLOW_CHANGE_MODIFIED : 0;
    return transaction_add(store, rule, old, change) != 0 ? SLUICE_ERROR_NO_MEMORY : 0;
}

static uint32_t
modify(struct flow_store *store, const struct request *request, uint64_t *n_rules)
{
    uint32_t error = check_actions(store, request, table_to_add_to(request));
    uint8_t checked = table_to_add_to(request);

    if (error == 0) {
        error = find_rules(store, request, request->record->command == SLUICE_FLOW_COMMAND_MODIFY_STRICT);
    }
    if (error == 0 && store->n_found == 0 && (request->record->flow_flags & SLUICE_FLOW_FLAG_MODIFY_MAY_ADD)) {
        return add(store, request, n_rules);
    }
    if (error == 0 && store->n_found != 0) {
        error = check_references(store, request);
    }
    for (uint32_t i = 0; i < store->n_found && error == 0; i++) {
        if (store->found[i]->table != checked) {
            checked = store->found[i]->table;
            error = check_actions(store, request, checked);
        }
        if (error == 0) {
            error = modify_rule(store, request, store->found[i]);
        }
    }
    *n_rules = store->n_found;
    return error;
}

static uint32_t
delete_rules(struct flow_store *store, const struct request *request, uint64_t *n_rules)
{
    uint32_t error = find_rules(store, request, request->record->command == SLUICE_FLOW_COMMAND_DELETE_STRICT);

    for (uint32_t i = 0; i < store->n_found && error == 0; i++) {
        if (transaction_remove(store, store->found[i], SLUICE_REMOVED_REASON_DELETE, true) != 0) {
            error = SLUICE_ERROR_NO_MEMORY;
        }
    }
    *n_rules = store->n_found;
    return error;
}

uint32_t
flow_store_flow_mod(struct flow_store *store, const struct sluice_flow_mod *record, uint64_t now_ms, uint64_t *n_rules)
{
    struct request request = { .now_ms = now_ms };
    uint32_t mark = transaction_mark(store);
    uint32_t error = request_parse(store, record, &request);

    *n_rules = 0;
    store->now_ms = now_ms;
    store->origin = error == 0 ? record->origin : 0;
    if (error != 0) {
        return error;
    }
    switch (record->command) {
    case SLUICE_FLOW_COMMAND_ADD:
        error = add(store, &request, n_rules);
        break;
    case SLUICE_FLOW_COMMAND_MODIFY:
    case SLUICE_FLOW_COMMAND_MODIFY_STRICT:
        error = modify(store, &request, n_rules);
        break;
    default:
        error = delete_rules(store, &request, n_rules);
        break;
    }
    if (error == 0) {
        error = transaction_remove_orphans(store);
    }
    if (error != 0) {
        transaction_undo(store, mark);
        *n_rules = 0;
    }
    return error;
}

uint32_t
flow_store_flush(struct flow_store *store, uint64_t now_ms)
{
    uint32_t mark = transaction_mark(store);

    store->now_ms = now_ms;
    store->origin = 0;
    for (uint32_t table = 0; table < store->n_tables; table++) {
        struct rule_order *order = &store->tables[table].order;
        for (uint32_t i = 0; i < order->n; i++) {
            struct rule *rule = rule_order_at(order, i);
            if (rule != NULL && transaction_remove(store, rule, SLUICE_REMOVED_REASON_DELETE, true) != 0) {
                transaction_undo(store, mark);
                return SLUICE_ERROR_NO_MEMORY;
            }
        }
    }
    /* All learned rules went too; what is learned after this has nothing to do with them. */
    learned_cookies_forget_orphans(&store->learned);
    return 0;
}

uint32_t
flow_store_delete_references(struct flow_store *store, enum action_reference kind, uint32_t id, uint8_t reason,
                             uint64_t now_ms)
{
    uint32_t mark = transaction_mark(store);

    store->now_ms = now_ms;
    store->origin = 0;
    for (uint32_t table = 0; table < store->n_tables; table++) {
        struct rule_order *order = &store->tables[table].order;
        for (uint32_t i = 0; i < order->n; i++) {
            struct rule *rule = rule_order_at(order, i);
            if (reference_counts_get(&store->references, kind, id) == 0) {
                return 0;
            }
            if (rule != NULL && action_list_refers_to(rule->actions, kind, id)
                && transaction_remove(store, rule, reason, true) != 0) {
                transaction_undo(store, mark);
                return SLUICE_ERROR_NO_MEMORY;
            }
        }
    }
    return 0;
}

uint32_t
flow_store_expire(struct flow_store *store, uint64_t now_ms, uint32_t n_max)
{
    struct expiry_heap *heap = &store->expiry;
    uint32_t n = 0;

    store->now_ms = now_ms;
    store->origin = 0;
    while (heap->n != 0 && heap->elements[0].due_ms < now_ms && (n_max == 0 || n < n_max)) {
        struct rule *rule = heap->elements[0].rule;
        if (rule_due_ms(rule) >= now_ms) {
            expiry_heap_refile_top(heap);
            continue;
        }
        bool hard = rule->hard_timeout_s != 0 && now_ms > rule->modified_ms + rule->hard_timeout_s * UINT64_C(1000);
        uint8_t reason = hard ? SLUICE_REMOVED_REASON_HARD_TIMEOUT : SLUICE_REMOVED_REASON_IDLE_TIMEOUT;
        if (transaction_remove(store, rule, reason, true) != 0) {
            break; /* Tried again at the next call. */
        }
        n++;
    }
    transaction_remove_orphans(store);
    return n;
}

/* Rules live through the millisecond at which they are due. */
uint64_t
flow_store_next_expiry(const struct flow_store *store)
{
    return store->expiry.n != 0 ? store->expiry.elements[0].due_ms + 1 : UINT64_MAX;
}
