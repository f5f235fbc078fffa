/* NORMAL: a learning VLAN switch over the bundles of a bridge. */
#include <string.h>

#include "packet/bytes.h"
#include "pipeline/bond.h"
#include "pipeline/mac_table.h"
#include "pipeline/netflow.h"
#include "pipeline/xlate_ctx.h"

static uint64_t
mac_number(const uint8_t mac[6])
{
    return (uint64_t) field_value_load(mac, 6);
}

static bool
mac_is_multicast(uint64_t mac)
{
    return mac >> 40 & 1;
}

/* Addresses that bridges do not forward: 01:80:c2:00:00:0x, and those of Cisco's and Extreme's discovery protocols. */
static bool
mac_is_reserved(uint64_t mac)
{
    static const uint64_t others[] = {
        UINT64_C(0x00e02b000000), UINT64_C(0x00e02b000004), UINT64_C(0x00e02b000006), UINT64_C(0x01000c000000),
        UINT64_C(0x01000ccccccc), UINT64_C(0x01000ccccccd), UINT64_C(0x01000ccdcdcd),
    };
    if (mac >> 4 == UINT64_C(0x0180c200000)) {
        return true;
    }
    /* 01:00:0c:cc:cc:c0 to c7 */
    if (mac >> 3 == UINT64_C(0x01000cccccc0) >> 3) {
        return true;
    }
    for (uint32_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (mac == others[i]) {
            return true;
        }
    }
    return false;
}

static void
get_tags(const struct flow_key *flow, struct normal_tags *tags)
{
    const uint16_t tpids[2] = { be16(flow->vlan0_tpid), be16(flow->vlan1_tpid) };
    const uint16_t tcis[2] = { be16(flow->vlan0_tci), be16(flow->vlan1_tci) };
    memset(tags, 0, sizeof *tags);
    for (uint32_t i = 0; i < 2 && tcis[i] & VLAN_CFI; i++) {
        tags->v[i].tpid = tpids[i];
        tags->v[i].vid = tcis[i] & VLAN_VID_MASK;
        tags->v[i].pcp = tcis[i] & VLAN_PCP_MASK;
    }
}

/* Writes the tags into the packet.  A tag with neither VLAN nor priority stays only if the bundle wants that always. */
static void
put_tags(struct flow_key *flow, const struct normal_tags *tags, uint16_t flags)
{
    uint16_t tpids[2] = { 0, 0 };
    uint16_t tcis[2] = { 0, 0 };
    for (uint32_t i = 0; i < 2; i++) {
        bool always = flags & SLUICE_BUNDLE_FLAG_PRIORITY_TAGS_ALWAYS && tags->v[i].tpid;
        if (!tags->v[i].vid && !tags->v[i].pcp && !always) {
            break;
        }
        tpids[i] = tags->v[i].tpid ? tags->v[i].tpid : ETH_TYPE_VLAN;
        tcis[i] = (uint16_t) (tags->v[i].vid | tags->v[i].pcp | VLAN_CFI);
    }
    flow->vlan0_tpid = be16(tpids[0]);
    flow->vlan0_tci = be16(tcis[0]);
    flow->vlan1_tpid = be16(tpids[1]);
    flow->vlan1_tci = be16(tcis[1]);
}

/* Whether 'bundle' lets in packets with these tags. */
static bool
check_input_vlan(struct xlate_ctx *ctx, const struct bundle *bundle, const struct normal_tags *tags)
{
    uint16_t vid = tags->v[0].vid;
    uint32_t in_port = bundle->n_members ? bundle->members[0] : PORT_NONE;
    switch (bundle->vlan_mode) {
    case SLUICE_VLAN_MODE_ACCESS:
        if (vid) {
            trace_note(ctx, SLUICE_TRACE_NOTE_VLAN_ON_ACCESS_PORT, vid, in_port, bundle->vlan);
        }
        return !vid;
    case SLUICE_VLAN_MODE_DOT1Q_TUNNEL:
        if (!bundle_has_cvlan(bundle, vid)) {
            trace_note(ctx, SLUICE_TRACE_NOTE_VLAN_NOT_IN_TUNNEL, vid, in_port, 0);
            return false;
        }
        return true;
    case SLUICE_VLAN_MODE_NATIVE_TAGGED:
    case SLUICE_VLAN_MODE_NATIVE_UNTAGGED:
        if (!vid || vid == bundle->vlan) {
            return true;
        }
        break;
    default:
        break;
    }
    if (!bundle_has_trunk(bundle, vid)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_VLAN_NOT_IN_TRUNKS, vid, in_port, 0);
        return false;
    }
    return true;
}

