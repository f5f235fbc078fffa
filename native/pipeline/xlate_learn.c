#include "packet/bytes.h"
#include "pipeline/learn.h"
#include "pipeline/xlate_ctx.h"

#define LEARN_WRITE_RESULT 4u

/* Installs the flow, with the control lock. */
static bool
install(struct xlate_ctx *ctx, struct learned *learned)
{
    pipeline_begin(ctx->pipeline, true);
    bool below_limit = learned_install(ctx->pipeline, learned, ctx->in->now_ms);
    if (ctx->pipeline->transaction.n_touched) {
        pipeline_commit(ctx->pipeline);
    } else {
        pipeline_rollback(ctx->pipeline);
    }
    return below_limit;
}

/* Has the flow installed, at once if that is possible without waiting for others.  Returns false if its limit forbids it,
 * as far as that is known. */
static bool
learn(struct xlate_ctx *ctx, struct learned *learned, bool needs_answer)
{
    const struct pipeline_hooks *hooks = &ctx->pipeline->options.hooks;
    if (!ctx->in->learn) {
        /* No packet passes: what was learned stays, and what went is not learned again.  Whether there is room for it is
         * for the next packet to find out. */
        ctx->uncacheable |= learned->limit && !learned_is_there(ctx->pipeline, learned);
        return true;
    }
    if (ctx->in->draft) {
        return true;
    }
    if (ctx->in->has_control) {
        return install(ctx, learned);
    }
    if (!needs_answer) {
        chore_put(ctx->pipeline, &(struct chore){ .learned = learned });
        if (hooks->chore_waits) {
            hooks->chore_waits(hooks->aux);
        }
        return true;
    }
    if (hooks->control_enter && hooks->control_enter(hooks->aux)) {
        bool below_limit = install(ctx, learned);
        hooks->control_leave(hooks->aux);
        return below_limit;
    }
    /* Nobody can tell now; the next packet asks again. */
    ctx->uncacheable = true;
    return false;
}

static void
store_result(struct xlate_ctx *ctx, const struct sluice_action_learn *action, bool result)
{
    const struct subfield sf = { action->result_field, action->result_ofs, 1 };
    xlate_store(ctx, sf, result);
    trace_subfield(ctx, sf);
}

void
xlate_learn(struct xlate_ctx *ctx, const struct sluice_action_learn *action)
{
    bool needs_answer = action->limit && action->learn_flags & LEARN_WRITE_RESULT;
    learn_unwildcard(&ctx->view->tlvs, action, ctx->wild);
    if (!ctx->in->learn && ctx->in->trace) {
        trace_note(ctx, SLUICE_TRACE_NOTE_LEARN_SUPPRESSED, 0, 0, 0);
        return;
    }
    struct learned *learned =
        learned_create(ctx->view->bridge->id, &ctx->view->tlvs, action, &ctx->flow, ctx->in->now_ms);
    if (!learned) {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
        return;
    }
    if (action->limit) {
        /* Whether there is room depends on what else is in that table. */
        xlate_stamp(ctx, PIPELINE_CELL_TABLE | pipeline_cell(CELL_TABLE, ctx->view->bridge->id, action->table));
    }
    trace_learned(ctx, learned->record);
    bool below_limit = learn(ctx, learned, needs_answer);
    if (action->learn_flags & LEARN_WRITE_RESULT) {
        store_result(ctx, action, below_limit);
    }
    struct xlate_credit *credit = below_limit ? xlate_add_credit(ctx) : NULL;
    if (credit) {
        credit->kind = XLATE_CREDIT_LEARN;
        credit->learned = learned;
    } else {
        learned_unref(learned);
    }
    if (!below_limit) {
        trace_note(ctx, SLUICE_TRACE_NOTE_LEARN_LIMIT, 0, 0, 0);
    }
}

void
xlate_fin_timeout(struct xlate_ctx *ctx, const struct sluice_action_fin_timeout *action)
{
    if (!ctx->rule || (!action->idle_timeout && !action->hard_timeout)) {
        return;
    }
    struct xlate_credit *credit = xlate_add_credit(ctx);
    if (credit) {
        credit->kind = XLATE_CREDIT_FIN;
        credit->bundle = ctx->view->bridge->id;
        credit->rule = ctx->rule;
        credit->mac = action->idle_timeout | (uint64_t) action->hard_timeout << 16;
        rule_ref(ctx->rule);
    }
}
