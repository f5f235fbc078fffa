#include <stdlib.h>
#include <string.h>

#include "classifier/rule.h"
#include "packet/bytes.h"
#include "packet/match.h"
#include "pipeline/bond.h"
#include "pipeline/mac_table.h"
#include "pipeline/monitor.h"
#include "pipeline/netflow.h"
#include "pipeline/tunnel.h"
#include "pipeline/ofmeter.h"
#include "pipeline/xlate_ctx.h"
#include "tunnel/header.h"

/* The upper six bits of IPv4's and IPv6's traffic class. */
#define IP_DSCP_MASK 0xfcu

void
output_credit(struct xlate_ctx *ctx, const struct ofport *port, enum xlate_credit_kind kind)
{
    struct xlate_credit *credit = xlate_add_credit(ctx);
    if (credit) {
        credit->kind = kind;
        credit->port = port->counters;
        port_counters_ref(port->counters);
    }
}

/* What a packet leaves behind in its bridge while it is in a peer's.  Its key is on the heap: bridges nest. */
struct bridge_state {
    const struct bridge_view *view;
    const struct rule *rule;
    uint64_t cookie;
    bool is_table_miss;
    bool in_packet_out;
    bool in_action_set;
    uint32_t mirrors;
    uint8_t table;
    uint8_t *stack;
    uint32_t stack_size, stack_capacity;
    uint64_t *action_set;
    uint32_t action_set_size, action_set_capacity;
    bool has_action_set;
    bool is_tracked;
    bool was_mpls;
    struct flow_key flow;
    struct flow_key base;
};

static void
leave_bridge(struct xlate_ctx *ctx, struct bridge_state *state)
{
    *state = (struct bridge_state){
        .view = ctx->view,
        .rule = ctx->rule,
        .cookie = ctx->cookie,
        .is_table_miss = ctx->is_table_miss,
        .in_packet_out = ctx->in_packet_out,
        .in_action_set = ctx->in_action_set,
        .mirrors = ctx->mirrors,
        .table = ctx->table,
        .stack = ctx->stack,
        .stack_size = ctx->stack_size,
        .stack_capacity = ctx->stack_capacity,
        .action_set = ctx->action_set,
        .action_set_size = ctx->action_set_size,
        .action_set_capacity = ctx->action_set_capacity,
        .has_action_set = ctx->has_action_set,
        .is_tracked = ctx->is_tracked,
        .was_mpls = ctx->was_mpls,
        .flow = ctx->flow,
        .base = ctx->base,
    };
    ctx->mirrors = 0;
    ctx->stack = NULL;
    ctx->stack_size = ctx->stack_capacity = 0;
    ctx->action_set = NULL;
    ctx->action_set_size = ctx->action_set_capacity = 0;
    ctx->has_action_set = ctx->in_packet_out = ctx->in_action_set = false;
}

static void
return_to_bridge(struct xlate_ctx *ctx, const struct bridge_state *state)
{
    free(ctx->stack);
    free(ctx->action_set);
    ctx->view = state->view;
    ctx->rule = state->rule;
    ctx->cookie = state->cookie;
    ctx->is_table_miss = state->is_table_miss;
    ctx->in_packet_out = state->in_packet_out;
    ctx->in_action_set = state->in_action_set;
    ctx->mirrors = state->mirrors;
    ctx->table = state->table;
    ctx->stack = state->stack;
    ctx->stack_size = state->stack_size;
    ctx->stack_capacity = state->stack_capacity;
    ctx->action_set = state->action_set;
    ctx->action_set_size = state->action_set_size;
    ctx->action_set_capacity = state->action_set_capacity;
    ctx->has_action_set = state->has_action_set;
    ctx->is_tracked = state->is_tracked;
    ctx->was_mpls = state->was_mpls;
    ctx->flow = state->flow;
    /* That the peer stopped or froze its copy is no reason for this bridge to stop. */
    ctx->exit = false;
}