/* From the tags that a packet came with to those that it has within the switch. */
static void
translate_input(const struct bundle *bundle, const struct normal_tags *in, struct normal_tags *tags)
{
    *tags = *in;
    switch (bundle->vlan_mode) {
    case SLUICE_VLAN_MODE_ACCESS:
        memset(tags, 0, sizeof *tags);
        tags->v[0].tpid = in->v[0].tpid;
        tags->v[0].vid = bundle->vlan;
        tags->v[0].pcp = in->v[0].pcp;
        break;
    case SLUICE_VLAN_MODE_NATIVE_TAGGED:
    case SLUICE_VLAN_MODE_NATIVE_UNTAGGED:
        if (!in->v[0].vid) {
            tags->v[0].vid = bundle->vlan;
        }
        break;
    case SLUICE_VLAN_MODE_DOT1Q_TUNNEL:
        tags->v[1] = in->v[0];
        tags->v[0].tpid = bundle->qinq_ethertype;
        tags->v[0].vid = bundle->vlan;
        tags->v[0].pcp = 0;
        break;
    default:
        break;
    }
}

static void
pop_tag(struct normal_tags *tags)
{
    tags->v[0] = tags->v[1];
    memset(&tags->v[1], 0, sizeof tags->v[1]);
}

/* And to those that it leaves with. */
static void
translate_output(const struct bundle *bundle, const struct normal_tags *in, struct normal_tags *tags)
{
    *tags = *in;
    switch (bundle->vlan_mode) {
    case SLUICE_VLAN_MODE_ACCESS:
        memset(tags, 0, sizeof *tags);
        break;
    case SLUICE_VLAN_MODE_NATIVE_UNTAGGED:
        if (in->v[0].vid == bundle->vlan) {
            pop_tag(tags);
        }
        break;
    case SLUICE_VLAN_MODE_DOT1Q_TUNNEL:
        pop_tag(tags);
        break;
    default:
        break;
    }
}

/* Whether packets with these tags within the switch may leave through 'bundle'. */
static bool
carries(const struct bundle *bundle, const struct normal_tags *tags)
{
    uint16_t vid = tags->v[0].vid;
    switch (bundle->vlan_mode) {
    case SLUICE_VLAN_MODE_ACCESS:
        return vid == bundle->vlan && !tags->v[1].vid;
    case SLUICE_VLAN_MODE_NATIVE_TAGGED:
    case SLUICE_VLAN_MODE_NATIVE_UNTAGGED:
        /* What has no VLAN within the switch is not the native VLAN's. */
        return vid == bundle->vlan || (vid && bundle_has_trunk(bundle, vid));
    case SLUICE_VLAN_MODE_DOT1Q_TUNNEL:
        return vid == bundle->vlan && bundle_has_cvlan(bundle, tags->v[1].vid);
    default:
        return bundle_has_trunk(bundle, vid);
    }
}

