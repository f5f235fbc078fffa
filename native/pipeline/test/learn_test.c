/* What learn actions make, and when it goes; what fin_timeout does. */
#include "pipeline/test/pipeline_rig.h"

/* Adds a spec to the learn action at the end of 'actions'. */
static void
add_spec(struct actions *a, struct sluice_action_learn *learn, struct sluice_learn_spec spec, uint64_t immediate)
{
    uint8_t *to = (uint8_t *) a->words + a->size;
    uint32_t size = sizeof spec + (spec.source == 1 ? 8 : 0);

    spec.immediate_size = spec.source == 1 ? 8 : 0;
    memcpy(to, &spec, sizeof spec);
    if (spec.source == 1) {
        field_value_store(to + sizeof spec, 8, immediate);
    }
    learn->size = (uint16_t) (learn->size + size);
    learn->specs_size += size;
    a->size += size;
}

/* learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:7->NXM_NX_REG2[0..7],output:NXM_OF_IN_PORT[]) and what 'model'
 * says; then resubmit(,1). */
static void
add_mac_learning(struct actions *a, struct sluice_action_learn model)
{
    a->size = 0;
    struct sluice_action_learn *learn = actions_add(a, SLUICE_ACTION_LEARN, sizeof *learn);
    model.opcode = SLUICE_ACTION_LEARN;
    model.size = sizeof model;
    model.priority = 10;
    model.table = 1;
    *learn = model;
    add_spec(a, learn,
             (struct sluice_learn_spec){
                 .n_bits = 48, .src_field = SLUICE_FIELD_ETH_SRC, .dst_field = SLUICE_FIELD_ETH_DST },
             0);
    add_spec(a, learn,
             (struct sluice_learn_spec){ .n_bits = 8, .source = 1, .target = 1, .dst_field = SLUICE_FIELD_REG2 }, 7);
    add_spec(a, learn, (struct sluice_learn_spec){ .n_bits = 16, .target = 2, .src_field = SLUICE_FIELD_IN_PORT }, 0);
    add_resubmit(a, 1);
}

static struct flow_key
between(uint32_t port, uint8_t from, uint8_t to)
{
    struct flow_key key = tcp_key(port);
    key.eth_src[5] = from;
    key.eth_dst[5] = to;
    return key;
}

/* Flows in all tables. */
static uint64_t
count_flows(struct rig *rig)
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
    CHECK(!pipeline_query(rig->pipeline, (struct sluice_record *) &ask, (uint8_t *) &reply, sizeof reply, &used));
    return reply.n_flows;
}

static void
pass(struct rig *rig, uint64_t ms)
{
    rig->now_ms += ms;
    pipeline_maintain(rig->pipeline, rig->now_ms);
    epoch_quiesce(rig->reader);
}

static void
test_learning(struct rig *rig)
{
    struct flow_key a_to_b = between(1, 0xa, 0xb), b_to_a = between(2, 0xb, 0xa);
    struct flow_key mask;
    struct actions a;

    add_mac_learning(&a, (struct sluice_action_learn){ .hard_timeout = 10 });
    rig_only(rig, 1, &a);
    CHECK(strcmp(rig_xlate(rig, &a_to_b, &mask), "1"));
    CHECK(mask.eth_src[5] == 0xff && mask.eth_src[0] == 0xff);
    CHECK(count_flows(rig) == 2);
    EXPECT(rig, &b_to_a, "1");
    CHECK(count_flows(rig) == 3);
    EXPECT(rig, &a_to_b, "2");
    CHECK(count_flows(rig) == 3);
    claim("a flow is learned once, and forwards what comes back; its sources are un-wildcarded");

    pass(rig, 8000);
    EXPECT(rig, &a_to_b, "2");
    pass(rig, 4000);
    CHECK(count_flows(rig) == 2);
    pass(rig, 7000);
    CHECK(count_flows(rig) == 1);
    claim("a packet that would learn a flow again makes it young again");
}

