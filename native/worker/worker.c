#include "worker/worker.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "actions/execute.h"
#include "classifier/flow_cache.h"
#include "packet/bytes.h"
#include "packet/parse.h"
#include "pipeline/pipeline.h"
#include "worker/cycles.h"
#include "worker/megaflow.h"
#include "worker/policer.h"
#include "worker/perf.h"
#include "worker/state.h"

/* Polls without a packet after which a queue with a descriptor is only watched. */
#define EMPTY_POLLS_MAX 8u

/* Turns between two looks at the descriptors of quiet queues while others are busy. */
#define TURNS_PER_WATCH 16u
#define EVENTS_MAX 64

/* A pause is so much longer than the one before it, and there is none after so many packets. */
#define PAUSE_STEP_NS 1000u
#define PAUSE_PACKETS 16u
#define TIMER_SLACK_NS 1000u

/* Puts a translation into the cache.  Null if it is not cached; then it keeps its credits. */
static struct megaflow *
cache_translation(struct worker *worker, struct xlate_out *out, const struct flow_key *key, uint64_t now_ms,
                  _Bool *replaced)
{
    struct flow_cache_insertion insertion = { .key = key, .now_ms = now_ms };
    struct megaflow *megaflow = NULL;

    if (worker->cache == NULL || !flow_cache_may_insert(worker->cache, key, now_ms)
        || !megaflow_insertion(worker->datapath, out, worker->origin, &insertion)
        || flow_cache_insert(worker->cache, &insertion, &megaflow, replaced) != 0) {
        return NULL;
    }
    xlate_out_steal_credits(out);
    return megaflow;
}

static uint16_t
tcp_flags_of(const struct flow_key *key)
{
    return key->ip_proto == 6 ? be16(key->tcp_flags) : 0;
}

/* Sends the request for a neighbour that a translation wants sent. */
static void
solicit(struct worker *worker, const struct action_sink *sink, const struct solicitation *solicitation, uint64_t now_ms)
{
    struct xlate_out *out = &worker->levels[worker->depth].xlate;
    struct packet *packet = packet_alloc(worker->pool, solicitation->size);
    struct flow_key key;

    atomic_fetch_add_explicit(&worker->n_injected, 1, memory_order_relaxed);
    if (packet == NULL) {
        sink->drop(sink->aux, SLUICE_DROP_REASON_NO_BUFFER, 1);
        return;
    }
    memcpy(packet->data, solicitation->frame, solicitation->size);
    packet_parse(packet, 0, &key);
    solicitation_xlate(worker->datapath->pipeline, solicitation, now_ms, out);
    actions_execute(sink, &packet, 1, out->actions, out->actions_size);
}

/* Translates a packet that no megaflow covers.  The megaflow, if it is cached now; else the packet was executed.
 * '*is_hit' is set if the megaflow is to count the packet.  While rules are being restored the packet is dropped.
 *
 * As in OVS a megaflow counts the packets that found it, which the one that it was made for did not: that one is counted
 * for its rules here. */
static struct megaflow *
translate(struct worker *worker, const struct action_sink *sink, struct packet *packet, const struct flow_key *key,
          uint64_t now_ms, _Bool *is_hit)
{
    struct pipeline *pipeline = worker->datapath->pipeline;
    const struct xlate_in in = { .key = key, .now_ms = now_ms, .learn = true, .packet = packet };
    struct xlate_out *out = &worker->levels[worker->depth].xlate;

    uint32_t flags = atomic_load_explicit(&worker->datapath->settings_flags, memory_order_relaxed);
    if (flags & SLUICE_SETTINGS_FLAG_HOLD) {
        worker_count(&worker->counters.n_held, 1);
        sink->drop(sink->aux, SLUICE_DROP_REASON_RESTORING, 1);
        packet_release(packet);
        return NULL;
    }
    worker_count(&worker->counters.n_misses, 1);
    megaflow_tell_miss(worker->datapath, packet, key);
    xlate(pipeline, &in, out);
    const struct solicitations solicitations = out->solicitations;
    *is_hit = 0;
    struct megaflow *megaflow = cache_translation(worker, out, key, now_ms, is_hit);
    if (megaflow == NULL) {
        const struct xlate_traffic traffic = { 1, packet->size, now_ms, tcp_flags_of(key), &worker->tally };
        xlate_credit(pipeline, out->credits, out->n_credits, &traffic);
        actions_execute(sink, &packet, 1, out->actions, out->actions_size);
    } else if (!*is_hit) {
        const struct xlate_traffic traffic = { 1, packet->size, now_ms, tcp_flags_of(key), &worker->tally };
        megaflow_credit(worker->datapath, megaflow, &traffic);
    }
    for (uint32_t i = 0; i < solicitations.n; i++) {
        solicit(worker, sink, &solicitations.all[i], now_ms);
    }
    return megaflow;
}

