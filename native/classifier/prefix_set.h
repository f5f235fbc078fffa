/* The prefixes that rules match on one field, to tell how few bits of a packet's value prove that no rule of a given
 * prefix length can match it: what a trie is used for, at a tenth of a trie's memory and cache misses.
 *
 * Prefixes are kept sorted, by value and then length, each with the number of its rules.  Of all prefixes the two that
 * a value lies between have most bits in common with it, so that they alone say where a trie would have come to.
 *
 * A value is an array of 32-bit numbers, most significant first, each in host order.
 *
 * Threads.  One writer; readers of the epoch beside it.  Pages are changed in place under a sequence lock for which
 * readers do not wait: one that meets the writer concludes nothing, and so does everyone once the writer ran out of
 * memory. */
#ifndef CLASSIFIER_PREFIX_SET_H
#define CLASSIFIER_PREFIX_SET_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "classifier/epoch.h"

#define PREFIX_BITS_MAX 128
#define PREFIX_VALUE_WORDS (PREFIX_BITS_MAX / 32)

struct prefix_directory;

struct prefix_set {
    _Atomic(struct prefix_directory *) directory; /* Null while empty. */
    _Atomic bool broken;                          /* Out of memory at some time. */
    uint8_t n_bits;                               /* Of values: up to 32, or 128. */
};

/* An empty set. */
void prefix_set_init(struct prefix_set *set, uint32_t n_bits);

/* Adds one rule's prefix of 'length' >= 1 bits. */
void prefix_set_insert(struct prefix_set *set, struct limbo *limbo, const uint32_t *value, uint32_t length);

/* Takes away what one prefix_set_insert() added. */
void prefix_set_remove(struct prefix_set *set, struct limbo *limbo, const uint32_t *value, uint32_t length);

/* Takes away all. */
void prefix_set_empty(struct prefix_set *set, struct limbo *limbo);

/* True if no prefix of 'length' bits in the set has the value.  Then '*n_bits' gets the number of the value's first bits
 * for which this holds whatever the others are.  Any reader. */
bool prefix_set_excludes(const struct prefix_set *set, const uint32_t *value, uint32_t length, uint32_t *n_bits);

/* Frees all at once; no reader may be left. */
void prefix_set_clear(struct prefix_set *set);

/* Memory in bytes. */
uint64_t prefix_set_size(const struct prefix_set *set);

#endif
