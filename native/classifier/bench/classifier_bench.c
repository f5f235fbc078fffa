/* What the classifier costs.  Prints one JSON object a line.  usage: classifier_bench [most rules, default 1000000] */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#include "classifier/flow_cache.h"
#include "classifier/flow_store.h"
#include "classifier/test/random_rules.h"

static double
seconds(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec / 1e9;
}

/* Cycles of the time-stamp counter, or nanoseconds where there is none. */
static uint64_t
cycles(void)
{
#if defined(__x86_64__)
    return __rdtsc();
#else
    return (uint64_t) (seconds() * 1e9);
#endif
}

static size_t
heap_size(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

struct mod {
    struct sluice_flow_mod record;
    uint64_t tail[32];
};

/* The i-th rule: TCP over IPv4 between two addresses and two ports. */
static void
five_tuple(uint32_t i, struct flow_key *key)
{
    uint32_t mixed = i * 0x9e3779b1u;

    key->eth_type = be16(0x0800);
    key->ip_proto = 6;
    key->ip_src = be32(0x0a000000 | (mixed & 0xffffff));
    key->ip_dst = be32(0x14000000 | i);
    key->tp_src = be16((uint16_t) mixed);
    key->tp_dst = be16((uint16_t) (mixed >> 16));
}

static void
make_mod(struct mod *mod, uint32_t i)
{
    struct flow_key key = { .in_port = 0 };
    struct flow_key mask = { .eth_type = UINT16_MAX,
                             .ip_proto = 0xff,
                             .ip_src = UINT32_MAX,
                             .ip_dst = UINT32_MAX,
                             .tp_src = UINT16_MAX,
                             .tp_dst = UINT16_MAX };
    struct sluice_action_output output = { SLUICE_ACTION_OUTPUT, sizeof output, 0, 1 + i % 16, 0 };

    five_tuple(i, &key);
    mod->record = (struct sluice_flow_mod){ .command = SLUICE_FLOW_COMMAND_ADD,
                                            .priority = 100,
                                            .out_port = UINT32_MAX,
                                            .out_group = UINT32_MAX,
                                            .new_cookie = i % 1000,
                                            .actions_size = sizeof output };
    mod->record.match_size =
        (uint32_t) match_compress(&key, &mask, (struct match *) (void *) mod->tail, sizeof mod->tail);
    memcpy((uint8_t *) mod->tail + mod->record.match_size, &output, sizeof output);
    mod->record.size = (uint32_t) (sizeof mod->record + mod->record.match_size + sizeof output);
}

static double
dump_all(const struct flow_store *store)
{
    static _Alignas(8) uint8_t reply[1 << 18];
    struct {
        struct sluice_flow_query record;
        uint64_t match[2];
    } query = { .record = { .size = sizeof query,
                            .table = 255,
                            .out_port = UINT32_MAX,
                            .out_group = UINT32_MAX,
                            .match_size = 16 } };
    double start = seconds();

    do {
        size_t used;
        CHECK(flow_store_dump(store, &query.record, 0, reply, sizeof reply, &used) == 0);
        query.record.cursor = ((const struct sluice_dump_reply *) (const void *) reply)->cursor;
    } while (query.record.cursor != 0);
    return seconds() - start;
}

static double
lookups_per_second(const struct flow_store *store, uint32_t n_rules, bool with_mask)
{
    const uint32_t n = 1000000;
    uint64_t random = 1, n_found = 0;
    double start = seconds();

    for (uint32_t i = 0; i < n; i++) {
        struct flow_key key, mask;
        memset(&key, 0, sizeof key);
        memset(&mask, 0, with_mask ? sizeof mask : 0);
        five_tuple(random_below(&random, n_rules), &key);
        n_found += flow_store_lookup(store, 0, 1u << 30, &key, with_mask ? &mask : NULL) != NULL;
    }
    CHECK(n_found == n);
    return n / (seconds() - start);
}

static void
bench_rules(uint32_t n_rules)
{
    struct epoch *epoch = epoch_create();
    struct flow_store *store = flow_store_create(&(struct flow_store_options){ .epoch = epoch, .n_tables = 254 });
    size_t before = heap_size();
    struct mod mod;
    uint64_t n;

    double start = seconds();
    for (uint32_t i = 0; i < n_rules; i++) {
        make_mod(&mod, i);
        flow_store_begin(store, i + 1);
        CHECK(flow_store_flow_mod(store, &mod.record, 1, &n) == 0);
        flow_store_commit(store);
    }
    double add_s = seconds() - start;
    size_t bytes = heap_size() - before;
    double lookups = lookups_per_second(store, n_rules, false), staged = lookups_per_second(store, n_rules, true);
    double dump_s = dump_all(store);
    mod.record = (struct sluice_flow_mod){ .size = sizeof mod.record + 16,
                                           .command = SLUICE_FLOW_COMMAND_DELETE,
                                           .out_port = UINT32_MAX,
                                           .out_group = UINT32_MAX,
                                           .match_size = 16 };
    memset(mod.tail, 0, 16);
    start = seconds();
    flow_store_begin(store, n_rules + 1);
    CHECK(flow_store_flow_mod(store, &mod.record, 1, &n) == 0 && n == n_rules);
    flow_store_commit(store);
    printf("{\"bench\":\"rules\",\"n_rules\":%u,\"adds_per_s\":%.0f,\"bytes_per_rule\":%.0f,\"lookups_per_s\":%.0f,"
           "\"lookups_with_mask_per_s\":%.0f,\"dump_s\":%.3f,\"delete_all_s\":%.3f}\n",
           n_rules, n_rules / add_s, (double) bytes / n_rules, lookups, staged, dump_s, seconds() - start);
    flow_store_destroy(store);
    epoch_destroy(epoch);
}

/* Keys are built where they are used, as a parser does, so that they do not themselves miss the processor's caches. */
static void
cache_key(uint32_t i, uint32_t n_masks, struct flow_key *key)
{
    key->in_port = be32(1);
    key->ip_ttl = (uint8_t) (i % n_masks); /* Chooses the mask, so that megaflows do not overlap. */
    five_tuple(i, key);
}

static void
bench_cache(uint32_t n_flows, uint32_t n_masks, bool exact)
{
    struct epoch *epoch = epoch_create();
    struct epoch_reader *reader = epoch_register(epoch);
    struct flow_cache *cache = flow_cache_create(
        &(struct flow_cache_options){ .epoch = epoch, .flows_max = n_flows + 1000, .hash_seed = 12345 });
    static struct flow_key keys[FLOW_CACHE_BURST];
    const struct flow_key *pointers[FLOW_CACHE_BURST];
    struct megaflow *megaflows[FLOW_CACHE_BURST];
    uint64_t random = 1, actions = 1, n_missed = 0, spent = 0, n_packets = 0;

    double start = seconds();
    for (uint32_t i = 0; i < n_flows; i++) {
        struct flow_key key = { .in_port = 0 },
                        mask = { .in_port = UINT32_MAX, .eth_type = UINT16_MAX, .ip_ttl = 0xff };
        cache_key(i, n_masks, &key);
        mask.ip_dst = exact ? UINT32_MAX : 0;
        mask.tp_src = exact ? (uint16_t) (0xffff << i % n_masks % 16) : 0;
        mask.ip_proto = i % n_masks >= 16 ? 0xff : 0;
        struct flow_cache_insertion insertion = { .key = &key, .mask = &mask, .actions = &actions, .actions_size = 8 };
        bool replaced;
        CHECK(flow_cache_insert(cache, &insertion, &megaflows[0], &replaced) == 0);
        epoch_quiesce(reader);
        if (!exact && i >= n_masks) {
            break;
        }
    }
    double insert_s = seconds() - start;
    struct flow_cache_sweep sweep = { .idle_ms = 1000 };
    for (uint32_t i = 0; i < FLOW_CACHE_BURST; i++) {
        pointers[i] = &keys[i];
    }
    uint32_t n_bursts = n_flows > 100000 ? 400000 : 100000;
    for (uint32_t round = 0; round < n_bursts; round++) {
        for (uint32_t i = 0; i < FLOW_CACHE_BURST; i++) {
            cache_key(random_below(&random, n_flows), n_masks, &keys[i]);
        }
        uint64_t begin = cycles();
        uint32_t found = flow_cache_lookup(cache, pointers, FLOW_CACHE_BURST, 0, megaflows);
        if (round >= n_bursts / 2) {
            spent += cycles() - begin;
            n_packets += FLOW_CACHE_BURST;
        } else if (round % 1024 == 1023) {
            flow_cache_sweep(cache, &sweep);
        }
        n_missed += (uint64_t) __builtin_popcount(~found);
        epoch_quiesce(reader);
    }
    struct flow_cache_stats stats = { .n_hits = 0 };
    flow_cache_add_stats(cache, &stats);
    printf("{\"bench\":\"megaflows\",\"n_flows\":%u,\"n_megaflows\":%u,\"n_masks\":%u,\"cycles_per_packet\":%.0f,"
           "\"inserts_per_s\":%.0f,\"n_missed\":%llu,\"n_signatures\":%llu,\"signature_hits\":%.2f,"
           "\"bytes_per_megaflow\":%.0f}\n",
           n_flows, stats.n_flows, stats.n_masks, (double) spent / (double) n_packets, stats.n_flows / insert_s,
           (unsigned long long) n_missed, (unsigned long long) stats.n_signatures,
           (double) stats.n_signature_hits / (double) (stats.n_hits + stats.n_misses),
           (double) stats.n_bytes / stats.n_flows);
    epoch_unregister(reader);
    flow_cache_destroy(cache);
    epoch_destroy(epoch);
}

int
main(int argc, char *argv[])
{
    uint32_t n_max = argc > 1 ? (uint32_t) strtoul(argv[1], NULL, 0) : 1000000;

    for (uint32_t n_rules = 10000; n_rules <= n_max; n_rules *= 10) {
        bench_rules(n_rules);
    }
    for (uint32_t n_masks = 1; n_masks <= 20; n_masks += 19) {
        bench_cache(n_masks, n_masks, true);
        bench_cache(10000, n_masks, false);
        bench_cache(10000, n_masks, true);
        bench_cache(100000, n_masks, true);
        bench_cache(n_max, n_masks, false);
        bench_cache(n_max, n_masks, true);
    }
    return 0;
}