static void
test_limit(struct rig *rig)
{
    struct actions a;
    struct flow_key key;

    add_mac_learning(&a, (struct sluice_action_learn){
                             .limit = 2, .cookie = 5, .learn_flags = 4, .result_field = SLUICE_FIELD_REG3 });
    a.size -= 16; /* Without the resubmit. */
    ADD_ACTION(&a, OUTPUT_REG, output_reg, .field = SLUICE_FIELD_REG3, .n_bits = 16);
    rig_only(rig, 1, &a);
    for (uint8_t i = 0; i < 4; i++) {
        key = between(2, i, 0xb);
        const char *text = rig_xlate(rig, &key, NULL);
        CHECK((i < 2) == !strcmp(text, "1"));
        CHECK(count_flows(rig) == (i < 2 ? i + 2u : 3u));
    }
    key = between(2, 1, 0xb);
    EXPECT(rig, &key, "1");
    claim("the limit stops learning, the result tells, and what is learned stays learned");
}

static void
test_delete_learned(struct rig *rig)
{
    struct actions a, other = { .size = 0 };
    struct flow_key key = between(1, 0xa, 0xb);
    struct flow_key mask = { .eth_type = UINT16_MAX }, value = { .eth_type = be16(0x800) };

    add_mac_learning(&a, (struct sluice_action_learn){ .cookie = 9, .learn_flags = 2 });
    rig_only(rig, 1, &a);
    CHECK(!rig_flow(rig, 1, 0, 0, &value, &mask, &a));
    rig_xlate(rig, &key, NULL);
    CHECK(count_flows(rig) == 3);
    add_output(&other, 2);
    CHECK(!rig_flow(rig, 1, 0, 1, NULL, NULL, &other));
    CHECK(count_flows(rig) == 3);
    CHECK(!rig_flow(rig, 1, 0, 0, &value, &mask, &other));
    CHECK(count_flows(rig) == 2);
    claim("what was learned goes when the last rule that learns it does");
}

static void
test_fin_timeout(struct rig *rig)
{
    struct actions a = { .size = 0 };
    struct flow_key key = tcp_key(1);

    ADD_ACTION(&a, FIN_TIMEOUT, fin_timeout, .idle_timeout = 5);
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    EXPECT(rig, &key, "2");
    pass(rig, 20000);
    CHECK(count_flows(rig) == 1);
    key.tcp_flags = be16(0x011);
    EXPECT(rig, &key, "2");
    pass(rig, 4000);
    CHECK(count_flows(rig) == 1);
    pass(rig, 2000);
    CHECK(count_flows(rig) == 0);
    claim("a FIN shortens the timeouts of its rule");
}

static void
test_bad(struct rig *rig)
{
    struct actions a;
    struct sluice_action_learn *learn = (struct sluice_action_learn *) a.words;
    struct sluice_learn_spec *spec = (struct sluice_learn_spec *) (learn + 1);

    add_mac_learning(&a, (struct sluice_action_learn){ .limit = 0 });
    CHECK(!rig_flow(rig, 1, 0, 5, NULL, NULL, &a));
    spec->n_bits = 49;
    CHECK(rig_flow(rig, 1, 0, 5, NULL, NULL, &a) == SLUICE_ERROR_BAD_ACTION);
    spec->n_bits = 0;
    CHECK(rig_flow(rig, 1, 0, 5, NULL, NULL, &a) == SLUICE_ERROR_BAD_ACTION);
    spec->n_bits = 48;
    spec->immediate_size = 65535;
    CHECK(rig_flow(rig, 1, 0, 5, NULL, NULL, &a) == SLUICE_ERROR_BAD_ACTION);
    spec->immediate_size = 0;
    spec->target = 3;
    CHECK(rig_flow(rig, 1, 0, 5, NULL, NULL, &a) == SLUICE_ERROR_BAD_ACTION);
    spec->target = 0;
    learn->table = 254;
    CHECK(rig_flow(rig, 1, 0, 5, NULL, NULL, &a) == SLUICE_ERROR_BAD_TABLE);
    learn->table = 1;
    learn->specs_size += 8;
    CHECK(rig_flow(rig, 1, 0, 5, NULL, NULL, &a) == SLUICE_ERROR_BAD_ACTION);
    claim("specs that are not whole or name bits that are not there are refused");
}

int
main(void)
{
    struct rig rig;
    rig_init(&rig);
    rig_bridge(&rig, 1);
    rig_port(&rig, 1, 1, 1, 0);
    rig_port(&rig, 1, 2, 2, 0);
    test_learning(&rig);
    test_limit(&rig);
    test_delete_learned(&rig);
    test_fin_timeout(&rig);
    test_bad(&rig);
    rig_uninit(&rig);
    return 0;
}
