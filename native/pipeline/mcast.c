/* Multicast in NORMAL, when the bridge snoops: what IGMP and MLD say is learned, and decides where packets go. */
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/packet.h"
#include "pipeline/mcast_table.h"
#include "pipeline/xlate_ctx.h"

#define IGMP_QUERY 0x11u
#define IGMP_REPORT_V1 0x12u
#define IGMP_REPORT_V2 0x16u
#define IGMP_LEAVE 0x17u
#define IGMP_REPORT_V3 0x22u
#define MLD_QUERY 130u
#define MLD_REPORT 131u
#define MLD_DONE 132u
#define MLD_REPORT_V2 143u

/* Records of the reports of IGMPv3 and MLDv2: RFC 3376, 4.2.4; RFC 3810, 5.2. */
#define RECORD_IS_INCLUDE 1u
#define RECORD_TO_INCLUDE 3u
#define RECORD_TYPE_MAX 6u
#define REPORT_HEADER_SIZE 8u
#define RECORD_HEADER_SIZE 4u

#define DUMP_CHUNK 16u

static void
map_ipv4(uint8_t group[16], const uint8_t address[4])
{
    static const uint8_t prefix[12] = { [10] = 0xff, [11] = 0xff };
    memcpy(group, prefix, sizeof prefix);
    memcpy(group + sizeof prefix, address, 4);
}

static uint64_t
group_number(const uint8_t group[16])
{
    uint64_t words[2];
    memcpy(words, group, sizeof words);
    return words[0] ^ words[1] * UINT64_C(0x9e3779b97f4a7c15);
}

uint32_t
mcast_cell(uint32_t bridge, uint16_t vlan, const uint8_t *group)
{
    uint64_t number = group ? group_number(group) : 0;
    return pipeline_cell(group ? CELL_MCAST_GROUP : CELL_MCAST_ROUTERS, bridge, number ^ (uint64_t) vlan << 48);
}

/* Who reported what, and where. */
struct report {
    struct xlate_ctx *ctx;
    const struct bundle *in;
    uint16_t vlan;
};

static bool
join(const struct report *report, const uint8_t group[16])
{
    struct mcast_table *table = report->ctx->view->bridge->mcast;
    return mcast_table_join(table, report->vlan, group, report->in->id, report->ctx->in->now_ms);
}

/* Behind a bundle that reports are sent to there is a switch with hosts of its own: one that leaves is not the last. */
static bool
leave(const struct report *report, const uint8_t group[16])
{
    struct mcast_table *table = report->ctx->view->bridge->mcast;
    return !(report->in->flags & SLUICE_BUNDLE_FLAG_MCAST_FLOOD_REPORTS)
           && mcast_table_leave(table, report->vlan, group, report->in->id, report->ctx->in->now_ms);
}

/* Learns what the records of a report of IGMPv3 or MLDv2 say, whose addresses have 'address_size' bytes.  Returns how many
 * said something new.  As in Open vSwitch auxiliary data, which nobody sends, counts in bytes, and IGMP's records are
 * read no further than one of an unknown type. */
static uint32_t
learn_records(const struct report *report, const uint8_t *l4, uint32_t size, uint32_t address_size)
{
    uint32_t n_news = 0;
    uint32_t at = REPORT_HEADER_SIZE;
    for (uint32_t n = get_be16(l4 + 6); n && at + RECORD_HEADER_SIZE + address_size <= size; n--) {
        const uint8_t *record = l4 + at;
        uint32_t n_sources = get_be16(record + 2);
        uint8_t group[16];
        if (address_size == 4) {
            map_ipv4(group, record + RECORD_HEADER_SIZE);
        } else {
            memcpy(group, record + RECORD_HEADER_SIZE, sizeof group);
        }
        at += RECORD_HEADER_SIZE + address_size + n_sources * address_size + record[1];
        if (!record[0] || record[0] > RECORD_TYPE_MAX) {
            if (address_size == 4) {
                break;
            }
        } else if (!n_sources && (record[0] == RECORD_IS_INCLUDE || record[0] == RECORD_TO_INCLUDE)) {
            n_news += leave(report, group);
        } else {
            n_news += join(report, group);
        }
    }
    return n_news;
}

/* Tells the log of what was learned. */
static void
told(const struct report *report, uint16_t note, uint64_t a)
{
    trace_note(report->ctx, note, a, be32(report->ctx->flow.in_port), report->vlan);
}

