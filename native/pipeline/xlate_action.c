#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "pipeline/field_hash.h"
#include "pipeline/ofmeter.h"
#include "pipeline/select.h"
#include "pipeline/netflow.h"
#include "pipeline/xlate_ctx.h"

struct action_header {
    uint16_t opcode;
    uint16_t size;
};

field_value
xlate_load(struct xlate_ctx *ctx, struct subfield sf)
{
    tlv_subfield_unwildcard(&ctx->view->tlvs, ctx->wild, sf);
    return tlv_subfield_get(&ctx->view->tlvs, &ctx->flow, sf);
}

void
xlate_store(struct xlate_ctx *ctx, struct subfield sf, field_value value)
{
    if (field_is_plain(sf.field)) {
        subfield_unwildcard_write(ctx->wild, sf);
    } else {
        tlv_subfield_unwildcard(&ctx->view->tlvs, ctx->wild, sf);
    }
    tlv_subfield_set(&ctx->view->tlvs, &ctx->flow, sf, value);
}

static bool
is_later_fragment(const struct flow_key *flow)
{
    return flow->ip_frag & FRAG_LATER;
}

static void
move(struct xlate_ctx *ctx, const struct sluice_action_move *a)
{
    for (uint32_t done = 0; done < a->n_bits; done += FIELD_BITS_MAX) {
        uint16_t n = (uint16_t) (a->n_bits - done < FIELD_BITS_MAX ? a->n_bits - done : FIELD_BITS_MAX);
        const struct subfield src = { a->src_field, (uint16_t) (a->src_ofs + done), n };
        xlate_store(ctx, (struct subfield){ a->dst_field, (uint16_t) (a->dst_ofs + done), n }, xlate_load(ctx, src));
    }
    trace_subfield(ctx, (struct subfield){ a->dst_field, a->dst_ofs, a->n_bits });
}

static void
stack_push(struct xlate_ctx *ctx, const struct sluice_action_stack_push *a)
{
    uint8_t n = (uint8_t) ((a->n_bits + 7) / 8);
    if (!xlate_reserve(&ctx->stack, ctx->stack_size, &ctx->stack_capacity, n + 1u, 2 * XLATE_STACK_SIZE_MAX)) {
        xlate_fail(ctx, SLUICE_DROP_REASON_STACK_TOO_BIG);
        return;
    }
    for (uint32_t done = 0; done < n; done += FIELD_BITS_MAX / 8) {
        uint32_t bytes = n - done < FIELD_BITS_MAX / 8 ? n - done : FIELD_BITS_MAX / 8;
        uint32_t bits = a->n_bits - 8 * done < FIELD_BITS_MAX ? a->n_bits - 8 * done : FIELD_BITS_MAX;
        const struct subfield part = { a->field, (uint16_t) (a->ofs + 8 * done), (uint16_t) bits };
        field_value_store(ctx->stack + ctx->stack_size + n - done - bytes, bytes, xlate_load(ctx, part));
    }
    ctx->stack[ctx->stack_size + n] = n;
    ctx->stack_size += n + 1u;
}

static void
stack_pop(struct xlate_ctx *ctx, const struct sluice_action_stack_pop *a)
{
    const struct subfield sf = { a->field, a->ofs, a->n_bits };
    if (!ctx->stack_size) {
        trace_note(ctx, SLUICE_TRACE_NOTE_STACK_EMPTY, 0, 0, 0);
        return;
    }
    uint8_t n = ctx->stack[ctx->stack_size - 1];
    ctx->stack_size -= n + 1u;
    const uint8_t *top = ctx->stack + ctx->stack_size;
    for (uint32_t done = 0; done < a->n_bits; done += FIELD_BITS_MAX) {
        uint32_t bits = a->n_bits - done < FIELD_BITS_MAX ? a->n_bits - done : FIELD_BITS_MAX;
        uint32_t used = done / 8 < n ? done / 8 : n;
        uint32_t bytes = n - used < FIELD_BITS_MAX / 8 ? n - used : FIELD_BITS_MAX / 8;
        xlate_store(ctx, (struct subfield){ a->field, (uint16_t) (a->ofs + done), (uint16_t) bits },
                    field_value_load(top + n - used - bytes, bytes));
    }
    trace_subfield(ctx, sf);
}

