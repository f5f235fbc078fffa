/* Egress policing: what a port is to send beyond its rates is dropped.
 *
 * Two kinds, both color-blind at first: one bucket of committed bytes (RFC 2697 without an excess burst), and two with
 * queues (RFC 4115): a packet must pass the buckets of its queue, which color it, then those of the port, which it meets
 * with that color.  A packet of a queue that is not there goes by queue 0, and is dropped if that is not there either.
 * A packet counts without its Ethernet header.
 *
 * Threads.  Any number of workers pass packets, readers of the epoch; they share the buckets under a lock, for a batch at a
 * time, and so do changes of queues.  The shaper is replaced as a whole under the control lock, and freed after a grace
 * period. */
#ifndef WORKER_SHAPER_H
#define WORKER_SHAPER_H 1

#include <stddef.h>
#include <stdint.h>

#include "sluice/records.h"

struct port_gate;
struct sluice_datapath;

struct shaper;

/* Makes the shaper that 'command' asks for, without queues; '*shaper' gets null when it asks for none.  'datapath' has the
 * clock.  0 or ENOMEM. */
int shaper_create(const struct sluice_port_shape *command, const struct sluice_datapath *datapath,
                  struct shaper **shaper);

/* What packets pass: drops what is beyond the rates and counts it. */
struct port_gate *shaper_gate(struct shaper *shaper);

/* Null is fine. */
void shaper_destroy(void *shaper);

/* Adds a queue, gives one other rates and full buckets, or removes one.  ENOENT, ENOMEM or 0. */
int shaper_set_queue(struct shaper *shaper, const struct sluice_shape_queue *command);

/* Writes what each queue counted to 'infos', as far as there is room for 'n'.  Returns how many queues there are. */
uint32_t shaper_stats(struct shaper *shaper, struct sluice_shape_info *infos, size_t n);

#endif
