/* Steps of a translation, for ofproto/trace: records that tell what happened, in order, with the depth of each in
 * the tree of steps: a bridge holds tables, a table its rule's actions, an action its remarks and the tables it
 * leads to. */
#ifndef SLUICE_PIPELINE_TRACE_H
#define SLUICE_PIPELINE_TRACE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/flow_key.h"
#include "sluice/records.h"

struct rule;

/* Where steps go: memory of the caller. */
struct trace_sink {
    uint8_t *bytes;
    size_t room;
    size_t used;
    uint32_t n;
    bool overflow; /* Some step did not fit; nothing more is put. */
};

/* A step without match and actions to begin with. */
struct trace_step {
    struct sluice_trace_step record;
    const struct flow_key *value; /* The match, or null. */
    const struct flow_key *mask;
    const struct rule *rule; /* Whose match is the step's, or null. */
    const void *actions;
};

/* Puts one step; null 'sink' is fine. */
void trace_put(struct trace_sink *sink, const struct trace_step *step);

#endif
