#include "classifier/action_list.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/hash.h"
#include "sluice/records.h"

#define BUCKETS_MIN 64u

struct action_lists {
    pthread_mutex_t mutex; /* Guards all but the lists' 'refs' and what never changes. */
    struct action_list **buckets;
    uint32_t n_buckets; /* A power of two. */
    uint32_t n_lists;
    uint64_t n_bytes;
    bool orphaned; /* The owner let go; the last list frees the set. */
};

/* What all actions begin with. */
struct action_header {
    uint16_t opcode;
    uint16_t size;
};

/* The actions nested in 'action', if it is of a kind that has some. */
static const uint8_t *
nested_actions(const struct action_header *action, uint32_t *size)
{
    if (action->opcode == SLUICE_ACTION_WRITE_ACTIONS) {
        const struct sluice_action_write_actions *write = (const void *) action;
        *size = write->actions_size;
        return (const uint8_t *) (write + 1);
    }
    if (action->opcode == SLUICE_ACTION_CLONE) {
        const struct sluice_action_clone *clone = (const void *) action;
        *size = clone->actions_size;
        return (const uint8_t *) (clone + 1);
    }
    return NULL;
}

/* Learn actions of this bit remove what they learned when they go. */
#define LEARN_DELETES 2u

/* The learn action that owns a cookie and comes after '*after' in the order of walking, all of them if it is null. */
static const struct sluice_action_learn *
next_owner(const uint8_t *bytes, uint32_t size, const struct sluice_action_learn **after)
{
    for (uint32_t offset = 0; offset + sizeof(struct action_header) <= size;) {
        const struct action_header *action = (const void *) (bytes + offset);
        const struct sluice_action_learn *learn = (const void *) action;
        uint32_t nested_size;
        const uint8_t *nested = nested_actions(action, &nested_size);

        if (action->opcode == SLUICE_ACTION_LEARN && learn->learn_flags & LEARN_DELETES) {
            if (*after == NULL) {
                return learn;
            }
            *after = *after == learn ? NULL : *after;
        }
        if (nested != NULL && (learn = next_owner(nested, nested_size, after)) != NULL) {
            return learn;
        }
        if (action->size == 0) {
            break;
        }
        offset += action->size;
    }
    return NULL;
}

const struct sluice_action_learn *
action_list_next_owner(const struct action_list *list, const struct sluice_action_learn *learn)
{
    return next_owner(list->bytes, list->size, &learn);
}

/* Counts what lookups and transactions want to know without walking the list. */
static void
action_list_count(struct action_list *list)
{
    const struct sluice_action_learn *learn = NULL;

    for (uint32_t offset = 0; offset + sizeof(struct action_header) <= list->size;) {
        const struct action_header *action = (const void *) (list->bytes + offset);
        list->n_conjunctions += action->opcode == SLUICE_ACTION_CONJUNCTION;
        if (action->size == 0) {
            break;
        }
        offset += action->size;
    }
    while ((learn = action_list_next_owner(list, learn)) != NULL) {
        list->n_cookie_owners++;
    }
}

struct action_lists *
action_lists_create(void)
{
    struct action_lists *lists = calloc(1, sizeof *lists);

    if (lists == NULL) {
        return NULL;
    }
    lists->buckets = calloc(BUCKETS_MIN, sizeof *lists->buckets);
    if (lists->buckets == NULL) {
        free(lists);
        return NULL;
    }
    lists->n_buckets = BUCKETS_MIN;
    pthread_mutex_init(&lists->mutex, NULL);
    return lists;
}

static void
action_lists_free(struct action_lists *lists)
{
    pthread_mutex_destroy(&lists->mutex);
    free(lists->buckets);
    free(lists);
}

void
action_lists_destroy(struct action_lists *lists)
{
    if (lists == NULL) {
        return;
    }
    pthread_mutex_lock(&lists->mutex);
    lists->orphaned = true;
    bool unused = lists->n_lists == 0;
    pthread_mutex_unlock(&lists->mutex);
    if (unused) {
        action_lists_free(lists);
    }
}

static void
action_lists_grow(struct action_lists *lists)
{
    uint32_t n_buckets = 2 * lists->n_buckets;
    struct action_list **buckets = calloc(n_buckets, sizeof *buckets);

    if (buckets == NULL) {
        return; /* Longer chains until there is memory. */
    }
    for (uint32_t i = 0; i < lists->n_buckets; i++) {
        struct action_list *next;
        for (struct action_list *list = lists->buckets[i]; list != NULL; list = next) {
            next = list->next;
            list->next = buckets[list->hash & (n_buckets - 1)];
            buckets[list->hash & (n_buckets - 1)] = list;
        }
    }
    free(lists->buckets);
    lists->buckets = buckets;
    lists->n_buckets = n_buckets;
}

