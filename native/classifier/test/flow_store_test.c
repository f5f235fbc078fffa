/* Flow stores: what flow_mods, transactions, dumps and time do. */
#include "classifier/flow_store.h"

#include <errno.h>

#include "classifier/test/random_rules.h"

#define ANY UINT32_MAX
#define REPLY_SIZE 65536

struct fixture {
    struct epoch *epoch;
    struct flow_store *store;
    uint64_t version;
    uint64_t now_ms;
    uint64_t n; /* Rules that the last command touched. */
    _Alignas(8) uint8_t reply[REPLY_SIZE];
};

static uint32_t
judge_actions(void *aux, const void *actions, size_t size, uint8_t table, uint32_t n_tables)
{
    (void) aux, (void) table, (void) n_tables;
    if (size >= sizeof(struct sluice_action_output) && ((const struct sluice_action_output *) actions)->port == 0xbad) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    return 0;
}

static void
open_fixture(struct fixture *fixture)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->epoch = epoch_create();
    fixture->now_ms = 1000;
    fixture->version = 1;
    fixture->store = flow_store_create(&(struct flow_store_options){
        .epoch = fixture->epoch, .bridge = 3, .n_tables = 4, .check_actions = judge_actions });
    CHECK(fixture->store != NULL);
}

static void
close_fixture(struct fixture *fixture)
{
    flow_store_destroy(fixture->store);
    epoch_destroy(fixture->epoch);
}

/* A flow_mod under way. */
struct mod {
    struct sluice_flow_mod record;
    uint64_t tail[64];
};

static struct mod
mod_of(uint8_t command, uint32_t priority, uint32_t ip_dst, uint32_t prefix, uint32_t port)
{
    struct mod mod = { .record = { .type = SLUICE_COMMAND_FLOW_MOD,
                                   .bridge = 3,
                                   .command = command,
                                   .priority = priority,
                                   .out_port = ANY,
                                   .out_group = ANY } };
    struct flow_key key = { .eth_type = be16(0x0800), .ip_dst = be32(ip_dst) };
    struct flow_key mask = { .eth_type = UINT16_MAX, .ip_dst = prefix_mask(prefix) };
    struct sluice_action_output output = { SLUICE_ACTION_OUTPUT, sizeof output, 0, port, 0 };

    if (prefix == 0) {
        mask.eth_type = 0; /* Everything. */
    }
    mod.record.match_size = (uint32_t) match_compress(&key, &mask, (struct match *) (void *) mod.tail, sizeof mod.tail);
    mod.record.actions_size = port != 0 ? sizeof output : 0;
    memcpy((uint8_t *) mod.tail + mod.record.match_size, &output, mod.record.actions_size);
    mod.record.size = (uint32_t) sizeof mod.record + mod.record.match_size + mod.record.actions_size;
    return mod;
}

/* One flow_mod in a transaction of its own. */
static uint32_t
apply(struct fixture *fixture, const struct mod *mod)
{
    flow_store_begin(fixture->store, fixture->version + 1);
    uint32_t error = flow_store_flow_mod(fixture->store, &mod->record, fixture->now_ms, &fixture->n);
    if (error == 0) {
        fixture->version++;
        flow_store_commit(fixture->store);
    } else {
        flow_store_rollback(fixture->store);
    }
    return error;
}

static uint32_t
add(struct fixture *fixture, uint32_t priority, uint32_t ip_dst, uint32_t prefix, uint32_t port)
{
    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, priority, ip_dst, prefix, port);

    return apply(fixture, &mod);
}

static const struct rule *
look_up(const struct fixture *fixture, uint32_t ip_dst)
{
    struct flow_key key = { .eth_type = be16(0x0800), .ip_dst = be32(ip_dst) };

    return flow_store_lookup(fixture->store, 0, fixture->version, &key, NULL);
}

static uint32_t
port_of(const struct rule *rule)
{
    return rule != NULL ? ((const struct sluice_action_output *) (const void *) rule->actions->bytes)->port : 0;
}