static void
push_vlan(struct xlate_ctx *ctx, const struct sluice_action_push_vlan *a)
{
    vlan_push(&ctx->flow, ctx->wild);
    ctx->flow.vlan0_tpid = be16(a->ethertype);
    ctx->flow.vlan0_tci = be16(VLAN_CFI);
}

/* What else a written field makes the megaflow match on: IP packets with the same protocol get the same 'set'. */
static void
read_prerequisites(struct xlate_ctx *ctx, uint16_t field)
{
    switch (field) {
    case SLUICE_FIELD_IP_SRC:
    case SLUICE_FIELD_IP_DST:
    case SLUICE_FIELD_IPV6_SRC:
    case SLUICE_FIELD_IPV6_DST:
    case SLUICE_FIELD_IPV6_LABEL:
    case SLUICE_FIELD_NW_TOS:
    case SLUICE_FIELD_NW_ECN:
    case SLUICE_FIELD_NW_TTL:
        if (key_is_ip(&ctx->flow)) {
            WILD_ALL(ctx, ip_proto);
        }
        break;
    case SLUICE_FIELD_ARP_OP:
    case SLUICE_FIELD_ARP_SHA:
    case SLUICE_FIELD_ARP_THA:
    case SLUICE_FIELD_ARP_SPA:
    case SLUICE_FIELD_ARP_TPA:
        if (ctx->flow.eth_type == be16(ETH_TYPE_ARP)) {
            WILD_ALL(ctx, ip_proto);
        }
        break;
    default:
        break;
    }
}

static void
set_field(struct xlate_ctx *ctx, const struct sluice_action_set_field *a)
{
    if (!field_is_present(&ctx->flow, ctx->wild, a->field)) {
        return;
    }
    read_prerequisites(ctx, a->field);
    const uint8_t *bytes = (const uint8_t *) (a + 1);
    if (!field_is_plain(a->field)) {
        const uint8_t *ones = bytes + ((a->value_size + 7u) & ~7u);
        tlv_field_set(&ctx->view->tlvs, ctx->wild, a->field, ones, ones);
        tlv_field_set(&ctx->view->tlvs, &ctx->flow, a->field, bytes, ones);
        return;
    }
    field_value value = field_value_load(bytes, a->value_size);
    field_value mask = field_value_load(bytes + ((a->value_size + 7u) & ~7u), a->value_size);
    mask &= field_writable_bits(a->field);
    field_unwildcard(ctx->wild, a->field, mask);
    field_set(&ctx->flow, a->field, value, mask);
}

/* Sets the bits 'mask' of the outer tag to 'value', pushing a tag if there is none and 'push'. */
static void
set_vlan(struct xlate_ctx *ctx, uint16_t value, uint16_t mask, bool push)
{
    WILD(ctx, vlan0_tci, be16(VLAN_CFI));
    if (!push && !(ctx->flow.vlan0_tci & be16(VLAN_CFI))) {
        return;
    }
    WILD(ctx, vlan0_tci, be16(mask));
    if (!ctx->flow.vlan0_tpid) {
        ctx->flow.vlan0_tpid = be16(ETH_TYPE_VLAN);
    }
    ctx->flow.vlan0_tci = (uint16_t) ((ctx->flow.vlan0_tci & ~be16(mask)) | be16(value) | be16(VLAN_CFI));
}

static void
set_ipv4(struct xlate_ctx *ctx, uint32_t *member, uint32_t *wild, const uint8_t address[4])
{
    if (ctx->flow.eth_type == be16(ETH_TYPE_IPV4)) {
        WILD_ALL(ctx, ip_proto);
        *wild = UINT32_MAX;
        memcpy(member, address, 4);
    }
}

static void
set_ip_byte(struct xlate_ctx *ctx, uint8_t *member, uint8_t *wild, uint32_t value, uint8_t mask)
{
    if (key_is_ip(&ctx->flow)) {
        WILD_ALL(ctx, ip_proto);
        *wild |= mask;
        *member = (uint8_t) ((*member & ~mask) | (value & mask));
    }
}

