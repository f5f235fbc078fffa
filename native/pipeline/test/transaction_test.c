/* Transactions, packet-outs, expiry, queries and traces. */
#include <errno.h>

#include "pipeline/test/pipeline_rig.h"
#include "pipeline/trace.h"

static void
setup(struct rig *rig)
{
    rig_init(rig);
    rig_bridge(rig, 1);
    for (uint32_t port = 1; port <= 3; port++) {
        rig_port(rig, 1, port, port, 0);
    }
}

static uint64_t
count_flows(struct rig *rig, uint32_t bridge)
{
    struct {
        struct sluice_flow_query flow;
        struct sluice_match match;
    } query = { .flow = { .type = SLUICE_QUERY_FLOW_AGGREGATE,
                          .size = sizeof query,
                          .bridge = bridge,
                          .table = 255,
                          .out_port = UINT32_MAX,
                          .out_group = UINT32_MAX,
                          .match_size = sizeof query.match } };
    struct sluice_aggregate_reply reply;
    size_t used;
    CHECK(!pipeline_query(rig->pipeline, (struct sluice_record *) &query, (uint8_t *) &reply, sizeof reply, &used));
    return reply.n_flows;
}

static void
test_rollback(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    add_output(&a, 2);
    CHECK(!rig_flow(rig, 1, 0, 1, NULL, NULL, &a));
    EXPECT(rig, &key, "2");

    pipeline_begin(rig->pipeline, false);
    struct sluice_bridge_add add = { .bridge = 5, .n_tables = 254 };
    struct sluice_ofport_set port = { .bridge = 5, .ofp_port = 1, .dp_port = 9 };
    struct sluice_ofport_del del = { .bridge = 1, .ofp_port = 2 };
    struct sluice_bridge_del gone = { .bridge = 1 };
    CHECK(!rig_command(rig, &add, SLUICE_COMMAND_BRIDGE_ADD, sizeof add));
    CHECK(!rig_command(rig, &port, SLUICE_COMMAND_OFPORT_SET, sizeof port));
    CHECK(!rig_flow_command(rig, 5, 0, 1, NULL, NULL, &a));
    CHECK(!rig_command(rig, &del, SLUICE_COMMAND_OFPORT_DEL, sizeof del));
    a.size = 0;
    add_output(&a, 3);
    CHECK(!rig_flow_command(rig, 1, 0, 1, NULL, NULL, &a));
    CHECK(rig_command(rig, &add, SLUICE_COMMAND_BRIDGE_ADD, sizeof add) == SLUICE_ERROR_EXISTS);
    EXPECT(rig, &key, "2");
    CHECK(!rig_command(rig, &gone, SLUICE_COMMAND_BRIDGE_DEL, sizeof gone));
    CHECK(!rig_command(rig, &(struct sluice_bridge_add){ .bridge = 1, .n_tables = 3 }, SLUICE_COMMAND_BRIDGE_ADD,
                       sizeof add));
    CHECK(!rig_flow_command(rig, 1, 0, 1, NULL, NULL, &a));
    pipeline_rollback(rig->pipeline);
    EXPECT(rig, &key, "2");
    CHECK(count_flows(rig, 1) == 1);
    CHECK(rig_do(rig, &port, SLUICE_COMMAND_OFPORT_SET, sizeof port) == SLUICE_ERROR_NO_SUCH_BRIDGE);
    claim("nothing of a transaction is seen before its commit, and nothing remains of one undone");

    pipeline_begin(rig->pipeline, false);
    CHECK(!rig_command(rig, &gone, SLUICE_COMMAND_BRIDGE_DEL, sizeof gone));
    CHECK(!rig_command(rig, &(struct sluice_bridge_add){ .bridge = 1, .n_tables = 10 }, SLUICE_COMMAND_BRIDGE_ADD,
                       sizeof add));
    CHECK(!rig_command(rig, &(struct sluice_ofport_set){ .bridge = 1, .ofp_port = 1, .dp_port = 1 },
                       SLUICE_COMMAND_OFPORT_SET, sizeof port));
    CHECK(!rig_command(rig, &(struct sluice_ofport_set){ .bridge = 1, .ofp_port = 3, .dp_port = 7 },
                       SLUICE_COMMAND_OFPORT_SET, sizeof port));
    CHECK(!rig_flow_command(rig, 1, 0, 1, NULL, NULL, &a));
    rig_commit(rig);
    EXPECT(rig, &key, "7");
    claim("a bridge may be replaced by another of its number in one transaction");

    pipeline_begin(rig->pipeline, true);
    CHECK(!rig_flow_command(rig, 1, 3, 1, NULL, NULL, &a));
    CHECK(rig_flow_command(rig, 1, 12, 1, NULL, NULL, &a) == SLUICE_ERROR_BAD_TABLE);
    a.size = 0;
    ADD_ACTION(&a, GOTO_TABLE, goto_table, .table = 3);
    CHECK(rig_flow_command(rig, 1, 3, 1, NULL, NULL, &a) == SLUICE_ERROR_BAD_TABLE);
    rig_commit(rig);
    CHECK(count_flows(rig, 1) == 2);
    claim("in an independent transaction a failed command leaves the others");
}

