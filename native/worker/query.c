/* Queries that are not the pipeline's: ports, links, megaflows, figures. */
#include <errno.h>
#include <string.h>

#include "classifier/flow_cache.h"
#include "packet/compose.h"
#include "packet/match.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pipeline/pipeline.h"
#include "worker/dump.h"
#include "worker/query_worker.h"
#include "worker/flood.h"
#include "worker/shaper.h"
#include "worker/state.h"

/* The upper bits of a megaflow_dump's cursor say which worker is being read. */
#define CURSOR_SHIFT 56

static size_t
pad8(size_t size)
{
    return (size + 7) & ~(size_t) 7;
}

static int
give(const void *bytes, size_t size, uint8_t *reply, size_t reply_size, size_t *used)
{
    if (reply_size < size) {
        return ENOSPC;
    }
    memcpy(reply, bytes, size);
    *used = size;
    return 0;
}

static int
answer_port_stats(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                  size_t reply_size, size_t *used)
{
    const struct sluice_port_query *ask = (const struct sluice_port_query *) query;
    struct sluice_port_info info;

    if (query->size != sizeof *ask) {
        return EINVAL;
    }
    struct port *port = port_table_get(datapath, ask->dp_port);
    if (port == NULL) {
        return ENOENT;
    }
    port_stats(port, &info);
    info.type = SLUICE_QUERY_PORT_STATS;
    uint32_t n_sockets = port->class->queue_stats == NULL ? 0 : port->n_rxq;
    info.size += n_sockets * (uint32_t) sizeof(struct sluice_xsk_info);
    if (reply_size < info.size) {
        return ENOSPC;
    }
    for (uint32_t i = 0; i < n_sockets; i++) {
        struct sluice_xsk_info socket;
        port->class->queue_stats(port, i, &socket);
        memcpy(reply + sizeof info + i * sizeof socket, &socket, sizeof socket);
    }
    memcpy(reply, &info, sizeof info);
    *used = info.size;
    return 0;
}

/* Writes a link as a record: what a link_info is followed by. */
static size_t
link_record_size(const struct link *link)
{
    return sizeof link->info + pad8(strlen(link->name)) + pad8(strlen(link->kind));
}

static void
write_link(const struct link *link, uint16_t type, uint8_t *record)
{
    struct sluice_link_info info = link->info;

    info.type = type;
    info.size = (uint32_t) link_record_size(link);
    info.name_size = (uint32_t) strlen(link->name);
    info.kind_size = (uint32_t) strlen(link->kind);
    memcpy(record, &info, sizeof info);
    memcpy(record + sizeof info, link->name, info.name_size);
    memcpy(record + sizeof info + pad8(info.name_size), link->kind, info.kind_size);
}

static int
answer_link_get(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply, size_t reply_size,
                size_t *used)
{
    const struct sluice_link_query *ask = (const struct sluice_link_query *) query;
    char name[IFNAMSIZ] = "";
    struct link link;

    (void) datapath;
    if (query->size < sizeof *ask || ask->name_size > query->size
        || query->size != sizeof *ask + pad8(ask->name_size)) {
        return EINVAL;
    }
    if (ask->name_size == 0 || ask->name_size >= sizeof name) {
        return ENOENT;
    }
    memcpy(name, ask + 1, ask->name_size);
    int error = link_get(name, &link);
    if (error != 0) {
        return error == ENODEV ? ENOENT : error;
    }
    if ((query->flags & SLUICE_LINK_ASK_DEVICE) != 0) {
        link.info.link_flags &= ~(uint32_t) IFF_RUNNING;
        link.info.link_flags |= link_asks_device(name) ? (uint32_t) IFF_RUNNING : 0;
    }
    if (reply_size < link_record_size(&link)) {
        return ENOSPC;
    }
    memset(reply, 0, link_record_size(&link));
    write_link(&link, SLUICE_QUERY_LINK_GET, reply);
    *used = link_record_size(&link);
    return 0;
}

static int
answer_shape_stats(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                   size_t reply_size, size_t *used)
{
    const struct sluice_port_query *ask = (const struct sluice_port_query *) query;

    if (query->size != sizeof *ask) {
        return EINVAL;
    }
    struct shaper *shaper = port_table_shaper(datapath, ask->dp_port);
    if (shaper == NULL) {
        return ENOENT;
    }
    struct sluice_dump_reply header = { .n_records = 0 };
    if (reply_size < sizeof header) {
        return ENOSPC;
    }
    size_t room = (reply_size - sizeof header) / sizeof(struct sluice_shape_info);
    header.n_records = shaper_stats(shaper, (struct sluice_shape_info *) (void *) (reply + sizeof header), room);
    if (header.n_records > room) {
        return ENOSPC;
    }
    memcpy(reply, &header, sizeof header);
    *used = sizeof header + header.n_records * sizeof(struct sluice_shape_info);
    return 0;
}

