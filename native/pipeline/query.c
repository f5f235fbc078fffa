#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/flow_store.h"
#include "packet/bytes.h"
#include "packet/compose.h"
#include "packet/match.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pipeline/field.h"
#include "pipeline/frozen.h"
#include "pipeline/mac_table.h"
#include "pipeline/ofgroup.h"
#include "pipeline/ofmeter.h"
#include "pipeline/pipeline_state.h"
#include "tunnel/neighbor.h"

static uint64_t
now_ms(const struct pipeline *pipeline)
{
    return pipeline->options.hooks.now(pipeline->options.hooks.aux);
}

static int
aggregate(const struct flow_store *flows, const struct sluice_flow_query *query, uint8_t *reply, size_t room,
          size_t *used)
{
    struct sluice_aggregate_reply aggregate_reply;
    if (room < sizeof aggregate_reply) {
        return ENOSPC;
    }
    int error = flow_store_aggregate(flows, query, &aggregate_reply);
    if (!error) {
        memcpy(reply, &aggregate_reply, sizeof aggregate_reply);
        *used = sizeof aggregate_reply;
    }
    return error;
}

static int
flow_query(const struct pipeline *pipeline, const struct sluice_flow_query *query, uint8_t *reply, size_t room,
           size_t *used)
{
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    if (!view) {
        return ENOENT;
    }
    return query->type == SLUICE_QUERY_FLOW_DUMP
               ? flow_store_dump(view->bridge->flows, query, now_ms(pipeline), reply, room, used)
               : aggregate(view->bridge->flows, query, reply, room, used);
}

static int
flow_changes(struct pipeline *pipeline, uint8_t *reply, size_t room, size_t *used)
{
    struct sluice_dump_reply head = { 0, 0, 0 };
    size_t at = sizeof head;
    if (room < at) {
        return ENOSPC;
    }
    for (uint32_t id = 0; id < pipeline->n_slots; id++) {
        const struct bridge_view *view = pipeline->slots[id].view;
        if (!view) {
            continue;
        }
        size_t bytes = 0;
        head.n_records += flow_store_take_reports(view->bridge->flows, reply + at, room - at, &bytes);
        at += bytes;
        if (flow_store_n_reports(view->bridge->flows)) {
            /* There is more: ask again.  What was taken is gone, so that the cursor only has to say so. */
            head.cursor = 1;
        }
    }
    if (head.cursor && !head.n_records) {
        return ENOSPC;
    }
    memcpy(reply, &head, sizeof head);
    *used = at;
    return 0;
}

/* Ids of counters from this on are of coverage, those below of drop reasons. */
#define COVERAGE_BASE 0x10000u

/* The counter at 'position' of a dump: drop reasons, then coverage. */
static struct sluice_counter_info
counter_at(const struct pipeline *pipeline, uint64_t position)
{
    struct sluice_counter_info info = { .type = SLUICE_QUERY_COUNTERS, .size = sizeof info };
    if (position < PIPELINE_DROP_REASONS) {
        info.id = (uint32_t) position;
        info.value = atomic_load_explicit(&pipeline->drops[position], memory_order_relaxed);
    } else {
        position -= PIPELINE_DROP_REASONS;
        info.id = COVERAGE_BASE + (uint32_t) position;
        info.value = position ? atomic_load_explicit(&pipeline->coverage[position], memory_order_relaxed) : 0;
    }
    return info;
}

static int
counters(const struct pipeline *pipeline, const struct sluice_dump_query *query, uint8_t *reply, size_t room,
         size_t *used)
{
    struct sluice_dump_reply head = { 0, 0, 0 };
    size_t at = sizeof head;
    if (room < at) {
        return ENOSPC;
    }
    for (uint64_t i = query->cursor; i < PIPELINE_DROP_REASONS + PIPELINE_COVERAGE; i++) {
        const struct sluice_counter_info info = counter_at(pipeline, i);
        if (!info.value) {
            continue;
        }
        if (room - at < sizeof info) {
            head.cursor = i;
            break;
        }
        memcpy(reply + at, &info, sizeof info);
        at += sizeof info;
        head.n_records++;
    }
    if (head.cursor && !head.n_records) {
        return ENOSPC;
    }
    memcpy(reply, &head, sizeof head);
    *used = at;
    return 0;
}

