/* A flow cache whose worker forwards while other threads sweep, dump and flush. */
#include "classifier/flow_cache.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

#include "classifier/test/random_rules.h"

#define N_FLOWS 3000
#define N_BURSTS 20000

struct shared {
    struct epoch *epoch;
    struct flow_cache *cache;
    _Atomic uint64_t change;
    _Atomic bool stop;
    _Atomic uint64_t n_credited[N_FLOWS];
    _Atomic int64_t n_held; /* References that megaflows own. */
    uint64_t n_sent[N_FLOWS];
    uint64_t n_found, n_cached;
};

static void
credit(void *shared_, void *data, uint64_t n_packets, uint64_t n_bytes, uint64_t used_ms, uint16_t tcp_flags)
{
    struct shared *shared = shared_;

    (void) n_bytes, (void) used_ms, (void) tcp_flags;
    atomic_fetch_add_explicit(&shared->n_credited[*(uint64_t *) data], n_packets, memory_order_relaxed);
}

static void
release(void *shared_, void *data)
{
    (void) data;
    atomic_fetch_sub(&((struct shared *) shared_)->n_held, 1);
}

/* One flow in eight goes stale with each change. */
static bool
is_stale(void *shared_, const struct megaflow *megaflow, uint64_t *change)
{
    uint64_t now = atomic_load(&((struct shared *) shared_)->change);
    bool stale = false;

    for (uint64_t i = *change + 1; i <= now && !stale; i++) {
        stale = (*(uint64_t *) megaflow_data(megaflow) + i) % 8 == 0;
    }
    if (!stale) {
        *change = now;
    }
    return stale;
}

static struct flow_key
key_of(uint32_t flow)
{
    return (struct flow_key){ .in_port = be32(1 + flow % 8), .ip_src = be32(flow), .tp_dst = (uint16_t) (flow * 7) };
}

static struct flow_key
mask_of(uint32_t flow)
{
    return (struct flow_key){ .in_port = UINT32_MAX, .ip_src = UINT32_MAX, .tp_dst = (uint16_t) (0xffff << flow % 8) };
}

static void
forward_burst(struct shared *shared, uint64_t *random, uint64_t now_ms)
{
    struct flow_key keys[FLOW_CACHE_BURST];
    const struct flow_key *pointers[FLOW_CACHE_BURST];
    struct megaflow *megaflows[FLOW_CACHE_BURST];
    uint64_t flows[FLOW_CACHE_BURST];
    uint64_t change = atomic_load(&shared->change);

    for (uint32_t i = 0; i < FLOW_CACHE_BURST; i++) {
        flows[i] = random_below(random, random_below(random, 2) ? 50 : N_FLOWS);
        keys[i] = key_of((uint32_t) flows[i]);
        pointers[i] = &keys[i];
    }
    uint32_t found = flow_cache_lookup(shared->cache, pointers, FLOW_CACHE_BURST, change, megaflows);
    for (uint32_t i = 0; i < FLOW_CACHE_BURST; i++) {
        if (!(found >> i & 1)) {
            struct flow_key mask = mask_of((uint32_t) flows[i]);
            struct flow_cache_insertion insertion = { .key = &keys[i],
                                                      .mask = &mask,
                                                      .actions = &flows[i],
                                                      .actions_size = 8,
                                                      .data = &flows[i],
                                                      .data_size = 8,
                                                      .change = change,
                                                      .now_ms = now_ms };
            atomic_fetch_add(&shared->n_held, 1);
            bool replaced;
            if (flow_cache_insert(shared->cache, &insertion, &megaflows[i], &replaced) != 0) {
                atomic_fetch_sub(&shared->n_held, 1);
                continue;
            }
            shared->n_cached++;
        }
        CHECK(*(const uint64_t *) megaflow_actions(megaflows[i]) == flows[i]);
        megaflow_hit(megaflows[i], 1, 64, 2, now_ms);
        shared->n_sent[flows[i]]++;
        shared->n_found++;
    }
}

static void *
work(void *shared_)
{
    struct shared *shared = shared_;
    struct epoch_reader *reader = epoch_register(shared->epoch);
    uint64_t random = 77;

    for (uint64_t i = 0; i < N_BURSTS; i++) {
        forward_burst(shared, &random, 1000 + i / 10);
        epoch_quiesce(reader);
        if (i % 1000 == 999) {
            epoch_offline(reader);
            nanosleep(&(struct timespec){ .tv_nsec = 2000000 }, NULL);
            epoch_online(reader);
        }
    }
    epoch_unregister(reader);
    atomic_store(&shared->stop, true);
    return NULL;
}

static void *
maintain(void *shared_)
{
    struct shared *shared = shared_;
    uint64_t now_ms = 1000;

    while (!atomic_load(&shared->stop)) {
        struct flow_cache_sweep sweep = { .now_ms = now_ms,
                                          .change = atomic_load(&shared->change),
                                          .idle_ms = 300,
                                          .idle_over_ms = 50,
                                          .flows_wanted = 1500 };
        flow_cache_sweep(shared->cache, &sweep);
        atomic_fetch_add(&shared->change, 1);
        now_ms += 50;
        nanosleep(&(struct timespec){ .tv_nsec = 300000 }, NULL);
    }
    return NULL;
}

/* The control thread: dumps, and flushes now and then. */
static void
watch(struct shared *shared)
{
    static _Alignas(8) uint8_t records[8192];
    struct flow_cache_stats stats;
    uint64_t cursor = 0;

    for (uint32_t round = 0; !atomic_load(&shared->stop); round++) {
        size_t used;
        uint32_t n;
        CHECK(flow_cache_dump(shared->cache, 0, &cursor, records, sizeof records, &used, &n) == 0);
        stats = (struct flow_cache_stats){ .n_hits = 0 };
        flow_cache_add_stats(shared->cache, &stats);
        if (round % 64 == 0) {
            flow_cache_flush(shared->cache, NULL, NULL);
        } else if (round % 8 == 0) {
            flow_cache_push(shared->cache);
        }
        nanosleep(&(struct timespec){ .tv_nsec = 500000 }, NULL);
    }
}

int
main(void)
{
    static struct shared shared;
    pthread_t worker, maintainer;

    shared.epoch = epoch_create();
    shared.cache = flow_cache_create(&(struct flow_cache_options){
        .epoch = shared.epoch,
        .hooks = { .aux = &shared, .is_stale = is_stale, .credit = credit, .release = release },
        .flows_max = 2000,
        .hash_seed = 5,
        .signatures_max = 4096 });
    CHECK(pthread_create(&worker, NULL, work, &shared) == 0);
    CHECK(pthread_create(&maintainer, NULL, maintain, &shared) == 0);
    watch(&shared);
    pthread_join(worker, NULL);
    pthread_join(maintainer, NULL);
    CHECK(shared.n_cached > N_FLOWS && shared.n_found > shared.n_cached);
    flow_cache_destroy(shared.cache);
    for (uint32_t i = 0; i < N_FLOWS; i++) {
        CHECK(shared.n_sent[i] == atomic_load(&shared.n_credited[i]));
    }
    CHECK(atomic_load(&shared.n_held) == 0);
    epoch_destroy(shared.epoch);
    printf("ok - a worker forwards while others sweep, dump, push and flush\n");
    printf("ok - every packet is credited once and every reference given up, whatever happens to its megaflow\n");
    return 0;
}