/* The same, when translations are measured. */
static struct megaflow *
translate_measured(struct worker *worker, const struct action_sink *sink, struct packet *packet,
                   const struct flow_key *key, uint64_t now_ms, _Bool *is_hit)
{
    uint64_t begin = cycles();
    struct megaflow *megaflow = translate(worker, sink, packet, key, now_ms, is_hit);

    perf_histogram_add(worker->measures, SLUICE_HISTOGRAM_CYCLES_PER_MISS, cycles() - begin);
    return megaflow;
}

/* Packets of a burst under one megaflow. */
struct group {
    struct megaflow *megaflow;
    uint32_t n;
    uint32_t n_hits; /* Those that the megaflow counts, with their bytes and flags. */
    uint16_t tcp_flags;
    uint64_t n_bytes;
    struct packet *packets[PACKET_BATCH_MAX];
};

/* The groups of a burst in the order in which they began. */
#define GROUP_SLOTS 64u
struct group_list {
    uint32_t n;
    uint8_t slots[GROUP_SLOTS]; /* By megaflow index: a group's number plus one; 0: no group has such an index. */
    struct group groups[PACKET_BATCH_MAX];
};

static struct group *
find_group(struct group_list *list, struct megaflow *megaflow)
{
    uint8_t *slot = &list->slots[megaflow->index % GROUP_SLOTS];

    if (*slot != 0) {
        if (list->groups[*slot - 1].megaflow == megaflow) {
            return &list->groups[*slot - 1];
        }
        for (uint32_t i = list->n; i > 0; i--) {
            if (list->groups[i - 1].megaflow == megaflow) {
                return &list->groups[i - 1];
            }
        }
    }
    struct group *group = &list->groups[list->n++];
    *slot = (uint8_t) list->n;
    group->megaflow = megaflow;
    group->n = 0;
    group->n_hits = 0;
    group->n_bytes = 0;
    group->tcp_flags = 0;
    __builtin_prefetch(megaflow->body);
    __builtin_prefetch(megaflow->body->bytes);
    return group;
}

static void
add_to_group(struct group_list *list, struct megaflow *megaflow, struct packet *packet, const struct flow_key *key,
             _Bool is_hit)
{
    struct group *group = find_group(list, megaflow);

    group->packets[group->n++] = packet;
    if (is_hit) {
        group->n_hits++;
        group->n_bytes += packet->size;
        group->tcp_flags |= tcp_flags_of(key);
    }
}

/* Finds or makes the megaflows of packets that the burst's lookup did not find, and groups all that have one. */
static void
process_missing(struct worker *worker, const struct action_sink *sink, struct packet_batch *batch,
                const struct flow_key *const keys[], struct megaflow *megaflows[], struct group_list *list)
{
    uint64_t change = pipeline_change(worker->datapath->pipeline);
    uint64_t before = worker->share.miss_cycles;
    uint64_t begin = cycles();
    _Bool inserted = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        struct megaflow *megaflow = megaflows[i];
        _Bool is_hit = 1;
        if (megaflow == NULL && inserted) {
            flow_cache_lookup(worker->cache, &keys[i], 1, change, &megaflow);
        }
        if (megaflow == NULL) {
            uint64_t now_ms = worker->levels[worker->depth].now_ms;
            megaflow = worker->measures == NULL
                           ? translate(worker, sink, batch->packets[i], keys[i], now_ms, &is_hit)
                           : translate_measured(worker, sink, batch->packets[i], keys[i], now_ms, &is_hit);
            inserted |= megaflow != NULL;
            worker->share.n_misses++;
        }
        if (megaflow != NULL) {
            add_to_group(list, megaflow, batch->packets[i], keys[i], is_hit);
        }
    }
    credit_tally_flush(&worker->tally);
    /* This takes in what packets cost that were translated, recirculated and missed again. */
    worker->share.miss_cycles = before + (cycles() - begin);
}