static struct mod
query_of(uint32_t ip_dst, uint32_t prefix, struct sluice_flow_query *query)
{
    struct mod mod = mod_of(0, 0, ip_dst, prefix, 0);

    *query = (struct sluice_flow_query){ .type = SLUICE_QUERY_FLOW_DUMP,
                                         .bridge = 3,
                                         .table = 255,
                                         .out_port = ANY,
                                         .out_group = ANY,
                                         .match_size = mod.record.match_size };
    query->size = (uint32_t) sizeof *query + query->match_size;
    return mod;
}

struct query {
    struct sluice_flow_query record;
    uint64_t tail[64];
};

static struct query
query_all(void)
{
    struct query query;
    struct mod mod = query_of(0, 0, &query.record);

    memcpy(query.tail, mod.tail, query.record.match_size);
    return query;
}

static uint64_t
count_rules(const struct fixture *fixture)
{
    struct query query = query_all();
    struct sluice_aggregate_reply reply;

    CHECK(flow_store_aggregate(fixture->store, &query.record, &reply) == 0);
    return reply.n_flows;
}

/* The first record of a dump of everything. */
static const struct sluice_flow_info *
dump_first(struct fixture *fixture)
{
    struct query query = query_all();
    size_t used;

    CHECK(flow_store_dump(fixture->store, &query.record, fixture->now_ms, fixture->reply, REPLY_SIZE, &used) == 0);
    const struct sluice_dump_reply *header = (const void *) fixture->reply;
    CHECK(header->n_records > 0);
    return (const void *) (header + 1);
}

static void
test_late_counts(void)
{
    struct fixture fixture;

    open_fixture(&fixture);
    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 5, 0x0a000000, 8, 1);
    CHECK(apply(&fixture, &mod) == 0);
    const struct rule *first = look_up(&fixture, 0x0a010203);
    rule_ref(first);
    CHECK(apply(&fixture, &mod) == 0);
    rule_credit(first, 2, 200, 1500);
    const struct sluice_flow_info *info = dump_first(&fixture);
    CHECK(info->n_packets == 2 && info->n_bytes == 200 && info->used_ms == 1500);
    printf("ok - what is counted for a rule after an equal one took its place is that one's\n");

    const struct rule *second = look_up(&fixture, 0x0a010203);
    rule_ref(second);
    mod.record.flow_flags = SLUICE_FLOW_FLAG_RESET_COUNTS;
    CHECK(apply(&fixture, &mod) == 0);
    mod.record.flow_flags = 0;
    CHECK(apply(&fixture, &mod) == 0);
    rule_credit(first, 1, 100, 1600);
    rule_credit(second, 1, 100, 1700);
    rule_credit(look_up(&fixture, 0x0a010203), 4, 400, 1650);
    info = dump_first(&fixture);
    CHECK(info->n_packets == 4 && info->n_bytes == 400 && info->used_ms == 1700);
    rule_unref(first);
    rule_unref(second);
    printf("ok - over several of them, up to one that began to count anew, which only is used\n");
    close_fixture(&fixture);
}

