/* Bonds: which member of a bundle a packet leaves by, and whether the one that it came in by lets it in.  Who is enabled
 * and active is decided elsewhere, by state machines; here that is only carried out. */
#include "pipeline/bond.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/flow_hash.h"
#include "packet/hash.h"
#include "packet/match.h"
#include "pipeline/field_hash.h"
#include "pipeline/frozen.h"
#include "pipeline/mac_table.h"
#include "pipeline/xlate_ctx.h"

static const struct ofport *
first_member(const struct xlate_ctx *ctx, const struct bundle *bundle)
{
    for (uint32_t i = 0; i < bundle->n_members; i++) {
        const struct ofport *port = bridge_view_find_port(ctx->view, bundle->members[i]);
        if (port) {
            return port;
        }
    }
    return NULL;
}

/* The table of the switch's own rules, where a packet is said to go on that comes back to a bond. */
#define TABLE_INTERNAL 254u

void
bond_load_unref(struct bond_load *load)
{
    if (load && atomic_fetch_sub_explicit(&load->refs, 1, memory_order_acq_rel) == 1) {
        frozen_unref(load->frozen, false);
        free(load);
    }
}

void
bond_load_credit(struct bond_load *load, uint32_t bucket, uint64_t n_packets, uint64_t n_bytes)
{
    atomic_fetch_add_explicit(&load->buckets[bucket].n_packets, n_packets, memory_order_relaxed);
    atomic_fetch_add_explicit(&load->buckets[bucket].n_bytes, n_bytes, memory_order_relaxed);
}

int
bond_take_load(struct pipeline *pipeline, uint32_t bridge, struct bundle *bundle, const struct bundle *old)
{
    if (!(bundle->flags & SLUICE_BUNDLE_FLAG_BALANCED)) {
        return 0;
    }
    if (old && old->load) {
        atomic_fetch_add_explicit(&old->load->refs, 1, memory_order_relaxed);
        bundle->load = old->load;
        return 0;
    }
    struct {
        struct sluice_continuation fixed;
        struct match match; /* Of nothing. */
    } content = {
        .fixed = {
            .bridge = bridge,
            .in_port = bundle->id,
            .is_bond = 1,
            .table = TABLE_INTERNAL,
            .match_size = sizeof(struct match),
        },
    };
    struct bond_load *load = calloc(1, sizeof *load);
    if (!load) {
        return ENOMEM;
    }
    atomic_init(&load->refs, 1);
    load->frozen = frozen_acquire(pipeline->frozen, &content.fixed, sizeof content);
    if (!load->frozen) {
        free(load);
        return ENOMEM;
    }
    bundle->load = load;
    return 0;
}

/* The member that has a bucket; null if none has. */
static const struct ofport *
bucket_member(const struct bridge_view *view, const struct bundle *bundle, uint32_t bucket)
{
    return bundle && bundle->n_buckets
               ? bridge_view_find_port(view, bundle->members[bundle->n_members + bundle->n_enabled + bucket])
               : NULL;
}

/* Whether the datapath can send to the port as the packet is: no headers, and no other bridge, come between. */
static bool
is_device(const struct ofport *port)
{
    return port->dp_port && !port->is_tunnel && port->packet_type_mode != SLUICE_PACKET_TYPE_MODE_LEGACY_L3;
}

static void
credit_bucket(struct xlate_ctx *ctx, const struct bundle *bundle, uint32_t bucket)
{
    struct xlate_credit *credit = bundle->load ? xlate_add_credit(ctx) : NULL;
    if (credit) {
        credit->kind = XLATE_CREDIT_BOND;
        credit->bundle = bucket;
        credit->load = bundle->load;
        atomic_fetch_add_explicit(&bundle->load->refs, 1, memory_order_relaxed);
    }
}

static const struct ofport *
member_of_hash(struct xlate_ctx *ctx, const struct bundle *bundle, uint32_t hash)
{
    const struct ofport *port = bucket_member(ctx->view, bundle, hash % BOND_BUCKETS);
    if (port && !ctx->spread) {
        credit_bucket(ctx, bundle, hash % BOND_BUCKETS);
    }
    return port;
}

/* By addresses and L4 ports.  To read them here would cost a megaflow for every connection, so the datapath does, if it
 * sees the packet as it is sent: what is cut off for a mirror is not, nor what goes into a tunnel or another bridge. */
static const struct ofport *
member_of_l4(struct xlate_ctx *ctx, const struct bundle *bundle)
{
    uint32_t hash = hash_two_words(bundle->hash_basis, flow_hash(&ctx->flow, HASH_SYMMETRIC_L3L4_UDP, 0));
    const struct ofport *port = bucket_member(ctx->view, bundle, hash % BOND_BUCKETS);
    if (bundle->load && !ctx->mirror_snaplen && port && is_device(port)) {
        ctx->spread = bundle;
    } else {
        field_hash_unwildcard(&ctx->flow, ctx->wild, HASH_SYMMETRIC_L3L4_UDP);
    }
    return member_of_hash(ctx, bundle, hash);
}