static int
memory(const struct pipeline *pipeline, uint8_t *reply, size_t room, size_t *used)
{
    struct sluice_memory_info info;
    memset(&info, 0, sizeof info);
    if (room < sizeof info) {
        return ENOSPC;
    }
    for (uint32_t id = 0; id < pipeline->n_slots; id++) {
        const struct bridge_view *view = pipeline->slots[id].view;
        if (view) {
            struct flow_store_size size;
            flow_store_measure(view->bridge->flows, &size);
            info.rule_bytes += size.n_bytes;
            info.n_rules += size.n_rules;
        }
    }
    memcpy(reply, &info, sizeof info);
    *used = sizeof info;
    return 0;
}

static int
ofport_stats(const struct pipeline *pipeline, const struct sluice_ofport_query *query, uint8_t *reply, size_t room,
             size_t *used)
{
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    const struct ofport *port = view ? bridge_view_find_port(view, port_normalize(query->ofp_port)) : NULL;
    if (!port) {
        return ENOENT;
    }
    const struct sluice_ofport_info info = {
        .type = query->type,
        .size = sizeof info,
        .bridge = query->bridge,
        .ofp_port = query->ofp_port,
        .rx_packets = atomic_load_explicit(&port->counters->rx_packets, memory_order_relaxed),
        .rx_bytes = atomic_load_explicit(&port->counters->rx_bytes, memory_order_relaxed),
        .tx_packets = atomic_load_explicit(&port->counters->tx_packets, memory_order_relaxed),
        .tx_bytes = atomic_load_explicit(&port->counters->tx_bytes, memory_order_relaxed),
    };
    if (room < sizeof info) {
        return ENOSPC;
    }
    memcpy(reply, &info, sizeof info);
    *used = sizeof info;
    return 0;
}

static int
mirror_stats(const struct pipeline *pipeline, const struct sluice_mirror_query *query, uint8_t *reply, size_t room,
             size_t *used)
{
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    const struct mirror *mirror = view && query->mirror < MIRRORS_MAX ? view->mirrors[query->mirror] : NULL;
    if (!mirror) {
        return ENOENT;
    }
    const struct sluice_mirror_info info = {
        .n_packets = atomic_load_explicit(&mirror->counters->tx_packets, memory_order_relaxed),
        .n_bytes = atomic_load_explicit(&mirror->counters->tx_bytes, memory_order_relaxed),
    };
    if (room < sizeof info) {
        return ENOSPC;
    }
    memcpy(reply, &info, sizeof info);
    *used = sizeof info;
    return 0;
}

static int
compose(const struct sluice_compose_query *query, uint8_t *reply, size_t room, size_t *used)
{
    uint32_t wanted = query->length == UINT32_MAX ? 0 : query->length;
    uint32_t payload_size = query->payload_size == UINT32_MAX ? 0 : query->payload_size;
    if (wanted > PACKET_LARGE_SIZE || payload_size > PACKET_LARGE_SIZE - PACKET_COMPOSE_SIZE_MAX
        || query->size != sizeof *query + query->match_size + ((payload_size + 7u) & ~7u)
        || (query->match_size && match_check_exact(query + 1, query->match_size, SLUICE_KEY_WORDS))) {
        return EINVAL;
    }
    struct flow_key key;
    struct flow_key mask;
    memset(&key, 0, sizeof key);
    if (query->match_size) {
        match_expand((const struct match *) (query + 1), &key, &mask);
    }
    struct packet packet;
    if (room < PACKET_COMPOSE_SIZE_MAX + payload_size || room < wanted) {
        return ENOSPC;
    }
    packet_wrap(&packet, reply, (uint32_t) room, 0, 0);
    const struct packet_payload payload = { (const uint8_t *) (query + 1) + query->match_size, payload_size };
    packet_compose_sized(&packet, &key, query->payload_size == UINT32_MAX ? NULL : &payload, wanted);
    *used = packet.size;
    return 0;
}

