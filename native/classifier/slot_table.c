#include "classifier/slot_table.h"

#include <errno.h>

#include "classifier/pages.h"

#define SLOTS_MIN 4

/* Number of slots for 'n_live' ones in use: a quarter to a half full. */
static uint64_t
slots_for(uint64_t n_live)
{
    uint64_t n_slots = SLOTS_MIN;

    while (n_slots < 2 * n_live) {
        n_slots *= 2;
    }
    return n_slots;
}

static size_t
array_size(uint64_t n_slots)
{
    return sizeof(struct slot_array) + n_slots * sizeof(_Atomic uint64_t);
}

static void
free_array(void *array_)
{
    struct slot_array *array = array_;

    if (array != NULL) {
        pages_free(array, array_size(array->limit + 1));
    }
}

static void
put(struct slot_array *array, uint32_t hash, uint64_t slot)
{
    uint64_t position = hash & array->limit;

    while (atomic_load_explicit(&array->slots[position], memory_order_relaxed) != SLOT_EMPTY) {
        position = (position + 1) & array->limit;
    }
    atomic_store_explicit(&array->slots[position], slot, memory_order_release);
}

/* Moves what is in use to a new array with room for one more. */
static int
resize(struct slot_table *table, struct limbo *limbo, uint32_t (*hash_of)(uint64_t, const void *), const void *aux)
{
    struct slot_array *old = atomic_load_explicit(&table->array, memory_order_relaxed);
    uint64_t n_slots = slots_for((uint64_t) table->n_live + 1);
    struct slot_array *array = pages_alloc(array_size(n_slots));
    uint64_t slot;

    if (array == NULL) {
        return ENOMEM;
    }
    array->limit = n_slots - 1;
    SLOT_TABLE_FOR_EACH(slot, old)
    {
        put(array, hash_of(slot, aux), slot);
    }
    table->n_used = table->n_live;
    atomic_store_explicit(&table->array, array, memory_order_release);
    if (old != NULL) {
        limbo_put(limbo, free_array, old);
    }
    return 0;
}

int
slot_table_put(struct slot_table *table, struct limbo *limbo, uint32_t hash, uint64_t slot,
               uint32_t (*hash_of)(uint64_t, const void *), const void *aux)
{
    struct slot_array *array = atomic_load_explicit(&table->array, memory_order_relaxed);

    if (array == NULL || 4 * ((uint64_t) table->n_used + 1) > 3 * (array->limit + 1)) {
        int error = resize(table, limbo, hash_of, aux);
        if (error != 0) {
            return error;
        }
        array = atomic_load_explicit(&table->array, memory_order_relaxed);
    }
    put(array, hash, slot);
    table->n_live++;
    table->n_used++;
    return 0;
}

/* A removed slot before an empty one need not keep searches going, nor do the removed ones before it. */
void
slot_table_drop(struct slot_table *table, const struct slot_search *search)
{
    struct slot_array *array = search->array;
    uint64_t position = search->position;

    table->n_live--;
    if (atomic_load_explicit(&array->slots[(position + 1) & array->limit], memory_order_relaxed) != SLOT_EMPTY) {
        atomic_store_explicit(&array->slots[position], SLOT_REMOVED, memory_order_release);
        return;
    }
    do {
        atomic_store_explicit(&array->slots[position], SLOT_EMPTY, memory_order_release);
        table->n_used--;
        position = (position - 1) & array->limit;
    } while (atomic_load_explicit(&array->slots[position], memory_order_relaxed) == SLOT_REMOVED);
}

void
slot_table_clear(struct slot_table *table)
{
    free_array(atomic_load_explicit(&table->array, memory_order_relaxed));
    *table = (struct slot_table){ .n_live = 0 };
}

uint64_t
slot_table_size(const struct slot_table *table)
{
    const struct slot_array *array = atomic_load_explicit(&table->array, memory_order_relaxed);

    return array != NULL ? array_size(array->limit + 1) : 0;
}
