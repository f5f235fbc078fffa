/* The OpenFlow groups of a bridge.
 *
 * A group never changes: a group_mod puts another one in its place, whose counters begin at zero.
 *
 * Threads.  ofgroup_find() and what it finds: any reader of the epoch.  Counters: any thread.  All else: under the
 * control lock. */
#ifndef PIPELINE_OFGROUP_H
#define PIPELINE_OFGROUP_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "classifier/version_map.h"
#include "sluice/records.h"

struct bridge;
struct pipeline;

/* Numbers of buckets in commands that are not a bucket's own. */
#define BUCKET_ID_MAX 0xffffff00u
#define BUCKET_FIRST 0xfffffffdu
#define BUCKET_LAST 0xfffffffeu
#define BUCKET_ALL 0xffffffffu

/* Most values of dp_hash that a group tells apart. */
#define GROUP_HASH_VALUES_MAX 256u

struct group_counter {
    _Atomic uint64_t n_packets;
    _Atomic uint64_t n_bytes;
};

/* Counters of a group; they outlive it while a megaflow has packets to count. */
struct group_stats {
    _Atomic uint32_t refs;
    uint32_t n_buckets;
    struct group_counter total;
    struct group_counter buckets[];
};

void group_stats_ref(struct group_stats *stats);
void group_stats_unref(struct group_stats *stats);

/* Counts packets that took bucket 'bucket' (its position), UINT32_MAX: all of them. */
void group_stats_credit(struct group_stats *stats, uint32_t bucket, uint64_t n_packets, uint64_t n_bytes);

struct ofbucket {
    uint32_t id;
    uint16_t weight;
    uint16_t n_hash_values; /* That lead to it. */
    uint32_t watch_port;    /* PORT_NONE: none. */
    uint32_t watch_group;   /* 0xffffffff: none. */
    uint32_t actions_size;
    uint32_t ordered_size;
    uint8_t *actions; /* As they came; owned. */
    uint8_t *ordered; /* As they are executed; owned. */
};

struct ofgroup {
    struct versioned versioned; /* 'id' is the OpenFlow number. */
    uint64_t created_ms;
    uint32_t type;         /* enum sluice_group_type */
    uint32_t given_method; /* enum sluice_selection_method, as the controller said. */
    uint32_t method;       /* As it is done. */
    uint32_t n_fields;
    uint64_t param;
    struct sluice_selection_field *fields; /* What to hash; owned. */
    uint32_t hash_algorithm;
    uint32_t hash_basis;
    uint32_t hash_mask;
    uint16_t *hash_map; /* By masked dp_hash, the position of a bucket; owned. */
    struct group_stats *stats;
    uint32_t n_buckets;
    struct ofbucket buckets[];
};

/* What frees a group of a bridge's map. */
void ofgroup_free(void *pipeline, struct versioned *group);

/* Decides how a select group chooses, and spreads the hash values over its buckets.  0 or ENOMEM. */
int ofgroup_set_method(struct ofgroup *group);

/* The group of the bridge at 'version', or null. */
const struct ofgroup *ofgroup_find(const struct bridge *bridge, uint32_t id, uint64_t version);

/* Applies a group_mod inside a transaction.  0 or an enum sluice_error. */
uint32_t ofgroup_mod(struct pipeline *pipeline, const struct sluice_group_mod *command);

/* Removes all groups of a bridge, inside a transaction.  0 or no_memory. */
uint32_t ofgroup_flush(struct pipeline *pipeline, uint32_t bridge);

/* Ends the transaction of a bridge's groups: they are in force. */
void ofgroup_commit(struct bridge *bridge);

/* Answers a group_dump.  0, ENOENT (no such bridge) or ENOSPC. */
int ofgroup_dump(const struct pipeline *pipeline, const struct sluice_object_query *query, uint64_t now_ms,
                 uint8_t *reply, size_t room, size_t *used);

#endif