static int
answer_tc_get(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply, size_t reply_size,
              size_t *used)
{
    const struct sluice_tc_request *ask = (const struct sluice_tc_request *) query;

    (void) datapath;
    if (query->size < sizeof *ask || ask->message_size > query->size
        || query->size != sizeof *ask + pad8(ask->message_size)) {
        return EINVAL;
    }
    return link_tc(ask + 1, ask->message_size, reply, reply_size, used);
}

static _Bool
add_link(void *aux, const struct link *link)
{
    struct dump *dump = aux;
    uint8_t *record = dump_add(dump, link_record_size(link));

    if (record != NULL) {
        write_link(link, SLUICE_QUERY_LINK_LIST, record);
    }
    return !dump->is_full;
}

static int
answer_link_list(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply, size_t reply_size,
                 size_t *used)
{
    struct dump dump;
    int error = dump_begin(&dump, query, reply, reply_size);

    (void) datapath;
    if (error == 0) {
        error = link_list(add_link, &dump);
    }
    return error != 0 ? error : dump_end(&dump, used);
}

static int
answer_megaflow_dump(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                     size_t reply_size, size_t *used)
{
    const struct sluice_dump_query *ask = (const struct sluice_dump_query *) query;
    struct sluice_dump_reply header = { .cursor = 0 };
    size_t at = sizeof header;

    if (query->size != sizeof *ask) {
        return EINVAL;
    }
    uint32_t worker = (uint32_t) (ask->cursor >> CURSOR_SHIFT);
    uint64_t cursor = ask->cursor & ((UINT64_C(1) << CURSOR_SHIFT) - 1);
    if (reply_size < sizeof header) {
        return ENOSPC;
    }
    for (; worker < datapath->n_workers; worker++) {
        size_t n_bytes = 0;
        uint32_t n = 0;
        int error = flow_cache_dump(datapath->workers[worker]->cache, worker, &cursor, reply + at, reply_size - at,
                                    &n_bytes, &n);
        at += n_bytes;
        header.n_records += n;
        if (error == ENOSPC && header.n_records == 0) {
            return ENOSPC;
        }
        if (error == ENOSPC || cursor != 0) {
            header.cursor = ((uint64_t) worker << CURSOR_SHIFT) | cursor;
            break;
        }
    }
    memcpy(reply, &header, sizeof header);
    *used = at;
    return 0;
}

/* Rules in all bridges. */
static uint32_t
count_rules(struct sluice_datapath *datapath)
{
    const struct sluice_dump_query ask = { .type = SLUICE_QUERY_MEMORY, .size = sizeof ask };
    struct sluice_memory_info info = { 0 };
    size_t used;

    pipeline_query(datapath->pipeline, (const struct sluice_record *) &ask, (uint8_t *) &info, sizeof info, &used);
    return (uint32_t) info.n_rules;
}

static int
answer_datapath_stats(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                      size_t reply_size, size_t *used)
{
    struct flow_cache_stats stats = { 0 };
    struct sluice_datapath_stats info = {
        .flow_limit = datapath->flow_limit,
        .n_rules = count_rules(datapath),
    };

    (void) query;
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        flow_cache_add_stats(datapath->workers[i]->cache, &stats);
        info.n_missed += atomic_load_explicit(&datapath->workers[i]->counters.n_misses, memory_order_relaxed);
        info.n_lost += atomic_load_explicit(&datapath->workers[i]->counters.n_held, memory_order_relaxed);
    }
    info.n_hit = stats.n_hits;
    info.n_flows = stats.n_flows;
    info.n_mask_hit = stats.n_mask_probes;
    info.n_cache_hit = stats.n_signature_hits;
    info.n_masks = stats.n_masks;
    return give(&info, sizeof info, reply, reply_size, used);
}

