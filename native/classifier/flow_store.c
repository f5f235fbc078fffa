#include "classifier/flow_store.h"

#include <stdlib.h>
#include <string.h>

#include "classifier/eviction.h"
#include "classifier/flow_transaction.h"

#define NO_LIMIT UINT32_MAX

struct flow_store *
flow_store_create(const struct flow_store_options *options)
{
    uint32_t n_tables = options->n_tables;
    struct flow_store *store = calloc(1, sizeof *store + n_tables * sizeof store->tables[0]);

    if (store == NULL) {
        return NULL;
    }
    store->options = *options;
    store->random = options->random_seed;
    limbo_init(&store->limbo, options->epoch);
    limbo_init(&store->unlinking, options->epoch);
    store->actions = action_lists_create();
    for (uint32_t i = 0; i < n_tables; i++) {
        uint32_t prefixes = options->prefix_fields != 0 ? options->prefix_fields : RULE_TABLE_PREFIX_DEFAULT;
        struct store_table *table = &store->tables[store->n_tables];
        table->rules = rule_table_create(&store->limbo, prefixes);
        table->max_flows = NO_LIMIT;
        if (table->rules == NULL) {
            break;
        }
        store->n_tables++;
    }
    if (store->actions == NULL || store->n_tables != n_tables) {
        flow_store_destroy(store);
        return NULL;
    }
    return store;
}

void
flow_store_destroy(struct flow_store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->open) {
        flow_store_rollback(store);
    }
    limbo_uninit(&store->unlinking);
    for (uint32_t i = 0; i < store->n_tables; i++) {
        rule_table_destroy(store->tables[i].rules);
        rule_order_clear(&store->tables[i].order);
        free(store->tables[i].evict_by);
        eviction_forget(&store->tables[i]);
    }
    limbo_uninit(&store->limbo);
    for (uint64_t i = store->reports.head; i != store->reports.tail; i++) {
        report_free(&store->reports.elements[i & (store->reports.capacity - 1)]);
    }
    free(store->reports.elements);
    cookie_index_clear(&store->cookies);
    reference_counts_clear(&store->references);
    expiry_heap_clear(&store->expiry);
    learned_cookies_clear(&store->learned);
    action_lists_destroy(store->actions);
    free(store->found);
    free(store);
}

const struct rule_table *
flow_store_table(const struct flow_store *store, uint8_t table)
{
    return store->tables[table].rules;
}

const struct rule *
flow_store_lookup(const struct flow_store *store, uint8_t table, uint64_t version, const struct flow_key *key,
                  struct flow_key *read_mask)
{
    return rule_table_lookup(store->tables[table].rules, version, key, read_mask);
}

struct table_counters *
flow_store_counters(const struct flow_store *store, uint8_t table)
{
    return rule_table_counters(store->tables[table].rules);
}

const uint64_t *
flow_store_changed_tables(const struct flow_store *store)
{
    return store->changed;
}

uint32_t
flow_store_set_table(struct flow_store *store, uint32_t table, uint32_t max_flows, bool evict,
                     const struct match *evict_by)
{
    if (table >= store->n_tables) {
        return SLUICE_ERROR_BAD_TABLE;
    }
    struct match *by = NULL;
    if (evict_by != NULL) {
        by = malloc(match_size(evict_by));
        if (by == NULL) {
            return SLUICE_ERROR_NO_MEMORY;
        }
        memcpy(by, evict_by, match_size(evict_by));
    }
    eviction_forget(&store->tables[table]);
    free(store->tables[table].evict_by);
    store->tables[table].evict_by = by;
    store->tables[table].max_flows = max_flows;
    store->tables[table].evict = evict;
    return 0;
}

bool
flow_store_is_over(const struct flow_store *store, uint32_t table)
{
    return store->tables[table].evict && store->tables[table].n_rules > store->tables[table].max_flows;
}

void
flow_store_set_monitored(struct flow_store *store, bool is_monitored)
{
    store->is_monitored = is_monitored;
}

uint64_t
flow_store_n_reports(const struct flow_store *store)
{
    return store->reports.tail - store->reports.head;
}

void
flow_store_measure(const struct flow_store *store, struct flow_store_size *size)
{
    uint64_t action_bytes;

    *size = (struct flow_store_size){ .n_waiting = store->n_unlinking + flow_store_n_reports(store) };
    action_lists_measure(store->actions, &size->n_actions, &action_bytes);
    size->n_bytes = sizeof *store + action_bytes + store->cookies.n_buckets * sizeof *store->cookies.buckets
                    + store->references.n_slots * sizeof *store->references.slots
                    + store->expiry.capacity * sizeof *store->expiry.elements
                    + store->reports.capacity * sizeof *store->reports.elements
                    + store->found_capacity * sizeof *store->found;
    for (uint32_t i = 0; i < store->n_tables; i++) {
        const struct store_table *table = &store->tables[i];
        struct rule_table_size rules;

        rule_table_measure(table->rules, &rules);
        size->n_rules += table->n_rules;
        size->n_subtables += rules.n_subtables;
        size->n_bytes += rules.n_bytes + table->order.capacity * sizeof *table->order.places;
    }
    /* A rule has a few words of match, and the allocator's overhead twice. */
    size->n_bytes += size->n_rules * (sizeof(struct rule) + sizeof(struct rule_stats) + 48);
}

uint64_t
flow_store_count_references(const struct flow_store *store, enum action_reference kind, uint32_t id)
{
    return reference_counts_get(&store->references, kind, id);
}
