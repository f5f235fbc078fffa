#include "pipeline/freeze.h"

#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/match.h"
#include "pipeline/frozen.h"
#include "pipeline/xlate_ctx.h"

/* Bytes of frozen actions at most. */
#define FROZEN_ACTIONS_MAX (4u * XLATE_ACTIONS_SIZE_MAX)

struct action_header {
    uint16_t opcode;
    uint16_t size;
};

void
freeze(struct xlate_ctx *ctx, enum freeze_from from)
{
    ctx->exit = true;
    ctx->freezing = true;
    ctx->freezes_this = from == FREEZE_FROM_THIS;
}

void
freeze_with_hash(struct xlate_ctx *ctx, enum freeze_from from, uint32_t algorithm, uint32_t basis)
{
    freeze(ctx, from);
    ctx->freezes_with_hash = true;
    ctx->hash_algorithm = algorithm;
    ctx->hash_basis = basis;
}

void
freeze_for_controller(struct xlate_ctx *ctx, const struct sluice_action_controller *action)
{
    /* The action may be gone by the time that freezing ends. */
    struct sluice_action_controller *pause = malloc(action->size);
    if (!pause) {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
        return;
    }
    memcpy(pause, action, action->size);
    freeze(ctx, FREEZE_FROM_NEXT);
    ctx->pause = pause;
}

void
freeze_cancel(struct xlate_ctx *ctx)
{
    free(ctx->pause);
    ctx->pause = NULL;
    ctx->freezing = false;
    ctx->freezes_this = false;
    ctx->freezes_with_hash = false;
    ctx->frozen_actions_size = 0;
    ctx->has_unrolled = false;
}

static void *
append(struct xlate_ctx *ctx, const void *action, uint32_t size)
{
    if (!xlate_reserve(&ctx->frozen_actions, ctx->frozen_actions_size, &ctx->frozen_actions_capacity, size,
                       FROZEN_ACTIONS_MAX)) {
        xlate_fail(ctx, SLUICE_DROP_REASON_ACTIONS_TOO_BIG);
        return NULL;
    }
    void *place = (uint8_t *) ctx->frozen_actions + ctx->frozen_actions_size;
    memcpy(place, action, size);
    ctx->frozen_actions_size += size;
    return place;
}

/* Notes whose actions follow, unless it is noted already. */
static void
append_unroll(struct xlate_ctx *ctx)
{
    if (ctx->has_unrolled && ctx->unrolled_table == ctx->table && ctx->unrolled_cookie == ctx->cookie) {
        return;
    }
    const struct sluice_action_unroll_xlate unroll = {
        .opcode = SLUICE_ACTION_UNROLL_XLATE,
        .size = sizeof unroll,
        .table = ctx->table,
        .cookie = ctx->cookie,
    };
    append(ctx, &unroll, sizeof unroll);
    ctx->has_unrolled = true;
    ctx->unrolled_table = ctx->table;
    ctx->unrolled_cookie = ctx->cookie;
}

/* True if what 'action' does depends on the table and the cookie of the rule that it is in. */
static bool
needs_rule(const struct action_header *action)
{
    switch (action->opcode) {
    case SLUICE_ACTION_OUTPUT:
    case SLUICE_ACTION_OUTPUT_REG:
    case SLUICE_ACTION_OUTPUT_TRUNC:
    case SLUICE_ACTION_GROUP:
    case SLUICE_ACTION_CONTROLLER:
    case SLUICE_ACTION_DEC_TTL:
    case SLUICE_ACTION_DEC_MPLS_TTL:
    case SLUICE_ACTION_DEC_NSH_TTL:
        return true;
    case SLUICE_ACTION_RESUBMIT:
        return ((const struct sluice_action_resubmit *) action)->table == 255;
    default:
        return false;
    }
}

/* Instructions become the actions that do the same: what is frozen is one list of actions. */
static void
append_goto_table(struct xlate_ctx *ctx, const struct sluice_action_goto_table *a)
{
    const struct sluice_action_resubmit resubmit = {
        .opcode = SLUICE_ACTION_RESUBMIT,
        .size = sizeof resubmit,
        .in_port = PORT_IN_PORT,
        .table = (uint8_t) a->table,
        .form = 1,
    };
    append(ctx, &resubmit, sizeof resubmit);
}

