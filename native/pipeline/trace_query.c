#include <errno.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/match.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pipeline/action_check.h"
#include "pipeline/field.h"
#include "pipeline/pipeline_state.h"
#include "pipeline/trace.h"
#include "pipeline/xlate.h"

static uint64_t
padded(uint32_t size)
{
    return ((uint64_t) size + 7) & ~(uint64_t) 7;
}

/* Checks the query; 0, EINVAL or ENOENT. */
static int
check(const struct pipeline *pipeline, const struct sluice_trace_query *query)
{
    if (query->size < sizeof *query
        || query->size
               != sizeof *query + padded(query->match_size) + padded(query->packet_size) + padded(query->actions_size)
        || (query->match_size && match_check_exact(query + 1, query->match_size, SLUICE_KEY_WORDS))
        || query->packet_size > PACKET_LARGE_SIZE) {
        return EINVAL;
    }
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    if (!view) {
        return ENOENT;
    }
    const uint8_t *actions = (const uint8_t *) (query + 1) + padded(query->match_size) + padded(query->packet_size);
    return query->actions_size && action_check(actions, query->actions_size, 255, view->bridge->n_tables) ? EINVAL : 0;
}

/* The key that the query describes, 'in_port' being an OpenFlow port. */
static void
make_key(const struct pipeline *pipeline, const struct sluice_trace_query *query, struct flow_key *key)
{
    const uint8_t *frame = (const uint8_t *) (query + 1) + padded(query->match_size);
    bool reads_packet = query->packet_size && !(query->trace_flags & SLUICE_TRACE_FLAG_MATCH_IS_KEY);
    memset(key, 0, sizeof *key);
    if (reads_packet) {
        struct packet packet;
        packet_wrap(&packet, (void *) frame, query->packet_size, 0, query->packet_size);
        packet_parse(&packet, pipeline_vlan_limit(pipeline), key);
    }
    if (query->match_size) {
        struct flow_key value;
        struct flow_key mask;
        match_expand((const struct match *) (query + 1), &value, &mask);
        for (uint32_t i = 0; i < SLUICE_KEY_WORDS; i++) {
            bool settable = !reads_packet || i < SLUICE_KEY_L2_WORD || i >= SLUICE_KEY_OPTIONS_WORD;
            key->words[i] = settable ? (key->words[i] & ~mask.words[i]) | value.words[i] : key->words[i];
        }
    }
    key->in_port = be32(port_normalize(query->in_port));
}

/* Leaves out of 'mask' what OVS does not print: bits of headers that the packet does not have. */
static void
trim_mask(const struct flow_key *key, struct flow_key *mask)
{
    if (!(key->vlan0_tci & be16(VLAN_CFI))) {
        mask->vlan0_tci = 0;
    }
    if (!(key->vlan0_tci & key->vlan1_tci & be16(VLAN_CFI))) {
        mask->vlan1_tci = 0;
    }
    mask->vlan0_tpid = 0;
    mask->vlan1_tpid = 0;
    if (key->eth_type != be16(ETH_TYPE_MPLS) && key->eth_type != be16(ETH_TYPE_MPLS_MCAST)) {
        mask->mpls0_lse = mask->mpls1_lse = mask->mpls2_lse = 0;
    }
    bool has_tunnel = key->tun_dst || memcmp(key->tun_ipv6_dst, (const uint8_t[16]){ 0 }, 16);
    if (!has_tunnel) {
        memset(&mask->words[SLUICE_KEY_TUNNEL_WORD], 0, (SLUICE_KEY_L2_WORD - SLUICE_KEY_TUNNEL_WORD) * 8);
        memset(&mask->words[SLUICE_KEY_OPTIONS_WORD], 0, (SLUICE_KEY_PIPELINE_WORD - SLUICE_KEY_OPTIONS_WORD) * 8);
    }
    if (key_is_ip(key) && key->ip_frag & FRAG_LATER) {
        mask->tp_src = mask->tp_dst = 0;
    }
    if (key_is_ip(key) && (key->ip_proto == 1 || key->ip_proto == 58)) {
        mask->tp_src &= be16(0xff);
        mask->tp_dst &= be16(0xff);
    }
}

