/* Headers in front of everything else: encap, decap and dec_nsh_ttl, and how they are committed.
 *
 * An encap or decap only changes 'flow'; the datapath action follows when the change is committed, so that fields of a
 * new header that are set at once are part of what is pushed. */
#include <string.h>

#include "packet/bytes.h"
#include "packet/headers.h"
#include "pipeline/xlate_ctx.h"

/* Properties of encap on the wire: class, type, length; each padded to 8 bytes. */
#define PROPERTY_MD_TYPE 1u
#define PROPERTY_TLV 2u
#define PROPERTY_TLV_SIZE 8u /* Header and what precedes a TLV's data. */

#define PACKET_TYPE_ETHERNET 0u
#define PACKET_TYPE_NEXT 0xfffeu /* In a decap: what the header says. */
#define PACKET_TYPE_OF(ETH_TYPE) (UINT32_C(0x10000) | (ETH_TYPE))

static uint32_t
packet_type_of(const struct flow_key *key)
{
    return be32(key->packet_type);
}

bool
key_is_bare(const struct flow_key *key)
{
    return packet_type_of(key) != PACKET_TYPE_ETHERNET;
}

/* The metadata type that the properties ask for. */
static uint8_t
nsh_md_type(const struct sluice_action_encap *a)
{
    const uint8_t *p = (const uint8_t *) (a + 1);
    uint8_t md_type = NSH_MD_TYPE1;
    for (uint32_t at = 0; at < a->props_size; at += (p[at + 3] + 7u) & ~7u) {
        md_type = p[at + 2] == PROPERTY_MD_TYPE ? p[at + 4] : md_type;
    }
    return md_type;
}

/* Writes the properties' TLVs as NSH has them and returns their bytes; those that do not fit a header are none. */
static uint32_t
put_nsh_tlvs(const struct sluice_action_encap *a, uint8_t *out)
{
    const uint8_t *p = (const uint8_t *) (a + 1);
    uint32_t used = 0;
    for (uint32_t at = 0; at < a->props_size; at += (p[at + 3] + 7u) & ~7u) {
        uint32_t size = p[at + 7];
        uint32_t padded = (size + 3) & ~3u;
        if (p[at + 2] != PROPERTY_TLV) {
            continue;
        }
        if (used + 4 + padded > NSH_SIZE_MAX - NSH_BASE_SIZE) {
            return 0;
        }
        memcpy(out + used, p + at + 4, 4);
        memset(out + used + 4, 0, padded);
        memcpy(out + used + 4, p + at + PROPERTY_TLV_SIZE, size);
        used += 4 + padded;
    }
    return used;
}

static void
fail(struct xlate_ctx *ctx, uint16_t note, uint64_t a, uint64_t b)
{
    trace_note(ctx, note, a, b, 0);
    xlate_fail(ctx, SLUICE_DROP_REASON_UNSUPPORTED_PACKET_TYPE);
}

static void
encap_ethernet(struct xlate_ctx *ctx)
{
    if (!key_is_bare(&ctx->flow)) {
        fail(ctx, SLUICE_TRACE_NOTE_ENCAP_ETHERNET_TWICE, 0, 0);
        return;
    }
    ctx->flow.eth_type = be16((uint16_t) packet_type_of(&ctx->flow));
    ctx->flow.packet_type = be32(PACKET_TYPE_ETHERNET);
    memset(ctx->flow.eth_src, 0, sizeof ctx->flow.eth_src);
    memset(ctx->flow.eth_dst, 0, sizeof ctx->flow.eth_dst);
    ctx->pending_encap = true;
}

static bool
is_mpls(uint32_t packet_type)
{
    return packet_type == PACKET_TYPE_OF(ETH_TYPE_MPLS) || packet_type == PACKET_TYPE_OF(ETH_TYPE_MPLS_MCAST);
}

static void
too_many_labels(struct xlate_ctx *ctx, uint16_t note)
{
    if (ctx->in->learn) {
        trace_note(ctx, note, MPLS_ENTRIES_MAX, 0, 0);
    }
    xlate_fail(ctx, SLUICE_DROP_REASON_TOO_MANY_MPLS_LABELS);
}

