/* The event ring with several producers and a consumer at once; also run under ThreadSanitizer. */
#undef NDEBUG
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "worker/ring.h"

#define N_PRODUCERS 3
#define N_EVENTS 20000

static struct ring ring;
static atomic_int n_wakes;

static void
wake(void *aux)
{
    (void) aux;
    atomic_fetch_add(&n_wakes, 1);
}

static _Atomic uint64_t *
shared(uint64_t *p)
{
    return (_Atomic uint64_t *) p;
}

static void *
produce(void *aux)
{
    uint32_t source = (uint32_t) (uintptr_t) aux;

    for (uint32_t i = 0; i < N_EVENTS; i++) {
        struct sluice_event_port_frame event = { .type = SLUICE_EVENT_PORT_FRAME, .dp_port = source };
        uint8_t payload[64];
        uint32_t size = 4 + (i * 7) % 60;
        memset(payload, (int) (i & 0xff), sizeof payload);
        memcpy(payload, &i, sizeof i);
        event.packet_size = size;
        struct ring_part parts[] = { { &event, sizeof event }, { payload, size } };
        ring_put(&ring, source, (struct sluice_record *) &event, parts, 2);
        if (i % 64 == 0) {
            sched_yield();
        }
    }
    return NULL;
}

/* Takes what is there.  Records of one source come in order and whole. */
static uint64_t
consume(uint32_t *next)
{
    struct sluice_ring *memory = ring.memory;
    uint64_t head = atomic_load(shared(&memory->head));
    uint64_t tail = atomic_load_explicit(shared(&memory->tail), memory_order_acquire);
    uint64_t n = 0;

    while (head != tail) {
        struct sluice_event_port_frame event;
        const uint8_t *at = memory->data + (head & (memory->size - 1));
        struct sluice_record record;
        memcpy(&record, at, sizeof record);
        assert(record.size % 8 == 0 && record.size != 0 && record.size <= tail - head);
        if (record.type != 0) {
            memcpy(&event, at, sizeof event);
            assert(event.dp_port >= 1 && event.dp_port <= N_PRODUCERS);
            uint32_t i;
            memcpy(&i, at + sizeof event, sizeof i);
            assert(i >= next[event.dp_port]);
            assert(event.packet_size == 4 + (i * 7) % 60);
            for (uint32_t k = 4; k < event.packet_size; k++) {
                assert(at[sizeof event + k] == (i & 0xff));
            }
            next[event.dp_port] = i + 1;
            n++;
        }
        head += record.size;
    }
    atomic_store_explicit(shared(&memory->head), head, memory_order_release);
    return n;
}

static void
producers_and_a_consumer(void)
{
    size_t size = sizeof(struct sluice_ring) + 65536;
    void *memory = aligned_alloc(64, size + 64 - size % 64);
    uint32_t next[N_PRODUCERS + 1] = { 0 };
    pthread_t threads[N_PRODUCERS];
    uint64_t n_consumed = 0;

    memset(memory, 0, size);
    assert(ring_init(&ring, memory, size, wake, NULL) == 0);
    for (uintptr_t i = 0; i < N_PRODUCERS; i++) {
        assert(pthread_create(&threads[i], NULL, produce, (void *) (i + 1)) == 0);
    }
    for (int i = 0; i < 2000; i++) {
        n_consumed += consume(next);
        sched_yield();
    }
    for (int i = 0; i < N_PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
    }
    n_consumed += consume(next);
    uint64_t n_dropped = ring.memory->n_dropped[SLUICE_EVENT_PORT_FRAME];
    assert(n_consumed + n_dropped == (uint64_t) N_PRODUCERS * N_EVENTS);
    assert(atomic_load(&n_wakes) == 1);
    free(memory);
    puts("ok - every event is consumed whole and in order, or counted as dropped");
    puts("ok - a consumer that armed once is woken once");
}

/* Fills the ring from one port, then shows that another still gets in, and that state events do. */
static void
fairness(void)
{
    size_t size = sizeof(struct sluice_ring) + 65536;
    void *memory = aligned_alloc(64, size + 64 - size % 64);
    uint8_t payload[1000] = { 0 };

    memset(memory, 0, size);
    assert(ring_init(&ring, memory, size, wake, NULL) == 0);
    struct sluice_event_port_frame event = { .type = SLUICE_EVENT_PORT_FRAME, .dp_port = 1, .packet_size = 1000 };
    struct ring_part parts[] = { { &event, sizeof event }, { payload, sizeof payload } };
    int n = 0;
    while (ring_put(&ring, 1, (struct sluice_record *) &event, parts, 2)) {
        n++;
        assert(n < 100);
    }
    assert(n >= 31 && n <= 33);
    event.dp_port = 2;
    for (int i = 0; i < 10; i++) {
        assert(ring_put(&ring, 2, (struct sluice_record *) &event, parts, 2));
    }
    puts("ok - a port that floods leaves room for another");
    while (ring_put(&ring, 2, (struct sluice_record *) &event, parts, 2)) {
        continue;
    }
    struct sluice_event_port change = { .type = SLUICE_EVENT_LINK_CHANGED };
    struct ring_part one = { &change, sizeof change };
    assert(ring_put(&ring, 0, (struct sluice_record *) &change, &one, 1));
    assert(ring.memory->n_dropped[SLUICE_EVENT_PORT_FRAME] == 2);
    puts("ok - events of state have room when packets have none");
    atomic_store(shared(&ring.memory->head), UINT64_MAX - 5);
    assert(!ring_put(&ring, 1, (struct sluice_record *) &event, parts, 2));
    puts("ok - a nonsense head is a full ring");
    free(memory);
}

int
main(void)
{
    producers_and_a_consumer();
    fairness();
    return 0;
}
