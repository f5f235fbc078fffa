#include "pipeline/xlate.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/flow_store.h"
#include "packet/bytes.h"
#include "pipeline/bond.h"
#include "pipeline/mac_table.h"
#include "pipeline/netflow.h"
#include "pipeline/tunnel.h"
#include "pipeline/tunnel_index.h"
#include "pipeline/ofmeter.h"
#include "pipeline/monitor.h"
#include "pipeline/xlate_ctx.h"

/* The switch's own table, which no search through those of controllers goes on to. */
#define TABLE_INTERNAL 254u

void
xlate_stamp(struct xlate_ctx *ctx, uint32_t cell)
{
    struct xlate_out *out = ctx->out;
    for (uint32_t i = 0; i < out->n_stamps && i < XLATE_STAMPS_MAX; i++) {
        if ((out->stamps[i].cell ^ cell) & ~PIPELINE_CELL_UNCHANGED) {
            continue;
        }
        out->stamps[i].cell &= cell; /* A table that is visited again is one to compare only if both visits are. */
        return;
    }
    if (out->n_stamps >= XLATE_STAMPS_MAX) {
        out->n_stamps = XLATE_STAMPS_MAX + 1;
        return;
    }
    uint32_t state = (uint32_t) ctx->config->version;
    if (cell & PIPELINE_CELL_ADDRESS) {
        state = atomic_load_explicit(&ctx->pipeline->address_cells[cell & PIPELINE_CELL_NUMBER], memory_order_acquire);
    }
    out->stamps[out->n_stamps++] = (struct xlate_stamp){ cell, state };
}

/* A stamp for the table at hand.  The megaflow's match tells which packets come there only while none of what they
 * arrived with is changed. */
static void
stamp_table(struct xlate_ctx *ctx)
{
    uint32_t cell = pipeline_cell(CELL_TABLE, ctx->view->bridge->id, ctx->table) | PIPELINE_CELL_TABLE;
    ctx->is_changed = ctx->is_changed
                      || memcmp(&ctx->flow.words[CHANGE_LOG_FIRST_WORD], &ctx->in->key->words[CHANGE_LOG_FIRST_WORD],
                                (CHANGE_LOG_END_WORD - CHANGE_LOG_FIRST_WORD) * sizeof ctx->flow.words[0])
                             != 0;
    xlate_stamp(ctx, ctx->is_changed ? cell : cell | PIPELINE_CELL_UNCHANGED);
}

/* Whether rules of a table changed that may concern packets of the megaflow. */
static bool
table_is_stale(const struct pipeline *pipeline, struct xlate_stamp *stamp, const struct megaflow *megaflow)
{
    uint32_t cell = stamp->cell & PIPELINE_CELL_NUMBER;
    uint32_t state = atomic_load_explicit(&stamp->state, memory_order_relaxed);
    uint32_t version = atomic_load_explicit(&pipeline->table_cells[cell], memory_order_acquire);
    if ((int32_t) (version - state) <= 0) {
        return false;
    }
    if (!megaflow || !(stamp->cell & PIPELINE_CELL_UNCHANGED)
        || change_log_concerns(&pipeline->changes, cell, state, megaflow)) {
        return true;
    }
    atomic_store_explicit(&stamp->state, version, memory_order_relaxed);
    return false;
}

static bool
stamp_is_stale(const struct pipeline *pipeline, struct xlate_stamp *stamp, const struct megaflow *megaflow)
{
    uint32_t cell = stamp->cell & PIPELINE_CELL_NUMBER;
    uint32_t state = atomic_load_explicit(&stamp->state, memory_order_relaxed);
    if (stamp->cell & PIPELINE_CELL_TABLE) {
        return table_is_stale(pipeline, stamp, megaflow);
    }
    if (stamp->cell & PIPELINE_CELL_ADDRESS) {
        return atomic_load_explicit(&pipeline->address_cells[cell], memory_order_relaxed) != state;
    }
    return (int32_t) (atomic_load_explicit(&pipeline->cells[cell], memory_order_relaxed) - state) > 0;
}

bool
xlate_is_stale(const struct pipeline *pipeline, uint64_t *change, struct xlate_stamp *stamps, uint32_t n_stamps,
               const struct megaflow *megaflow)
{
    uint64_t now = pipeline_change(pipeline);
    if (*change == now) {
        return false;
    }
    if (n_stamps > XLATE_STAMPS_MAX) {
        return true;
    }
    for (uint32_t i = 0; i < n_stamps; i++) {
        if (stamp_is_stale(pipeline, &stamps[i], megaflow)) {
            return true;
        }
    }
    *change = now;
    return false;
}

