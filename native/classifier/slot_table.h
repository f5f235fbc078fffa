/* A hash table of 64-bit slots with open addressing: one writer, readers beside it without locks.
 *
 * A search begins at the slot that the hash says and goes on until an empty one.  A slot is changed by one store, so a
 * reader sees it before or after.  The array is replaced by a greater one as a whole, and the old one put in limbo. */
#ifndef CLASSIFIER_SLOT_TABLE_H
#define CLASSIFIER_SLOT_TABLE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "classifier/epoch.h"

#define SLOT_EMPTY UINT64_C(0)
#define SLOT_REMOVED UINT64_MAX /* Was in use; searches go on. */

struct slot_array {
    uint64_t limit; /* Number of slots - 1; the number is a power of two. */
    _Atomic uint64_t slots[];
};

struct slot_table {
    _Atomic(struct slot_array *) array; /* Null until something is put in. */
    uint32_t n_live;                    /* The writer's. */
    uint32_t n_used;                    /* The writer's: with SLOT_REMOVED ones. */
};

/* Readers: walks over the slots that a search for 'hash' meets.
 *
 *     struct slot_search search = slot_search_begin(table, hash);
 *     while (slot_search_next(&search)) { ... search.slot ... } */
struct slot_search {
    struct slot_array *array;
    uint64_t position;
    uint64_t slot;
};

static inline struct slot_search
slot_search_begin(const struct slot_table *table, uint32_t hash)
{
    struct slot_array *array = atomic_load_explicit(&table->array, memory_order_acquire);

    return (struct slot_search){ array, (uint64_t) hash - 1, 0 };
}

/* Goes to the next slot, which may be SLOT_REMOVED.  False at the end. */
static inline bool
slot_search_next(struct slot_search *search)
{
    if (search->array == NULL) {
        return false;
    }
    search->position = (search->position + 1) & search->array->limit;
    search->slot = atomic_load_explicit(&search->array->slots[search->position], memory_order_acquire);
    return search->slot != SLOT_EMPTY;
}

/* The writer: changes the slot that a search is at. */
static inline void
slot_search_set(const struct slot_search *search, uint64_t slot)
{
    atomic_store_explicit(&search->array->slots[search->position], slot, memory_order_release);
}

/* The writer: puts a slot in.  'hash_of' tells the hash of the slots that are there.  0 or ENOMEM. */
int slot_table_put(struct slot_table *table, struct limbo *limbo, uint32_t hash, uint64_t slot,
                   uint32_t (*hash_of)(uint64_t slot, const void *aux), const void *aux);

/* The writer: takes out the slot that the search is at. */
void slot_table_drop(struct slot_table *table, const struct slot_search *search);

/* Frees the array at once, when no reader can be left. */
void slot_table_clear(struct slot_table *table);

/* Bytes of the array. */
uint64_t slot_table_size(const struct slot_table *table);

/* The writer: calls the body for each slot in use. */
#define SLOT_TABLE_FOR_EACH(SLOT, ARRAY) \
    for (uint64_t i_ = 0; (ARRAY) != NULL && i_ <= (ARRAY)->limit; i_++) \
        if (((SLOT) = atomic_load_explicit(&(ARRAY)->slots[i_], memory_order_relaxed)) != SLOT_EMPTY \
            && (SLOT) != SLOT_REMOVED)

#endif
