/* Frames waiting to be received: from the control thread, which injects them, to the worker that polls the port.
 *
 * One producer, one consumer, no lock. */
#ifndef PORT_FRAME_QUEUE_H
#define PORT_FRAME_QUEUE_H 1

#include <stdatomic.h>
#include <stdint.h>

struct packet_batch;
struct packet_pool;
struct port_queue;

struct frame {
    uint32_t size;
    uint8_t data[];
};

struct frame_queue {
    uint32_t limit; /* Frames at most. */
    uint32_t mask;
    struct frame **frames; /* Null until there is a first frame: most queues of most ports never see one. */
    _Alignas(64) _Atomic uint32_t head; /* Frames ever taken. */
    _Alignas(64) _Atomic uint32_t tail; /* Frames ever put. */
};

/* Prepares a queue for 'limit' frames, at most 2^16. */
void frame_queue_init(struct frame_queue *queue, uint32_t limit);

/* Frees the queue and what is in it.  No thread uses it any more. */
void frame_queue_uninit(struct frame_queue *queue);

/* Forgets the frames.  No thread takes any meanwhile. */
void frame_queue_clear(struct frame_queue *queue);

/* Copies a frame to the end.  ENOBUFS when full, ENOMEM.  The producer's thread. */
int frame_queue_put(struct frame_queue *queue, const uint8_t *data, uint32_t size);

/* Whether there are frames.  Any thread. */
_Bool frame_queue_has(const struct frame_queue *queue);

/* Moves up to a batch of frames into packets of 'pool'; counts those without a buffer in 'counters'.
 * The consumer's. */
void frame_queue_take(struct frame_queue *queue, struct packet_pool *pool, struct packet_batch *batch,
                      struct port_queue *counters);

#endif
