#include "pipeline/frozen.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/epoch.h"
#include "classifier/hash.h"

#define BUCKETS 16384u
#define STRIPES 64u

/* Idle states of a stripe at most; others are forgotten at once. */
#define IDLE_MAX 256u

/* The buckets whose number is equal modulo STRIPES.  A state is in two buckets, of two stripes: the one of its content
 * is locked before the one of its id. */
struct stripe {
    pthread_mutex_t content;
    pthread_mutex_t ids;
    struct limbo limbo; /* Under 'content', as what follows. */
    struct frozen_state *idle;
    uint32_t n_idle;
};

struct frozen_table {
    _Atomic uint32_t next_id;
    _Atomic uint32_t count;
    _Atomic uint32_t age; /* Grows by one at intervals of FROZEN_LINGER_MS. */
    uint64_t aged_ms;
    struct stripe stripes[STRIPES];
    struct frozen_state *contents[BUCKETS];
    _Atomic(struct frozen_state *) ids[BUCKETS];
};

static size_t
padded(uint32_t size)
{
    return ((size_t) size + 7) & ~(size_t) 7;
}

const void *
frozen_match(const struct sluice_continuation *content)
{
    return content + 1;
}

const void *
frozen_stack(const struct sluice_continuation *content)
{
    return (const uint8_t *) frozen_match(content) + padded(content->match_size);
}

const void *
frozen_action_set(const struct sluice_continuation *content)
{
    return (const uint8_t *) frozen_stack(content) + padded(content->stack_size);
}

const void *
frozen_actions(const struct sluice_continuation *content)
{
    return (const uint8_t *) frozen_action_set(content) + padded(content->action_set_size);
}

struct frozen_table *
frozen_table_create(struct epoch *epoch)
{
    struct frozen_table *table = calloc(1, sizeof *table);
    if (!table) {
        return NULL;
    }
    atomic_init(&table->next_id, 1);
    for (uint32_t i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&table->stripes[i].content, NULL);
        pthread_mutex_init(&table->stripes[i].ids, NULL);
        limbo_init(&table->stripes[i].limbo, epoch);
    }
    return table;
}

void
frozen_table_destroy(struct frozen_table *table)
{
    if (!table) {
        return;
    }
    assert(!atomic_load(&table->count));
    for (uint32_t i = 0; i < STRIPES; i++) {
        while (table->stripes[i].idle) {
            struct frozen_state *state = table->stripes[i].idle;
            table->stripes[i].idle = state->next_idle;
            free(state);
        }
        limbo_uninit(&table->stripes[i].limbo);
        pthread_mutex_destroy(&table->stripes[i].content);
        pthread_mutex_destroy(&table->stripes[i].ids);
    }
    free(table);
}

static struct stripe *
content_stripe(const struct frozen_state *state)
{
    return &state->table->stripes[state->hash % STRIPES];
}

const struct frozen_state *
frozen_find(const struct frozen_table *table, uint32_t id)
{
    const struct frozen_state *state = atomic_load_explicit(&table->ids[id % BUCKETS], memory_order_acquire);
    while (state && state->id != id) {
        state = atomic_load_explicit(&state->next_id, memory_order_acquire);
    }
    return state;
}

/* Gives 'state' an id that nobody has and makes it findable.  False if the bucket of the next id is in use by that id:
 * then the caller tries again. */
static bool
link_id(struct frozen_table *table, struct frozen_state *state)
{
    uint32_t id = atomic_fetch_add_explicit(&table->next_id, 1, memory_order_relaxed);
    if (!id) {
        return false;
    }
    struct stripe *stripe = &table->stripes[id % STRIPES];
    pthread_mutex_lock(&stripe->ids);
    bool is_free = !frozen_find(table, id);
    if (is_free) {
        _Atomic(struct frozen_state *) *head = &table->ids[id % BUCKETS];
        state->id = id;
        atomic_init(&state->next_id, atomic_load_explicit(head, memory_order_relaxed));
        atomic_store_explicit(head, state, memory_order_release);
    }
    pthread_mutex_unlock(&stripe->ids);
    return is_free;
}

static void
unlink_id(struct frozen_table *table, struct frozen_state *state)
{
    struct stripe *stripe = &table->stripes[state->id % STRIPES];
    pthread_mutex_lock(&stripe->ids);
    _Atomic(struct frozen_state *) *link = &table->ids[state->id % BUCKETS];
    struct frozen_state *at = atomic_load_explicit(link, memory_order_relaxed);
    while (at != state) {
        link = &at->next_id;
        at = atomic_load_explicit(link, memory_order_relaxed);
    }
    atomic_store_explicit(link, atomic_load_explicit(&state->next_id, memory_order_relaxed), memory_order_release);
    pthread_mutex_unlock(&stripe->ids);
}

static struct frozen_state *
find_content(const struct frozen_table *table, uint64_t hash, const struct sluice_continuation *content, size_t size)
{
    struct frozen_state *state = table->contents[hash % BUCKETS];
    while (state && (state->hash != hash || state->size != size || memcmp(&state->content, content, size))) {
        state = state->next_content;
    }
    return state;
}