/* What a burst of one queue goes through.  Takes the packets.  Returns the megaflow that all of them found, or null. */
static struct megaflow *
process(struct worker *worker, struct packet_batch *batch, uint64_t now_ms)
{
    struct pipeline *pipeline = worker->datapath->pipeline;
    struct worker_level *level = &worker->levels[worker->depth];
    uint32_t all = batch->n < 32 ? (UINT32_C(1) << batch->n) - 1 : UINT32_MAX;
    uint32_t found = 0;
    struct megaflow *megaflows[PACKET_BATCH_MAX];
    const struct flow_key *keys[PACKET_BATCH_MAX];
    struct group_list list;
    struct action_sink sink = worker_sink(worker);

    list.n = 0;
    memset(list.slots, 0, sizeof list.slots);
    packet_parse_burst(batch->packets, batch->n, pipeline_vlan_limit(pipeline), level->keys, level->maps);
    for (uint32_t i = 0; i < batch->n; i++) {
        keys[i] = &level->keys[i];
        megaflows[i] = NULL;
    }
    if (worker->cache != NULL) {
        found = flow_cache_lookup(worker->cache, keys, batch->n, pipeline_change(pipeline), megaflows);
    }
    if (found == all) {
        for (uint32_t i = 0; i < batch->n; i++) {
            add_to_group(&list, megaflows[i], batch->packets[i], keys[i], 1);
        }
    } else {
        level->now_ms = now_ms;
        process_missing(worker, &sink, batch, keys, megaflows, &list);
    }
    for (uint32_t i = 0; i < list.n; i++) {
        struct group *group = &list.groups[i];
        if (group->n_hits != 0) {
            megaflow_hit(group->megaflow, group->n_hits, group->n_bytes, group->tcp_flags, now_ms);
        }
        actions_execute(&sink, group->packets, group->n, megaflow_actions(group->megaflow),
                        megaflow_actions_size(group->megaflow));
    }
    return list.n == 1 && found == all ? list.groups[0].megaflow : NULL;
}

void
worker_recirculate(struct worker *worker, struct packet *const *packets, uint32_t n)
{
    if (worker->depth == WORKER_RECIRCULATIONS_MAX) {
        worker_count_drop(worker, SLUICE_DROP_REASON_RECIRCULATION_TOO_DEEP, n);
        packet_release_burst(packets, n);
        return;
    }
    struct packet_batch batch = { .n = n };
    memcpy(batch.packets, packets, n * sizeof packets[0]);
    worker_count(&worker->counters.n_recirculated, n);
    worker->depth++;
    process(worker, &batch, datapath_now(worker->datapath));
    worker->depth--;
}

/* Drops frames too short for Ethernet. */
static void
drop_runts(struct worker *worker, struct packet_batch *batch)
{
    uint32_t n = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        if (batch->packets[i]->size < 14) {
            worker_count_drop(worker, SLUICE_DROP_REASON_BAD_PACKET, 1);
            packet_release(batch->packets[i]);
        } else {
            batch->packets[n++] = batch->packets[i];
        }
    }
    batch->n = n;
}