bool
xlate_reserve(void *arrayp, uint32_t used, uint32_t *capacity, uint32_t size, uint32_t max)
{
    void **array = arrayp;
    if (size > max || used > max - size) {
        return false;
    }
    if (used + size > *capacity) {
        uint32_t wanted = *capacity ? *capacity : 256;
        while (wanted < used + size) {
            wanted *= 2;
        }
        void *grown = realloc(*array, wanted);
        if (!grown) {
            return false;
        }
        *array = grown;
        *capacity = wanted;
    }
    return true;
}

struct xlate_credit *
xlate_add_credit(struct xlate_ctx *ctx)
{
    struct xlate_out *out = ctx->out;
    if (out->n_credits == out->credits_capacity) {
        uint32_t capacity = out->credits_capacity ? 2 * out->credits_capacity : 16;
        struct xlate_credit *credits = realloc(out->credits, capacity * sizeof *credits);
        if (!credits) {
            xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
            return NULL;
        }
        out->credits = credits;
        out->credits_capacity = capacity;
    }
    struct xlate_credit *credit = &out->credits[out->n_credits++];
    memset(credit, 0, sizeof *credit);
    return credit;
}

void
xlate_fail(struct xlate_ctx *ctx, uint32_t reason)
{
    if (!ctx->error) {
        ctx->error = reason;
    }
}

const struct ofmeter *
xlate_meter(struct xlate_ctx *ctx, uint32_t id)
{
    const struct bridge *bridge = ctx->view->bridge;
    xlate_stamp(ctx, pipeline_cell(CELL_METER, bridge->id, id));
    return ofmeter_find(bridge, id, ctx->config->version);
}

bool
xlate_is_bpdu(const struct flow_key *key)
{
    static const uint8_t address[6] = { 0x01, 0x80, 0xc2, 0x00, 0x00, 0x00 };
    return key->eth_type == be16(ETH_TYPE_NONE) && !memcmp(key->eth_dst, address, sizeof address);
}

bool
xlate_may_receive(struct xlate_ctx *ctx, const struct ofport *port)
{
    const uint32_t both = SLUICE_OFPORT_CONFIG_NO_RECV | SLUICE_OFPORT_CONFIG_NO_RECV_STP;
    uint32_t forbidden = port->config & both;
    if (forbidden && forbidden != both && ctx->flow.eth_type == be16(ETH_TYPE_NONE)) {
        WILD_ALL(ctx, eth_dst);
    }
    if (forbidden & (xlate_is_bpdu(&ctx->flow) ? SLUICE_OFPORT_CONFIG_NO_RECV_STP : SLUICE_OFPORT_CONFIG_NO_RECV)) {
        ctx->drop_reason = SLUICE_DROP_REASON_NO_RECV;
        return false;
    }
    if (port->spanning & SLUICE_SPANNING_FLAG_NO_LEARN) {
        ctx->drop_reason = SLUICE_DROP_REASON_SPANNING_TREE;
        return false;
    }
    return true;
}

static void
credit_rule(struct xlate_ctx *ctx, const struct rule *rule)
{
    struct xlate_credit *credit = xlate_add_credit(ctx);
    if (credit) {
        credit->kind = XLATE_CREDIT_RULE;
        credit->rule = rule;
        __builtin_prefetch(rule->stats, 1); /* For when it is counted. */
    }
}

static void
credit_miss(struct xlate_ctx *ctx, uint8_t table)
{
    struct xlate_credit *credit = xlate_add_credit(ctx);
    if (credit) {
        credit->kind = XLATE_CREDIT_MISS;
        credit->counters = flow_store_counters(ctx->view->bridge->flows, table);
    }
}

enum lookup {
    LOOKUP_RULE,
    LOOKUP_FRAGMENT,
    LOOKUP_CONTROLLER,
    LOOKUP_DROP,
};

/* Whether a packet that arrived on 'in_port' is for controllers when no rule matches. */
static enum lookup
miss_to_controller(const struct xlate_ctx *ctx, uint32_t in_port, bool port_needed)
{
    const struct ofport *port = bridge_view_find_port(ctx->view, in_port);
    bool quiet = port ? port->config & SLUICE_OFPORT_CONFIG_NO_PACKET_IN : port_needed;
    return quiet ? LOOKUP_DROP : LOOKUP_CONTROLLER;
}