static int
parse(const struct pipeline *pipeline, const struct sluice_parse_query *query, uint8_t *reply, size_t room,
      size_t *used)
{
    if (query->packet_size > PACKET_LARGE_SIZE || query->size != sizeof *query + ((query->packet_size + 7u) & ~7u)) {
        return EINVAL;
    }
    struct packet packet;
    struct flow_key key;
    struct flow_key mask;
    packet_wrap(&packet, (void *) (query + 1), query->packet_size, 0, query->packet_size);
    packet_parse(&packet, pipeline_vlan_limit(pipeline), &key);
    key.in_port = be32(query->in_port);

    /* Words that are zero say nothing that their absence would not. */
    for (uint32_t i = 0; i < SLUICE_KEY_WORDS; i++) {
        mask.words[i] = key.words[i] ? UINT64_MAX : 0;
    }
    struct match_buffer match;
    size_t size = match_compress(&key, &mask, &match.match, sizeof match);
    if (size > room) {
        return ENOSPC;
    }
    memcpy(reply, &match, size);
    *used = size;
    return 0;
}

/* Which OpenFlow port a packet with the key of the query arrives on, or arrived on if it was recirculated. */
static int
arrival(const struct pipeline *pipeline, const struct sluice_arrival_query *query, uint8_t *reply, size_t room,
        size_t *used)
{
    if (query->size != sizeof *query + (((uint64_t) query->match_size + 7) & ~(uint64_t) 7)
        || match_check_exact(query + 1, query->match_size, SLUICE_KEY_WORDS)) {
        return EINVAL;
    }
    struct flow_key key;
    struct flow_key mask;
    match_expand((const struct match *) (query + 1), &key, &mask);
    const struct config *config = atomic_load_explicit(&pipeline->config, memory_order_acquire);
    struct sluice_arrival_info info = { .type = query->type, .size = sizeof info };
    const struct dp_port_ref *ref = key.recirc_id ? NULL : topology_find_arrival(config->topology, &key);
    if (key.recirc_id) {
        epoch_online(pipeline->reader);
        const struct frozen_state *state = frozen_find(pipeline->frozen, be32(key.recirc_id));
        info.bridge = state ? state->content.bridge : 0;
        info.ofp_port = state ? state->content.in_port : 0;
        epoch_offline(pipeline->reader);
    } else if (ref) {
        info.bridge = ref->view->bridge->id;
        info.ofp_port = ref->port->ofp_port;
    }
    if (!info.bridge) {
        return ENOENT;
    }
    if (room < sizeof info) {
        return ENOSPC;
    }
    memcpy(reply, &info, sizeof info);
    *used = sizeof info;
    return 0;
}

static int
neighbors(const struct pipeline *pipeline, uint8_t *reply, size_t room, size_t *used)
{
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    struct neighbor_info *infos = calloc(NEIGHBORS_MAX, sizeof *infos);
    if (!infos) {
        return ENOMEM;
    }
    uint32_t n = neighbor_dump(pipeline->neighbors, hooks->now(hooks->aux), infos, NEIGHBORS_MAX);
    const struct sluice_dump_reply head = { .n_records = n };
    size_t size = sizeof head + n * sizeof(struct sluice_neighbor_set);
    if (size <= room) {
        memcpy(reply, &head, sizeof head);
        for (uint32_t i = 0; i < n; i++) {
            struct sluice_neighbor_set record = { .type = SLUICE_QUERY_NEIGHBOR_DUMP,
                                                  .size = sizeof record,
                                                  .device = infos[i].device,
                                                  .is_stale = infos[i].is_stale };
            memcpy(record.address, infos[i].address, sizeof record.address);
            memcpy(record.mac, infos[i].mac, sizeof infos[i].mac);
            memcpy(reply + sizeof head + i * sizeof record, &record, sizeof record);
        }
        *used = size;
    }
    free(infos);
    return size <= room ? 0 : ENOSPC;
}

