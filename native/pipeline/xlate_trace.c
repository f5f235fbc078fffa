#include "packet/match.h"
#include "pipeline/remark.h"
#include "pipeline/xlate_ctx.h"

static struct trace_step
new_step(const struct xlate_ctx *ctx, uint16_t kind)
{
    return (struct trace_step){ .record = {
                                    .kind = kind,
                                    .depth = ctx->trace_depth,
                                    .table = ctx->table,
                                    .bridge = ctx->view ? ctx->view->bridge->id : 0,
                                } };
}

void
trace_bridge(struct xlate_ctx *ctx)
{
    if (ctx->in->trace) {
        struct trace_step step = new_step(ctx, SLUICE_TRACE_KIND_BRIDGE);
        trace_put(ctx->in->trace, &step);
    }
}

void
trace_action(struct xlate_ctx *ctx, const void *action, uint32_t size)
{
    if (ctx->in->trace) {
        struct trace_step step = new_step(ctx, SLUICE_TRACE_KIND_ACTION);
        step.actions = action;
        step.record.actions_size = size;
        trace_put(ctx->in->trace, &step);
    }
}

/* Tells the log what a packet gave cause to. */
static void
warn(const struct xlate_ctx *ctx, uint16_t note, uint64_t a, uint64_t b, uint64_t c)
{
    struct flow_key first = *ctx->in->key;
    first.in_port = ctx->base.in_port;
    const bool came_in = ctx->first_view && !ctx->in->actions;
    const struct remark remark = {
        .bridge = ctx->view->bridge->id,
        .code = note,
        .a = a,
        .b = b,
        .c = c,
        .key = &ctx->base,
        .first_bridge = came_in ? ctx->first_view->bridge->id : 0,
        .first_key = came_in ? &first : NULL,
    };
    remark_tell(ctx->pipeline, &remark, ctx->in->now_ms);
}

void
trace_note(struct xlate_ctx *ctx, uint16_t note, uint64_t a, uint64_t b, uint64_t c)
{
    /* Whoever has the lock and no draft brings a megaflow up to date: no packet is there. */
    bool packet = ctx->in->learn && (!ctx->in->has_control || ctx->in->draft);
    if (note <= REMARK_TOLD_LAST && packet && !ctx->in->trace && ctx->view) {
        warn(ctx, note, a, b, c);
    }
    if (ctx->in->trace) {
        struct trace_step step = new_step(ctx, SLUICE_TRACE_KIND_NOTE);
        step.record.code = note;
        step.record.a = a;
        step.record.b = b;
        step.record.c = c;
        trace_put(ctx->in->trace, &step);
    }
}

void
trace_note_actions(struct xlate_ctx *ctx, uint16_t note, const void *actions, uint32_t size)
{
    if (ctx->in->trace) {
        struct trace_step step = new_step(ctx, SLUICE_TRACE_KIND_NOTE);
        step.record.code = note;
        step.actions = actions;
        step.record.actions_size = size;
        trace_put(ctx->in->trace, &step);
    }
}

void
trace_subfield(struct xlate_ctx *ctx, struct subfield sf)
{
    if (ctx->in->trace) {
        field_value value = tlv_subfield_get(&ctx->view->tlvs, &ctx->flow, sf);
        struct trace_step step = new_step(ctx, SLUICE_TRACE_KIND_NOTE);
        step.record.code = SLUICE_TRACE_NOTE_SUBFIELD_NOW;
        step.record.a = sf.field;
        step.record.b = sf.ofs;
        step.record.c = sf.n_bits;
        step.record.d = (uint64_t) value;
        step.record.cookie = (uint64_t) (value >> 64);
        trace_put(ctx->in->trace, &step);
    }
}

void
trace_action_set(struct xlate_ctx *ctx)
{
    if (ctx->in->trace) {
        struct trace_step step = new_step(ctx, SLUICE_TRACE_KIND_ACTION_SET);
        trace_put(ctx->in->trace, &step);
    }
}

void
trace_learned(struct xlate_ctx *ctx, const struct sluice_flow_mod *record)
{
    if (ctx->in->trace) {
        const uint8_t *tail = (const uint8_t *) (record + 1);
        struct flow_key value;
        struct flow_key mask;
        match_expand((const struct match *) (const void *) tail, &value, &mask);
        struct trace_step step = new_step(ctx, SLUICE_TRACE_KIND_NOTE);
        bool reports = record->flow_flags & SLUICE_FLOW_FLAG_SEND_FLOW_REM;
        step.record.code = SLUICE_TRACE_NOTE_LEARNED_FLOW;
        step.record.a = record->table;
        step.record.b = record->priority;
        step.record.c = record->new_cookie;
        step.record.d = record->idle_timeout_s | (uint64_t) record->hard_timeout_s << 16 | (uint64_t) reports << 32;
        step.value = &value;
        step.mask = &mask;
        step.actions = tail + record->match_size;
        step.record.actions_size = record->actions_size;
        trace_put(ctx->in->trace, &step);
    }
}

void
trace_thaw(struct xlate_ctx *ctx)
{
    if (!ctx->in->trace) {
        return;
    }
    const struct sluice_continuation *content = ctx->frozen;
    struct trace_step step = new_step(ctx, SLUICE_TRACE_KIND_THAW);
    trace_put(ctx->in->trace, &step);
    ctx->trace_depth++;
    trace_note(ctx, SLUICE_TRACE_NOTE_RESUMING, content->table, 0, 0);
    if (content->action_set_size) {
        trace_note_actions(ctx, SLUICE_TRACE_NOTE_RESTORING_ACTION_SET, frozen_action_set(content),
                           content->action_set_size);
    }
    if (content->actions_size) {
        trace_note_actions(ctx, SLUICE_TRACE_NOTE_RESTORING_ACTIONS, frozen_actions(content), content->actions_size);
    }
    ctx->trace_depth--;
}

void
trace_bucket(struct xlate_ctx *ctx, uint32_t bucket)
{
    if (ctx->in->trace) {
        struct trace_step step = new_step(ctx, SLUICE_TRACE_KIND_BUCKET);
        step.record.a = bucket;
        trace_put(ctx->in->trace, &step);
    }
}