void
output_into_bridge(struct xlate_ctx *ctx, const struct bridge_view *view, const struct ofport *peer)
{
    struct bridge_state *state = malloc(sizeof *state);
    if (!state) {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
        return;
    }
    leave_bridge(ctx, state);
    ctx->view = view;
    ctx->flow.in_port = be32(peer->ofp_port);
    ctx->flow.actset_output = be32(PORT_UNSET);
    ctx->flow.metadata = 0;
    memset(ctx->flow.regs, 0, sizeof ctx->flow.regs);
    memset(&ctx->flow.tun_id, 0, (SLUICE_KEY_L2_WORD - SLUICE_KEY_TUNNEL_WORD) * 8);
    ctx->flow.tun_metadata_present = 0;
    trace_bridge(ctx);
    if (!xlate_take_protocol(ctx) && xlate_may_receive(ctx, peer)) {
        const uint32_t before = ctx->out->actions_size;
        /* The peer's tables begin anew, one deeper. */
        ctx->table = 0;
        ctx->trace_depth++;
        xlate_table(ctx, peer->ofp_port, 0, true, xlate_clone);
        ctx->trace_depth--;
        if (!ctx->freezing) {
            action_set_execute(ctx);
        }
        freeze_finish(ctx);
        if (!ofport_forwards(peer)) {
            /* NORMAL and learn have looked at the packet; that was all. */
            ctx->out->actions_size = before;
            ctx->base = state->base;
        }
    }
    return_to_bridge(ctx, state);
    free(state);
}

/* Through a patch port into the peer's bridge. */
static void
output_patch(struct xlate_ctx *ctx, const struct ofport *port)
{
    const struct bridge_view *view = topology_find(ctx->config->topology, port->peer_bridge);
    const struct ofport *peer = view ? bridge_view_find_port(view, port->peer_port) : NULL;
    output_credit(ctx, port, XLATE_CREDIT_PORT_TX);
    if (!peer) {
        xlate_stamp(ctx, pipeline_cell(CELL_PORTS, 0, 0));
        return;
    }
    xlate_stamp(ctx, pipeline_cell(CELL_BRIDGE, view->bridge->id, 0));
    output_credit(ctx, peer, XLATE_CREDIT_PORT_RX);
    output_into_bridge(ctx, view, peer);
}

/* Makes the next output send at most 'max_len' bytes. */
static void
truncate_output(struct xlate_ctx *ctx, uint32_t max_len)
{
    struct sluice_dp_action_trunc *trunc = commit_append(ctx, SLUICE_DP_ACTION_TRUNC, sizeof *trunc);
    if (trunc) {
        trunc->max_len = max_len;
    }
}

static void
append_output(struct xlate_ctx *ctx, uint32_t dp_port)
{
    struct sluice_dp_action_output *output = commit_append(ctx, SLUICE_DP_ACTION_OUTPUT, sizeof *output);
    if (output) {
        output->dp_port = dp_port;
    }
}

/* Outputs to a device or tunnel.  'spread' is a bond if the datapath is to choose among its members, or null. */
static void
output_device(struct xlate_ctx *ctx, const struct ofport *port, const struct bundle *spread)
{
    ctx->netflow_output = port->ofp_port & UINT16_MAX;
    if (port->is_tunnel) {
        if (ctx->mirror_snaplen) {
            truncate_output(ctx, ctx->mirror_snaplen);
        }
        tunnel_output(ctx, port);
        ctx->n_outputs++;
        ctx->output = port->dp_port;
        return;
    }
    if (tunnel_terminate(ctx, port)) {
        return;
    }
    commit_actions(ctx);
    sample_output(ctx, port);
    if (ctx->mirror_snaplen) {
        truncate_output(ctx, ctx->mirror_snaplen);
    }
    if (spread) {
        bond_spread(ctx, spread);
    } else {
        append_output(ctx, port->dp_port);
    }
    ctx->n_outputs++;
    ctx->output = port->dp_port;
}

/* As output_port(), for one that takes only packets without Ethernet header. */
static void
output_l3(struct xlate_ctx *ctx, const struct ofport *port)
{
    uint8_t addresses[2][6];
    memcpy(addresses[0], ctx->flow.eth_src, 6);
    memcpy(addresses[1], ctx->flow.eth_dst, 6);
    uint32_t packet_type = ctx->flow.packet_type;
    if (!key_is_bare(&ctx->flow)) {
        ctx->flow.packet_type = be32(UINT32_C(0x10000) | be16(ctx->flow.eth_type));
        /* A header that was not pushed need not be popped. */
        ctx->pending_encap = false;
    }
    output_device(ctx, port, NULL);
    memcpy(ctx->flow.eth_src, addresses[0], 6);
    memcpy(ctx->flow.eth_dst, addresses[1], 6);
    ctx->flow.packet_type = packet_type;
}

