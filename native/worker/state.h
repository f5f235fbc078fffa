/* What a datapath is made of: shared by the files of this room and by nobody else.
 *
 * Locks and threads.  'control' excludes the control thread's submit and query and the maintenance thread; whoever holds it
 * is the epoch's reader 'control_reader' meanwhile.  Workers never wait for it: they take it when it is free
 * and leave what they want to be done (pipeline/chore.h) to its holder when not.  What workers read is published with
 * atomic stores and freed after a grace period of 'epoch'. */
#ifndef WORKER_STATE_H
#define WORKER_STATE_H 1

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

#include "classifier/epoch.h"
#include "port/link.h"
#include "port/port.h"
#include "sluice/datapath.h"
#include "tunnel/header.h"
#include "worker/keepalive_sender.h"
#include "worker/miss_share.h"
#include "worker/perf.h"
#include "worker/ring.h"
#include "worker/shortcut.h"
#include "worker/worker.h"

#define DATAPATH_WORKERS_MAX 64u
#define DATAPATH_PORTS_MAX 65536u

struct pipeline;
struct policer;
struct shaper;

/* Packets that came by a port and were dropped, by drop_reason. */
#define DROP_REASONS 64u
struct drop_counts {
    _Atomic uint64_t n[DROP_REASONS];
};

/* In place of a worker's number: nobody. */
#define WORKER_NONE UINT32_MAX

/* A receive queue of an open port.  Freed with its port, after a grace period.
 *
 * It moves in two steps, between which a grace period passes: in the first nobody polls it. */
struct rx_queue {
    struct dp_port *entry;
    struct port *port;
    uint32_t queue;
    uint32_t worker;  /* Who polls it, or WORKER_NONE.  The control thread's. */
    uint32_t wanted;  /* Who shall poll it. */
    int fd;           /* What to wait for, or -1. */
    _Bool is_watched; /* 'fd' is in the epoll set.  The control thread's. */
    uint32_t n_empty; /* Polls in a row that found nothing.  The worker's. */
    _Bool is_hot;     /* In the worker's hot list.  The worker's. */
    struct miss_debt debt;
    _Atomic uint64_t cycles; /* That its packets took.  Written by the worker. */
    struct shortcut shortcut;
};

/* An open port. */
struct dp_port {
    struct port *port;
    uint32_t n_rxq;    /* Receive queues that the port had when it was last looked at. */
    uint32_t n_queues; /* Elements of 'queues' in use: as many as the port ever had. */
    struct rx_queue queues[PORT_QUEUES_MAX];
    struct drop_counts drops;
    struct {
        uint64_t n_misses, n_held; /* At the last look. */
        uint64_t looked_ms;
        uint64_t told_ms;              /* When an event told of it; 0: never. */
    } flood;                           /* The maintenance thread's. */
    _Atomic(struct policer *) policer; /* Null: the port is not policed. */
    struct shaper *shaper;             /* Null: what it sends is not limited.  With the control lock. */
    struct dp_port *next_closing;
};

struct port_table {
    _Atomic(struct dp_port *) *ports; /* DATAPATH_PORTS_MAX of them, by number. */
    struct dp_port *closing;          /* Unlinked, to be closed after the next grace period. */
    struct limbo limbo;               /* Old queue lists. */
    uint32_t n_ports;
    uint64_t version; /* Of the workers' queue lists. */
    _Bool is_dirty;   /* The workers' queue lists are out of date. */
    struct port_counters counters;
    struct port_host host;
    /* Of ports that are gone. */
    uint64_t closed_drops[PORT_DROPS];
    uint64_t closed_segments;
};

/* How workers pause and what they measure. */
struct polling {
    _Atomic uint32_t pause_us_max;
    _Atomic uint32_t flags; /* SLUICE_POLLING_FLAG_* */
    uint64_t walls[PERF_HISTOGRAMS * PERF_BINS];
    uint64_t base_cycles; /* When the datapath was made, and when that was. */
    uint64_t base_ns;
    cpu_set_t cpus; /* Where the process could run then. */
};

struct datapath_clock {
    _Atomic uint32_t is_frozen;
    _Atomic uint64_t frozen_ms;
    _Atomic uint64_t ahead_ms; /* Of real time, when the clock runs. */
};

struct sluice_datapath {
    struct ring ring;
    pthread_mutex_t control;
    struct epoch *epoch;
    struct epoch_reader *control_reader;
    struct pipeline *pipeline;
    struct datapath_clock clock;
    struct port_table ports;
    uint32_t n_threads; /* Worker threads; 0 in manual mode. */
    uint32_t n_shared;  /* Workers that poll what nobody placed: the first, at least 1. */
    /* Elements of 'workers'.  It grows, and an element is there before it is counted, so that any thread may look. */
    _Atomic uint32_t n_workers;
    struct worker *workers[DATAPATH_WORKERS_MAX];
    struct polling polling;
    struct worker *control_worker; /* Executes packet-outs, under 'control'. */
    struct keepalive_sender keepalive;
    _Atomic uint32_t sequences[TUNNEL_SEQUENCES]; /* Of tunnels that number their packets. */
    uint32_t flow_limit;
    uint32_t max_idle_ms;
    _Atomic uint32_t settings_flags; /* SLUICE_SETTINGS_FLAG_* */
    uint64_t next_maintenance_ms;    /* When pipeline timers are due. */
    uint64_t next_sweep_ms;          /* By the real clock or the frozen one, as now() says. */
    _Bool reports_wait;              /* Reports on rules were announced and not yet asked for. */
    _Bool reports_unsaid;            /* They could not be announced: the ring was full. */
    struct link_monitor monitor;
    pthread_t maintenance;
    _Bool has_maintenance;
    int stop_fd; /* Readable: the maintenance thread ends, or has something to do. */
    _Atomic uint32_t is_stopping;
};

