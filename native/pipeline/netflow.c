#include "pipeline/netflow.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/hash.h"
#include "packet/bytes.h"
#include "pipeline/pipeline_state.h"
#include "pipeline/xlate_ctx.h"

#define EXPIRE_INTERVAL_MS 1000u

/* Buckets looked at for each hold of the mutex. */
#define EXPIRE_BUCKETS 1024u

/* Records that one event tells of: as many as a datagram has room for. */
#define EVENT_RECORDS_MAX 30u

#define BUCKETS_MIN 64u

/* Values as in the flow key. */
struct netflow_key {
    uint32_t in_port;
    uint32_t ip_src;
    uint32_t ip_dst;
    uint16_t tp_src;
    uint16_t tp_dst;
    uint8_t ip_tos;
    uint8_t ip_proto;
    uint16_t pad;
};

struct netflow_flow {
    struct netflow_flow *next;
    struct netflow_key key;
    uint32_t hash;
    uint32_t output;
    uint16_t tcp_flags;      /* Of any packet since the last record. */
    uint64_t n_packets;      /* Likewise. */
    uint64_t n_bytes;        /* Likewise. */
    uint64_t created_ms;     /* First packet; or first one to this output. */
    uint64_t used_ms;        /* Last packet, or 0. */
    uint64_t last_expiry_ms; /* When the active timeout began that runs now, or 0. */
};

struct netflow_path {
    struct netflow *netflow; /* Counted. */
    struct netflow_key key;
};

struct netflow {
    _Atomic uint32_t refs;
    struct pipeline *pipeline;
    uint32_t bridge;
    uint64_t random_seed;

    pthread_mutex_t mutex; /* Guards what follows. */
    uint64_t timeout_ms;   /* 0: off. */
    uint64_t began_ms;
    uint64_t changed_ms; /* When 'timeout_ms' did. */
    uint64_t next_expiry_ms;
    uint32_t n_flows;
    uint32_t n_buckets; /* A power of 2, or 0. */
    struct netflow_flow **buckets;
    uint32_t n_records;
    uint32_t records_capacity;
    struct sluice_netflow_record *records; /* The oldest first. */
};

struct netflow *
netflow_create(struct pipeline *pipeline, uint32_t bridge, uint64_t random_seed)
{
    struct netflow *netflow = calloc(1, sizeof *netflow);
    if (netflow) {
        atomic_init(&netflow->refs, 1);
        netflow->pipeline = pipeline;
        netflow->bridge = bridge;
        netflow->random_seed = random_seed;
        pthread_mutex_init(&netflow->mutex, NULL);
    }
    return netflow;
}

static void
forget_all(struct netflow *netflow)
{
    for (uint32_t i = 0; i < netflow->n_buckets; i++) {
        struct netflow_flow *next;
        for (struct netflow_flow *flow = netflow->buckets[i]; flow; flow = next) {
            next = flow->next;
            free(flow);
        }
    }
    free(netflow->buckets);
    free(netflow->records);
    netflow->buckets = NULL;
    netflow->records = NULL;
    netflow->n_flows = netflow->n_buckets = 0;
    netflow->n_records = netflow->records_capacity = 0;
}

void
netflow_unref(struct netflow *netflow)
{
    if (netflow && atomic_fetch_sub(&netflow->refs, 1) == 1) {
        forget_all(netflow);
        pthread_mutex_destroy(&netflow->mutex);
        free(netflow);
    }
}

void
netflow_configure(struct netflow *netflow, uint32_t active_timeout_s, uint64_t now_ms)
{
    uint64_t timeout_ms = (uint64_t) active_timeout_s * 1000;
    pthread_mutex_lock(&netflow->mutex);
    if (timeout_ms != netflow->timeout_ms) {
        if (!timeout_ms) {
            forget_all(netflow);
        } else if (!netflow->timeout_ms) {
            netflow->began_ms = now_ms;
        }
        netflow->timeout_ms = timeout_ms;
        netflow->changed_ms = netflow->next_expiry_ms = now_ms;
    }
    pthread_mutex_unlock(&netflow->mutex);
}