/* Receives and processes one burst.  Returns the packets received. */
static uint32_t
poll_queue(struct worker *worker, struct rx_queue *queue)
{
    struct packet_batch batch;
    uint64_t begin = queue->debt.cycles != 0 ? cycles() : 0;
    uint64_t n_probes = worker->n_probes;

    port_rx(queue->port, queue->queue, worker->pool, &batch);
    uint32_t n = batch.n;
    if (n == 0) {
        return 0;
    }
    worker->drops = &queue->entry->drops;
    worker->now_us = datapath_now_us(worker->datapath);
    worker->now_ms = worker->now_us / 1000;
    struct policer *policer = atomic_load_explicit(&queue->entry->policer, memory_order_acquire);
    if (policer != NULL) {
        policer_run(policer, &queue->port->rx[queue->queue], &batch, worker->now_us);
    }
    drop_runts(worker, &batch);
    if (batch.n != 0) {
        if (!shortcut_take(worker, &queue->shortcut, &batch, worker->now_ms)) {
            struct megaflow *only = process(worker, &batch, worker->now_ms);
            if (only != NULL) {
                shortcut_consider(&queue->shortcut, only, &worker->levels[0].keys[0]);
            }
        }
    }
    worker_flush(worker);
    worker_count(&worker->counters.n_batches, 1);
    if (worker->measures != NULL) {
        perf_histogram_add(worker->measures, SLUICE_HISTOGRAM_PACKETS_PER_BATCH, n);
    }
    if (worker->share.n_misses != 0) {
        worker_count(&worker->counters.miss_cycles, worker->share.miss_cycles);
    }
    worker->n_probes = flow_cache_n_probes(worker->cache);
    n_probes = worker->n_probes - n_probes;
    if (worker->share.n_misses != 0 || begin != 0 || n_probes > (uint64_t) n * MISS_SHARE_PROBES) {
        miss_share_charge(&worker->share, &queue->debt, n, n_probes, begin != 0 ? cycles() - begin : 0);
    }
    if (n == PACKET_BATCH_MAX) {
        miss_share_backlog(&worker->share, &queue->debt);
    }
    uint64_t now = cycles();
    worker_count(&queue->cycles, now - worker->then);
    worker->then = now;
    return n;
}

/* Whether the queue is left alone this turn, because others wait and it costs too much. */
static _Bool
hold(struct worker *worker, struct rx_queue *queue)
{
    if (miss_share_holds(&worker->share, &queue->debt)) {
        worker_count(&queue->debt.n_held, 1);
        return 1;
    }
    return 0;
}

uint64_t
worker_run(struct worker *worker, uint32_t max_bursts, uint32_t *n_bursts)
{
    const struct queue_list *list = atomic_load_explicit(&worker->queues, memory_order_acquire);
    uint64_t n_packets = 0;

    epoch_online(worker->reader);
    worker->then = cycles();
    for (uint32_t i = 0; list != NULL && i < list->n && *n_bursts < max_bursts; i++) {
        uint32_t n = poll_queue(worker, list->queues[i]);
        if (n != 0) {
            n_packets += n;
            ++*n_bursts;
        }
    }
    worker_count(&worker->counters.n_packets, n_packets);
    worker_count(&worker->counters.n_polls, 1);
    epoch_offline(worker->reader);
    return n_packets;
}

/* Drops the hot list when the queue list is another: it may hold queues that are gone.  Lists are told apart by their
 * versions, because a new one may lie where an old one lay. */
static const struct queue_list *
take_list(struct worker *worker)
{
    const struct queue_list *list = atomic_load_explicit(&worker->queues, memory_order_acquire);

    if (list->version != worker->seen) {
        worker->n_descriptors = 0;
        for (uint32_t i = 0; i < list->n; i++) {
            worker->n_descriptors += list->queues[i]->fd >= 0;
            list->queues[i]->is_hot = 0;
            list->queues[i]->debt.cycles = 0; /* It may have been run into with another worker. */
            /* It was of another worker's cache, if the queue is new here. */
            list->queues[i]->shortcut = (struct shortcut){ .megaflow = NULL };
        }
        worker->n_hot = 0;
        worker->share.n_debtors = 0;
        if (list->n > worker->hot_room) {
            struct rx_queue **hot = realloc(worker->hot, list->n * sizeof *hot);
            if (hot != NULL) {
                worker->hot = hot;
                worker->hot_room = list->n;
            }
        }
        worker->seen = list->version;
    }
    return list;
}