static void
test_add(void)
{
    struct fixture fixture;

    open_fixture(&fixture);
    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 5, 0x0a000000, 8, 1);
    mod.record.new_cookie = 0x77;
    mod.record.idle_timeout_s = 9;
    mod.record.importance = 4;
    mod.record.flow_flags = SLUICE_FLOW_FLAG_SEND_FLOW_REM;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 1);
    CHECK(port_of(look_up(&fixture, 0x0a010203)) == 1 && look_up(&fixture, 0x0b010203) == NULL);
    rule_credit(look_up(&fixture, 0x0a010203), 2, 200, 1500);
    fixture.now_ms = 2000;
    const struct sluice_flow_info *info = dump_first(&fixture);
    CHECK(info->bridge == 3 && info->priority == 5 && info->cookie == 0x77 && info->n_packets == 2
          && info->n_bytes == 200 && info->created_ms == 1000 && info->used_ms == 1500 && info->now_ms == 2000
          && info->idle_timeout_s == 9 && info->importance == 4 && info->flow_flags == SLUICE_FLOW_FLAG_SEND_FLOW_REM
          && info->actions_size == 16 && info->match_size == mod.record.match_size
          && !memcmp(info + 1, mod.tail, info->match_size + 16));
    printf("ok - a dump tells a rule as it was added, with its counters\n");

    mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 5, 0x0a000000, 8, 2);
    CHECK(apply(&fixture, &mod) == 0 && count_rules(&fixture) == 1);
    info = dump_first(&fixture);
    CHECK(info->n_packets == 2 && info->n_bytes == 200 && info->used_ms == 1500);
    CHECK(info->created_ms == 2000 && info->cookie == 0 && info->idle_timeout_s == 0);
    mod.record.flow_flags = SLUICE_FLOW_FLAG_RESET_COUNTS;
    CHECK(apply(&fixture, &mod) == 0 && count_rules(&fixture) == 1);
    info = dump_first(&fixture);
    CHECK(info->n_packets == 0 && info->n_bytes == 0 && info->used_ms == 1500);
    CHECK(flow_store_n_reports(fixture.store) == 0);
    printf("ok - adding an identical rule replaces it, goes on counting unless told otherwise, and reports nothing\n");

    mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 5, 0x0a010000, 16, 2);
    mod.record.flow_flags = SLUICE_FLOW_FLAG_CHECK_OVERLAP;
    CHECK(apply(&fixture, &mod) == SLUICE_ERROR_OVERLAP && count_rules(&fixture) == 1);
    mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 5, 0x0a000000, 8, 3);
    mod.record.flow_flags = SLUICE_FLOW_FLAG_CHECK_OVERLAP;
    CHECK(apply(&fixture, &mod) == 0);
    printf("ok - CHECK_OVERLAP refuses an overlapping rule, but not an identical one\n");

    CHECK(add(&fixture, 5, 0x0a000000, 8, 0xbad) == SLUICE_ERROR_BAD_ACTION);
    CHECK(port_of(look_up(&fixture, 0x0a010203)) == 3);
    mod.record.table = 4;
    CHECK(apply(&fixture, &mod) == SLUICE_ERROR_BAD_TABLE);
    mod.record.table = 0;
    mod.record.command = 5;
    CHECK(apply(&fixture, &mod) == SLUICE_ERROR_BAD_ARGUMENT);
    mod.record.match_size += 8;
    CHECK(apply(&fixture, &mod) != 0);
    mod.record.match_size = UINT32_MAX - 7;
    CHECK(apply(&fixture, &mod) == SLUICE_ERROR_INVALID_RECORD);
    printf("ok - a refused flow_mod changes nothing\n");
    close_fixture(&fixture);
}

