/* The pipeline: bridges, their OpenFlow ports, bundles, tables and rules, and the commands that change them.
 *
 * What workers see of the configuration is one immutable snapshot, which holds the version of the rules that goes with
 * it.  A transaction prepares the next one; pipeline_commit() publishes it with one atomic store, so that a packet's
 * translation sees all of a transaction or none, and frees the old one through the epoch.
 *
 * Threads.  All functions here belong to one thread at a time (the datapath's control lock), except
 * pipeline_change() and what says "any thread".  Translation (xlate.h) runs beside them without locks. */
#ifndef SLUICE_PIPELINE_PIPELINE_H
#define SLUICE_PIPELINE_PIPELINE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/flow_key.h"
#include "sluice/records.h"

struct epoch;
struct meter_table;
struct pipeline;

/* What the pipeline asks of its owner.  Called by the thread that called the pipeline, inside that call. */
struct pipeline_hooks {
    void *aux;
    /* Executes datapath actions on a frame (a packet-out).  Of 'key' only 'in_port', the datapath port or 0, and
     * 'packet_type' count.  Nothing is kept. */
    void (*execute)(void *aux, const struct flow_key *key, const uint8_t *frame, size_t frame_size, const void *actions,
                    size_t actions_size);
    /* Likewise, but nothing is transmitted or looked up again: what remains is what others are told of the frame. */
    void (*execute_telling)(void *aux, const struct flow_key *key, const uint8_t *frame, size_t frame_size,
                            const void *actions, size_t actions_size);
    /* Rules that asked to be reported were removed: a query of flow_changes will tell which. */
    void (*flows_changed)(void *aux);
    /* A chore was put: pipeline_do_chores() is called now if nobody holds the control lock; who holds it will do so.
     * Any thread that translates or gives credit.  Null: the owner looks by itself. */
    void (*chore_waits)(void *aux);
    /* Takes the control lock for a translation that needs an answer, if it can be had soon, and gives it back.  Any
     * thread that translates.  Null: it never can. */
    bool (*control_enter)(void *aux);
    void (*control_leave)(void *aux);
    /* Tells a remark, with its two keys of the sizes that it says.  Any thread.  Null: nobody is told. */
    void (*remark)(void *aux, struct sluice_event_remark *remark, const void *key, const void *first_key);
    /* The datapath's clock in milliseconds. */
    uint64_t (*now)(void *aux);
    /* Tells records of flows.  False: there is no room now, and they are told another time.  Null: nobody is told. */
    bool (*netflow)(void *aux, struct sluice_event_netflow *event, const struct sluice_netflow_record *records);
};

struct pipeline_options {
    struct epoch *epoch; /* Not owned; must outlive the pipeline. */
    struct pipeline_hooks hooks;
    uint32_t n_threads;   /* Threads that translate at once; at least 1. */
    uint64_t random_seed; /* For what OpenFlow leaves to chance, and for hashes. */
};

/* Makes an empty pipeline.  0 or ENOMEM. */
int pipeline_create(const struct pipeline_options *options, struct pipeline **pipelinep);

/* Frees everything.  No thread may translate any more, and all credits must have been released.  Null is fine. */
void pipeline_destroy(struct pipeline *pipeline);

/* Begins a transaction.  'independent': a failed command leaves the others; else the caller calls
 * pipeline_rollback() at the first failure. */
void pipeline_begin(struct pipeline *pipeline, bool independent);

/* True if 'type' (enum sluice_command) is one of the pipeline's. */
bool pipeline_has_command(uint16_t type);

/* Applies one command inside a transaction.  'record' is 8-byte aligned and has record->size bytes, which must stay
 * as they are until the transaction ends; everything else about it is checked here.  '*result' is written whole. 
 * Nothing is visible before the commit, but in an independent transaction a packet-out first commits what came
 * before it. */
void pipeline_command(struct pipeline *pipeline, const struct sluice_record *record, struct sluice_result *result);

/* Publishes the transaction and then runs its packet-outs.  0, or ENOMEM: then everything was undone. */
int pipeline_commit(struct pipeline *pipeline);

/* Undoes the transaction; its packet-outs are forgotten. */
void pipeline_rollback(struct pipeline *pipeline);

/* True if 'type' (enum sluice_query) is one of the pipeline's. */
bool pipeline_has_query(uint16_t type);

/* Answers one query outside a transaction.  As sluice_datapath_query().  Statistics are those credited so far: the
 * caller has pushed its megaflows' before a dump.  A memory query fills what is the pipeline's and leaves the rest
 * zero. */
int pipeline_query(struct pipeline *pipeline, const struct sluice_record *query, uint8_t *reply, size_t reply_size,
                   size_t *used);

/* Timers: expires rules and ages MAC addresses.  The caller has pushed its megaflows' statistics.  Returns the time in
 * milliseconds at which it wants to be called next, at the latest. */
uint64_t pipeline_maintain(struct pipeline *pipeline, uint64_t now_ms);

/* Whether chores wait: changes of rules that traffic asked for.  Any thread. */
bool pipeline_has_chores(const struct pipeline *pipeline);

/* Does the chores that wait.  With the control lock, outside a transaction: before it is let go, and after statistics were
 * pushed and before these are looked at. */
void pipeline_do_chores(struct pipeline *pipeline, uint64_t now_ms);

/* The number that grows with every change that can make a megaflow stale.  Any thread. */
uint64_t pipeline_change(const struct pipeline *pipeline);

/* Counts 'n' drops for 'reason' (enum sluice_drop_reason).  Any thread. */
void pipeline_count_drop(struct pipeline *pipeline, uint32_t reason, uint64_t n);

/* The meters that datapath actions call by number.  Any thread. */
const struct meter_table *pipeline_meters(const struct pipeline *pipeline);

/* What is frozen under a recirculation id, with its parts, which have '*size' bytes together; null if there is none.
 * For online readers of the epoch, until their next quiescent point. */
const struct sluice_continuation *pipeline_frozen(const struct pipeline *pipeline, uint32_t recirc_id, size_t *size);

/* A packet that a bond sends: its dp_hash and its bytes. */
struct pipeline_hashed {
    uint32_t hash;
    uint32_t size;
};

/* The datapath ports by which bundle 'bundle' of 'bridge', a bond, sends 'n' packets, which are counted for it; 0 where
 * there is none.  For online readers of the epoch. */
void pipeline_spread(const struct pipeline *pipeline, uint32_t bridge, uint32_t bundle,
                     const struct pipeline_hashed *packets, uint32_t n, uint32_t *dp_ports);

/* VLAN tags that the parser should look at: other_config:vlan-limit, 1 or 2.  Any thread. */
uint32_t pipeline_vlan_limit(const struct pipeline *pipeline);

#endif
