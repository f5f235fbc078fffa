#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/headers.h"
#include "pipeline/field.h"
#include "pipeline/pipeline_state.h"
#include "pipeline/route_table.h"
#include "pipeline/tunnel.h"
#include "pipeline/tunnel_index.h"
#include "tunnel/header.h"
#include "tunnel/neighbor.h"

static const uint8_t mapped_prefix[12] = { [10] = 0xff, [11] = 0xff };

static void
map_ipv4(uint8_t out[16], uint32_t ipv4)
{
    memcpy(out, mapped_prefix, sizeof mapped_prefix);
    put_raw32(out + 12, ipv4);
}

/* The routes; the result depends on them. */
static const struct route_table *
get_routes(struct xlate_ctx *ctx)
{
    xlate_stamp(ctx, PIPELINE_CELL_ADDRESS | pipeline_cell(CELL_ROUTES, 0, 0));
    return atomic_load_explicit(&ctx->pipeline->routes, memory_order_acquire);
}

/* How a packet gets to the other end. */
struct way {
    const struct sluice_tunnel_route *route;
    const struct bridge_view *view; /* The bridge below, and its port. */
    const struct ofport *port;
    uint8_t next_hop[16];
    struct tunnel_link link;
};

static void
trace_address(struct xlate_ctx *ctx, uint16_t note, const uint8_t address[16], uint64_t c)
{
    trace_note(ctx, note, be64(get_raw64(address)), be64(get_raw64(address + 8)), c);
}

