#include "worker/shaper.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "packet/packet.h"
#include "port/port.h"
#include "worker/state.h"

#define US_PER_S UINT64_C(1000000)
#define ETHERNET_HEADER_SIZE 14u

/* A bucket of more bytes would not fit a word of tokens, of which a byte is a million. */
#define BUCKET_SIZE_MAX (UINT64_MAX / US_PER_S)

struct bucket {
    uint64_t rate;     /* Bytes a second, tokens a microsecond. */
    uint64_t capacity; /* Tokens. */
    uint64_t tokens;
};

/* Committed and excess bytes. */
struct buckets {
    struct bucket committed;
    struct bucket excess;
    uint64_t filled_us;
};

enum color { GREEN, YELLOW, RED };

struct shaper_queue {
    uint32_t number;
    struct buckets buckets;
    uint64_t n_bytes;
    uint64_t n_packets;
    uint64_t n_errors;
};

struct shaper {
    struct port_gate gate; /* First. */
    atomic_flag lock;
    const struct sluice_datapath *datapath;
    uint32_t kind; /* enum sluice_shape_kind */
    struct buckets buckets;
    uint32_t n_queues;
    struct shaper_queue *queues; /* By number. */
};

static void
lock(struct shaper *shaper)
{
    while (atomic_flag_test_and_set_explicit(&shaper->lock, memory_order_acquire)) {
    }
}

static void
unlock(struct shaper *shaper)
{
    atomic_flag_clear_explicit(&shaper->lock, memory_order_release);
}

static struct bucket
full_bucket(uint64_t rate, uint64_t size)
{
    uint64_t capacity = (size < BUCKET_SIZE_MAX ? size : BUCKET_SIZE_MAX) * US_PER_S;

    return (struct bucket){ .rate = rate, .capacity = capacity, .tokens = capacity };
}

static void
fill_bucket(struct bucket *bucket, uint64_t elapsed_us)
{
    uint64_t missing = bucket->capacity - bucket->tokens;

    /* A rate times a time may be more than a word. */
    if (bucket->rate != 0 && elapsed_us >= missing / bucket->rate + 1) {
        bucket->tokens = bucket->capacity;
    } else {
        bucket->tokens += bucket->rate * elapsed_us;
    }
}

static void
fill(struct buckets *buckets, uint64_t now_us)
{
    if (now_us > buckets->filled_us) {
        fill_bucket(&buckets->committed, now_us - buckets->filled_us);
        fill_bucket(&buckets->excess, now_us - buckets->filled_us);
        buckets->filled_us = now_us;
    }
}

static _Bool
take(struct bucket *bucket, uint64_t tokens)
{
    if (bucket->tokens < tokens) {
        return 0;
    }
    bucket->tokens -= tokens;
    return 1;
}

/* RFC 4115, section 3; a color-blind meter takes every packet for green. */
static enum color
color(struct buckets *buckets, uint32_t size, enum color before)
{
    uint64_t tokens = size * US_PER_S;

    if (before == GREEN && take(&buckets->committed, tokens)) {
        return GREEN;
    }
    return before != RED && take(&buckets->excess, tokens) ? YELLOW : RED;
}

static struct buckets
full_buckets(const uint64_t rates[4], uint64_t now_us)
{
    return (struct buckets){
        .committed = full_bucket(rates[0], rates[1]),
        .excess = full_bucket(rates[2], rates[3]),
        .filled_us = now_us,
    };
}

static void run(struct port_gate *gate, struct port_queue *queue, struct packet_batch *batch);

int
shaper_create(const struct sluice_port_shape *command, const struct sluice_datapath *datapath, struct shaper **shaperp)
{
    const uint64_t rates[4] = { command->cir, command->cbs, command->eir, command->ebs };

    *shaperp = NULL;
    if (command->kind == SLUICE_SHAPE_KIND_NONE) {
        return 0;
    }
    struct shaper *shaper = calloc(1, sizeof *shaper);
    if (shaper == NULL) {
        return ENOMEM;
    }
    shaper->gate.run = run;
    atomic_flag_clear(&shaper->lock);
    shaper->datapath = datapath;
    shaper->kind = command->kind;
    shaper->buckets = full_buckets(rates, datapath_now_us(datapath));
    *shaperp = shaper;
    return 0;
}

void
shaper_destroy(void *shaper_)
{
    struct shaper *shaper = shaper_;

    if (shaper != NULL) {
        free(shaper->queues);
        free(shaper);
    }
}

struct port_gate *
shaper_gate(struct shaper *shaper)
{
    return shaper == NULL ? NULL : &shaper->gate;
}