/* Labels of an Ethernet packet are inside, as everything else in it is. */
static void
encap_mpls(struct xlate_ctx *ctx, uint32_t packet_type)
{
    struct flow_key *flow = &ctx->flow;
    uint32_t n = is_mpls(packet_type_of(flow)) ? mpls_count(flow, ctx->wild) : 0;
    if (n >= MPLS_ENTRIES_MAX) {
        too_many_labels(ctx, SLUICE_TRACE_NOTE_ENCAP_MPLS_TOO_MANY);
        return;
    }
    if (!n) {
        /* The first label tells only whether IPv6 is inside. */
        uint16_t eth_type = flow->eth_type;
        memset(&flow->words[SLUICE_KEY_L2_WORD], 0, (SLUICE_KEY_OPTIONS_WORD - SLUICE_KEY_L2_WORD) * 8);
        flow->eth_type = eth_type;
        flow->dp_hash = 0;
    }
    mpls_push_entry(flow, n, be16((uint16_t) packet_type), n ? ctx->wild : NULL);
    flow->packet_type = be32(packet_type);
    ctx->pending_encap = true;
}

static void
encap_nsh(struct xlate_ctx *ctx, const struct sluice_action_encap *a)
{
    struct flow_key *flow = &ctx->flow;
    uint8_t next;
    switch (packet_type_of(flow)) {
    case PACKET_TYPE_ETHERNET:
        next = NSH_NEXT_ETHERNET;
        break;
    case PACKET_TYPE_OF(ETH_TYPE_IPV4):
        next = NSH_NEXT_IPV4;
        break;
    case PACKET_TYPE_OF(ETH_TYPE_IPV6):
        next = NSH_NEXT_IPV6;
        break;
    case PACKET_TYPE_OF(ETH_TYPE_NSH):
        next = NSH_NEXT_NSH;
        break;
    default:
        fail(ctx, SLUICE_TRACE_NOTE_ENCAP_NSH_OF, packet_type_of(flow) >> 16, packet_type_of(flow) & 0xffff);
        return;
    }
    memset(&flow->words[SLUICE_KEY_L2_WORD], 0, (SLUICE_KEY_OPTIONS_WORD - SLUICE_KEY_L2_WORD) * 8);
    flow->packet_type = be32(PACKET_TYPE_OF(ETH_TYPE_NSH));
    flow->eth_type = be16(ETH_TYPE_NSH);
    flow->nsh_ttl = NSH_TTL_DEFAULT;
    flow->nsh_np = next;
    flow->nsh_path_hdr = be32(NSH_SI_DEFAULT);
    flow->nsh_mdtype = nsh_md_type(a) & 0x0f;
    ctx->pending_encap = true;
    ctx->pending_nsh = a;
}

void
xlate_encap(struct xlate_ctx *ctx, const struct sluice_action_encap *a)
{
    /* What is pending is for the packet inside. */
    commit_actions(ctx);
    if (a->new_pkt_type == PACKET_TYPE_ETHERNET) {
        encap_ethernet(ctx);
    } else if (is_mpls(a->new_pkt_type)) {
        encap_mpls(ctx, a->new_pkt_type);
    } else {
        encap_nsh(ctx, a);
    }
}

static void
decap_ethernet(struct xlate_ctx *ctx)
{
    if (ctx->flow.vlan0_tci & be16(VLAN_CFI)) {
        fail(ctx, SLUICE_TRACE_NOTE_DECAP_VLAN, 0, 0);
        return;
    }
    ctx->flow.packet_type = be32(PACKET_TYPE_OF(be16(ctx->flow.eth_type)));
    memset(ctx->flow.eth_src, 0, sizeof ctx->flow.eth_src);
    memset(ctx->flow.eth_dst, 0, sizeof ctx->flow.eth_dst);
}