static void
test_modify(void)
{
    struct fixture fixture;

    open_fixture(&fixture);
    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 5, 0x0a000000, 8, 1);
    mod.record.new_cookie = 1;
    mod.record.hard_timeout_s = 10;
    mod.record.flow_flags = SLUICE_FLOW_FLAG_SEND_FLOW_REM;
    CHECK(apply(&fixture, &mod) == 0);
    const struct rule *before = look_up(&fixture, 0x0a000001);
    rule_ref(before);
    rule_credit(before, 1, 100, 1100);

    fixture.now_ms = 3000;
    mod = mod_of(SLUICE_FLOW_COMMAND_MODIFY, 999, 0x0a000000, 8, 2);
    mod.record.new_cookie = 2;
    mod.record.idle_timeout_s = 77;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 1);
    rule_credit(before, 1, 100, 1200);
    const struct sluice_flow_info *info = dump_first(&fixture);
    CHECK(info->priority == 5 && info->cookie == 2 && info->hard_timeout_s == 10 && info->idle_timeout_s == 0
          && info->flow_flags == SLUICE_FLOW_FLAG_SEND_FLOW_REM && info->created_ms == 1000 && info->modified_ms == 3000
          && info->n_packets == 2 && info->used_ms == 1200);
    CHECK(port_of(look_up(&fixture, 0x0a000001)) == 2 && port_of(before) == 1);
    printf("ok - a modify changes actions and cookie, keeps timeouts, flags, priority and counters\n");
    printf("ok - packets credited to the rule as it was count for the rule as it is\n");
    rule_unref(before);

    mod.record.flow_flags = SLUICE_FLOW_FLAG_RESET_COUNTS | SLUICE_FLOW_FLAG_ADD_KEEPS_COOKIE;
    mod.record.new_cookie = 3;
    CHECK(apply(&fixture, &mod) == 0);
    info = dump_first(&fixture);
    CHECK(info->cookie == 2 && info->n_packets == 0 && info->created_ms == 1000);
    printf("ok - RESET_COUNTS resets the counters, ADD_KEEPS_COOKIE keeps the cookie\n");

    mod = mod_of(SLUICE_FLOW_COMMAND_MODIFY_STRICT, 6, 0x0a000000, 8, 3);
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 0 && port_of(look_up(&fixture, 0x0a000001)) == 2);
    mod.record.priority = 5;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 1 && port_of(look_up(&fixture, 0x0a000001)) == 3);
    mod = mod_of(SLUICE_FLOW_COMMAND_MODIFY, 7, 0x14000000, 8, 4);
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 0);
    mod.record.flow_flags = SLUICE_FLOW_FLAG_MODIFY_MAY_ADD;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 1 && port_of(look_up(&fixture, 0x14000001)) == 4);
    printf("ok - a strict modify needs the priority; MODIFY_MAY_ADD adds what is not there\n");

    mod = mod_of(SLUICE_FLOW_COMMAND_MODIFY, 0, 0, 0, 9);
    mod.record.table = 255;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 2);
    mod.record.cookie_mask = UINT64_MAX;
    mod.record.cookie = 12345;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 0);
    printf("ok - a loose modify goes to all that it contains, filtered by cookie\n");
    close_fixture(&fixture);
}

static void
test_delete(void)
{
    struct fixture fixture;
    struct mod mod;

    open_fixture(&fixture);
    for (uint32_t i = 0; i < 100; i++) {
        mod = mod_of(SLUICE_FLOW_COMMAND_ADD, i, 0x0a000000 + i, 32, 1 + i % 4);
        mod.record.new_cookie = i % 10;
        mod.record.table = (uint8_t) (i % 2);
        CHECK(apply(&fixture, &mod) == 0);
    }
    mod = mod_of(SLUICE_FLOW_COMMAND_DELETE, 0, 0, 0, 0);
    mod.record.out_port = 2;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 0);
    mod.record.table = 255;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 25);
    mod.record.out_port = ANY;
    mod.record.cookie = 4;
    mod.record.cookie_mask = UINT64_MAX;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 10);
    mod.record.cookie = 0;
    mod.record.cookie_mask = 1;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 40);
    mod.record.out_group = 1;
    mod.record.cookie_mask = 0;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 0 && count_rules(&fixture) == 25);
    printf("ok - deletes filter by table, output port, group and cookie\n");

    mod = mod_of(SLUICE_FLOW_COMMAND_DELETE_STRICT, 4, 0x0a000003, 32, 0);
    mod.record.table = 255;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 0);
    mod.record.priority = 3;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 1);
    mod = mod_of(SLUICE_FLOW_COMMAND_DELETE, 0, 0x0a000000, 27, 0);
    mod.record.table = 1;
    CHECK(apply(&fixture, &mod) == 0 && fixture.n == 7);
    printf("ok - a strict delete needs match and priority, a loose one goes to all that is within its match\n");
    close_fixture(&fixture);
}

