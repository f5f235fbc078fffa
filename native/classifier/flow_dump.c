/* What is told about the rules of a flow store. */
#include <errno.h>
#include <string.h>

#include "classifier/flow_transaction.h"

#define OFPP_ANY 0xffffffffu
#define OFPG_ANY 0xffffffffu

/* A cursor is a table and the sequence number at which to go on, never 0. */
#define CURSOR_TABLE_SHIFT 56
#define CURSOR_SEQUENCE ((UINT64_C(1) << CURSOR_TABLE_SHIFT) - 1)

/* A checked query, and whether rules of the last mask seen can be within its match. */
struct filter {
    const struct sluice_flow_query *query;
    const struct match *match;
    bool has_match;
};

static int
filter_init(struct filter *filter, const struct sluice_flow_query *query)
{
    if (query->size < sizeof *query || query->match_size != query->size - sizeof *query
        || match_check_exact(query + 1, query->match_size, SLUICE_KEY_WORDS) != 0) {
        return EINVAL;
    }
    filter->query = query;
    filter->match = (const struct match *) (const void *) (query + 1);
    filter->has_match = filter->match->map[0] != 0 || filter->match->map[1] != 0;
    return 0;
}

static bool
match_passes(const struct filter *filter, const struct rule *rule)
{
    struct match_buffer buffer;
    const uint64_t *map = filter->match->map;

    if (filter->query->strict) {
        if (rule->priority != filter->query->priority || rule->mask->map[0] != map[0] || rule->mask->map[1] != map[1]) {
            return false;
        }
        rule_put_match(rule, &buffer.match);
        return match_equal(filter->match, &buffer.match);
    }
    if (!filter->has_match) {
        return true;
    }
    if ((map[0] & ~rule->mask->map[0]) != 0 || (map[1] & ~rule->mask->map[1]) != 0) {
        return false;
    }
    rule_put_match(rule, &buffer.match);
    return match_contains(filter->match, &buffer.match);
}

static bool
filter_passes(const struct filter *filter, const struct rule *rule)
{
    const struct sluice_flow_query *query = filter->query;

    return ((rule->cookie ^ query->cookie) & query->cookie_mask) == 0
           && (query->include_hidden || !rule_is_hidden(rule)) && match_passes(filter, rule)
           && (query->out_port == OFPP_ANY || action_list_outputs_to(rule->actions, query->out_port))
           && (query->out_group == OFPG_ANY
               || action_list_refers_to(rule->actions, ACTION_REFERENCE_GROUP, query->out_group));
}

/* Writes the record of a rule.  Returns its size, or 0 if it does not fit. */
static size_t
put_rule(const struct flow_store *store, const struct rule *rule, uint16_t type, uint64_t now_ms, uint8_t *record,
         size_t room)
{
    size_t match_bytes = rule_match_size(rule);
    size_t size = sizeof(struct sluice_flow_info) + match_bytes + rule->actions->size;

    if (size > room) {
        return 0;
    }
    const struct rule_stats *stats = rule->stats;
    struct sluice_flow_info *info = (struct sluice_flow_info *) (void *) record;
    *info = (struct sluice_flow_info){
        .type = type,
        .size = (uint32_t) size,
        .bridge = store->options.bridge,
        .table = rule->table,
        .reason = rule->removed_reason,
        .flow_flags = (uint16_t) (rule->flags & ~RULE_FLAG_SOFT),
        .priority = rule->priority,
        .importance = rule->importance,
        .cookie = rule->cookie,
        .n_packets = atomic_load_explicit(&stats->n_packets, memory_order_relaxed),
        .n_bytes = atomic_load_explicit(&stats->n_bytes, memory_order_relaxed),
        .created_ms = stats->created_ms,
        .used_ms = atomic_load_explicit(&stats->used_ms, memory_order_relaxed),
        .modified_ms = rule->modified_ms,
        .added_version = stats->added_version,
        .version = rule->add_version,
        .now_ms = now_ms,
        .idle_timeout_s = rule->idle_timeout_s,
        .hard_timeout_s = rule->hard_timeout_s,
        .match_size = (uint32_t) match_bytes,
        .actions_size = rule->actions->size,
    };
    rule_put_match(rule, (struct match *) (void *) (info + 1));
    memcpy(record + sizeof *info + match_bytes, rule->actions->bytes, rule->actions->size);
    return size;
}

/* Where a dump has come to. */
struct dump {
    const struct flow_store *store;
    const struct filter *filter;
    uint64_t now_ms;
    uint8_t *bytes;
    size_t room;
    size_t used;
    uint32_t n_records;
};

/* Dumps one table from a sequence number on.  Returns the number to go on at when the room is used up, else 0. */
static uint64_t
dump_table(struct dump *dump, const struct store_table *table, uint64_t sequence)
{
    const struct rule_order *order = &table->order;

    for (uint32_t i = rule_order_position(order, sequence); i < order->n; i++) {
        const struct rule *ahead = i + 8 < order->n ? rule_order_at(order, i + 8) : NULL;
        const struct rule *rule = rule_order_at(order, i);

        __builtin_prefetch(ahead);
        if (rule == NULL || !filter_passes(dump->filter, rule)) {
            continue;
        }
        size_t size = put_rule(dump->store, rule, SLUICE_QUERY_FLOW_DUMP, dump->now_ms, dump->bytes + dump->used,
                               dump->room - dump->used);
        if (size == 0) {
            return rule->sequence;
        }
        dump->used += size;
        dump->n_records++;
    }
    return 0;
}

