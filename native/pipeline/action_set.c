#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "pipeline/action_set.h"
#include "pipeline/xlate_ctx.h"

/* Places of actions in the order of execution.  Of each but SLOT_SET only the last written counts; those of SLOT_SET
 * are executed in the order of writing. */
enum slot {
    SLOT_POP_VLAN,
    SLOT_POP_MPLS,
    SLOT_DECAP,
    SLOT_ENCAP,
    SLOT_PUSH_MPLS,
    SLOT_PUSH_VLAN,
    SLOT_DEC_TTL,
    SLOT_DEC_MPLS_TTL,
    SLOT_DEC_NSH_TTL,
    SLOT_SET,
    SLOT_GROUP,
    SLOT_OUTPUT,
    SLOT_RESUBMIT,
    N_SLOTS,
    SLOT_NONE,
};

struct action_header {
    uint16_t opcode;
    uint16_t size;
};

static enum slot
slot_of(const struct action_header *action)
{
    switch (action->opcode) {
    case SLUICE_ACTION_STRIP_VLAN:
        return SLOT_POP_VLAN;
    case SLUICE_ACTION_POP_MPLS:
        return SLOT_POP_MPLS;
    case SLUICE_ACTION_DECAP:
        return SLOT_DECAP;
    case SLUICE_ACTION_ENCAP:
        return SLOT_ENCAP;
    case SLUICE_ACTION_PUSH_MPLS:
        return SLOT_PUSH_MPLS;
    case SLUICE_ACTION_PUSH_VLAN:
        return SLOT_PUSH_VLAN;
    case SLUICE_ACTION_DEC_MPLS_TTL:
        return SLOT_DEC_MPLS_TTL;
    case SLUICE_ACTION_DEC_TTL:
        return SLOT_DEC_TTL;
    case SLUICE_ACTION_DEC_NSH_TTL:
        return SLOT_DEC_NSH_TTL;
    case SLUICE_ACTION_SET_FIELD:
    case SLUICE_ACTION_MOVE:
    case SLUICE_ACTION_SET_VLAN_VID:
    case SLUICE_ACTION_SET_VLAN_PCP:
    case SLUICE_ACTION_SET_ETH_SRC:
    case SLUICE_ACTION_SET_ETH_DST:
    case SLUICE_ACTION_SET_IPV4_SRC:
    case SLUICE_ACTION_SET_IPV4_DST:
    case SLUICE_ACTION_SET_IP_DSCP:
    case SLUICE_ACTION_SET_IP_ECN:
    case SLUICE_ACTION_SET_IP_TTL:
    case SLUICE_ACTION_SET_L4_SRC_PORT:
    case SLUICE_ACTION_SET_L4_DST_PORT:
    case SLUICE_ACTION_SET_MPLS_LABEL:
    case SLUICE_ACTION_SET_MPLS_TC:
    case SLUICE_ACTION_SET_MPLS_TTL:
    case SLUICE_ACTION_SET_TUNNEL:
    case SLUICE_ACTION_SET_QUEUE:
        return SLOT_SET;
    case SLUICE_ACTION_OUTPUT:
        return SLOT_OUTPUT;
    case SLUICE_ACTION_CONTROLLER:
        /* output:CONTROLLER is one, controller(...) has no place in a set. */
        return ((const struct sluice_action_controller *) action)->form == 0 ? SLOT_OUTPUT : SLOT_NONE;
    case SLUICE_ACTION_GROUP:
        return SLOT_GROUP;
    case SLUICE_ACTION_RESUBMIT:
        return SLOT_RESUBMIT;
    default:
        return SLOT_NONE;
    }
}

/* Copies the actions of 'slot' from the set to 'ordered'; returns the bytes. */
static uint32_t
copy_slot(const uint8_t *set, uint32_t size, enum slot slot, uint8_t *ordered)
{
    uint32_t used = 0;
    for (uint32_t at = 0; at < size;) {
        const struct action_header *action = (const struct action_header *) (set + at);
        if (slot_of(action) == slot) {
            used = slot == SLOT_SET ? used : 0;
            memcpy(ordered + used, action, action->size);
            used += action->size;
        }
        at += action->size;
    }
    return used;
}

