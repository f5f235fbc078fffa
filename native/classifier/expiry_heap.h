/* Rules with timeouts, the one that may expire first on top.
 *
 * The time that a rule is filed under is a lower bound: traffic moves an idle timeout on without telling the heap, and
 * whoever takes the rule from the top files it again.  One thread at a time. */
#ifndef CLASSIFIER_EXPIRY_HEAP_H
#define CLASSIFIER_EXPIRY_HEAP_H 1

#include <stdint.h>

#include "classifier/rule.h"

struct expiry_heap {
    struct expiry {
        uint64_t due_ms;
        struct rule *rule;
        uint32_t eviction; /* Where its group of eviction.c has it, if that has an index. */
    } * elements;
    uint32_t n;
    uint32_t capacity;
};

/* When the rule expires if no further packet comes: the last millisecond at which it still lives.  UINT64_MAX: never. */
uint64_t rule_due_ms(const struct rule *rule);

/* Files a rule that has a timeout; does nothing for others.  0 or ENOMEM; never fails for a rule that is put back. */
int expiry_heap_add(struct expiry_heap *heap, struct rule *rule);

/* Takes a rule out if it is in. */
void expiry_heap_remove(struct expiry_heap *heap, struct rule *rule);

/* Files the rule on top anew. */
void expiry_heap_refile_top(struct expiry_heap *heap);

void expiry_heap_clear(struct expiry_heap *heap);

#endif