static uint32_t
packet_out(struct rig *rig, const struct actions *actions, uint32_t in_port, uint32_t packet_size)
{
    static _Thread_local struct {
        struct sluice_packet_out out;
        uint64_t rest[256];
    } command;
    struct flow_key key = tcp_key(0);
    uint8_t *frame = (uint8_t *) command.rest + actions->size;
    memset(&command, 0, sizeof command);
    memcpy(command.rest, actions->words, actions->size);
    memcpy(frame, key.eth_dst, 6);
    memcpy(frame + 6, key.eth_src, 6);
    command.out.bridge = 1;
    command.out.in_port = in_port;
    command.out.actions_size = actions->size;
    command.out.packet_size = packet_size;
    return rig_command(rig, &command, SLUICE_COMMAND_PACKET_OUT,
                       (uint32_t) sizeof command.out + actions->size + (packet_size + 7) / 8 * 8);
}

static void
test_packet_out(struct rig *rig)
{
    struct actions a = { .size = 0 };
    struct actions flow = { .size = 0 };
    rig_clear(rig, 1);
    rig_port(rig, 1, 2, 2, 0);
    add_output(&a, PORT_TABLE);
    add_output(&a, 3);
    add_output(&a, PORT_IN_PORT);
    add_output(&a, PORT_CONTROLLER);

    add_output(&flow, 2);
    pipeline_begin(rig->pipeline, false);
    CHECK(!rig_flow_command(rig, 1, 0, 1, NULL, NULL, &flow));
    CHECK(!packet_out(rig, &a, 1, 60));
    CHECK(!rig->n_executed);
    rig_commit(rig);
    CHECK(rig->n_executed == 1);
    CHECK(!strcmp(rig->executed, "2,7,1,controller(reason=5,id=0,max_len=0,table=0,in_port=1)"));
    claim("a packet-out runs when its transaction is in force");

    pipeline_begin(rig->pipeline, true);
    struct sluice_flow_flush flush = { .bridge = 1 };
    CHECK(!rig_command(rig, &flush, SLUICE_COMMAND_FLOW_FLUSH, sizeof flush));
    CHECK(!packet_out(rig, &a, PORT_CONTROLLER, 60));
    CHECK(!rig_flow_command(rig, 1, 0, 1, NULL, NULL, &flow));
    rig_commit(rig);
    CHECK(rig->n_executed == 2);
    CHECK(!strncmp(rig->executed, "7,controller(reason=5", 21));
    pipeline_begin(rig->pipeline, true);
    CHECK(packet_out(rig, &a, 0, 60) == SLUICE_ERROR_NO_SUCH_PORT);
    rig_commit(rig);
    claim("in an independent transaction it sees what came before it and not what comes after");

    rig->n_executed = 0;
    pipeline_begin(rig->pipeline, true);
    CHECK(!packet_out(rig, &a, 1, 13));
    CHECK(!packet_out(rig, &a, 1, 0));
    CHECK(packet_out(rig, &a, 0, 13) == SLUICE_ERROR_NO_SUCH_PORT);
    rig_commit(rig);
    CHECK(!rig->n_executed);
    claim("one that is too short for a frame is accepted and goes nowhere");
}