static void
test_transactions(uint64_t seed)
{
    struct fixture fixture;
    uint64_t random = seed;
    static _Alignas(8) uint8_t before[REPLY_SIZE];
    struct query query = query_all();
    size_t used_before, used;

    open_fixture(&fixture);
    for (uint32_t round = 0; round < 300; round++) {
        CHECK(flow_store_dump(fixture.store, &query.record, 1, before, REPLY_SIZE, &used_before) == 0);
        flow_store_begin(fixture.store, fixture.version + 1);
        for (uint32_t i = random_below(&random, 30); i > 0; i--) {
            struct mod mod = mod_of((uint8_t) random_below(&random, 5), random_below(&random, 3),
                                    0x0a000000 + random_below(&random, 32), 26 + random_below(&random, 7),
                                    1 + random_below(&random, 3));
            mod.record.idle_timeout_s = (uint16_t) random_below(&random, 2);
            mod.record.new_cookie = random_below(&random, 4);
            mod.record.flow_flags = (uint16_t) random_below(&random, 64);
            CHECK(flow_store_flow_mod(fixture.store, &mod.record, 1000, &fixture.n) == 0
                  || (mod.record.flow_flags & SLUICE_FLOW_FLAG_CHECK_OVERLAP));
        }
        if (random_below(&random, 8) == 0) {
            CHECK(flow_store_flush(fixture.store, 1000) == 0);
        }
        if (random_below(&random, 2)) {
            flow_store_rollback(fixture.store);
            CHECK(flow_store_dump(fixture.store, &query.record, 1, fixture.reply, REPLY_SIZE, &used) == 0);
            CHECK(used == used_before && !memcmp(before, fixture.reply, used));
        } else {
            fixture.version++;
            flow_store_commit(fixture.store);
        }
    }
    printf("ok - a rollback leaves everything as it was (seed %llu)\n", (unsigned long long) seed);
    close_fixture(&fixture);

    open_fixture(&fixture);
    CHECK(add(&fixture, 1, 0x0a000000, 8, 1) == 0);
    flow_store_begin(fixture.store, fixture.version + 1);
    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 1, 0x0a000000, 8, 2);
    CHECK(flow_store_flow_mod(fixture.store, &mod.record, 1000, &fixture.n) == 0);
    CHECK(port_of(look_up(&fixture, 0x0a000001)) == 1);
    fixture.version++;
    CHECK(port_of(look_up(&fixture, 0x0a000001)) == 2);
    flow_store_commit(fixture.store);
    CHECK(flow_store_changed_tables(fixture.store)[0] == 1);
    printf("ok - changes appear with their version, at once\n");
    close_fixture(&fixture);
}

static uint32_t
take_removed(struct fixture *fixture, size_t room)
{
    size_t used;

    return flow_store_take_reports(fixture->store, fixture->reply, room, &used);
}

static uint32_t
expire(struct fixture *fixture)
{
    flow_store_begin(fixture->store, fixture->version + 1);
    uint32_t n = flow_store_expire(fixture->store, fixture->now_ms, 0);
    fixture->version++;
    flow_store_commit(fixture->store);
    return n;
}

