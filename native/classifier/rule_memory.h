/* Memory of rules and of what they count: there are millions of both.
 *
 * One slab for the process, with a lock of its own: a rule is let go of by whichever thread gives up the last reference. */
#ifndef CLASSIFIER_RULE_MEMORY_H
#define CLASSIFIER_RULE_MEMORY_H 1

#include <stddef.h>

/* Zeroed memory, or null.  Any thread. */
void *rule_memory_alloc(size_t size);

/* Gives back what rule_memory_alloc() gave for 'size'.  Any thread. */
void rule_memory_free(void *memory, size_t size);

#endif
