/* From differences between what the packet should be and what the datapath actions so far make it, to actions. */
#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/match.h"
#include "pipeline/xlate_ctx.h"

/* A member of the key that a 'set' can write. */
struct member {
    uint16_t offset;
    uint16_t size;
};

#define MEMBER(NAME) \
    { \
        offsetof(struct flow_key, NAME), sizeof(((struct flow_key *) NULL)->NAME) \
    }

/* What of the members is set when one of them changes. */
enum extent {
    CHANGED, /* Of those that changed, the bits that were read or written. */
    READ,    /* Of all, the bits that were read or written. */
    WHOLE,   /* All bits of all. */
};

/* Members that one datapath action sets together. */
struct group {
    const struct member *members;
    uint32_t n;
    enum extent extent;
};

#define GROUP(NAME, EXTENT, ...) \
    static const struct member NAME##_members[] = { __VA_ARGS__ }; \
    static const struct group NAME = { NAME##_members, sizeof NAME##_members / sizeof NAME##_members[0], EXTENT }

GROUP(eth_group, CHANGED, MEMBER(eth_src), MEMBER(eth_dst));
GROUP(ipv4_group, CHANGED, MEMBER(ip_src), MEMBER(ip_dst), MEMBER(ip_tos), MEMBER(ip_ttl));
GROUP(ipv6_group, CHANGED, MEMBER(ipv6_src), MEMBER(ipv6_dst), MEMBER(ipv6_label), MEMBER(ip_tos), MEMBER(ip_ttl));
GROUP(arp_group, CHANGED, MEMBER(ip_src), MEMBER(ip_dst), MEMBER(ip_proto), MEMBER(arp_sha), MEMBER(arp_tha));
GROUP(port_group, CHANGED, MEMBER(tp_src), MEMBER(tp_dst));
GROUP(icmp_group, WHOLE, MEMBER(tp_src), MEMBER(tp_dst));
GROUP(nd_group, CHANGED, MEMBER(nd_target), MEMBER(arp_sha), MEMBER(arp_tha));
GROUP(nd_extension_group, CHANGED, MEMBER(nd_reserved), MEMBER(nd_options_type));
GROUP(nsh_group, READ, MEMBER(nsh_flags), MEMBER(nsh_ttl), MEMBER(nsh_path_hdr), MEMBER(nsh_c1), MEMBER(nsh_c2),
      MEMBER(nsh_c3), MEMBER(nsh_c4));
GROUP(priority_group, CHANGED, MEMBER(skb_priority));
GROUP(mark_group, CHANGED, MEMBER(pkt_mark));

/* Notes what the action means to the packet's hash, which is that of the packet as it came.  Who looks it up again may
 * hash it, too. */
static void
note_hash(struct xlate_ctx *ctx, uint16_t opcode)
{
    switch (opcode) {
    case SLUICE_DP_ACTION_SET:
    case SLUICE_DP_ACTION_PUSH_VLAN:
    case SLUICE_DP_ACTION_POP_VLAN:
    case SLUICE_DP_ACTION_PUSH_MPLS:
    case SLUICE_DP_ACTION_POP_MPLS:
    case SLUICE_DP_ACTION_PUSH_ETH:
    case SLUICE_DP_ACTION_POP_ETH:
    case SLUICE_DP_ACTION_PUSH_NSH:
    case SLUICE_DP_ACTION_POP_NSH:
        ctx->changes_packet = true;
        break;
    case SLUICE_DP_ACTION_HASH:
    case SLUICE_DP_ACTION_RECIRC:
    case SLUICE_DP_ACTION_TUNNEL_PUSH:
        ctx->keeps_hash |= ctx->changes_packet;
        break;
    default:
        break;
    }
}

void
commit_keep_hash(struct xlate_ctx *ctx)
{
    struct xlate_out *out = ctx->out;
    uint32_t size = out->actions_size;
    if (!ctx->keeps_hash || !size) {
        return;
    }
    struct sluice_dp_action_keep_hash *keep = commit_append(ctx, SLUICE_DP_ACTION_KEEP_HASH, sizeof *keep);
    if (keep) {
        struct sluice_dp_action_keep_hash first = *keep;
        memmove((uint8_t *) out->actions + sizeof first, out->actions, size);
        memcpy(out->actions, &first, sizeof first);
    }
}

void *
commit_append(struct xlate_ctx *ctx, uint16_t opcode, uint32_t size)
{
    struct xlate_out *out = ctx->out;
    size = (size + 7) & ~7u;
    if (!xlate_reserve(&out->actions, out->actions_size, &out->actions_capacity, size, XLATE_ACTIONS_SIZE_MAX)) {
        bool full = out->actions_size + size > XLATE_ACTIONS_SIZE_MAX;
        xlate_fail(ctx, full ? SLUICE_DROP_REASON_ACTIONS_TOO_BIG : SLUICE_DROP_REASON_NO_MEMORY);
        return NULL;
    }
    struct sluice_dp_action_pop_vlan *action = (void *) ((uint8_t *) out->actions + out->actions_size);
    memset(action, 0, size);
    action->opcode = opcode;
    action->size = (uint16_t) size;
    out->actions_size += size;
    note_hash(ctx, opcode);
    return action;
}

void
commit_meter(struct xlate_ctx *ctx, uint32_t dp_meter)
{
    struct sluice_dp_action_meter *meter = commit_append(ctx, SLUICE_DP_ACTION_METER, sizeof *meter);
    if (meter) {
        meter->meter = dp_meter;
    }
}

uint32_t
commit_clone_begin(struct xlate_ctx *ctx)
{
    uint32_t clone = ctx->out->actions_size;
    commit_append(ctx, SLUICE_DP_ACTION_CLONE, sizeof(struct sluice_dp_action_clone));
    return clone;
}

void
commit_clone_end(struct xlate_ctx *ctx, uint32_t clone)
{
    struct xlate_out *out = ctx->out;
    if (ctx->error || out->actions_size < clone + sizeof(struct sluice_dp_action_clone)) {
        return;
    }
    struct sluice_dp_action_clone *action = (void *) ((uint8_t *) out->actions + clone);
    action->actions_size = out->actions_size - clone - (uint32_t) sizeof *action;
    action->size = (uint16_t) (out->actions_size - clone);
    if (!action->actions_size) {
        out->actions_size = clone;
    }
}

/* Appends a 'set' of the words of 'mask', which is zero outside of words [first, last]. */
static void
append_set(struct xlate_ctx *ctx, const struct flow_key *mask, uint32_t first, uint32_t last)
{
    uint32_t n = 0;
    for (uint32_t i = first; i <= last; i++) {
        n += mask->words[i] != 0;
    }
    uint32_t match_bytes = (uint32_t) sizeof(struct match) + 16 * n;
    struct sluice_dp_action_set *set = commit_append(ctx, SLUICE_DP_ACTION_SET, (uint32_t) sizeof *set + match_bytes);
    if (!set) {
        return;
    }
    set->match_size = match_bytes;
    struct match *match = (struct match *) (set + 1);
    uint64_t *words = match->words;
    for (uint32_t i = first; i <= last; i++) {
        if (mask->words[i]) {
            match->map[i / 64] |= UINT64_C(1) << (i % 64);
            *words++ = ctx->flow.words[i] & mask->words[i];
            *words++ = mask->words[i];
        }
    }
}

static bool
group_changed(const struct xlate_ctx *ctx, const struct group *group)
{
    for (uint32_t i = 0; i < group->n; i++) {
        const struct member *m = &group->members[i];
        if (memcmp(ctx->flow.bytes + m->offset, ctx->base.bytes + m->offset, m->size)) {
            return true;
        }
    }
    return false;
}

static void
commit_group(struct xlate_ctx *ctx, const struct group *group)
{
    if (!group_changed(ctx, group)) {
        return;
    }

    /* Only bits that were read or written are set; the others are as they were, whatever they are. */
    struct flow_key mask;
    uint32_t first = SLUICE_KEY_WORDS;
    uint32_t last = 0;
    memset(&mask, 0, sizeof mask);
    for (uint32_t i = 0; i < group->n; i++) {
        const struct member *m = &group->members[i];
        uint8_t *wild = ctx->wild->bytes + m->offset;
        uint8_t *base = ctx->base.bytes + m->offset;
        const uint8_t *flow = ctx->flow.bytes + m->offset;
        if (group->extent == CHANGED && !memcmp(flow, base, m->size)) {
            continue;
        }
        for (uint32_t j = 0; j < m->size; j++) {
            wild[j] |= group->extent == WHOLE ? 0xff : flow[j] ^ base[j];
        }
        memcpy(mask.bytes + m->offset, wild, m->size);
        memcpy(base, flow, m->size);
        first = m->offset / 8u < first ? m->offset / 8u : first;
        last = (m->offset + m->size - 1u) / 8 > last ? (m->offset + m->size - 1u) / 8 : last;
    }
    append_set(ctx, &mask, first, last);
}

static void
commit_l4(struct xlate_ctx *ctx)
{
    const struct flow_key *flow = &ctx->flow;
    bool is_ipv6 = flow->eth_type == be16(ETH_TYPE_IPV6);
    if (!key_is_ip(flow) || flow->ip_frag & FRAG_LATER
        || !(group_changed(ctx, &port_group) || group_changed(ctx, &nd_group)
             || group_changed(ctx, &nd_extension_group))) {
        return;
    }
    WILD_ALL(ctx, ip_proto);
    switch (flow->ip_proto) {
    case 6:
    case 17:
    case 132:
        commit_group(ctx, &port_group);
        break;
    case 1:
        if (!is_ipv6) {
            commit_group(ctx, &icmp_group);
        }
        break;
    case 58:
        if (is_ipv6) {
            commit_group(ctx, &icmp_group);
            commit_group(ctx, &nd_group);
            commit_group(ctx, &nd_extension_group);
        }
        break;
    default:
        break;
    }
}

static void
commit_l3(struct xlate_ctx *ctx)
{
    /* As Open vSwitch has it, protocol 0 stands for headers that are not there: such packets stay as they are. */
    if (!ctx->flow.ip_proto && ctx->flow.eth_type != be16(ETH_TYPE_NSH)) {
        return;
    }
    switch (be16(ctx->flow.eth_type)) {
    case ETH_TYPE_IPV4:
        commit_group(ctx, &ipv4_group);
        break;
    case ETH_TYPE_IPV6:
        commit_group(ctx, &ipv6_group);
        break;
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
        commit_group(ctx, &arp_group);
        break;
    case ETH_TYPE_NSH:
        commit_group(ctx, &nsh_group);
        break;
    default:
        break;
    }
}

/* Sets the outermost entry to 'lse', as far as that was read or written. */
static void
commit_mpls_entry(struct xlate_ctx *ctx, uint32_t lse, uint32_t place)
{
    struct flow_key mask;
    memset(&mask, 0, sizeof mask);
    WILD(ctx, mpls0_lse, ctx->base.mpls0_lse ^ lse);
    mask.mpls0_lse = place ? UINT32_MAX : ctx->wild->mpls0_lse;
    if (place) {
        WILD_ALL(ctx, mpls0_lse);
    }
    uint32_t flow_lse = ctx->flow.mpls0_lse;
    ctx->flow.mpls0_lse = lse;
    append_set(ctx, &mask, offsetof(struct flow_key, mpls0_lse) / 8, offsetof(struct flow_key, mpls0_lse) / 8);
    ctx->flow.mpls0_lse = flow_lse;
    ctx->base.mpls0_lse = lse;
}

static void
commit_pop_mpls(struct xlate_ctx *ctx, uint32_t n_base)
{
    /* Only with the last entry may the type be one that is not MPLS. */
    bool is_inner = !mpls_eth_type(ctx->flow.eth_type) && n_base > 1;
    struct sluice_dp_action_pop_mpls *pop = commit_append(ctx, SLUICE_DP_ACTION_POP_MPLS, sizeof *pop);
    if (pop) {
        pop->ethertype = is_inner ? ETH_TYPE_MPLS : be16(ctx->flow.eth_type);
    }
    mpls_pop_entry(&ctx->base, n_base, is_inner ? be16(ETH_TYPE_MPLS) : ctx->flow.eth_type, NULL);
}

/* Pops entries that are not as they should be, changes one that is to be replaced by another, pushes what is missing. */
void
commit_mpls(struct xlate_ctx *ctx)
{
    uint32_t n_base = mpls_count(&ctx->base, NULL);
    uint32_t n_flow = mpls_count(&ctx->flow, NULL);
    uint32_t n_equal = 0;
    while (n_equal < n_base && n_equal < n_flow
           && *mpls_entry(&ctx->base, n_base - 1 - n_equal) == *mpls_entry(&ctx->flow, n_flow - 1 - n_equal)) {
        n_equal++;
    }
    while (n_base > n_equal) {
        if (n_base - 1 == n_equal && n_flow > n_equal) {
            uint32_t place = n_flow - n_base;
            commit_mpls_entry(ctx, *mpls_entry(&ctx->flow, place), place);
            n_equal++;
        } else {
            commit_pop_mpls(ctx, n_base--);
        }
    }
    for (; n_base < n_flow; n_base++) {
        struct sluice_dp_action_push_mpls *push = commit_append(ctx, SLUICE_DP_ACTION_PUSH_MPLS, sizeof *push);
        uint32_t lse = *mpls_entry(&ctx->flow, n_flow - n_base - 1);
        if (push) {
            push->ethertype = be16(ctx->flow.eth_type);
            push->lse = be32(lse);
        }
        mpls_push_entry(&ctx->base, n_base, ctx->flow.eth_type, NULL);
        ctx->base.mpls0_lse = lse;
    }
}

struct tag {
    uint16_t tpid;
    uint16_t tci;
};

/* The tags of a packet, outermost first; returns their number. */
static uint32_t
get_tags(const struct flow_key *flow, struct tag tags[2])
{
    tags[0] = (struct tag){ flow->vlan0_tpid, flow->vlan0_tci };
    tags[1] = (struct tag){ flow->vlan1_tpid, flow->vlan1_tci };
    return vlan_count(flow);
}

/* Pops the tags that are not as they should be, with those above them, and pushes the right ones. */
static void
commit_vlan(struct xlate_ctx *ctx)
{
    struct tag base[2];
    struct tag flow[2];
    uint32_t n_base = get_tags(&ctx->base, base);
    uint32_t n_flow = get_tags(&ctx->flow, flow);
    if (n_base == n_flow && !memcmp(base, flow, n_base * sizeof *base)) {
        return;
    }
    while (n_base && n_flow && !memcmp(&base[n_base - 1], &flow[n_flow - 1], sizeof *base)) {
        n_base--;
        n_flow--;
    }
    WILD_ALL(ctx, vlan0_tpid);
    WILD_ALL(ctx, vlan0_tci);
    WILD(ctx, vlan1_tci, be16(VLAN_CFI));
    if (vlan_count(ctx->in->key) > 1) {
        WILD_ALL(ctx, vlan1_tpid);
        WILD_ALL(ctx, vlan1_tci);
    }
    for (; n_base; n_base--) {
        commit_append(ctx, SLUICE_DP_ACTION_POP_VLAN, sizeof(struct sluice_dp_action_pop_vlan));
    }
    for (; n_flow; n_flow--) {
        struct sluice_dp_action_push_vlan *push = commit_append(ctx, SLUICE_DP_ACTION_PUSH_VLAN, sizeof *push);
        if (push) {
            push->tpid = be16(flow[n_flow - 1].tpid);
            push->tci = be16(flow[n_flow - 1].tci);
        }
    }
    ctx->base.vlan0_tpid = ctx->flow.vlan0_tpid;
    ctx->base.vlan0_tci = ctx->flow.vlan0_tci;
    ctx->base.vlan1_tpid = ctx->flow.vlan1_tpid;
    ctx->base.vlan1_tci = ctx->flow.vlan1_tci;
}

void
commit_actions(struct xlate_ctx *ctx)
{
    commit_packet_type(ctx);
    if (!key_is_bare(&ctx->flow)) {
        commit_group(ctx, &eth_group);
    }
    /* L3 and L4 can be changed only when no label is above them any more, or not yet. */
    bool is_last_popped = mpls_eth_type(ctx->base.eth_type) && !mpls_eth_type(ctx->flow.eth_type);
    if (is_last_popped) {
        commit_mpls(ctx);
    }
    if (!ctx->was_mpls) {
        commit_l3(ctx);
        commit_l4(ctx);
    }
    if (!is_last_popped) {
        commit_mpls(ctx);
    }
    commit_vlan(ctx);
    commit_group(ctx, &priority_group);
    commit_group(ctx, &mark_group);
}
