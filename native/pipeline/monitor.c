#include "pipeline/monitor.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/headers.h"
#include "pipeline/xlate_ctx.h"

/* Addresses that continuity check messages go to. */
static const uint8_t ccm_address[6] = { 0x01, 0x80, 0xc2, 0x00, 0x00, 0x30 };
static const uint8_t ccm_address_extended[6] = { 0x01, 0x23, 0x20, 0x00, 0x00, 0x30 };

/* RFC 5881, section 4. */
#define BFD_PORT 3784u

/* Of a packet from a tunnel, whether it has no key, or key 0. */
static bool
has_key_zero(struct xlate_ctx *ctx)
{
    WILD_ALL(ctx, tun_id);
    return ctx->flow.tun_id == 0;
}

static bool
is_cfm(struct xlate_ctx *ctx, const struct ofport *port)
{
    if (ctx->flow.eth_type != be16(ETH_TYPE_CFM)) {
        return false;
    }
    WILD_ALL(ctx, eth_dst);
    bool is_extended = port->monitor_flags & SLUICE_MONITOR_FLAG_CFM_EXTENDED;
    const uint8_t *address = is_extended ? ccm_address_extended : ccm_address;
    if (memcmp(ctx->flow.eth_dst, address, sizeof ccm_address) != 0) {
        return false;
    }
    return !(port->monitor_flags & SLUICE_MONITOR_FLAG_CFM_CHECK_KEY) || has_key_zero(ctx);
}

static bool
is_bfd(struct xlate_ctx *ctx, const struct ofport *port)
{
    static const uint8_t any[6];
    if (memcmp(port->bfd_dst_mac, any, sizeof any) != 0) {
        WILD_ALL(ctx, eth_dst);
        if (memcmp(port->bfd_dst_mac, ctx->flow.eth_dst, sizeof any) != 0) {
            return false;
        }
    }
    if (ctx->flow.eth_type != be16(ETH_TYPE_IPV4)) {
        return false;
    }
    WILD_ALL(ctx, ip_proto);
    if (ctx->flow.ip_proto != PROTO_UDP || ctx->flow.ip_frag & FRAG_LATER) {
        return false;
    }
    WILD_ALL(ctx, tp_dst);
    if (ctx->flow.tp_dst != be16(BFD_PORT)) {
        return false;
    }
    if (port->bfd_ip) {
        WILD_ALL(ctx, ip_dst);
        if (ctx->flow.ip_dst != port->bfd_ip) {
            return false;
        }
    }
    return !(port->monitor_flags & SLUICE_MONITOR_FLAG_BFD_CHECK_KEY) || has_key_zero(ctx);
}

uint32_t
monitor_protocol(struct xlate_ctx *ctx, const struct ofport *port)
{
    if (!port || !port->monitor_flags) {
        return 0;
    }
    if (port->monitor_flags & SLUICE_MONITOR_FLAG_CFM && is_cfm(ctx, port)) {
        return SLUICE_PROTOCOL_CFM;
    }
    return port->monitor_flags & SLUICE_MONITOR_FLAG_BFD && is_bfd(ctx, port) ? SLUICE_PROTOCOL_BFD : 0;
}
