/* The OpenFlow meters of a bridge.  Each stands under a number of the datapath's meter table too, by which datapath
 * actions call it; changing a meter puts another one under the same number.
 *
 * Threads.  ofmeter_find(): any reader of the epoch.  All else: under the control lock. */
#ifndef PIPELINE_OFMETER_H
#define PIPELINE_OFMETER_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "classifier/version_map.h"
#include "meter/meter.h"
#include "sluice/records.h"

struct bridge;
struct flow_store;
struct pipeline;

struct ofmeter {
    struct versioned versioned; /* 'id' is the OpenFlow number. */
    uint32_t dp_meter;
    uint64_t created_ms; /* Kept when the meter is changed. */
    struct meter *meter; /* Owned. */
};

/* What frees a meter of a bridge's map, whose 'aux' is the pipeline. */
void ofmeter_free(void *pipeline, struct versioned *meter);

/* Whether a flow may use a meter of that number. */
static inline bool
ofmeter_id_is_plain(uint32_t id)
{
    return id != 0 && id <= SLUICE_METER_MAX;
}

/* The meter of the bridge at 'version', or null. */
const struct ofmeter *ofmeter_find(const struct bridge *bridge, uint32_t id, uint64_t version);

/* Applies a meter_mod inside a transaction of the bridge's meters and rules.  '*dp_meter' gets the datapath's number.
 * 0 or an enum sluice_error. */
uint32_t ofmeter_mod(struct pipeline *pipeline, const struct sluice_meter_mod *command, uint64_t *dp_meter);

/* Removes all meters of a bridge, inside a transaction.  0 or no_memory. */
uint32_t ofmeter_flush(struct pipeline *pipeline, uint32_t bridge);

/* Ends the transaction of a bridge's meters: they are in force. */
void ofmeter_commit(struct pipeline *pipeline, struct bridge *bridge);

/* Answers a meter_dump.  0, ENOENT (no such bridge) or ENOSPC. */
int ofmeter_dump(const struct pipeline *pipeline, const struct sluice_object_query *query, uint64_t now_ms,
                 uint8_t *reply, size_t room, size_t *used);

#endif