void
normal_output_bundle(struct xlate_ctx *ctx, const struct bundle *bundle, const struct normal_tags *tags)
{
    const struct ofport *port = bond_choose_member(ctx, bundle, tags->v[0].vid);
    if (!port) {
        return;
    }
    struct normal_tags out;
    translate_output(bundle, tags, &out);
    if (bundle->flags & (SLUICE_BUNDLE_FLAG_PRIORITY_TAGS | SLUICE_BUNDLE_FLAG_PRIORITY_TAGS_ALWAYS)) {
        out.v[0].pcp = be16(ctx->flow.vlan0_tci) & VLAN_PCP_MASK;
    }

    const uint16_t old[4] = { ctx->flow.vlan0_tpid, ctx->flow.vlan0_tci, ctx->flow.vlan1_tpid, ctx->flow.vlan1_tci };
    put_tags(&ctx->flow, &out, bundle->flags);
    if (ctx->flow.vlan0_tpid != old[0] || ctx->flow.vlan0_tci != old[1] || ctx->flow.vlan1_tpid != old[2]
        || ctx->flow.vlan1_tci != old[3]) {
        /* Whether the new tag happens to be the one that the packet came with depends on all of that. */
        WILD_ALL(ctx, vlan0_tpid);
        WILD_ALL(ctx, vlan0_tci);
    }
    output_real(ctx, port->ofp_port);
    ctx->flow.vlan0_tpid = old[0];
    ctx->flow.vlan0_tci = old[1];
    ctx->flow.vlan1_tpid = old[2];
    ctx->flow.vlan1_tci = old[3];
}

/* Flooding leaves out a bundle with a port that is configured so, that the spanning tree keeps from forwarding, or that
 * has no Ethernet headers. */
static bool
is_floodable(const struct xlate_ctx *ctx, const struct bundle *bundle)
{
    for (uint32_t i = 0; i < bundle->n_members; i++) {
        const struct ofport *port = bridge_view_find_port(ctx->view, bundle->members[i]);
        if (port
            && (port->config & SLUICE_OFPORT_CONFIG_NO_FLOOD || !ofport_forwards(port)
                || port->packet_type_mode == SLUICE_PACKET_TYPE_MODE_LEGACY_L3)) {
            return false;
        }
    }
    return true;
}

void
normal_flood(struct xlate_ctx *ctx, const struct bundle *in, const struct normal_tags *tags)
{
    for (uint32_t i = 0; i < ctx->view->n_bundles && !ctx->error; i++) {
        const struct bundle *bundle = ctx->view->bundles[i];
        if (bundle != in && carries(bundle, tags) && is_floodable(ctx, bundle)
            && !mirror_owns_bundle(ctx->view, bundle)) {
            normal_output_bundle(ctx, bundle, tags);
        }
    }
    ctx->netflow_output = NETFLOW_OUTPUT_FLOOD;
}

bool
normal_input_tags(struct xlate_ctx *ctx, const struct bundle *bundle, struct normal_tags *tags)
{
    struct normal_tags received;
    get_tags(&ctx->flow, &received);
    if (!check_input_vlan(ctx, bundle, &received)) {
        return false;
    }
    translate_input(bundle, &received, tags);
    return true;
}

void
normal_output_vlan(struct xlate_ctx *ctx, uint16_t vlan, const struct normal_tags *tags)
{
    if (tags->v[0].vid == vlan || mac_is_reserved(mac_number(ctx->flow.eth_dst))) {
        return;
    }
    struct normal_tags on = *tags;
    on.v[0].vid = vlan;
    for (uint32_t i = 0; i < ctx->view->n_bundles && !ctx->error; i++) {
        const struct bundle *bundle = ctx->view->bundles[i];
        if (carries(bundle, &on) && !mirror_owns_bundle(ctx->view, bundle)) {
            normal_output_bundle(ctx, bundle, &on);
        }
    }
}

/* Whether the packet is an ARP by which a host tells of itself. */
static bool
is_gratuitous_arp(struct xlate_ctx *ctx)
{
    const struct flow_key *flow = &ctx->flow;
    if (flow->eth_type != be16(ETH_TYPE_ARP)) {
        return false;
    }
    WILD_ALL(ctx, eth_dst);
    if (mac_number(flow->eth_dst) != UINT64_C(0xffffffffffff)) {
        return false;
    }
    WILD_ALL(ctx, ip_proto);
    if (flow->ip_proto == 2) {
        return true;
    }
    if (flow->ip_proto == 1) {
        WILD_ALL(ctx, ip_src);
        WILD_ALL(ctx, ip_dst);
        return flow->ip_src == flow->ip_dst;
    }
    return false;
}