/* What a table without a matching rule does: true if the next table is to be searched.  Behind the last one there is
 * nothing to go on with, and controllers are asked. */
static bool
miss(const struct xlate_ctx *ctx, uint8_t table, uint32_t in_port, enum lookup *result)
{
    switch (ctx->view->miss[table]) {
    case SLUICE_MISS_CONTINUE:
        *result = miss_to_controller(ctx, in_port, true);
        return table + 1u < ctx->view->bridge->n_tables && table + 1u != TABLE_INTERNAL;
    case SLUICE_MISS_DROP:
        *result = LOOKUP_DROP;
        return false;
    case SLUICE_MISS_DEFAULT: {
        bool wanted = ctx->view->flags & SLUICE_BRIDGE_FLAG_PACKET_IN_ON_MISS;
        *result = wanted ? miss_to_controller(ctx, in_port, false) : LOOKUP_DROP;
        return false;
    }
    default:
        *result = miss_to_controller(ctx, in_port, true);
        return false;
    }
}

/* Searches ctx->table, and further ones if it says so, which then is ctx->table. */
static enum lookup
lookup(struct xlate_ctx *ctx, uint32_t in_port, bool may_miss)
{
    const struct bridge_view *view = ctx->view;
    bool fragment = key_is_ip(&ctx->flow) && ctx->flow.ip_frag & FRAG_ANY;
    if (fragment && view->frag_mode == SLUICE_FRAG_MODE_DROP) {
        return LOOKUP_FRAGMENT;
    }

    uint32_t old_in_port = ctx->flow.in_port;
    uint16_t old_tp_src = ctx->flow.tp_src;
    uint16_t old_tp_dst = ctx->flow.tp_dst;
    uint16_t old_eth_type = ctx->flow.eth_type;
    uint16_t old_tci = ctx->flow.vlan0_tci;
    if (key_is_bare(&ctx->flow)) {
        /* A rule that wants an Ethernet type means Ethernet packets; others name the packet type.  Neither is there a
         * VLAN tag, nor none. */
        ctx->flow.eth_type = 0;
        ctx->flow.vlan0_tci = be16(VLAN_VID_MASK);
    }
    ctx->flow.in_port = be32(in_port);
    if (fragment && view->frag_mode != SLUICE_FRAG_MODE_NX_MATCH) {
        ctx->flow.tp_src = 0;
        ctx->flow.tp_dst = 0;
    }

    enum lookup result = LOOKUP_DROP;
    for (;;) {
        stamp_table(ctx);
        ctx->rule = flow_store_lookup(view->bridge->flows, ctx->table, ctx->config->version, &ctx->flow, ctx->wild);
        if (ctx->rule) {
            result = LOOKUP_RULE;
            break;
        }
        credit_miss(ctx, ctx->table);
        if (!may_miss || !miss(ctx, ctx->table, in_port, &result)) {
            break;
        }
        ctx->table++;
    }

    ctx->flow.in_port = old_in_port;
    ctx->flow.tp_src = old_tp_src;
    ctx->flow.tp_dst = old_tp_dst;
    ctx->flow.eth_type = old_eth_type;
    ctx->flow.vlan0_tci = old_tci;
    return result;
}

/* Tells of the outcome of a lookup. */
static void
trace_lookup(struct xlate_ctx *ctx, enum lookup result)
{
    static const uint16_t notes[] = {
        [LOOKUP_FRAGMENT] = SLUICE_TRACE_NOTE_MISS_FRAGMENT,
        [LOOKUP_CONTROLLER] = SLUICE_TRACE_NOTE_MISS_CONTROLLER,
        [LOOKUP_DROP] = SLUICE_TRACE_NOTE_MISS_DROP,
    };
    if (!ctx->in->trace) {
        return;
    }
    struct trace_step step = { .record = {
                                   .depth = ctx->trace_depth,
                                   .table = ctx->table,
                                   .bridge = ctx->view->bridge->id,
                               } };
    if (result == LOOKUP_RULE) {
        step.record.kind = SLUICE_TRACE_KIND_RULE;
        step.record.priority = ctx->rule->priority;
        step.record.cookie = ctx->rule->cookie;
        step.rule = ctx->rule;
    } else {
        step.record.kind = SLUICE_TRACE_KIND_MISS;
        step.record.code = notes[result];
    }
    trace_put(ctx->in->trace, &step);
}