static bool
is_igmp_report(const struct flow_key *flow)
{
    switch (be16(flow->tp_src)) {
    case IGMP_REPORT_V1:
    case IGMP_REPORT_V2:
    case IGMP_REPORT_V3:
    case IGMP_LEAVE:
        return true;
    default:
        return false;
    }
}

static void
learn_igmp(const struct report *report, const uint8_t *l4, uint32_t size)
{
    struct xlate_ctx *ctx = report->ctx;
    struct flow_key *flow = &ctx->flow;
    uint32_t n;
    uint8_t group[16];
    map_ipv4(group, (const uint8_t *) &flow->igmp_group);
    switch (be16(flow->tp_src)) {
    case IGMP_REPORT_V1:
    case IGMP_REPORT_V2:
        if (join(report, group)) {
            told(report, SLUICE_TRACE_NOTE_MCAST_LEARNED, be32(flow->igmp_group));
        }
        break;
    case IGMP_LEAVE:
        if (leave(report, group)) {
            told(report, SLUICE_TRACE_NOTE_MCAST_LEFT, be32(flow->igmp_group));
        }
        break;
    case IGMP_REPORT_V3:
        n = learn_records(report, l4, size, 4);
        if (n) {
            told(report, SLUICE_TRACE_NOTE_MCAST_PROCESSED, n);
        }
        break;
    case IGMP_QUERY:
        if (flow->ip_src
            && mcast_table_add_router(ctx->view->bridge->mcast, report->vlan, report->in->id, ctx->in->now_ms)) {
            told(report, SLUICE_TRACE_NOTE_MCAST_QUERY, be32(flow->ip_src));
        }
        break;
    default:
        break;
    }
}

static void
learn_mld(const struct report *report, const uint8_t *l4, uint32_t size)
{
    static const uint8_t unspecified[16];
    struct xlate_ctx *ctx = report->ctx;
    uint32_t n = 0;
    switch (be16(ctx->flow.tp_src)) {
    case MLD_QUERY:
        if (memcmp(&ctx->flow.ipv6_src, unspecified, sizeof unspecified)
            && mcast_table_add_router(ctx->view->bridge->mcast, report->vlan, report->in->id, ctx->in->now_ms)) {
            told(report, SLUICE_TRACE_NOTE_MCAST_MLD_QUERY, 0);
        }
        break;
    case MLD_REPORT:
        n = size >= REPORT_HEADER_SIZE + 16 && join(report, l4 + REPORT_HEADER_SIZE);
        break;
    case MLD_DONE:
        n = size >= REPORT_HEADER_SIZE + 16 && leave(report, l4 + REPORT_HEADER_SIZE);
        break;
    default:
        n = learn_records(report, l4, size, 16);
        break;
    }
    if (n) {
        told(report, SLUICE_TRACE_NOTE_MCAST_PROCESSED, n);
    }
}

/* Learns what a packet of IGMP or MLD says.  A packet that a controller sends says nothing, nor one that comes from where
 * all multicast is flooded to. */
static void
learn(struct xlate_ctx *ctx, const struct bundle *in, uint16_t vlan)
{
    const struct packet *packet = ctx->in->packet;
    if (!in || !packet || !ctx->in->learn || ctx->in->draft || in->flags & SLUICE_BUNDLE_FLAG_MCAST_FLOOD) {
        return;
    }
    const struct report report = { .ctx = ctx, .in = in, .vlan = vlan };
    bool is_igmp = packet->l4_type == PACKET_L4_IGMP;
    if ((!is_igmp && packet->l4_type != PACKET_L4_ICMPV6) || packet->l4_size < REPORT_HEADER_SIZE || ctx->flow.ip_frag
        || packet->l4_ofs + packet->l4_size > packet->size || !packet_l4_checksum_ok(packet)) {
        told(&report, is_igmp ? SLUICE_TRACE_NOTE_MCAST_BAD_IGMP : SLUICE_TRACE_NOTE_MCAST_BAD_MLD, 0);
    } else {
        (is_igmp ? learn_igmp : learn_mld)(&report, packet->data + packet->l4_ofs, packet->l4_size);
    }
}