static void
test_expiry(void)
{
    struct fixture fixture;
    const struct sluice_flow_report *report = (const void *) fixture.reply;
    const struct sluice_flow_info *info = (const void *) (report + 1);

    open_fixture(&fixture);
    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 1, 0x0a000000, 8, 1);
    mod.record.idle_timeout_s = 10;
    mod.record.hard_timeout_s = 30;
    mod.record.flow_flags = SLUICE_FLOW_FLAG_SEND_FLOW_REM;
    CHECK(apply(&fixture, &mod) == 0 && flow_store_next_expiry(fixture.store) == 11001);
    rule_credit(look_up(&fixture, 0x0a000001), 1, 60, 9000);
    fixture.now_ms = 11001;
    CHECK(expire(&fixture) == 0 && flow_store_next_expiry(fixture.store) == 19001);
    fixture.now_ms = 19000;
    CHECK(expire(&fixture) == 0);
    fixture.now_ms = 19001;
    CHECK(expire(&fixture) == 1 && count_rules(&fixture) == 0 && flow_store_n_reports(fixture.store) == 1);
    CHECK(flow_store_next_expiry(fixture.store) == UINT64_MAX);
    CHECK(take_removed(&fixture, 16) == 0 && take_removed(&fixture, REPLY_SIZE) == 1
          && take_removed(&fixture, REPLY_SIZE) == 0);
    CHECK(info->reason == SLUICE_REMOVED_REASON_IDLE_TIMEOUT && info->n_packets == 1 && info->now_ms == 19001
          && info->created_ms == 1000);
    printf("ok - an idle rule expires after its last packet's time and is reported with its counters\n");

    fixture.now_ms = 20000;
    CHECK(apply(&fixture, &mod) == 0);
    for (; fixture.now_ms < 50000; fixture.now_ms += 1000) {
        rule_credit(look_up(&fixture, 0x0a000001), 1, 60, fixture.now_ms);
        CHECK(expire(&fixture) == 0);
    }
    fixture.now_ms = 50001;
    CHECK(expire(&fixture) == 1 && take_removed(&fixture, REPLY_SIZE) == 1);
    CHECK(info->reason == SLUICE_REMOVED_REASON_HARD_TIMEOUT);
    printf("ok - a hard timeout expires a rule that is in use\n");

    CHECK(apply(&fixture, &mod) == 0);
    mod = mod_of(SLUICE_FLOW_COMMAND_DELETE, 0, 0, 0, 0);
    CHECK(apply(&fixture, &mod) == 0 && take_removed(&fixture, REPLY_SIZE) == 1);
    CHECK(info->reason == SLUICE_REMOVED_REASON_DELETE);
    printf("ok - a deleted rule is reported\n");
    close_fixture(&fixture);
}

/* Takes one report and checks what it tells of whom. */
static bool
reports(struct fixture *fixture, uint32_t change, uint32_t origin, bool has_old_actions)
{
    const struct sluice_flow_report *report = (const void *) fixture->reply;
    const struct sluice_flow_info *info = (const void *) (report + 1);
    size_t used;

    return flow_store_take_reports(fixture->store, fixture->reply, REPLY_SIZE, &used) == 1 && report->change == change
           && report->origin == origin && (report->old_actions_size != 0) == has_old_actions
           && report->size == sizeof *report + info->size + report->old_actions_size && used == report->size;
}

static void
test_monitored(void)
{
    struct fixture fixture;
    const struct sluice_flow_info *info = (const void *) (fixture.reply + sizeof(struct sluice_flow_report));

    open_fixture(&fixture);
    CHECK(add(&fixture, 1, 0x0a000000, 8, 1) == 0 && flow_store_n_reports(fixture.store) == 0);
    flow_store_set_monitored(fixture.store, true);
    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 1, 0x0a000000, 8, 2);
    mod.record.origin = 7;
    CHECK(apply(&fixture, &mod) == 0 && reports(&fixture, SLUICE_FLOW_CHANGE_ADDED, 7, true));
    CHECK(info->added_version == info->version);
    mod = mod_of(SLUICE_FLOW_COMMAND_MODIFY, 0, 0, 0, 3);
    mod.record.origin = 8;
    CHECK(apply(&fixture, &mod) == 0 && reports(&fixture, SLUICE_FLOW_CHANGE_MODIFIED, 8, true));
    CHECK(info->added_version < info->version);
    CHECK(apply(&fixture, &mod) == 0 && take_removed(&fixture, REPLY_SIZE) == 0);
    mod = mod_of(SLUICE_FLOW_COMMAND_DELETE, 0, 0, 0, 0);
    CHECK(apply(&fixture, &mod) == 0 && reports(&fixture, SLUICE_FLOW_CHANGE_REMOVED, 0, false));
    printf("ok - a monitored store tells each change, whose it was and what it replaced, but not a modify that changes "
           "nothing\n");
    close_fixture(&fixture);
}