/* Whether the bond that the packet came in by lets it in. */
static bool
is_admitted(struct xlate_ctx *ctx, const struct bundle *in, uint16_t vlan)
{
    uint64_t mac = mac_number(ctx->flow.eth_src);
    uint32_t behind;
    enum bond_verdict verdict =
        bond_admit(in, be32(ctx->flow.in_port), mac_is_multicast(mac_number(ctx->flow.eth_dst)));
    if (verdict == BOND_ADMIT) {
        return true;
    }
    if (verdict == BOND_REFUSE) {
        trace_note(ctx, SLUICE_TRACE_NOTE_BOND_REFUSED, 0, 0, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_BOND;
        return false;
    }
    xlate_stamp(ctx, PIPELINE_CELL_ADDRESS
                         | pipeline_cell(CELL_ADDRESS, ctx->view->bridge->id, mac | (uint64_t) vlan << 48));
    struct mac_table *macs = ctx->view->bridge->macs;
    if (!mac_table_lookup(macs, vlan, mac, &behind) || behind == in->id
        || (is_gratuitous_arp(ctx) && !mac_table_is_locked(macs, vlan, mac, ctx->in->now_ms))) {
        return true;
    }
    trace_note(ctx, SLUICE_TRACE_NOTE_BOND_LOOPED, 0, 0, 0);
    ctx->drop_reason = SLUICE_DROP_REASON_BOND;
    return false;
}

/* Learns where the packet came from. */
static void
learn_source(struct xlate_ctx *ctx, const struct bundle *in, uint16_t vlan)
{
    uint64_t mac = mac_number(ctx->flow.eth_src);
    if (mac_is_multicast(mac) || vlan_map_has(ctx->view->flood_vlans, vlan)) {
        return;
    }
    struct mac_table *macs = ctx->view->bridge->macs;
    bool gratuitous = is_gratuitous_arp(ctx);
    if (ctx->in->draft) {
        transaction_edit_macs(ctx->pipeline, &(struct mac_edit){
                                                 .bridge = ctx->view->bridge->id,
                                                 .kind = MAC_EDIT_LEARN,
                                                 .bundle = in->id,
                                                 .vlan = vlan,
                                                 .mac = mac,
                                                 .gratuitous = gratuitous,
                                                 .is_bond = in->n_members > 1,
                                             });
    } else if (ctx->in->learn
               && mac_table_learn(macs, vlan, mac, in->id, gratuitous, in->n_members > 1, ctx->in->now_ms)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_LEARNED_SOURCE, mac, be32(ctx->flow.in_port), vlan);
    }

    if (ctx->in->learn && mac_table_holds(macs, vlan, mac, in->id)) {
        pipeline_cover(ctx->view->bridge->pipeline, SLUICE_COVERAGE_MAC_LEARNING_STATIC_NONE_MOVE);
    }

    /* The megaflow is good for as long as the address stays: packets must be seen again to learn it anew. */
    xlate_stamp(ctx, PIPELINE_CELL_ADDRESS
                         | pipeline_cell(CELL_ADDRESS, ctx->view->bridge->id, mac | (uint64_t) vlan << 48));
    uint32_t bundle;
    if (mac_table_lookup(macs, vlan, mac, &bundle) && bundle == in->id) {
        struct xlate_credit *credit = xlate_add_credit(ctx);
        if (credit) {
            credit->kind = XLATE_CREDIT_MAC;
            credit->bundle = in->id;
            credit->macs = macs;
            credit->mac = mac | (uint64_t) vlan << 48;
            mac_table_ref(macs);
        }
    }
}

