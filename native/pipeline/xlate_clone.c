/* Actions on a copy of the packet. */
#include <stdlib.h>
#include <string.h>

#include "pipeline/xlate_ctx.h"

struct action_header {
    uint16_t opcode;
    uint16_t size;
};

/* Everything a clone may change.  Kept on the heap, since clones and tables nest. */
struct saved {
    struct flow_key flow;
    struct flow_key base; /* Room for run_cloned(). */
    uint64_t *action_set;
    uint32_t action_set_size;
    bool has_action_set;
    uint8_t *stack;
    uint32_t stack_size;
    bool is_tracked;
    bool was_mpls;
};

static bool
save(struct xlate_ctx *ctx, struct saved *saved)
{
    saved->flow = ctx->flow;
    saved->has_action_set = ctx->has_action_set;
    saved->action_set_size = ctx->action_set_size;
    saved->stack_size = ctx->stack_size;
    saved->is_tracked = ctx->is_tracked;
    saved->was_mpls = ctx->was_mpls;
    saved->action_set = malloc(ctx->action_set_size + 1u);
    saved->stack = malloc(ctx->stack_size + 1u);
    if (!saved->action_set || !saved->stack) {
        return false;
    }
    if (ctx->action_set_size) {
        memcpy(saved->action_set, ctx->action_set, ctx->action_set_size);
    }
    if (ctx->stack_size) {
        memcpy(saved->stack, ctx->stack, ctx->stack_size);
    }
    return true;
}

static void
restore(struct xlate_ctx *ctx, const struct saved *saved)
{
    ctx->flow = saved->flow;
    ctx->has_action_set = saved->has_action_set;
    ctx->action_set_size = saved->action_set_size;
    ctx->stack_size = saved->stack_size;
    ctx->is_tracked = saved->is_tracked;
    ctx->was_mpls = saved->was_mpls;
    /* What grew never shrinks, so there is room. */
    if (saved->action_set_size) {
        memcpy(ctx->action_set, saved->action_set, saved->action_set_size);
    }
    if (saved->stack_size) {
        memcpy(ctx->stack, saved->stack, saved->stack_size);
    }
}

/* Whether all that the actions do to the packet can be undone by setting fields back. */
static bool
is_reversible(const void *actions, uint32_t size)
{
    for (uint32_t at = 0; at < size;) {
        const struct action_header *action = (const void *) ((const uint8_t *) actions + at);
        switch (action->opcode) {
        case SLUICE_ACTION_CT:
        case SLUICE_ACTION_METER:
        case SLUICE_ACTION_NAT:
        case SLUICE_ACTION_OUTPUT_TRUNC:
        case SLUICE_ACTION_ENCAP:
        case SLUICE_ACTION_DECAP:
        case SLUICE_ACTION_DEC_NSH_TTL:
            return false;
        default:
            break;
        }
        at += action->size;
    }
    return true;
}

static void
run(struct xlate_ctx *ctx, const void *actions, uint32_t size, bool is_last)
{
    ctx->nesting++;
    xlate_actions(ctx, actions, size, is_last);
    if (!ctx->freezing) {
        action_set_execute(ctx);
    }
    freeze_finish(ctx);
    ctx->nesting--;
}

/* In a clone of the datapath's. */
static void
run_cloned(struct xlate_ctx *ctx, const void *actions, uint32_t size, struct flow_key *base)
{
    commit_actions(ctx);
    *base = ctx->base;
    uint32_t clone = commit_clone_begin(ctx);
    run(ctx, actions, size, true);
    commit_clone_end(ctx, clone);
    ctx->base = *base;
}

void
xlate_clone(struct xlate_ctx *ctx, const void *actions, uint32_t size, bool is_last)
{
    if (ctx->nesting >= XLATE_NESTING_MAX) {
        xlate_fail(ctx, SLUICE_DROP_REASON_RECURSION_TOO_DEEP);
        return;
    }
    struct saved *saved = calloc(1, sizeof *saved);
    if (saved && save(ctx, saved)) {
        if (is_last || is_reversible(actions, size)) {
            run(ctx, actions, size, is_last);
        } else {
            run_cloned(ctx, actions, size, &saved->base);
        }
        restore(ctx, saved);
    } else {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
    }
    if (saved) {
        free(saved->action_set);
        free(saved->stack);
        free(saved);
    }
}

/* One branch: 'bit' says which.  Returns the bytes that it appended. */
static uint32_t
run_branch(struct xlate_ctx *ctx, const struct sluice_action_check_pkt_larger *a, field_value bit, const void *rest,
           uint32_t rest_size)
{
    const struct subfield sf = { a->field, a->ofs, a->n_bits };
    uint32_t before = ctx->out->actions_size;
    xlate_store(ctx, sf, bit);
    run(ctx, rest, rest_size, true);
    return ctx->out->actions_size - before;
}

static void
run_branches(struct xlate_ctx *ctx, const struct sluice_action_check_pkt_larger *a, const void *rest,
             uint32_t rest_size, struct saved *saved)
{
    commit_actions(ctx);
    saved->base = ctx->base;
    uint32_t at = ctx->out->actions_size;
    if (!commit_append(ctx, SLUICE_DP_ACTION_CHECK_PKT_LEN, sizeof(struct sluice_dp_action_check_pkt_len))) {
        return;
    }
    uint32_t greater_size = run_branch(ctx, a, 1, rest, rest_size);
    bool exit = ctx->exit;
    ctx->base = saved->base;
    restore(ctx, saved);

    /* That the first branch stopped or froze is no reason for the other one to stop. */
    ctx->exit = false;
    uint32_t less_equal_size = run_branch(ctx, a, 0, rest, rest_size);
    ctx->exit = exit;
    ctx->base = saved->base;
    if (ctx->error) {
        return;
    }
    struct sluice_dp_action_check_pkt_len *check = (void *) ((uint8_t *) ctx->out->actions + at);
    check->size = (uint16_t) (ctx->out->actions_size - at);
    check->pkt_len = a->pkt_len;
    check->greater_size = greater_size;
    check->less_equal_size = less_equal_size;
}

void
xlate_check_pkt_larger(struct xlate_ctx *ctx, const void *action, const void *rest, uint32_t rest_size)
{
    if (ctx->nesting >= XLATE_NESTING_MAX) {
        xlate_fail(ctx, SLUICE_DROP_REASON_RECURSION_TOO_DEEP);
        return;
    }
    struct saved *saved = calloc(1, sizeof *saved);
    if (saved && save(ctx, saved)) {
        run_branches(ctx, action, rest, rest_size, saved);
        restore(ctx, saved);
    } else {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
    }
    if (saved) {
        free(saved->action_set);
        free(saved->stack);
        free(saved);
    }
}