/* Executes what the lookup found, its actions by 'run'. */
static void
execute(struct xlate_ctx *ctx, enum lookup result, xlate_run *run, bool is_last)
{
    switch (result) {
    case LOOKUP_RULE:
        credit_rule(ctx, ctx->rule);
        ctx->cookie = ctx->rule->cookie;
        ctx->is_table_miss = !ctx->rule->priority && rule_is_catchall(ctx->rule);
        run(ctx, ctx->rule->actions->bytes, ctx->rule->actions->size, is_last);
        break;
    case LOOKUP_CONTROLLER:
        output_table_miss(ctx);
        break;
    case LOOKUP_FRAGMENT:
    case LOOKUP_DROP:
        ctx->drop_reason = result == LOOKUP_DROP ? SLUICE_DROP_REASON_TABLE_MISS : SLUICE_DROP_REASON_FRAGMENT;
        xlate_actions(ctx, NULL, 0, is_last);
        break;
    }
}

bool
xlate_may_resubmit(struct xlate_ctx *ctx)
{
    uint32_t depth_max = ctx->view->depth_max ? ctx->view->depth_max : XLATE_DEPTH_MAX;
    if (ctx->depth >= depth_max || ctx->nesting >= XLATE_NESTING_MAX) {
        trace_note(ctx, SLUICE_TRACE_NOTE_RECURSION_TOO_DEEP, ctx->depth, 0, 0);
        xlate_fail(ctx, SLUICE_DROP_REASON_RECURSION_TOO_DEEP);
    } else if (ctx->n_resubmits >= XLATE_RESUBMITS_MAX) {
        trace_note(ctx, SLUICE_TRACE_NOTE_TOO_MANY_RESUBMITS, XLATE_RESUBMITS_MAX, 0, 0);
        xlate_fail(ctx, SLUICE_DROP_REASON_TOO_MANY_RESUBMITS);
    } else if (ctx->stack_size >= XLATE_STACK_SIZE_MAX) {
        trace_note(ctx, SLUICE_TRACE_NOTE_STACK_TOO_BIG, 0, 0, 0);
        xlate_fail(ctx, SLUICE_DROP_REASON_STACK_TOO_BIG);
    } else {
        return true;
    }
    return false;
}

void
xlate_table(struct xlate_ctx *ctx, uint32_t in_port, uint8_t table, bool may_miss, xlate_run *run)
{
    if (ctx->error) {
        return;
    }
    if (ctx->was_mpls) {
        /* What the table would match is not known yet. */
        freeze(ctx, FREEZE_FROM_THIS);
        return;
    }
    if (!xlate_may_resubmit(ctx)) {
        return;
    }
    const struct rule *old_rule = ctx->rule;
    uint64_t old_cookie = ctx->cookie;
    bool old_is_table_miss = ctx->is_table_miss;
    bool old_in_group = ctx->in_group;
    uint8_t old_table = ctx->table;

    ctx->table = table;
    enum lookup result = lookup(ctx, in_port, may_miss);
    bool deepens = ctx->table <= old_table;
    trace_lookup(ctx, result);

    ctx->depth += deepens;
    ctx->nesting++;
    ctx->n_resubmits++;
    ctx->trace_depth++;
    ctx->in_group = false;
    execute(ctx, result, run, ctx->is_last);
    ctx->trace_depth--;
    ctx->nesting--;
    ctx->depth -= deepens;

    ctx->table = old_table;
    ctx->rule = old_rule;
    ctx->cookie = old_cookie;
    ctx->is_table_miss = old_is_table_miss;
    ctx->in_group = old_in_group;
}

#define OPTIONS_BYTES ((SLUICE_KEY_PIPELINE_WORD - SLUICE_KEY_OPTIONS_WORD) * 8u)

/* Makes fields of the options of the tunnel that the packet came by.  Returns false, with a reason, if they cannot be. */
static bool
decode_options(struct xlate_ctx *ctx)
{
    if (ctx->in->draft) {
        /* A controller, which sends the packet, says fields. */
        return true;
    }
    ctx->first_view = ctx->view;
    if (tlv_map_decode(&ctx->view->tlvs, &ctx->flow)) {
        return true;
    }
    memset(&ctx->wild->words[SLUICE_KEY_OPTIONS_WORD], 0xff, OPTIONS_BYTES);
    ctx->first_view = NULL;
    ctx->drop_reason = SLUICE_DROP_REASON_NO_RECV;
    return false;
}

