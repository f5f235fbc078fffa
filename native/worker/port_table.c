/* Ports by number, and which worker polls which of their queues. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "pipeline/pipeline.h"
#include "worker/policer.h"
#include "worker/shaper.h"
#include "worker/state.h"

/* Threads that close ports at once. */
#define CLOSE_THREADS_MAX 32u

static _Bool
host_frame(void *aux, uint32_t dp_port, const uint8_t *frame, uint32_t size)
{
    struct sluice_datapath *datapath = aux;
    struct sluice_event_port_frame event = {
        .type = SLUICE_EVENT_PORT_FRAME,
        .dp_port = dp_port,
        .packet_size = size,
    };
    const struct ring_part parts[] = { { &event, sizeof event }, { frame, size } };

    return ring_put(&datapath->ring, dp_port, (struct sluice_record *) &event, parts, 2);
}

static void
host_changed(void *aux, uint32_t dp_port, int error)
{
    struct sluice_datapath *datapath = aux;
    const struct port *port = port_table_get(datapath, dp_port);
    struct sluice_event_port event = {
        .type = SLUICE_EVENT_PORT_CHANGED,
        .dp_port = dp_port,
        .ifindex = port == NULL ? 0 : port->ifindex,
        .system_error = (uint32_t) error,
    };
    const struct ring_part part = { &event, sizeof event };

    ring_put(&datapath->ring, 0, (struct sluice_record *) &event, &part, 1);
}

static void
host_readable(void *aux, uint32_t dp_port)
{
    struct sluice_datapath *datapath = aux;

    (void) dp_port;
    if (datapath->n_threads != 0) {
        uint32_t n = atomic_load(&datapath->n_workers);
        for (uint32_t i = 0; i < n; i++) {
            worker_wake(datapath->workers[i]);
        }
    }
}

int
port_table_init(struct sluice_datapath *datapath)
{
    struct port_table *table = &datapath->ports;

    table->ports = calloc(DATAPATH_PORTS_MAX, sizeof *table->ports);
    table->host = (struct port_host){ host_frame, host_changed, host_readable, datapath, &table->counters };
    limbo_init(&table->limbo, datapath->epoch);
    return table->ports == NULL ? ENOMEM : 0;
}

/* Ports being closed by several threads: each takes the next one. */
struct closing {
    pthread_mutex_t lock;
    struct dp_port *next;
};

static void *
close_some(void *aux)
{
    struct closing *closing = aux;

    for (;;) {
        pthread_mutex_lock(&closing->lock);
        struct dp_port *entry = closing->next;
        closing->next = entry == NULL ? NULL : entry->next_closing;
        pthread_mutex_unlock(&closing->lock);
        if (entry == NULL) {
            return NULL;
        }
        port_close(entry->port);
        policer_destroy(entry->policer);
        shaper_destroy(entry->shaper);
        free(entry);
    }
}

/* What a port dropped that is closed counts as nobody's from now on. */
static void
keep_drops(struct sluice_datapath *datapath, const struct dp_port *entry)
{
    for (uint32_t reason = 0; reason < DROP_REASONS; reason++) {
        uint64_t n = atomic_load_explicit(&entry->drops.n[reason], memory_order_relaxed);
        if (n != 0) {
            pipeline_count_drop(datapath->pipeline, reason, n);
        }
    }
    for (uint32_t reason = 0; reason < PORT_DROPS; reason++) {
        datapath->ports.closed_drops[reason] += port_n_dropped(entry->port, reason);
    }
    datapath->ports.closed_segments += port_n_segments(entry->port);
}

/* Closes what was unlinked.  The kernel makes each close of a socket or tap wait for milliseconds, but lets them wait
 * together; so many ports are closed by several threads, for as long as that takes. */
static void
close_unlinked(struct sluice_datapath *datapath)
{
    struct port_table *table = &datapath->ports;
    struct closing closing = { .lock = PTHREAD_MUTEX_INITIALIZER, .next = table->closing };
    pthread_t threads[CLOSE_THREADS_MAX];
    uint32_t n_threads = 0;
    uint32_t n_slow = 0;

    for (const struct dp_port *entry = table->closing; entry != NULL; entry = entry->next_closing) {
        n_slow += entry->queues[0].fd >= 0;
        keep_drops(datapath, entry);
    }
    table->closing = NULL;
    while (n_threads < CLOSE_THREADS_MAX && n_threads + 1 < n_slow
           && pthread_create(&threads[n_threads], NULL, close_some, &closing) == 0) {
        n_threads++;
    }
    close_some(&closing);
    for (uint32_t i = 0; i < n_threads; i++) {
        pthread_join(threads[i], NULL);
    }
}

