/* The flow-table ABI: a switch datapath behind six functions.
 *
 * A caller owns ids and meaning; the datapath owns packets, rules, caches, counters and devices.  Everything that
 * crosses is bytes: records of sluice/records.h, little-endian, 8-byte aligned, with ids and never pointers, so that
 * the datapath may live in another process one day.
 *
 * Threads.  One control thread makes all calls except where said otherwise.  The datapath runs threads of its own:
 * workers, which poll ports and forward, and one maintenance thread, which expires rules and megaflows, ages MAC
 * addresses and listens to the host's network devices.  None of them ever waits for the control thread.  With
 * 'n_workers' 0 there are no threads at all: packets move and timers fire only inside sluice_datapath_run() and
 * sluice_datapath_submit(), which is what tests and virtual clocks need.
 *
 * Errors.  Functions return 0 or a positive errno value.  Failures of single commands are in their results. */
#ifndef SLUICE_DATAPATH_H
#define SLUICE_DATAPATH_H 1

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
/* C++ spells it differently. */
#define _Static_assert static_assert
#endif

#include "sluice/records.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sluice_datapath;

/* The event ring, at the start of memory that the caller provides: many producers (the datapath's threads), one
 * consumer (the control thread).  Event records lie in 'data' at byte offset (position & (size - 1)); a record never
 * wraps: a filler record of type 0 ends the ring early.  'tail' counts bytes ever written and is advanced by
 * producers only after the record is whole; 'head' counts bytes ever consumed.
 * Invariant: 0 <= tail - head <= size.  'size' is a power of two. */
struct sluice_ring {
    uint64_t tail; /* Written by the datapath, read with acquire. */
    uint8_t pad0[56];
    uint64_t head; /* Written by the consumer with release. */
    uint8_t pad1[56];
    uint64_t size;          /* Bytes of 'data'. */
    uint64_t n_dropped[16]; /* Events lost for want of room, by event type. */
    uint64_t armed;         /* 1: call 'wake' at the next event.  Set by the consumer when it found the ring empty. */
    uint8_t pad2[48];
    uint8_t data[];
};
_Static_assert(offsetof(struct sluice_ring, head) == 64, "ring head");
_Static_assert(offsetof(struct sluice_ring, size) == 128, "ring size");
_Static_assert(offsetof(struct sluice_ring, n_dropped) == 136, "ring n_dropped");
_Static_assert(offsetof(struct sluice_ring, armed) == 264, "ring armed");
_Static_assert(offsetof(struct sluice_ring, data) == 320, "ring data");

struct sluice_datapath_options {
    uint32_t size;           /* sizeof(struct sluice_datapath_options). */
    uint32_t version;        /* SLUICE_ABI_VERSION. */
    uint32_t n_workers;      /* Worker threads; 0: none, the caller runs the datapath. */
    uint32_t flow_limit;     /* Megaflows at most; 0 for the default, 200000. */
    void *ring;              /* struct sluice_ring, zeroed; owned by the caller, must outlive the datapath. */
    size_t ring_size;        /* Bytes at 'ring'; 'data' takes the greatest power of two that fits. */
    void (*wake)(void *aux); /* Called by any thread, at most once for each time that 'armed' was set. */
    void *aux;
};

/* Makes a datapath in '*datapath'.  The caller destroys it.  EINVAL: options; ENOMEM; EAGAIN: no thread. */
int sluice_datapath_create(const struct sluice_datapath_options *options, struct sluice_datapath **datapath);

/* Stops the threads, closes the ports, frees everything.  Null is fine.  'wake' is not called after it returns. */
void sluice_datapath_destroy(struct sluice_datapath *datapath);

/* Applies a batch: a 'sluice_batch' and its commands.  Packets see all of its flow changes or none.  'results' gets one
 * element for each command, 'n_results' is its room.  Unless the batch is 'independent', the first failed command undoes
 * the flow, bridge and ofport changes before it (device changes, packet-outs and injections must not share such a batch
 * with commands that may fail after them: they are not undone), and the results after it say ECANCELED in system_error.
 * Returns 0 if the batch was well-formed, else EINVAL (nothing applied) or ENOSPC (results too small). */
int sluice_datapath_submit(struct sluice_datapath *datapath, const void *batch, size_t size,
                           struct sluice_result *results, size_t n_results);

/* Answers one query into 'reply'.  '*used' gets the bytes written.  Dumps fill what fits and return a cursor.
 * EINVAL: malformed; ENOENT: no such object; ENOSPC: not even one record fits; ENOTSUP. */
int sluice_datapath_query(struct sluice_datapath *datapath, const void *query, size_t size, void *reply,
                          size_t reply_size, size_t *used);

/* Without workers: forwards what ports have received, at most 'max_bursts' bursts (0: until nothing moves, at most
 * 65536), and lets timers that are due fire.  '*n_packets' gets the packets received.  EBUSY when there are workers. */
int sluice_datapath_run(struct sluice_datapath *datapath, uint32_t max_bursts, uint64_t *n_packets);

/* The datapath's clock, in milliseconds: CLOCK_MONOTONIC, or what clock_set froze it at.  Any thread. */
uint64_t sluice_datapath_now(const struct sluice_datapath *datapath);

#ifdef __cplusplus
}
#endif

#endif
