/* A flow store: the OpenFlow tables of one bridge, and what flow_mods do to them.
 *
 * Transactions.  flow_store_begin() names the version in which changes appear.  Flow mods, flushes and expiry then
 * change the tables out of sight.  The owner makes the new version current with one store of its own, and calls
 * flow_store_commit(); or calls flow_store_rollback() instead, and nothing happened.  Later commands of a transaction
 * see what earlier ones did.  A command that fails has changed nothing, so that a transaction of independent commands
 * can go on after it.
 *
 * Removed rules stay findable for lookups at older versions until no reader can run one; flow_store_collect() unlinks
 * them.  A removed rule whose SEND_FLOW_REM is set waits, with its statistics, until flow_store_take_reports() reports
 * it; replacing a rule by adding it again is not a removal.  While the store is monitored every other change of a rule
 * that is not hidden is reported too.
 *
 * Rules whose priority is above 65535 or that have SLUICE_FLOW_FLAG_HIDDEN are hidden: left out of dumps, totals and
 * loose commands unless the command's own flow_flags have HIDDEN (the query's include_hidden).  Rules with READ_ONLY can
 * only be changed by a command that has READ_ONLY too; loose commands pass over them, others fail.
 *
 * Threads.  Lookups: any reader of the epoch.  Everything else: one thread at a time (the control lock), except crediting
 * statistics (rule_credit(), table_counters_credit_miss()). */
#ifndef CLASSIFIER_FLOW_STORE_H
#define CLASSIFIER_FLOW_STORE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "classifier/rule_table.h"

struct flow_store;

/* Table number that means all tables, in deletes and queries. */
#define FLOW_STORE_ALL_TABLES 255

struct flow_store_options {
    struct epoch *epoch; /* Not owned; must outlive the store. */
    uint32_t bridge;     /* For the records of dumps. */
    uint32_t n_tables;   /* 1 to 255. */
    /* Judges the actions of a flow_mod for a table: 0 or an enum sluice_error.  Null: all are good (tests). */
    uint32_t (*check_actions)(void *aux, const void *actions, size_t size, uint8_t table, uint32_t n_tables);
    /* Returns 0 or an enum sluice_error: whether what the actions refer to is there.  Only asked of actions that a rule
     * is to have: a modification that finds no rule may name what is not there.  May be NULL. */
    uint32_t (*check_references)(void *aux, const void *actions, size_t size);
    void *aux;              /* For 'check_actions' and 'check_references'. */
    uint32_t prefix_fields; /* enum rule_table_prefix, or 0 for the default. */
    uint64_t random_seed;   /* For what OpenFlow leaves to chance. */
};

/* Null when out of memory. */
struct flow_store *flow_store_create(const struct flow_store_options *options);

/* Frees everything; rules that others hold references to live on.  No reader may be using it.  Null is fine. */
void flow_store_destroy(struct flow_store *store);

/* The tables, for lookups; 'table' is below n_tables.  Any reader. */
const struct rule_table *flow_store_table(const struct flow_store *store, uint8_t table);

/* rule_table_lookup() in a table.  Any reader. */
const struct rule *flow_store_lookup(const struct flow_store *store, uint8_t table, uint64_t version,
                                     const struct flow_key *key, struct flow_key *read_mask);

/* The counters of a table, for crediting misses.  Whoever keeps them takes a reference. */
struct table_counters *flow_store_counters(const struct flow_store *store, uint8_t table);

/* Opens a transaction whose changes appear in 'version', which must be greater than any current one. */
void flow_store_begin(struct flow_store *store, uint64_t version);

/* Applies one flow_mod.  'record' is 8-byte aligned and has 'record->size' bytes; all else is checked.  '*n_rules' gets
 * the number of rules added, changed or removed.  Returns 0 or an enum sluice_error: invalid_record, bad_table,
 * bad_match, bad_argument (command, flags), table_full, overlap, not_permitted, no_memory, or what the checks say. */
uint32_t flow_store_flow_mod(struct flow_store *store, const struct sluice_flow_mod *record, uint64_t now_ms,
                             uint64_t *n_rules);

/* Removes all rules, the hidden and the read-only too.  Inside a transaction.  0 or no_memory. */
uint32_t flow_store_flush(struct flow_store *store, uint64_t now_ms);

/* Rules of the newest version whose actions name that group or meter. */
uint64_t flow_store_count_references(const struct flow_store *store, enum action_reference kind, uint32_t id);

/* Removes these rules, the hidden and the read-only too, for 'reason' (enum sluice_removed_reason).  Inside a
 * transaction.  0 or no_memory. */
uint32_t flow_store_delete_references(struct flow_store *store, enum action_reference kind, uint32_t id, uint8_t reason,
                                      uint64_t now_ms);

