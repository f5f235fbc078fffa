#include "packet/packet.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* A buffer in a pool: the packet's header, headroom, the frame.  Strides are odd multiples of a cache line, so that
 * the headers of neighbours do not all fall into the same cache sets. */
#define HEADER_SIZE 448
#define SMALL_STRIDE (HEADER_SIZE + PACKET_HEADROOM + PACKET_SMALL_SIZE)
#define LARGE_STRIDE (HEADER_SIZE + PACKET_HEADROOM + PACKET_LARGE_SIZE)
_Static_assert(sizeof(struct packet) <= HEADER_SIZE, "the header fits");
_Static_assert(SMALL_STRIDE % 64 == 0 && SMALL_STRIDE / 64 % 2 == 1, "stride of small buffers");
_Static_assert(LARGE_STRIDE % 64 == 0 && LARGE_STRIDE / 64 % 2 == 1, "stride of large buffers");

/* The free buffers of one size, last released first, because those are still in the cache. */
struct buffer_class {
    uint8_t *memory;
    size_t memory_size;
    uint32_t capacity; /* Headroom and frame of a buffer. */
    uint32_t n;
    uint32_t n_free;
    struct packet **free;
};

struct packet_pool {
    struct packet_owner owner; /* First: an owner of a packet is its pool. */
    struct buffer_class small;
    struct buffer_class large;
    uint64_t n_exhausted;
    _Atomic(struct packet *) returned; /* Released by other threads; a stack. */
};

static struct packet *
buffer_at(const struct buffer_class *class, uint32_t index)
{
    return (struct packet *) (void *) (class->memory + (size_t) index * (HEADER_SIZE + class->capacity));
}

static int
class_create(struct buffer_class *class, uint32_t n, uint32_t capacity)
{
    class->n = n;
    class->capacity = capacity;
    class->memory_size = (size_t) n * (HEADER_SIZE + capacity);
    class->free = calloc(n, sizeof(struct packet *));
    if (!class->free) {
        return ENOMEM;
    }
    void *memory = mmap(NULL, class->memory_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        return ENOMEM;
    }
    class->memory = memory;

    /* Headers are made when a buffer is first taken: making them now would touch every page. */
    for (uint32_t i = 0; i < n; i++) {
        class->free[i] = buffer_at(class, n - 1 - i);
    }
    class->n_free = n;
    return 0;
}

static void
class_destroy(struct buffer_class *class)
{
    if (class->memory) {
        assert(class->n_free == class->n);
        munmap(class->memory, class->memory_size);
    }
    free(class->free);
}

static void
class_put(struct buffer_class *class, struct packet *packet)
{
    assert(class->n_free < class->n);
    class->free[class->n_free++] = packet;
}

static void
pool_put(struct packet_pool *pool, struct packet *packet)
{
    class_put(packet->capacity == pool->small.capacity ? &pool->small : &pool->large, packet);
}

static void
pool_release(struct packet_owner *owner, struct packet *const *packets, uint32_t n)
{
    struct packet_pool *pool = (struct packet_pool *) (void *) owner;
    for (uint32_t i = 0; i < n; i++) {
        pool_put(pool, packets[i]);
    }
}

/* Takes in what other threads released. */
static void
pool_collect(struct packet_pool *pool)
{
    struct packet *packet = atomic_exchange_explicit(&pool->returned, NULL, memory_order_acquire);
    while (packet) {
        struct packet *next = packet->next;
        pool_put(pool, packet);
        packet = next;
    }
}

int
packet_pool_create(const struct packet_pool_options *options, struct packet_pool **poolp)
{
    *poolp = NULL;
    struct packet_pool *pool = calloc(1, sizeof *pool);
    if (!pool) {
        return ENOMEM;
    }
    uint32_t n_small = options && options->n_small ? options->n_small : 8192;
    uint32_t n_large = options && options->n_large ? options->n_large : 256;
    pool->owner.release = pool_release;
    int error = class_create(&pool->small, n_small, SMALL_STRIDE - HEADER_SIZE);
    if (!error) {
        error = class_create(&pool->large, n_large, LARGE_STRIDE - HEADER_SIZE);
    }
    if (error) {
        packet_pool_destroy(pool);
        return error;
    }
    *poolp = pool;
    return 0;
}