static void
a_port_and_a_packet(struct rig *rig, struct sluice_ofport_set *port)
{
    struct actions a = { .size = 0 };
    add_output(&a, port->ofp_port);
    CHECK(!rig_command(rig, port, SLUICE_COMMAND_OFPORT_SET, sizeof *port));
    CHECK(!packet_out(rig, &a, 1, 60));
}

/* All in one transaction, which is committed or not. */
static void
test_packet_in_place(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions table = { .size = 0 };
    struct actions one = { .size = 0 };
    struct actions two = { .size = 0 };
    struct actions loop = { .size = 0 };
    struct sluice_flow_flush flush = { .bridge = 1 };
    struct sluice_ofport_set port = { .bridge = 1, .ofp_port = 9, .dp_port = 9 };
    add_output(&table, PORT_TABLE);
    add_output(&one, 3);
    add_output(&two, 2);
    ADD_ACTION(&loop, RESUBMIT, resubmit, .in_port = PORT_IN_PORT, .table = 0);
    rig_clear(rig, 1);
    CHECK(!rig_flow(rig, 1, 0, 1, NULL, NULL, &one));

    uint32_t n = rig->n_executed;
    pipeline_begin(rig->pipeline, false);
    CHECK(!rig_flow_command(rig, 1, 0, 1, NULL, NULL, &two));
    CHECK(!packet_out(rig, &table, 1, 60));
    CHECK(!rig_command(rig, &flush, SLUICE_COMMAND_FLOW_FLUSH, sizeof flush));
    CHECK(rig->n_executed == n);
    EXPECT(rig, &key, "7");
    rig_commit(rig);
    CHECK(rig->n_executed == n + 1 && !strcmp(rig->executed, "2"));
    CHECK(!count_flows(rig, 1));
    claim("a packet-out sees what comes before it in its transaction, not what comes after");

    pipeline_begin(rig->pipeline, false);
    a_port_and_a_packet(rig, &port);
    rig_commit(rig);
    CHECK(rig->n_executed == n + 2 && !strcmp(rig->executed, "9"));
    claim("ports too");

    CHECK(!rig_flow(rig, 1, 0, 1, NULL, NULL, &one));
    pipeline_begin(rig->pipeline, false);
    CHECK(!packet_out(rig, &table, 1, 60));
    CHECK(!rig_flow_command(rig, 1, 0, 1, NULL, NULL, &loop));
    CHECK(packet_out(rig, &table, 1, 60) == SLUICE_ERROR_NOT_TRANSLATED);
    pipeline_rollback(rig->pipeline);
    CHECK(rig->n_executed == n + 2 && count_flows(rig, 1) == 1);
    claim("a packet-out that cannot be executed undoes all, and no other one is sent");
}

static void
test_expiry(struct rig *rig)
{
    struct {
        struct sluice_flow_mod mod;
        struct sluice_match match;
    } command;
    memset(&command, 0, sizeof command);
    command.mod.bridge = 1;
    command.mod.table = 1;
    command.mod.priority = 5;
    command.mod.flow_flags = SLUICE_FLOW_FLAG_SEND_FLOW_REM;
    command.mod.hard_timeout_s = 10;
    command.mod.out_port = command.mod.out_group = UINT32_MAX;
    command.mod.match_size = sizeof command.match;
    rig_clear(rig, 1);
    uint32_t n_calls = rig->n_removed_calls;
    CHECK(!rig_do(rig, &command, SLUICE_COMMAND_FLOW_MOD, sizeof command));
    rig->now_ms += 10000;
    CHECK(pipeline_maintain(rig->pipeline, rig->now_ms) == rig->now_ms + 1);
    CHECK(count_flows(rig, 1) == 1);
    rig->now_ms += 1;
    pipeline_maintain(rig->pipeline, rig->now_ms);
    CHECK(count_flows(rig, 1) == 0 && rig->n_removed_calls == n_calls + 1);

    uint64_t reply[128];
    size_t used;
    struct sluice_dump_query query = { .type = SLUICE_QUERY_FLOW_CHANGES, .size = sizeof query };
    CHECK(!pipeline_query(rig->pipeline, (struct sluice_record *) &query, (uint8_t *) reply, sizeof reply, &used));
    const struct sluice_dump_reply *head = (const void *) reply;
    const struct sluice_flow_report *report = (const void *) (head + 1);
    const struct sluice_flow_info *info = (const void *) (report + 1);
    CHECK(head->n_records == 1 && !head->cursor && info->reason == SLUICE_REMOVED_REASON_HARD_TIMEOUT);
    claim("a rule whose time is up goes and is reported once");
}

