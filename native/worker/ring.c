#include "worker/ring.h"

#include <errno.h>
#include <string.h>

static uint64_t
load(const uint64_t *p)
{
    return atomic_load_explicit((const _Atomic uint64_t *) p, memory_order_acquire);
}

int
ring_init(struct ring *ring, void *memory, size_t size, void (*wake)(void *aux), void *aux)
{
    size_t room = 8192;

    if (memory == NULL || (uintptr_t) memory % 8 != 0 || size < sizeof(struct sluice_ring) + room) {
        return EINVAL;
    }
    size -= sizeof(struct sluice_ring);
    while (room * 2 <= size) {
        room *= 2;
    }
    memset(ring, 0, sizeof *ring);
    ring->memory = memory;
    ring->mask = room - 1;
    ring->wake = wake;
    ring->aux = aux;
    atomic_flag_clear(&ring->lock);
    ring->memory->size = room;
    ring->memory->armed = 1;
    return 0;
}

static size_t
pad8(size_t size)
{
    return (size + 7) & ~(size_t) 7;
}

/* Whether 'size' more bytes of 'source' are fair while 'used' of the ring are full.
 *
 * Up to half full everyone may put.  Above, a source may hold at most an equal share (of the sources that put
 * something since the ring was last empty) of the ring.  Called with the lock held. */
static _Bool
is_fair(struct ring *ring, uint32_t bucket, uint64_t used, size_t size)
{
    uint64_t room = ring->mask + 1;
    uint32_t n = ring->n_active + (ring->used[bucket] == 0);

    if (used + size + RING_RESERVED_SIZE > room) {
        return 0;
    }
    if (used <= room / 2) {
        return 1;
    }
    return ring->used[bucket] + size <= room / (n < 2 ? 2 : n);
}

static void
note_used(struct ring *ring, uint32_t bucket, size_t size)
{
    ring->n_active += ring->used[bucket] == 0;
    ring->used[bucket] += size;
}

/* Copies the record to the ring's end, which has room for it, and publishes it. */
static void
publish(struct ring *ring, uint64_t filler, size_t size, const struct sluice_record *header,
        const struct ring_part *parts, size_t n_parts)
{
    uint8_t *data = ring->memory->data;

    if (filler != 0) {
        struct sluice_record end = { .type = 0, .flags = 0, .size = (uint32_t) filler };
        memcpy(data + (ring->tail & ring->mask), &end, sizeof end);
        ring->tail += filler;
    }
    uint8_t *at = data + (ring->tail & ring->mask);
    for (size_t i = 0; i < n_parts; i++) {
        size_t n = parts[i].size;
        if (n != 0) {
            memcpy(at, parts[i].data, n);
        }
        memset(at + n, 0, pad8(n) - n);
        at += pad8(n);
    }
    memcpy(data + (ring->tail & ring->mask), header, sizeof *header);
    ring->tail += size;
    atomic_store_explicit((_Atomic uint64_t *) &ring->memory->tail, ring->tail, memory_order_seq_cst);
}

_Bool
ring_put(struct ring *ring, uint32_t source, struct sluice_record *header, const struct ring_part *parts,
         size_t n_parts)
{
    uint64_t room = ring->mask + 1;
    uint32_t bucket = source % RING_N_BUCKETS;
    size_t size = 0;
    _Bool put = 0;

    for (size_t i = 0; i < n_parts; i++) {
        size += pad8(parts[i].size);
    }
    header->size = (uint32_t) size;
    while (atomic_flag_test_and_set_explicit(&ring->lock, memory_order_acquire)) {
        continue;
    }
    uint64_t head = load(&ring->memory->head);
    uint64_t used = ring->tail - head;
    uint64_t left = room - (ring->tail & ring->mask);
    uint64_t filler = left < size ? left : 0;

    /* A consumer that writes nonsense to 'head' hurts only itself: such a ring counts as full. */
    if (used == 0 || head > ring->epoch_tail + room) {
        memset(ring->used, 0, sizeof ring->used);
        ring->n_active = 0;
        ring->epoch_tail = ring->tail;
    }
    if (used <= room && size <= room / 2 && used + filler + size <= room
        && (source == 0 || is_fair(ring, bucket, used, filler + size))) {
        publish(ring, filler, size, header, parts, n_parts);
        if (source != 0) {
            note_used(ring, bucket, size);
        }
        put = 1;
    } else {
        atomic_fetch_add_explicit((_Atomic uint64_t *) &ring->memory->n_dropped[header->type & 15], 1,
                                  memory_order_relaxed);
    }
    atomic_flag_clear_explicit(&ring->lock, memory_order_release);
    if (atomic_load_explicit((_Atomic uint64_t *) &ring->memory->armed, memory_order_seq_cst) != 0
        && atomic_exchange_explicit((_Atomic uint64_t *) &ring->memory->armed, 0, memory_order_seq_cst) != 0) {
        ring->wake(ring->aux);
    }
    return put;
}