void
packet_pool_destroy(struct packet_pool *pool)
{
    if (!pool) {
        return;
    }
    pool_collect(pool);
    class_destroy(&pool->small);
    class_destroy(&pool->large);
    free(pool);
}

void
packet_pool_get_stats(const struct packet_pool *pool, struct packet_pool_stats *stats)
{
    *stats = (struct packet_pool_stats){
        .n_small = pool->small.n,
        .n_small_free = __atomic_load_n(&pool->small.n_free, __ATOMIC_RELAXED),
        .n_large = pool->large.n,
        .n_large_free = __atomic_load_n(&pool->large.n_free, __ATOMIC_RELAXED),
        .n_exhausted = __atomic_load_n(&pool->n_exhausted, __ATOMIC_RELAXED),
    };
}

static struct buffer_class *
pool_class(struct packet_pool *pool, uint32_t size)
{
    if (size <= PACKET_SMALL_SIZE) {
        return &pool->small;
    }
    return size <= PACKET_LARGE_SIZE ? &pool->large : NULL;
}

static struct packet *
class_take(struct buffer_class *class, struct packet_owner *owner, uint32_t size)
{
    struct packet *packet = class->free[--class->n_free];
    packet->base = (uint8_t *) packet + HEADER_SIZE;
    packet->capacity = class->capacity;
    packet->owner = owner;
    packet->data = packet->base + PACKET_HEADROOM;
    packet->size = size;
    packet_reset(packet);
    return packet;
}

uint32_t
packet_alloc_burst(struct packet_pool *pool, uint32_t size, struct packet **packets, uint32_t n)
{
    struct buffer_class *class = pool_class(pool, size);
    if (class && class->n_free < n) {
        pool_collect(pool);
    }
    uint32_t n_taken = 0;
    while (class && n_taken < n && class->n_free) {
        packets[n_taken++] = class_take(class, &pool->owner, size);
    }
    if (n_taken < n) {
        pool->n_exhausted++;
    }
    return n_taken;
}

struct packet *
packet_alloc(struct packet_pool *pool, uint32_t size)
{
    struct packet *packet;
    return packet_alloc_burst(pool, size, &packet, 1) ? packet : NULL;
}

void
packet_release(struct packet *packet)
{
    packet->owner->release(packet->owner, &packet, 1);
}

void
packet_release_burst(struct packet *const *packets, uint32_t n)
{
    uint32_t begin = 0;
    while (begin < n) {
        struct packet_owner *owner = packets[begin]->owner;
        uint32_t end = begin + 1;
        while (end < n && packets[end]->owner == owner) {
            end++;
        }
        owner->release(owner, packets + begin, end - begin);
        begin = end;
    }
}

void
packet_release_remote(struct packet *packet)
{
    assert(packet->owner->release == pool_release);
    struct packet_pool *pool = (struct packet_pool *) (void *) packet->owner;
    struct packet *head = atomic_load_explicit(&pool->returned, memory_order_relaxed);
    do {
        packet->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&pool->returned, &head, packet, memory_order_release,
                                                    memory_order_relaxed));
}

void
packet_reset(struct packet *packet)
{
    packet->in_port = 0;
    packet->l2_5_ofs = PACKET_NO_OFFSET;
    packet->l3_ofs = PACKET_NO_OFFSET;
    packet->l4_ofs = PACKET_NO_OFFSET;
    packet->l3_type = PACKET_L3_NONE;
    packet->l4_type = PACKET_L4_NONE;
    packet->flags = 0;
    packet->gso_type = PACKET_GSO_NONE;
    packet->gso_size = 0;
    packet->csum_start = 0;
    packet->csum_offset = 0;
    packet->rx_queue = 0;
    packet->bare_type = 0;
    packet->hash = 0;
    packet->l4_size = 0;
    packet->skb_priority = 0;
    packet->pkt_mark = 0;
}