static void
test_trace(struct rig *rig)
{
    struct actions a = { .size = 0 };
    add_resubmit(&a, 1);
    add_output(&a, 3);
    rig_only(rig, 1, &a);
    static uint64_t reply[4096];
    struct {
        struct sluice_trace_query query;
        struct match_buffer match;
    } command;
    struct flow_key key = tcp_key(0);
    struct flow_key mask;
    size_t used;
    memset(&command, 0, sizeof command);
    memset(&mask, 0xff, sizeof mask);
    size_t size = match_compress(&key, &mask, &command.match.match, sizeof command.match);
    command.query.type = SLUICE_QUERY_TRACE;
    command.query.size = (uint32_t) (sizeof command.query + size);
    command.query.bridge = 1;
    command.query.in_port = 1;
    command.query.match_size = (uint32_t) size;
    struct sluice_record *record = (struct sluice_record *) &command.query;
    CHECK(!pipeline_query(rig->pipeline, record, (uint8_t *) reply, sizeof reply, &used));

    static const struct {
        uint16_t kind;
        uint16_t depth;
    } expected[] = {
        { SLUICE_TRACE_KIND_BRIDGE, 0 },   { SLUICE_TRACE_KIND_RULE, 1 },
        { SLUICE_TRACE_KIND_ACTION, 2 },   { SLUICE_TRACE_KIND_MISS, 3 },
        { SLUICE_TRACE_KIND_ACTION, 4 },   { SLUICE_TRACE_KIND_ACTION, 2 },
        { SLUICE_TRACE_KIND_FLOW, 0 },     { SLUICE_TRACE_KIND_FINAL_FLOW, 0 },
        { SLUICE_TRACE_KIND_MEGAFLOW, 0 }, { SLUICE_TRACE_KIND_DATAPATH_ACTIONS, 0 },
    };
    const struct sluice_dump_reply *head = (const void *) reply;
    const uint8_t *at = (const uint8_t *) (head + 1);
    CHECK(head->n_records == sizeof expected / sizeof expected[0]);
    for (uint32_t i = 0; i < head->n_records; i++) {
        const struct sluice_trace_step *step = (const void *) at;
        CHECK(step->kind == expected[i].kind && step->depth == expected[i].depth);
        CHECK(step->kind != SLUICE_TRACE_KIND_FINAL_FLOW || step->a == 1);
        CHECK(step->kind != SLUICE_TRACE_KIND_MISS || step->code == SLUICE_TRACE_NOTE_MISS_DROP);
        at += step->size;
    }
    CHECK(at == (const uint8_t *) reply + used);
    CHECK(pipeline_query(rig->pipeline, record, (uint8_t *) reply, 200, &used) == ENOSPC);
    command.query.bridge = 99;
    CHECK(pipeline_query(rig->pipeline, record, (uint8_t *) reply, sizeof reply, &used) == ENOENT);
    command.query.size -= 8;
    CHECK(pipeline_query(rig->pipeline, record, (uint8_t *) reply, sizeof reply, &used) == EINVAL);
    claim("a trace tells each step with its depth, and ends with flow, megaflow and actions");
}

int
main(void)
{
    static struct rig rig;
    setup(&rig);
    test_rollback(&rig);
    test_packet_out(&rig);
    test_packet_in_place(&rig);
    test_expiry(&rig);
    test_trace(&rig);
    rig_uninit(&rig);
    return 0;
}
