/* Chores: changes of rules that traffic asks for, which only the holder of the control lock may make.
 *
 * A translation that learns, and statistics that tell of a learned flow's use or of the end of a TCP connection, put a
 * chore and go on; nobody waits.  Whoever holds the control lock does the chores before letting it go, so that one put
 * while it is held is done soon, and one put while it is free can be done at once by the thread that put it.
 *
 * The queue is bounded.  A chore for which there is no room is counted and forgotten: what asked for it will ask again
 * with the next statistics. */
#ifndef SLUICE_PIPELINE_CHORE_H
#define SLUICE_PIPELINE_CHORE_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "classifier/rule.h"

struct learned;
struct pipeline;

#define CHORES_MAX 4096u

/* Either 'learned' is to be installed, or the timeouts of 'rule' are to be cut short. */
struct chore {
    struct learned *learned;
    const struct rule *rule;
    uint32_t bridge; /* Of 'rule'. */
    uint16_t idle_s;
    uint16_t hard_s;
};

struct chores {
    pthread_mutex_t mutex; /* Guards the ring; held for a copy only. */
    _Atomic uint32_t n;
    uint32_t head;
    struct chore *ring; /* CHORES_MAX elements. */
};

/* 0 or ENOMEM. */
int chores_init(struct chores *chores);

/* Forgets the chores that are left. */
void chores_uninit(struct chores *chores);

/* Puts a chore, taking references of its own.  Any thread. */
void chore_put(struct pipeline *pipeline, const struct chore *chore);

#endif
