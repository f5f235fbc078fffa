/* A trie of the prefixes that rules match on one field, to tell how few bits of a packet's value prove that no rule of a
 * given prefix length can match it.
 *
 * A value is an array of 32-bit numbers, most significant first, each in host order.
 *
 * Threads.  One writer; readers of the epoch look up beside it.  When the writer runs out of memory the trie is of no
 * more use and says so: lookups then exclude nothing. */
#ifndef CLASSIFIER_PREFIX_TRIE_H
#define CLASSIFIER_PREFIX_TRIE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "classifier/epoch.h"

#define PREFIX_TRIE_BITS_MAX 128
#define PREFIX_TRIE_VALUE_WORDS (PREFIX_TRIE_BITS_MAX / 32)

struct trie_node;

struct prefix_trie {
    _Atomic(struct trie_node *) root;
    _Atomic bool broken;        /* Out of memory at some time. */
};

/* What a lookup tells. */
struct prefix_trie_result {
    uint32_t n_bits;            /* Bits of the value that had to be read, from the most significant. */
    uint64_t lengths[2];        /* Bit n - 1: there are prefixes of n bits that the value has. */
};

/* Adds one rule's prefix of 'length' >= 1 bits. */
void prefix_trie_insert(struct prefix_trie *trie, struct limbo *limbo, const uint32_t *value, uint32_t length);

/* Takes away what one prefix_trie_insert() added. */
void prefix_trie_remove(struct prefix_trie *trie, struct limbo *limbo, const uint32_t *value, uint32_t length);

/* Looks up a value of 'n_bits'.  Any reader. */
void prefix_trie_lookup(const struct prefix_trie *trie, const uint32_t *value, uint32_t n_bits,
                        struct prefix_trie_result *result);

/* Frees all nodes at once; no reader may be left. */
void prefix_trie_clear(struct prefix_trie *trie);

static inline bool
prefix_trie_has_length(const struct prefix_trie_result *result, uint32_t length)
{
    return (result->lengths[(length - 1) / 64] >> ((length - 1) % 64)) & 1;
}

#endif