/* Outputs to a bundle that something is known of, as 'notes' tell: forwarding, unknown, input port. */
static void
output(struct xlate_ctx *ctx, uint32_t id, const struct bundle *in, const struct normal_tags *tags,
       const uint16_t notes[3])
{
    const struct bundle *bundle = bridge_view_find_bundle(ctx->view, id);
    trace_note(ctx, !bundle ? notes[1] : bundle == in ? notes[2] : notes[0], 0, 0, 0);
    if (bundle && bundle != in) {
        normal_output_bundle(ctx, bundle, tags);
    }
}

static const uint16_t router_notes[3] = { SLUICE_TRACE_NOTE_MCAST_ROUTER, SLUICE_TRACE_NOTE_MCAST_ROUTER_UNKNOWN,
                                          SLUICE_TRACE_NOTE_MCAST_ROUTER_INPUT };

/* Likewise to the routers on all VLANs, of which a trace tells. */
static void
trace_routers(struct xlate_ctx *ctx, const struct bundle *in, const struct normal_tags *tags)
{
    struct mcast_entry_info entries[DUMP_CHUNK];
    uint64_t from = 0;
    do {
        uint32_t n =
            mcast_table_dump_routers(ctx->view->bridge->mcast, ctx->in->now_ms, from, entries, DUMP_CHUNK, &from);
        for (uint32_t i = 0; i < n && !ctx->error; i++) {
            if (entries[i].vlan == tags->v[0].vid || !bridge_view_find_bundle(ctx->view, entries[i].bundle)) {
                output(ctx, entries[i].bundle, in, tags, router_notes);
            } else {
                trace_note(ctx, SLUICE_TRACE_NOTE_MCAST_ROUTER_ELSEWHERE, 0, 0, 0);
            }
        }
    } while (from && !ctx->error);
}

static void
to_routers(struct xlate_ctx *ctx, const struct bundle *in, const struct normal_tags *tags)
{
    const struct bridge *bridge = ctx->view->bridge;
    uint16_t vlan = tags->v[0].vid;
    xlate_stamp(ctx, PIPELINE_CELL_ADDRESS | mcast_cell(bridge->id, vlan, NULL));
    if (ctx->in->trace) {
        trace_routers(ctx, in, tags);
        return;
    }
    const struct mcast_bundles *routers = mcast_table_routers(bridge->mcast, vlan);
    for (uint32_t i = 0; routers && i < routers->n && !ctx->error; i++) {
        output(ctx, routers->bundles[i], in, tags, router_notes);
    }
}

/* To the bundles that have 'flag', whatever VLANs they carry: so does Open vSwitch. */
static void
to_flagged(struct xlate_ctx *ctx, uint16_t flag, const struct bundle *in, const struct normal_tags *tags)
{
    static const uint16_t flood[3] = { SLUICE_TRACE_NOTE_MCAST_FLOOD, 0, SLUICE_TRACE_NOTE_MCAST_FLOOD_INPUT };
    static const uint16_t reports[3] = { SLUICE_TRACE_NOTE_MCAST_REPORT, 0, SLUICE_TRACE_NOTE_MCAST_REPORT_INPUT };
    for (uint32_t i = 0; i < ctx->view->n_bundles && !ctx->error; i++) {
        const struct bundle *bundle = ctx->view->bundles[i];
        if (bundle->flags & flag) {
            output(ctx, bundle->id, in, tags, flag == SLUICE_BUNDLE_FLAG_MCAST_FLOOD ? flood : reports);
        }
    }
}

/* Reports go to routers alone, lest other hosts keep silent (RFC 4541, 2.1.1); anything else of IGMP or MLD is for all. */
static void
forward_control(struct xlate_ctx *ctx, const struct bundle *in, const struct normal_tags *tags, bool is_report,
                uint16_t flood_note)
{
    if (is_report) {
        to_routers(ctx, in, tags);
        to_flagged(ctx, SLUICE_BUNDLE_FLAG_MCAST_FLOOD_REPORTS, in, tags);
    } else {
        trace_note(ctx, flood_note, 0, 0, 0);
        normal_flood(ctx, in, tags);
    }
}

/* Whether the destination is one that every host has joined, and does not report: 224.0.0.x, ff02::1. */
static bool
is_for_all(struct xlate_ctx *ctx)
{
    static const uint8_t all_hosts[16] = { 0xff, 0x02, [15] = 1 };
    if (ctx->flow.eth_type == be16(ETH_TYPE_IPV4)) {
        WILD_ALL(ctx, ip_dst);
        return be32(ctx->flow.ip_dst) >> 8 == 0xe00000;
    }
    WILD_ALL(ctx, ipv6_dst);
    return !memcmp(&ctx->flow.ipv6_dst, all_hosts, sizeof all_hosts);
}

