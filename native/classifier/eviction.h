/* Which rule a full table gives up: of those with a timeout, one of the largest group; in it the least important one,
 * then the one that expires first.
 *
 * Groups are of rules that are alike in chosen bits of the key; without such bits there is one group.  The work is linear
 * in the number of rules that have a timeout.  Under the control lock. */
#ifndef CLASSIFIER_EVICTION_H
#define CLASSIFIER_EVICTION_H 1

#include <stdint.h>

#include "classifier/flow_transaction.h"

/* The rule, or null if none of 'table' may go. */
struct rule *eviction_choose(const struct flow_store *store, uint8_t table);

#endif
