/* Mirrors: copies of what comes in or goes out by some bundles, for a bundle or a VLAN of their own. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "pipeline/xlate_ctx.h"

void
mirror_unref(struct mirror *mirror)
{
    if (mirror && !--mirror->refs) {
        port_counters_unref(mirror->counters);
        free(mirror);
    }
}

struct mirror *
mirror_create(const struct sluice_mirror_set *command, const struct mirror *old)
{
    uint32_t n = command->n_sources + command->n_destinations;
    struct mirror *mirror = calloc(1, sizeof *mirror + n * sizeof mirror->bundles[0]);
    struct port_counters *counters = old ? old->counters : calloc(1, sizeof *counters);
    if (!mirror || !counters) {
        free(mirror);
        return NULL;
    }
    if (old) {
        port_counters_ref(counters);
    } else {
        atomic_init(&counters->refs, 1);
    }
    mirror->refs = 1;
    mirror->out_bundle = command->out_bundle;
    mirror->out_vlan = command->out_vlan;
    mirror->snaplen = command->snaplen;
    mirror->selects_all = command->mirror_flags & SLUICE_MIRROR_FLAG_SELECT_ALL;
    mirror->counters = counters;
    memcpy(mirror->vlans, command->vlans, sizeof mirror->vlans);
    for (uint32_t i = 0; i < 64; i++) {
        mirror->has_vlans |= mirror->vlans[i] != 0;
    }
    mirror->n_sources = command->n_sources;
    mirror->n_destinations = command->n_destinations;
    const uint32_t *sources = (const uint32_t *) (command + 1);
    memcpy(mirror->bundles, sources, command->n_sources * sizeof sources[0]);
    memcpy(mirror->bundles + command->n_sources, sources + (command->n_sources + 1) / 2 * 2,
           command->n_destinations * sizeof sources[0]);
    return mirror;
}

void
bridge_view_put_mirror(struct bridge_view *view, uint32_t i, struct mirror *mirror)
{
    mirror_unref(view->mirrors[i]);
    view->mirrors[i] = mirror;
    view->mirror_map &= ~(UINT32_C(1) << i);
    view->mirror_map |= (uint32_t) (mirror != NULL) << i;
}

static bool
has(const uint32_t *bundles, uint32_t n, uint32_t id)
{
    for (uint32_t i = 0; i < n; i++) {
        if (bundles[i] == id) {
            return true;
        }
    }
    return false;
}

/* Whether the mirror selects what comes in ('in') or goes out by 'bundle'. */
static bool
selects(const struct mirror *mirror, const struct bundle *bundle, bool in)
{
    return mirror->selects_all
           || (in ? has(mirror->bundles, mirror->n_sources, bundle->id)
                  : has(mirror->bundles + mirror->n_sources, mirror->n_destinations, bundle->id));
}

bool
mirror_owns_bundle(const struct bridge_view *view, const struct bundle *bundle)
{
    for (uint32_t map = view->mirror_map; map; map &= map - 1) {
        if (view->mirrors[__builtin_ctz(map)]->out_bundle == bundle->id) {
            return true;
        }
    }
    return false;
}

/* The mirrors with the same output as mirror 'i', itself among them: a packet goes there once. */
static uint32_t
same_output(const struct bridge_view *view, uint32_t i)
{
    const struct mirror *mirror = view->mirrors[i];
    uint32_t same = 0;
    for (uint32_t map = view->mirror_map; map; map &= map - 1) {
        const struct mirror *other = view->mirrors[__builtin_ctz(map)];
        if (other->out_bundle == mirror->out_bundle && other->out_vlan == mirror->out_vlan) {
            same |= map & -map;
        }
    }
    return same;
}

static void
credit_mirror(struct xlate_ctx *ctx, const struct mirror *mirror)
{
    struct xlate_credit *credit = xlate_add_credit(ctx);
    if (credit) {
        credit->kind = XLATE_CREDIT_PORT_TX;
        credit->port = mirror->counters;
        port_counters_ref(mirror->counters);
    }
}

static void
copy(struct xlate_ctx *ctx, const struct mirror *mirror, const struct normal_tags *tags)
{
    ctx->mirror_snaplen = mirror->snaplen;
    if (mirror->out_bundle) {
        const struct bundle *out = bridge_view_find_bundle(ctx->view, mirror->out_bundle);
        if (out) {
            normal_output_bundle(ctx, out, tags);
        }
    } else {
        normal_output_vlan(ctx, mirror->out_vlan, tags);
    }
    ctx->mirror_snaplen = 0;
}

void
mirror_packet(struct xlate_ctx *ctx, uint32_t ofp_port, bool in)
{
    const struct bridge_view *view = ctx->view;
    uint32_t map = view->mirror_map & ~ctx->mirrors;
    const struct bundle *bundle = map ? bridge_view_bundle_of_port(view, ofp_port) : NULL;
    struct normal_tags tags;
    if (!bundle || !normal_input_tags(ctx, bundle, &tags)) {
        return;
    }
    for (; map; map &= map - 1, map &= ~ctx->mirrors) {
        uint32_t i = (uint32_t) __builtin_ctz(map);
        const struct mirror *mirror = view->mirrors[i];
        if (!selects(mirror, bundle, in)) {
            continue;
        }
        if (mirror->has_vlans) {
            WILD(ctx, vlan0_tci, be16(VLAN_VID_MASK | VLAN_CFI));
            if (!vlan_map_has(mirror->vlans, tags.v[0].vid)) {
                continue;
            }
        }
        /* Before the copy is made: what that leads to must not be mirrored there again. */
        ctx->mirrors |= same_output(view, i);
        credit_mirror(ctx, mirror);
        copy(ctx, mirror, &tags);
    }
}
