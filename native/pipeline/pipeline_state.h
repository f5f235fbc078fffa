/* What a pipeline is made of: shared by the files of this room only. */
#ifndef SLUICE_PIPELINE_PIPELINE_STATE_H
#define SLUICE_PIPELINE_PIPELINE_STATE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "classifier/change_log.h"
#include "classifier/epoch.h"
#include "pipeline/chore.h"
#include "pipeline/config.h"
#include "pipeline/frozen.h"
#include "pipeline/pipeline.h"
#include "pipeline/solicit.h"

/* Cells: what megaflows depend on, hashed.  Two things may share a cell: then a change of one makes megaflows of the
 * other stale too, which costs a translation and is otherwise harmless.
 *
 * A configuration cell holds the version of the configuration that changed it last: what was translated at an older
 * version is stale.  An address cell holds a count of its changes: what was translated after reading another count is
 * stale; it is read before the address is looked up, and counted up after the change can be seen.  A table cell is a
 * configuration cell; which rules changed is in the log of changes. */
#define PIPELINE_CELLS 16384u
#define PIPELINE_CELL_NUMBER (PIPELINE_CELLS - 1)

/* In a stamp. */
#define PIPELINE_CELL_ADDRESS 0x80000000u   /* An address cell. */
#define PIPELINE_CELL_TABLE 0x40000000u     /* A table cell. */
#define PIPELINE_CELL_UNCHANGED 0x20000000u /* And packets come to the table with the headers that they arrived with. */

enum cell_kind {
    CELL_BRIDGE,        /* Settings, ports and bundles of a bridge. */
    CELL_TABLE,         /* Rules of one table. */
    CELL_ADDRESS,       /* Where one address on one VLAN is. */
    CELL_GROUP,         /* One group. */
    CELL_METER,         /* Whether there is one meter. */
    CELL_PORTS,         /* Which datapath ports are in a bridge at all. */
    CELL_ROUTES,        /* How tunnels' packets go; counted as address cells are. */
    CELL_NEIGHBOR,      /* The link address of one neighbour; likewise. */
    CELL_MCAST_GROUP,   /* Who wants one multicast group on one VLAN; likewise. */
    CELL_MCAST_ROUTERS, /* Where one VLAN's multicast routers are; likewise. */
};

#define PIPELINE_DROP_REASONS 64u
#define PIPELINE_COVERAGE 32u
#define PIPELINE_REMARKS 128u

/* A bridge's place, and what the open transaction did to it. */
struct bridge_slot {
    struct bridge_view *view;  /* In force, or null. */
    struct bridge_view *draft; /* What it will be; null with 'drafted' if the bridge is going away. */
    bool drafted;
    bool touched;     /* In 'touched' of the transaction. */
    bool flows_open;  /* The flow store of 'view' or 'draft' has an open transaction. */
    bool meters_open; /* So have its meters. */
    bool groups_open; /* And its groups. */
};

/* A change of an address table that waits for the commit. */
enum mac_edit_kind {
    MAC_EDIT_FLUSH,
    MAC_EDIT_BUNDLE_GONE,
    MAC_EDIT_SET,
    MAC_EDIT_DEL,
    MAC_EDIT_CLEAR_STATS,
    MAC_EDIT_LEARN,     /* As mac_table_learn(). */
    MAC_EDIT_MDB_FLUSH, /* Multicast groups and routers behind the bundle, or all. */
};
struct mac_edit {
    uint32_t bridge;
    enum mac_edit_kind kind;
    uint32_t bundle;
    uint16_t vlan;
    bool gratuitous;
    bool is_bond;
    uint64_t mac;
};

struct neighbor_table;
struct route_table;

/* A packet of a controller that was translated, and waits for its transaction to be committed. */
struct packet_job {
    const struct sluice_record *command;
    uint64_t now_ms;
    uint32_t in_port; /* Of its key, as are these. */
    uint32_t packet_type;
    uint16_t tcp_flags;
    bool is_void;      /* Nothing is to be done with it. */
    uint64_t *actions; /* Owned. */
    uint32_t actions_size;
    uint32_t n_credits;
    struct xlate_credit *credits; /* Owned, with their references. */
    struct solicitations solicitations;
};

