/* A shortcut: what the packets of a receive queue take that lately all took the same.
 *
 * Where a megaflow reads nothing of packets but what is alike in most of them (OpenFlow rules on the port alone, as between
 * the ports of a chain of network functions), a burst that a glance finds alike need be neither parsed nor looked up.
 * Any current megaflow that a packet matches is right, so a shortcut cannot be wrong, only useless: then the burst goes
 * the usual way.
 *
 * A shortcut belongs to a queue and is its worker's; a queue that goes to another worker leaves without. */
#ifndef WORKER_SHORTCUT_H
#define WORKER_SHORTCUT_H 1

#include <stdint.h>

struct flow_key;
struct megaflow;
struct packet_batch;
struct worker;

struct shortcut {
    struct megaflow *megaflow; /* Null: none. */
    uint64_t seen_serial;      /* The last megaflow that was considered, of the worker's cache. */
    uint16_t eth_type;
};

/* Does with the burst what is to be done with it and takes its packets, or returns false.  The clock is at 'now_ms'. */
_Bool shortcut_take(struct worker *worker, struct shortcut *shortcut, struct packet_batch *batch, uint64_t now_ms);

/* Considers the megaflow that a whole burst found, whose first packet has 'key'. */
void shortcut_consider(struct shortcut *shortcut, struct megaflow *megaflow, const struct flow_key *key);

#endif
