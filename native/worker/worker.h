/* A worker: polls receive queues, looks packets up, translates misses, executes actions and transmits.
 *
 * With threads each worker has one of its own; without, the control thread runs worker 0.  One more worker without
 * queues serves the control thread's packet-outs. */
#ifndef WORKER_WORKER_H
#define WORKER_WORKER_H 1

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "actions/execute.h"
#include "packet/packet.h"
#include "pipeline/xlate.h"
#include "sluice/datapath.h"
#include "sluice/flow_key.h"
#include "worker/megaflow.h"
#include "worker/miss_share.h"

struct epoch_reader;
struct flow_cache;
struct drop_counts;
struct rx_queue;
struct worker_perf;

/* Ports that one turn collects packets for before it must send some. */
#define WORKER_OUTPUTS_MAX 16u

/* Times that a packet may come back to be looked up again. */
#define WORKER_RECIRCULATIONS_MAX 8u

/* The queues that a worker polls.  Immutable, but for what their elements say is the worker's. */
struct queue_list {
    uint64_t version; /* Differs for each list; 0 for the first, empty one. */
    uint32_t n;
    struct rx_queue *queues[];
};

/* Packets on their way to a port. */
struct worker_output {
    uint32_t dp_port;
    struct packet_batch batch;
};

struct worker_counters {
    _Atomic uint64_t n_polls;
    _Atomic uint64_t n_idle_polls;
    _Atomic uint64_t n_sleeps;
    _Atomic uint64_t n_packets;
    _Atomic uint64_t n_batches;
    _Atomic uint64_t n_recirculated;
    _Atomic uint64_t n_misses;
    _Atomic uint64_t n_held; /* Packets dropped because rules were being restored. */
    _Atomic uint64_t n_tx_packets;
    _Atomic uint64_t n_tx_batches;
    _Atomic uint64_t busy_cycles;
    _Atomic uint64_t idle_cycles;
    _Atomic uint64_t sleep_cycles;
    _Atomic uint64_t miss_cycles;
};

/* One thread writes each counter. */
static inline void
worker_count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

/* What a burst needs that is being processed: one for packets as received, one for those that came back once, and so
 * on. */
struct worker_level {
    struct flow_key keys[PACKET_BATCH_MAX];
    uint64_t maps[PACKET_BATCH_MAX]; /* Words of 'keys' that may be other than zero. */
    uint64_t now_ms;
    struct xlate_out xlate;
};

struct worker {
    struct sluice_datapath *datapath;
    uint32_t index;
    uint32_t core;               /* What it is told apart by, or WORKER_NONE.  The control thread's, as 'cpu'. */
    uint32_t cpu;                /* That the thread is bound to, or WORKER_NONE. */
    struct epoch_reader *reader; /* Null for the control worker, which is the control reader. */
    struct flow_cache *cache;    /* Null for the control worker. */
    struct packet_pool *pool;
    uint64_t origin[MEGAFLOW_ORIGIN_WORDS]; /* Room to put the origin of a megaflow together. */
    uint64_t now_ms;                        /* The datapath's clock at the burst at hand. */
    uint64_t now_us;

    uint32_t random; /* Chooses samples. */

    struct drop_counts *drops; /* Of the port that the packets at hand came by; null: they came by none. */
    struct action_counts counts;
    _Atomic uint64_t n_injected; /* Packets that came by no port. */

    struct credit_tally tally; /* Of the burst's misses. */

    /* The burst at hand, and those that it became by recirculation. */
    uint32_t depth;
    struct worker_level levels[WORKER_RECIRCULATIONS_MAX + 1];

    /* To be sent before the turn ends. */
    uint32_t n_outputs;
    struct worker_output outputs[WORKER_OUTPUTS_MAX];

    /* Queues. */
    _Atomic(struct queue_list *) queues;
    struct rx_queue **hot; /* Of 'hot_room' elements: descriptor queues that had packets lately. */
    uint32_t n_hot;
    uint32_t n_descriptors; /* Queues with one. */
    uint32_t hot_room;
    uint64_t seen; /* Version of the list that 'hot' was made for. */
    uint64_t then; /* Cycles until which time is accounted for. */

    uint64_t pause_ns;                  /* Of the next pause. */
    _Atomic(struct worker_perf *) perf; /* Null until it was once asked to measure. */
    struct worker_perf *measures;       /* The same while it is asked to. */

    struct miss_share share;
    uint64_t n_probes; /* What flow_cache_n_probes() said after the burst before. */

    /* Sleep. */
    int epoll_fd;
    int wake_fd; /* An eventfd in the epoll set. */
    _Atomic uint32_t is_sleeping;
    _Atomic uint32_t is_stopping;
    pthread_t thread;
    _Bool has_thread;

    struct worker_counters counters;
};

/* Makes a worker; 'is_control' for the one without queues and caches.  ENOMEM or another errno value. */
int worker_create(struct sluice_datapath *datapath, uint32_t index, _Bool is_control, struct worker **worker);

/* Frees the worker, whose thread has stopped.  Null is fine. */
void worker_destroy(struct worker *worker);

/* Starts and stops the thread.  Stop waits for it. */
int worker_start(struct worker *worker);
void worker_stop(struct worker *worker);

/* Wakes the worker if it sleeps.  Any thread. */
void worker_wake(struct worker *worker);

/* Polls every queue once, at most 'max_bursts' bursts.  Returns the packets received.  For workers without thread. */
uint64_t worker_run(struct worker *worker, uint32_t max_bursts, uint32_t *n_bursts);

/* Executes datapath actions on a frame, on behalf of the control thread.  Its datapath port and packet type are those
 * of 'key'. */
void worker_execute(struct worker *worker, const struct flow_key *key, const uint8_t *frame, size_t frame_size,
                    const void *actions, size_t actions_size);

/* Likewise, but nothing is transmitted or looked up again: events for controllers and exporters remain. */
void worker_execute_telling(struct worker *worker, const struct flow_key *key, const uint8_t *frame, size_t frame_size,
                            const void *actions, size_t actions_size);

/* Looks packets up again that carry a recirculation id, and executes what that leads to.  Takes them.  Too deep, they
 * are dropped and counted. */
void worker_recirculate(struct worker *worker, struct packet *const *packets, uint32_t n);

/* Counts packets that were dropped for a drop_reason, for the port that they came by. */
void worker_count_drop(struct worker *worker, uint32_t reason, uint32_t n);

/* output.c: the sink of actions_execute(), and sending what it collected. */
struct action_sink worker_sink(struct worker *worker);
void worker_flush(struct worker *worker);

#endif