struct transaction {
    bool open;
    bool independent;
    uint32_t *touched; /* Ids of bridges. */
    uint32_t n_touched;
    uint32_t touched_capacity;
    struct mac_edit *mac_edits;
    uint32_t n_mac_edits;
    uint32_t mac_edits_capacity;
    struct packet_job *packets;
    uint32_t n_packets;
    uint32_t packets_capacity;
};

struct pipeline {
    struct pipeline_options options;
    _Atomic(const struct config *) config;
    _Atomic uint64_t change;
    _Atomic uint32_t vlan_limit;
    bool holds_rules; /* Rules whose time is up stay.  Under the control lock. */
    struct frozen_table *frozen;
    _Atomic uint32_t cells[PIPELINE_CELLS];
    _Atomic uint32_t table_cells[PIPELINE_CELLS];
    struct change_log changes; /* By table cell. */
    _Atomic uint32_t address_cells[PIPELINE_CELLS];
    _Atomic uint64_t drops[PIPELINE_DROP_REASONS];
    _Atomic uint64_t coverage[PIPELINE_COVERAGE]; /* By enum sluice_coverage; element 0 is for what nobody counts. */

    _Atomic uint64_t remarks[PIPELINE_REMARKS]; /* By code: the second of the last ones, and how many. */

    struct chores chores;
    atomic_bool netflow_waits;                  /* Records of flows are to be told. */
    _Atomic(const struct route_table *) routes; /* Null until they are told. */
    struct neighbor_table *neighbors;

    /* Under the control lock. */
    struct limbo limbo;
    struct meter_table *meters;
    struct epoch_reader *reader; /* For translations by the control thread; offline otherwise. */
    struct bridge_slot *slots;   /* By bridge id. */
    uint32_t n_slots;
    uint64_t random; /* State of a generator of seeds. */
    struct transaction transaction;
};

/* The number of a cell.  'a' and 'b' say which one of the kind. */
static inline uint32_t
pipeline_cell(enum cell_kind kind, uint32_t bridge, uint64_t a)
{
    uint64_t hash = (a ^ ((uint64_t) bridge << 40) ^ ((uint64_t) kind << 60)) * UINT64_C(0x9e3779b97f4a7c15);
    hash ^= hash >> 29;
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t) (hash >> 40) & (PIPELINE_CELLS - 1);
}

/* The number of a neighbour's cell. */
static inline uint32_t
pipeline_neighbor_cell(uint32_t device, const uint8_t address[16])
{
    uint64_t words[2];
    __builtin_memcpy(words, address, sizeof words);
    return pipeline_cell(CELL_NEIGHBOR, device, words[0] ^ words[1] * UINT64_C(0x9e3779b97f4a7c15));
}

/* Makes what depends on the configuration cell stale, once pipeline_changed() is called.  After 'version' is in
 * force. */
static inline void
pipeline_set_cell(struct pipeline *pipeline, uint32_t cell, uint64_t version)
{
    atomic_store_explicit(&pipeline->cells[cell], (uint32_t) version, memory_order_relaxed);
}

/* mcast.c: the number of the cell of a multicast group, or of a VLAN's routers if it is null. */
uint32_t mcast_cell(uint32_t bridge, uint16_t vlan, const uint8_t *group);

/* Says that some cell changed. */
static inline void
pipeline_changed(struct pipeline *pipeline)
{
    atomic_fetch_add_explicit(&pipeline->change, 1, memory_order_release);
}

/* Says that a cell of the counted kind changed.  After the change can be seen. */
static inline void
pipeline_count_cell(struct pipeline *pipeline, uint32_t cell)
{
    atomic_fetch_add_explicit(&pipeline->address_cells[cell], 1, memory_order_release);
    pipeline_changed(pipeline);
}

/* Counts an event.  Any thread. */
static inline void
pipeline_cover(struct pipeline *pipeline, uint32_t counter)
{
    atomic_fetch_add_explicit(&pipeline->coverage[counter], 1, memory_order_relaxed);
}

/* The state of bridge 'id' as the open transaction has it, or as it is in force; null if there is none. */
static inline struct bridge_view *
pipeline_view(const struct pipeline *pipeline, uint32_t id)
{
    if (id >= pipeline->n_slots) {
        return NULL;
    }
    const struct bridge_slot *slot = &pipeline->slots[id];
    return slot->drafted ? slot->draft : slot->view;
}

/* transaction.c: */

/* Marks bridge 'id' as part of the transaction and makes room for it.  0 or no_memory. */
uint32_t transaction_touch(struct pipeline *pipeline, uint32_t id);

