/* Flow caches, in one thread. */
#include "classifier/flow_cache.h"

#include <errno.h>

#include "classifier/test/random_rules.h"
#include "sluice/records.h"

/* The owner's side: what it was told. */
struct owner {
    uint64_t n_credited[4096];
    uint64_t n_bytes;
    uint64_t last_used;
    uint32_t n_released;
    uint64_t stale_before; /* Megaflows known to be current at an older change are stale. */
    uint64_t change;
};

/* The data of each megaflow here: a number. */
static void
credit(void *owner_, void *data, uint64_t n_packets, uint64_t n_bytes, uint64_t used_ms, uint16_t tcp_flags)
{
    struct owner *owner = owner_;

    (void) tcp_flags;
    owner->n_credited[*(uint64_t *) data] += n_packets;
    owner->n_bytes += n_bytes;
    owner->last_used = used_ms;
}

static void
release(void *owner_, void *data)
{
    (void) data;
    ((struct owner *) owner_)->n_released++;
}

static bool
is_stale(void *owner_, const struct megaflow *megaflow, uint64_t *change)
{
    struct owner *owner = owner_;

    (void) megaflow;
    if (*change < owner->stale_before) {
        return true;
    }
    *change = owner->change;
    return false;
}

struct fixture {
    struct epoch *epoch;
    struct epoch_reader *reader;
    struct flow_cache *cache;
    struct owner owner;
    uint64_t random;
};

static void
open_fixture(struct fixture *fixture, struct flow_cache_options options)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->epoch = epoch_create();
    fixture->reader = epoch_register(fixture->epoch);
    fixture->random = 7;
    options.epoch = fixture->epoch;
    options.hooks = (struct flow_cache_hooks){
        .aux = &fixture->owner,
        .is_stale = is_stale,
        .credit = credit,
        .release = release,
    };
    fixture->cache = flow_cache_create(&options);
    CHECK(fixture->cache != NULL);
}

static void
close_fixture(struct fixture *fixture)
{
    epoch_unregister(fixture->reader);
    flow_cache_destroy(fixture->cache);
    epoch_destroy(fixture->epoch);
}

static int
insert(struct fixture *fixture, const struct flow_key *key, const struct flow_key *mask, uint64_t number,
       uint64_t now_ms, struct megaflow **megaflow)
{
    uint64_t actions[2] = { number, 0 };
    struct flow_cache_insertion insertion = {
        .key = key,
        .mask = mask,
        .actions = actions,
        .actions_size = sizeof actions,
        .data = &number,
        .data_size = sizeof number,
        .change = fixture->owner.change,
        .now_ms = now_ms,
    };

    bool replaced;

    return flow_cache_insert(fixture->cache, &insertion, megaflow, &replaced);
}

static struct megaflow *
look_up(struct fixture *fixture, const struct flow_key *key)
{
    struct megaflow *megaflow;

    flow_cache_lookup(fixture->cache, &key, 1, fixture->owner.change, &megaflow);
    return megaflow;
}

static struct flow_key
key_of(uint32_t i)
{
    return (struct flow_key){ .in_port = be32(1), .eth_type = be16(0x0800), .ip_src = be32(i), .ip_proto = 17 };
}

static const struct flow_key mask_src = { .in_port = UINT32_MAX, .eth_type = UINT16_MAX, .ip_src = UINT32_MAX };