struct packet *
packet_clone(struct packet_pool *pool, const struct packet *packet, uint32_t size_max)
{
    uint32_t size = packet->size < size_max ? packet->size : size_max;
    struct packet *copy = packet_alloc(pool, size);
    if (!copy) {
        return NULL;
    }
    memcpy(copy->data, packet->data, size);

    /* Everything from 'in_port' to 'pkt_mark' describes the frame. */
    const size_t begin = offsetof(struct packet, in_port);
    const size_t end = offsetof(struct packet, capacity);
    memcpy((uint8_t *) copy + begin, (const uint8_t *) packet + begin, end - begin);
    if (packet->flags & PACKET_METADATA) {
        copy->metadata = packet->metadata;
    }
    copy->size = packet->size;
    packet_truncate(copy, size);
    return copy;
}

struct packet_metadata *
packet_metadata(struct packet *packet)
{
    if (!(packet->flags & PACKET_METADATA)) {
        packet->metadata = (struct packet_metadata){ 0 };
        packet->flags |= PACKET_METADATA;
    }
    return &packet->metadata;
}

void
packet_wrap(struct packet *packet, void *base, uint32_t capacity, uint32_t headroom, uint32_t size)
{
    assert(headroom <= capacity && size <= capacity - headroom);
    packet->base = base;
    packet->capacity = capacity;
    packet->owner = NULL;
    packet->next = NULL;
    packet->data = packet->base + headroom;
    packet->size = size;
    packet_reset(packet);
}

static uint16_t
moved_offset(uint16_t offset, uint32_t keep, int32_t by)
{
    return offset == PACKET_NO_OFFSET || offset < keep ? offset : (uint16_t) (offset + by);
}

static void
move_offsets(struct packet *packet, uint32_t keep, int32_t by)
{
    packet->l2_5_ofs = moved_offset(packet->l2_5_ofs, keep, by);
    packet->l3_ofs = moved_offset(packet->l3_ofs, keep, by);
    packet->l4_ofs = moved_offset(packet->l4_ofs, keep, by);
    if (packet->flags & PACKET_CSUM_PARTIAL) {
        packet->csum_start = moved_offset(packet->csum_start, keep, by);
    }
}

bool
packet_open_gap(struct packet *packet, uint32_t keep, uint32_t n)
{
    assert(keep <= packet->size);
    if (packet_headroom(packet) < n) {
        return false;
    }
    packet->data -= n;
    packet->size += n;
    memmove(packet->data, packet->data + n, keep);
    move_offsets(packet, keep, (int32_t) n);
    return true;
}

void
packet_close_gap(struct packet *packet, uint32_t keep, uint32_t n)
{
    assert(keep <= packet->size && n <= packet->size - keep);
    memmove(packet->data + n, packet->data, keep);
    packet->data += n;
    packet->size -= n;
    move_offsets(packet, keep, -(int32_t) n);
}

void
packet_truncate(struct packet *packet, uint32_t size)
{
    if (packet->size <= size) {
        return;
    }
    packet->size = size;
    packet->flags &= (uint8_t) ~(PACKET_CSUM_PARTIAL | PACKET_CSUM_VALID);
    packet->gso_type = PACKET_GSO_NONE;
    packet->gso_size = 0;

    /* No header may be rewritten that is not whole any more; the bounds are those of the longest fixed headers. */
    if (packet->l3_ofs + 40u > size) {
        packet->l3_type = PACKET_L3_NONE;
    }
    if (packet->l4_ofs + 20u > size) {
        packet->l4_type = PACKET_L4_NONE;
        packet->l4_size = 0;
    } else if (packet->l4_size > size - packet->l4_ofs) {
        packet->l4_size = size - packet->l4_ofs;
    }
}