void
port_table_uninit(struct sluice_datapath *datapath)
{
    struct port_table *table = &datapath->ports;

    if (table->ports == NULL) {
        return;
    }
    for (uint32_t i = 0; i < DATAPATH_PORTS_MAX; i++) {
        struct dp_port *entry = atomic_load_explicit(&table->ports[i], memory_order_relaxed);
        if (entry != NULL) {
            entry->next_closing = table->closing;
            table->closing = entry;
        }
    }
    close_unlinked(datapath);
    limbo_uninit(&table->limbo);
    free(table->ports);
}

/* The shared worker with the fewest queues, counting those that were chosen already. */
static uint32_t
choose_worker(const struct sluice_datapath *datapath, uint32_t *loads)
{
    uint32_t best = 0;

    for (uint32_t i = 1; i < datapath->n_shared; i++) {
        if (loads[i] < loads[best]) {
            best = i;
        }
    }
    loads[best]++;
    return best;
}

/* Places the queues that nobody polls. */
static void
place_queues(struct sluice_datapath *datapath, struct dp_port *entry)
{
    uint32_t loads[DATAPATH_WORKERS_MAX] = { 0 };

    for (uint32_t n = 0, i = 0; n < datapath->ports.n_ports && i < DATAPATH_PORTS_MAX; i++) {
        const struct dp_port *other = atomic_load_explicit(&datapath->ports.ports[i], memory_order_relaxed);
        if (other != NULL) {
            n++;
            for (uint32_t q = 0; q < other->n_queues; q++) {
                if (other->queues[q].wanted != WORKER_NONE) {
                    loads[other->queues[q].wanted]++;
                }
            }
        }
    }
    for (uint32_t q = 0; q < entry->port->n_rxq; q++) {
        struct rx_queue *queue = &entry->queues[q];
        if (q < entry->n_queues && queue->wanted != WORKER_NONE) {
            continue;
        }
        queue->entry = entry;
        queue->port = entry->port;
        queue->queue = q;
        queue->wanted = choose_worker(datapath, loads);
        /* One that comes back may still be in a list from which it was to go. */
        queue->worker = q < entry->n_queues ? WORKER_NONE : queue->wanted;
        queue->fd = port_wait_fd(entry->port, q);
        if (queue->fd < 0) {
            queue->fd = -1;
        }
    }
    if (entry->n_queues < entry->port->n_rxq) {
        entry->n_queues = entry->port->n_rxq;
    }
}

int
port_table_open(struct sluice_datapath *datapath, uint32_t port_class, const struct port_options *options,
                uint32_t *ifindex)
{
    struct port_table *table = &datapath->ports;

    if (table->closing != NULL) {
        /* The device may be one of those that are to be closed. */
        port_table_publish(datapath);
    }
    struct dp_port *entry = calloc(1, sizeof *entry);
    if (entry == NULL) {
        return ENOMEM;
    }
    int error = port_open(port_class, options, &entry->port);
    if (error != 0) {
        free(entry);
        return error;
    }
    place_queues(datapath, entry);
    entry->n_rxq = entry->port->n_rxq;
    entry->flood.looked_ms = datapath_now(datapath);
    atomic_store_explicit(&table->ports[options->dp_port], entry, memory_order_release);
    table->n_ports++;
    table->is_dirty = 1;
    *ifindex = entry->port->ifindex;
    return 0;
}

/* From now on no worker learns from its descriptors that the queue has something. */
static void
unwatch(const struct sluice_datapath *datapath, struct rx_queue *queue)
{
    if (queue->is_watched) {
        epoll_ctl(datapath->workers[queue->worker]->epoll_fd, EPOLL_CTL_DEL, queue->fd, NULL);
        queue->is_watched = 0;
    }
}