static void
test_life(void)
{
    struct fixture fixture;
    struct flow_cache_stats stats = { .n_hits = 0 };
    struct flow_cache_sweep sweep = { .now_ms = 11000, .idle_ms = 10000, .idle_over_ms = 100 };
    struct flow_key key = key_of(5), other = key_of(6);
    struct megaflow *megaflow, *again;

    open_fixture(&fixture, (struct flow_cache_options){ .hash_seed = 1 });
    CHECK(look_up(&fixture, &key) == NULL);
    CHECK(insert(&fixture, &key, &mask_src, 9, 1000, &megaflow) == 0);
    key.ip_ttl = 3;
    CHECK(look_up(&fixture, &key) == megaflow && look_up(&fixture, &other) == NULL);
    CHECK(*(const uint64_t *) megaflow_actions(megaflow) == 9 && megaflow_actions_size(megaflow) == 16);
    printf("ok - a key that is equal under the mask is found, another is not\n");

    megaflow_hit(megaflow, 3, 300, 0x12, 1500);
    flow_cache_push(fixture.cache);
    flow_cache_push(fixture.cache);
    CHECK(fixture.owner.n_credited[9] == 3 && fixture.owner.n_bytes == 300 && fixture.owner.last_used == 1500);
    printf("ok - statistics are pushed once\n");

    CHECK(insert(&fixture, &key, &mask_src, 10, 2000, &again) == 0);
    CHECK(look_up(&fixture, &key) == again && again != megaflow);
    megaflow_hit(megaflow, 1, 100, 0, 2000);
    CHECK(flow_cache_collect(fixture.cache) == 1 && fixture.owner.n_released == 0);
    epoch_quiesce(fixture.reader);
    CHECK(flow_cache_collect(fixture.cache) == 0 && fixture.owner.n_released == 1);
    CHECK(fixture.owner.n_credited[9] == 4 && fixture.owner.n_credited[10] == 0);
    CHECK(atomic_load(&again->n_packets) == 3);
    printf("ok - inserting a match again replaces it, and the last packets of the old one are counted\n");

    fixture.owner.change = fixture.owner.stale_before = 5;
    CHECK(look_up(&fixture, &key) == NULL);
    fixture.owner.stale_before = 0;
    CHECK(look_up(&fixture, &key) == again);
    fixture.owner.stale_before = 5;
    CHECK(look_up(&fixture, &key) == again);
    printf("ok - a stale megaflow is not found, one found current is not asked about again\n");

    CHECK(flow_cache_sweep(fixture.cache, &sweep) == 1);
    sweep.now_ms = 12001;
    CHECK(flow_cache_sweep(fixture.cache, &sweep) == 0 && look_up(&fixture, &key) == NULL);
    flow_cache_add_stats(fixture.cache, &stats);
    CHECK(stats.n_flows == 0 && stats.n_masks == 0 && stats.n_hits == 4 && stats.n_misses == 4);
    printf("ok - an idle megaflow is swept away, its mask with it\n");
    close_fixture(&fixture);
}

static void
test_limits(void)
{
    struct fixture fixture;
    struct megaflow *megaflow;
    struct flow_cache_stats stats = { .n_hits = 0 };

    open_fixture(&fixture, (struct flow_cache_options){ .flows_max = 100, .masks_max = 4 });
    for (uint32_t i = 0; i < 8; i++) {
        struct flow_key key = key_of(i), mask = { .in_port = UINT32_MAX, .ip_src = prefix_mask(i + 1) };
        CHECK(insert(&fixture, &key, &mask, i, 1000, &megaflow) == 0);
    }
    flow_cache_add_stats(fixture.cache, &stats);
    CHECK(stats.n_masks == 5 && stats.n_flows == 8);
    for (uint32_t i = 0; i < 8; i++) {
        struct flow_key key = key_of(i), mask = { .in_port = UINT32_MAX, .pkt_mark = be32(1u << i) };
        CHECK(insert(&fixture, &key, &mask, i, 1000, &megaflow) == (i < 7 ? 0 : ENOSPC));
    }
    stats.n_masks = 0;
    flow_cache_add_stats(fixture.cache, &stats);
    CHECK(stats.n_masks == 12);
    printf("ok - megaflows of masks that there is no room for are narrowed to connections, of few masks\n");
    stats = (struct flow_cache_stats){ .n_hits = 0 };
    flow_cache_flush(fixture.cache, NULL, NULL);
    for (uint32_t i = 0; i < 150; i++) {
        struct flow_key key = key_of(i);
        CHECK(insert(&fixture, &key, &mask_src, i, 1000, &megaflow) == (i < 100 ? 0 : ENOSPC));
    }
    for (uint32_t i = 0; i < 150; i++) {
        struct flow_key key = key_of(1000 + i);
        epoch_quiesce(fixture.reader);
        while (insert(&fixture, &key, &mask_src, i, 2000, &megaflow) != 0) {
            CHECK(i >= 100);
            break;
        }
    }
    flow_cache_add_stats(fixture.cache, &stats);
    CHECK(stats.n_flows == 100 && stats.n_replaced == 100);
    printf("ok - a full cache replaces megaflows that are idle and no others\n");
    close_fixture(&fixture);
}

