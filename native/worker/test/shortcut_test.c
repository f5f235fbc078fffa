/* Bursts that take a shortcut go where each packet would go by itself, and are counted as if they had not. */
#include "worker/test/abi_batch.h"

#include <stdio.h>

#include "packet/bytes.h"
#include "packet/test/claim.h"
#include "sluice/flow_key.h"
#include "worker/state.h"

static struct abi_batch batch;
static struct test_datapath test;

enum kind {
    UDP,
    LATER_FRAGMENT,
    ARP,
    TAGGED,
    LENGTH,
    N_KINDS,
};

static void
make_frame(uint8_t frame[60], enum kind kind, uint8_t host)
{
    static const uint8_t types[N_KINDS][2] = { { 8, 0 }, { 8, 0 }, { 8, 6 }, { 0x81, 0 }, { 0, 46 } };
    static const uint8_t ip[24] = { 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0, 1, 0, 2 };

    memset(frame, 0, 60);
    memcpy(frame, "\x02\0\0\0\0\x02\x02\0\0\0\0\x01", 12);
    memcpy(frame + 12, types[kind], 2);
    frame[15] = 5; /* Of a tag, the VLAN. */
    if (kind == UDP || kind == LATER_FRAGMENT) {
        memcpy(frame + 14, ip, sizeof ip);
        frame[29] = host;
        frame[21] = kind == LATER_FRAGMENT ? 8 : 0;
    }
}

static void
submit_all(void)
{
    assert(batch_submit(&batch, test.datapath) == 0);
    for (uint32_t i = 0; i < ((struct sluice_batch *) batch.room)->n_commands; i++) {
        assert(batch.results[i].error == 0);
    }
}

/* A rule of table 0 that sends packets of port 1, of 'eth_type' unless that is 0, to 'port'. */
static void
add_rule(uint32_t priority, uint16_t eth_type, uint32_t port)
{
    const uint32_t port_word = offsetof(struct flow_key, in_port) / 8,
                   type_word = offsetof(struct flow_key, eth_type) / 8;
    struct flow_key value = { .in_port = be32(1), .eth_type = be16(eth_type) };
    struct flow_key mask = { .in_port = UINT32_MAX, .eth_type = UINT16_MAX };
    struct {
        struct sluice_match match;
        uint64_t words[4];
    } match = {
        .match = { { UINT64_C(1) << port_word | (eth_type != 0 ? UINT64_C(1) << type_word : 0) } },
        .words = { value.words[port_word], mask.words[port_word], value.words[type_word], mask.words[type_word] },
    };
    uint32_t size = sizeof match.match + (eth_type != 0 ? 32 : 16);
    struct sluice_action_output output = { .opcode = SLUICE_ACTION_OUTPUT, .size = sizeof output, .port = port };
    struct sluice_flow_mod *mod =
        batch_add(&batch, SLUICE_COMMAND_FLOW_MOD, sizeof *mod, &match, size, &output, sizeof output);

    mod->bridge = 1;
    mod->command = SLUICE_FLOW_COMMAND_ADD;
    mod->priority = priority;
    mod->out_port = mod->out_group = UINT32_MAX;
    mod->match_size = size;
    mod->actions_size = sizeof output;
}

/* Frames that have left by each port since the last call. */
static void
take_frames(uint32_t counts[4])
{
    const struct sluice_record *record;

    memset(counts, 0, 4 * sizeof counts[0]);
    while ((record = test_event_of(&test, SLUICE_EVENT_PORT_FRAME)) != NULL) {
        const struct sluice_event_port_frame *event = (const void *) record;
        assert(event->dp_port < 4);
        counts[event->dp_port]++;
    }
}

/* A burst into port 1 of 'n' frames, of which every 'every'th is of another kind. */
static void
burst(enum kind kind, uint32_t n, enum kind other, uint32_t every, uint32_t counts[4])
{
    uint8_t frame[60];
    uint64_t n_packets;

    batch_begin(&batch, 0);
    for (uint32_t i = 1; i <= n; i++) {
        make_frame(frame, every != 0 && i % every == 0 ? other : kind, (uint8_t) i);
        batch_inject(&batch, 1, frame, sizeof frame);
    }
    submit_all();
    assert(sluice_datapath_run(test.datapath, 0, &n_packets) == 0 && n_packets == n);
    take_frames(counts);
}

static uint64_t
rule_packets(void)
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
    struct sluice_aggregate_reply reply;
    size_t used;

    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, &reply, sizeof reply, &used) == 0);
    return reply.n_packets;
}

