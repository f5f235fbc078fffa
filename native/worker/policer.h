/* Ingress policing: what a port receives beyond its rates is dropped before anything looks at it.
 *
 * A policer is a meter of kilobits, one of packets, or both; a packet must be within all.  The queues of a port share it.
 *
 * Threads.  policer_run() in any number of workers, readers of the epoch.  It is replaced as a whole, under the control
 * lock, and freed after a grace period. */
#ifndef WORKER_POLICER_H
#define WORKER_POLICER_H 1

#include <stdint.h>

#include "sluice/records.h"

struct packet_batch;
struct port_queue;

struct policer;

/* Makes the policer that 'command' asks for; '*policer' gets null when it asks for none.  0 or ENOMEM. */
int policer_create(const struct sluice_port_police *command, uint64_t now_us, struct policer **policer);

/* Null is fine. */
void policer_destroy(void *policer);

/* Drops what is beyond the rates and counts it for 'queue'. */
void policer_run(struct policer *policer, struct port_queue *queue, struct packet_batch *batch, uint64_t now_us);

#endif