/* Polls the hot queues; those that stay empty become quiet. */
static uint32_t
poll_hot(struct worker *worker)
{
    uint32_t n_packets = 0;
    uint32_t n_kept = 0;

    for (uint32_t i = 0; i < worker->n_hot; i++) {
        struct rx_queue *queue = worker->hot[i];
        if (hold(worker, queue)) {
            worker->hot[n_kept++] = queue;
            continue;
        }
        uint32_t n = poll_queue(worker, queue);
        queue->n_empty = n != 0 ? 0 : queue->n_empty + 1;
        n_packets += n;
        if (queue->n_empty < EMPTY_POLLS_MAX) {
            worker->hot[n_kept++] = queue;
            continue;
        }
        queue->is_hot = 0;
        if (queue->fd >= 0 && port_wait_fd(queue->port, queue->queue) == PORT_WAIT_NEVER) {
            /* The device is gone; its descriptor would wake us for ever. */
            epoll_ctl(worker->epoll_fd, EPOLL_CTL_DEL, queue->fd, NULL);
        }
    }
    worker->n_hot = n_kept;
    return n_packets;
}

/* Polls the queues without a descriptor.  '*is_busy' is set if one of them has more. */
static uint32_t
poll_others(struct worker *worker, const struct queue_list *list, _Bool *is_busy)
{
    uint32_t n_packets = 0;

    for (uint32_t i = 0; i < list->n; i++) {
        struct rx_queue *queue = list->queues[i];
        if (queue->fd < 0 && port_wait_fd(queue->port, queue->queue) == PORT_WAIT_BUSY) {
            n_packets += hold(worker, queue) ? 0 : poll_queue(worker, queue);
            *is_busy = 1;
        }
    }
    return n_packets;
}

/* Looks which quiet queues have something, waiting for it if 'timeout_ms' is -1. */
static void
watch(struct worker *worker, const struct queue_list *list, int timeout_ms)
{
    struct epoll_event events[EVENTS_MAX];
    uint64_t drained;
    int n = epoll_wait(worker->epoll_fd, events, EVENTS_MAX, timeout_ms);

    for (int i = 0; i < n; i++) {
        struct rx_queue *queue = events[i].data.ptr;
        if (queue == NULL) {
            if (read(worker->wake_fd, &drained, sizeof drained) < 0) {
                continue;
            }
        } else if (!queue->is_hot && worker->n_hot < worker->hot_room && list->version == worker->seen) {
            queue->is_hot = 1;
            queue->n_empty = 0;
            worker->hot[worker->n_hot++] = queue;
        }
    }
}

static _Bool
others_wait(const struct queue_list *list)
{
    for (uint32_t i = 0; i < list->n; i++) {
        const struct rx_queue *queue = list->queues[i];
        if (queue->fd < 0 && port_wait_fd(queue->port, queue->queue) == PORT_WAIT_BUSY) {
            return 1;
        }
    }
    return 0;
}

/* Whether the worker has nothing to do but to wait; one that only pauses may have queues that always have something. */
static _Bool
may_sleep(struct worker *worker, const struct queue_list *list, _Bool pauses)
{
    return (pauses || !others_wait(list)) && !atomic_load(&worker->is_stopping) && atomic_load(&worker->queues) == list;
}

/* Sleeps until a descriptor is readable or someone wakes us, or at most 'pause_ns' if that is not 0.  Whoever gives us
 * work exchanges 'is_sleeping' after giving it, and we look for work after exchanging it, so one of the two sees what the
 * other did before. */