/* The first queue of 'number' or above. */
static uint32_t
find_place(const struct shaper *shaper, uint32_t number)
{
    uint32_t from = 0, to = shaper->n_queues;

    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        if (shaper->queues[middle].number < number) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static struct shaper_queue *
find_queue(struct shaper *shaper, uint32_t number)
{
    uint32_t at = find_place(shaper, number);

    return at < shaper->n_queues && shaper->queues[at].number == number ? &shaper->queues[at] : NULL;
}

static int
remove_queue(struct shaper *shaper, uint32_t number)
{
    struct shaper_queue *queue = find_queue(shaper, number);

    if (queue == NULL) {
        return ENOENT;
    }
    size_t after = (size_t) (shaper->queues + shaper->n_queues - (queue + 1));
    memmove(queue, queue + 1, after * sizeof *queue);
    shaper->n_queues--;
    return 0;
}

static int
put_queue(struct shaper *shaper, uint32_t number, const struct buckets *buckets)
{
    uint32_t at = find_place(shaper, number);

    if (at < shaper->n_queues && shaper->queues[at].number == number) {
        shaper->queues[at].buckets = *buckets;
        return 0;
    }
    struct shaper_queue *queues = realloc(shaper->queues, (shaper->n_queues + 1) * sizeof *queues);
    if (queues == NULL) {
        return ENOMEM;
    }
    memmove(queues + at + 1, queues + at, (shaper->n_queues - at) * sizeof *queues);
    queues[at] = (struct shaper_queue){ .number = number, .buckets = *buckets };
    shaper->queues = queues;
    shaper->n_queues++;
    return 0;
}

int
shaper_set_queue(struct shaper *shaper, const struct sluice_shape_queue *command)
{
    const uint64_t rates[4] = { command->cir, command->cbs, command->eir, command->ebs };
    const struct buckets buckets = full_buckets(rates, datapath_now_us(shaper->datapath));

    lock(shaper);
    int error =
        command->is_removed ? remove_queue(shaper, command->queue) : put_queue(shaper, command->queue, &buckets);
    unlock(shaper);
    return error;
}

/* Whether a packet passes.  With the lock. */
static _Bool
passes(struct shaper *shaper, const struct packet *packet, uint64_t now_us)
{
    uint32_t size = packet->size > ETHERNET_HEADER_SIZE ? packet->size - ETHERNET_HEADER_SIZE : 0;
    enum color before = GREEN;

    if (shaper->kind == SLUICE_SHAPE_KIND_QUEUES) {
        struct shaper_queue *queue = find_queue(shaper, packet->skb_priority);
        queue = queue != NULL ? queue : find_queue(shaper, 0);
        if (queue == NULL) {
            return 0;
        }
        fill(&queue->buckets, now_us);
        before = color(&queue->buckets, size, GREEN);
        if (before == RED) {
            queue->n_errors++;
        } else {
            queue->n_bytes += size;
            queue->n_packets++;
        }
    }
    return color(&shaper->buckets, size, before) != RED;
}

static void
run(struct port_gate *gate, struct port_queue *queue, struct packet_batch *batch)
{
    struct shaper *shaper = (struct shaper *) gate;
    struct packet *dropped[PACKET_BATCH_MAX];
    uint64_t now_us = datapath_now_us(shaper->datapath);
    uint32_t n_left = 0, n = batch->n;

    lock(shaper);
    fill(&shaper->buckets, now_us);
    for (uint32_t i = 0; i < n; i++) {
        struct packet *packet = batch->packets[i];
        if (passes(shaper, packet, now_us)) {
            batch->packets[n_left++] = packet;
        } else {
            dropped[i - n_left] = packet;
        }
    }
    unlock(shaper);
    if (n_left < n) {
        port_count_drop(queue, SLUICE_PORT_DROP_TX_POLICED, n - n_left);
        packet_release_burst(dropped, n - n_left);
        batch->n = n_left;
    }
}

uint32_t
shaper_stats(struct shaper *shaper, struct sluice_shape_info *infos, size_t n)
{
    lock(shaper);
    uint32_t n_queues = shaper->n_queues;
    for (uint32_t i = 0; i < n_queues && i < n; i++) {
        const struct shaper_queue *queue = &shaper->queues[i];
        infos[i] = (struct sluice_shape_info){
            .type = SLUICE_QUERY_SHAPE_STATS,
            .size = sizeof infos[i],
            .queue = queue->number,
            .n_bytes = queue->n_bytes,
            .n_packets = queue->n_packets,
            .n_errors = queue->n_errors,
        };
    }
    unlock(shaper);
    return n_queues;
}
