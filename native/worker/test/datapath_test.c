/* The whole native half behind the ABI, without threads: two memory ports, flows, frames through, events out. */
#include "worker/test/abi_batch.h"

#include <errno.h>
#include <stdio.h>

#include "packet/bytes.h"
#include "sluice/flow_key.h"

static struct abi_batch batch;
static struct test_datapath test;

static void
make_frame(uint8_t frame[60], uint8_t host)
{
    static const uint8_t head[38] = {
        2, 0, 0, 0,  0,  2, 2, 0,  0, 0, 0, 1,  8, 0, 0x45, 0, 0, 46, 0,
        0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,    0, 1, 0,  2,
    };

    memset(frame, 0, 60);
    memcpy(frame, head, sizeof head);
    frame[29] = host;
    frame[39] = 26;
}

static void
submit_all(void)
{
    assert(batch_submit(&batch, test.datapath) == 0);
    for (uint32_t i = 0; i < ((struct sluice_batch *) batch.room)->n_commands; i++) {
        if (batch.results[i].error != 0) {
            printf("command %u: error %u, errno %u\n", i, batch.results[i].error, batch.results[i].system_error);
        }
        assert(batch.results[i].error == 0);
    }
}

static void
inject(uint32_t port, uint8_t host, int n)
{
    uint8_t frame[60];
    uint64_t n_packets;

    make_frame(frame, host);
    batch_begin(&batch, 0);
    for (int i = 0; i < n; i++) {
        batch_inject(&batch, port, frame, sizeof frame);
    }
    submit_all();
    assert(sluice_datapath_run(test.datapath, 0, &n_packets) == 0);
    assert(n_packets == (uint64_t) n);
}

static uint64_t
frames_to(uint32_t port)
{
    uint64_t n = 0;
    const struct sluice_record *record;

    while ((record = test_event_of(&test, SLUICE_EVENT_PORT_FRAME)) != NULL) {
        const struct sluice_event_port_frame *event = (const void *) record;
        assert(event->dp_port == port);
        n++;
    }
    return n;
}

static void
aggregate(struct sluice_aggregate_reply *reply)
{
    struct {
        struct sluice_flow_query query;
        struct sluice_match match;
    } ask = { .query = { .type = SLUICE_QUERY_FLOW_AGGREGATE,
                         .size = sizeof ask,
                         .bridge = 1,
                         .table = 255,
                         .out_port = UINT32_MAX,
                         .out_group = UINT32_MAX,
                         .match_size = sizeof ask.match } };
    size_t used;

    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, reply, sizeof *reply, &used) == 0);
    assert(used == sizeof *reply);
}

static void
a_frame_goes_through(void)
{
    batch_begin(&batch, 0);
    batch_bridge(&batch, 1);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, 1, "a", NULL, 0);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, 2, "b", NULL, 0);
    batch_ofport(&batch, 1, 1);
    batch_ofport(&batch, 1, 2);
    batch_flow(&batch, 1, 100, 2);
    submit_all();
    inject(1, 1, 1);
    const struct sluice_event_port_frame *event = (const void *) test_event(&test);
    assert(event != NULL && event->type == SLUICE_EVENT_PORT_FRAME && event->dp_port == 2 && event->packet_size == 60);
    uint8_t frame[60];
    make_frame(frame, 1);
    assert(memcmp(event + 1, frame, sizeof frame) == 0);
    assert(atomic_load(&test.n_wakes) == 1);
    puts("ok - a frame goes in at one memory port and out at another, and the control thread is woken");
}

static void
counters_are_exact(void)
{
    struct sluice_aggregate_reply reply;
    struct sluice_dump_query ask = { .type = SLUICE_QUERY_DATAPATH_STATS, .size = sizeof ask };
    struct sluice_datapath_stats stats;
    size_t used;

    inject(1, 1, 9);
    inject(1, 2, 90);
    assert(frames_to(2) == 99);
    aggregate(&reply);
    assert(reply.n_flows == 1 && reply.n_packets == 100 && reply.n_bytes == 6000);
    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, &stats, sizeof stats, &used) == 0);
    assert(stats.n_flows == 1 && stats.n_masks == 1 && stats.n_missed == 1);
    puts("ok - one miss makes one megaflow, and the rule counts every packet");
}