static void
sleep_until_work(struct worker *worker, const struct queue_list *list, uint64_t pause_ns)
{
    uint64_t start = cycles();

    atomic_exchange(&worker->is_sleeping, 1);
    if (may_sleep(worker, list, pause_ns != 0)) {
        /* Events name queues; they are looked at while online, so that none of them is freed meanwhile. */
        struct pollfd descriptor = { .fd = worker->epoll_fd, .events = POLLIN };
        const struct timespec limit = { .tv_nsec = (long) pause_ns };
        epoch_offline(worker->reader);
        if (pause_ns != 0 && worker->n_descriptors == 0) {
            /* The cheapest of all pauses.  Who wakes us must bear that it goes on to its end. */
            nanosleep(&limit, NULL);
        } else {
            ppoll(&descriptor, 1, pause_ns == 0 ? NULL : &limit, NULL);
        }
        epoch_online(worker->reader);
        worker_count(&worker->counters.n_sleeps, 1);
    }
    atomic_store(&worker->is_sleeping, 0);
    worker->then = cycles();
    worker_count(&worker->counters.sleep_cycles, worker->then - start);
}

/* How long to pause after a turn that found 'n' packets: little by little more while there is not much, as in Open
 * vSwitch.  0: not at all. */
static uint64_t
next_pause(struct worker *worker, uint32_t n)
{
    uint64_t limit = 1000ull * atomic_load_explicit(&worker->datapath->polling.pause_us_max, memory_order_relaxed);

    if (limit == 0 || n >= PAUSE_PACKETS) {
        worker->pause_ns = 0;
    } else {
        worker->pause_ns = worker->pause_ns + PAUSE_STEP_NS < limit ? worker->pause_ns + PAUSE_STEP_NS : limit;
    }
    return worker->pause_ns;
}

/* What the counters were when a turn began. */
struct turn_start {
    uint64_t then;
    uint64_t miss_cycles;
    uint64_t n_batches;
    uint64_t n_misses;
};

static uint64_t
get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static struct turn_start
begin_turn(struct worker *worker)
{
    const struct worker_counters *counters = &worker->counters;
    uint32_t flags = atomic_load_explicit(&worker->datapath->polling.flags, memory_order_relaxed);

    worker->measures =
        flags & SLUICE_POLLING_FLAG_METRICS ? atomic_load_explicit(&worker->perf, memory_order_acquire) : NULL;
    return (struct turn_start){ worker->then, get(&counters->miss_cycles), get(&counters->n_batches),
                                get(&counters->n_misses) };
}

/* Counts a turn that found 'n' packets.  Returns the cycles that it took. */
static uint64_t
end_turn(struct worker *worker, const struct turn_start *start, uint32_t n)
{
    struct worker_counters *counters = &worker->counters;
    uint64_t now = cycles();

    worker->then = now;
    worker_count(&counters->n_polls, 1);
    if (n != 0) {
        worker_count(&counters->busy_cycles, now - start->then);
        worker_count(&counters->n_packets, n);
    } else {
        worker_count(&counters->idle_cycles, now - start->then);
        worker_count(&counters->n_idle_polls, 1);
    }
    if (worker->measures != NULL) {
        const struct perf_turn turn = {
            .number = get(&counters->n_polls),
            .cycles = now - start->then,
            .miss_cycles = get(&counters->miss_cycles) - start->miss_cycles,
            .n_packets = n,
            .n_batches = get(&counters->n_batches) - start->n_batches,
            .n_misses = get(&counters->n_misses) - start->n_misses,
        };
        perf_add_turn(worker->measures, &turn, datapath_now(worker->datapath));
    }
    return now - start->then;
}

static void *
worker_main(void *aux)
{
    struct worker *worker = aux;
    uint32_t turn = 0;

    /* The kernel may make a pause longer by so much to wake several threads at once. */
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    worker->then = cycles();
    epoch_online(worker->reader);
    while (!atomic_load_explicit(&worker->is_stopping, memory_order_relaxed)) {
        const struct queue_list *list = take_list(worker);
        const struct turn_start start = begin_turn(worker);
        _Bool is_busy = 0;
        uint32_t n = poll_others(worker, list, &is_busy) + poll_hot(worker);
        miss_share_turn(&worker->share, list, end_turn(worker, &start, n));
        uint64_t pause_ns = is_busy && worker->n_hot == 0 ? next_pause(worker, n) : 0;
        if (worker->n_hot == 0 && (!is_busy || pause_ns != 0)) {
            sleep_until_work(worker, list, pause_ns);
            /* Events name queues of the list as it is now. */
            watch(worker, take_list(worker), 0);
        } else if (worker->n_hot < worker->n_descriptors && ++turn % TURNS_PER_WATCH == 0) {
            watch(worker, list, 0);
        }
        epoch_quiesce(worker->reader);
    }
    epoch_offline(worker->reader);
    return NULL;
}

