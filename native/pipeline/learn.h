/* Flows that learn actions make of packets. */
#ifndef SLUICE_PIPELINE_LEARN_H
#define SLUICE_PIPELINE_LEARN_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sluice/flow_key.h"
#include "sluice/records.h"

struct pipeline;
struct tlv_map;

/* A flow that was or is to be learned.  Counted; constant but for the atomics. */
struct learned {
    _Atomic uint32_t refs;
    _Atomic bool waits;             /* Among the chores. */
    _Atomic bool limit_told;        /* The log knows that its limit forbids it. */
    _Atomic uint64_t used_ms;       /* When the last packet passed that learns it. */
    uint32_t limit;                 /* Flows with its cookie in its table; 0: any number. */
    struct sluice_flow_mod *record; /* With its match and actions, in the same memory. */
};

/* Makes what the action makes of a packet of 'flow' in 'bridge' that passes now.  One reference; null without memory.  Any
 * thread. */
struct learned *learned_create(uint32_t bridge, const struct tlv_map *tlvs, const struct sluice_action_learn *learn,
                               const struct flow_key *flow, uint64_t now_ms);

void learned_ref(struct learned *learned);

/* Null is fine.  Any thread. */
void learned_unref(struct learned *learned);

/* Installs the flow, or makes it as young as the last packet that learned it if it is there.  A flow that would be too
 * old by now is not installed.  False if its limit forbids it.  With the control lock, in an open transaction. */
bool learned_install(struct pipeline *pipeline, struct learned *learned, uint64_t now_ms);

/* As learned_install(), but whatever the limit.  0, or the enum sluice_error for which the flow cannot be there. */
uint32_t learned_add(struct pipeline *pipeline, const struct learned *learned, uint64_t now_ms);

/* Whether the flow is installed.  With the control lock. */
bool learned_is_there(const struct pipeline *pipeline, const struct learned *learned);

/* Adds what a learn action reads to 'wild'. */
void learn_unwildcard(const struct tlv_map *tlvs, const struct sluice_action_learn *learn, struct flow_key *wild);

/* Whether the specs of an action that has 'learn->size' bytes are as they must be.  0 or an enum sluice_error. */
uint32_t learn_check(const struct sluice_action_learn *learn, uint32_t n_tables);

#endif