static void
a_transaction_is_undone(void)
{
    struct sluice_aggregate_reply reply;

    batch_begin(&batch, 0);
    batch_flow(&batch, 1, 200, 0);
    batch_ofport(&batch, 99, 1);
    batch_flow(&batch, 1, 300, 0);
    assert(batch_submit(&batch, test.datapath) == 0);
    assert(batch.results[0].error == 0 && batch.results[1].error == SLUICE_ERROR_NO_SUCH_BRIDGE);
    assert(batch.results[2].error == SLUICE_ERROR_CANCELED && batch.results[2].system_error == ECANCELED);
    aggregate(&reply);
    assert(reply.n_flows == 1);
    inject(1, 1, 1);
    assert(frames_to(2) == 1);
    puts("ok - a failed command undoes the transaction");
    batch_begin(&batch, SLUICE_BATCH_FLAG_INDEPENDENT);
    batch_flow(&batch, 1, 200, 0);
    batch_ofport(&batch, 99, 1);
    batch_flow(&batch, 1, 300, 0);
    assert(batch_submit(&batch, test.datapath) == 0);
    assert(batch.results[1].error == SLUICE_ERROR_NO_SUCH_BRIDGE && batch.results[2].error == 0);
    aggregate(&reply);
    assert(reply.n_flows == 3);
    inject(1, 1, 1);
    assert(frames_to(2) == 0);
    puts("ok - independent commands stand alone, and a new rule takes effect at once");
}

static void
set_clock(uint64_t now_ms)
{
    batch_begin(&batch, 0);
    struct sluice_clock_set *set = batch_add(&batch, SLUICE_COMMAND_CLOCK_SET, sizeof *set, NULL, 0, NULL, 0);
    set->mode = 1;
    set->now_ms = now_ms;
    submit_all();
    assert(sluice_datapath_now(test.datapath) == now_ms);
}

/* The only report is of a flow that was removed for that reason after that many packets. */
static void
assert_reported(uint8_t reason, uint64_t n_packets)
{
    struct sluice_dump_query ask = { .type = SLUICE_QUERY_FLOW_CHANGES, .size = sizeof ask };
    uint64_t room[512];
    size_t used;

    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, room, sizeof room, &used) == 0);
    const struct sluice_dump_reply *dump = (const void *) room;
    const struct sluice_flow_report *report = (const void *) (dump + 1);
    const struct sluice_flow_info *info = (const void *) (report + 1);
    assert(dump->n_records == 1 && report->change == SLUICE_FLOW_CHANGE_REMOVED);
    assert(info->reason == reason && info->n_packets == n_packets);
}

static void
a_flow_that_is_deleted_tells_all_its_packets(void)
{
    set_clock(sluice_datapath_now(test.datapath));
    batch_begin(&batch, 0);
    batch_flow(&batch, 1, 400, 2)->flow_flags = SLUICE_FLOW_FLAG_SEND_FLOW_REM;
    submit_all();
    inject(1, 1, 5);
    assert(frames_to(2) == 5);
    batch_begin(&batch, 0);
    struct sluice_flow_mod *mod = batch_flow(&batch, 1, 400, 2);
    mod->command = SLUICE_FLOW_COMMAND_DELETE_STRICT;
    submit_all();
    assert_reported(SLUICE_REMOVED_REASON_DELETE, 5);
    puts("ok - of a flow that is deleted the packets that no cache has told of yet are counted, too");
}

static void
flows_expire_by_the_frozen_clock(void)
{
    struct sluice_aggregate_reply reply;
    uint64_t begin = sluice_datapath_now(test.datapath);

    set_clock(begin);
    batch_begin(&batch, 0);
    struct sluice_flow_mod *mod = batch_flow(&batch, 1, 400, 2);
    mod->idle_timeout_s = 10;
    mod->flow_flags = SLUICE_FLOW_FLAG_SEND_FLOW_REM;
    mod->new_cookie = 0x1234;
    submit_all();
    set_clock(begin + 9000);
    inject(1, 1, 3);
    assert(frames_to(2) == 3);
    set_clock(begin + 18000);
    aggregate(&reply);
    assert(reply.n_flows == 4);
    set_clock(begin + 19500);
    aggregate(&reply);
    assert(reply.n_flows == 3);
    assert(test_event_of(&test, SLUICE_EVENT_FLOWS_CHANGED) != NULL);
    assert_reported(SLUICE_REMOVED_REASON_IDLE_TIMEOUT, 3);
    puts("ok - an idle timeout counts from the last packet, by the frozen clock, and is reported");
}