/* A draft of bridge 'id' to change.  '*error' gets 0, no_such_bridge or no_memory; null unless 0. */
struct bridge_view *transaction_draft(struct pipeline *pipeline, uint32_t id, uint32_t *error);

/* The rules of bridge 'id', with a transaction open.  As transaction_draft(). */
struct flow_store *transaction_flows(struct pipeline *pipeline, uint32_t id, uint32_t *error);

/* Its meters, as transaction_flows(). */
struct version_map *transaction_meters(struct pipeline *pipeline, uint32_t id, uint32_t *error);

/* Its groups, as transaction_flows(). */
struct version_map *transaction_groups(struct pipeline *pipeline, uint32_t id, uint32_t *error);

/* Forgets at commit what was learned behind 'bundle', UINT32_MAX for all.  0 or no_memory. */
uint32_t transaction_flush_macs(struct pipeline *pipeline, uint32_t bridge, uint32_t bundle);

/* Forgets at commit what multicast wants behind 'bundle', UINT32_MAX for all.  0 or no_memory. */
uint32_t transaction_flush_mdb(struct pipeline *pipeline, uint32_t bridge, uint32_t bundle);

/* Does at commit what 'edit' says.  0 or no_memory. */
uint32_t transaction_edit_macs(struct pipeline *pipeline, const struct mac_edit *edit);

/* Translates a packet-out or a resume, which was checked: it sees what the transaction has done so far.  What comes of
 * it is kept until the commit.  0, not_translated, no_memory, or why a learn action cannot have its rule; then the
 * transaction must be undone. */
uint32_t transaction_add_packet(struct pipeline *pipeline, const struct sluice_record *command);

/* Whether the open transaction has changed nothing. */
bool transaction_is_empty(const struct pipeline *pipeline);

/* A new bridge without rules, or null without memory; and its end, for limbo. */
struct bridge *bridge_create(struct pipeline *pipeline, uint32_t id, uint32_t n_tables);
void bridge_destroy(void *bridge);

/* packet_out.c: checks a packet of a controller, sent or resumed: 0 or an enum sluice_error. */
uint32_t packet_out_check(const struct pipeline *pipeline, const struct sluice_packet_out *command);
uint32_t resume_check(const struct pipeline *pipeline, const struct sluice_resume *command);

/* Translates it in what the open transaction has made, 'draft'.  0 and a job, or an enum sluice_error. */
uint32_t packet_translate(struct pipeline *pipeline, const struct sluice_record *command, const struct config *draft,
                          struct packet_job *job);

/* Does what came of it, its transaction being in force; and frees what the job owns. */
void packet_do(struct pipeline *pipeline, const struct packet_job *job);
void packet_job_free(struct packet_job *job);

/* trace_query.c: answers a trace.  0, EINVAL, ENOENT or ENOSPC. */
int trace_query(struct pipeline *pipeline, const struct sluice_trace_query *query, uint8_t *reply, size_t room,
                size_t *used);

/* fdb.c: commands and queries about addresses; an enum sluice_error, an errno value. */
struct sluice_fdb_set;
struct sluice_fdb_del;
struct sluice_fdb_flush;
struct sluice_bridge_query;
uint32_t fdb_set(struct pipeline *pipeline, const struct sluice_fdb_set *command);
uint32_t fdb_del(struct pipeline *pipeline, const struct sluice_fdb_del *command);
uint32_t fdb_flush(struct pipeline *pipeline, const struct sluice_fdb_flush *command);
uint32_t fdb_clear_stats(struct pipeline *pipeline, uint32_t bridge);
/* bond.c: answers bond_stats. */
int bond_stats(const struct pipeline *pipeline, const struct sluice_bond_query *query, uint8_t *reply, size_t room,
               size_t *used);
int fdb_dump(const struct pipeline *pipeline, const struct sluice_bridge_query *query, uint8_t *reply, size_t room,
             size_t *used);
int fdb_stats(const struct pipeline *pipeline, const struct sluice_bridge_query *query, uint8_t *reply, size_t room,
              size_t *used);

/* mdb.c: answers which multicast groups and routers there are; an errno value. */
int mdb_dump(const struct pipeline *pipeline, const struct sluice_bridge_query *query, uint8_t *reply, size_t room,
             size_t *used);

#endif