/* Adds a reference unless the list is on its way out. */
static bool
action_list_try_ref(struct action_list *list)
{
    uint32_t refs = atomic_load_explicit(&list->refs, memory_order_relaxed);

    while (refs != 0) {
        if (atomic_compare_exchange_weak_explicit(&list->refs, &refs, refs + 1, memory_order_acquire,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

static void
count_reference(uint32_t kind, uint32_t id, void *n)
{
    (void) kind;
    (void) id;
    ++*(uint32_t *) n;
}

static struct action_list *
action_lists_add(struct action_lists *lists, const void *bytes, size_t size, uint32_t hash)
{
    struct action_list *list = malloc(sizeof *list + size);

    if (list == NULL) {
        return NULL;
    }
    if (lists->n_lists >= lists->n_buckets) {
        action_lists_grow(lists);
    }
    struct action_list **bucket = &lists->buckets[hash & (lists->n_buckets - 1)];
    *list = (struct action_list){ .owner = lists, .next = *bucket, .hash = hash, .size = (uint32_t) size };
    atomic_init(&list->refs, 1);
    if (size != 0) {
        memcpy(list->bytes, bytes, size);
    }
    action_list_count(list);
    actions_visit_references(list->bytes, list->size, count_reference, &list->n_references);
    *bucket = list;
    lists->n_lists++;
    lists->n_bytes += sizeof *list + size;
    return list;
}

struct action_list *
action_lists_get(struct action_lists *lists, const void *bytes, size_t size)
{
    uint32_t hash = hash_finish(hash_bytes(size, bytes, size));
    struct action_list *list;

    pthread_mutex_lock(&lists->mutex);
    for (list = lists->buckets[hash & (lists->n_buckets - 1)]; list != NULL; list = list->next) {
        if (list->hash == hash && list->size == size && (size == 0 || !memcmp(list->bytes, bytes, size))
            && action_list_try_ref(list)) {
            break;
        }
    }
    if (list == NULL) {
        list = action_lists_add(lists, bytes, size, hash);
    }
    pthread_mutex_unlock(&lists->mutex);
    return list;
}

void
action_lists_measure(struct action_lists *lists, uint64_t *n_lists, uint64_t *n_bytes)
{
    pthread_mutex_lock(&lists->mutex);
    *n_lists = lists->n_lists;
    *n_bytes = lists->n_bytes + lists->n_buckets * sizeof *lists->buckets;
    pthread_mutex_unlock(&lists->mutex);
}

void
action_list_ref(struct action_list *list)
{
    atomic_fetch_add_explicit(&list->refs, 1, memory_order_relaxed);
}

void
action_list_unref(struct action_list *list)
{
    if (list == NULL || atomic_fetch_sub_explicit(&list->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    struct action_lists *lists = list->owner;
    pthread_mutex_lock(&lists->mutex);
    struct action_list **link = &lists->buckets[list->hash & (lists->n_buckets - 1)];
    while (*link != list) {
        link = &(*link)->next;
    }
    *link = list->next;
    lists->n_lists--;
    lists->n_bytes -= sizeof *list + list->size;
    bool last = lists->orphaned && lists->n_lists == 0;
    pthread_mutex_unlock(&lists->mutex);
    free(list);
    if (last) {
        action_lists_free(lists);
    }
}

static bool
action_outputs_to(const struct action_header *action, uint32_t ofp_port)
{
    const uint32_t controller = 0xfffffffd;

    switch (action->opcode) {
    case SLUICE_ACTION_OUTPUT:
        return ((const struct sluice_action_output *) (const void *) action)->port == ofp_port;
    case SLUICE_ACTION_ENQUEUE:
        return ((const struct sluice_action_enqueue *) (const void *) action)->port == ofp_port;
    case SLUICE_ACTION_CONTROLLER:
        return ofp_port == controller;
    default:
        return false;
    }
}

/* Whoever stored the actions checked them, their nesting depth included. */
static bool
actions_output_to(const uint8_t *bytes, uint32_t size, uint32_t ofp_port)
{
    for (uint32_t offset = 0; offset + sizeof(struct action_header) <= size;) {
        const struct action_header *action = (const void *) (bytes + offset);
        uint32_t nested_size;
        const uint8_t *nested = nested_actions(action, &nested_size);

        if (action_outputs_to(action, ofp_port)
            || (nested != NULL && actions_output_to(nested, nested_size, ofp_port))) {
            return true;
        }
        if (action->size == 0) {
            break;
        }
        offset += action->size;
    }
    return false;
}

bool
action_list_outputs_to(const struct action_list *list, uint32_t ofp_port)
{
    return actions_output_to(list->bytes, list->size, ofp_port);
}

void
actions_visit_references(const void *actions, uint32_t size, void (*visit)(uint32_t kind, uint32_t id, void *aux),
                         void *aux)
{
    const uint8_t *bytes = actions;

    for (uint32_t offset = 0; offset + sizeof(struct action_header) <= size;) {
        const struct action_header *action = (const void *) (bytes + offset);
        uint32_t nested_size;
        const uint8_t *nested = nested_actions(action, &nested_size);

        if (action->opcode == SLUICE_ACTION_GROUP) {
            visit(ACTION_REFERENCE_GROUP, ((const struct sluice_action_group *) (const void *) action)->group, aux);
        } else if (action->opcode == SLUICE_ACTION_METER) {
            visit(ACTION_REFERENCE_METER, ((const struct sluice_action_meter *) (const void *) action)->meter, aux);
        } else if (nested != NULL) {
            actions_visit_references(nested, nested_size, visit, aux);
        }
        if (action->size == 0) {
            break;
        }
        offset += action->size;
    }
}

void
action_list_visit_references(const struct action_list *list, void (*visit)(uint32_t kind, uint32_t id, void *aux),
                             void *aux)
{
    actions_visit_references(list->bytes, list->size, visit, aux);
}

struct reference_search {
    uint32_t kind;
    uint32_t id;
    bool found;
};

static void
compare_reference(uint32_t kind, uint32_t id, void *search_)
{
    struct reference_search *search = search_;

    search->found |= kind == search->kind && id == search->id;
}

bool
action_list_refers_to(const struct action_list *list, enum action_reference kind, uint32_t id)
{
    struct reference_search search = { kind, id, false };

    if (list->n_references != 0) {
        action_list_visit_references(list, compare_reference, &search);
    }
    return search.found;
}
