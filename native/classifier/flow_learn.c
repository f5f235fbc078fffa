/* Rules that learn actions make, and what becomes of them. */
#include <string.h>

#include "classifier/eviction.h"
#include "classifier/flow_transaction.h"

static bool
is_identical(const struct rule *rule, const struct sluice_flow_mod *record, const uint8_t *actions)
{
    bool same_cookie = record->flow_flags & SLUICE_FLOW_FLAG_ADD_KEEPS_COOKIE || rule->cookie == record->new_cookie;

    return same_cookie && rule->idle_timeout_s == record->idle_timeout_s
           && rule->hard_timeout_s == record->hard_timeout_s && rule->importance == record->importance
           && (rule->flags & SLUICE_FLOW_FLAG_SEND_FLOW_REM) == (record->flow_flags & SLUICE_FLOW_FLAG_SEND_FLOW_REM)
           && rule->actions->size == record->actions_size
           && (record->actions_size == 0 || !memcmp(rule->actions->bytes, actions, record->actions_size));
}

bool
flow_store_refresh(struct flow_store *store, const struct sluice_flow_mod *record, uint64_t used_ms)
{
    const uint8_t *bytes = (const uint8_t *) (record + 1);

    if (record->table >= store->n_tables) {
        return false;
    }
    struct rule *rule = rule_table_find(store->tables[record->table].rules, store->version,
                                        (const struct match *) (const void *) bytes, record->priority);
    if (rule == NULL || !is_identical(rule, record, bytes + record->match_size)) {
        return false;
    }
    rule->modified_ms = used_ms > rule->modified_ms ? used_ms : rule->modified_ms;
    return true;
}

/* Whether a command of a controller's would find the rule. */
static bool
is_learned(const struct flow_store *store, const struct rule *rule, uint64_t cookie, uint8_t table)
{
    return rule->cookie == cookie && rule->table == table && !rule_is_hidden(rule)
           && !(rule->flags & SLUICE_FLOW_FLAG_READ_ONLY) && rule_is_visible(rule, store->version);
}

uint32_t
flow_store_count_cookie(const struct flow_store *store, uint8_t table, uint64_t cookie, uint32_t n_max)
{
    uint32_t n = 0;

    for (const struct rule *rule = cookie_index_chain(&store->cookies, cookie); rule != NULL && n < n_max;
         rule = rule->cookie_next) {
        n += is_learned(store, rule, cookie, table);
    }
    return n;
}

void
flow_store_reduce_timeouts(struct flow_store *store, const struct rule *rule_, uint16_t idle_s, uint16_t hard_s)
{
    struct rule *rule = (struct rule *) rule_;
    uint16_t old_idle = rule->idle_timeout_s, old_hard = rule->hard_timeout_s;

    if (!rule_is_visible(rule, store->version)) {
        return;
    }
    uint16_t idle = idle_s != 0 && (old_idle == 0 || old_idle > idle_s) ? idle_s : old_idle;
    uint16_t hard = hard_s != 0 && (old_hard == 0 || old_hard > hard_s) ? hard_s : old_hard;
    if (idle == old_idle && hard == old_hard) {
        return;
    }
    timeouts_unfile(store, rule);
    rule->idle_timeout_s = idle;
    rule->hard_timeout_s = hard;
    if (timeouts_file(store, rule) != 0) {
        /* It was not in the heap, so it had none. */
        rule->idle_timeout_s = 0;
        rule->hard_timeout_s = 0;
    }
}

uint32_t
transaction_remove_orphans(struct flow_store *store)
{
    uint64_t cookie;
    uint8_t table;

    /* Rules that go may have been the last to learn something themselves. */
    while (learned_cookies_take_orphan(&store->learned, &cookie, &table)) {
        struct rule *next;
        for (struct rule *rule = cookie_index_chain(&store->cookies, cookie); rule != NULL; rule = next) {
            next = rule->cookie_next;
            if (is_learned(store, rule, cookie, table)
                && transaction_remove(store, rule, SLUICE_REMOVED_REASON_DELETE, true) != 0) {
                return SLUICE_ERROR_NO_MEMORY;
            }
        }
    }
    return 0;
}
