/* Executing groups. */
#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/hash.h"
#include "pipeline/field.h"
#include "pipeline/field_hash.h"
#include "pipeline/ofgroup.h"
#include "pipeline/xlate_ctx.h"

/* Groups that watch groups at most. */
#define LIVENESS_DEPTH_MAX 128u

static const struct ofgroup *
find(struct xlate_ctx *ctx, uint32_t id)
{
    xlate_stamp(ctx, pipeline_cell(CELL_GROUP, ctx->view->bridge->id, id));
    return ofgroup_find(ctx->view->bridge, id, ctx->config->version);
}

static uint32_t first_live(struct xlate_ctx *ctx, const struct ofgroup *group, uint32_t depth);

static bool
group_is_live(struct xlate_ctx *ctx, uint32_t id, uint32_t depth)
{
    const struct ofgroup *group = find(ctx, id);

    return group != NULL && first_live(ctx, group, depth) < group->n_buckets;
}

static bool
bucket_is_live(struct xlate_ctx *ctx, const struct ofgroup *group, const struct ofbucket *bucket, uint32_t depth)
{
    if (depth >= LIVENESS_DEPTH_MAX) {
        trace_note(ctx, SLUICE_TRACE_NOTE_LIVENESS_TOO_DEEP, LIVENESS_DEPTH_MAX, 0, 0);
        return false;
    }
    if (group->type == SLUICE_GROUP_TYPE_SELECT && bucket->weight == 0) {
        return false;
    }
    if (bucket->watch_port == PORT_NONE && bucket->watch_group == UINT32_MAX) {
        return true;
    }
    if (bucket->watch_port == PORT_CONTROLLER && ctx->view->flags & SLUICE_BRIDGE_FLAG_CONTROLLED) {
        return true;
    }
    if (bucket->watch_port != PORT_NONE) {
        const struct ofport *port = bridge_view_find_port(ctx->view, bucket->watch_port);
        if (port != NULL && ofport_is_live(port)) {
            return true;
        }
    }
    return bucket->watch_group != UINT32_MAX && group_is_live(ctx, bucket->watch_group, depth + 1);
}

/* The position of the first live bucket; the number of buckets if there is none. */
static uint32_t
first_live(struct xlate_ctx *ctx, const struct ofgroup *group, uint32_t depth)
{
    uint32_t i = 0;

    while (i < group->n_buckets && !bucket_is_live(ctx, group, &group->buckets[i], depth)) {
        trace_note(ctx, SLUICE_TRACE_NOTE_BUCKET_NOT_LIVE, group->buckets[i].id, group->buckets[i].watch_port,
                   group->buckets[i].watch_group);
        i++;
    }
    return i;
}

/* The live bucket with the best score: each gets its own hash of 'basis', times its weight.  A bucket that comes or goes
 * moves only the packets that it gets or had. */
static uint32_t
best_live(struct xlate_ctx *ctx, const struct ofgroup *group, uint32_t basis)
{
    uint32_t best = group->n_buckets;
    uint32_t best_score = 0;

    for (uint32_t i = 0; i < group->n_buckets; i++) {
        const struct ofbucket *bucket = &group->buckets[i];
        if (!bucket_is_live(ctx, group, bucket, 0)) {
            trace_note(ctx, SLUICE_TRACE_NOTE_BUCKET_NOT_LIVE, bucket->id, bucket->watch_port, bucket->watch_group);
            continue;
        }
        uint32_t score = (hash_two_words(bucket->id, basis) & 0xffff) * bucket->weight;
        if (score >= best_score) {
            best = i;
            best_score = score;
        }
        trace_note(ctx, SLUICE_TRACE_NOTE_BUCKET_SCORE, bucket->id, score, 0);
    }
    return best;
}

static uint32_t
pick_by_fields(struct xlate_ctx *ctx, const struct ofgroup *group)
{
    uint32_t hash = hash_number(group->param);

    for (uint32_t i = 0; i < group->n_fields; i++) {
        const struct sluice_selection_field *f = &group->fields[i];
        if (!field_is_plain(f->field) || !field_is_present(&ctx->flow, ctx->wild, f->field)) {
            continue;
        }
        uint8_t bytes[sizeof f->mask];
        field_value mask = field_value_load(f->mask, f->value_size);
        field_value_store(bytes, f->value_size, field_get(&ctx->flow, f->field) & mask);
        field_unwildcard(ctx->wild, f->field, mask);
        hash = hash_murmur(bytes, f->value_size, hash);
    }
    return best_live(ctx, group, hash);
}