static void
set_l4_port(struct xlate_ctx *ctx, uint16_t *member, uint16_t *wild, uint16_t port)
{
    if (key_is_ip(&ctx->flow) && !is_later_fragment(&ctx->flow)) {
        WILD_ALL(ctx, ip_proto);
        uint8_t proto = ctx->flow.ip_proto;
        if (proto == 6 || proto == 17 || proto == 132) {
            *wild = UINT16_MAX;
            *member = be16(port);
        }
    }
}

/* Returns false if the TTL ran out: then the rest of the actions is not executed. */
static bool
dec_ttl(struct xlate_ctx *ctx, const struct sluice_action_dec_ttl *a)
{
    if (!key_is_ip(&ctx->flow)) {
        return true;
    }
    WILD_ALL(ctx, ip_ttl);
    WILD_ALL(ctx, ip_proto);
    if (ctx->flow.ip_ttl > 1) {
        ctx->flow.ip_ttl--;
        return true;
    }
    const uint16_t *ids = (const uint16_t *) (a + 1);
    if (!a->n_controllers) {
        output_invalid_ttl(ctx, 0);
    }
    for (uint32_t i = 0; i < a->n_controllers; i++) {
        output_invalid_ttl(ctx, ids[i]);
    }
    ctx->drop_reason = SLUICE_DROP_REASON_TTL;
    trace_note(ctx, SLUICE_TRACE_NOTE_TTL_EXCEEDED, 0, 0, 0);
    return false;
}

static void
resubmit(struct xlate_ctx *ctx, const struct sluice_action_resubmit *a)
{
    uint32_t in_port = port_normalize(a->in_port);
    if (in_port == PORT_IN_PORT) {
        in_port = be32(ctx->flow.in_port);
    }
    xlate_table(ctx, in_port, a->table == 255 ? ctx->table : a->table, false, xlate_actions);
}

static void
output_reg(struct xlate_ctx *ctx, const struct sluice_action_output_reg *a)
{
    const struct subfield sf = { a->field, a->ofs, a->n_bits };
    uint64_t port = (uint64_t) xlate_load(ctx, sf);
    trace_note(ctx, SLUICE_TRACE_NOTE_OUTPUT_REG, port, 0, 0);
    if (port <= UINT16_MAX || (port >= PORT_IN_PORT && port <= UINT32_MAX)) {
        uint32_t number = port_normalize((uint32_t) port);
        output_port(ctx, number, number == PORT_CONTROLLER ? a->max_len : 0);
    }
}

static void
set_queue(struct xlate_ctx *ctx, uint32_t queue)
{
    WILD_ALL(ctx, skb_priority);
    ctx->flow.skb_priority = be32(queue);
}

static void
enqueue(struct xlate_ctx *ctx, const struct sluice_action_enqueue *a)
{
    uint32_t old = ctx->flow.skb_priority;
    set_queue(ctx, a->queue);
    output_port(ctx, port_normalize(a->port), 0);
    ctx->flow.skb_priority = old;
    if (ctx->netflow_output != NETFLOW_OUTPUT_DROP && ctx->netflow_output != NETFLOW_OUTPUT_FLOOD) {
        /* As in Open vSwitch, where even one queue of one port counts as several outputs. */
        ctx->netflow_output = NETFLOW_OUTPUT_MANY;
    }
}

static void
multipath(struct xlate_ctx *ctx, const struct sluice_action_multipath *a)
{
    uint32_t hash = flow_hash(&ctx->flow, a->fields, a->basis);
    uint32_t link = multipath_link(hash, a->algorithm, a->max_link + 1u, a->arg);
    field_hash_unwildcard(&ctx->flow, ctx->wild, a->fields);
    xlate_store(ctx, (struct subfield){ a->field, a->ofs, a->n_bits }, link);
    trace_subfield(ctx, (struct subfield){ a->field, a->ofs, a->n_bits });
}

/* Whether a packet that is output to the member can be expected to arrive. */
static bool
member_is_live(const void *ctx_, uint32_t member)
{
    const struct xlate_ctx *ctx = ctx_;
    uint32_t number = port_normalize(member);
    if (number >= PORT_IN_PORT && number != PORT_LOCAL) {
        return number != PORT_CONTROLLER;
    }
    const struct ofport *port = bridge_view_find_port(ctx->view, number);
    return port && ofport_is_live(port);
}

