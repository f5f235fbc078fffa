/* NetFlow's flows and records. */
#include "pipeline/pipeline_state.h"
#include "pipeline/test/pipeline_rig.h"

static struct sluice_netflow_record told[64];
static uint32_t n_told;
static bool is_full;

static bool
tell(void *aux, struct sluice_event_netflow *event, const struct sluice_netflow_record *records)
{
    (void) aux;
    CHECK(event->type == SLUICE_EVENT_NETFLOW && event->bridge == 1 && event->n_records <= 30);
    if (is_full) {
        return false;
    }
    for (uint32_t i = 0; i < event->n_records; i++) {
        CHECK(n_told < sizeof told / sizeof told[0]);
        told[n_told++] = records[i];
    }
    return true;
}

static void
set_timeout(struct rig *rig, uint32_t timeout_s)
{
    struct sluice_bridge_set command = { .bridge = 1, .netflow_timeout_s = timeout_s };
    CHECK(!rig_do(rig, &command, SLUICE_COMMAND_BRIDGE_SET, sizeof command));
}

/* Outputs in order, and what NetFlow makes of them. */
static void
setup(struct rig *rig, uint32_t timeout_s)
{
    struct actions a = { .size = 0 };
    rig_init(rig);
    rig->pipeline->options.hooks.netflow = tell;
    n_told = 0;
    is_full = false;
    rig_bridge(rig, 1);
    for (uint32_t port = 1; port <= 3; port++) {
        rig_port(rig, 1, port, port, 0);
    }
    add_output(&a, 2);
    rig_only(rig, 1, &a);
    set_timeout(rig, timeout_s);
}

/* Translates 'key' and counts 'n' packets for it, as of a megaflow that then goes on; the credits are to be given back. */
static void
pass(struct rig *rig, struct xlate_out *out, const struct flow_key *key, uint64_t n)
{
    const struct xlate_in in = { .key = key, .now_ms = rig->now_ms, .learn = true };
    const struct xlate_traffic traffic = { n, 60 * n, rig->now_ms, 2, NULL };
    xlate(rig->pipeline, &in, out);
    xlate_credit(rig->pipeline, out->credits, out->n_credits, &traffic);
}

/* The megaflow goes. */
static void
end(struct rig *rig, struct xlate_out *out)
{
    struct xlate_credit credits[16];
    uint32_t n = out->n_credits;
    CHECK(n <= 16);
    memcpy(credits, out->credits, n * sizeof credits[0]);
    xlate_out_steal_credits(out);
    xlate_credits_release(credits, n, false);
    pipeline_do_chores(rig->pipeline, rig->now_ms);
}

static void
test_megaflow(void)
{
    struct rig rig;
    struct xlate_out out;
    setup(&rig, 10);
    xlate_out_init(&out);
    struct flow_key key = tcp_key(1);
    key.ip_tos = 0xb9;
    pass(&rig, &out, &key, 1);
    CHECK(out.mask.ip_src == UINT32_MAX && out.mask.ip_dst == UINT32_MAX && out.mask.ip_proto == UINT8_MAX
          && out.mask.tp_src == UINT16_MAX && out.mask.tp_dst == UINT16_MAX && out.mask.ip_tos == 0xfc);
    claim("megaflows are exact in what tells flows apart");
    struct flow_key icmp = key;
    icmp.ip_proto = 1;
    pass(&rig, &out, &icmp, 1);
    CHECK(out.mask.tp_src == be16(0xff) && out.mask.tp_dst == be16(0xff));
    struct flow_key other = key;
    other.eth_type = be16(ETH_TYPE_IPV6);
    pass(&rig, &out, &other, 1);
    CHECK(!out.mask.ip_src && !out.mask.tp_src);
    CHECK(out.n_credits == 1);
    claim("and of anything but IPv4 nothing is told");
    set_timeout(&rig, 0);
    pass(&rig, &out, &key, 1);
    CHECK(!out.mask.ip_src && !out.mask.tp_src && out.n_credits == 1);
    claim("without NetFlow nothing of it is left");
    xlate_out_uninit(&out);
    rig_uninit(&rig);
}

