/* Translations that freeze and go on when their packet comes back. */
#include "pipeline/test/pipeline_rig.h"

#include "pipeline/frozen.h"
#include "pipeline/pipeline_state.h"

/* A translation that is kept, as a megaflow would keep it. */
struct kept {
    struct xlate_out out;
    char text[4096];
};

static void
keep(struct rig *rig, struct kept *kept, const struct flow_key *key)
{
    const struct xlate_in in = { .key = key, .now_ms = rig->now_ms, .learn = true };
    xlate_out_init(&kept->out);
    xlate(rig->pipeline, &in, &kept->out);
    rig_text(kept->out.actions, kept->out.actions_size, kept->text, sizeof kept->text);
}

static void
let_go(struct rig *rig, struct kept *kept)
{
    xlate_out_uninit(&kept->out);
    epoch_quiesce(rig->reader);
}

static void
expect_text(const struct kept *kept, const char *expected, int line)
{
    if (strcmp(kept->text, expected)) {
        fprintf(stderr, "line %d: got %s, expected %s\n", line, kept->text, expected);
        exit(1);
    }
}
#define EXPECT_KEPT(KEPT, TEXT) expect_text(KEPT, TEXT, __LINE__)

/* The packet of 'key' as it comes back with 'id'. */
static struct flow_key
again(const struct flow_key *key, uint32_t id)
{
    struct flow_key back = *key;
    back.recirc_id = be32(id);
    return back;
}

static void
test_resumes(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    struct kept first, second;
    add_set_field(&a, SLUICE_FIELD_ETH_DST, 9, field_ones(48));
    add_set_field(&a, SLUICE_FIELD_REG3, 2, field_ones(32));
    add_output(&a, 3);
    ADD_ACTION(&a, DEBUG_RECIRC, debug_recirc, .pad = 0);
    ADD_ACTION(&a, OUTPUT_REG, output_reg, .field = SLUICE_FIELD_REG3, .n_bits = 16);
    rig_only(rig, 1, &a);
    keep(rig, &first, &key);
    EXPECT_KEPT(&first, "keep_hash(),set(eth_dst=9),3,recirc(0x1)");
    struct flow_key back = again(&key, 1);
    keep(rig, &second, &back);
    EXPECT_KEPT(&second, "2");
    CHECK(second.out.mask.recirc_id == UINT32_MAX);
    claim("what follows a recirculation is executed when the packet comes back, with the registers as they were");

    struct kept same;
    struct flow_key other = tcp_key(1);
    other.tp_src = be16(77);
    keep(rig, &same, &other);
    EXPECT_KEPT(&same, "keep_hash(),set(eth_dst=9),3,recirc(0x1)");
    CHECK(frozen_count(rig->pipeline->frozen) == 1);
    let_go(rig, &first);
    CHECK(frozen_count(rig->pipeline->frozen) == 1);
    let_go(rig, &same);
    let_go(rig, &second);
    CHECK(!frozen_count(rig->pipeline->frozen));
    keep(rig, &first, &key);
    EXPECT_KEPT(&first, "keep_hash(),set(eth_dst=9),3,recirc(0x2)");
    let_go(rig, &first);
    keep(rig, &second, &back);
    EXPECT_KEPT(&second, "2");
    let_go(rig, &second);
    claim("an equal state has the same id as long as someone needs it, and packets under way find it a little longer");

    for (uint32_t i = 0; i < 3; i++) {
        rig->now_ms += FROZEN_LINGER_MS;
        pipeline_maintain(rig->pipeline, rig->now_ms);
    }
    keep(rig, &second, &back);
    EXPECT_KEPT(&second, "drop");
    CHECK(second.out.drop_reason == SLUICE_DROP_REASON_NO_RECIRCULATION && !second.out.cacheable);
    let_go(rig, &second);
    claim("a packet whose state is gone is dropped, and that is not cached");
}