/* Without a hash the packet goes back to the datapath to get one. */
static uint32_t
pick_by_dp_hash(struct xlate_ctx *ctx, const struct ofgroup *group)
{
    uint32_t dp_hash = be32(ctx->flow.dp_hash);

    if (dp_hash == 0) {
        freeze_with_hash(ctx, FREEZE_FROM_THIS, group->hash_algorithm, group->hash_basis);
        return group->n_buckets;
    }
    WILD(ctx, dp_hash, be32(group->hash_mask));
    for (uint32_t i = 0; i <= group->hash_mask; i++) {
        uint32_t bucket = group->hash_map[(dp_hash + i) & group->hash_mask];
        if (bucket_is_live(ctx, group, &group->buckets[bucket], 0)) {
            return bucket;
        }
    }
    return group->n_buckets;
}

static uint32_t
pick(struct xlate_ctx *ctx, const struct ofgroup *group)
{
    if (group->type == SLUICE_GROUP_TYPE_FF) {
        return first_live(ctx, group, 0);
    }
    if (ctx->was_mpls) {
        /* What is below the label is known after the packet came back. */
        freeze(ctx, FREEZE_FROM_THIS);
        return group->n_buckets;
    }
    switch (group->method) {
    case SLUICE_SELECTION_METHOD_HASH:
        return pick_by_fields(ctx, group);
    case SLUICE_SELECTION_METHOD_DP_HASH:
        return pick_by_dp_hash(ctx, group);
    default:
        field_hash_unwildcard(&ctx->flow, ctx->wild, HASH_SYMMETRIC_L4);
        return best_live(ctx, group, flow_hash(&ctx->flow, HASH_SYMMETRIC_L4, 0));
    }
}

static void
credit(struct xlate_ctx *ctx, const struct ofgroup *group, uint32_t bucket)
{
    struct xlate_credit *credit = xlate_add_credit(ctx);

    if (credit != NULL) {
        credit->kind = XLATE_CREDIT_GROUP;
        credit->group = group->stats;
        credit->bundle = bucket;
        group_stats_ref(group->stats);
    }
}

/* Executes a bucket on a copy of the packet, which then is as it was. */
static void
run_bucket(struct xlate_ctx *ctx, const struct ofbucket *bucket, bool is_last)
{
    struct flow_key *flow = malloc(sizeof *flow);

    if (flow == NULL) {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
        return;
    }
    *flow = ctx->flow;
    bool was_mpls = ctx->was_mpls;
    bool in_group = ctx->in_group;
    trace_bucket(ctx, bucket->id);
    ctx->in_group = true;
    ctx->depth++;
    ctx->nesting++;
    ctx->trace_depth++;
    xlate_actions(ctx, bucket->ordered, bucket->ordered_size, is_last);
    ctx->trace_depth--;
    ctx->nesting--;
    ctx->depth--;
    freeze_finish(ctx);
    ctx->in_group = in_group;
    ctx->flow = *flow;
    ctx->was_mpls = was_mpls;
    ctx->exit = false;
    free(flow);
}

bool
xlate_group(struct xlate_ctx *ctx, uint32_t id)
{
    if (!xlate_may_resubmit(ctx)) {
        return true;
    }
    const struct ofgroup *group = find(ctx, id);
    bool is_last = ctx->is_last;

    if (group == NULL) {
        trace_note(ctx, SLUICE_TRACE_NOTE_GROUP_MISSING, id, 0, 0);
        return false;
    }
    if (group->type == SLUICE_GROUP_TYPE_ALL || group->type == SLUICE_GROUP_TYPE_INDIRECT) {
        for (uint32_t i = 0; i < group->n_buckets && ctx->error == 0; i++) {
            run_bucket(ctx, &group->buckets[i], is_last && i + 1 == group->n_buckets);
        }
        credit(ctx, group, UINT32_MAX);
        return true;
    }
    uint32_t bucket = pick(ctx, group);
    if (bucket < group->n_buckets) {
        trace_note(ctx, SLUICE_TRACE_NOTE_BUCKET_USED, group->buckets[bucket].id, 0, 0);
        run_bucket(ctx, &group->buckets[bucket], is_last);
        credit(ctx, group, bucket);
    } else {
        trace_note(ctx, SLUICE_TRACE_NOTE_NO_LIVE_BUCKET, 0, 0, 0);
    }
    return true;
}