void
bond_spread(struct xlate_ctx *ctx, const struct bundle *bundle)
{
    struct sluice_dp_action_hash *hash = commit_append(ctx, SLUICE_DP_ACTION_HASH, sizeof *hash);
    if (!hash) {
        return;
    }
    hash->algorithm = SLUICE_HASH_ALGORITHM_L4;
    hash->basis = bundle->hash_basis;
    hash->vlan_limit = pipeline_vlan_limit(ctx->pipeline);
    if (bundle->flags & SLUICE_BUNDLE_FLAG_LB_OUTPUT) {
        struct sluice_dp_action_lb_output *lb = commit_append(ctx, SLUICE_DP_ACTION_LB_OUTPUT, sizeof *lb);
        if (lb) {
            lb->bridge = ctx->view->bridge->id;
            lb->bundle = bundle->id;
            lb->bond_id = bundle->load->frozen->id;
        }
        return;
    }
    struct xlate_credit *credit = xlate_add_credit(ctx);
    struct sluice_dp_action_recirc *recirc = commit_append(ctx, SLUICE_DP_ACTION_RECIRC, sizeof *recirc);
    if (credit && recirc) {
        /* The id stays while the megaflow does, though the bond may be gone. */
        credit->kind = XLATE_CREDIT_FROZEN;
        credit->frozen = bundle->load->frozen;
        frozen_ref(credit->frozen);
        recirc->recirc_id = credit->frozen->id;
    }
}

void
bond_output_hashed(struct xlate_ctx *ctx, uint32_t id)
{
    const struct bundle *bundle = bridge_view_find_bundle(ctx->view, id);
    uint32_t bucket = be32(ctx->in->key->dp_hash) % BOND_BUCKETS;
    WILD(ctx, dp_hash, be32(BOND_BUCKETS - 1));
    const struct ofport *port = bucket_member(ctx->view, bundle, bucket);
    if (!port) {
        ctx->drop_reason = SLUICE_DROP_REASON_BOND;
        return;
    }
    credit_bucket(ctx, bundle, bucket);
    ctx->mirrors = UINT32_MAX; /* Copies were made when it was sent here. */
    output_real(ctx, port->ofp_port);
}

void
pipeline_spread(const struct pipeline *pipeline, uint32_t bridge, uint32_t bundle_id,
                const struct pipeline_hashed *packets, uint32_t n, uint32_t *dp_ports)
{
    const struct config *config = atomic_load_explicit(&pipeline->config, memory_order_acquire);
    const struct bridge_view *view = topology_find(config->topology, bridge);
    const struct bundle *bundle = view ? bridge_view_find_bundle(view, bundle_id) : NULL;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bucket = packets[i].hash % BOND_BUCKETS;
        const struct ofport *port = view ? bucket_member(view, bundle, bucket) : NULL;
        port = port && is_device(port) ? port : NULL;
        dp_ports[i] = port ? port->dp_port : 0;
        if (port && bundle->load) {
            bond_load_credit(bundle->load, bucket, 1, packets[i].size);
        }
    }
}

int
bond_stats(const struct pipeline *pipeline, const struct sluice_bond_query *query, uint8_t *reply, size_t room,
           size_t *used)
{
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    const struct bundle *bundle = view ? bridge_view_find_bundle(view, query->bundle) : NULL;
    if (!bundle || !bundle->load) {
        return ENOENT;
    }
    struct {
        struct sluice_bond_info info;
        struct sluice_bond_bucket buckets[BOND_BUCKETS];
    } answer = { .info.recirc_id = bundle->load->frozen->id };
    for (uint32_t i = 0; i < BOND_BUCKETS; i++) {
        answer.buckets[i] = (struct sluice_bond_bucket){
            .n_packets = atomic_load_explicit(&bundle->load->buckets[i].n_packets, memory_order_relaxed),
            .n_bytes = atomic_load_explicit(&bundle->load->buckets[i].n_bytes, memory_order_relaxed),
        };
    }
    if (room < sizeof answer) {
        return ENOSPC;
    }
    memcpy(reply, &answer, sizeof answer);
    *used = sizeof answer;
    return 0;
}

const struct ofport *
bond_choose_member(struct xlate_ctx *ctx, const struct bundle *bundle, uint16_t vlan)
{
    switch (bundle->bond_output) {
    case SLUICE_BOND_OUTPUT_FIRST:
        return first_member(ctx, bundle);
    case SLUICE_BOND_OUTPUT_ACTIVE:
        return bridge_view_find_port(ctx->view, bundle->active_member);
    case SLUICE_BOND_OUTPUT_HASH_MAC:
        WILD_ALL(ctx, eth_src);
        return member_of_hash(ctx, bundle, hash_mac(ctx->flow.eth_src, vlan, bundle->hash_basis));
    case SLUICE_BOND_OUTPUT_HASH_L4:
        return member_of_l4(ctx, bundle);
    default:
        return NULL;
    }
}

static bool
is_enabled(const struct bundle *bundle, uint32_t ofp_port)
{
    for (uint32_t i = 0; i < bundle->n_enabled; i++) {
        if (bundle->members[bundle->n_members + i] == ofp_port) {
            return true;
        }
    }
    return false;
}

enum bond_verdict
bond_admit(const struct bundle *bundle, uint32_t ofp_port, bool multicast)
{
    bool refused =
        multicast && ofp_port != bundle->active_member && !(bundle->flags & SLUICE_BUNDLE_FLAG_ALL_MEMBERS_ACTIVE);
    switch (bundle->bond_input) {
    case SLUICE_BOND_INPUT_ALL:
        return BOND_ADMIT;
    case SLUICE_BOND_INPUT_ENABLED:
        return is_enabled(bundle, ofp_port) ? BOND_ADMIT : BOND_REFUSE;
    case SLUICE_BOND_INPUT_ACTIVE:
        return ofp_port == bundle->active_member ? BOND_ADMIT : BOND_REFUSE;
    case SLUICE_BOND_INPUT_UNMOVED:
        return refused ? BOND_REFUSE : BOND_REFUSE_IF_MOVED;
    default:
        return BOND_REFUSE;
    }
}