static void
test_unrolls(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions outer = { .size = 0 }, inner = { .size = 0 };
    struct kept first, second;
    add_resubmit(&outer, 5);
    ADD_ACTION(&outer, CONTROLLER, controller, .max_len = 9, .form = 1, .reason = 1);
    add_output(&outer, 3);
    add_set_field(&inner, SLUICE_FIELD_REG0, 7, field_ones(32));
    ADD_ACTION(&inner, STACK_PUSH, stack_push, .field = SLUICE_FIELD_REG0, .n_bits = 32);
    ADD_ACTION(&inner, DEBUG_RECIRC, debug_recirc, .pad = 0);
    ADD_ACTION(&inner, WRITE_METADATA, write_metadata, .metadata = 5, .mask = 0xff);
    ADD_ACTION(&inner, STACK_POP, stack_pop, .field = SLUICE_FIELD_REG1, .n_bits = 32);
    ADD_ACTION(&inner, CONTROLLER, controller, .max_len = 8, .form = 1, .reason = 1);
    ADD_ACTION(&inner, GOTO_TABLE, goto_table, .table = 6);
    rig_only(rig, 1, &outer);
    CHECK(!rig_flow(rig, 1, 5, 1, NULL, NULL, &inner));
    struct actions last = { .size = 0 };
    add_output(&last, 2);
    struct flow_key value = tcp_key(1), mask;
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    value.metadata = be64(5);
    mask.metadata = UINT64_MAX;
    value.regs[1] = be32(7);
    mask.regs[1] = UINT32_MAX;
    CHECK(!rig_flow(rig, 1, 6, 1, &value, &mask, &last));
    keep(rig, &first, &key);
    struct sluice_dp_action_recirc *recirc = (void *) first.out.actions;
    CHECK(first.out.actions_size == sizeof *recirc && recirc->opcode == SLUICE_DP_ACTION_RECIRC);
    struct flow_key back = again(&key, recirc->recirc_id);
    keep(rig, &second, &back);
    EXPECT_KEPT(&second, "controller(reason=1,id=0,max_len=8,table=5,in_port=1),2,"
                         "controller(reason=1,id=0,max_len=9,table=0,in_port=1),3");
    let_go(rig, &first);
    let_go(rig, &second);
    claim("every list under way goes on where it was, in its own table, inner ones first");
}

static void
test_action_set(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    struct kept first, second;
    ADD_ACTION(&a, DEBUG_RECIRC, debug_recirc, .pad = 0);
    uint32_t from = a.size;
    add_output(&a, 3);
    wrap_actions(&a, from, SLUICE_ACTION_WRITE_ACTIONS);
    struct actions early = { .size = 0 };
    add_output(&early, 2);
    wrap_actions(&early, 0, SLUICE_ACTION_WRITE_ACTIONS);
    ADD_ACTION(&early, GOTO_TABLE, goto_table, .table = 1);
    rig_only(rig, 1, &early);
    CHECK(!rig_flow(rig, 1, 1, 1, NULL, NULL, &a));
    keep(rig, &first, &key);
    struct sluice_dp_action_recirc *recirc = (void *) first.out.actions;
    struct flow_key back = again(&key, recirc->recirc_id);
    keep(rig, &second, &back);
    EXPECT_KEPT(&second, "3");
    let_go(rig, &first);
    let_go(rig, &second);
    claim("the action set is frozen too, and executed once, at the end");
}

static void
test_patch(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions here = { .size = 0 }, there = { .size = 0 };
    struct kept first, second;
    add_output(&here, 8);
    add_output(&here, 2);
    rig_only(rig, 1, &here);
    ADD_ACTION(&there, DEBUG_RECIRC, debug_recirc, .pad = 0);
    add_output(&there, 4);
    rig_only(rig, 2, &there);
    keep(rig, &first, &key);
    struct sluice_dp_action_recirc *recirc = (void *) first.out.actions;
    CHECK(recirc->opcode == SLUICE_DP_ACTION_RECIRC);
    CHECK(strstr(first.text, ",2") && !strchr(strstr(first.text, ",2") + 1, ','));
    struct flow_key back = again(&key, recirc->recirc_id);
    keep(rig, &second, &back);
    EXPECT_KEPT(&second, "24");
    let_go(rig, &first);
    let_go(rig, &second);
    claim("a peer's bridge freezes its copy alone, and goes on in that bridge");
}