static const struct shortcut *
shortcut_of_port_1(void)
{
    const struct queue_list *list = atomic_load(&test.datapath->workers[0]->queues);

    for (uint32_t i = 0; i < list->n; i++) {
        if (list->queues[i]->port->dp_port == 1) {
            return &list->queues[i]->shortcut;
        }
    }
    return NULL;
}

static void
make_bridge(void)
{
    batch_begin(&batch, 0);
    batch_bridge(&batch, 1);
    for (uint32_t port = 1; port < 4; port++) {
        const char name[] = { 'p', (char) ('0' + port), '\0' };
        batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, port, name, NULL, 0);
        batch_ofport(&batch, 1, port);
    }
    submit_all();
}

/* Has megaflows of rules that changed translated again, as happens by itself every half second. */
static void
sweep(void)
{
    datapath_lock(test.datapath);
    maintain_sweep(test.datapath);
    datapath_unlock(test.datapath);
}

static void
a_rule_on_the_port_makes_one(void)
{
    uint32_t counts[4];

    make_bridge();
    burst(UDP, 32, UDP, 0, counts);
    CHECK(counts[2] == 0 && counts[3] == 0);
    batch_begin(&batch, 0);
    add_rule(100, 0, 2);
    submit_all();
    for (uint32_t round = 0; round < 5; round++) {
        burst(UDP, 32, UDP, 0, counts);
        CHECK(counts[2] == 32 && counts[3] == 0);
    }
    CHECK(shortcut_of_port_1()->megaflow != NULL);
    CHECK(rule_packets() == 160);
    claim("bursts under a rule on the port alone take a shortcut, and the rule counts them");
}

static void
a_megaflow_that_was_translated_again_is_another(void)
{
    uint32_t counts[4];

    for (uint32_t round = 0; round < 6; round++) {
        uint32_t port = 2 + (round + 1) % 2;
        batch_begin(&batch, 0);
        add_rule(100, 0, port);
        submit_all();
        sweep();
        burst(UDP, 32, UDP, 0, counts);
        burst(UDP, 32, UDP, 0, counts);
        CHECK(counts[port] == 32 && counts[5 - port] == 0 && shortcut_of_port_1()->megaflow != NULL);
    }
    claim("a megaflow that a sweep gives other actions makes a shortcut with those");
}

static void
a_changed_rule_ends_it(void)
{
    uint32_t counts[4];

    batch_begin(&batch, 0);
    add_rule(200, 0x0800, 3);
    submit_all();
    burst(UDP, 32, UDP, 0, counts);
    CHECK(counts[2] == 0 && counts[3] == 32);
    burst(ARP, 8, ARP, 0, counts);
    CHECK(counts[2] == 8 && counts[3] == 0);
    claim("the first burst after a change of the rules goes the new way");
}

static void
a_mixed_burst_goes_where_its_packets_go(void)
{
    uint64_t state = 5, n_sent = 0, before = rule_packets();

    for (uint32_t round = 0; round < 500; round++) {
        enum kind kind = (enum kind)(random_next(&state) % N_KINDS), other = (enum kind)(random_next(&state) % N_KINDS);
        uint32_t every = (uint32_t) (random_next(&state) % 4) * 7, n = 1 + (uint32_t) (random_next(&state) % 32),
                 counts[4];
        uint32_t n_other = every != 0 ? n / every : 0;
        uint32_t n_ip = (kind <= LATER_FRAGMENT ? n - n_other : 0) + (other <= LATER_FRAGMENT ? n_other : 0);
        burst(kind, n, other, every, counts);
        CHECK(counts[3] == n_ip && counts[2] == n - n_ip);
        n_sent += n;
    }
    CHECK(rule_packets() - before == n_sent);
    claim("of 500 random bursts every packet leaves where its own rule says, and is counted once");
}

static void
it_ends_with_the_port_that_it_leads_to(void)
{
    uint32_t counts[4];

    burst(UDP, 4, UDP, 0, counts);
    batch_begin(&batch, 0);
    struct sluice_port_close *record = batch_add(&batch, SLUICE_COMMAND_PORT_CLOSE, sizeof *record, NULL, 0, NULL, 0);
    record->dp_port = 3;
    submit_all();
    burst(UDP, 4, UDP, 0, counts);
    CHECK(counts[2] == 0 && counts[3] == 0);
    claim("a shortcut to a port that is gone leads nowhere");
}

int
main(void)
{
    test_create(&test, 0);
    a_rule_on_the_port_makes_one();
    a_megaflow_that_was_translated_again_is_another();
    a_changed_rule_ends_it();
    a_mixed_burst_goes_where_its_packets_go();
    it_ends_with_the_port_that_it_leads_to();
    test_destroy(&test);
    return 0;
}
