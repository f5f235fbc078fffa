/* Lookups beside a writer: every lookup sees one version of the rules, whole. */
#include "classifier/flow_store.h"

#include <pthread.h>

#include "classifier/test/random_rules.h"

#define N_READERS 3
#define N_ADDRESSES 64
#define N_TRANSACTIONS 600

struct shared {
    struct epoch *epoch;
    struct flow_store *store;
    _Atomic uint64_t version;
    _Atomic bool stop;
    _Atomic uint64_t n_lookups;
};

static struct flow_key
key_of(uint32_t i)
{
    return (struct flow_key){
        .eth_type = be16(0x0800), .ip_dst = be32(0x0a000000 | i << 8), .ip_proto = 6, .tp_dst = be16((uint16_t) i)
    };
}

/* A version of the rules has the same cookie in all of them. */
static void *
read_rules(void *shared_)
{
    struct shared *shared = shared_;
    struct epoch_reader *reader = epoch_register(shared->epoch);
    uint64_t random = (uint64_t) (uintptr_t) &reader;
    uint64_t n = 0;

    while (!atomic_load_explicit(&shared->stop, memory_order_relaxed)) {
        uint64_t version = atomic_load_explicit(&shared->version, memory_order_acquire);
        uint64_t cookie = 0;
        for (uint32_t i = 0; i < 8; i++) {
            struct flow_key key = key_of(random_below(&random, N_ADDRESSES)), mask = { .in_port = 0 };
            const struct rule *rule = flow_store_lookup(shared->store, 0, version, &key, i % 2 ? &mask : NULL);
            CHECK(rule != NULL);
            CHECK(i == 0 || rule->cookie == cookie);
            CHECK(*(const uint64_t *) (const void *) (rule->actions->bytes + 8) == rule->cookie);
            cookie = rule->cookie;
            if (n % 16 == 0) {
                rule_ref(rule);
                rule_credit(rule, 1, 64, version);
                rule_unref(rule);
            }
            n++;
        }
        if (random_below(&random, 100) == 0) {
            epoch_offline(reader);
            epoch_online(reader);
        } else {
            epoch_quiesce(reader);
        }
    }
    atomic_fetch_add(&shared->n_lookups, n);
    epoch_unregister(reader);
    return NULL;
}

/* Puts every address under a rule with the cookie, of whatever width, and removes what else there is. */
static void
replace_all(struct shared *shared, uint64_t *random, uint64_t cookie)
{
    struct {
        struct sluice_flow_mod record;
        uint64_t tail[32];
    } mod;
    uint64_t n;

    mod.record = (struct sluice_flow_mod){ .size = sizeof mod.record + 16,
                                           .command = SLUICE_FLOW_COMMAND_DELETE,
                                           .out_port = UINT32_MAX,
                                           .out_group = UINT32_MAX,
                                           .match_size = 16 };
    mod.tail[0] = mod.tail[1] = 0;
    CHECK(flow_store_flow_mod(shared->store, &mod.record, cookie, &n) == 0);
    for (uint32_t i = 0; i < N_ADDRESSES; i++) {
        struct flow_key key = key_of(i);
        struct flow_key mask = { .eth_type = UINT16_MAX,
                                 .ip_dst = prefix_mask(24 + random_below(random, 9)),
                                 .tp_dst = random_below(random, 2) ? UINT16_MAX : 0,
                                 .ip_proto = 0xff };
        uint64_t actions[2] = { SLUICE_ACTION_SET_TUNNEL | 16 << 16, cookie };
        mod.record.command = random_below(random, 4) ? SLUICE_FLOW_COMMAND_ADD : SLUICE_FLOW_COMMAND_MODIFY_STRICT;
        mod.record.flow_flags = SLUICE_FLOW_FLAG_MODIFY_MAY_ADD;
        mod.record.priority = random_below(random, 3);
        mod.record.new_cookie = cookie;
        mod.record.match_size =
            (uint32_t) match_compress(&key, &mask, (struct match *) (void *) mod.tail, sizeof mod.tail);
        mod.record.actions_size = sizeof actions;
        memcpy((uint8_t *) mod.tail + mod.record.match_size, actions, sizeof actions);
        mod.record.size = (uint32_t) (sizeof mod.record + mod.record.match_size + sizeof actions);
        CHECK(flow_store_flow_mod(shared->store, &mod.record, cookie, &n) == 0 && n == 1);
    }
}

int
main(void)
{
    struct shared shared = { .epoch = epoch_create() };
    pthread_t threads[N_READERS];
    uint64_t random = 4;

    shared.store = flow_store_create(&(struct flow_store_options){ .epoch = shared.epoch, .n_tables = 1 });
    flow_store_begin(shared.store, 1);
    replace_all(&shared, &random, 1);
    atomic_store(&shared.version, 1);
    flow_store_commit(shared.store);
    for (int i = 0; i < N_READERS; i++) {
        CHECK(pthread_create(&threads[i], NULL, read_rules, &shared) == 0);
    }
    for (uint64_t version = 2; version < N_TRANSACTIONS; version++) {
        flow_store_begin(shared.store, version);
        replace_all(&shared, &random, version);
        if (random_below(&random, 4) == 0) {
            flow_store_rollback(shared.store);
            flow_store_begin(shared.store, version);
            replace_all(&shared, &random, version);
        }
        atomic_store_explicit(&shared.version, version, memory_order_release);
        flow_store_commit(shared.store);
    }
    atomic_store(&shared.stop, true);
    for (int i = 0; i < N_READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(flow_store_collect(shared.store) == 0);
    CHECK(shared.n_lookups > 0);
    flow_store_destroy(shared.store);
    epoch_destroy(shared.epoch);
    printf("ok - lookups beside a writer see one version of the rules, whole\n");
    printf("ok - what is removed is freed only after its readers let go\n");
    return 0;
}
