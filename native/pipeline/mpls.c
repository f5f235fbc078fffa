/* The MPLS label stack of a flow: up to three entries, the outermost first. */
#include <string.h>

#include "packet/bytes.h"
#include "pipeline/xlate_ctx.h"

struct action_header {
    uint16_t opcode;
    uint16_t size;
};

/* Parts of an entry, in host order. */
#define LSE_TTL_MASK 0x000000ffu
#define LSE_TC_MASK 0x00000e00u
#define LSE_TC_SHIFT 9
#define LSE_LABEL_MASK 0xfffff000u
#define LSE_LABEL_SHIFT 12

/* Labels of a header that is pushed onto what has none: explicit null. */
#define LABEL_NULL_IPV4 0u
#define LABEL_NULL_IPV6 2u

static const uint16_t places[MPLS_ENTRIES_MAX] = {
    offsetof(struct flow_key, mpls0_lse),
    offsetof(struct flow_key, mpls1_lse),
    offsetof(struct flow_key, mpls2_lse),
};

uint32_t *
mpls_entry(struct flow_key *flow, uint32_t i)
{
    return (uint32_t *) (void *) (flow->bytes + places[i]);
}

bool
mpls_eth_type(uint16_t eth_type)
{
    return eth_type == be16(ETH_TYPE_MPLS) || eth_type == be16(ETH_TYPE_MPLS_MCAST);
}

uint32_t
mpls_count(struct flow_key *flow, struct flow_key *wild)
{
    uint32_t n = 0;
    if (!mpls_eth_type(flow->eth_type)) {
        return 0;
    }
    for (uint32_t i = 0; i < MPLS_ENTRIES_MAX; i++) {
        uint32_t lse = *mpls_entry(flow, i);
        if (wild) {
            *mpls_entry(wild, i) |= be32(MPLS_BOS);
        }
        if (lse & be32(MPLS_BOS)) {
            return i + 1;
        }
        n += lse != 0;
    }
    return n;
}

/* The entry for the first header of a packet, made of its IP header if it has one. */
static uint32_t
first_entry(const struct flow_key *flow, struct flow_key *wild)
{
    uint32_t label = flow->eth_type == be16(ETH_TYPE_IPV6) ? LABEL_NULL_IPV6 : LABEL_NULL_IPV4;
    uint32_t tc = 0;
    uint32_t ttl = 64;
    if (key_is_ip(flow)) {
        tc = (uint32_t) (flow->ip_tos & 0xfc) >> 2;
        ttl = flow->ip_ttl ? flow->ip_ttl : ttl;
        if (wild) {
            wild->ip_tos |= 0xfc;
            wild->ip_ttl = UINT8_MAX;
        }
    }
    return be32(label << LSE_LABEL_SHIFT | (tc << LSE_TC_SHIFT & LSE_TC_MASK) | MPLS_BOS | ttl);
}

void
mpls_push_entry(struct flow_key *flow, uint32_t n, uint16_t eth_type, struct flow_key *wild)
{
    if (!n) {
        *mpls_entry(flow, 0) = first_entry(flow, wild);
    } else {
        for (uint32_t i = n; i > 0; i--) {
            *mpls_entry(flow, i) = *mpls_entry(flow, i - 1);
        }
        for (uint32_t i = 0; wild && i < n; i++) {
            *mpls_entry(wild, i) = UINT32_MAX;
        }
        *mpls_entry(flow, 0) &= ~be32(MPLS_BOS);
    }
    flow->eth_type = eth_type;
}

void
mpls_pop_entry(struct flow_key *flow, uint32_t n, uint16_t eth_type, struct flow_key *wild)
{
    for (uint32_t i = 1; i < n; i++) {
        *mpls_entry(flow, i - 1) = *mpls_entry(flow, i);
        if (wild) {
            *mpls_entry(wild, i) = UINT32_MAX;
        }
    }
    *mpls_entry(flow, n - 1) = 0;
    flow->eth_type = eth_type;
}