static void
test_ports(void)
{
    struct fixture fixture;
    struct megaflow *megaflow;
    uint32_t n_in = 0;

    open_fixture(&fixture, (struct flow_cache_options){ .flows_max = 100, .masks_max = 4 });
    for (uint32_t i = 0; i < 150; i++) {
        struct flow_key key = key_of(i);
        CHECK(insert(&fixture, &key, &mask_src, i, 1000, &megaflow) == (i < 100 ? 0 : ENOSPC));
    }
    struct flow_key flooding = key_of(0), other = key_of(0);
    other.in_port = be32(2);
    CHECK(!flow_cache_may_insert(fixture.cache, &flooding, 1000) && flow_cache_may_insert(fixture.cache, &other, 1000));
    for (uint32_t i = 0; i < 70; i++) {
        epoch_quiesce(fixture.reader);
        other.ip_src = be32(5000 + i);
        n_in += insert(&fixture, &other, &mask_src, i, 1000, &megaflow) == 0;
        flooding.ip_src = be32(9000 + i);
        CHECK(insert(&fixture, &flooding, &mask_src, i, 1000, &megaflow) == ENOSPC);
    }
    CHECK(n_in == 50);
    struct flow_cache_stats stats = { .n_hits = 0 };
    flow_cache_add_stats(fixture.cache, &stats);
    CHECK(stats.n_flows == 100);
    printf("ok - a port gets its part of a cache that another one fills, and no more\n");

    flow_cache_flush(fixture.cache, NULL, NULL);
    epoch_quiesce(fixture.reader);
    for (uint32_t i = 0; i < 20; i++) {
        struct flow_key key = key_of(i), mask = { .in_port = UINT32_MAX, .pkt_mark = be32(1u << i) };
        CHECK(insert(&fixture, &key, &mask, i, 1000, &megaflow) == (i < 12 ? 0 : ENOSPC));
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct flow_key mask = { .in_port = UINT32_MAX, .pkt_mark = be32(1u << (20 + i)) };
        other.ip_src = be32(i);
        CHECK(insert(&fixture, &other, &mask, i, 1000, &megaflow) == 0);
        const struct flow_key another = { .in_port = be32(2), .ip_src = be32(77) };
        /* It serves other connections, too. */
        CHECK(look_up(&fixture, &another) != NULL);
    }
    printf("ok - a port finds room for its masks when another one has taken all\n");
    close_fixture(&fixture);
}

