#include "classifier/reference_counts.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "classifier/hash.h"

#define SLOTS_MIN 16u

/* Never 0: kinds begin at 1. */
static uint64_t
key_of(enum action_reference kind, uint32_t id)
{
    return (uint64_t) kind << 32 | id;
}

/* The slot with the key, or the free one where it belongs.  There are slots, and a free one among them. */
static struct reference_count *
find_slot(struct reference_count *slots, uint32_t n_slots, uint64_t key)
{
    uint64_t hash = key * UINT64_C(0x9e3779b97f4a7c15);

    for (uint32_t i = (uint32_t) (hash >> 40);; i++) {
        struct reference_count *slot = &slots[i & (n_slots - 1)];
        if (slot->key == key || slot->key == 0) {
            return slot;
        }
    }
}

/* Moves what is counted to 'n_slots' slots.  0 or ENOMEM. */
static int
resize(struct reference_counts *counts, uint32_t n_slots, bool keep_zeros)
{
    struct reference_count *slots = calloc(n_slots, sizeof *slots);
    uint32_t n_used = 0;

    if (slots == NULL) {
        return ENOMEM;
    }
    for (uint32_t i = 0; i < counts->n_slots; i++) {
        const struct reference_count *old = &counts->slots[i];
        if (old->key != 0 && (old->n != 0 || keep_zeros)) {
            *find_slot(slots, n_slots, old->key) = *old;
            n_used++;
        }
    }
    free(counts->slots);
    counts->slots = slots;
    counts->n_slots = n_slots;
    counts->n_used = n_used;
    return 0;
}

static void
count_in(uint32_t kind, uint32_t id, void *counts_)
{
    struct reference_counts *counts = counts_;
    struct reference_count *slot = find_slot(counts->slots, counts->n_slots, key_of(kind, id));

    counts->n_used += slot->key == 0;
    slot->key = key_of(kind, id);
    slot->n++;
}

static void
count_out(uint32_t kind, uint32_t id, void *counts_)
{
    struct reference_counts *counts = counts_;
    struct reference_count *slot = find_slot(counts->slots, counts->n_slots, key_of(kind, id));

    assert(slot->n != 0);
    slot->n--;
}

int
reference_counts_add(struct reference_counts *counts, const struct action_list *list)
{
    uint32_t wanted = counts->n_slots != 0 ? counts->n_slots : SLOTS_MIN;

    if (list->n_references == 0) {
        return 0;
    }
    while (counts->n_used + list->n_references > wanted / 2) {
        wanted *= 2;
    }
    if (wanted != counts->n_slots && resize(counts, wanted, true) != 0
        && counts->n_used + list->n_references >= counts->n_slots) {
        return ENOMEM;
    }
    action_list_visit_references(list, count_in, counts);
    return 0;
}

void
reference_counts_remove(struct reference_counts *counts, const struct action_list *list)
{
    if (list->n_references != 0) {
        action_list_visit_references(list, count_out, counts);
    }
}

uint64_t
reference_counts_get(const struct reference_counts *counts, enum action_reference kind, uint32_t id)
{
    return counts->n_slots != 0 ? find_slot(counts->slots, counts->n_slots, key_of(kind, id))->n : 0;
}

void
reference_counts_tidy(struct reference_counts *counts)
{
    uint32_t n_live = 0;

    /* As many again as live ones have to be useless before it is worth looking. */
    if (counts->n_used < SLOTS_MIN || counts->n_used < counts->n_slots / 4) {
        return;
    }
    for (uint32_t i = 0; i < counts->n_slots; i++) {
        n_live += counts->slots[i].n != 0;
    }
    if (n_live < counts->n_used / 2) {
        resize(counts, counts->n_slots, false);
    }
}

void
reference_counts_clear(struct reference_counts *counts)
{
    free(counts->slots);
    *counts = (struct reference_counts){ 0 };
}
