#include "port/frame_queue.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/packet.h"
#include "port/port.h"

void
frame_queue_init(struct frame_queue *queue, uint32_t limit)
{
    uint32_t room = 1;

    while (room < limit) {
        room *= 2;
    }
    queue->limit = limit;
    queue->mask = room - 1;
    atomic_init(&queue->head, 0);
    atomic_init(&queue->tail, 0);
    queue->frames = NULL;
}

void
frame_queue_clear(struct frame_queue *queue)
{
    uint32_t tail = atomic_load(&queue->tail);

    for (uint32_t i = atomic_load(&queue->head); i != tail; i++) {
        free(queue->frames[i & queue->mask]);
    }
    atomic_store(&queue->head, tail);
}

void
frame_queue_uninit(struct frame_queue *queue)
{
    if (queue->frames != NULL) {
        frame_queue_clear(queue);
        free(queue->frames);
        queue->frames = NULL;
    }
}

int
frame_queue_put(struct frame_queue *queue, const uint8_t *data, uint32_t size)
{
    uint32_t tail = atomic_load_explicit(&queue->tail, memory_order_relaxed);

    if (tail - atomic_load_explicit(&queue->head, memory_order_acquire) >= queue->limit) {
        return ENOBUFS;
    }
    if (queue->frames == NULL) {
        queue->frames = calloc((size_t) queue->mask + 1, sizeof *queue->frames);
        if (queue->frames == NULL) {
            return ENOMEM;
        }
    }
    struct frame *frame = malloc(sizeof *frame + size);
    if (frame == NULL) {
        return ENOMEM;
    }
    frame->size = size;
    memcpy(frame->data, data, size);
    queue->frames[tail & queue->mask] = frame;
    atomic_store_explicit(&queue->tail, tail + 1, memory_order_release);
    return 0;
}

_Bool
frame_queue_has(const struct frame_queue *queue)
{
    return atomic_load_explicit(&queue->tail, memory_order_acquire)
           != atomic_load_explicit(&queue->head, memory_order_relaxed);
}

void
frame_queue_take(struct frame_queue *queue, struct packet_pool *pool, struct packet_batch *batch,
                 struct port_queue *counters)
{
    uint32_t head = atomic_load_explicit(&queue->head, memory_order_relaxed);
    uint32_t tail = atomic_load_explicit(&queue->tail, memory_order_acquire);

    for (; head != tail && batch->n < PACKET_BATCH_MAX; head++) {
        struct frame *frame = queue->frames[head & queue->mask];
        struct packet *packet = packet_alloc(pool, frame->size);
        if (packet == NULL) {
            port_count_drop(counters, SLUICE_PORT_DROP_RX_NO_BUFFER, 1);
        } else {
            memcpy(packet->data, frame->data, frame->size);
            batch->packets[batch->n++] = packet;
        }
        free(frame);
    }
    atomic_store_explicit(&queue->head, head, memory_order_release);
}
