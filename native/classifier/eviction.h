/* Which rule a full table gives up: of those with a timeout, one of a largest group; in it the least important one, then
 * the one that expires first.
 *
 * Groups are of rules that are alike in chosen bits of the key; without such bits there is one group.  A table that was
 * full once keeps an index: a heap of its groups by size, and in each a heap of its rules; filing, unfiling and choosing
 * are logarithmic.  Under the control lock. */
#ifndef CLASSIFIER_EVICTION_H
#define CLASSIFIER_EVICTION_H 1

#include <stdbool.h>
#include <stdint.h>

#include "classifier/flow_transaction.h"

/* The rule, or null if none of 'table' may go.  Makes the index; without memory for it, looks at every rule. */
struct rule *eviction_choose(struct flow_store *store, uint8_t table);

/* Whether a table gives up the rule before others that have a timeout: it may go at all. */
bool eviction_may_take(const struct rule *rule, uint8_t table);

/* For those who file timeouts: after the rule is in the heap of timeouts, and before it leaves that.  Without memory the
 * index goes, until it is needed again. */
void eviction_file(struct flow_store *store, struct rule *rule);
void eviction_unfile(struct flow_store *store, struct rule *rule);

/* Forgets the index of a table, if there is one. */
void eviction_forget(struct store_table *table);

#endif