static void
controller_packets_are_events(void)
{
    struct sluice_match match = { { 0, 0 } };
    struct sluice_action_controller action = {
        .opcode = SLUICE_ACTION_CONTROLLER,
        .size = sizeof action,
        .max_len = 30,
        .reason = SLUICE_PACKET_IN_REASON_ACTION,
    };

    batch_begin(&batch, 0);
    struct sluice_flow_mod *mod =
        batch_add(&batch, SLUICE_COMMAND_FLOW_MOD, sizeof *mod, &match, sizeof match, &action, sizeof action);
    mod->bridge = 1;
    mod->priority = 500;
    mod->out_port = UINT32_MAX;
    mod->out_group = UINT32_MAX;
    mod->match_size = sizeof match;
    mod->actions_size = sizeof action;
    mod->new_cookie = 77;
    submit_all();
    inject(1, 5, 2);
    for (int i = 0; i < 2; i++) {
        const struct sluice_event_packet_in *event = (const void *) test_event_of(&test, SLUICE_EVENT_PACKET_IN);
        assert(event != NULL && event->bridge == 1 && event->in_port == 1 && event->total_size == 60);
        assert(event->packet_size == 60 && event->cookie == 77);
        const uint8_t *packet = (const uint8_t *) (event + 1) + event->match_size + event->userdata_size;
        assert(packet[5] == 2 && packet[29] == 5);
    }
    puts("ok - a controller action makes a packet-in of the whole packet, which no buffer keeps");
}

static void
malformed_batches_are_refused(void)
{
    batch_begin(&batch, 0);
    batch_flow(&batch, 1, 1, 2);
    struct sluice_batch *header = (struct sluice_batch *) batch.room;
    struct sluice_record *record = (struct sluice_record *) (header + 1);
    uint32_t good = record->size;
    const uint32_t sizes[] = { 0, 4, good + 8, good - 4, UINT32_MAX, UINT32_MAX - 7 };

    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        record->size = sizes[i];
        assert(batch_submit(&batch, test.datapath) == EINVAL);
    }
    record->size = good;
    header->n_commands = 2;
    assert(batch_submit(&batch, test.datapath) == EINVAL);
    header->n_commands = 1;
    header->version = 99;
    assert(batch_submit(&batch, test.datapath) == EINVAL);
    header->version = SLUICE_ABI_VERSION;
    assert(sluice_datapath_submit(test.datapath, batch.room, batch.size, batch.results, 0) == ENOSPC);
    assert(sluice_datapath_submit(test.datapath, batch.room, batch.size - 8, batch.results, 256) == EINVAL);
    record->type = 999;
    assert(batch_submit(&batch, test.datapath) == 0 && batch.results[0].error == SLUICE_ERROR_INVALID_RECORD);
    puts("ok - malformed batches are refused whole, unknown commands by themselves");
}

static void
ports_come_and_go(void)
{
    struct sluice_port_query ask = { .type = SLUICE_QUERY_PORT_STATS, .size = sizeof ask, .dp_port = 1 };
    struct sluice_port_info info;
    uint64_t n_packets;
    uint8_t frame[60];
    size_t used;

    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, &info, sizeof info, &used) == 0);
    assert(used == sizeof info && info.rx_packets > 100 && info.port_class == SLUICE_PORT_CLASS_MEMORY);
    make_frame(frame, 1);
    batch_begin(&batch, 0);
    batch_inject(&batch, 1, frame, sizeof frame);
    struct sluice_port_close *close = batch_add(&batch, SLUICE_COMMAND_PORT_CLOSE, sizeof *close, NULL, 0, NULL, 0);
    close->dp_port = 1;
    submit_all();
    assert(sluice_datapath_run(test.datapath, 0, &n_packets) == 0 && n_packets == 0);
    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, &info, sizeof info, &used) == ENOENT);
    batch_begin(&batch, 0);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, 1, "a", NULL, 0);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, 1, "again", NULL, 0);
    assert(batch_submit(&batch, test.datapath) == 0);
    assert(batch.results[0].error == 0 && batch.results[1].error == SLUICE_ERROR_EXISTS);
    puts("ok - a port can be closed with frames in its queue, and opened again");
}

#define HOSTS 64u

