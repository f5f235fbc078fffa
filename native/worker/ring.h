/* The event ring's producing side: events from the datapath's threads to the control thread.
 *
 * The memory's layout and the consumer's part are in sluice/datapath.h.  Events of any thread become whole records,
 * in the order in which their producers came; a record that does not fit is dropped and counted by its type, and the
 * consumer never waits for a producer.
 *
 * Fairness.  Packets for controllers and frames may flood; they are limited so that one ingress port cannot take the
 * whole ring: above half full, a port gets at most an equal share of it.  Events that tell of state (link, port, removed
 * flows) are never refused for fairness, and the last RING_RESERVED_SIZE bytes are kept for them. */
#ifndef WORKER_RING_H
#define WORKER_RING_H 1

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/datapath.h"

#define RING_RESERVED_SIZE 4096u
#define RING_N_BUCKETS 256u
#define RING_PART_MAX 4

/* A piece of a record: the record is the parts one after another, each padded to 8 bytes with zeros. */
struct ring_part {
    const void *data;
    size_t size;
};

struct ring {
    struct sluice_ring *memory;    /* The caller's; outlives this. */
    uint64_t mask;                 /* memory->size - 1; kept apart since the memory is the consumer's to scribble on. */
    uint64_t tail;                 /* Ours; guarded by 'lock'. */
    atomic_flag lock;              /* Held for one record's copy. */
    uint64_t used[RING_N_BUCKETS]; /* Bytes put since 'epoch_head', by hash of the ingress port; guarded by 'lock'. */
    uint64_t epoch_tail;           /* Where the count in 'used' began; guarded by 'lock'. */
    uint32_t n_active;             /* Buckets of 'used' that are not 0; guarded by 'lock'. */
    void (*wake)(void *aux);
    void *aux;
};

/* Takes 'size' bytes at 'memory'.  EINVAL when they are too few (8 kB at least of data) or not aligned to 64 bytes. */
int ring_init(struct ring *ring, void *memory, size_t size, void (*wake)(void *aux), void *aux);

/* Puts one event.  The first part begins with a struct sluice_record, whose 'size' is filled in here.  'source' is the
 * ingress port for fairness, or 0 for events of state.  True if it was put; otherwise it was counted as dropped.
 * Wakes the consumer if it sleeps.  Any thread. */
_Bool ring_put(struct ring *ring, uint32_t source, struct sluice_record *header, const struct ring_part *parts,
               size_t n_parts);

#endif
