#include "classifier/epoch.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct epoch {
    _Alignas(64) _Atomic uint64_t counter; /* Starts at 1, so that 0 can mean offline. */
    _Alignas(64) pthread_mutex_t mutex;    /* Guards 'readers'. */
    struct epoch_reader *readers;
};

struct epoch *
epoch_create(void)
{
    struct epoch *epoch = aligned_alloc(64, sizeof *epoch);

    if (epoch != NULL) {
        memset(epoch, 0, sizeof *epoch);
        atomic_init(&epoch->counter, 1);
        pthread_mutex_init(&epoch->mutex, NULL);
    }
    return epoch;
}

void
epoch_destroy(struct epoch *epoch)
{
    if (epoch != NULL) {
        assert(epoch->readers == NULL);
        pthread_mutex_destroy(&epoch->mutex);
        free(epoch);
    }
}

struct epoch_reader *
epoch_register(struct epoch *epoch)
{
    struct epoch_reader *reader = aligned_alloc(64, sizeof *reader);

    if (reader == NULL) {
        return NULL;
    }
    memset(reader, 0, sizeof *reader);
    reader->counter = &epoch->counter;
    reader->epoch = epoch;
    pthread_mutex_lock(&epoch->mutex);
    reader->next = epoch->readers;
    epoch->readers = reader;
    pthread_mutex_unlock(&epoch->mutex);
    epoch_online(reader);
    return reader;
}

void
epoch_unregister(struct epoch_reader *reader)
{
    if (reader == NULL) {
        return;
    }
    struct epoch *epoch = reader->epoch;
    pthread_mutex_lock(&epoch->mutex);
    struct epoch_reader **link = &epoch->readers;
    while (*link != reader) {
        link = &(*link)->next;
    }
    *link = reader->next;
    pthread_mutex_unlock(&epoch->mutex);
    free(reader);
}

void
epoch_offline(struct epoch_reader *reader)
{
    atomic_store_explicit(&reader->seen, 0, memory_order_release);
}

/* The read-modify-write of the counter orders this thread and writers: either a writer's ticket was taken before it, and
 * then this thread sees what the writer unlinked, or after it, and then the writer sees this thread online. */
void
epoch_online(struct epoch_reader *reader)
{
    _Atomic uint64_t *counter = &reader->epoch->counter;

    atomic_store_explicit(&reader->seen, atomic_load_explicit(counter, memory_order_acquire), memory_order_release);
    atomic_fetch_add_explicit(counter, 0, memory_order_acq_rel);
}

uint64_t
epoch_ticket(struct epoch *epoch)
{
    return atomic_fetch_add_explicit(&epoch->counter, 1, memory_order_acq_rel) + 1;
}

bool
epoch_passed(struct epoch *epoch, uint64_t ticket)
{
    bool passed = true;

    pthread_mutex_lock(&epoch->mutex);
    for (struct epoch_reader *reader = epoch->readers; reader != NULL; reader = reader->next) {
        uint64_t seen = atomic_load_explicit(&reader->seen, memory_order_acquire);
        if (seen != 0 && seen < ticket) {
            passed = false;
            break;
        }
    }
    pthread_mutex_unlock(&epoch->mutex);
    return passed;
}

void
epoch_synchronize(struct epoch *epoch)
{
    uint64_t ticket = epoch_ticket(epoch);

    for (unsigned int i = 0; !epoch_passed(epoch, ticket); i++) {
        if (i < 16) {
            sched_yield();
        } else {
            nanosleep(&(struct timespec){ .tv_nsec = 50000 }, NULL);
        }
    }
}

void
limbo_init(struct limbo *limbo, struct epoch *epoch)
{
    *limbo = (struct limbo){ .epoch = epoch };
}

/* Freeing may put further objects in limbo, so that 'tail' can grow meanwhile. */
static void
limbo_free_until(struct limbo *limbo, uint64_t end)
{
    while (limbo->head != end) {
        struct limbo_entry entry = limbo->entries[limbo->head++ & (limbo->capacity - 1)];
        entry.free(entry.object);
    }
}

void
limbo_uninit(struct limbo *limbo)
{
    while (limbo->head != limbo->tail) {
        limbo_free_until(limbo, limbo->tail);
    }
    free(limbo->entries);
    *limbo = (struct limbo){ .epoch = limbo->epoch };
}

static bool
limbo_grow(struct limbo *limbo)
{
    uint64_t capacity = limbo->capacity != 0 ? 2 * limbo->capacity : 64;
    struct limbo_entry *entries = malloc(capacity * sizeof *entries);

    if (entries == NULL) {
        return false;
    }
    for (uint64_t i = limbo->head; i != limbo->tail; i++) {
        entries[i & (capacity - 1)] = limbo->entries[i & (limbo->capacity - 1)];
    }
    free(limbo->entries);
    limbo->entries = entries;
    limbo->capacity = capacity;
    return true;
}

void
limbo_put(struct limbo *limbo, epoch_free_func *free_object, void *object)
{
    if (limbo->tail - limbo->head == limbo->capacity && !limbo_grow(limbo)) {
        return;
    }
    limbo->entries[limbo->tail++ & (limbo->capacity - 1)] = (struct limbo_entry){ free_object, object };
}

/* Freeing may put further objects in limbo; they have no ticket yet, so one more round stamps them. */
uint64_t
limbo_reclaim(struct limbo *limbo)
{
    while (limbo->head != limbo->tail) {
        if (limbo->head == limbo->stamped) {
            limbo->stamped = limbo->tail;
            limbo->ticket = epoch_ticket(limbo->epoch);
        }
        if (!epoch_passed(limbo->epoch, limbo->ticket)) {
            break;
        }
        limbo_free_until(limbo, limbo->stamped);
    }
    return limbo->tail - limbo->head;
}