int
port_table_close(struct sluice_datapath *datapath, uint32_t number)
{
    struct port_table *table = &datapath->ports;
    struct dp_port *entry =
        number < DATAPATH_PORTS_MAX ? atomic_load_explicit(&table->ports[number], memory_order_relaxed) : NULL;

    if (entry == NULL) {
        return ENOENT;
    }
    for (uint32_t q = 0; q < entry->n_queues; q++) {
        unwatch(datapath, &entry->queues[q]);
    }
    atomic_store_explicit(&table->ports[number], NULL, memory_order_release);
    entry->next_closing = table->closing;
    table->closing = entry;
    table->n_ports--;
    table->is_dirty = 1;
    return 0;
}

/* A new list of the queues that 'worker' polls, or null. */
static struct queue_list *
make_list(const struct sluice_datapath *datapath, uint32_t worker)
{
    uint32_t n = 0;
    struct queue_list *list = NULL;

    for (int pass = 0; pass < 2; pass++) {
        n = 0;
        for (uint32_t seen = 0, i = 0; seen < datapath->ports.n_ports && i < DATAPATH_PORTS_MAX; i++) {
            struct dp_port *entry = atomic_load_explicit(&datapath->ports.ports[i], memory_order_relaxed);
            if (entry == NULL) {
                continue;
            }
            seen++;
            for (uint32_t q = 0; q < entry->n_queues; q++) {
                if (entry->queues[q].worker == worker) {
                    if (pass == 1) {
                        list->queues[n] = &entry->queues[q];
                    }
                    n++;
                }
            }
        }
        if (pass == 0) {
            list = malloc(sizeof *list + n * sizeof list->queues[0]);
            if (list == NULL) {
                return NULL;
            }
            list->n = n;
            list->version = datapath->ports.version;
        }
    }
    return list;
}

/* Watches the descriptors of the list.  Those that are watched already say EEXIST, which is fine. */
static void
watch_list(const struct worker *worker, const struct queue_list *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        struct rx_queue *queue = list->queues[i];
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = queue };
        if (queue->fd >= 0 && !queue->is_watched) {
            epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, queue->fd, &event);
            queue->is_watched = 1;
        }
    }
}

void
port_table_follow(struct sluice_datapath *datapath, uint32_t number)
{
    struct port_table *table = &datapath->ports;
    struct dp_port *entry = atomic_load_explicit(&table->ports[number], memory_order_relaxed);
    uint32_t n_rxq = entry->port->n_rxq;

    if (n_rxq != entry->n_rxq) {
        for (uint32_t q = n_rxq; q < entry->n_queues; q++) {
            entry->queues[q].wanted = WORKER_NONE;
        }
        place_queues(datapath, entry);
        entry->n_rxq = n_rxq;
        table->is_dirty = 1;
        port_table_publish(datapath);
    }
}

int
port_table_place(struct sluice_datapath *datapath, uint32_t number, uint32_t queue, uint32_t worker)
{
    struct port_table *table = &datapath->ports;
    struct dp_port *entry =
        number < DATAPATH_PORTS_MAX ? atomic_load_explicit(&table->ports[number], memory_order_relaxed) : NULL;

    if (entry == NULL || queue >= entry->port->n_rxq) {
        return ENOENT;
    }
    if (worker != WORKER_NONE && worker >= datapath->n_workers) {
        return EINVAL;
    }
    entry->queues[queue].wanted = worker;
    table->is_dirty |= entry->queues[queue].worker != worker;
    return 0;
}

/* Hands each worker a list of its queues.  False without memory for a list: the worker's old one may name closed ports and
 * queues that moved. */
static _Bool
hand_out(struct sluice_datapath *datapath)
{
    struct port_table *table = &datapath->ports;

    table->version++;
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        struct worker *worker = datapath->workers[i];
        struct queue_list *list = make_list(datapath, i);
        if (list == NULL) {
            return 0;
        }
        limbo_put(&table->limbo, free, atomic_exchange(&worker->queues, list));
        if (datapath->n_threads != 0) {
            watch_list(worker, list);
            worker_wake(worker);
        }
    }
    return 1;
}

/* Waits until no worker looks at lists that were replaced. */
static void
wait_for_workers(struct sluice_datapath *datapath)
{
    epoch_offline(datapath->control_reader);
    epoch_synchronize(datapath->epoch);
    epoch_online(datapath->control_reader);
}