static void
append_write_metadata(struct xlate_ctx *ctx, const struct sluice_action_write_metadata *a)
{
    struct {
        struct sluice_action_set_field set;
        uint64_t value;
        uint64_t mask;
    } action = {
        .set = {
            .opcode = SLUICE_ACTION_SET_FIELD,
            .size = sizeof action,
            .field = SLUICE_FIELD_METADATA,
            .n_bits = 64,
            .value_size = 8,
        },
        .value = be64(a->metadata),
        .mask = be64(a->mask),
    };
    append(ctx, &action, sizeof action);
}

void
freeze_rest(struct xlate_ctx *ctx, const void *actions, uint32_t size)
{
    for (uint32_t at = 0; at < size && !ctx->error;) {
        const struct action_header *action = (const void *) ((const uint8_t *) actions + at);
        at += action->size;
        if (needs_rule(action)) {
            append_unroll(ctx);
        }
        switch (action->opcode) {
        case SLUICE_ACTION_UNROLL_XLATE: {
            const struct sluice_action_unroll_xlate *a = (const void *) action;
            append(ctx, action, action->size);
            ctx->has_unrolled = true;
            ctx->unrolled_table = ctx->table = (uint8_t) a->table;
            ctx->unrolled_cookie = ctx->cookie = a->cookie;
            break;
        }
        case SLUICE_ACTION_GOTO_TABLE:
            append_goto_table(ctx, (const void *) action);
            break;
        case SLUICE_ACTION_WRITE_METADATA:
            append_write_metadata(ctx, (const void *) action);
            break;
        case SLUICE_ACTION_NOTE:
        case SLUICE_ACTION_CONJUNCTION:
            break;
        default:
            append(ctx, action, action->size);
            break;
        }
    }
}

/* The words that are the pipeline's own, and of the tunnel's what was read or written: the rest comes back with the
 * packet. */
static size_t
compress_fields(const struct xlate_ctx *ctx, struct match_buffer *match)
{
    struct flow_key mask;
    memset(&mask, 0, sizeof mask);
    for (uint32_t i = SLUICE_KEY_TUNNEL_WORD; i < SLUICE_KEY_L2_WORD; i++) {
        mask.words[i] = ctx->wild->words[i];
    }
    for (uint32_t i = SLUICE_KEY_OPTIONS_WORD; i < SLUICE_KEY_PIPELINE_WORD; i++) {
        mask.words[i] = ctx->wild->words[i];
    }
    mask.metadata = ctx->flow.metadata ? UINT64_MAX : 0;
    for (uint32_t i = 0; i < sizeof mask.regs / sizeof mask.regs[0]; i++) {
        mask.regs[i] = ctx->flow.regs[i] ? UINT32_MAX : 0;
    }
    return match_compress(&ctx->flow, &mask, &match->match, sizeof *match);
}

static uint8_t *
put_part(uint8_t *at, const void *part, uint32_t size)
{
    if (size) {
        memcpy(at, part, size);
    }
    return at + ((size + 7u) & ~7u);
}

static struct frozen_state *
acquire(const struct xlate_ctx *ctx, uint8_t table)
{
    struct match_buffer match;
    uint32_t match_bytes = (uint32_t) compress_fields(ctx, &match);
    size_t size = sizeof(struct sluice_continuation) + match_bytes + ((ctx->stack_size + 7u) & ~7u)
                  + ctx->action_set_size + ctx->frozen_actions_size;
    struct sluice_continuation *content = calloc(1, size);
    if (!content) {
        return NULL;
    }
    *content = (struct sluice_continuation){
        .bridge = ctx->view->bridge->id,
        .in_port = be32(ctx->flow.in_port),
        .table = table,
        .is_tracked = ctx->is_tracked,
        .mirrors = ctx->mirrors,
        .has_action_set = ctx->has_action_set,
        .match_size = match_bytes,
        .stack_size = ctx->stack_size,
        .action_set_size = ctx->action_set_size,
        .actions_size = ctx->frozen_actions_size,
    };
    uint8_t *at = put_part((uint8_t *) (content + 1), &match, match_bytes);
    at = put_part(at, ctx->stack, ctx->stack_size);
    at = put_part(at, ctx->action_set, ctx->action_set_size);
    put_part(at, ctx->frozen_actions, ctx->frozen_actions_size);
    struct frozen_state *state = frozen_acquire(ctx->pipeline->frozen, content, size);
    free(content);
    return state;
}

