/* How much of a worker the misses of a queue may take while other queues are waiting.
 *
 * A packet that no megaflow covers costs ten times what others cost, or a hundred times.  A port that sends nothing else
 * must not take the worker away from those whose packets are known.  So a queue runs into debt by what its misses cost, in
 * cycles, and by long searches of the megaflow cache, which a flood of masks is after, as far as that is more than what
 * its other packets cost: new flows among many known ones are no debt.
 *
 * A queue whose debt is greater by more than an allowance than that of another one that has a backlog is not polled.
 * What it does not get then waits where it always waits: in the device's queue, which has a bound and a counter.  Debts
 * are forgiven as the worker does other work: queues in debt may together spend one cycle in MISS_SHARE, and get equal
 * parts of that.  Where all that have a backlog are in debt, they get equal parts of the worker.
 *
 * While no other queue has a backlog, nothing is held back: a lone port gets everything.
 *
 * Threads.  All of it is the worker's own, but for counters that others read. */
#ifndef WORKER_MISS_SHARE_H
#define WORKER_MISS_SHARE_H 1

#include <stdatomic.h>
#include <stdint.h>

struct queue_list;

/* Of so many cycles queues in debt may spend one while others have a backlog. */
#define MISS_SHARE 10u

/* Debt in cycles that a queue may have before it is held back: some hundred misses, as many as come when traffic begins. */
#define MISS_SHARE_ALLOWANCE (UINT64_C(1) << 18)

/* Masks of the megaflow cache searched for a packet that cost its queue nothing. */
#define MISS_SHARE_PROBES 8u

/* Of a queue. */
struct miss_debt {
    uint64_t cycles;
    _Atomic uint64_t n_misses; /* Packets that were translated. */
    _Atomic uint64_t n_held;   /* Turns that it was held back for. */
};

/* Of a worker. */
struct miss_share {
    /* The burst at hand: packets that were translated, and what that took. */
    uint32_t n_misses;
    uint64_t miss_cycles;

    uint32_t n_debtors; /* Queues in debt, as of the last time that debts were forgiven; at least 1 if there are any. */
    uint64_t least;     /* Least debt of a queue that has a backlog, in the last turn and this one; else UINT64_MAX. */
    uint64_t least_now; /* In this turn. */
    uint64_t charged;   /* Cycles of this turn that went into debts. */
    uint64_t earned;    /* Cycles to be forgiven. */
};

void miss_share_init(struct miss_share *share);

/* Whether the queue is to be left alone this turn. */
static inline _Bool
miss_share_holds(const struct miss_share *share, const struct miss_debt *debt)
{
    return debt->cycles > MISS_SHARE_ALLOWANCE && debt->cycles - MISS_SHARE_ALLOWANCE > share->least;
}

/* A burst was processed: 'n' packets, for which the megaflow cache searched 'n_probes' masks.  'cycles' is what it took in
 * all, or 0 if that was not measured because the queue had no debt. */
void miss_share_charge(struct miss_share *share, struct miss_debt *debt, uint32_t n, uint64_t n_probes,
                       uint64_t cycles);

/* A queue had as many packets as fit into a burst: there are probably more. */
static inline void
miss_share_backlog(struct miss_share *share, const struct miss_debt *debt)
{
    if (debt->cycles < share->least_now) {
        share->least_now = debt->cycles;
        share->least = share->least < debt->cycles ? share->least : debt->cycles;
    }
}

/* A turn over the queues of 'list' is done, which took so many cycles. */
void miss_share_turn(struct miss_share *share, const struct queue_list *list, uint64_t cycles);

#endif