/* Fills in where a packet goes on that comes back.  Returns false, with a reason, if nowhere. */
static bool
find_frozen(struct xlate_ctx *ctx)
{
    const struct frozen_state *state = NULL;
    if (!ctx->in->resume) {
        state = frozen_find(ctx->pipeline->frozen, be32(ctx->in->key->recirc_id));
    }
    ctx->frozen = state ? &state->content : ctx->in->resume;
    if (!ctx->frozen) {
        ctx->drop_reason = SLUICE_DROP_REASON_NO_RECIRCULATION;
        return false;
    }
    if (!thaw(ctx, ctx->frozen)) {
        return false;
    }
    if (ctx->frozen->is_bond) {
        ctx->flow.in_port = be32(PORT_NONE);
    }
    xlate_stamp(ctx, pipeline_cell(CELL_BRIDGE, ctx->view->bridge->id, 0));
    return true;
}

/* A tunnel that speaks no group policies takes no packet that has one: a policy is not for whoever sends it to make up. */
static bool
takes_policy(struct xlate_ctx *ctx, const struct ofport *port)
{
    if (port->tunnel.tunnel_type != SLUICE_TUNNEL_TYPE_VXLAN || port->tunnel.tunnel_flags & SLUICE_TUNNEL_FLAG_GBP) {
        return true;
    }
    WILD_ALL(ctx, tun_gbp_id);
    WILD_ALL(ctx, tun_gbp_flags);
    return !ctx->in->key->tun_gbp_id && !ctx->in->key->tun_gbp_flags;
}

/* Fills in where the packet begins.  Returns false, with a reason, if nowhere; '*port' gets its port or null. */
static bool
find_start(struct xlate_ctx *ctx, const struct ofport **port)
{
    const struct topology *topology = ctx->config->topology;
    uint32_t in_port = ctx->in->in_port;
    *port = NULL;
    if (ctx->in->resume || ctx->in->key->recirc_id) {
        return find_frozen(ctx);
    }
    if (ctx->in->bridge) {
        ctx->view = topology_find(topology, ctx->in->bridge);
        *port = ctx->view ? bridge_view_find_port(ctx->view, port_normalize(in_port)) : NULL;
    } else {
        if (key_is_tunneled(ctx->in->key)) {
            /* Any change of ports may make another tunnel the receiver. */
            xlate_stamp(ctx, pipeline_cell(CELL_PORTS, 0, 0));
        }
        const struct dp_port_ref *ref = topology_find_arrival(topology, ctx->in->key);
        ctx->view = ref ? ref->view : NULL;
        *port = ref ? ref->port : NULL;
        in_port = *port ? (*port)->ofp_port : 0;
        if (*port && (*port)->is_tunnel && !takes_policy(ctx, *port)) {
            ctx->drop_reason = SLUICE_DROP_REASON_NO_OFPORT;
            return false;
        }
    }
    if (!ctx->view) {
        xlate_stamp(ctx, pipeline_cell(CELL_PORTS, 0, 0));
        ctx->drop_reason = SLUICE_DROP_REASON_NO_OFPORT;
        return false;
    }
    xlate_stamp(ctx, pipeline_cell(CELL_BRIDGE, ctx->view->bridge->id, 0));
    ctx->flow.in_port = be32(port_normalize(in_port));
    return decode_options(ctx);
}

/* What the result always depends on. */
static void
init_wild(struct xlate_ctx *ctx)
{
    memset(ctx->wild, 0, sizeof *ctx->wild);
    WILD_ALL(ctx, in_port);
    WILD_ALL(ctx, recirc_id);
    WILD_ALL(ctx, packet_type);
    WILD_ALL(ctx, eth_type);
    if (key_is_ip(&ctx->flow)) {
        WILD(ctx, ip_frag, FRAG_ANY | FRAG_LATER);
    }
    tunnel_wild(ctx);
}

/* Which protocol the packet is of, or 0. */
static uint32_t
protocol_of(struct xlate_ctx *ctx)
{
    const struct bundle *bundle = bridge_view_bundle_of_port(ctx->view, be32(ctx->flow.in_port));
    if (key_is_bare(&ctx->flow)) {
        return 0;
    }
    const struct ofport *port = bridge_view_find_port(ctx->view, be32(ctx->flow.in_port));
    uint32_t monitor = monitor_protocol(ctx, port);
    if (monitor) {
        return monitor;
    }
    if (bundle && bundle->flags & SLUICE_BUNDLE_FLAG_LACP && ctx->flow.eth_type == be16(ETH_TYPE_SLOW)) {
        return SLUICE_PROTOCOL_LACP;
    }
    if (ctx->view->flags & (SLUICE_BRIDGE_FLAG_STP | SLUICE_BRIDGE_FLAG_RSTP)
        && ctx->flow.eth_type == be16(ETH_TYPE_NONE)) {
        WILD_ALL(ctx, eth_dst);
        return xlate_is_bpdu(&ctx->flow) ? SLUICE_PROTOCOL_STP : 0;
    }
    if (port && port->monitor_flags & SLUICE_MONITOR_FLAG_LLDP && ctx->flow.eth_type == be16(ETH_TYPE_LLDP)) {
        return SLUICE_PROTOCOL_LLDP;
    }
    return 0;
}

