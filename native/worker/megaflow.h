/* What a megaflow was made from, and what becomes of it when that changes.
 *
 * A megaflow's data in a flow cache is its origin: the stamps that tell whether it is stale, and the credits that its
 * packets give to rules and others.  The hooks are those of every worker's cache. */
#ifndef WORKER_MEGAFLOW_H
#define WORKER_MEGAFLOW_H 1

#include <stdint.h>

#include "classifier/flow_cache.h"

struct packet;
struct rule;
struct sluice_datapath;
struct xlate_out;
struct xlate_traffic;

/* An origin of more than so many words of 8 bytes is not cached. */
#define MEGAFLOW_ORIGIN_WORDS 1024u

struct flow_cache_hooks megaflow_hooks(struct sluice_datapath *datapath);

/* Completes 'insertion', of which 'key' and 'now_ms' are set, by what translation made: its origin is put together in
 * 'room'.  False when the translation is not to be cached.  The credits stay the translation's. */
_Bool megaflow_insertion(struct sluice_datapath *datapath, struct xlate_out *out, uint64_t room[MEGAFLOW_ORIGIN_WORDS],
                         struct flow_cache_insertion *insertion);

/* Counts packets for what the megaflow was made from, besides those that it counts itself. */
void megaflow_credit(struct sluice_datapath *datapath, const struct megaflow *megaflow,
                     const struct xlate_traffic *traffic);

/* Calls 'each' for every rule that the megaflow with this data was made from. */
void megaflow_each_rule(void *data, void (*each)(void *aux, const struct rule *rule), void *aux);

/* Tells of a packet that no megaflow covered, if someone wants to know.  Any worker. */
void megaflow_tell_miss(struct sluice_datapath *datapath, const struct packet *packet, const struct flow_key *key);

#endif