static void
forward_data(struct xlate_ctx *ctx, const struct bundle *in, const struct normal_tags *tags)
{
    static const uint16_t notes[3] = { SLUICE_TRACE_NOTE_MCAST_GROUP, SLUICE_TRACE_NOTE_MCAST_GROUP_UNKNOWN,
                                       SLUICE_TRACE_NOTE_MCAST_GROUP_INPUT };
    const struct bridge *bridge = ctx->view->bridge;
    uint16_t vlan = tags->v[0].vid;
    uint8_t group[16];
    if (ctx->flow.eth_type == be16(ETH_TYPE_IPV4)) {
        map_ipv4(group, (const uint8_t *) &ctx->flow.ip_dst);
    } else {
        memcpy(group, &ctx->flow.ipv6_dst, sizeof group);
    }
    xlate_stamp(ctx, PIPELINE_CELL_ADDRESS | mcast_cell(bridge->id, vlan, group));
    const struct mcast_bundles *members = mcast_table_group(bridge->mcast, vlan, group);
    if (members) {
        for (uint32_t i = 0; i < members->n && !ctx->error; i++) {
            output(ctx, members->bundles[i], in, tags, notes);
        }
        to_flagged(ctx, SLUICE_BUNDLE_FLAG_MCAST_FLOOD, in, tags);
        to_routers(ctx, in, tags);
    } else if (ctx->view->flags & SLUICE_BRIDGE_FLAG_MCAST_NO_UNREGISTERED) {
        to_routers(ctx, in, tags);
        to_flagged(ctx, SLUICE_BUNDLE_FLAG_MCAST_FLOOD, in, tags);
    } else {
        trace_note(ctx, SLUICE_TRACE_NOTE_MCAST_UNREGISTERED, 0, 0, 0);
        normal_flood(ctx, in, tags);
    }
}

/* Whether the packet is one of MLD. */
static bool
is_mld(struct xlate_ctx *ctx)
{
    if (ctx->flow.eth_type != be16(ETH_TYPE_IPV6)) {
        return false;
    }
    WILD_ALL(ctx, ip_proto);
    if (ctx->flow.ip_proto != PROTO_ICMPV6) {
        return false;
    }
    WILD_ALL(ctx, tp_src);
    uint16_t type = be16(ctx->flow.tp_src);
    return type == MLD_QUERY || type == MLD_REPORT || type == MLD_DONE || type == MLD_REPORT_V2;
}

bool
mcast_forward(struct xlate_ctx *ctx, const struct bundle *in, const struct normal_tags *tags)
{
    static const uint8_t broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
    const struct flow_key *flow = &ctx->flow;
    if (!(ctx->view->flags & SLUICE_BRIDGE_FLAG_MCAST_SNOOPING) || !(flow->eth_dst[0] & 1)
        || !memcmp(flow->eth_dst, broadcast, sizeof broadcast) || !key_is_ip(flow)) {
        return false;
    }
    bool is_igmp = false;
    if (flow->eth_type == be16(ETH_TYPE_IPV4)) {
        WILD_ALL(ctx, ip_proto);
        is_igmp = flow->ip_proto == PROTO_IGMP;
    }
    if (is_igmp || is_mld(ctx)) {
        /* Each is looked at: a report that changes nothing still keeps the group from ageing. */
        ctx->uncacheable = true;
        ctx->out->slow |= SLUICE_SLOW_REASON_ACTION;
        if (!is_igmp || is_igmp_report(flow) || be16(flow->tp_src) == IGMP_QUERY) {
            learn(ctx, in, tags->v[0].vid);
        }
        bool is_report = is_igmp ? is_igmp_report(flow) : be16(flow->tp_src) != MLD_QUERY;
        forward_control(ctx, in, tags, is_report, is_igmp ? SLUICE_TRACE_NOTE_MCAST_IGMP : SLUICE_TRACE_NOTE_MCAST_MLD);
    } else if (is_for_all(ctx)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_MCAST_LOCAL, 0, 0, 0);
        normal_flood(ctx, in, tags);
    } else {
        forward_data(ctx, in, tags);
    }
    return true;
}