static void
bundle(struct xlate_ctx *ctx, const struct sluice_action_bundle *a)
{
    const uint32_t *members = (const uint32_t *) (a + 1);
    uint32_t member;
    if (a->algorithm == BUNDLE_HRW) {
        uint32_t hash = flow_hash(&ctx->flow, a->fields, a->basis);
        if (a->n_members > 1) {
            field_hash_unwildcard(&ctx->flow, ctx->wild, a->fields);
        }
        member = bundle_hrw(members, a->n_members, hash, member_is_live, ctx);
    } else {
        member = bundle_first_live(members, a->n_members, member_is_live, ctx);
    }
    uint32_t port = member == BUNDLE_NO_MEMBER ? PORT_NONE : port_normalize(members[member]);
    if (a->n_bits) {
        /* The field gets the number of OpenFlow 1.0. */
        const struct subfield sf = { a->field, a->ofs, a->n_bits };
        xlate_store(ctx, sf, port & 0xffff);
        trace_subfield(ctx, sf);
    } else {
        output_port(ctx, port, 0);
    }
}

/* The actions of OpenFlow 1.0 that each set one field. */
static void
set_legacy(struct xlate_ctx *ctx, const void *action, uint16_t opcode)
{
    struct flow_key *flow = &ctx->flow;
    struct flow_key *wild = ctx->wild;
    switch (opcode) {
    case SLUICE_ACTION_SET_ETH_SRC:
        WILD_ALL(ctx, eth_src);
        memcpy(flow->eth_src, ((const struct sluice_action_set_eth_src *) action)->mac, 6);
        break;
    case SLUICE_ACTION_SET_ETH_DST:
        WILD_ALL(ctx, eth_dst);
        memcpy(flow->eth_dst, ((const struct sluice_action_set_eth_dst *) action)->mac, 6);
        break;
    case SLUICE_ACTION_SET_IPV4_SRC:
        set_ipv4(ctx, &flow->ip_src, &wild->ip_src, ((const struct sluice_action_set_ipv4_src *) action)->address);
        break;
    case SLUICE_ACTION_SET_IPV4_DST:
        set_ipv4(ctx, &flow->ip_dst, &wild->ip_dst, ((const struct sluice_action_set_ipv4_dst *) action)->address);
        break;
    case SLUICE_ACTION_SET_IP_DSCP:
        set_ip_byte(ctx, &flow->ip_tos, &wild->ip_tos, ((const struct sluice_action_set_ip_dscp *) action)->tos, 0xfc);
        break;
    case SLUICE_ACTION_SET_IP_ECN:
        set_ip_byte(ctx, &flow->ip_tos, &wild->ip_tos, ((const struct sluice_action_set_ip_ecn *) action)->ecn, 0x03);
        break;
    case SLUICE_ACTION_SET_IP_TTL:
        set_ip_byte(ctx, &flow->ip_ttl, &wild->ip_ttl, ((const struct sluice_action_set_ip_ttl *) action)->ttl, 0xff);
        break;
    case SLUICE_ACTION_SET_L4_SRC_PORT:
        set_l4_port(ctx, &flow->tp_src, &wild->tp_src, ((const struct sluice_action_set_l4_src_port *) action)->port);
        break;
    case SLUICE_ACTION_SET_L4_DST_PORT:
        set_l4_port(ctx, &flow->tp_dst, &wild->tp_dst, ((const struct sluice_action_set_l4_dst_port *) action)->port);
        break;
    case SLUICE_ACTION_SET_VLAN_VID: {
        const struct sluice_action_set_vlan_vid *a = action;
        set_vlan(ctx, a->vid, VLAN_VID_MASK, a->push);
        break;
    }
    case SLUICE_ACTION_SET_VLAN_PCP: {
        const struct sluice_action_set_vlan_pcp *a = action;
        set_vlan(ctx, (uint16_t) (a->pcp << VLAN_PCP_SHIFT), VLAN_PCP_MASK, a->push);
        break;
    }
    default:
        break;
    }
}