static bool
table_is_wanted(const struct sluice_flow_query *query, uint32_t table)
{
    return query->table == FLOW_STORE_ALL_TABLES || query->table == table;
}

int
flow_store_dump(const struct flow_store *store, const struct sluice_flow_query *query, uint64_t now_ms, uint8_t *reply,
                size_t room, size_t *used)
{
    struct sluice_dump_reply *header = (struct sluice_dump_reply *) (void *) reply;
    uint32_t table = (uint32_t) (query->cursor >> CURSOR_TABLE_SHIFT);
    uint64_t sequence = query->cursor & CURSOR_SEQUENCE;
    struct filter filter;

    if (filter_init(&filter, query) != 0) {
        return EINVAL;
    }
    if (room < sizeof *header) {
        return ENOSPC;
    }
    struct dump dump = {
        .store = store, .filter = &filter, .now_ms = now_ms, .bytes = reply, .room = room, .used = sizeof *header
    };
    uint64_t cursor = 0;
    for (; table < store->n_tables && cursor == 0; table++) {
        if (table_is_wanted(query, table)) {
            uint64_t next = dump_table(&dump, &store->tables[table], sequence);
            cursor = next != 0 ? (uint64_t) table << CURSOR_TABLE_SHIFT | next : 0;
        }
        sequence = 0;
    }
    if (cursor != 0 && dump.n_records == 0) {
        return ENOSPC;
    }
    *header = (struct sluice_dump_reply){ .cursor = cursor, .n_records = dump.n_records };
    *used = dump.used;
    return 0;
}

int
flow_store_aggregate(const struct flow_store *store, const struct sluice_flow_query *query,
                     struct sluice_aggregate_reply *reply)
{
    struct filter filter;

    if (filter_init(&filter, query) != 0) {
        return EINVAL;
    }
    *reply = (struct sluice_aggregate_reply){ .n_flows = 0 };
    for (uint32_t table = 0; table < store->n_tables; table++) {
        const struct rule_order *order = &store->tables[table].order;
        for (uint32_t i = 0; table_is_wanted(query, table) && i < order->n; i++) {
            const struct rule *rule = rule_order_at(order, i);
            if (rule != NULL && filter_passes(&filter, rule)) {
                reply->n_packets += atomic_load_explicit(&rule->stats->n_packets, memory_order_relaxed);
                reply->n_bytes += atomic_load_explicit(&rule->stats->n_bytes, memory_order_relaxed);
                reply->n_flows++;
            }
        }
    }
    return 0;
}

int
flow_store_table_stats(const struct flow_store *store, const struct sluice_bridge_query *query, uint8_t *reply,
                       size_t room, size_t *used)
{
    struct sluice_dump_reply *header = (struct sluice_dump_reply *) (void *) reply;
    struct sluice_table_info *info = (struct sluice_table_info *) (void *) (header + 1);

    if (query->size < sizeof *query || query->cursor > store->n_tables) {
        return EINVAL;
    }
    if (room < sizeof *header + sizeof *info) {
        return ENOSPC;
    }
    size_t n_fit = (room - sizeof *header) / sizeof *info;
    uint32_t table = (uint32_t) query->cursor;
    uint32_t n = 0;
    for (; table < store->n_tables && n < n_fit; table++, n++) {
        const struct store_table *state = &store->tables[table];
        const struct table_counters *counters = rule_table_counters(state->rules);
        uint64_t n_matches = atomic_load_explicit(&counters->n_matches, memory_order_relaxed);
        info[n] = (struct sluice_table_info){
            .type = SLUICE_QUERY_TABLE_STATS,
            .size = sizeof *info,
            .table = table,
            .n_flows = state->n_rules - state->n_hidden,
            .n_lookups = n_matches + atomic_load_explicit(&counters->n_misses, memory_order_relaxed),
            .n_matches = n_matches,
            .max_flows = state->max_flows,
        };
    }
    *header = (struct sluice_dump_reply){ .cursor = table < store->n_tables ? table : 0, .n_records = n };
    *used = sizeof *header + n * sizeof *info;
    return 0;
}

/* Writes the record of a report.  Returns its size, or 0 if it does not fit. */
static size_t
put_report(const struct flow_store *store, const struct report *report, uint8_t *record, size_t room)
{
    struct sluice_flow_report *change = (struct sluice_flow_report *) (void *) record;
    size_t old_size = report->old_actions != NULL ? report->old_actions->size : 0;

    if (room < sizeof *change + old_size) {
        return 0;
    }
    size_t size = put_rule(store, report->rule, SLUICE_QUERY_FLOW_CHANGES, report->time_ms, record + sizeof *change,
                           room - sizeof *change - old_size);
    if (size == 0) {
        return 0;
    }
    *change = (struct sluice_flow_report){
        .type = SLUICE_QUERY_FLOW_CHANGES,
        .size = (uint32_t) (sizeof *change + size + old_size),
        .change = report->change,
        .origin = report->origin,
        .old_actions_size = (uint32_t) old_size,
    };
    if (old_size != 0) {
        memcpy(record + sizeof *change + size, report->old_actions->bytes, old_size);
    }
    return change->size;
}

uint32_t
flow_store_take_reports(struct flow_store *store, uint8_t *records, size_t room, size_t *used)
{
    struct report_queue *queue = &store->reports;
    uint32_t n = 0;

    *used = 0;
    for (; queue->head != queue->tail; queue->head++) {
        struct report *report = &queue->elements[queue->head & (queue->capacity - 1)];
        size_t size = put_report(store, report, records + *used, room - *used);
        if (size == 0) {
            break;
        }
        *used += size;
        n++;
        report_free(report);
    }
    return n;
}
