#include "pipeline/tunnel.h"

#include <string.h>

#include "packet/bytes.h"
#include "pipeline/field.h"
#include "pipeline/tunnel_index.h"
#include "tunnel/header.h"

#define TUN_FLAGS_OWN (TUN_FLAG_DONT_FRAGMENT | TUN_FLAG_CSUM | TUN_FLAG_KEY)

#define ECN_MASK 3u
#define ECN_CE 3u
#define ECN_ECT_0 2u
#define DSCP_MASK 0xfcu

#define TUNNEL_BYTES ((SLUICE_KEY_L2_WORD - SLUICE_KEY_TUNNEL_WORD) * 8)

_Static_assert(TUNNEL_BYTES == sizeof(((struct sluice_dp_action_tunnel_set *) NULL)->words), "words of a tunnel");

void
tunnel_wild(struct xlate_ctx *ctx)
{
    const struct flow_key *flow = &ctx->flow;
    if (!key_is_tunneled(flow)) {
        return;
    }
    WILD_ALL(ctx, tun_id);
    if (flow->tun_dst) {
        WILD_ALL(ctx, tun_src);
        WILD_ALL(ctx, tun_dst);
    } else {
        WILD_ALL(ctx, tun_ipv6_src);
        WILD_ALL(ctx, tun_ipv6_dst);
    }
    WILD(ctx, tun_flags, be16(TUN_FLAGS_OWN));
    WILD_ALL(ctx, tun_tos);
    if (key_is_ip(flow) && (flow->tun_tos & ECN_MASK) == ECN_CE) {
        WILD(ctx, ip_tos, ECN_MASK);
    }
}

bool
tunnel_receive_ecn(struct xlate_ctx *ctx)
{
    struct flow_key *flow = &ctx->flow;
    if (!key_is_tunneled(flow) || !key_is_ip(flow) || (flow->tun_tos & ECN_MASK) != ECN_CE) {
        return true;
    }
    if (!(flow->ip_tos & ECN_MASK)) {
        return false;
    }
    flow->ip_tos |= ECN_CE;
    return true;
}

/* Puts a configured address into the key: into its IPv4 member if it is an IPv4-mapped one. */
static void
put_address(uint32_t *ipv4, uint8_t ipv6[16], const uint8_t address[16])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    if (!memcmp(address, mapped, sizeof mapped)) {
        *ipv4 = get_raw32(address + 12);
        memset(ipv6, 0, 16);
    } else {
        *ipv4 = 0;
        memcpy(ipv6, address, 16);
    }
}

/* The outer header's type of service and TTL, which may be the inner one's. */
static void
set_tos_and_ttl(struct xlate_ctx *ctx, const struct sluice_tunnel *tunnel)
{
    struct flow_key *flow = &ctx->flow;
    bool is_ip = key_is_ip(flow);
    flow->tun_ttl = tunnel->ttl;
    flow->tun_tos = tunnel->tos;
    if (!is_ip) {
        return;
    }
    if (tunnel->tunnel_flags & SLUICE_TUNNEL_FLAG_TTL_INHERIT) {
        WILD_ALL(ctx, ip_ttl);
        flow->tun_ttl = flow->ip_ttl;
    }
    if (tunnel->tunnel_flags & SLUICE_TUNNEL_FLAG_TOS_INHERIT) {
        WILD(ctx, ip_tos, DSCP_MASK);
        flow->tun_tos = flow->ip_tos & DSCP_MASK;
    }
    /* RFC 6040: congestion already met is the inner header's to tell; the outer one may meet more of it. */
    WILD(ctx, ip_tos, ECN_MASK);
    flow->tun_tos |= (flow->ip_tos & ECN_MASK) == ECN_CE ? ECN_ECT_0 : flow->ip_tos & ECN_MASK;
}

/* Makes the key's tunnel words what a packet that leaves by 'port' is encapsulated with. */
static void
set_tunnel_key(struct xlate_ctx *ctx, const struct ofport *port)
{
    const struct sluice_tunnel *tunnel = &port->tunnel;
    struct flow_key *flow = &ctx->flow;
    uint32_t flags = tunnel->tunnel_flags;
    if (!(flags & SLUICE_TUNNEL_FLAG_LOCAL_FLOW)) {
        put_address(&flow->tun_src, flow->tun_ipv6_src, tunnel->local);
    }
    if (!(flags & SLUICE_TUNNEL_FLAG_REMOTE_FLOW)) {
        put_address(&flow->tun_dst, flow->tun_ipv6_dst, tunnel->remote);
    }
    if (!(flags & SLUICE_TUNNEL_FLAG_OUT_KEY_FLOW)) {
        flow->tun_id = be64(tunnel->out_key);
    }
    set_tos_and_ttl(ctx, tunnel);
    uint16_t own = (uint16_t) ((flags & SLUICE_TUNNEL_FLAG_DONT_FRAGMENT ? TUN_FLAG_DONT_FRAGMENT : 0)
                               | (flags & SLUICE_TUNNEL_FLAG_CSUM ? TUN_FLAG_CSUM : 0)
                               | (flags & SLUICE_TUNNEL_FLAG_OUT_KEY ? TUN_FLAG_KEY : 0));
    flow->tun_flags = (uint16_t) ((flow->tun_flags & ~be16(TUN_FLAGS_OWN)) | be16(own));
    if (flags & SLUICE_TUNNEL_FLAG_EGRESS_MARK) {
        flow->pkt_mark = be32(tunnel->egress_mark);
        WILD_ALL(ctx, pkt_mark);
    }
    if (flags & SLUICE_TUNNEL_FLAG_GBP) {
        WILD_ALL(ctx, tun_gbp_id);
        WILD_ALL(ctx, tun_gbp_flags);
    }
    if (!(flags & SLUICE_TUNNEL_FLAG_ERSPAN_VER_FLOW)) {
        flow->tun_erspan_ver = tunnel->erspan_ver;
    }
    if (!(flags & SLUICE_TUNNEL_FLAG_ERSPAN_IDX_FLOW)) {
        flow->tun_erspan_idx = be32(tunnel->erspan_idx);
    }
    if (!(flags & SLUICE_TUNNEL_FLAG_ERSPAN_DIR_FLOW)) {
        flow->tun_erspan_dir = tunnel->erspan_dir;
    }
    if (!(flags & SLUICE_TUNNEL_FLAG_ERSPAN_HWID_FLOW)) {
        flow->tun_erspan_hwid = tunnel->erspan_hwid;
    }
}