static void
test_end(void)
{
    struct rig rig;
    struct xlate_out out;
    setup(&rig, 10);
    xlate_out_init(&out);
    struct flow_key key = tcp_key(1);
    rig.now_ms += 500;
    pass(&rig, &out, &key, 3);
    CHECK(n_told == 0);
    rig.now_ms += 250;
    const struct xlate_traffic more = { 2, 200, rig.now_ms, 0x10, NULL };
    xlate_credit(rig.pipeline, out.credits, out.n_credits, &more);
    end(&rig, &out);
    CHECK(n_told == 1);
    const struct sluice_netflow_record *r = &told[0];
    CHECK(r->input == 1 && r->output == 2 && r->n_packets == 5 && r->n_bytes == 380);
    CHECK(r->first_ms == 500 && r->last_ms == 750 && r->tcp_flags == 0x12 && r->ip_proto == key.ip_proto);
    CHECK(r->ip_src == be32(key.ip_src) && r->tp_dst == be16(key.tp_dst));
    claim("a flow whose megaflow goes is told, with all that was counted");
    pass(&rig, &out, &key, 0);
    end(&rig, &out);
    CHECK(n_told == 1);
    claim("one without packets is not");
    xlate_out_uninit(&out);
    rig_uninit(&rig);
}

static void
test_active_timeout(void)
{
    struct rig rig;
    struct xlate_out out;
    setup(&rig, 10);
    xlate_out_init(&out);
    struct flow_key key = tcp_key(1);
    for (uint32_t second = 0; second < 25; second++) {
        pass(&rig, &out, &key, 1);
        rig.now_ms += 1000;
        pipeline_maintain(rig.pipeline, rig.now_ms);
    }
    CHECK(n_told == 2 && told[0].n_packets == 11 && told[1].n_packets == 10);
    claim("a flow that goes on is told each time that the active timeout passes");
    rig.now_ms += 11000;
    pipeline_maintain(rig.pipeline, rig.now_ms);
    CHECK(n_told == 3 && told[2].n_packets == 4);
    rig.now_ms += 11000;
    pipeline_maintain(rig.pipeline, rig.now_ms);
    CHECK(n_told == 3);
    claim("and then idle, it is told once more");
    xlate_out_uninit(&out);
    rig_uninit(&rig);
}

static void
test_outputs(void)
{
    static const struct {
        uint32_t ports[3];
        uint32_t output;
    } cases[] = {
        { { 0 }, 0xfffd },
        { { 3 }, 3 },
        { { 2, 3 }, 0xfffe },
        { { PORT_FLOOD }, 0xffff },
        { { PORT_FLOOD, 2 }, 0xffff },
        { { 2, PORT_ALL }, 0xffff },
        { { 3, PORT_CONTROLLER }, 3 },
        { { 3, 1 }, 3 },
    };
    struct rig rig;
    struct xlate_out out;
    setup(&rig, 10);
    xlate_out_init(&out);
    struct flow_key key = tcp_key(1);
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct actions a = { .size = 0 };
        for (uint32_t port = 0; port < 3 && cases[i].ports[port]; port++) {
            add_output(&a, cases[i].ports[port]);
        }
        rig_only(&rig, 1, &a);
        pass(&rig, &out, &key, 1);
        end(&rig, &out);
        CHECK(n_told == i + 1 && told[i].output == cases[i].output);
    }
    claim("the output is one port, flooded, several or none");
    struct actions a = { .size = 0 };
    add_output(&a, 2);
    rig_only(&rig, 1, &a);
    n_told = 0;
    pass(&rig, &out, &key, 1);
    struct actions b = { .size = 0 };
    add_output(&b, 3);
    rig_only(&rig, 1, &b);
    pass(&rig, &out, &key, 4);
    pipeline_do_chores(rig.pipeline, rig.now_ms);
    CHECK(n_told == 1 && told[0].output == 2 && told[0].n_packets == 1);
    end(&rig, &out);
    CHECK(n_told == 2 && told[1].output == 3 && told[1].n_packets == 4);
    claim("a flow whose output changes is told, and begins anew");
    xlate_out_uninit(&out);
    rig_uninit(&rig);
}

static void
test_no_room(void)
{
    struct rig rig;
    struct xlate_out out;
    setup(&rig, 10);
    xlate_out_init(&out);
    is_full = true;
    for (uint16_t port = 1; port <= 40; port++) {
        struct flow_key key = tcp_key(1);
        key.tp_src = be16(port);
        pass(&rig, &out, &key, 1);
        end(&rig, &out);
    }
    CHECK(n_told == 0 && !pipeline_has_chores(rig.pipeline));
    is_full = false;
    pipeline_maintain(rig.pipeline, rig.now_ms);
    CHECK(n_told == 40 && told[0].tp_src == 1 && told[39].tp_src == 40);
    claim("records that nobody takes are told later, in order");

    struct flow_key key = tcp_key(1);
    pass(&rig, &out, &key, 1);
    set_timeout(&rig, 0);
    end(&rig, &out);
    CHECK(n_told == 40);
    claim("when NetFlow ends, flows that were counted are forgotten");
    xlate_out_uninit(&out);
    rig_uninit(&rig);
}

int
main(void)
{
    test_megaflow();
    test_end();
    test_active_timeout();
    test_outputs();
    test_no_room();
    return 0;
}