/* Removes the rules whose time is up.  Inside a transaction.  The caller has pushed its megaflows' statistics, by which
 * idle time is judged.  Looks only at rules that may be due.  At most 'n_max' (0: any number).  Returns how many. */
uint32_t flow_store_expire(struct flow_store *store, uint64_t now_ms, uint32_t n_max);

/* The earliest time in milliseconds at which a rule may expire; UINT64_MAX: never. */
uint64_t flow_store_next_expiry(const struct flow_store *store);

/* What learn and fin_timeout actions do.  None of these makes a version: they may be called outside of transactions. */

/* If the rule that the flow_mod 'record' would make is there already, in all respects, its hard timeout begins anew at
 * 'used_ms', and the return value is true.  'record' is one that was checked. */
bool flow_store_refresh(struct flow_store *store, const struct sluice_flow_mod *record, uint64_t used_ms);

/* How many rules that controllers may change have 'cookie' in 'table'; counts to 'n_max' at most. */
uint32_t flow_store_count_cookie(const struct flow_store *store, uint8_t table, uint64_t cookie, uint32_t n_max);

/* Makes the timeouts of a rule in seconds at most 'idle_s' and 'hard_s', of which 0 changes nothing. */
void flow_store_reduce_timeouts(struct flow_store *store, const struct rule *rule, uint16_t idle_s, uint16_t hard_s);

/* The rules that the open transaction adds and removes: their number, and each. */
uint32_t flow_store_n_changes(const struct flow_store *store);
const struct rule *flow_store_change(const struct flow_store *store, uint32_t i);

/* Bit for each table that the open, or else the last, transaction changed. */
const uint64_t *flow_store_changed_tables(const struct flow_store *store);

/* Ends the transaction after its version has become current.  Returns true if removed rules wait to be reported. */
bool flow_store_commit(struct flow_store *store);

/* Undoes the transaction; its version must not have become current, and may be used again. */
void flow_store_rollback(struct flow_store *store);

/* Unlinks and frees what no reader can see any more.  Quick; call it now and then.  commit does so too.
 * Returns the number of rules that wait. */
uint64_t flow_store_collect(struct flow_store *store);

/* Limits a table, as table_set says: takes effect on the next add.  'evict_by' says by its masks which bits of rules tell
 * groups apart, of which the largest gives up a rule first; null for one group.  It is copied.  0, bad_table or no_memory.
 * Not part of transactions. */
uint32_t flow_store_set_table(struct flow_store *store, uint32_t table, uint32_t max_flows, bool evict,
                              const struct match *evict_by);

/* Whether a table that evicts has more rules than it may; flow_store_shrink() then evicts, in an open transaction, as far
 * as rules may go.  0 or no_memory. */
bool flow_store_is_over(const struct flow_store *store, uint32_t table);
uint32_t flow_store_shrink(struct flow_store *store, uint8_t table, uint64_t now_ms);

/* Answers flow_dump outside a transaction: a dump_reply, then flow_info records in order of table and age, each copied
 * once.  A dump that goes on from a cursor reports each rule that was there all along exactly once, whatever changed
 * meanwhile.  'query->size' bytes are there; all else is checked.  0, EINVAL, or ENOSPC when not one record fits. */
int flow_store_dump(const struct flow_store *store, const struct sluice_flow_query *query, uint64_t now_ms,
                    uint8_t *reply, size_t room, size_t *used);

/* Answers flow_aggregate.  0 or EINVAL. */
int flow_store_aggregate(const struct flow_store *store, const struct sluice_flow_query *query,
                         struct sluice_aggregate_reply *reply);

/* Answers table_stats: one record a table, cursor as in dumps.  0, EINVAL or ENOSPC. */
int flow_store_table_stats(const struct flow_store *store, const struct sluice_bridge_query *query, uint8_t *reply,
                           size_t room, size_t *used);

/* Whether every change is reported, or only removals that rules asked for.  Not part of transactions. */
void flow_store_set_monitored(struct flow_store *store, bool is_monitored);

/* Moves reports of changes to 'records' as flow_report, oldest first, as many as fit.  '*used' gets their bytes.
 * Returns their number.  What is not taken stays.  In the record 'now_ms' is the time of the change. */
uint32_t flow_store_take_reports(struct flow_store *store, uint8_t *records, size_t room, size_t *used);
uint64_t flow_store_n_reports(const struct flow_store *store);

struct flow_store_size {
    uint64_t n_rules;   /* Current ones, the hidden too. */
    uint64_t n_waiting; /* Removed, but still linked or to be reported. */
    uint64_t n_subtables;
    uint64_t n_actions; /* Different lists of actions. */
    uint64_t n_bytes;   /* All of it, about. */
};

void flow_store_measure(const struct flow_store *store, struct flow_store_size *size);

#endif