/* Gives the megaflows' part of the answer; the pipeline knows of rules. */
static int
answer_memory(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply, size_t reply_size,
              size_t *used)
{
    struct sluice_memory_info info = { 0 };
    struct flow_cache_stats stats = { 0 };

    if (pipeline_has_query(query->type)) {
        int error = pipeline_query(datapath->pipeline, query, (uint8_t *) &info, sizeof info, used);
        if (error != 0) {
            return error;
        }
    }
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        struct packet_pool_stats pool;
        flow_cache_add_stats(datapath->workers[i]->cache, &stats);
        packet_pool_get_stats(datapath->workers[i]->pool, &pool);
        info.packet_bytes += (uint64_t) pool.n_small * PACKET_SMALL_SIZE + (uint64_t) pool.n_large * PACKET_LARGE_SIZE;
    }
    info.megaflow_bytes = stats.n_bytes;
    info.n_megaflows = stats.n_flows;
    info.n_ports = datapath->ports.n_ports;
    return give(&info, sizeof info, reply, reply_size, used);
}

static int
answer_stats_sync(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                  size_t reply_size, size_t *used)
{
    struct dump dump;
    int error = dump_begin(&dump, query, reply, reply_size);

    if (error != 0) {
        return error;
    }
    maintain_sweep(datapath);
    return dump_end(&dump, used);
}

/* Sets of counters: where each begins in the ids of counter_info. */
#define COVERAGE_BASE 0x10000u
#define PORT_DROP_BASE 0x20000u

static void
add_counter(struct dump *dump, uint32_t id, uint32_t dp_port, uint64_t value)
{
    struct sluice_counter_info *info = value != 0 ? dump_add(dump, sizeof *info) : NULL;

    if (info != NULL) {
        info->type = SLUICE_QUERY_COUNTERS;
        info->size = sizeof *info;
        info->id = id;
        info->dp_port = dp_port;
        info->value = value;
    }
}

static void
add_drops(struct dump *dump, struct dp_port *entry)
{
    struct sluice_port_info info;
    uint32_t number = entry->port->dp_port;

    port_stats(entry->port, &info); /* What the device dropped is counted when it is asked. */
    for (uint32_t reason = 1; reason < PORT_DROPS; reason++) {
        add_counter(dump, PORT_DROP_BASE + reason, number, port_n_dropped(entry->port, reason));
    }
    for (uint32_t reason = 1; reason < DROP_REASONS; reason++) {
        add_counter(dump, reason, number, atomic_load_explicit(&entry->drops.n[reason], memory_order_relaxed));
    }
}

/* What becomes of packets besides being received, sent and dropped. */
static void
add_packet_counts(struct dump *dump, const struct sluice_datapath *datapath, uint64_t n_segments)
{
    uint64_t n_injected = 0, n_copied = n_segments, n_consumed = 0;

    const struct worker *others[] = { datapath->control_worker, datapath->keepalive.worker };
    const uint32_t n_workers = datapath->n_workers;
    for (uint32_t i = 0; i < n_workers + 2; i++) {
        const struct worker *worker = i < n_workers ? datapath->workers[i] : others[i - n_workers];
        n_injected += atomic_load_explicit(&worker->n_injected, memory_order_relaxed);
        n_copied += atomic_load_explicit(&worker->counts.n_copied, memory_order_relaxed);
        n_consumed += atomic_load_explicit(&worker->counts.n_consumed, memory_order_relaxed);
    }
    add_counter(dump, COVERAGE_BASE + SLUICE_COVERAGE_PACKET_INJECTED, 0, n_injected);
    add_counter(dump, COVERAGE_BASE + SLUICE_COVERAGE_PACKET_COPIED, 0, n_copied);
    add_counter(dump, COVERAGE_BASE + SLUICE_COVERAGE_PACKET_CONSUMED, 0, n_consumed);
}

/* The pipeline's counters come first, under its cursors; then, under cursors from this bit on, the others. */
#define PORT_CURSOR (UINT64_C(1) << 63)

