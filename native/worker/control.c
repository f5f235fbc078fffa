/* Who may change the configuration: the control lock. */
#include <time.h>

#include "pipeline/pipeline.h"
#include "worker/state.h"

/* Rounds of chores after which the lock is given back even if more came: who brings more tries the lock itself. */
#define CHORE_ROUNDS_MAX 16

/* How long a translation that must know whether it may learn waits for the lock: so large a batch of flow_mods it sits out.
 * Who closes a port holds the lock and waits for the workers, so this is also the longest that the two hold each other up. */
#define PATIENCE_MS 100

/* Gives the lock back when no chore is left; one that came between the last look and the end may be for nobody else. */
static void
give_back(struct sluice_datapath *datapath, _Bool as_reader)
{
    for (int i = 0; i < CHORE_ROUNDS_MAX; i++) {
        pipeline_do_chores(datapath->pipeline, datapath_now(datapath));
        if (as_reader) {
            epoch_offline(datapath->control_reader);
        }
        pthread_mutex_unlock(&datapath->control);
        if (!pipeline_has_chores(datapath->pipeline) || pthread_mutex_trylock(&datapath->control) != 0) {
            return;
        }
        if (as_reader) {
            epoch_online(datapath->control_reader);
        }
    }
    if (as_reader) {
        epoch_offline(datapath->control_reader);
    }
    pthread_mutex_unlock(&datapath->control);
}

void
datapath_lock(struct sluice_datapath *datapath)
{
    pthread_mutex_lock(&datapath->control);
    epoch_online(datapath->control_reader);
}

void
datapath_unlock(struct sluice_datapath *datapath)
{
    give_back(datapath, 1);
}

void
hook_chore_waits(void *aux)
{
    struct sluice_datapath *datapath = aux;

    if (pthread_mutex_trylock(&datapath->control) == 0) {
        give_back(datapath, 0);
    }
}

_Bool
hook_control_enter(void *aux)
{
    struct sluice_datapath *datapath = aux;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += PATIENCE_MS * 1000000l;
    until.tv_sec += until.tv_nsec / 1000000000l;
    until.tv_nsec %= 1000000000l;
    return pthread_mutex_timedlock(&datapath->control, &until) == 0;
}

void
hook_control_leave(void *aux)
{
    give_back(aux, 0);
}