uint32_t
tunnel_options(const struct xlate_ctx *ctx, const struct ofport *port, uint8_t out[TLV_OPTIONS_MAX])
{
    uint32_t size = 0;
    if (port->tunnel.tunnel_type == SLUICE_TUNNEL_TYPE_GENEVE) {
        size = tlv_map_encode(&ctx->view->tlvs, &ctx->flow, out);
    }
    return size <= TUNNEL_OPTIONS_MAX ? size : 0;
}

/* Tells the datapath what to encapsulate with, unless it knows. */
static void
commit_tunnel(struct xlate_ctx *ctx, const struct ofport *port)
{
    uint64_t *base = &ctx->base.words[SLUICE_KEY_TUNNEL_WORD];
    const uint64_t *flow = &ctx->flow.words[SLUICE_KEY_TUNNEL_WORD];
    uint8_t options[TLV_OPTIONS_MAX];
    uint32_t options_size = tunnel_options(ctx, port, options);
    if (!memcmp(base, flow, TUNNEL_BYTES) && ctx->base_dst_port == port->tunnel.dst_port
        && ctx->base.tun_metadata_present == be64(options_size)
        && !memcmp(ctx->base.tun_metadata, options, options_size)) {
        return;
    }
    memcpy(base, flow, TUNNEL_BYTES);
    ctx->base_dst_port = port->tunnel.dst_port;
    ctx->base.tun_metadata_present = be64(options_size);
    memcpy(ctx->base.tun_metadata, options, options_size);
    struct sluice_dp_action_tunnel_set *set =
        commit_append(ctx, SLUICE_DP_ACTION_TUNNEL_SET, (uint32_t) sizeof *set + options_size);
    if (set) {
        set->dst_port = port->tunnel.dst_port;
        set->options_size = (uint16_t) options_size;
        memcpy(set->words, flow, TUNNEL_BYTES);
        memcpy(set + 1, options, options_size);
    }
}

void
tunnel_prepare(struct xlate_ctx *ctx, const struct ofport *port, uint64_t words[8])
{
    uint64_t *tunnel = &ctx->flow.words[SLUICE_KEY_TUNNEL_WORD];
    uint64_t before[TUNNEL_BYTES / 8];
    memcpy(before, tunnel, TUNNEL_BYTES);
    set_tunnel_key(ctx, port);
    if (ctx->view->flags & SLUICE_BRIDGE_FLAG_KERNEL_TUNNELS) {
        commit_tunnel(ctx, port);
    }
    memcpy(words, tunnel, TUNNEL_BYTES);
    memcpy(tunnel, before, TUNNEL_BYTES);
}

static bool
is_own_address(const struct xlate_ctx *ctx)
{
    const struct flow_key *key = ctx->in->key;
    const struct flow_key *flow = &ctx->flow;
    return key_is_tunneled(key) && key->tun_dst == flow->tun_dst
           && !memcmp(key->tun_ipv6_dst, flow->tun_ipv6_dst, sizeof key->tun_ipv6_dst);
}

void
tunnel_output(struct xlate_ctx *ctx, const struct ofport *port)
{
    struct flow_key *flow = &ctx->flow;
    uint64_t before[TUNNEL_BYTES / 8];
    memcpy(before, &flow->words[SLUICE_KEY_TUNNEL_WORD], TUNNEL_BYTES);
    set_tunnel_key(ctx, port);
    if (is_own_address(ctx)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_TUNNEL_TO_SELF, 0, 0, 0);
        memcpy(&flow->words[SLUICE_KEY_TUNNEL_WORD], before, TUNNEL_BYTES);
        return;
    }
    output_credit(ctx, port, XLATE_CREDIT_PORT_TX);
    if (!(ctx->view->flags & SLUICE_BRIDGE_FLAG_KERNEL_TUNNELS)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_NATIVE_TUNNEL, 0, 0, 0);
        commit_actions(ctx);
        tunnel_output_native(ctx, port);
        memcpy(&flow->words[SLUICE_KEY_TUNNEL_WORD], before, TUNNEL_BYTES);
        return;
    }
    trace_note(ctx, SLUICE_TRACE_NOTE_KERNEL_TUNNEL, 0, 0, 0);
    commit_tunnel(ctx, port);
    commit_actions(ctx);
    sample_output(ctx, port);
    /* What the port put into the key is not for the flow table to see; what actions put there stays. */
    memcpy(&flow->words[SLUICE_KEY_TUNNEL_WORD], before, TUNNEL_BYTES);
    struct sluice_dp_action_output *output = commit_append(ctx, SLUICE_DP_ACTION_OUTPUT, sizeof *output);
    if (output) {
        output->dp_port = port->dp_port;
    }
}
