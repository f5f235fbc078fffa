#include "worker/miss_share.h"

#include "packet/packet.h"
#include "worker/state.h"

/* Debt that a queue can have at most: it is forgiven within some ten milliseconds. */
#define DEBT_MAX (16 * MISS_SHARE_ALLOWANCE)

/* What a search of a mask costs, about, and a packet that is found. */
#define PROBE_CYCLES 32u
#define HIT_CYCLES 64u

/* No miss takes longer: the thread was stopped meanwhile, which is not the port's fault. */
#define MISS_CYCLES_MAX (UINT64_C(1) << 16)

/* Debts are forgiven in pieces of this size at least. */
#define PIECE 4096u

static void
count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

void
miss_share_init(struct miss_share *share)
{
    *share = (struct miss_share){ .least = UINT64_MAX, .least_now = UINT64_MAX };
}

void
miss_share_charge(struct miss_share *share, struct miss_debt *debt, uint32_t n, uint64_t n_probes, uint64_t cycles)
{
    uint32_t n_misses = share->n_misses < n ? share->n_misses : n;
    uint64_t most = (uint64_t) n_misses * MISS_CYCLES_MAX;
    uint64_t n_free = (uint64_t) n * MISS_SHARE_PROBES;
    if (share->miss_cycles > most) {
        cycles -= cycles > share->miss_cycles ? share->miss_cycles - most : 0;
        share->miss_cycles = most;
    }
    uint64_t searches = n_probes > n_free ? (n_probes - n_free) * PROBE_CYCLES : 0;
    uint64_t rest = cycles > share->miss_cycles ? cycles - share->miss_cycles : (uint64_t) n * HIT_CYCLES;
    uint64_t part = rest * n_misses / n; /* Packets that missed were received, parsed and searched for, too. */
    uint64_t dear = share->miss_cycles + (searches > part ? searches : part);
    uint64_t cheap = searches > part ? rest - (searches < rest ? searches : rest) : rest - part;

    if (n_misses != 0) {
        count(&debt->n_misses, n_misses);
    }
    share->n_misses = 0;
    share->miss_cycles = 0;
    if (dear <= cheap) {
        debt->cycles = debt->cycles > cheap - dear ? debt->cycles - (cheap - dear) : 0;
        return;
    }
    share->charged += dear - cheap;
    share->n_debtors += debt->cycles == 0;
    debt->cycles += dear - cheap;
    if (debt->cycles > DEBT_MAX) {
        debt->cycles = DEBT_MAX;
    }
}

static void
forgive(struct miss_share *share, const struct queue_list *list, uint64_t each)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < list->n; i++) {
        struct miss_debt *debt = &list->queues[i]->debt;
        debt->cycles = debt->cycles > each ? debt->cycles - each : 0;
        n += debt->cycles != 0;
    }
    share->n_debtors = n;
    share->earned = 0;
}

void
miss_share_turn(struct miss_share *share, const struct queue_list *list, uint64_t cycles)
{
    uint64_t least = share->least_now;

    share->least = share->least_now;
    share->least_now = UINT64_MAX;
    if (share->n_debtors != 0) {
        share->earned += cycles > share->charged ? (cycles - share->charged) / (MISS_SHARE - 1) : 0;
        uint64_t each = share->earned / share->n_debtors;
        if (least != UINT64_MAX && least >= PIECE) {
            /* Who waits for the least indebted one that has a backlog waits for the difference only. */
            forgive(share, list, each > least ? each : least);
            share->least -= least;
        } else if (share->earned >= PIECE) {
            forgive(share, list, each);
        }
    }
    share->charged = 0;
}