static struct flow_cache *
create_cache(struct sluice_datapath *datapath)
{
    struct flow_cache_options options = {
        .epoch = datapath->epoch,
        .hooks = megaflow_hooks(datapath),
        .flows_max = datapath->flow_limit,
    };

    if (getrandom(&options.hash_seed, sizeof options.hash_seed, GRND_NONBLOCK) < 0) {
        options.hash_seed = real_now_ms() * 0x9e3779b97f4a7c15ull;
    }
    return flow_cache_create(&options);
}

static int
create_descriptors(struct worker *worker)
{
    struct epoll_event event = { .events = EPOLLIN, .data.ptr = NULL };

    worker->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    worker->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (worker->epoll_fd < 0 || worker->wake_fd < 0
        || epoll_ctl(worker->epoll_fd, EPOLL_CTL_ADD, worker->wake_fd, &event) != 0) {
        return errno;
    }
    return 0;
}

int
worker_create(struct sluice_datapath *datapath, uint32_t index, _Bool is_control, struct worker **workerp)
{
    struct worker *worker = calloc(1, sizeof *worker);
    const struct packet_pool_options pool = {
        .n_small = is_control ? 512 : 0,
        .n_large = is_control ? 16 : 0,
    };
    int error;

    *workerp = worker;
    if (worker == NULL) {
        return ENOMEM;
    }
    worker->datapath = datapath;
    worker->index = index;
    worker->core = WORKER_NONE;
    worker->cpu = WORKER_NONE;
    worker->random = (uint32_t) (datapath_now(datapath) * 2654435761u) ^ (index + 1) * 0x9e3779b9u;
    worker->random += worker->random == 0;
    worker->epoll_fd = -1;
    worker->wake_fd = -1;
    miss_share_init(&worker->share);
    for (uint32_t i = 0; i <= WORKER_RECIRCULATIONS_MAX; i++) {
        xlate_out_init(&worker->levels[i].xlate);
    }
    error = packet_pool_create(&pool, &worker->pool);
    if (error != 0 || is_control) {
        return error;
    }
    worker->queues = calloc(1, sizeof(struct queue_list));
    worker->cache = create_cache(datapath);
    worker->reader = epoch_register(datapath->epoch);
    if (worker->queues == NULL || worker->cache == NULL || worker->reader == NULL) {
        return ENOMEM;
    }
    epoch_offline(worker->reader);
    return create_descriptors(worker);
}

void
worker_destroy(struct worker *worker)
{
    if (worker == NULL) {
        return;
    }
    flow_cache_destroy(worker->cache);
    epoch_unregister(worker->reader);
    for (uint32_t i = 0; i <= WORKER_RECIRCULATIONS_MAX; i++) {
        xlate_out_uninit(&worker->levels[i].xlate);
    }
    packet_pool_destroy(worker->pool);
    free(worker->queues);
    free(worker->hot);
    free(worker->perf);
    if (worker->epoll_fd >= 0) {
        close(worker->epoll_fd);
    }
    if (worker->wake_fd >= 0) {
        close(worker->wake_fd);
    }
    free(worker);
}

int
worker_start(struct worker *worker)
{
    int error = pthread_create(&worker->thread, NULL, worker_main, worker);

    worker->has_thread = error == 0;
    return error;
}

void
worker_wake(struct worker *worker)
{
    uint64_t one = 1;

    if (atomic_exchange(&worker->is_sleeping, 0) && write(worker->wake_fd, &one, sizeof one) < 0) {
        /* The counter is full: it is readable anyway. */
        return;
    }
}

void
worker_stop(struct worker *worker)
{
    if (worker->has_thread) {
        atomic_store(&worker->is_stopping, 1);
        worker_wake(worker);
        pthread_join(worker->thread, NULL);
        worker->has_thread = 0;
    }
}