static bool
decap_nsh(struct xlate_ctx *ctx)
{
    static const uint32_t types[] = {
        [NSH_NEXT_IPV4] = PACKET_TYPE_OF(ETH_TYPE_IPV4),
        [NSH_NEXT_IPV6] = PACKET_TYPE_OF(ETH_TYPE_IPV6),
        [NSH_NEXT_ETHERNET] = PACKET_TYPE_ETHERNET,
        [NSH_NEXT_NSH] = PACKET_TYPE_OF(ETH_TYPE_NSH),
    };
    uint8_t next = ctx->flow.nsh_np;
    WILD_ALL(ctx, nsh_np);
    if (next < NSH_NEXT_IPV4 || next > NSH_NEXT_NSH) {
        fail(ctx, SLUICE_TRACE_NOTE_DECAP_NSH_NEXT, next, 0);
        return false;
    }
    ctx->flow.packet_type = be32(types[next]);
    ctx->pending_decap = true;
    return true;
}

/* What is under the last label is what the action says: MPLS does not. */
static bool
decap_mpls(struct xlate_ctx *ctx, uint32_t new_type)
{
    struct flow_key *flow = &ctx->flow;
    uint32_t n = mpls_count(flow, ctx->wild);
    if (!n) {
        return false;
    }
    if (n == MPLS_ENTRIES_MAX && !(*mpls_entry(flow, n - 1) & be32(MPLS_BOS))) {
        too_many_labels(ctx, SLUICE_TRACE_NOTE_DECAP_MPLS_TOO_MANY);
        return false;
    }
    if (new_type == PACKET_TYPE_NEXT) {
        new_type = n > 1 ? packet_type_of(flow) : PACKET_TYPE_OF(PACKET_TYPE_NEXT);
    }
    uint32_t eth_type = new_type != PACKET_TYPE_ETHERNET ? new_type & 0xffff : ETH_TYPE_TEB;
    mpls_pop_entry(flow, n, be16((uint16_t) eth_type), ctx->wild);
    flow->packet_type = be32(new_type);
    ctx->pending_decap = true;
    return n == 1;
}

bool
xlate_decap(struct xlate_ctx *ctx, const struct sluice_action_decap *a)
{
    commit_actions(ctx);
    uint32_t type = packet_type_of(&ctx->flow);
    if (type == PACKET_TYPE_ETHERNET) {
        decap_ethernet(ctx);
        return false;
    }
    if (type == PACKET_TYPE_OF(ETH_TYPE_NSH)) {
        return decap_nsh(ctx);
    }
    if (is_mpls(type)) {
        return decap_mpls(ctx, a->new_pkt_type);
    }
    fail(ctx, SLUICE_TRACE_NOTE_DECAP_OF, type >> 16, type & 0xffff);
    return false;
}

bool
xlate_dec_nsh_ttl(struct xlate_ctx *ctx)
{
    if (ctx->flow.eth_type == be16(ETH_TYPE_NSH)) {
        WILD_ALL(ctx, nsh_ttl);
        if (ctx->flow.nsh_ttl > 1) {
            ctx->flow.nsh_ttl--;
            return true;
        }
        output_invalid_ttl(ctx, 0);
    }
    trace_note(ctx, SLUICE_TRACE_NOTE_NSH_TTL_EXCEEDED, 0, 0, 0);
    ctx->drop_reason = SLUICE_DROP_REASON_TTL;
    return false;
}

/* Appends a push_nsh of the header that 'flow' describes. */
static void
commit_push_nsh(struct xlate_ctx *ctx)
{
    const struct flow_key *flow = &ctx->flow;
    uint8_t header[NSH_SIZE_MAX];
    uint32_t size = NSH_BASE_SIZE;
    if (flow->nsh_mdtype == NSH_MD_TYPE1) {
        memcpy(header + size, &flow->nsh_c1, 16);
        size = NSH_TYPE1_SIZE;
    } else if (flow->nsh_mdtype == NSH_MD_TYPE2 && ctx->pending_nsh) {
        size += put_nsh_tlvs(ctx->pending_nsh, header + size);
    }
    put_be16(header, (uint16_t) ((flow->nsh_flags & 3u) << 12 | (flow->nsh_ttl & 0x3fu) << 6 | size / 4));
    header[2] = flow->nsh_mdtype;
    header[3] = flow->nsh_np;
    put_raw32(header + 4, flow->nsh_path_hdr);

    struct sluice_dp_action_push_nsh *push =
        commit_append(ctx, SLUICE_DP_ACTION_PUSH_NSH, (uint32_t) sizeof *push + size);
    if (push) {
        push->header_size = size;
        memcpy(push + 1, header, size);
    }
    memcpy(&ctx->base.words[SLUICE_KEY_L2_WORD], &flow->words[SLUICE_KEY_L2_WORD],
           (SLUICE_KEY_OPTIONS_WORD - SLUICE_KEY_L2_WORD) * 8);
}