/* Returns the bytes in 'ordered'.  A group excludes an output, and both a resubmit. */
static uint32_t
order_list(const void *set, uint32_t size, uint8_t *ordered, bool *has_output)
{
    uint32_t used = 0;
    *has_output = false;
    for (enum slot slot = 0; slot < N_SLOTS && !*has_output; slot++) {
        uint32_t n = copy_slot(set, size, slot, ordered + used);
        used += n;
        *has_output = n && slot >= SLOT_GROUP;
    }
    return used;
}

uint32_t
action_set_order(const void *set, uint32_t size, uint8_t *ordered)
{
    bool has_output;
    uint32_t used = order_list(set, size, ordered, &has_output);
    return has_output ? used : 0;
}

/* The set in the order of execution, in memory of the caller's, or null for want of memory. */
static uint8_t *
order(struct xlate_ctx *ctx, uint32_t *size, bool *has_output)
{
    uint8_t *ordered = malloc(ctx->action_set_size + 8);
    *size = 0;
    *has_output = false;
    if (!ordered) {
        xlate_fail(ctx, SLUICE_DROP_REASON_NO_MEMORY);
        return NULL;
    }
    *size = order_list(ctx->action_set, ctx->action_set_size, ordered, has_output);
    return ordered;
}

/* What actset_output says: the port of the last output written. */
static void
update_output(struct xlate_ctx *ctx, const uint8_t *ordered, uint32_t size)
{
    ctx->flow.actset_output = be32(PORT_UNSET);
    for (uint32_t at = 0; at < size;) {
        const struct action_header *action = (const struct action_header *) (ordered + at);
        if (action->opcode == SLUICE_ACTION_OUTPUT) {
            ctx->flow.actset_output = be32(port_normalize(((const struct sluice_action_output *) action)->port));
        }
        at += action->size;
    }
}

static void
add(struct xlate_ctx *ctx, const void *actions, uint32_t size, bool trace)
{
    ctx->has_action_set = true;
    if (!xlate_reserve(&ctx->action_set, ctx->action_set_size, &ctx->action_set_capacity, size, XLATE_ACTION_SET_MAX)) {
        xlate_fail(ctx, SLUICE_DROP_REASON_ACTIONS_TOO_BIG);
        return;
    }
    if (size) {
        memcpy((uint8_t *) ctx->action_set + ctx->action_set_size, actions, size);
    }
    ctx->action_set_size += size;

    bool has_output;
    uint32_t ordered_size;
    uint8_t *ordered = order(ctx, &ordered_size, &has_output);
    if (ordered) {
        update_output(ctx, ordered, ordered_size);
        if (trace) {
            trace_note_actions(ctx, SLUICE_TRACE_NOTE_ACTION_SET, ordered, ordered_size);
        }
        free(ordered);
    }
}

void
action_set_write(struct xlate_ctx *ctx, const void *actions, uint32_t size)
{
    add(ctx, actions, size, true);
}

void
action_set_restore(struct xlate_ctx *ctx, const void *actions, uint32_t size)
{
    add(ctx, actions, size, false);
}

void
action_set_clear(struct xlate_ctx *ctx)
{
    ctx->action_set_size = 0;
    ctx->has_action_set = false;
    ctx->flow.actset_output = be32(PORT_UNSET);
}

void
action_set_execute(struct xlate_ctx *ctx)
{
    if (!ctx->has_action_set || ctx->error) {
        return;
    }
    bool has_output;
    uint32_t size;
    uint8_t *ordered = order(ctx, &size, &has_output);
    ctx->action_set_size = 0;
    ctx->has_action_set = false;
    if (!ordered) {
        return;
    }
    trace_action_set(ctx);
    if (has_output && !ctx->exit) {
        ctx->in_action_set = true;
        ctx->trace_depth++;
        xlate_actions(ctx, ordered, size, true);
        ctx->trace_depth--;
        ctx->in_action_set = false;
    }
    free(ordered);
}