/* A state of this content, findable by its id but not yet by its content.  With the content's stripe locked. */
static struct frozen_state *
create(struct frozen_table *table, uint64_t hash, const struct sluice_continuation *content, size_t size)
{
    struct frozen_state *state = calloc(1, offsetof(struct frozen_state, content) + size);
    if (!state) {
        return NULL;
    }
    atomic_init(&state->refs, 1);
    state->hash = hash;
    state->table = table;
    state->size = size;
    memcpy(&state->content, content, size);
    while (!link_id(table, state)) {
        continue;
    }
    atomic_fetch_add_explicit(&table->count, 1, memory_order_relaxed);
    return state;
}

struct frozen_state *
frozen_acquire(struct frozen_table *table, const struct sluice_continuation *content, size_t size)
{
    uint64_t hash = hash_bytes(size, content, size);
    struct stripe *stripe = &table->stripes[hash % STRIPES];
    pthread_mutex_lock(&stripe->content);
    struct frozen_state *state = find_content(table, hash, content, size);
    if (state) {
        if (!atomic_fetch_add_explicit(&state->refs, 1, memory_order_relaxed)) {
            atomic_fetch_add_explicit(&table->count, 1, memory_order_relaxed);
        }
    } else {
        state = create(table, hash, content, size);
        if (state) {
            state->has_content = true;
            state->next_content = table->contents[hash % BUCKETS];
            table->contents[hash % BUCKETS] = state;
        }
    }
    pthread_mutex_unlock(&stripe->content);
    return state;
}

void
frozen_ref(const struct frozen_state *state)
{
    atomic_fetch_add_explicit(&((struct frozen_state *) state)->refs, 1, memory_order_relaxed);
}

/* From now on equal content is another state.  With its content's stripe locked. */
static void
unlink_content(struct frozen_table *table, struct frozen_state *state)
{
    struct frozen_state **link = &table->contents[state->hash % BUCKETS];
    while (*link != state) {
        link = &(*link)->next_content;
    }
    *link = state->next_content;
    state->has_content = false;
}

/* Forgets a state that has no references.  With its content's stripe locked. */
static void
forget(struct frozen_table *table, struct stripe *stripe, struct frozen_state *state)
{
    if (state->has_content) {
        unlink_content(table, state);
    }
    unlink_id(table, state);
    limbo_put(&stripe->limbo, free, state);
}

void
frozen_unref(const struct frozen_state *state_, bool lingers)
{
    struct frozen_state *state = (struct frozen_state *) state_;
    struct frozen_table *table = state->table;

    /* Only with the lock may the last reference go: who finds the state by its content takes one with it. */
    uint32_t refs = atomic_load_explicit(&state->refs, memory_order_relaxed);
    while (refs > 1) {
        if (atomic_compare_exchange_weak_explicit(&state->refs, &refs, refs - 1, memory_order_release,
                                                  memory_order_relaxed)) {
            return;
        }
    }
    struct stripe *stripe = content_stripe(state);
    pthread_mutex_lock(&stripe->content);
    if (atomic_fetch_sub_explicit(&state->refs, 1, memory_order_acq_rel) == 1) {
        atomic_fetch_sub_explicit(&table->count, 1, memory_order_relaxed);
        state->idle_since = atomic_load_explicit(&table->age, memory_order_relaxed);
        if (!lingers && state->has_content) {
            unlink_content(table, state);
        }
        if (!state->is_idle && stripe->n_idle < IDLE_MAX) {
            state->is_idle = true;
            state->next_idle = stripe->idle;
            stripe->idle = state;
            stripe->n_idle++;
        } else if (!state->is_idle) {
            forget(table, stripe, state);
            limbo_reclaim(&stripe->limbo);
        }
    }
    pthread_mutex_unlock(&stripe->content);
}

uint32_t
frozen_count(const struct frozen_table *table)
{
    return atomic_load_explicit(&table->count, memory_order_relaxed);
}

static void
sweep(struct frozen_table *table, struct stripe *stripe, uint32_t age)
{
    struct frozen_state **link = &stripe->idle;
    while (*link) {
        struct frozen_state *state = *link;
        bool is_used = atomic_load_explicit(&state->refs, memory_order_acquire);
        if (!is_used && age - state->idle_since < 2) {
            link = &state->next_idle;
            continue;
        }
        *link = state->next_idle;
        state->is_idle = false;
        stripe->n_idle--;
        if (!is_used) {
            forget(table, stripe, state);
        }
    }
    limbo_reclaim(&stripe->limbo);
}

void
frozen_maintain(struct frozen_table *table, uint64_t now_ms)
{
    if (now_ms - table->aged_ms < FROZEN_LINGER_MS) {
        return;
    }
    table->aged_ms = now_ms;
    uint32_t age = atomic_fetch_add_explicit(&table->age, 1, memory_order_relaxed) + 1;
    for (uint32_t i = 0; i < STRIPES; i++) {
        pthread_mutex_lock(&table->stripes[i].content);
        sweep(table, &table->stripes[i], age);
        pthread_mutex_unlock(&table->stripes[i].content);
    }
}