static uint32_t
slow_reason(uint32_t protocol)
{
    switch (protocol) {
    case SLUICE_PROTOCOL_LACP:
        return SLUICE_SLOW_REASON_LACP;
    case SLUICE_PROTOCOL_STP:
        return SLUICE_SLOW_REASON_STP;
    case SLUICE_PROTOCOL_CFM:
        return SLUICE_SLOW_REASON_CFM;
    case SLUICE_PROTOCOL_BFD:
        return SLUICE_SLOW_REASON_BFD;
    case SLUICE_PROTOCOL_LLDP:
        return SLUICE_SLOW_REASON_LLDP;
    default:
        return 0;
    }
}

bool
xlate_take_protocol(struct xlate_ctx *ctx)
{
    uint32_t protocol = protocol_of(ctx);
    if (!protocol) {
        return false;
    }
    ctx->out->slow |= slow_reason(protocol);
    const struct ofmeter *limit = xlate_meter(ctx, SLUICE_METER_SLOWPATH);
    if (limit) {
        commit_meter(ctx, limit->dp_meter);
    }
    struct sluice_dp_action_protocol *action = commit_append(ctx, SLUICE_DP_ACTION_PROTOCOL, sizeof *action);
    if (action) {
        action->bridge = ctx->view->bridge->id;
        action->ofp_port = be32(ctx->flow.in_port);
        action->protocol = protocol;
    }
    return true;
}

/* Searches ctx->table for the packet that has come in, or back, on 'port' and executes what it says.  Returns false if
 * the port does not let the packet in. */
static bool
translate_table(struct xlate_ctx *ctx, const struct ofport *port)
{
    if (!ctx->frozen && xlate_take_protocol(ctx)) {
        return false;
    }
    enum lookup result = lookup(ctx, be32(ctx->flow.in_port), true);
    trace_lookup(ctx, result);
    if (port && port->is_tunnel && !ctx->frozen) {
        output_credit(ctx, port, XLATE_CREDIT_PORT_RX);
    }
    bool is_capable = ctx->frozen || tunnel_receive_ecn(ctx);
    if (!is_capable) {
        ctx->drop_reason = SLUICE_DROP_REASON_NOT_ECN_CAPABLE;
    }
    if (!is_capable || (port && !xlate_may_receive(ctx, port))) {
        if (result == LOOKUP_RULE) {
            credit_rule(ctx, ctx->rule);
        }
        return false;
    }
    const uint32_t sampled = ctx->out->actions_size;
    if (!ctx->frozen) {
        mirror_packet(ctx, be32(ctx->flow.in_port), true);
    }
    ctx->nesting++;
    ctx->trace_depth++;
    execute(ctx, result, xlate_actions, true);
    ctx->trace_depth--;
    ctx->nesting--;
    if (port && !ctx->error && !ofport_forwards(port)) {
        /* NORMAL and learn have looked at the packet; that was all. */
        ctx->out->actions_size = sampled;
        freeze_cancel(ctx);
        action_set_clear(ctx);
        ctx->drop_reason = SLUICE_DROP_REASON_SPANNING_TREE;
        return false;
    }
    return true;
}

/* Whether the packet came in where only copies of others should go out. */
static bool
is_from_mirror(const struct xlate_ctx *ctx)
{
    const struct bundle *bundle =
        ctx->view->mirror_map ? bridge_view_bundle_of_port(ctx->view, be32(ctx->flow.in_port)) : NULL;
    return bundle && mirror_owns_bundle(ctx->view, bundle);
}

/* Whether something goes to datapath port 'dp_port' already. */
static bool
outputs_to(const struct xlate_out *out, uint32_t dp_port)
{
    const uint8_t *bytes = (const uint8_t *) out->actions;
    for (uint32_t at = 0; at < out->actions_size;) {
        const struct sluice_dp_action_output *action = (const void *) (bytes + at);
        if (action->opcode == SLUICE_DP_ACTION_OUTPUT && action->dp_port == dp_port) {
            return true;
        }
        at += action->size;
    }
    return false;
}