static void
test_limits(void)
{
    struct fixture fixture;

    open_fixture(&fixture);
    CHECK(flow_store_set_table(fixture.store, 0, 2, false, NULL) == 0);
    CHECK(flow_store_set_table(fixture.store, 4, 2, false, NULL) == SLUICE_ERROR_BAD_TABLE);
    CHECK(add(&fixture, 1, 0x0a000001, 32, 1) == 0 && add(&fixture, 1, 0x0a000002, 32, 1) == 0);
    CHECK(add(&fixture, 1, 0x0a000003, 32, 1) == SLUICE_ERROR_TABLE_FULL && add(&fixture, 1, 0x0a000002, 32, 2) == 0);
    flow_store_set_table(fixture.store, 0, 2, true, NULL);
    CHECK(add(&fixture, 1, 0x0a000003, 32, 1) == SLUICE_ERROR_TABLE_FULL);
    printf("ok - a full table refuses, even with eviction when no rule has a timeout\n");

    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 1, 0x0a000001, 32, 1);
    mod.record.idle_timeout_s = 5;
    mod.record.importance = 7;
    mod.record.flow_flags = SLUICE_FLOW_FLAG_SEND_FLOW_REM;
    CHECK(apply(&fixture, &mod) == 0);
    mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 1, 0x0a000002, 32, 1);
    mod.record.idle_timeout_s = 50;
    mod.record.importance = 6;
    CHECK(apply(&fixture, &mod) == 0);
    CHECK(add(&fixture, 1, 0x0a000003, 32, 3) == 0);
    CHECK(look_up(&fixture, 0x0a000001) != NULL && look_up(&fixture, 0x0a000002) == NULL);
    CHECK(add(&fixture, 1, 0x0a000004, 32, 3) == 0 && look_up(&fixture, 0x0a000001) == NULL);
    CHECK(take_removed(&fixture, REPLY_SIZE) == 1);
    const struct sluice_flow_report *report = (const void *) fixture.reply;
    const struct sluice_flow_info *info = (const void *) (report + 1);
    CHECK(report->change == SLUICE_FLOW_CHANGE_REMOVED && info->reason == SLUICE_REMOVED_REASON_EVICTION);
    printf("ok - eviction takes the least important rule that has a timeout\n");
    close_fixture(&fixture);
}

/* A rule of 'importance' that can be evicted. */
static uint32_t
add_mortal(struct fixture *fixture, uint32_t ip, uint32_t importance)
{
    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 1, ip, 32, 1);
    mod.record.idle_timeout_s = 5;
    mod.record.importance = importance;
    return apply(fixture, &mod);
}

static void
test_eviction_groups(void)
{
    struct fixture fixture;
    struct flow_key value;
    struct flow_key mask;
    struct match_buffer by;

    open_fixture(&fixture);
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    mask.ip_dst = be32(0x00ff0000);
    match_compress(&value, &mask, &by.match, sizeof by);
    CHECK(flow_store_set_table(fixture.store, 0, 4, true, &by.match) == 0);
    CHECK(add_mortal(&fixture, 0x0a010001, 1) == 0 && add_mortal(&fixture, 0x0a020001, 5) == 0);
    CHECK(add_mortal(&fixture, 0x0a020002, 4) == 0 && add_mortal(&fixture, 0x0a020003, 3) == 0);
    CHECK(add(&fixture, 1, 0x0a030001, 32, 1) == 0);
    CHECK(look_up(&fixture, 0x0a020003) == NULL && look_up(&fixture, 0x0a010001) != NULL);
    printf("ok - the largest group gives up its least important rule\n");

    CHECK(flow_store_set_table(fixture.store, 0, 2, true, NULL) == 0 && flow_store_is_over(fixture.store, 0));
    flow_store_begin(fixture.store, fixture.version + 1);
    CHECK(flow_store_shrink(fixture.store, 0, 0) == 0);
    flow_store_commit(fixture.store);
    fixture.version++;
    CHECK(!flow_store_is_over(fixture.store, 0));
    CHECK(look_up(&fixture, 0x0a010001) == NULL && look_up(&fixture, 0x0a020002) == NULL);
    CHECK(look_up(&fixture, 0x0a020001) != NULL && look_up(&fixture, 0x0a030001) != NULL);
    printf("ok - a table that shrinks gives up what is too much\n");
    close_fixture(&fixture);
}