static int
answer_counters(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply, size_t reply_size,
                size_t *used)
{
    const struct sluice_dump_query *ask = (const struct sluice_dump_query *) query;
    uint64_t n_segments = datapath->ports.closed_segments;
    struct sluice_dump_reply header;
    struct dump dump;
    int error = dump_begin(&dump, query, reply, reply_size);

    if (error != 0) {
        return error;
    }
    if (ask->cursor < PORT_CURSOR) {
        error = pipeline_query(datapath->pipeline, query, reply, reply_size, used);
        memcpy(&header, reply, error == 0 ? sizeof header : 0);
        if (error != 0 || header.cursor != 0) {
            return error;
        }
        dump.used = *used;
        dump.n = header.n_records;
        dump.skip = 0;
    } else {
        dump.skip = ask->cursor - PORT_CURSOR;
    }
    for (uint32_t reason = 1; reason < PORT_DROPS; reason++) {
        add_counter(&dump, PORT_DROP_BASE + reason, 0, datapath->ports.closed_drops[reason]);
    }
    for (uint32_t seen = 0, i = 0; seen < datapath->ports.n_ports && i < DATAPATH_PORTS_MAX; i++) {
        struct dp_port *entry = atomic_load_explicit(&datapath->ports.ports[i], memory_order_relaxed);
        if (entry != NULL) {
            seen++;
            add_drops(&dump, entry);
            n_segments += port_n_segments(entry->port);
        }
    }
    add_packet_counts(&dump, datapath, n_segments);
    error = dump_end(&dump, used);
    if (error == 0 && dump.is_full) {
        header = (struct sluice_dump_reply){ .cursor = PORT_CURSOR + dump.cursor, .n_records = dump.n };
        memcpy(reply, &header, sizeof header);
    }
    return error;
}

typedef int query_func(struct sluice_datapath *, const struct sluice_record *, uint8_t *, size_t, size_t *);

static query_func *
own_query(uint16_t type)
{
    switch (type) {
    case SLUICE_QUERY_PORT_STATS:
        return answer_port_stats;
    case SLUICE_QUERY_MEGAFLOW_DUMP:
        return answer_megaflow_dump;
    case SLUICE_QUERY_COUNTERS:
        return answer_counters;
    case SLUICE_QUERY_DATAPATH_STATS:
        return answer_datapath_stats;
    case SLUICE_QUERY_LINK_GET:
        return answer_link_get;
    case SLUICE_QUERY_STATS_SYNC:
        return answer_stats_sync;
    case SLUICE_QUERY_WORKER_STATS:
        return query_worker_stats;
    case SLUICE_QUERY_QUEUE_STATS:
        return query_queue_stats;
    case SLUICE_QUERY_WORKER_HISTOGRAMS:
        return query_worker_histograms;
    case SLUICE_QUERY_WORKER_HISTORY:
        return query_worker_history;
    case SLUICE_QUERY_MISS_STATS:
        return flood_answer_ports;
    case SLUICE_QUERY_MISS_RULES:
        return flood_answer_rules;
    case SLUICE_QUERY_MEMORY:
        return answer_memory;
    case SLUICE_QUERY_LINK_LIST:
        return answer_link_list;
    case SLUICE_QUERY_SHAPE_STATS:
        return answer_shape_stats;
    case SLUICE_QUERY_KEEPALIVE_GET:
        return keepalive_answer;
    case SLUICE_QUERY_TC_GET:
        return answer_tc_get;
    default:
        return NULL;
    }
}

/* Queries whose figures include what megaflows have counted: these are pushed first, once for a dump. */
static _Bool
wants_push(const struct sluice_record *query)
{
    switch (query->type) {
    case SLUICE_QUERY_FLOW_CHANGES:
        /* Of removed rules the last figures are told. */
        return 1;
    case SLUICE_QUERY_FLOW_DUMP:
    case SLUICE_QUERY_FLOW_AGGREGATE:
    case SLUICE_QUERY_TABLE_STATS:
    case SLUICE_QUERY_OFPORT_STATS:
    case SLUICE_QUERY_MIRROR_STATS:
    case SLUICE_QUERY_GROUP_DUMP:
    case SLUICE_QUERY_FDB_DUMP:
    case SLUICE_QUERY_BOND_STATS:
        /* Where there is a cursor, it is the member after the header. */
        return query->type == SLUICE_QUERY_OFPORT_STATS || query->type == SLUICE_QUERY_MIRROR_STATS
               || query->type == SLUICE_QUERY_BOND_STATS || query->size < 16
               || ((const struct sluice_dump_query *) query)->cursor == 0;
    default:
        return 0;
    }
}

int
query_answer(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply, size_t reply_size,
             size_t *used)
{
    query_func *own = own_query(query->type);

    if (own != NULL) {
        return own(datapath, query, reply, reply_size, used);
    }
    if (!pipeline_has_query(query->type)) {
        return ENOTSUP;
    }
    if (wants_push(query)) {
        maintain_push(datapath);
    }
    int error = pipeline_query(datapath->pipeline, query, reply, reply_size, used);
    if (query->type == SLUICE_QUERY_FLOW_CHANGES) {
        datapath->reports_wait = 0;
    }
    return error;
}