/* Where control is in-band, the local port's address may be leased through the very bridge that needs it: the reply
 * reaches the local port even if no rule sends it there. */
static void
output_dhcp_reply(struct xlate_ctx *ctx)
{
    const uint16_t ipv4 = 0x0800, server_port = 67, client_port = 68;
    const uint8_t udp = 17;
    if (!(ctx->view->flags & SLUICE_BRIDGE_FLAG_IN_BAND) || ctx->freezing || ctx->error) {
        return;
    }
    const uint16_t all = UINT16_MAX;
    ctx->wild->eth_type = all;
    if (ctx->flow.eth_type != be16(ipv4)) {
        return;
    }
    ctx->wild->ip_proto = UINT8_MAX;
    if (ctx->flow.ip_proto != udp) {
        return;
    }
    ctx->wild->tp_src = all;
    if (ctx->flow.tp_src != be16(server_port)) {
        return;
    }
    ctx->wild->tp_dst = all;
    const struct ofport *local = bridge_view_find_port(ctx->view, PORT_LOCAL);
    if (ctx->flow.tp_dst != be16(client_port) || !local || outputs_to(ctx->out, local->dp_port)) {
        return;
    }
    output_real(ctx, PORT_LOCAL);
}

/* Runs the packet through its first bridge. */
static void
translate(struct xlate_ctx *ctx, const struct ofport *port)
{
    trace_bridge(ctx);
    ctx->trace_depth++;
    if (ctx->frozen) {
        trace_thaw(ctx);
    }
    bool received = true;
    netflow_unwildcard(ctx);
    if (!ctx->frozen) {
        sample_input(ctx);
    }
    if (is_from_mirror(ctx)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_MIRROR_INPUT, be32(ctx->flow.in_port), 0, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_MIRROR;
        ctx->trace_depth--;
        sample_finish(ctx);
        return;
    }
    if (ctx->frozen || ctx->in->actions) {
        mirror_packet(ctx, be32(ctx->flow.in_port), true);
    }
    if (ctx->frozen && ctx->frozen->is_bond) {
        bond_output_hashed(ctx, ctx->frozen->in_port);
    } else if (ctx->frozen && (ctx->frozen->actions_size || ctx->in->resume)) {
        ctx->cookie = UINT64_MAX;
        xlate_actions(ctx, frozen_actions(ctx->frozen), ctx->frozen->actions_size, true);
    } else if (ctx->in->actions) {
        ctx->in_packet_out = true;
        ctx->cookie = UINT64_MAX;
        xlate_actions(ctx, ctx->in->actions, ctx->in->actions_size, true);
    } else {
        received = translate_table(ctx, port);
    }
    ctx->trace_depth--;
    if (received && !ctx->error && !ctx->freezing) {
        action_set_execute(ctx);
    }
    freeze_finish(ctx);
    if (received) {
        output_dhcp_reply(ctx);
    }
    sample_finish(ctx);
    netflow_finish(ctx);
}

/* A clone that is a packet-in behind a meter is what Open vSwitch calls a sample of everything, which it keeps. */
static bool
is_metered_packet_in(const struct sluice_dp_action_clone *clone)
{
    const struct sluice_dp_action_meter *meter = (const void *) (clone + 1);
    const struct sluice_dp_action_controller *controller = (const void *) (meter + 1);
    return clone->actions_size > sizeof *meter && meter->opcode == SLUICE_DP_ACTION_METER
           && controller->opcode == SLUICE_DP_ACTION_CONTROLLER
           && clone->actions_size == sizeof *meter + controller->size;
}

/* A clone that nothing comes after need not be one. */
static void
unwrap_last_clone(struct xlate_out *out)
{
    uint8_t *bytes = (uint8_t *) out->actions;
    const struct sluice_dp_action_clone *last = NULL;
    for (uint32_t at = 0; at < out->actions_size; at += last->size) {
        last = (const void *) (bytes + at);
    }
    if (last && last->opcode == SLUICE_DP_ACTION_CLONE && !is_metered_packet_in(last)) {
        uint32_t size = last->actions_size;
        memmove((void *) last, last + 1, size);
        out->actions_size -= (uint32_t) sizeof *last;
    }
}