static void
count_lost(struct netflow *netflow)
{
    pipeline_cover(netflow->pipeline, SLUICE_COVERAGE_NETFLOW_LOST);
}

/* Room for one more record, or null. */
static struct sluice_netflow_record *
add_record(struct netflow *netflow)
{
    if (netflow->n_records == NETFLOW_RECORDS_MAX) {
        count_lost(netflow);
        return NULL;
    }
    if (netflow->n_records == netflow->records_capacity) {
        uint32_t capacity = netflow->records_capacity ? 2 * netflow->records_capacity : EVENT_RECORDS_MAX;
        struct sluice_netflow_record *grown = realloc(netflow->records, capacity * sizeof *grown);
        if (!grown) {
            count_lost(netflow);
            return NULL;
        }
        netflow->records = grown;
        netflow->records_capacity = capacity;
    }
    return &netflow->records[netflow->n_records++];
}

static uint64_t
since(uint64_t began_ms, uint64_t ms)
{
    return ms > began_ms ? ms - began_ms : 0;
}

/* Makes a record of what was counted since the last one, unless that is nothing. */
static void
record(struct netflow *netflow, struct netflow_flow *flow)
{
    flow->last_expiry_ms += netflow->timeout_ms;
    if (!flow->n_packets) {
        return;
    }
    struct sluice_netflow_record *r = add_record(netflow);
    if (r) {
        uint64_t last_ms = flow->used_ms > flow->created_ms ? flow->used_ms : flow->created_ms;
        *r = (struct sluice_netflow_record){
            .ip_src = be32(flow->key.ip_src),
            .ip_dst = be32(flow->key.ip_dst),
            .input = be32(flow->key.in_port) & UINT16_MAX,
            .output = flow->output & UINT16_MAX,
            .n_packets = flow->n_packets,
            .n_bytes = flow->n_bytes,
            .first_ms = since(netflow->began_ms, flow->created_ms),
            .last_ms = since(netflow->began_ms, last_ms),
            .tp_src = be16(flow->key.tp_src),
            .tp_dst = be16(flow->key.tp_dst),
            .tcp_flags = flow->tcp_flags,
            .ip_tos = flow->key.ip_tos,
            .ip_proto = flow->key.ip_proto,
        };
    }
    flow->n_packets = flow->n_bytes = 0;
    flow->tcp_flags = 0;
}

/* Asks for netflow_deliver(), outside the mutex. */
static void
ask(struct netflow *netflow)
{
    struct pipeline *pipeline = netflow->pipeline;
    atomic_store(&pipeline->netflow_waits, true);
    if (pipeline->options.hooks.chore_waits) {
        pipeline->options.hooks.chore_waits(pipeline->options.hooks.aux);
    }
}

static uint32_t
key_hash(const struct netflow *netflow, const struct netflow_key *key)
{
    return hash_finish(hash_bytes(netflow->random_seed, key, sizeof *key));
}

/* Where the flow is, or would be.  There are buckets. */
static struct netflow_flow **
find(struct netflow *netflow, const struct netflow_key *key, uint32_t hash)
{
    struct netflow_flow **place = &netflow->buckets[hash & (netflow->n_buckets - 1)];
    while (*place && ((*place)->hash != hash || memcmp(&(*place)->key, key, sizeof *key))) {
        place = &(*place)->next;
    }
    return place;
}

static bool
grow_buckets(struct netflow *netflow)
{
    uint32_t n = netflow->n_buckets ? 2 * netflow->n_buckets : BUCKETS_MIN;
    struct netflow_flow **buckets = calloc(n, sizeof *buckets);
    if (!buckets) {
        return netflow->n_buckets;
    }
    for (uint32_t i = 0; i < netflow->n_buckets; i++) {
        struct netflow_flow *next;
        for (struct netflow_flow *flow = netflow->buckets[i]; flow; flow = next) {
            next = flow->next;
            flow->next = buckets[flow->hash & (n - 1)];
            buckets[flow->hash & (n - 1)] = flow;
        }
    }
    free(netflow->buckets);
    netflow->buckets = buckets;
    netflow->n_buckets = n;
    return true;
}