/* Adds a rule to 'table' of the greatest priority, for one host or, if that is UINT32_MAX, all, with one action. */
static void
rule_for_host(uint8_t table, uint32_t host, const void *action, uint32_t size)
{
    struct {
        struct sluice_match match;
        uint64_t words[4];
    } match = { .match = { { 0, 0 } } };
    struct flow_key value = { .eth_type = be16(0x0800), .ip_src = be32(0x0a000000 + host) };
    const uint32_t type_word = offsetof(struct flow_key, eth_type) / 8,
                   src_word = offsetof(struct flow_key, ip_src) / 8;
    struct flow_key mask = { .eth_type = UINT16_MAX, .ip_src = UINT32_MAX };
    uint32_t size_of_match = sizeof match.match;

    if (host != UINT32_MAX) {
        assert(type_word < src_word && src_word < 64);
        match.match.map[0] = UINT64_C(1) << type_word | UINT64_C(1) << src_word;
        match.words[0] = value.words[type_word];
        match.words[1] = mask.words[type_word];
        match.words[2] = value.words[src_word];
        match.words[3] = mask.words[src_word];
        size_of_match = sizeof match;
    }
    struct sluice_flow_mod *mod =
        batch_add(&batch, SLUICE_COMMAND_FLOW_MOD, sizeof *mod, &match, size_of_match, action, size);
    mod->bridge = 1;
    mod->table = table;
    mod->command = SLUICE_FLOW_COMMAND_ADD;
    mod->priority = 500;
    mod->out_port = mod->out_group = UINT32_MAX;
    mod->match_size = size_of_match;
    mod->actions_size = size;
}

/* Matches that a table of bridge 1 has counted. */
static uint64_t
matches_of(uint32_t table)
{
    struct sluice_bridge_query ask = {
        .type = SLUICE_QUERY_TABLE_STATS, .size = sizeof ask, .bridge = 1, .cursor = table
    };
    uint64_t room[16];
    size_t used;

    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, room, sizeof room, &used) == 0);
    const struct sluice_table_info *info = (const void *) ((const struct sluice_dump_reply *) room + 1);
    assert(info->table == table && info->n_lookups >= info->n_matches);
    return info->n_matches;
}

/* Tables 1 and 33 have one place in the tally of a burst. */
static void
misses_of_a_burst_count_in_full(void)
{
    const struct sluice_action_goto_table to_1 = { SLUICE_ACTION_GOTO_TABLE, sizeof to_1, 1 };
    const struct sluice_action_goto_table to_33 = { SLUICE_ACTION_GOTO_TABLE, sizeof to_33, 33 };
    const struct sluice_action_output output = { .opcode = SLUICE_ACTION_OUTPUT, .size = sizeof output, .port = 2 };
    uint8_t frame[60];
    uint64_t n_packets;
    const uint64_t before = matches_of(0);
    struct sluice_aggregate_reply counted_before, counted;

    aggregate(&counted_before);
    batch_begin(&batch, 0);
    rule_for_host(0, UINT32_MAX, &to_1, sizeof to_1);
    rule_for_host(1, UINT32_MAX, &to_33, sizeof to_33);
    for (uint32_t host = 0; host < HOSTS; host++) {
        rule_for_host(33, host, &output, sizeof output);
    }
    submit_all();
    for (uint32_t round = 1; round <= 2; round++) {
        batch_begin(&batch, 0);
        for (uint32_t host = 0; host < HOSTS; host++) {
            make_frame(frame, (uint8_t) host);
            batch_inject(&batch, 1, frame, sizeof frame);
        }
        submit_all();
        assert(sluice_datapath_run(test.datapath, 0, &n_packets) == 0 && n_packets == HOSTS);
        assert(frames_to(2) == HOSTS);
        /* Pushes what megaflows have counted. */
        aggregate(&counted);
        assert(counted.n_packets - counted_before.n_packets == 3 * round * HOSTS);
        assert(counted.n_bytes - counted_before.n_bytes == 3 * round * HOSTS * sizeof frame);
        assert(matches_of(0) - before == round * HOSTS && matches_of(1) == round * HOSTS);
        assert(matches_of(33) == round * HOSTS);
    }
    puts("ok - a burst of misses counts for every rule and table on its way, and so do the hits after it");
}

int
main(void)
{
    test_create(&test, 0);
    a_frame_goes_through();
    counters_are_exact();
    a_transaction_is_undone();
    flows_expire_by_the_frozen_clock();
    a_flow_that_is_deleted_tells_all_its_packets();
    controller_packets_are_events();
    malformed_batches_are_refused();
    misses_of_a_burst_count_in_full();
    ports_come_and_go();
    test_destroy(&test);
    sluice_datapath_destroy(NULL);
    puts("ok - everything is freed");
    return 0;
}