/* As output_device(), by a port whose queues mark what leaves by them: the DSCP of IP packets is that of their queue. */
static void
output_marked(struct xlate_ctx *ctx, const struct ofport *port, const struct bundle *spread)
{
    uint8_t ip_tos = ctx->flow.ip_tos;
    uint32_t queue = be32(ctx->flow.skb_priority);
    bool is_ip = key_is_ip(&ctx->flow);
    WILD_ALL(ctx, skb_priority);
    for (uint32_t i = 0; is_ip && i < port->n_dscps; i++) {
        if (port->dscps[i].queue == queue) {
            WILD(ctx, ip_tos, IP_DSCP_MASK);
            ctx->flow.ip_tos = (uint8_t) ((ip_tos & ~IP_DSCP_MASK) | port->dscps[i].dscp << 2);
            break;
        }
    }
    output_device(ctx, port, spread);
    ctx->flow.ip_tos = ip_tos;
}

static bool
is_protected(const struct bundle *bundle)
{
    return bundle && bundle->flags & SLUICE_BUNDLE_FLAG_PROTECTED;
}

/* Whatever sends a packet there: NORMAL, or an output action. */
static bool
is_between_protected(const struct xlate_ctx *ctx, uint32_t ofp_port)
{
    return is_protected(bridge_view_bundle_of_port(ctx->view, ofp_port))
           && is_protected(bridge_view_bundle_of_port(ctx->view, be32(ctx->flow.in_port)));
}

/* Whether the spanning tree lets the packet leave by 'port'. */
static bool
tree_lets_out(struct xlate_ctx *ctx, const struct ofport *port)
{
    bool is_bpdu = xlate_is_bpdu(&ctx->base);
    if (!is_bpdu && port->spanning && monitor_protocol(ctx, port)) {
        /* Whether a link works is asked of blocked ones, too. */
        return true;
    }
    if (!(port->spanning & (is_bpdu ? SLUICE_SPANNING_FLAG_NO_BPDU : SLUICE_SPANNING_FLAG_NO_FORWARD))) {
        return true;
    }
    bool is_rapid = ctx->view->flags & SLUICE_BRIDGE_FLAG_RSTP;
    trace_note(ctx,
               is_bpdu    ? SLUICE_TRACE_NOTE_STP_NOT_LISTENING
               : is_rapid ? SLUICE_TRACE_NOTE_RSTP_NOT_FORWARDING
                          : SLUICE_TRACE_NOTE_STP_NOT_FORWARDING,
               0, 0, 0);
    return false;
}

/* As output_real(), whatever the spanning tree says unless 'in_tree'. */
static void
output_by(struct xlate_ctx *ctx, uint32_t ofp_port, bool in_tree)
{
    const struct ofport *port = bridge_view_find_port(ctx->view, ofp_port);
    const struct bundle *spread = ctx->spread;
    ctx->spread = NULL;
    if (!port) {
        trace_note(ctx, SLUICE_TRACE_NOTE_PORT_MISSING, ofp_port, 0, 0);
        return;
    }
    if (port->config & SLUICE_OFPORT_CONFIG_NO_FWD) {
        trace_note(ctx, SLUICE_TRACE_NOTE_PORT_NO_FORWARD, ofp_port, 0, 0);
        return;
    }
    if (is_between_protected(ctx, ofp_port)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_PROTECTED, ofp_port, 0, 0);
        return;
    }
    if (in_tree && !tree_lets_out(ctx, port)) {
        return;
    }
    if (!port->dp_port) {
        output_patch(ctx, port);
    } else if (port->packet_type_mode == SLUICE_PACKET_TYPE_MODE_LEGACY_L2 && key_is_bare(&ctx->flow)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_NON_ETHERNET_ON_L2_PORT, 0, 0, 0);
        return;
    } else if (port->packet_type_mode == SLUICE_PACKET_TYPE_MODE_LEGACY_L3) {
        output_l3(ctx, port);
    } else if (port->n_dscps) {
        output_marked(ctx, port, spread);
    } else {
        output_device(ctx, port, spread);
    }
    if (ctx->view->mirror_map) {
        mirror_packet(ctx, ofp_port, false);
    }
}