/* Freezes what there is and appends the recirculation. */
static void
recirculate(struct xlate_ctx *ctx, uint8_t table)
{
    struct frozen_state *state = acquire(ctx, table);
    if (!state) {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
        return;
    }
    struct xlate_credit *credit = xlate_add_credit(ctx);
    if (!credit) {
        frozen_unref(state, false);
        return;
    }
    credit->kind = XLATE_CREDIT_FROZEN;
    credit->frozen = state;
    if (ctx->pause) {
        output_continuation(ctx, ctx->pause, state->id);
        return;
    }
    if (ctx->freezes_with_hash) {
        struct sluice_dp_action_hash *hash = commit_append(ctx, SLUICE_DP_ACTION_HASH, sizeof *hash);
        if (hash) {
            hash->algorithm = ctx->hash_algorithm;
            hash->basis = ctx->hash_basis;
            hash->vlan_limit = pipeline_vlan_limit(ctx->pipeline);
        }
    }
    struct sluice_dp_action_recirc *recirc = commit_append(ctx, SLUICE_DP_ACTION_RECIRC, sizeof *recirc);
    if (recirc) {
        recirc->recirc_id = state->id;
    }
}

void
freeze_fork(struct xlate_ctx *ctx, uint8_t table)
{
    recirculate(ctx, table);
    freeze_cancel(ctx);
}

void
freeze_finish(struct xlate_ctx *ctx)
{
    if (!ctx->freezing) {
        return;
    }
    if (!ctx->error) {
        commit_actions(ctx);
        recirculate(ctx, 0);
    }
    freeze_cancel(ctx);
}

static bool
restore_stack(struct xlate_ctx *ctx, const struct sluice_continuation *content)
{
    if (!xlate_reserve(&ctx->stack, 0, &ctx->stack_capacity, content->stack_size, 2 * XLATE_STACK_SIZE_MAX)) {
        return false;
    }
    if (content->stack_size) {
        memcpy(ctx->stack, frozen_stack(content), content->stack_size);
    }
    ctx->stack_size = content->stack_size;
    return true;
}

static void
restore_fields(struct xlate_ctx *ctx, const struct sluice_continuation *content)
{
    const struct match *match = frozen_match(content);
    const uint64_t *p = match->words;
    uint32_t word;
    MATCH_FOR_EACH_WORD(word, match->map) {
        ctx->flow.words[word] = (ctx->flow.words[word] & ~p[1]) | p[0];
        /* What of the tunnel is not the packet's own must be frozen again the next time. */
        ctx->wild->words[word] |= p[1];
        p += 2;
    }
    ctx->flow.in_port = be32(content->in_port);
}

bool
thaw(struct xlate_ctx *ctx, const struct sluice_continuation *content)
{
    const struct bridge_view *view = topology_find(ctx->config->topology, content->bridge);
    if (!view) {
        xlate_stamp(ctx, pipeline_cell(CELL_PORTS, 0, 0));
        ctx->drop_reason = SLUICE_DROP_REASON_NO_RECIRCULATION;
        return false;
    }
    ctx->view = view;
    ctx->table = content->table;
    ctx->is_tracked = content->is_tracked;
    ctx->mirrors = content->mirrors;
    ctx->first_view = view;
    if (!tlv_map_decode(&view->tlvs, &ctx->flow)) {
        ctx->drop_reason = SLUICE_DROP_REASON_NO_RECIRCULATION;
        return false;
    }
    restore_fields(ctx, content);
    if (!restore_stack(ctx, content)) {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
        return false;
    }
    if (content->has_action_set) {
        action_set_restore(ctx, frozen_action_set(content), content->action_set_size);
    }
    return true;
}
