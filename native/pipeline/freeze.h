/* Freezing a translation and thawing it when its packet comes back; frozen.h says what for.
 *
 * An action that needs the packet to be looked up again calls freeze(), or freeze_with_hash(), and returns.  From then
 * on ctx->exit is set, and each list of actions under way, innermost first, adds what it has left to the frozen actions
 * instead of executing it.  Who began with the packet (the translation itself, a clone, a bucket, a peer's bridge, a
 * branch) calls freeze_finish() at its end, which commits what was changed, appends the datapath's `recirc`, and ends
 * the freezing; there the caller goes on with its own copy of the packet.
 *
 * Everything belongs to the thread that translates. */
#ifndef SLUICE_PIPELINE_FREEZE_H
#define SLUICE_PIPELINE_FREEZE_H 1

#include <stdbool.h>
#include <stdint.h>

struct sluice_action_controller;
struct sluice_continuation;
struct xlate_ctx;

/* Which action is the first to be executed after thawing. */
enum freeze_from {
    FREEZE_FROM_NEXT, /* The one that follows the present one. */
    FREEZE_FROM_THIS, /* The present one, again. */
};

/* Stops the translation of this packet here. */
void freeze(struct xlate_ctx *ctx, enum freeze_from from);

/* As freeze(), and the datapath gives the packet a dp_hash of 'algorithm' (enum sluice_hash_algorithm). */
void freeze_with_hash(struct xlate_ctx *ctx, enum freeze_from from, uint32_t algorithm, uint32_t basis);

/* As freeze(), but the packet goes to controllers, as 'action' says, and comes back when one of them resumes it. */
void freeze_for_controller(struct xlate_ctx *ctx, const struct sluice_action_controller *action);

/* Sends a copy of the packet back that goes on in 'table' with the stack, action set and registers as they are now;
 * this translation goes on too.  What was changed must have been committed. */
void freeze_fork(struct xlate_ctx *ctx, uint8_t table);

/* Adds 'size' bytes of actions, of ctx->table and ctx->cookie, to the frozen ones.  For lists under way. */
void freeze_rest(struct xlate_ctx *ctx, const void *actions, uint32_t size);

/* Ends freezing, if it is under way: see above. */
void freeze_finish(struct xlate_ctx *ctx);

/* Forgets that the packet was to be frozen. */
void freeze_cancel(struct xlate_ctx *ctx);

/* Puts 'ctx', which is about to begin, where 'content' left off: bridge, port, table, registers, stack, action set and
 * what else is frozen.  The actions, if any, are the caller's to execute; without any the packet is looked up in
 * ctx->table.  Returns false, with a reason set, if the bridge is gone. */
bool thaw(struct xlate_ctx *ctx, const struct sluice_continuation *content);

#endif
