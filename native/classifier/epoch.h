/* Epochs: memory that lock-free readers may still look at is freed only after each of them let go of it.
 *
 * A reader is a thread that follows pointers which a writer changes beside it.  It registers, and passes a quiescent
 * point (epoch_quiesce) whenever it holds no such pointer, at least once a burst.  Before it sleeps it goes offline and
 * when it wakes it comes online, so that a sleeping thread holds nothing up.  A writer that has unlinked an object
 * takes a ticket; once the ticket has passed, no reader can still hold the object.
 *
 * A limbo is a queue of objects that wait for their ticket.  It has no lock: it belongs to one thread at a time, or to
 * whoever holds the lock of the structure it serves.  A structure that frees things owns a limbo.
 *
 * Nothing here ever blocks but epoch_synchronize(). */
#ifndef CLASSIFIER_EPOCH_H
#define CLASSIFIER_EPOCH_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct epoch;

/* One reader.  Made by epoch_register(); used by its own thread only. */
struct epoch_reader {
    _Alignas(64) _Atomic uint64_t seen; /* Last value of '*counter' at a quiescent point; 0 while offline. */
    const _Atomic uint64_t *counter;
    struct epoch *epoch;
    struct epoch_reader *next;
};

/* Makes an epoch without readers.  Null when out of memory. */
struct epoch *epoch_create(void);

/* Frees the epoch.  Its readers have unregistered and its limbos are destroyed.  Null is fine. */
void epoch_destroy(struct epoch *epoch);

/* Registers the calling thread as an online reader.  Null when out of memory.  Any thread. */
struct epoch_reader *epoch_register(struct epoch *epoch);

/* The reader holds nothing any more and is freed.  Any thread, when the reader's own has stopped using it.  Null is
 * fine. */
void epoch_unregister(struct epoch_reader *reader);

/* Says that the reader holds no pointer that it read before.  Its own thread, online. */
static inline void
epoch_quiesce(struct epoch_reader *reader)
{
    uint64_t counter = atomic_load_explicit(reader->counter, memory_order_acquire);

    if (atomic_load_explicit(&reader->seen, memory_order_relaxed) != counter) {
        atomic_store_explicit(&reader->seen, counter, memory_order_release);
    }
}

/* The reader holds nothing and will read nothing until epoch_online().  Its own thread. */
void epoch_offline(struct epoch_reader *reader);
void epoch_online(struct epoch_reader *reader);

/* A ticket that passes when every reader has been quiescent, or offline, after this call.  Any thread. */
uint64_t epoch_ticket(struct epoch *epoch);

/* True if 'ticket' has passed.  Any thread. */
bool epoch_passed(struct epoch *epoch, uint64_t ticket);

/* Waits until every reader has been quiescent once.  Must not be called by an online reader. */
void epoch_synchronize(struct epoch *epoch);

typedef void epoch_free_func(void *object);

struct limbo_entry {
    epoch_free_func *free;
    void *object;
};

/* Objects that wait, oldest first. */
struct limbo {
    struct epoch *epoch;
    struct limbo_entry *entries; /* A ring of 'capacity' elements, a power of two. */
    uint64_t head, tail;         /* Ever taken, ever put. */
    uint64_t capacity;
    uint64_t stamped; /* Entries in [head, stamped) wait for 'ticket', those in [stamped, tail) for the next. */
    uint64_t ticket;
};

/* 'epoch' must outlive the limbo. */
void limbo_init(struct limbo *limbo, struct epoch *epoch);

/* Frees everything in it at once: only when no reader can be left that holds any of it. */
void limbo_uninit(struct limbo *limbo);

/* Puts an unlinked object in limbo.  'free(object)' is called by a later limbo_reclaim().  When there is no memory for
 * the queue the object is leaked, which is the only safe thing left. */
void limbo_put(struct limbo *limbo, epoch_free_func *free, void *object);

/* Frees what is due and stamps what is new.  Never waits.  Returns the number of objects that remain. */
uint64_t limbo_reclaim(struct limbo *limbo);

#endif