void
output_real(struct xlate_ctx *ctx, uint32_t ofp_port)
{
    output_by(ctx, ofp_port, true);
}

/* The datapath's number of the meter that a packet-in has to pass: the action's own, or the bridge's for all packet-ins.
 * SLUICE_METER_ALL if there is none. */
static uint32_t
controller_meter(struct xlate_ctx *ctx, uint32_t id)
{
    const struct ofmeter *meter = id != SLUICE_METER_ALL ? xlate_meter(ctx, id) : NULL;
    meter = meter ? meter : xlate_meter(ctx, SLUICE_METER_CONTROLLER);
    return meter ? meter->dp_meter : SLUICE_METER_ALL;
}

/* What is said of a tunnel is what is not zero.  Other fields of the tunnel's words stand for what is not there. */
static void
leave_out_zeros(const struct xlate_ctx *ctx, struct flow_key *mask)
{
    const struct flow_key *flow = &ctx->flow;
    mask->tun_flags &= flow->tun_flags & be16(TUN_FLAG_OAM); /* The others are no fields of OpenFlow. */
    mask->tun_gbp_id = flow->tun_gbp_id ? mask->tun_gbp_id : 0;
    mask->tun_gbp_flags = flow->tun_gbp_flags ? mask->tun_gbp_flags : 0;
    mask->tun_erspan_ver = flow->tun_erspan_ver ? mask->tun_erspan_ver : 0;
    mask->tun_erspan_idx = flow->tun_erspan_idx ? mask->tun_erspan_idx : 0;
    mask->tun_erspan_dir = flow->tun_erspan_dir ? mask->tun_erspan_dir : 0;
    mask->tun_erspan_hwid = flow->tun_erspan_hwid ? mask->tun_erspan_hwid : 0;
    mask->tun_gtpu_flags = flow->tun_gtpu_flags ? mask->tun_gtpu_flags : 0;
    mask->tun_gtpu_msgtype = flow->tun_gtpu_msgtype ? mask->tun_gtpu_msgtype : 0;
    mask->tun_src = flow->tun_src ? mask->tun_src : 0;
    mask->tun_dst = flow->tun_dst ? mask->tun_dst : 0;
}