/* To where the destination was learned, or everywhere. */
static void
forward(struct xlate_ctx *ctx, const struct bundle *in, const struct normal_tags *tags)
{
    uint64_t mac = mac_number(ctx->flow.eth_dst);
    uint16_t vlan = tags->v[0].vid;
    const struct bundle *bundle = NULL;
    uint32_t id;

    if (!mac_is_multicast(mac) && !vlan_map_has(ctx->view->flood_vlans, vlan)) {
        xlate_stamp(ctx, PIPELINE_CELL_ADDRESS
                             | pipeline_cell(CELL_ADDRESS, ctx->view->bridge->id, mac | (uint64_t) vlan << 48));
        if (mac_table_lookup(ctx->view->bridge->macs, vlan, mac, &id)) {
            bundle = bridge_view_find_bundle(ctx->view, id);
        }
    }
    if (!bundle) {
        trace_note(ctx, SLUICE_TRACE_NOTE_NO_LEARNED_MAC, 0, 0, 0);
        normal_flood(ctx, in, tags);
    } else if (mirror_owns_bundle(ctx->view, bundle)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_LEARNED_PORT_IS_MIRROR, 0, 0, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_MIRROR;
    } else if (bundle == in) {
        trace_note(ctx, SLUICE_TRACE_NOTE_LEARNED_PORT_IS_INPUT, 0, 0, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_LEARNED_PORT_IS_INPUT;
    } else {
        trace_note(ctx, SLUICE_TRACE_NOTE_LEARNED_PORT, 0, 0, 0);
        normal_output_bundle(ctx, bundle, tags);
    }
}

/* The bundle that the packet came in by.  False: it is dropped.  '*in' may be null for a packet that has no port, such
 * as a packet-out from CONTROLLER. */
static bool
find_input(struct xlate_ctx *ctx, const struct bundle **in)
{
    uint32_t in_port = be32(ctx->flow.in_port);
    *in = bridge_view_bundle_of_port(ctx->view, in_port);
    if (*in || in_port == PORT_CONTROLLER || in_port == PORT_NONE) {
        return true;
    }
    if (!bridge_view_find_port(ctx->view, in_port)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_INPUT_PORT_MISSING, in_port, 0, 0);
    }
    trace_note(ctx, SLUICE_TRACE_NOTE_NO_INPUT_BUNDLE, 0, 0, 0);
    ctx->drop_reason = SLUICE_DROP_REASON_NO_INPUT_BUNDLE;
    return false;
}

void
normal_output(struct xlate_ctx *ctx)
{
    WILD_ALL(ctx, eth_src);
    WILD_ALL(ctx, eth_dst);
    WILD(ctx, vlan0_tci, be16(VLAN_VID_MASK | VLAN_CFI));

    const struct bundle *in;
    if (!find_input(ctx, &in)) {
        return;
    }
    if ((ctx->flow.eth_type == be16(ETH_TYPE_VLAN) || ctx->flow.eth_type == be16(ETH_TYPE_QINQ))
        && !(ctx->flow.vlan0_tci & be16(VLAN_CFI))) {
        trace_note(ctx, SLUICE_TRACE_NOTE_PARTIAL_VLAN, be32(ctx->flow.in_port), 0, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_PARTIAL_VLAN;
        return;
    }

    if (in && mirror_owns_bundle(ctx->view, in)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_MIRROR_INPUT_BUNDLE, 0, 0, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_MIRROR;
        return;
    }

    struct normal_tags received;
    struct normal_tags tags;
    get_tags(&ctx->flow, &received);
    tags = received;
    if (vlan_count(&ctx->flow)) {
        WILD(ctx, vlan1_tci, be16(VLAN_VID_MASK | VLAN_CFI));
        if (!received.v[0].vid) {
            /* A tag for the priority alone may stay, go or be made anew. */
            WILD_ALL(ctx, vlan0_tpid);
            WILD_ALL(ctx, vlan0_tci);
        }
    }
    if (in) {
        if (!check_input_vlan(ctx, in, &received)) {
            trace_note(ctx, SLUICE_TRACE_NOTE_VLAN_NOT_CARRIED, 0, 0, 0);
            ctx->drop_reason = SLUICE_DROP_REASON_VLAN;
            return;
        }
        translate_input(in, &received, &tags);
    }
    if (mac_is_reserved(mac_number(ctx->flow.eth_dst)) && in && !(ctx->view->flags & SLUICE_BRIDGE_FLAG_FORWARD_BPDU)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_RESERVED_DESTINATION, 0, 0, 0);
        ctx->drop_reason = SLUICE_DROP_REASON_RESERVED_DESTINATION;
        return;
    }
    if (in) {
        if (!is_admitted(ctx, in, tags.v[0].vid)) {
            return;
        }
        learn_source(ctx, in, tags.v[0].vid);
    }
    if (!mcast_forward(ctx, in, &tags)) {
        forward(ctx, in, &tags);
    }
}