static void
write_metadata(struct xlate_ctx *ctx, const struct sluice_action_write_metadata *a)
{
    ctx->flow.metadata = (ctx->flow.metadata & ~be64(a->mask)) | be64(a->metadata & a->mask);
}

/* Executes an action that changes the packet or what goes with it. */
static void
modify(struct xlate_ctx *ctx, const void *action, uint16_t opcode)
{
    switch (opcode) {
    case SLUICE_ACTION_SET_FIELD:
        set_field(ctx, action);
        break;
    case SLUICE_ACTION_MOVE:
        move(ctx, action);
        break;
    case SLUICE_ACTION_PUSH_VLAN:
        push_vlan(ctx, action);
        break;
    case SLUICE_ACTION_STRIP_VLAN:
        vlan_pop(&ctx->flow, ctx->wild);
        break;
    case SLUICE_ACTION_WRITE_METADATA:
        write_metadata(ctx, action);
        break;
    case SLUICE_ACTION_PUSH_MPLS:
        mpls_push(ctx, action);
        break;
    case SLUICE_ACTION_POP_MPLS:
        mpls_pop(ctx, action);
        break;
    case SLUICE_ACTION_SET_MPLS_LABEL:
    case SLUICE_ACTION_SET_MPLS_TC:
    case SLUICE_ACTION_SET_MPLS_TTL:
        mpls_set(ctx, action, opcode);
        break;
    case SLUICE_ACTION_STACK_PUSH:
        stack_push(ctx, action);
        break;
    case SLUICE_ACTION_STACK_POP:
        stack_pop(ctx, action);
        break;
    case SLUICE_ACTION_SET_TUNNEL:
        WILD_ALL(ctx, tun_id);
        ctx->flow.tun_id = be64(((const struct sluice_action_set_tunnel *) action)->tun_id);
        break;
    case SLUICE_ACTION_SET_QUEUE:
        set_queue(ctx, ((const struct sluice_action_set_queue *) action)->queue);
        break;
    case SLUICE_ACTION_POP_QUEUE:
        WILD_ALL(ctx, skb_priority);
        ctx->flow.skb_priority = ctx->queue;
        trace_note(ctx, SLUICE_TRACE_NOTE_QUEUE, be32(ctx->queue), 0, 0);
        break;
    default:
        set_legacy(ctx, action, opcode);
        break;
    }
}

static void
meter(struct xlate_ctx *ctx, uint32_t id)
{
    const struct ofmeter *meter = xlate_meter(ctx, id);
    if (meter) {
        commit_meter(ctx, meter->dp_meter);
    }
}

/* What follows, in frozen actions, belongs to another rule. */
static void
unroll(struct xlate_ctx *ctx, const struct sluice_action_unroll_xlate *a)
{
    ctx->table = (uint8_t) a->table;
    ctx->cookie = a->cookie;
    trace_note(ctx, SLUICE_TRACE_NOTE_UNROLLED, a->table, 0, a->cookie);
}

