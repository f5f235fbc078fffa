/* Inside of a flow store: its tables, and the changes of a transaction, which can be undone one by one.
 *
 * For flow_store.c, flow_transaction.c, flow_mod.c, flow_dump.c and eviction.c only.  One thread at a time. */
#ifndef CLASSIFIER_FLOW_TRANSACTION_H
#define CLASSIFIER_FLOW_TRANSACTION_H 1

#include <stdbool.h>
#include <stdint.h>

#include "classifier/cookie_index.h"
#include "classifier/epoch.h"
#include "classifier/expiry_heap.h"
#include "classifier/flow_store.h"
#include "classifier/learned_cookies.h"
#include "classifier/reference_counts.h"
#include "classifier/rule_order.h"
#include "classifier/rule_table.h"

struct store_table {
    struct rule_table *rules;
    struct rule_order order;
    uint32_t n_rules;  /* Those of the newest version, open transaction included. */
    uint32_t n_hidden; /* Of these. */
    uint32_t max_flows;
    bool evict;
    struct match *evict_by;    /* Owned, or null. */
    struct eviction *eviction; /* Owned: of eviction.c; null until it is needed. */
};

/* One change of a transaction. */
struct change {
    struct rule *rule;
    bool added;     /* Else removed. */
    uint8_t report; /* enum sluice_flow_change to be told, or 0. */
    uint32_t origin;
    struct action_list *old_actions; /* A reference: what a told change replaced, or null. */
    struct rule_stats *old_stats;    /* Of the rule that an added one takes the place of, if its own are others. */
};

/* The changes of one transaction.  After the commit it waits in limbo until its removed rules can be unlinked. */
struct change_list {
    struct flow_store *store;
    uint32_t n;
    uint32_t capacity;
    struct change changes[];
};

/* A change that waits to be told. */
struct report {
    struct rule *rule;               /* A reference. */
    struct action_list *old_actions; /* A reference, or null. */
    uint64_t time_ms;
    uint32_t origin;
    uint8_t change; /* enum sluice_flow_change */
};

/* First in, first out. */
struct report_queue {
    struct report *elements; /* A ring; 'capacity' is a power of two. */
    uint64_t head, tail;
    uint64_t capacity;
};

struct flow_store {
    struct flow_store_options options;
    struct limbo limbo;     /* What readers may still see. */
    struct limbo unlinking; /* Change lists whose removed rules are to be unlinked. */
    struct action_lists *actions;
    struct cookie_index cookies;
    struct reference_counts references;
    struct expiry_heap expiry;
    struct learned_cookies learned;
    struct report_queue reports;
    uint64_t random;
    uint64_t n_unlinking; /* Rules in 'unlinking'. */

    bool is_monitored; /* Every change is told. */
    uint32_t origin;   /* Of the command in progress. */
    bool open;
    uint64_t version;         /* Of the open transaction, else of the last one. */
    uint64_t now_ms;          /* Of the last change. */
    uint64_t n_reports;       /* In 'list'. */
    struct change_list *list; /* Null before the first change. */
    uint64_t changed[4];

    struct rule **found; /* What a command's search found. */
    uint32_t n_found, found_capacity;

    uint32_t n_tables;
    struct store_table tables[];
};

/* The newest version: what commands and dumps look at. */
static inline uint64_t
store_version(const struct flow_store *store)
{
    return store->version;
}

/* Adds a complete rule, taking over the reference.  If 'place_of' is not null the rule takes the place in dumps of that
 * one, which was removed before in this transaction.  'change' is how monitors see it: added, modified, or 0 for not at
 * all.  0 or ENOMEM, and then the rule is gone. */
int transaction_add(struct flow_store *store, struct rule *rule, const struct rule *place_of, uint8_t change);

/* Removes a rule.  0 or ENOMEM. */
int transaction_remove(struct flow_store *store, struct rule *rule, uint8_t reason, bool report);

/* Files the timeouts of a rule, if it has any, for expiry and eviction; 0 or ENOMEM, never for a rule that is put back. */
int timeouts_file(struct flow_store *store, struct rule *rule);
void timeouts_unfile(struct flow_store *store, struct rule *rule);

/* Removes learned rules whose last learner was removed.  At the end of a command.  0 or no_memory. */
uint32_t transaction_remove_orphans(struct flow_store *store);

/* Where the transaction is, and going back there. */
uint32_t transaction_mark(const struct flow_store *store);
void transaction_undo(struct flow_store *store, uint32_t mark);

/* Room for 'n' more reports after the commit.  0 or ENOMEM. */
void report_free(struct report *report);
int report_queue_reserve(struct report_queue *queue, uint64_t n);

#endif