/* The steps that end a trace. */
static void
put_summary(struct trace_sink *sink, const struct flow_key *key, const struct flow_key *final, struct xlate_out *out)
{
    struct flow_key initial = *key;
    struct flow_key all;
    memset(&all, 0xff, sizeof all);
    struct trace_step step = { .record = { .kind = SLUICE_TRACE_KIND_FLOW } };
    step.value = key;
    step.mask = &all;
    trace_put(sink, &step);

    initial.actset_output = be32(PORT_UNSET);
    step = (struct trace_step){ .record = { .kind = SLUICE_TRACE_KIND_FINAL_FLOW } };
    step.record.a = !memcmp(&initial, final, sizeof initial);
    step.value = final;
    step.mask = &all;
    trace_put(sink, &step);

    trim_mask(key, &out->mask);
    step = (struct trace_step){ .record = { .kind = SLUICE_TRACE_KIND_MEGAFLOW } };
    step.value = key;
    step.mask = &out->mask;
    trace_put(sink, &step);

    step = (struct trace_step){ .record = { .kind = SLUICE_TRACE_KIND_DATAPATH_ACTIONS } };
    step.actions = out->actions;
    step.record.actions_size = out->actions_size;
    trace_put(sink, &step);

    if (out->slow && !out->failed) {
        step = (struct trace_step){ .record = { .kind = SLUICE_TRACE_KIND_SLOW, .a = out->slow } };
        trace_put(sink, &step);
    }
    if (out->failed) {
        step = (struct trace_step){ .record = { .kind = SLUICE_TRACE_KIND_ERROR } };
        step.record.code = (uint16_t) out->drop_reason;
        trace_put(sink, &step);
    }
}

/* Does for the traced packet what its actions do besides output: controllers and exporters are told of it. */
static void
execute_telling(const struct pipeline *pipeline, const struct sluice_trace_query *query, const struct flow_key *key,
                const struct xlate_out *out)
{
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    if (!query->packet_size || !(query->trace_flags & SLUICE_TRACE_FLAG_EFFECTS) || out->failed
        || !hooks->execute_telling) {
        return;
    }
    const uint8_t *frame = (const uint8_t *) (query + 1) + padded(query->match_size);
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    const struct ofport *port = view ? bridge_view_find_port(view, port_normalize(query->in_port)) : NULL;
    struct flow_key on = *key;
    on.in_port = port ? be32(port->dp_port) : 0;
    hooks->execute_telling(hooks->aux, &on, frame, query->packet_size, out->actions, out->actions_size);
}

int
trace_query(struct pipeline *pipeline, const struct sluice_trace_query *query, uint8_t *reply, size_t room,
            size_t *used)
{
    int error = check(pipeline, query);
    if (error) {
        return error;
    }
    if (room < sizeof(struct sluice_dump_reply)) {
        return ENOSPC;
    }
    struct flow_key key;
    struct flow_key final;
    make_key(pipeline, query, &key);
    struct trace_sink sink = { .bytes = reply + sizeof(struct sluice_dump_reply),
                               .room = room - sizeof(struct sluice_dump_reply) };
    const uint8_t *actions = (const uint8_t *) (query + 1) + padded(query->match_size) + padded(query->packet_size);
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    const struct xlate_in in = {
        .key = &key,
        .now_ms = hooks->now(hooks->aux),
        .learn = query->trace_flags & SLUICE_TRACE_FLAG_EFFECTS,
        .has_control = true,
        .trace = &sink,
        .bridge = query->bridge,
        .in_port = query->in_port,
        .actions = query->actions_size ? actions : NULL,
        .actions_size = query->actions_size,
        .final = &final,
    };
    struct xlate_out out;
    xlate_out_init(&out);
    epoch_online(pipeline->reader);
    xlate(pipeline, &in, &out);
    execute_telling(pipeline, query, &key, &out);
    epoch_offline(pipeline->reader);
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    if (view) {
        tlv_map_decode(&view->tlvs, &key);
    }
    put_summary(&sink, &key, &final, &out);
    xlate_out_uninit(&out);
    if (sink.overflow) {
        return ENOSPC;
    }
    const struct sluice_dump_reply head = { .n_records = sink.n };
    memcpy(reply, &head, sizeof head);
    *used = sizeof head + sink.used;
    return 0;
}