/* Makes the result whole. */
static void
finish(struct xlate_ctx *ctx)
{
    struct xlate_out *out = ctx->out;
    out->failed = ctx->error != 0;
    if (out->failed) {
        out->actions_size = 0;
    }
    unwrap_last_clone(out);
    commit_keep_hash(ctx);
    out->drop_reason = 0;
    if (!out->actions_size) {
        out->drop_reason = ctx->error         ? ctx->error
                           : ctx->drop_reason ? ctx->drop_reason
                                              : (uint32_t) SLUICE_DROP_REASON_NO_OUTPUT;
        ctx->error = 0;
        struct sluice_dp_action_drop *drop = commit_append(ctx, SLUICE_DP_ACTION_DROP, sizeof *drop);
        if (drop) {
            drop->reason = out->drop_reason;
        }
        ctx->error = out->drop_reason;
    }
    out->cacheable = !ctx->uncacheable && out->drop_reason != SLUICE_DROP_REASON_NO_MEMORY
                     && out->drop_reason != SLUICE_DROP_REASON_NO_RECIRCULATION;
    for (uint32_t i = SLUICE_KEY_PIPELINE_WORD; i < SLUICE_KEY_WORDS; i++) {
        ctx->wild->words[i] = 0;
    }
    if (key_is_bare(ctx->in->key)) {
        /* A dummy header's addresses may have been read. */
        memset(ctx->wild->eth_src, 0, sizeof ctx->wild->eth_src);
        memset(ctx->wild->eth_dst, 0, sizeof ctx->wild->eth_dst);
    }
    if (!mpls_eth_type(ctx->in->key->eth_type)) {
        /* Labels that actions pushed and changed are none of the packet's. */
        ctx->wild->mpls0_lse = ctx->wild->mpls1_lse = ctx->wild->mpls2_lse = 0;
    }
    if (ctx->in->final) {
        *ctx->in->final = ctx->flow;
    }
    if (ctx->first_view && !ctx->in->trace) {
        tlv_map_decode_mask(&ctx->first_view->tlvs, ctx->in->key, ctx->wild);
    }
    free(ctx->stack);
    free(ctx->action_set);
    free(ctx->frozen_actions);
    free(ctx->pause);
}

void
xlate(struct pipeline *pipeline, const struct xlate_in *in, struct xlate_out *out)
{
    struct xlate_ctx ctx;
    memset(&ctx, 0, offsetof(struct xlate_ctx, flow));
    memset((uint8_t *) &ctx + offsetof(struct xlate_ctx, wild), 0, sizeof ctx - offsetof(struct xlate_ctx, wild));
    ctx.pipeline = pipeline;
    ctx.in = in;
    ctx.out = out;
    ctx.wild = &out->mask;

    xlate_out_drop_credits(out, true);
    out->n_stamps = 0;
    out->solicitations.n = 0;
    out->actions_size = 0;
    out->slow = 0;
    out->change = pipeline_change(pipeline);
    pipeline_cover(pipeline, SLUICE_COVERAGE_XLATE_ACTIONS);
    ctx.config = in->draft ? in->draft : atomic_load_explicit(&pipeline->config, memory_order_acquire);

    ctx.flow = *in->key;
    ctx.flow.actset_output = be32(PORT_UNSET);
    ctx.queue = in->key->skb_priority;
    ctx.sflow_report = UINT32_MAX;
    ctx.netflow_output = NETFLOW_OUTPUT_DROP;
    init_wild(&ctx);
    ctx.base = ctx.flow;
    const struct ofport *port;
    bool found = find_start(&ctx, &port);
    ctx.base.in_port = ctx.flow.in_port;
    memset(&ctx.base.tun_id, 0, (SLUICE_KEY_L2_WORD - SLUICE_KEY_TUNNEL_WORD) * 8);
    memset(&ctx.base.words[SLUICE_KEY_OPTIONS_WORD], 0, OPTIONS_BYTES);
    if (port && port->packet_type_mode == SLUICE_PACKET_TYPE_MODE_LEGACY_L3 && key_is_bare(&ctx.flow)) {
        /* The bridge sees an all-zero Ethernet header, which is only pushed if the packet leaves with it. */
        ctx.flow.packet_type = 0;
        ctx.pending_encap = true;
    }
    if (found) {
        translate(&ctx, port);
    }
    finish(&ctx);
}

void
xlate_out_init(struct xlate_out *out)
{
    memset(out, 0, sizeof *out);
}

void
xlate_out_uninit(struct xlate_out *out)
{
    xlate_out_drop_credits(out, false);
    free(out->credits);
    free(out->actions);
    memset(out, 0, sizeof *out);
}