/* Appends a packet-in with the pipeline's fields as they are now. */
static void
append_controller(struct xlate_ctx *ctx, const struct sluice_dp_action_controller *model, const void *userdata)
{
    /* Words that the packet came with are told as far as they were read; an unread one may differ from packet to packet
     * of the megaflow.  A packet-out has no megaflow. */
    uint64_t known = ctx->in->actions ? UINT64_MAX : 0;
    struct flow_key mask;
    memset(&mask, 0, sizeof mask);
    mask.in_port = UINT32_MAX;
    mask.packet_type = ctx->flow.packet_type ? UINT32_MAX : 0;
    mask.metadata = ctx->flow.metadata ? UINT64_MAX : 0;
    for (uint32_t i = 0; i < sizeof mask.regs / sizeof mask.regs[0]; i++) {
        mask.regs[i] = ctx->flow.regs[i] ? UINT32_MAX : 0;
    }
    for (uint32_t i = SLUICE_KEY_TUNNEL_WORD; i < SLUICE_KEY_L2_WORD; i++) {
        mask.words[i] = ctx->flow.words[i] ? ctx->wild->words[i] | known : 0;
    }
    leave_out_zeros(ctx, &mask);
    if (ctx->flow.tun_metadata_present) {
        /* Which fields there are at these places is known as long as the bridge's map stays.  A field of which a part was
         * read is told whole: packet-ins have no masks. */
        for (uint32_t i = SLUICE_KEY_OPTIONS_WORD; i < SLUICE_KEY_PIPELINE_WORD; i++) {
            ctx->wild->words[i] = ctx->wild->words[i] ? UINT64_MAX : 0;
            mask.words[i] = ctx->wild->words[i] | known;
        }
        mask.tun_metadata_present &= ctx->flow.tun_metadata_present;
    }
    mask.pkt_mark = ctx->flow.pkt_mark ? ctx->wild->pkt_mark | (uint32_t) known : 0;

    struct match_buffer match;
    size_t match_bytes = match_compress(&ctx->flow, &mask, &match.match, sizeof match);
    commit_actions(ctx);
    uint32_t dp_meter = model->recirc_id ? SLUICE_METER_ALL : controller_meter(ctx, model->meter_id);
    uint32_t begin = dp_meter != SLUICE_METER_ALL ? commit_clone_begin(ctx) : 0;
    if (dp_meter != SLUICE_METER_ALL) {
        commit_meter(ctx, dp_meter);
    }
    struct sluice_dp_action_controller *action =
        commit_append(ctx, SLUICE_DP_ACTION_CONTROLLER,
                      (uint32_t) (sizeof *action + match_bytes + ((model->userdata_size + 7u) & ~7u)));
    if (!action) {
        return;
    }
    uint16_t size = action->size;
    *action = *model;
    action->opcode = SLUICE_DP_ACTION_CONTROLLER;
    action->size = size;
    action->bridge = ctx->view->bridge->id;
    /* A packet that pauses is not in a table any more. */
    action->table = model->recirc_id ? 0 : ctx->table;
    action->in_port = be32(ctx->flow.in_port);
    action->cookie = ctx->cookie;
    action->match_size = (uint32_t) match_bytes;
    memcpy(action + 1, &match, match_bytes);
    if (model->userdata_size) {
        memcpy((uint8_t *) (action + 1) + match_bytes, userdata, model->userdata_size);
    }
    if (dp_meter != SLUICE_METER_ALL) {
        commit_clone_end(ctx, begin);
    }
}

/* The reason of a packet-in: that of output:CONTROLLER is by where it stands. */
static uint8_t
controller_reason(const struct xlate_ctx *ctx, const struct sluice_action_controller *a)
{
    if (a->form != 0 && a->reason != SLUICE_PACKET_IN_REASON_ACTION) {
        return a->reason;
    }
    if (a->form == 0 && ctx->in_packet_out) {
        return SLUICE_PACKET_IN_REASON_PACKET_OUT;
    }
    if (a->form == 0 && ctx->in_group) {
        return SLUICE_PACKET_IN_REASON_GROUP;
    }
    if (a->form == 0 && ctx->in_action_set) {
        return SLUICE_PACKET_IN_REASON_ACTION_SET;
    }
    return ctx->is_table_miss ? SLUICE_PACKET_IN_REASON_EXPLICIT_MISS : SLUICE_PACKET_IN_REASON_ACTION;
}

void
output_continuation(struct xlate_ctx *ctx, const struct sluice_action_controller *a, uint32_t recirc_id)
{
    /* As Open vSwitch, a trace without side effects does not name what it would not do. */
    if (ctx->in->trace && !ctx->in->learn) {
        return;
    }
    const struct sluice_dp_action_controller model = {
        .max_len = a->max_len,
        .reason = a->reason,
        .controller_id = a->controller_id,
        .meter_id = SLUICE_METER_ALL,
        .userdata_size = a->userdata_size,
        .recirc_id = recirc_id,
    };
    append_controller(ctx, &model, a + 1);
}

void
output_controller(struct xlate_ctx *ctx, const struct sluice_action_controller *a)
{
    if (a->pause) {
        freeze_for_controller(ctx, a);
        return;
    }
    const struct sluice_dp_action_controller model = {
        .max_len = a->max_len,
        .reason = controller_reason(ctx, a),
        .controller_id = a->controller_id,
        .meter_id = a->meter_id,
        .userdata_size = a->userdata_size,
    };
    append_controller(ctx, &model, a + 1);
}

void
output_invalid_ttl(struct xlate_ctx *ctx, uint16_t controller_id)
{
    if (ctx->view->flags & SLUICE_BRIDGE_FLAG_INVALID_TTL_TO_CONTROLLER || ctx->in->trace) {
        const struct sluice_dp_action_controller model = {
            .max_len = UINT16_MAX,
            .reason = SLUICE_PACKET_IN_REASON_INVALID_TTL,
            .controller_id = controller_id,
            .meter_id = SLUICE_METER_ALL,
        };
        append_controller(ctx, &model, NULL);
    }
}