/* The flow, which is made if need be; null, and counted, if there is no room. */
static struct netflow_flow *
find_or_add(struct netflow *netflow, const struct netflow_key *key, uint32_t output, uint64_t used_ms)
{
    uint32_t hash = key_hash(netflow, key);
    struct netflow_flow *flow = netflow->n_buckets ? *find(netflow, key, hash) : NULL;
    if (flow) {
        return flow;
    }
    bool has_room =
        netflow->n_flows < NETFLOW_FLOWS_MAX && (netflow->n_flows < netflow->n_buckets || grow_buckets(netflow));
    flow = has_room ? calloc(1, sizeof *flow) : NULL;
    if (!flow) {
        count_lost(netflow);
        return NULL;
    }
    flow->key = *key;
    flow->hash = hash;
    flow->output = output;
    flow->created_ms = used_ms;
    struct netflow_flow **bucket = &netflow->buckets[hash & (netflow->n_buckets - 1)];
    flow->next = *bucket;
    *bucket = flow;
    netflow->n_flows++;
    return flow;
}

static void
count(struct netflow *netflow, struct netflow_flow *flow, uint32_t output, const struct xlate_traffic *traffic)
{
    if (flow->output != output) {
        record(netflow, flow);
        flow->created_ms = traffic->used_ms;
        flow->output = output;
    }
    flow->n_packets += traffic->n_packets;
    flow->n_bytes += traffic->n_bytes;
    flow->tcp_flags |= traffic->tcp_flags;
    if (traffic->used_ms > flow->used_ms) {
        flow->used_ms = traffic->used_ms;
        if (!flow->last_expiry_ms || netflow->changed_ms > flow->last_expiry_ms) {
            /* Without this a timeout that is new would find all flows to be late at once. */
            const struct pipeline_hooks *hooks = &netflow->pipeline->options.hooks;
            flow->last_expiry_ms = hooks->now(hooks->aux);
        }
    }
}

void
netflow_count(const struct netflow_path *path, uint32_t output, const struct xlate_traffic *traffic)
{
    struct netflow *netflow = path->netflow;
    if (!traffic->n_packets) {
        return;
    }
    pthread_mutex_lock(&netflow->mutex);
    uint32_t n_before = netflow->n_records;
    if (netflow->timeout_ms) {
        struct netflow_flow *flow = find_or_add(netflow, &path->key, output, traffic->used_ms);
        if (flow) {
            count(netflow, flow, output, traffic);
        }
    }
    bool has_records = netflow->n_records > n_before;
    pthread_mutex_unlock(&netflow->mutex);
    if (has_records) {
        ask(netflow);
    }
}

static void
forget(struct netflow *netflow, struct netflow_flow **place)
{
    struct netflow_flow *flow = *place;
    *place = flow->next;
    free(flow);
    netflow->n_flows--;
}

void
netflow_end(const struct netflow_path *path)
{
    struct netflow *netflow = path->netflow;
    pthread_mutex_lock(&netflow->mutex);
    uint32_t n_before = netflow->n_records;
    if (netflow->n_buckets) {
        struct netflow_flow **place = find(netflow, &path->key, key_hash(netflow, &path->key));
        if (*place) {
            record(netflow, *place);
            forget(netflow, place);
        }
    }
    bool has_records = netflow->n_records > n_before;
    pthread_mutex_unlock(&netflow->mutex);
    if (has_records) {
        ask(netflow);
    }
}

static void
expire_bucket(struct netflow *netflow, struct netflow_flow **place, uint64_t now_ms)
{
    while (*place) {
        struct netflow_flow *flow = *place;
        bool is_due = now_ms > flow->last_expiry_ms + netflow->timeout_ms;
        bool is_idle = flow->used_ms < flow->last_expiry_ms;
        if (is_due) {
            record(netflow, flow);
        }
        if (is_due && is_idle) {
            forget(netflow, place);
        } else {
            place = &flow->next;
        }
    }
}