void
mpls_push(struct xlate_ctx *ctx, const struct sluice_action_push_mpls *a)
{
    struct flow_key *flow = &ctx->flow;
    uint32_t n = mpls_count(flow, ctx->wild);
    if (n >= MPLS_ENTRIES_MAX) {
        if (ctx->in->learn) {
            trace_note(ctx, SLUICE_TRACE_NOTE_MPLS_PUSH_TOO_MANY, MPLS_ENTRIES_MAX, 0, 0);
        }
        xlate_fail(ctx, SLUICE_DROP_REASON_TOO_MANY_MPLS_LABELS);
        return;
    }
    if (!n) {
        /* Changes of L3 and L4 can be made only before these are under a label. */
        commit_actions(ctx);
    }
    mpls_push_entry(flow, n, be16(a->ethertype), ctx->wild);
    if (!n) {
        memset(&flow->words[SLUICE_KEY_L3_WORD], 0, (SLUICE_KEY_OPTIONS_WORD - SLUICE_KEY_L3_WORD) * 8);
        flow->dp_hash = 0;
    }
}

void
mpls_pop(struct xlate_ctx *ctx, const struct sluice_action_pop_mpls *a)
{
    struct flow_key *flow = &ctx->flow;
    uint32_t n = mpls_count(flow, ctx->wild);
    if (!n) {
        return;
    }
    if (n == MPLS_ENTRIES_MAX && !(*mpls_entry(flow, n - 1) & be32(MPLS_BOS))) {
        if (ctx->in->learn) {
            trace_note(ctx, SLUICE_TRACE_NOTE_MPLS_POP_TOO_MANY, MPLS_ENTRIES_MAX, 0, 0);
        }
        xlate_fail(ctx, SLUICE_DROP_REASON_TOO_MANY_MPLS_LABELS);
        return;
    }
    uint16_t eth_type = be16(a->ethertype);
    mpls_pop_entry(flow, n, eth_type, ctx->wild);
    if (!mpls_eth_type(eth_type)) {
        ctx->was_mpls = true;
    }
}

static void
set_bits(struct xlate_ctx *ctx, uint32_t value, uint32_t mask)
{
    if (mpls_eth_type(ctx->flow.eth_type)) {
        WILD(ctx, mpls0_lse, be32(mask));
        ctx->flow.mpls0_lse = (ctx->flow.mpls0_lse & ~be32(mask)) | be32(value & mask);
    }
}

void
mpls_set(struct xlate_ctx *ctx, const void *action, uint16_t opcode)
{
    switch (opcode) {
    case SLUICE_ACTION_SET_MPLS_LABEL:
        set_bits(ctx, ((const struct sluice_action_set_mpls_label *) action)->label << LSE_LABEL_SHIFT, LSE_LABEL_MASK);
        break;
    case SLUICE_ACTION_SET_MPLS_TC:
        set_bits(ctx, ((const struct sluice_action_set_mpls_tc *) action)->tc << LSE_TC_SHIFT, LSE_TC_MASK);
        break;
    default:
        set_bits(ctx, ((const struct sluice_action_set_mpls_ttl *) action)->ttl, LSE_TTL_MASK);
        break;
    }
}

bool
mpls_dec_ttl(struct xlate_ctx *ctx)
{
    if (mpls_eth_type(ctx->flow.eth_type)) {
        uint32_t ttl = be32(ctx->flow.mpls0_lse) & LSE_TTL_MASK;
        WILD(ctx, mpls0_lse, be32(LSE_TTL_MASK));
        if (ttl > 1) {
            set_bits(ctx, ttl - 1, LSE_TTL_MASK);
            return true;
        }
        output_invalid_ttl(ctx, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_TTL;
    }
    trace_note(ctx, SLUICE_TRACE_NOTE_TTL_MPLS, 0, 0, 0);
    return false;
}

bool
mpls_must_recirculate(const void *action_)
{
    const struct action_header *action = action_;
    switch (action->opcode) {
    case SLUICE_ACTION_OUTPUT:
    case SLUICE_ACTION_OUTPUT_TRUNC:
    case SLUICE_ACTION_OUTPUT_REG:
    case SLUICE_ACTION_ENQUEUE:
    case SLUICE_ACTION_SET_VLAN_VID:
    case SLUICE_ACTION_SET_VLAN_PCP:
    case SLUICE_ACTION_SET_ETH_SRC:
    case SLUICE_ACTION_SET_ETH_DST:
    case SLUICE_ACTION_SET_TUNNEL:
    case SLUICE_ACTION_SET_QUEUE:
    case SLUICE_ACTION_GROUP:
        return false;
    case SLUICE_ACTION_SET_FIELD: {
        uint32_t word = field_spans[((const struct sluice_action_set_field *) action_)->field].offset / 8u;
        return word >= SLUICE_KEY_L3_WORD && word < SLUICE_KEY_OPTIONS_WORD;
    }
    default:
        return true;
    }
}
