#include "pipeline/chore.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "classifier/flow_store.h"
#include "pipeline/learn.h"
#include "pipeline/netflow.h"
#include "pipeline/pipeline_state.h"

int
chores_init(struct chores *chores)
{
    chores->ring = malloc(CHORES_MAX * sizeof *chores->ring);
    if (!chores->ring) {
        return ENOMEM;
    }
    pthread_mutex_init(&chores->mutex, NULL);
    atomic_init(&chores->n, 0);
    chores->head = 0;
    return 0;
}

static void
release(const struct chore *chore)
{
    learned_unref(chore->learned);
    rule_unref(chore->rule);
}

/* Takes the oldest chore, with its references.  False if there is none. */
static bool
take(struct chores *chores, struct chore *chore)
{
    pthread_mutex_lock(&chores->mutex);
    uint32_t n = atomic_load_explicit(&chores->n, memory_order_relaxed);
    if (n) {
        *chore = chores->ring[chores->head];
        chores->head = (chores->head + 1) % CHORES_MAX;
        atomic_store(&chores->n, n - 1);
    }
    pthread_mutex_unlock(&chores->mutex);
    return n;
}

void
chores_uninit(struct chores *chores)
{
    struct chore chore;
    if (!chores->ring) {
        return;
    }
    while (take(chores, &chore)) {
        release(&chore);
    }
    free(chores->ring);
    pthread_mutex_destroy(&chores->mutex);
}

void
chore_put(struct pipeline *pipeline, const struct chore *chore)
{
    struct chores *chores = &pipeline->chores;
    /* A flow that waits already need not wait twice. */
    if (chore->learned && atomic_exchange(&chore->learned->waits, true)) {
        return;
    }
    pthread_mutex_lock(&chores->mutex);
    uint32_t n = atomic_load_explicit(&chores->n, memory_order_relaxed);
    bool fits = n < CHORES_MAX;
    if (fits) {
        if (chore->learned) {
            learned_ref(chore->learned);
        }
        if (chore->rule) {
            rule_ref(chore->rule);
        }
        chores->ring[(chores->head + n) % CHORES_MAX] = *chore;
        /* Sequentially consistent: who lets the control lock go looks at this afterwards, and who puts a chore tries
         * the lock afterwards, so that one of them sees the other. */
        atomic_store(&chores->n, n + 1);
    }
    pthread_mutex_unlock(&chores->mutex);
    if (!fits) {
        if (chore->learned) {
            atomic_store(&chore->learned->waits, false);
        }
        pipeline_cover(pipeline, SLUICE_COVERAGE_CHORE_LOST);
    }
}

static void
do_chore(struct pipeline *pipeline, const struct chore *chore, uint64_t now_ms)
{
    if (chore->learned) {
        atomic_store(&chore->learned->waits, false);
        learned_install(pipeline, chore->learned, now_ms);
        return;
    }
    const struct bridge_view *view = pipeline_view(pipeline, chore->bridge);
    if (view) {
        flow_store_reduce_timeouts(view->bridge->flows, chore->rule, chore->idle_s, chore->hard_s);
    }
}

bool
pipeline_has_chores(const struct pipeline *pipeline)
{
    return atomic_load(&((struct pipeline *) pipeline)->chores.n) || atomic_load(&pipeline->netflow_waits);
}

/* Tells the records that wait. */
static void
deliver_netflow(struct pipeline *pipeline, uint64_t now_ms)
{
    if (!atomic_exchange(&pipeline->netflow_waits, false)) {
        return;
    }
    for (uint32_t id = 0; id < pipeline->n_slots; id++) {
        const struct bridge_view *view = pipeline_view(pipeline, id);
        if (view && view->netflow_timeout_s) {
            netflow_deliver(view->bridge->netflow, now_ms);
        }
    }
}

void
pipeline_do_chores(struct pipeline *pipeline, uint64_t now_ms)
{
    struct chore chore;
    if (!pipeline_has_chores(pipeline)) {
        return;
    }
    assert(!pipeline->transaction.open);
    deliver_netflow(pipeline, now_ms);
    pipeline_begin(pipeline, true);
    /* As many as may wait: others that come meanwhile may be done by whoever comes next. */
    for (uint32_t i = 0; i < CHORES_MAX && take(&pipeline->chores, &chore); i++) {
        do_chore(pipeline, &chore, now_ms);
        release(&chore);
    }
    if (pipeline->transaction.n_touched) {
        pipeline_commit(pipeline);
    } else {
        pipeline_rollback(pipeline);
    }
}
