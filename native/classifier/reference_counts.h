/* How many rules use each group and each meter.
 *
 * Threads.  One thread at a time (the control lock). */
#ifndef CLASSIFIER_REFERENCE_COUNTS_H
#define CLASSIFIER_REFERENCE_COUNTS_H 1

#include <stdint.h>

#include "classifier/action_list.h"

struct reference_count {
    uint64_t key; /* What is used, or 0. */
    uint64_t n;
};

struct reference_counts {
    struct reference_count *slots; /* Open addressing; 'n_slots' is 0 or a power of two. */
    uint32_t n_slots;
    uint32_t n_used; /* Slots with a key, those that count 0 included. */
};

/* Counts a rule with these actions in, or out again.  Counting in needs memory: 0 or ENOMEM; counting in again what
 * was counted out since the last reference_counts_tidy() does not fail. */
int reference_counts_add(struct reference_counts *counts, const struct action_list *list);
void reference_counts_remove(struct reference_counts *counts, const struct action_list *list);

/* Rules that use the group or meter. */
uint64_t reference_counts_get(const struct reference_counts *counts, enum action_reference kind, uint32_t id);

/* Forgets what no rule uses any more, if that is much. */
void reference_counts_tidy(struct reference_counts *counts);

void reference_counts_clear(struct reference_counts *counts);

#endif
