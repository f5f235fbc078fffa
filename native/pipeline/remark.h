/* Remarks of translations that are told though nobody traces: what OVS warns of in its log. */
#ifndef SLUICE_PIPELINE_REMARK_H
#define SLUICE_PIPELINE_REMARK_H 1

#include <stdbool.h>
#include <stdint.h>

#include "sluice/flow_key.h"
#include "sluice/records.h"

struct pipeline;

/* The last of the remarks that are warnings, which are the first ones. */
#define REMARK_WARNING_LAST SLUICE_TRACE_NOTE_TRUNC_PATCH

/* The last of those that are told for who debugs, which follow them. */
#define REMARK_TOLD_LAST SLUICE_TRACE_NOTE_MCAST_BAD_MLD

/* Of each kind of remark as many are told in a second of the datapath's clock: there may be one for every packet. */
#define REMARKS_PER_SECOND 8u

/* A remark of 'code' about a packet that is 'key' now and came into 'first_bridge' as 'first_key'; both may be null. */
struct remark {
    uint32_t bridge;
    uint32_t code; /* enum sluice_trace_note. */
    uint64_t a, b, c;
    const struct flow_key *key;
    uint32_t first_bridge;
    const struct flow_key *first_key;
};

/* Tells it, unless enough were told in this second.  Any thread. */
void remark_tell(struct pipeline *pipeline, const struct remark *remark, uint64_t now_ms);

#endif