void
output_table_miss(struct xlate_ctx *ctx)
{
    const struct sluice_action_controller action = {
        .opcode = SLUICE_ACTION_CONTROLLER,
        .size = sizeof action,
        .max_len = UINT16_MAX,
        .reason = SLUICE_PACKET_IN_REASON_IMPLICIT_MISS,
        .form = 1,
        .meter_id = SLUICE_METER_ALL,
    };
    ctx->cookie = 0;
    trace_action(ctx, &action, action.size);
    output_controller(ctx, &action);
}

/* To all ports but the one it came in on; unless 'all', only to those that take part in flooding. */
static void
flood(struct xlate_ctx *ctx, bool all)
{
    const struct bridge_view *view = ctx->view;
    uint32_t in_port = be32(ctx->flow.in_port);
    bool is_last = ctx->is_last;
    ctx->is_last = false;
    for (uint32_t i = 0; i < view->n_ports && !ctx->error; i++) {
        const struct ofport *port = view->ports[i];
        if (port->ofp_port != in_port && (all || !(port->config & SLUICE_OFPORT_CONFIG_NO_FLOOD))) {
            output_by(ctx, port->ofp_port, !all);
        }
    }
    ctx->is_last = is_last;
    ctx->netflow_output = NETFLOW_OUTPUT_FLOOD;
}

static void
output_to(struct xlate_ctx *ctx, uint32_t port, uint32_t max_len)
{
    uint32_t in_port = be32(ctx->flow.in_port);
    switch (port) {
    case PORT_IN_PORT:
        output_real(ctx, in_port);
        break;
    case PORT_TABLE:
        xlate_table(ctx, in_port, 0, true, xlate_actions);
        break;
    case PORT_NORMAL: {
        /* There may be several ports. */
        bool is_last = ctx->is_last;
        ctx->is_last = false;
        normal_output(ctx);
        ctx->is_last = is_last;
        break;
    }
    case PORT_FLOOD:
        flood(ctx, false);
        break;
    case PORT_ALL:
        flood(ctx, true);
        break;
    case PORT_CONTROLLER: {
        const struct sluice_action_controller action = { .max_len = (uint16_t) max_len, .meter_id = SLUICE_METER_ALL };
        output_controller(ctx, &action);
        break;
    }
    case PORT_NONE:
        break;
    default:
        if (port == in_port) {
            trace_note(ctx, SLUICE_TRACE_NOTE_OUTPUT_SUPPRESSED, port, 0, 0);
        } else {
            output_real(ctx, port);
        }
        break;
    }
}

void
output_port(struct xlate_ctx *ctx, uint32_t port, uint32_t max_len)
{
    uint32_t before = ctx->netflow_output;
    ctx->netflow_output = NETFLOW_OUTPUT_DROP;
    output_to(ctx, port, max_len);
    if (before == NETFLOW_OUTPUT_FLOOD || ctx->netflow_output == NETFLOW_OUTPUT_DROP) {
        ctx->netflow_output = before;
    } else if (before != NETFLOW_OUTPUT_DROP && ctx->netflow_output != NETFLOW_OUTPUT_FLOOD) {
        ctx->netflow_output = NETFLOW_OUTPUT_MANY;
    }
}

void
output_trunc(struct xlate_ctx *ctx, const struct sluice_action_output_trunc *a)
{
    uint32_t number = port_normalize(a->port);
    bool is_reserved = number >= PORT_IN_PORT && number != PORT_IN_PORT && number != PORT_LOCAL;
    if (is_reserved) {
        trace_note(ctx, SLUICE_TRACE_NOTE_TRUNC_RESERVED, number, 0, 0);
        return;
    }
    if (number == be32(ctx->flow.in_port)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_OUTPUT_SUPPRESSED, number, 0, 0);
        return;
    }
    const struct ofport *port = bridge_view_find_port(ctx->view, number);
    if (number != PORT_IN_PORT && (!port || !port->dp_port)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_TRUNC_PATCH, number, 0, 0);
        return;
    }
    truncate_output(ctx, a->max_len);
    output_port(ctx, number, 0);
}