static void
test_label(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions pop = { .size = 0 }, under = { .size = 0 };
    struct kept first, second;
    key.eth_type = be16(0x8847);
    key.mpls0_lse = be32(0x100 | 64);
    key.ip_proto = 0;
    ADD_ACTION(&pop, POP_MPLS, pop_mpls, .ethertype = 0x0800);
    ADD_ACTION(&pop, GOTO_TABLE, goto_table, .table = 7);
    rig_only(rig, 1, &pop);
    add_output(&under, 2);
    CHECK(!rig_flow(rig, 1, 7, 1, NULL, NULL, &under));
    keep(rig, &first, &key);
    uint32_t size = first.out.actions_size;
    struct sluice_dp_action_recirc *recirc = (void *) ((uint8_t *) first.out.actions + size - sizeof *recirc);
    CHECK(recirc->opcode == SLUICE_DP_ACTION_RECIRC);
    const struct flow_key popped = tcp_key(1);
    struct flow_key back = again(&popped, recirc->recirc_id);
    keep(rig, &second, &back);
    EXPECT_KEPT(&second, "2");
    let_go(rig, &first);
    let_go(rig, &second);
    claim("a packet whose last label was popped goes on when it comes back, and does not turn in circles");
}

static void
test_pause(struct rig *rig)
{
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };
    struct kept first;
    add_set_field(&a, SLUICE_FIELD_REG3, 2, field_ones(32));
    ADD_ACTION(&a, CONTROLLER, controller, .max_len = 9, .form = 1, .reason = 1, .pause = 1);
    ADD_ACTION(&a, OUTPUT_REG, output_reg, .field = SLUICE_FIELD_REG3, .n_bits = 16);
    ADD_ACTION(&a, CONTROLLER, controller, .max_len = 9, .form = 1, .reason = 1, .pause = 1);
    rig_only(rig, 1, &a);
    keep(rig, &first, &key);
    for (uint32_t i = 0; i < 2; i++) {
        /* The packet-in is the last action, after what was before the pause. */
        const struct sluice_dp_action_controller *pause = (const void *) first.out.actions;
        pause = i ? (const void *) ((const uint8_t *) pause + sizeof(struct sluice_dp_action_output)) : pause;
        CHECK(pause->opcode == SLUICE_DP_ACTION_CONTROLLER && pause->recirc_id && !pause->table);
        size_t size;
        const struct sluice_continuation *content = pipeline_frozen(rig->pipeline, pause->recirc_id, &size);
        CHECK(content && content->bridge == 1 && content->in_port == 1);
        const struct xlate_in in = { .key = &key, .now_ms = rig->now_ms, .resume = content };
        struct xlate_out out;
        xlate_out_init(&out);
        xlate(rig->pipeline, &in, &out);
        xlate_out_uninit(&first.out);
        first.out = out;
        rig_text(out.actions, out.actions_size, first.text, sizeof first.text);
        CHECK(i ? !strcmp(first.text, "drop") : first.text[0] == '2' && first.text[1] == ',');
    }
    let_go(rig, &first);
    claim("a paused packet is left to the controller, and goes on where it stopped, to the next pause or the end");
}

int
main(void)
{
    struct rig rig;
    rig_init(&rig);
    rig_bridge(&rig, 1);
    rig_bridge(&rig, 2);
    rig_port(&rig, 1, 1, 1, 0);
    rig_port(&rig, 1, 2, 2, 0);
    rig_port(&rig, 1, 3, 3, 0);
    rig_patch(&rig, 1, 8, 2, 9);
    rig_port(&rig, 2, 4, 24, 0);
    rig_patch(&rig, 2, 9, 1, 8);
    test_resumes(&rig);
    test_unrolls(&rig);
    test_action_set(&rig);
    test_patch(&rig);
    test_label(&rig);
    test_pause(&rig);
    rig_uninit(&rig);
    return 0;
}