/* Takes the queues that move from those who poll them.  Returns how many move. */
static uint32_t
take_moving(struct sluice_datapath *datapath)
{
    uint32_t n = 0;

    for (uint32_t seen = 0, i = 0; seen < datapath->ports.n_ports && i < DATAPATH_PORTS_MAX; i++) {
        struct dp_port *entry = atomic_load_explicit(&datapath->ports.ports[i], memory_order_relaxed);
        if (entry == NULL) {
            continue;
        }
        seen++;
        for (uint32_t q = 0; q < entry->n_queues; q++) {
            struct rx_queue *queue = &entry->queues[q];
            if (queue->worker != queue->wanted) {
                /* Before the lists are: a worker with a list without the queue hears nothing of it. */
                unwatch(datapath, queue);
                queue->worker = WORKER_NONE;
                n++;
            }
        }
    }
    return n;
}

static void
give_moving(struct sluice_datapath *datapath)
{
    for (uint32_t seen = 0, i = 0; seen < datapath->ports.n_ports && i < DATAPATH_PORTS_MAX; i++) {
        struct dp_port *entry = atomic_load_explicit(&datapath->ports.ports[i], memory_order_relaxed);
        if (entry != NULL) {
            seen++;
            for (uint32_t q = 0; q < entry->n_queues; q++) {
                entry->queues[q].worker = entry->queues[q].wanted;
            }
        }
    }
}

void
port_table_publish(struct sluice_datapath *datapath)
{
    struct port_table *table = &datapath->ports;

    if (!table->is_dirty) {
        return;
    }
    _Bool moves = take_moving(datapath) != 0;
    if (!hand_out(datapath)) {
        return;
    }
    if (moves || table->closing != NULL) {
        wait_for_workers(datapath);
        close_unlinked(datapath);
    }
    if (moves) {
        give_moving(datapath);
        if (!hand_out(datapath)) {
            return;
        }
    }
    table->is_dirty = 0;
    limbo_reclaim(&table->limbo);
}

int
port_table_police(struct sluice_datapath *datapath, const struct sluice_port_police *command)
{
    struct dp_port *entry = command->dp_port < DATAPATH_PORTS_MAX
                                ? atomic_load_explicit(&datapath->ports.ports[command->dp_port], memory_order_relaxed)
                                : NULL;
    struct policer *policer;

    if (entry == NULL) {
        return ENOENT;
    }
    int error = policer_create(command, datapath_now_us(datapath), &policer);
    if (error == 0) {
        struct policer *old = atomic_exchange(&entry->policer, policer);
        if (old != NULL) {
            limbo_put(&datapath->ports.limbo, policer_destroy, old);
        }
    }
    return error;
}

int
port_table_shape(struct sluice_datapath *datapath, const struct sluice_port_shape *command)
{
    struct dp_port *entry = command->dp_port < DATAPATH_PORTS_MAX
                                ? atomic_load_explicit(&datapath->ports.ports[command->dp_port], memory_order_relaxed)
                                : NULL;
    struct shaper *shaper;

    if (entry == NULL) {
        return ENOENT;
    }
    int error = shaper_create(command, datapath, &shaper);
    if (error == 0) {
        struct shaper *old = entry->shaper;
        entry->shaper = shaper;
        atomic_store_explicit(&entry->port->gate, shaper_gate(shaper), memory_order_release);
        if (old != NULL) {
            limbo_put(&datapath->ports.limbo, shaper_destroy, old);
        }
    }
    return error;
}

struct shaper *
port_table_shaper(const struct sluice_datapath *datapath, uint32_t number)
{
    const struct dp_port *entry =
        number < DATAPATH_PORTS_MAX ? atomic_load_explicit(&datapath->ports.ports[number], memory_order_relaxed) : NULL;

    return entry == NULL ? NULL : entry->shaper;
}

uint32_t
port_table_find_ifindex(const struct sluice_datapath *datapath, uint32_t ifindex)
{
    for (uint32_t seen = 0, i = 0; seen < datapath->ports.n_ports && i < DATAPATH_PORTS_MAX; i++) {
        const struct dp_port *entry = atomic_load_explicit(&datapath->ports.ports[i], memory_order_relaxed);
        if (entry != NULL) {
            seen++;
            if (entry->port->ifindex == ifindex) {
                return i;
            }
        }
    }
    return 0;
}