/* Executes one action.  Returns false if the list ends here. */
static bool
execute(struct xlate_ctx *ctx, const void *action, uint16_t opcode)
{
    switch (opcode) {
    case SLUICE_ACTION_OUTPUT: {
        const struct sluice_action_output *a = action;
        output_port(ctx, port_normalize(a->port), a->max_len);
        break;
    }
    case SLUICE_ACTION_OUTPUT_REG:
        output_reg(ctx, action);
        break;
    case SLUICE_ACTION_CONTROLLER:
        output_controller(ctx, action);
        break;
    case SLUICE_ACTION_DEC_TTL:
        return dec_ttl(ctx, action);
    case SLUICE_ACTION_DEC_NSH_TTL:
        return xlate_dec_nsh_ttl(ctx);
    case SLUICE_ACTION_DELETE_FIELD:
        tlv_field_delete(&ctx->flow, ((const struct sluice_action_delete_field *) action)->field);
        trace_note(ctx, SLUICE_TRACE_NOTE_DELETE_FIELD, ((const struct sluice_action_delete_field *) action)->field, 0,
                   0);
        break;
    case SLUICE_ACTION_ENCAP:
        xlate_encap(ctx, action);
        break;
    case SLUICE_ACTION_DECAP:
        if (xlate_decap(ctx, action)) {
            freeze(ctx, FREEZE_FROM_NEXT);
        }
        break;
    case SLUICE_ACTION_RESUBMIT:
        resubmit(ctx, action);
        break;
    case SLUICE_ACTION_GOTO_TABLE:
        xlate_table(ctx, be32(ctx->flow.in_port), (uint8_t) ((const struct sluice_action_goto_table *) action)->table,
                    true, xlate_actions);
        break;
    case SLUICE_ACTION_CLEAR_ACTIONS:
        action_set_clear(ctx);
        break;
    case SLUICE_ACTION_WRITE_ACTIONS: {
        const struct sluice_action_write_actions *a = action;
        action_set_write(ctx, a + 1, a->actions_size);
        break;
    }
    case SLUICE_ACTION_EXIT:
        ctx->exit = true;
        break;
    case SLUICE_ACTION_GROUP:
        return xlate_group(ctx, ((const struct sluice_action_group *) action)->group);
    case SLUICE_ACTION_METER:
        meter(ctx, ((const struct sluice_action_meter *) action)->meter);
        break;
    case SLUICE_ACTION_CLONE: {
        const struct sluice_action_clone *a = action;
        ctx->trace_depth--;
        xlate_clone(ctx, a + 1, a->actions_size, ctx->is_last);
        ctx->trace_depth++;
        break;
    }
    case SLUICE_ACTION_OUTPUT_TRUNC:
        output_trunc(ctx, action);
        break;
    case SLUICE_ACTION_DEC_MPLS_TTL:
        return mpls_dec_ttl(ctx);
    case SLUICE_ACTION_DEBUG_RECIRC:
        freeze(ctx, FREEZE_FROM_NEXT);
        break;
    case SLUICE_ACTION_UNROLL_XLATE:
        unroll(ctx, action);
        break;
    case SLUICE_ACTION_ENQUEUE:
        enqueue(ctx, action);
        break;
    case SLUICE_ACTION_LEARN:
        xlate_learn(ctx, action);
        break;
    case SLUICE_ACTION_FIN_TIMEOUT:
        xlate_fin_timeout(ctx, action);
        break;
    case SLUICE_ACTION_CONJUNCTION:
        trace_note(ctx, SLUICE_TRACE_NOTE_CONJUNCTION_ALONE, 0, 0, 0);
        break;
    case SLUICE_ACTION_MULTIPATH:
        multipath(ctx, action);
        break;
    case SLUICE_ACTION_BUNDLE:
        bundle(ctx, action);
        break;
    case SLUICE_ACTION_SAMPLE:
        sample_action(ctx, action);
        break;
    default:
        modify(ctx, action, opcode);
        break;
    }
    return true;
}

void
xlate_actions(struct xlate_ctx *ctx, const void *actions, uint32_t size, bool is_last)
{
    bool outer_is_last = ctx->is_last;
    if (!size) {
        trace_action(ctx, NULL, 0);
    }
    const uint8_t *bytes = actions;
    for (uint32_t at = 0; at < size && !ctx->error;) {
        const struct action_header *action = (const struct action_header *) (bytes + at);
        if (ctx->was_mpls && !ctx->exit && mpls_must_recirculate(action)) {
            freeze(ctx, FREEZE_FROM_NEXT);
        }
        if (ctx->exit) {
            if (ctx->freezing) {
                freeze_rest(ctx, action, size - at);
            }
            break;
        }
        ctx->is_last = is_last && at + action->size == size && !ctx->action_set_size;
        trace_action(ctx, action, action->size);
        at += action->size;
        if (action->opcode == SLUICE_ACTION_CHECK_PKT_LARGER) {
            xlate_check_pkt_larger(ctx, action, bytes + at, size - at);
            break;
        }
        ctx->trace_depth++;
        bool go_on = execute(ctx, action, action->opcode);
        ctx->trace_depth--;
        if (!go_on) {
            break;
        }
        at -= ctx->freezes_this ? action->size : 0;
        ctx->freezes_this = false;
    }
    ctx->is_last = outer_is_last;
}