static void
commit_push_eth(struct xlate_ctx *ctx)
{
    struct sluice_dp_action_push_eth *push = commit_append(ctx, SLUICE_DP_ACTION_PUSH_ETH, sizeof *push);
    if (push) {
        memcpy(push->src, ctx->flow.eth_src, 6);
        memcpy(push->dst, ctx->flow.eth_dst, 6);
    }
    memcpy(ctx->base.eth_src, ctx->flow.eth_src, 6);
    memcpy(ctx->base.eth_dst, ctx->flow.eth_dst, 6);
    ctx->base.eth_type = be16((uint16_t) packet_type_of(&ctx->base));
}

/* Appends what puts the outermost label of 'flow' before the packet as it is. */
static void
commit_encap_mpls(struct xlate_ctx *ctx)
{
    struct sluice_dp_action_push_mpls *push = commit_append(ctx, SLUICE_DP_ACTION_PUSH_MPLS, sizeof *push);
    if (push) {
        push->ethertype = be16(ctx->flow.eth_type);
        push->whole = 1;
        push->lse = be32(ctx->flow.mpls0_lse);
    }
    memcpy(&ctx->base.words[SLUICE_KEY_L2_WORD], &ctx->flow.words[SLUICE_KEY_L2_WORD],
           (SLUICE_KEY_OPTIONS_WORD - SLUICE_KEY_L2_WORD) * 8);
}

static void
commit_pop_eth(struct xlate_ctx *ctx)
{
    commit_append(ctx, SLUICE_DP_ACTION_POP_ETH, sizeof(struct sluice_dp_action_pop_eth));
    memset(ctx->base.eth_src, 0, sizeof ctx->base.eth_src);
    memset(ctx->base.eth_dst, 0, sizeof ctx->base.eth_dst);
    ctx->base.vlan0_tpid = ctx->base.vlan0_tci = ctx->base.vlan1_tpid = ctx->base.vlan1_tci = 0;
}

void
commit_packet_type(struct xlate_ctx *ctx)
{
    bool same = ctx->flow.packet_type == ctx->base.packet_type;
    if (same && !ctx->pending_encap && !ctx->pending_decap) {
        return;
    }
    bool is_bare = key_is_bare(&ctx->flow);
    uint32_t popped = ctx->pending_encap ? PACKET_TYPE_ETHERNET : packet_type_of(&ctx->base);
    if (ctx->pending_encap && is_mpls(packet_type_of(&ctx->flow))) {
        commit_encap_mpls(ctx);
    } else if (ctx->pending_encap && is_bare) {
        commit_push_nsh(ctx);
    } else if (is_mpls(popped)) {
        commit_mpls(ctx);
    } else if (popped == PACKET_TYPE_OF(ETH_TYPE_NSH)) {
        /* The packet is looked up anew behind it. */
        commit_append(ctx, SLUICE_DP_ACTION_POP_NSH, sizeof(struct sluice_dp_action_pop_nsh));
    } else if (is_bare) {
        commit_pop_eth(ctx);
    } else {
        /* Also after an output without Ethernet header: the packet gets its own back. */
        commit_push_eth(ctx);
    }
    ctx->base.packet_type = ctx->flow.packet_type;
    ctx->pending_encap = false;
    ctx->pending_decap = false;
    ctx->pending_nsh = NULL;
}