#define FIXED(NAME, STRUCT) [SLUICE_QUERY_##NAME] = sizeof(struct sluice_##STRUCT)
static const uint16_t fixed_sizes[] = {
    FIXED(FLOW_DUMP, flow_query),     FIXED(FLOW_AGGREGATE, flow_query),    FIXED(TABLE_STATS, bridge_query),
    FIXED(FDB_DUMP, bridge_query),    FIXED(COUNTERS, dump_query),          FIXED(TRACE, trace_query),
    FIXED(FLOW_CHANGES, dump_query),  FIXED(PACKET_COMPOSE, compose_query), FIXED(PACKET_PARSE, parse_query),
    FIXED(MEMORY, dump_query),        FIXED(OFPORT_STATS, ofport_query),    FIXED(ARRIVAL, arrival_query),
    FIXED(GROUP_DUMP, object_query),  FIXED(METER_DUMP, object_query),      FIXED(MIRROR_STATS, mirror_query),
    FIXED(NEIGHBOR_DUMP, dump_query), FIXED(FDB_STATS, bridge_query),       FIXED(MDB_DUMP, bridge_query),
    FIXED(BOND_STATS, bond_query),
};
#undef FIXED

bool
pipeline_has_query(uint16_t type)
{
    return type < sizeof fixed_sizes / sizeof fixed_sizes[0] && fixed_sizes[type];
}

int
pipeline_query(struct pipeline *pipeline, const struct sluice_record *query, uint8_t *reply, size_t room, size_t *used)
{
    *used = 0;
    if (!pipeline_has_query(query->type) || query->size < fixed_sizes[query->type]) {
        return EINVAL;
    }
    const void *record = query;
    switch (query->type) {
    case SLUICE_QUERY_FLOW_DUMP:
    case SLUICE_QUERY_FLOW_AGGREGATE:
        return flow_query(pipeline, record, reply, room, used);
    case SLUICE_QUERY_TABLE_STATS: {
        const struct bridge_view *view = pipeline_view(pipeline, ((const struct sluice_bridge_query *) record)->bridge);
        return view ? flow_store_table_stats(view->bridge->flows, record, reply, room, used) : ENOENT;
    }
    case SLUICE_QUERY_FDB_DUMP:
        return fdb_dump(pipeline, record, reply, room, used);
    case SLUICE_QUERY_MDB_DUMP:
        return mdb_dump(pipeline, record, reply, room, used);
    case SLUICE_QUERY_FDB_STATS:
        return fdb_stats(pipeline, record, reply, room, used);
    case SLUICE_QUERY_COUNTERS:
        return counters(pipeline, record, reply, room, used);
    case SLUICE_QUERY_TRACE:
        return trace_query(pipeline, record, reply, room, used);
    case SLUICE_QUERY_FLOW_CHANGES:
        return flow_changes(pipeline, reply, room, used);
    case SLUICE_QUERY_PACKET_COMPOSE:
        return compose(record, reply, room, used);
    case SLUICE_QUERY_PACKET_PARSE:
        return parse(pipeline, record, reply, room, used);
    case SLUICE_QUERY_MIRROR_STATS:
        return mirror_stats(pipeline, record, reply, room, used);
    case SLUICE_QUERY_BOND_STATS:
        return bond_stats(pipeline, record, reply, room, used);
    case SLUICE_QUERY_MEMORY:
        return memory(pipeline, reply, room, used);
    case SLUICE_QUERY_NEIGHBOR_DUMP:
        return neighbors(pipeline, reply, room, used);
    case SLUICE_QUERY_ARRIVAL:
        return arrival(pipeline, record, reply, room, used);
    case SLUICE_QUERY_GROUP_DUMP:
        return ofgroup_dump(pipeline, record, now_ms(pipeline), reply, room, used);
    case SLUICE_QUERY_METER_DUMP:
        return ofmeter_dump(pipeline, record, now_ms(pipeline), reply, room, used);
    default:
        return ofport_stats(pipeline, record, reply, room, used);
    }
}