static void
test_dump(void)
{
    struct fixture fixture;
    static _Alignas(8) uint8_t records[4096];
    uint8_t seen[3000] = { 0 };
    struct megaflow *megaflow;
    uint64_t cursor = 0;

    open_fixture(&fixture, (struct flow_cache_options){ .hash_seed = 3 });
    for (uint32_t i = 0; i < 3000; i++) {
        struct flow_key key = key_of(i);
        CHECK(insert(&fixture, &key, &mask_src, i, 1000, &megaflow) == 0);
    }
    do {
        size_t used;
        uint32_t n;
        CHECK(flow_cache_dump(fixture.cache, 2, &cursor, records, sizeof records, &used, &n) == 0);
        for (size_t offset = 0; offset < used;) {
            const struct sluice_megaflow_info *info = (const void *) (records + offset);
            const struct match *match = (const void *) (info + 1);
            struct flow_key value, mask;
            CHECK(match_check_exact(match, info->match_size, SLUICE_KEY_PIPELINE_WORD) == 0);
            match_expand(match, &value, &mask);
            CHECK(!memcmp(&mask, &mask_src, sizeof mask) && info->worker == 2 && info->actions_size == 16);
            CHECK(be32(value.ip_src) >= 3000 || seen[be32(value.ip_src)]++ == 0);
            offset += info->size;
        }
        struct flow_key key = key_of(3000 + random_below(&fixture.random, 1000));
        CHECK(insert(&fixture, &key, &mask_src, 0, 1000, &megaflow) == 0);
        epoch_quiesce(fixture.reader);
        CHECK(cursor == 0 || n > 0);
    } while (cursor != 0);
    uint32_t n_seen = 0;
    for (uint32_t i = 0; i < 3000; i++) {
        n_seen += seen[i];
    }
    CHECK(n_seen == 3000);
    size_t used;
    uint32_t n;
    CHECK(flow_cache_dump(fixture.cache, 2, &cursor, records, 16, &used, &n) == ENOSPC);
    printf("ok - a dump in pieces tells each megaflow once, whatever is inserted meanwhile\n");
    close_fixture(&fixture);
}

/* Megaflows as translation makes them do not overlap: here the mask is a function of bits that are in every mask. */
static void
masks_of(struct flow_key masks[32])
{
    for (uint32_t i = 0; i < 32; i++) {
        masks[i] = (struct flow_key){
            .in_port = UINT32_MAX, .ip_proto = 0xff, .ip_src = prefix_mask(1 + i % 32), .tp_dst = i % 3 ? UINT16_MAX : 0
        };
        if (i == 31) {
            memset(masks[i].words, 0xff, 8 * SLUICE_KEY_L4_WORD); /* More words than a megaflow holds itself. */
        }
    }
}

static void
test_signatures(uint32_t n_flows)
{
    struct fixture fixture;
    struct flow_key masks[32], keys[FLOW_CACHE_BURST];
    const struct flow_key *pointers[FLOW_CACHE_BURST];
    struct megaflow *megaflows[FLOW_CACHE_BURST];
    struct flow_cache_stats stats = { .n_hits = 0 };

    masks_of(masks);
    open_fixture(&fixture, (struct flow_cache_options){ .hash_seed = 11, .signatures_max = 1u << 18 });
    for (uint32_t round = 0; round < 400000 / FLOW_CACHE_BURST; round++) {
        epoch_quiesce(fixture.reader);
        for (uint32_t i = 0; i < FLOW_CACHE_BURST; i++) {
            uint32_t flow = random_below(&fixture.random, n_flows);
            keys[i] = key_of(flow * 0x9e3779b1u);
            keys[i].ip_proto = (uint8_t) (flow % 32);
            keys[i].tp_dst = (uint16_t) flow;
            pointers[i] = &keys[i];
        }
        uint32_t found = flow_cache_lookup(fixture.cache, pointers, FLOW_CACHE_BURST, 0, megaflows);
        for (uint32_t i = 0; i < FLOW_CACHE_BURST; i++) {
            if (!(found >> i & 1)) {
                (void) insert(&fixture, &keys[i], &masks[keys[i].ip_proto], keys[i].ip_proto, 1000, &megaflows[i]);
            }
            CHECK(megaflows[i] != NULL && *(uint64_t *) megaflow_data(megaflows[i]) == keys[i].ip_proto);
        }
        if (round % 1000 == 999) {
            flow_cache_flush(fixture.cache, NULL, NULL);
        }
    }
    flow_cache_add_stats(fixture.cache, &stats);
    CHECK(stats.n_signatures != 0 && stats.n_signature_hits != 0);
    printf("ok - %u flows under 32 masks: the signature cache never says wrong, and hits %llu %%\n", n_flows,
           (unsigned long long) (100 * stats.n_signature_hits / (stats.n_hits + stats.n_misses)));
    close_fixture(&fixture);
}

int
main(void)
{
    test_life();
    test_limits();
    test_ports();
    test_dump();
    test_signatures(100);
    test_signatures(50000);
    return 0;
}
