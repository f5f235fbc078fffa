/* A rule table: the classifier of one OpenFlow table.
 *
 * Tuple space search.  Rules with the same mask form a subtable, a hash table of their masked values.  A lookup goes
 * through the subtables, greatest priority first, and stops when no later one can hold a better rule.
 *
 * Un-wildcarding.  A lookup adds to 'read_mask' every bit of the key that its result depends on, and as few others as
 * it can: each subtable is searched in stages (metadata, L2, L3, L4) and only the stages up to the first that proves a
 * miss count as read; the sets of address prefixes in use tell that no rule of a subtable's prefix length can match
 * from the first differing bit on; and a set of port numbers does the same for a miss that is due to the ports alone.
 * A bit read without need makes a megaflow narrower and is harmless; a bit missing would be a bug.  The result is the
 * mask that Open vSwitch arrives at.
 *
 * Versions.  A lookup at a version sees rules with add_version <= version < remove_version.  Rules of versions to come
 * are in the table before they are visible, and removed ones stay until no lookup at an older version can run.
 *
 * Threads.  Any number of readers of the epoch may look up without locks, beside one writer.  A rule found stays valid
 * until the reader's next quiescent point, or longer by rule_ref(). */
#ifndef CLASSIFIER_RULE_TABLE_H
#define CLASSIFIER_RULE_TABLE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "classifier/epoch.h"
#include "classifier/rule.h"

struct rule_table;
struct subtable;

/* Fields whose prefixes are tracked, as bits of 'prefix_fields'. */
enum rule_table_prefix {
    RULE_TABLE_PREFIX_IP_DST = 1 << 0,
    RULE_TABLE_PREFIX_IP_SRC = 1 << 1,
    RULE_TABLE_PREFIX_IPV6_DST = 1 << 2,
    RULE_TABLE_PREFIX_IPV6_SRC = 1 << 3,
    RULE_TABLE_PREFIX_DEFAULT = 15,
};

/* Makes an empty table.  'limbo' gets what readers may still see; it is not owned and belongs to the writer.
 * Null when out of memory. */
struct rule_table *rule_table_create(struct limbo *limbo, uint32_t prefix_fields);

/* Frees the table and gives up its references to the rules that are left.  No reader may be using it.  Null is fine. */
void rule_table_destroy(struct rule_table *table);

/* The visible rule of the greatest priority that matches 'key', or null.  What was read is or'ed into 'read_mask',
 * which may be null when nobody asks (a little quicker).  Does not count statistics.  Any reader. */
const struct rule *rule_table_lookup(const struct rule_table *table, uint64_t version, const struct flow_key *key,
                                     struct flow_key *read_mask);

/* The rest is the writer's. */

/* Makes a rule for 'match' that is in no table yet: all else is zero, reference count 1, remove_version never, its
 * 'mask' that of the table's subtable, which is made if need be.  Null when out of memory. */
struct rule *rule_table_new_rule(struct rule_table *table, const struct match *match);

/* Puts a rule from rule_table_new_rule() into the table, which takes over the caller's reference.  The rule must be
 * complete and its add_version not be visible yet.  0 or ENOMEM. */
int rule_table_insert(struct rule_table *table, struct rule *rule);

/* Takes the rule out: readers that have it may go on.  The reference of the table is given up through the limbo. */
void rule_table_remove(struct rule_table *table, struct rule *rule);

/* Takes all rules out, as rule_table_remove(), if there are 'n_rules' of them.  True if so. */
bool rule_table_remove_all(struct rule_table *table, uint64_t n_rules);

/* The rule with exactly this match and priority that is visible at 'version', or null. */
struct rule *rule_table_find(const struct rule_table *table, uint64_t version, const struct match *match,
                             uint32_t priority);

/* True if some visible rule of 'priority' has a key in common with 'match'. */
bool rule_table_overlaps(const struct rule_table *table, uint64_t version, const struct match *match,
                         uint32_t priority);

/* Calls 'visit' for each rule visible at 'version' that is within 'match' (a loose match), in no order, until it
 * returns false.  'visit' must not change the table.  Quick when few subtables can have such rules. */
void rule_table_visit(const struct rule_table *table, uint64_t version, const struct match *match,
                      bool (*visit)(struct rule *rule, void *aux), void *aux);

/* The table's counters: lookups and matches credited to it.  Whoever keeps the pointer takes a reference. */
struct table_counters *rule_table_counters(const struct rule_table *table);
void table_counters_ref(struct table_counters *counters);
void table_counters_unref(struct table_counters *counters);

/* Counts lookups that matched nothing; rule_credit() or table_counters_credit_match() count those that did.  Any thread. */
static inline void
table_counters_credit_miss(struct table_counters *counters, uint64_t n_packets)
{
    atomic_fetch_add_explicit(&counters->n_misses, n_packets, memory_order_relaxed);
}

struct rule_table_size {
    uint64_t n_rules; /* In the table, visible or not. */
    uint64_t n_subtables;
    uint64_t n_bytes; /* Of the indexes; rules not included. */
};

void rule_table_measure(const struct rule_table *table, struct rule_table_size *size);

#endif