static void
test_own_rules(void)
{
    struct fixture fixture;
    struct query query = query_all();
    size_t used;

    open_fixture(&fixture);
    struct mod mod = mod_of(SLUICE_FLOW_COMMAND_ADD, 180000, 0x0a000000, 8, 1);
    mod.record.flow_flags = SLUICE_FLOW_FLAG_HIDDEN | SLUICE_FLOW_FLAG_READ_ONLY;
    CHECK(apply(&fixture, &mod) == 0 && count_rules(&fixture) == 0);
    query.record.include_hidden = 1;
    CHECK(flow_store_dump(fixture.store, &query.record, 0, fixture.reply, REPLY_SIZE, &used) == 0);
    CHECK(((const struct sluice_dump_reply *) (const void *) fixture.reply)->n_records == 1);
    struct mod delete = mod_of(SLUICE_FLOW_COMMAND_DELETE, 0, 0, 0, 0);
    CHECK(apply(&fixture, &delete) == 0 && fixture.n == 0);
    delete.record.flow_flags = SLUICE_FLOW_FLAG_HIDDEN;
    CHECK(apply(&fixture, &delete) == 0 && fixture.n == 0);
    mod.record.flow_flags = 0;
    CHECK(apply(&fixture, &mod) == SLUICE_ERROR_NOT_PERMITTED);
    delete.record.flow_flags = SLUICE_FLOW_FLAG_HIDDEN | SLUICE_FLOW_FLAG_READ_ONLY;
    CHECK(apply(&fixture, &delete) == 0 && fixture.n == 1 && look_up(&fixture, 0x0a000001) == NULL);
    printf("ok - hidden rules are seen and read-only ones changed only by who says so\n");
    close_fixture(&fixture);
}

static void
test_dump_in_pieces(void)
{
    struct fixture fixture;
    static uint8_t seen[2000];
    struct query query = query_all();
    uint64_t random = 5;
    size_t used;

    open_fixture(&fixture);
    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < 2000; i++) {
        CHECK(add(&fixture, 1, i, 32, 1) == 0);
    }
    do {
        CHECK(flow_store_dump(fixture.store, &query.record, 0, fixture.reply, 2000, &used) == 0);
        const struct sluice_dump_reply *header = (const void *) fixture.reply;
        for (size_t offset = sizeof *header; offset < used;) {
            const struct sluice_flow_info *info = (const void *) (fixture.reply + offset);
            struct flow_key value, mask;
            match_expand((const void *) (info + 1), &value, &mask);
            CHECK(seen[be32(value.ip_dst)]++ == 0);
            offset += info->size;
        }
        query.record.cursor = header->cursor;
        for (int i = 0; i < 20; i++) { /* Odd ones come and go; some even ones are replaced. */
            uint32_t address = random_below(&random, 2000);
            struct mod mod = mod_of(SLUICE_FLOW_COMMAND_DELETE, 1, address, 32, 0);
            CHECK(address % 2 == 0 ? add(&fixture, 1, address, 32, 2) == 0 : apply(&fixture, &mod) == 0);
        }
    } while (query.record.cursor != 0);
    for (uint32_t i = 0; i < 2000; i += 2) {
        CHECK(seen[i] == 1);
    }
    CHECK(flow_store_dump(fixture.store, &query.record, 0, fixture.reply, 32, &used) == ENOSPC);
    printf("ok - a dump in pieces tells each rule that stays exactly once, whatever comes and goes\n");
    close_fixture(&fixture);
}

int
main(int argc, char *argv[])
{
    test_late_counts();
    test_add();
    test_modify();
    test_delete();
    test_transactions(argc > 1 ? strtoull(argv[1], NULL, 0) : 99);
    test_expiry();
    test_monitored();
    test_limits();
    test_eviction_groups();
    test_own_rules();
    test_dump_in_pieces();
    return 0;
}