static bool
find_route(struct xlate_ctx *ctx, struct way *way)
{
    static const uint8_t none[16];
    const struct flow_key *flow = &ctx->flow;
    const struct route_table *routes = get_routes(ctx);
    uint8_t destination[16];
    uint8_t source[16] = { 0 };
    if (flow->tun_dst) {
        map_ipv4(destination, flow->tun_dst);
        if (flow->tun_src) {
            map_ipv4(source, flow->tun_src);
        }
    } else {
        memcpy(destination, flow->tun_ipv6_dst, 16);
    }
    way->route = routes ? route_table_lookup(routes, be32(flow->pkt_mark), destination, source) : NULL;
    way->view = way->route ? topology_find(ctx->config->topology, way->route->bridge) : NULL;
    way->port = way->view ? bridge_view_find_port(way->view, port_normalize(way->route->ofp_port)) : NULL;
    if (!way->port) {
        xlate_stamp(ctx, pipeline_cell(CELL_PORTS, 0, 0));
        trace_note(ctx, SLUICE_TRACE_NOTE_TUNNEL_NO_ROUTE, 0, 0, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_TUNNEL_NO_ROUTE;
        return false;
    }
    xlate_stamp(ctx, pipeline_cell(CELL_BRIDGE, way->view->bridge->id, 0));
    bool has_gateway = memcmp(way->route->gateway, none, 16) != 0;
    memcpy(way->next_hop, has_gateway ? way->route->gateway : destination, 16);
    if (flow->tun_dst) {
        memcpy(way->link.source, memcmp(source, none, 16) ? source : way->route->source, 16);
    } else {
        memcpy(way->link.source, memcmp(flow->tun_ipv6_src, none, 16) ? flow->tun_ipv6_src : way->route->source, 16);
    }
    memcpy(way->link.source_mac, way->route->mac, 6);
    trace_address(ctx, SLUICE_TRACE_NOTE_TUNNEL_VIA, way->next_hop,
                  (uint64_t) way->route->bridge << 32 | way->route->ofp_port);
    return true;
}

/* Asks who has the next hop's address, now and then. */
static void
ask_neighbor(struct xlate_ctx *ctx, const struct way *way)
{
    uint32_t device = way->view->bridge->id;
    trace_address(ctx, SLUICE_TRACE_NOTE_TUNNEL_NO_NEIGHBOR, way->next_hop, device);
    ctx->drop_reason = SLUICE_DROP_REASON_TUNNEL_NO_NEIGHBOR;
    /* The next packet is to ask again. */
    ctx->uncacheable = true;
    struct solicitations *solicitations = &ctx->out->solicitations;
    if (!ctx->in->learn || solicitations->n == SOLICITATIONS_MAX
        || !neighbor_may_ask(ctx->pipeline->neighbors, device, way->next_hop, ctx->in->now_ms)) {
        return;
    }
    const struct route_table *routes = get_routes(ctx);
    const struct sluice_tunnel_address *own =
        route_table_source(routes, way->route->bridge, way->route->ofp_port, way->next_hop);
    struct solicitation *solicitation = &solicitations->all[solicitations->n++];
    solicitation->bridge = device;
    solicitation->in_port = way->port->ofp_port;
    solicitation_make(solicitation, way->link.source_mac, own ? own->address : way->link.source, way->next_hop);
}

static bool
find_neighbor(struct xlate_ctx *ctx, struct way *way)
{
    uint32_t device = way->view->bridge->id;
    struct neighbor *neighbor;
    xlate_stamp(ctx, PIPELINE_CELL_ADDRESS | pipeline_neighbor_cell(device, way->next_hop));
    if (!neighbor_lookup(ctx->pipeline->neighbors, device, way->next_hop, ctx->in->now_ms, way->link.next_hop_mac,
                         &neighbor)) {
        ask_neighbor(ctx, way);
        return false;
    }
    struct xlate_credit *credit = xlate_add_credit(ctx);
    if (!credit) {
        neighbor_unref(neighbor);
        return false;
    }
    credit->kind = XLATE_CREDIT_NEIGHBOR;
    credit->neighbor = neighbor;
    return true;
}

/* Says that packets are 'n' bytes longer, or (negative) shorter, for the credits that follow. */
static void
credit_header(struct xlate_ctx *ctx, int32_t n)
{
    struct xlate_credit *credit = xlate_add_credit(ctx);
    if (credit) {
        credit->kind = XLATE_CREDIT_HEADER;
        credit->bundle = (uint32_t) n;
    }
}

static void
append_push(struct xlate_ctx *ctx, const struct ofport *port, const struct way *way, const struct tunnel_header *header)
{
    const struct route_table *routes = get_routes(ctx);
    struct sluice_dp_action_tunnel_push *push =
        commit_append(ctx, SLUICE_DP_ACTION_TUNNEL_PUSH, (uint32_t) sizeof *push + header->size);
    if (!push) {
        return;
    }
    push->tunnel_port = port->dp_port;
    push->out_port = way->port->dp_port;
    push->header_size = header->size;
    push->tunnel_type = header->type;
    push->push_flags = header->flags;
    push->sequence = (ctx->view->bridge->id * 31 + port->ofp_port) % TUNNEL_SEQUENCES;
    push->port_min = routes->port_min;
    push->port_max = routes->port_max;
    memcpy(push + 1, header->bytes, header->size);
}

/* Makes the key that of the packet with its headers. */
static void
become_outer(struct flow_key *flow, const struct ofport *port, const struct way *way,
             const struct tunnel_header *header)
{
    struct flow_key outer;
    memset(&outer, 0, sizeof outer);
    outer.skb_priority = flow->skb_priority;
    outer.pkt_mark = flow->pkt_mark;
    memcpy(outer.eth_dst, way->link.next_hop_mac, 6);
    memcpy(outer.eth_src, way->link.source_mac, 6);
    outer.ip_proto = header->ip_proto;
    outer.ip_tos = flow->tun_tos;
    outer.ip_ttl = flow->tun_ttl;
    outer.tp_dst = be16(port->tunnel.dst_port);
    if (header->is_ipv6) {
        outer.eth_type = be16(ETH_TYPE_IPV6);
        memcpy(outer.ipv6_src, way->link.source, 16);
        memcpy(outer.ipv6_dst, flow->tun_ipv6_dst, 16);
    } else {
        outer.eth_type = be16(ETH_TYPE_IPV4);
        outer.ip_src = get_raw32(way->link.source + 12);
        outer.ip_dst = flow->tun_dst;
    }
    *flow = outer;
}

/* What translation of the bridge below must not change. */
struct inner {
    struct flow_key flow;
    struct flow_key base;
    struct flow_key wild; /* Scratch: what is read of the headers is known, and of no packet. */
    struct xlate_in in;
};

static void
output_below(struct xlate_ctx *ctx, const struct ofport *port, const struct way *way,
             const struct tunnel_header *header, struct inner *inner)
{
    const struct xlate_in *in = ctx->in;
    struct flow_key *wild = ctx->wild;
    bool is_last = ctx->is_last;
    uint16_t base_dst_port = ctx->base_dst_port;
    inner->flow = ctx->flow;
    inner->base = ctx->base;
    inner->in = *in;
    inner->in.learn = false;
    memset(&inner->wild, 0, sizeof inner->wild);

    uint32_t clone = is_last ? ctx->out->actions_size : commit_clone_begin(ctx);
    append_push(ctx, port, way, header);
    uint32_t pushed = ctx->out->actions_size;
    become_outer(&ctx->flow, port, way, header);
    ctx->base = ctx->flow;
    ctx->in = &inner->in;
    ctx->wild = &inner->wild;
    ctx->is_last = true;
    credit_header(ctx, header->size);
    output_into_bridge(ctx, way->view, way->port);
    credit_header(ctx, -(int32_t) header->size);
    if (ctx->out->actions_size == pushed) {
        ctx->out->actions_size = clone;
    } else if (!is_last) {
        commit_clone_end(ctx, clone);
    }

    ctx->in = in;
    ctx->wild = wild;
    ctx->is_last = is_last;
    ctx->flow = inner->flow;
    ctx->base = inner->base;
    ctx->base_dst_port = base_dst_port;
}

void
tunnel_output_native(struct xlate_ctx *ctx, const struct ofport *port)
{
    struct way way;
    struct tunnel_header header;
    if (ctx->nesting >= XLATE_NESTING_MAX) {
        xlate_fail(ctx, SLUICE_DROP_REASON_RECURSION_TOO_DEEP);
        return;
    }
    if (!find_route(ctx, &way) || !find_neighbor(ctx, &way)) {
        return;
    }
    uint8_t options[TLV_OPTIONS_MAX];
    uint32_t options_size = tunnel_options(ctx, port, options);
    if (!tunnel_header_build(&port->tunnel, &ctx->flow, &way.link, &header)
        || !tunnel_header_put_options(&header, options, options_size)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_TUNNEL_BUILD, 0, 0, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_TUNNEL_BUILD;
        return;
    }
    struct inner *inner = malloc(sizeof *inner);
    if (!inner) {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
        return;
    }
    ctx->nesting++;
    output_below(ctx, port, &way, &header, inner);
    ctx->nesting--;
    free(inner);
}

static bool
is_arp(const struct flow_key *flow)
{
    return flow->eth_type == be16(ETH_TYPE_ARP);
}

static bool
is_icmpv6(const struct flow_key *flow)
{
    return flow->eth_type == be16(ETH_TYPE_IPV6) && flow->ip_proto == PROTO_ICMPV6;
}

/* The address that the packet is for, as the host would have it. */
static bool
is_for(const struct flow_key *flow, const uint8_t address[16])
{
    bool is_ipv4 = !memcmp(address, mapped_prefix, sizeof mapped_prefix);
    if (flow->eth_type == be16(ETH_TYPE_IPV6)) {
        return !is_ipv4 && !memcmp(flow->ipv6_dst, address, 16);
    }
    return is_ipv4 && (flow->eth_type == be16(ETH_TYPE_IPV4) || is_arp(flow))
           && flow->ip_dst == get_raw32(address + 12);
}

/* The tunnel that a packet to the host's address on the port is one of; null if it is not.  Reads layer by layer, so
 * that what is not even for the host's link address stays open. */
static const struct ofport *
find_tunnel(struct xlate_ctx *ctx, const struct sluice_tunnel_address *own)
{
    const struct flow_key *flow = &ctx->flow;
    const struct tunnel_index *tunnels = ctx->config->topology->tunnels;
    WILD_ALL(ctx, eth_dst);
    WILD_ALL(ctx, vlan0_tci);
    if (memcmp(flow->eth_dst, own->mac, 6) || flow->vlan0_tci || !key_is_ip(flow)) {
        return NULL;
    }
    if (flow->eth_type == be16(ETH_TYPE_IPV6)) {
        WILD_ALL(ctx, ipv6_dst);
    } else {
        WILD_ALL(ctx, ip_dst);
    }
    WILD_ALL(ctx, ip_proto);
    WILD(ctx, ip_frag, FRAG_ANY | FRAG_LATER);
    if (!is_for(flow, own->address) || flow->ip_frag) {
        return NULL;
    }
    if (flow->ip_proto != PROTO_UDP && flow->ip_proto != PROTO_TCP) {
        return tunnel_index_listener(tunnels, flow->ip_proto, 0);
    }
    WILD_ALL(ctx, tp_dst);
    return tunnel_index_listener(tunnels, flow->ip_proto, be16(flow->tp_dst));
}

/* Whether a neighbour's reply is for the address: sent to it, or to the group in which RFC 4861 asks for it. */
static bool
is_reply_for(const struct flow_key *flow, const uint8_t address[16])
{
    static const uint8_t solicited[3] = { 0x00, 0x01, 0xff };
    const uint8_t *destination = flow->ipv6_dst;
    if (is_for(flow, address)) {
        return true;
    }
    return is_icmpv6(flow) && destination[0] == 0xff && (destination[1] & 0x0f) == 0x02
           && !memcmp(destination + 10, solicited, sizeof solicited) && !memcmp(destination + 13, address + 13, 3);
}

/* Learns from ARP replies and gratuitous ones, and neighbour advertisements. */
static void
snoop(struct xlate_ctx *ctx, bool is_for_us)
{
    static const uint8_t no_mac[6];
    const struct flow_key *flow = &ctx->flow;
    uint32_t device = ctx->view->bridge->id;
    uint8_t address[16];
    const uint8_t *mac;
    if (is_arp(flow)) {
        WILD_ALL(ctx, ip_src);
        WILD_ALL(ctx, ip_dst);
        if (flow->ip_src != flow->ip_dst) {
            if (!is_for_us) {
                return;
            }
            WILD_ALL(ctx, ip_proto);
            if (flow->ip_proto != 2) {
                return;
            }
        }
        WILD_ALL(ctx, arp_sha);
        map_ipv4(address, flow->ip_src);
        mac = flow->arp_sha;
    } else if (is_icmpv6(flow) && is_for_us) {
        WILD_ALL(ctx, ip_proto);
        WILD_ALL(ctx, tp_src);
        WILD_ALL(ctx, tp_dst);
        if (flow->tp_src != be16(ND_ADVERT) || flow->tp_dst) {
            return;
        }
        WILD_ALL(ctx, arp_tha);
        WILD_ALL(ctx, ipv6_src);
        WILD_ALL(ctx, ipv6_dst);
        WILD_ALL(ctx, nd_target);
        memcpy(address, flow->nd_target, 16);
        mac = flow->arp_tha;
    } else {
        return;
    }
    if (memcmp(mac, no_mac, sizeof no_mac) && ctx->in->learn) {
        neighbor_set(ctx->pipeline->neighbors, device, address, mac, ctx->in->now_ms);
    }
}

/* Who sent the packet of a tunnel is a neighbour. */
static void
learn_sender(struct xlate_ctx *ctx)
{
    const struct flow_key *flow = &ctx->flow;
    uint8_t address[16];
    if (!ctx->in->learn) {
        return;
    }
    if (flow->eth_type == be16(ETH_TYPE_IPV6)) {
        memcpy(address, flow->ipv6_src, 16);
    } else {
        map_ipv4(address, flow->ip_src);
    }
    neighbor_set(ctx->pipeline->neighbors, ctx->view->bridge->id, address, flow->eth_src, ctx->in->now_ms);
}

bool
tunnel_terminate(struct xlate_ctx *ctx, const struct ofport *port)
{
    const struct route_table *routes = get_routes(ctx);
    uint32_t bridge = ctx->view->bridge->id;
    if (!routes || ctx->view->flags & SLUICE_BRIDGE_FLAG_KERNEL_TUNNELS) {
        return false;
    }
    bool listens = tunnel_index_listens(ctx->config->topology->tunnels);
    bool has_address = false;
    bool is_for_us = false;
    for (uint32_t i = 0; i < routes->n_addresses; i++) {
        const struct sluice_tunnel_address *own = &routes->addresses[i];
        if (own->bridge != bridge) {
            continue;
        }
        /* Replies are for any address of the bridge; tunnels end where the packet came in. */
        is_for_us |= is_reply_for(&ctx->flow, own->address);
        if (port_normalize(own->ofp_port) != port->ofp_port) {
            continue;
        }
        has_address = true;
        if (!own->is_routed) {
            continue;
        }
        xlate_stamp(ctx, pipeline_cell(CELL_PORTS, 0, 0));
        const struct ofport *tunnel = listens ? find_tunnel(ctx, own) : NULL;
        struct sluice_dp_action_tunnel_pop *pop = NULL;
        if (tunnel) {
            learn_sender(ctx);
            commit_actions(ctx);
            pop = commit_append(ctx, SLUICE_DP_ACTION_TUNNEL_POP, sizeof *pop);
            if (pop) {
                pop->dp_port = tunnel->dp_port;
                pop->tunnel_type = tunnel->tunnel.tunnel_type;
            }
            return true;
        }
    }
    if (has_address) {
        snoop(ctx, is_for_us);
    }
    return false;
}
