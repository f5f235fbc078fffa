/* Bonds: which member of a bundle a packet leaves by, and whether the one that it came in by lets it in.  Who is enabled
 * and active is decided elsewhere, by state machines; here that is only carried out. */
#include "pipeline/bond.h"

#include <string.h>

#include "packet/flow_hash.h"
#include "packet/hash.h"
#include "pipeline/field_hash.h"
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

static const struct ofport *
member_of_hash(const struct xlate_ctx *ctx, const struct bundle *bundle, uint32_t hash)
{
    if (!bundle->n_buckets) {
        return NULL;
    }
    const uint32_t *buckets = bundle->members + bundle->n_members + bundle->n_enabled;
    return bridge_view_find_port(ctx->view, buckets[hash % bundle->n_buckets]);
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
        field_hash_unwildcard(&ctx->flow, ctx->wild, HASH_SYMMETRIC_L3L4_UDP);
        return member_of_hash(ctx, bundle,
                              hash_two_words(bundle->hash_basis, flow_hash(&ctx->flow, HASH_SYMMETRIC_L3L4_UDP, 0)));
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