/* clock.c */
uint64_t datapath_now(const struct sluice_datapath *datapath);
uint64_t real_now_ms(void);

/* The same clock in microseconds, for meters. */
uint64_t datapath_now_us(const struct sluice_datapath *datapath);
uint64_t real_now_ns(void);

/* control.c */

/* Takes and gives back the control lock, and with it the role of 'control_reader'.  What waits to be done with the lock
 * (pipeline_do_chores) is done before it is given back. */
void datapath_lock(struct sluice_datapath *datapath);
void datapath_unlock(struct sluice_datapath *datapath);

/* What the pipeline's hooks do, for a thread that is a reader of the epoch itself; 'aux' is the datapath. */
void hook_chore_waits(void *aux);
_Bool hook_control_enter(void *aux);
void hook_control_leave(void *aux);

/* port_table.c: the ports by number.  All but port_table_get() with the control lock. */
int port_table_init(struct sluice_datapath *datapath);
void port_table_uninit(struct sluice_datapath *datapath);
int port_table_open(struct sluice_datapath *datapath, uint32_t port_class, const struct port_options *options,
                    uint32_t *ifindex);
int port_table_close(struct sluice_datapath *datapath, uint32_t number);

/* The port may have other receive queues than before: those that are new are polled from now on, those that are gone are
 * not any more. */
void port_table_follow(struct sluice_datapath *datapath, uint32_t number);

/* Has 'worker' poll the queue from the next publication on.  ENOENT: no such port or queue. */
int port_table_place(struct sluice_datapath *datapath, uint32_t number, uint32_t queue, uint32_t worker);

/* Hands the workers their queues if those changed, and closes what was unlinked. */
void port_table_publish(struct sluice_datapath *datapath);

/* Polices what the port receives, or no more.  ENOENT or ENOMEM. */
int port_table_police(struct sluice_datapath *datapath, const struct sluice_port_police *command);

/* Limits what a port sends.  ENOENT, ENOMEM or 0. */
int port_table_shape(struct sluice_datapath *datapath, const struct sluice_port_shape *command);

/* The shaper of a port, or null. */
struct shaper *port_table_shaper(const struct sluice_datapath *datapath, uint32_t number);

/* The port, or null.  Under the control lock, or as a reader of the epoch. */
static inline struct port *
port_table_get(const struct sluice_datapath *datapath, uint32_t number)
{
    struct dp_port *entry =
        number < DATAPATH_PORTS_MAX ? atomic_load_explicit(&datapath->ports.ports[number], memory_order_acquire) : NULL;

    return entry == NULL ? NULL : entry->port;
}

/* The number of the port whose device has 'ifindex', or 0.  With the control lock. */
uint32_t port_table_find_ifindex(const struct sluice_datapath *datapath, uint32_t ifindex);

/* batch.c: checks and applies a batch.  With the control lock. */
int batch_apply(struct sluice_datapath *datapath, const void *batch, size_t size, struct sluice_result *results,
                size_t n_results);

/* placement.c: the commands about workers.  With the control lock.  They return errno values. */
void polling_init(struct polling *polling);
int placement_set_worker(struct sluice_datapath *datapath, const struct sluice_worker_set *set);
int placement_set_polling(struct sluice_datapath *datapath, const struct sluice_polling_set *set);

/* Cycles in a second, as far as is known by now. */
uint64_t polling_hz(const struct polling *polling);

/* query.c: answers a query that is not the pipeline's.  With the control lock. */
int query_answer(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply, size_t reply_size,
                 size_t *used);

/* maintain.c */

/* Runs timers that are due and tells what is to be told.  With the control lock. */
void maintain(struct sluice_datapath *datapath, _Bool now_due);

/* Brings all caches level with the configuration, as happens by itself every half second.  With the control lock. */
void maintain_sweep(struct sluice_datapath *datapath);

/* Pushes the statistics of all megaflows to their rules.  With the control lock. */
void maintain_push(struct sluice_datapath *datapath);

/* The part of it that may be done within a transaction: what megaflows have counted goes to rules and buckets. */
void maintain_push_caches(struct sluice_datapath *datapath);

/* Announces that removed rules wait.  With the control lock. */
void maintain_tell_reports(struct sluice_datapath *datapath);

int maintain_start(struct sluice_datapath *datapath);
void maintain_stop(struct sluice_datapath *datapath);

#endif
