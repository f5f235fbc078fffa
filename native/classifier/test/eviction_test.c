/* What a full table gives up, against a look at every rule, while rules come, go, are used and are undone. */
#include "classifier/eviction.h"

#include "classifier/test/random_rules.h"

#define ANY UINT32_MAX
#define N_GROUPS 5
#define N_ADDRESSES 40
#define GROUP_BITS 0x00ff0000u

struct fixture {
    struct epoch *epoch;
    struct flow_store *store;
    uint64_t now_ms;
    uint64_t random;
};

static void
open_fixture(struct fixture *fixture, uint32_t seed, uint32_t n_max)
{
    struct match_buffer by;
    struct flow_key value = { .in_port = 0 };
    struct flow_key mask = { .ip_dst = be32(GROUP_BITS) };

    *fixture = (struct fixture){ .epoch = epoch_create(), .now_ms = 1000, .random = seed };
    fixture->store = flow_store_create(
        &(struct flow_store_options){ .epoch = fixture->epoch, .bridge = 1, .n_tables = 2, .random_seed = seed });
    match_compress(&value, &mask, &by.match, sizeof by);
    CHECK(fixture->store != NULL && flow_store_set_table(fixture->store, 0, n_max, true, &by.match) == 0);
}

static void
close_fixture(struct fixture *fixture)
{
    flow_store_destroy(fixture->store);
    epoch_destroy(fixture->epoch);
}

/* A flow_mod of a random rule, which is undone again if 'undo'. */
static void
change(struct fixture *fixture, uint8_t command, bool undo)
{
    struct {
        struct sluice_flow_mod record;
        uint64_t tail[64];
    } mod = { .record = { .type = SLUICE_COMMAND_FLOW_MOD, .bridge = 1, .out_port = ANY, .out_group = ANY } };
    uint32_t ip =
        0x0a000000 + (random_below(&fixture->random, N_GROUPS) << 16) + random_below(&fixture->random, N_ADDRESSES);
    struct flow_key key = { .eth_type = be16(0x0800), .ip_dst = be32(ip) };
    struct flow_key mask = { .eth_type = UINT16_MAX, .ip_dst = UINT32_MAX };
    uint64_t n;

    mod.record.command = command;
    mod.record.priority = random_below(&fixture->random, 2);
    mod.record.table = random_below(&fixture->random, 8) == 0 ? 1 : 0;
    mod.record.importance = random_below(&fixture->random, 3);
    mod.record.idle_timeout_s =
        random_below(&fixture->random, 4) == 0 ? 0 : (uint16_t) (20 + random_below(&fixture->random, 100));
    mod.record.hard_timeout_s =
        random_below(&fixture->random, 3) != 0 ? 0 : (uint16_t) (20 + random_below(&fixture->random, 100));
    mod.record.match_size = (uint32_t) match_compress(&key, &mask, (struct match *) (void *) mod.tail, sizeof mod.tail);
    mod.record.size = (uint32_t) sizeof mod.record + mod.record.match_size;
    flow_store_begin(fixture->store, fixture->store->version + 1);
    /* What is full of rules without timeouts refuses. */
    if (flow_store_flow_mod(fixture->store, &mod.record, fixture->now_ms, &n) != 0 || undo) {
        flow_store_rollback(fixture->store);
    } else {
        flow_store_commit(fixture->store);
    }
}

static struct rule *
random_rule(struct fixture *fixture)
{
    struct expiry_heap *heap = &fixture->store->expiry;

    return heap->n != 0 ? heap->elements[random_below(&fixture->random, heap->n)].rule : NULL;
}

static uint32_t
group_of(const struct rule *rule)
{
    struct match_buffer match;
    struct flow_key value;
    struct flow_key mask;

    rule_put_match(rule, &match.match);
    match_expand(&match.match, &value, &mask);
    return be32(value.ip_dst) & GROUP_BITS;
}

/* Whether 'victim' is of a largest group, and none of its group is to go before it. */
static bool
is_right(const struct fixture *fixture, const struct rule *victim)
{
    const struct expiry_heap *heap = &fixture->store->expiry;
    uint32_t sizes[N_GROUPS] = { 0 };

    for (uint32_t i = 0; i < heap->n; i++) {
        const struct rule *rule = heap->elements[i].rule;
        if (!eviction_may_take(rule, 0)) {
            continue;
        }
        sizes[group_of(rule) >> 16]++;
        if (victim == NULL) {
            return false;
        }
        bool before = rule->importance != victim->importance ? rule->importance < victim->importance
                                                             : rule_due_ms(rule) < rule_due_ms(victim);
        if (before && group_of(rule) == group_of(victim)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < N_GROUPS && victim != NULL; i++) {
        if (sizes[i] > sizes[group_of(victim) >> 16]) {
            return false;
        }
    }
    return true;
}

static void
test_random(uint32_t seed)
{
    struct fixture fixture;

    open_fixture(&fixture, seed, 60);
    for (uint32_t step = 0; step < 4000; step++) {
        uint32_t what = random_below(&fixture.random, 20);
        struct rule *rule = random_rule(&fixture);
        fixture.now_ms += random_below(&fixture.random, 300);
        if (what < 12) {
            change(&fixture, SLUICE_FLOW_COMMAND_ADD, false);
        } else if (what < 14) {
            change(&fixture, SLUICE_FLOW_COMMAND_DELETE, what == 12);
        } else if (what < 16) {
            change(&fixture, SLUICE_FLOW_COMMAND_ADD, true);
        } else if (what < 18 && rule != NULL) {
            rule_credit(rule, 1, 60, fixture.now_ms);
        } else if (what == 18 && rule != NULL) {
            flow_store_reduce_timeouts(fixture.store, rule, (uint16_t) (1 + random_below(&fixture.random, 30)), 0);
        } else {
            flow_store_begin(fixture.store, fixture.store->version + 1);
            flow_store_expire(fixture.store, fixture.now_ms, 0);
            flow_store_commit(fixture.store);
        }
        CHECK(fixture.store->tables[0].n_rules <= 60);
        CHECK(is_right(&fixture, eviction_choose(fixture.store, 0)));
    }
    close_fixture(&fixture);
}

int
main(void)
{
    for (uint32_t seed = 1; seed <= 20; seed++) {
        test_random(seed);
    }
    puts("ok - what goes is of a largest group, the least important of it, and of those the next to expire");
    return 0;
}