void
netflow_expire(struct netflow *netflow, uint64_t now_ms)
{
    pthread_mutex_lock(&netflow->mutex);
    if (netflow->timeout_ms && now_ms >= netflow->next_expiry_ms) {
        netflow->next_expiry_ms = now_ms + EXPIRE_INTERVAL_MS;
        for (uint32_t i = 0; i < netflow->n_buckets; i++) {
            expire_bucket(netflow, &netflow->buckets[i], now_ms);
            if (i % EXPIRE_BUCKETS == EXPIRE_BUCKETS - 1) {
                /* Workers wait for the mutex.  If buckets become more meanwhile, what is not seen now is the next time. */
                pthread_mutex_unlock(&netflow->mutex);
                sched_yield();
                pthread_mutex_lock(&netflow->mutex);
            }
        }
    }
    pthread_mutex_unlock(&netflow->mutex);
}

/* Tells the oldest records.  The mutex is held: what a hook does is put them in a ring. */
static bool
deliver_some(struct netflow *netflow, uint32_t at, uint32_t n, uint64_t now_ms)
{
    const struct pipeline_hooks *hooks = &netflow->pipeline->options.hooks;
    struct sluice_event_netflow event = {
        .type = SLUICE_EVENT_NETFLOW,
        .bridge = netflow->bridge,
        .n_records = n,
        .uptime_ms = since(netflow->began_ms, now_ms),
    };
    return !hooks->netflow || hooks->netflow(hooks->aux, &event, netflow->records + at);
}

void
netflow_deliver(struct netflow *netflow, uint64_t now_ms)
{
    pthread_mutex_lock(&netflow->mutex);
    uint32_t at = 0;
    while (at < netflow->n_records) {
        uint32_t left = netflow->n_records - at;
        uint32_t n = left < EVENT_RECORDS_MAX ? left : EVENT_RECORDS_MAX;
        if (!deliver_some(netflow, at, n, now_ms)) {
            break;
        }
        at += n;
    }
    if (at) {
        netflow->n_records -= at;
        memmove(netflow->records, netflow->records + at, netflow->n_records * sizeof *netflow->records);
    }
    pthread_mutex_unlock(&netflow->mutex);
}

void
netflow_unwildcard(struct xlate_ctx *ctx)
{
    const uint8_t icmp = 1, dscp = 0xfc;
    if (!ctx->view->netflow_timeout_s || ctx->flow.eth_type != be16(ETH_TYPE_IPV4)) {
        return;
    }
    WILD_ALL(ctx, ip_proto);
    WILD_ALL(ctx, ip_src);
    WILD_ALL(ctx, ip_dst);
    WILD(ctx, ip_tos, dscp);
    uint16_t ports = ctx->flow.ip_proto == icmp ? be16(0xff) : UINT16_MAX;
    WILD(ctx, tp_src, ports);
    WILD(ctx, tp_dst, ports);
}

void
netflow_finish(struct xlate_ctx *ctx)
{
    /* A record tells of the packet as it leaves, and only of what its first way through the tables made of it. */
    if (!ctx->view->netflow_timeout_s || ctx->frozen || ctx->in->trace || ctx->flow.eth_type != be16(ETH_TYPE_IPV4)) {
        return;
    }
    struct netflow_path *path = calloc(1, sizeof *path);
    struct xlate_credit *credit = path ? xlate_add_credit(ctx) : NULL;
    if (!credit) {
        count_lost(ctx->view->bridge->netflow);
        free(path);
        return;
    }
    path->netflow = ctx->view->bridge->netflow;
    atomic_fetch_add_explicit(&path->netflow->refs, 1, memory_order_relaxed);
    path->key = (struct netflow_key){
        .in_port = ctx->flow.in_port,
        .ip_src = ctx->flow.ip_src,
        .ip_dst = ctx->flow.ip_dst,
        .tp_src = ctx->flow.tp_src,
        .tp_dst = ctx->flow.tp_dst,
        .ip_tos = ctx->flow.ip_tos,
        .ip_proto = ctx->flow.ip_proto,
    };
    credit->kind = XLATE_CREDIT_NETFLOW;
    credit->bundle = ctx->netflow_output;
    credit->path = path;
}

void
netflow_path_free(struct netflow_path *path)
{
    if (path) {
        netflow_unref(path->netflow);
        free(path);
    }
}
