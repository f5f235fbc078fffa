/* Frames of the protocols that watch the link of a port, CFM and BFD: which are for the port's own state machine. */
#ifndef SLUICE_PIPELINE_MONITOR_H
#define SLUICE_PIPELINE_MONITOR_H 1

#include <stdint.h>

struct ofport;
struct xlate_ctx;

/* Whose the packet is, seen from 'port': SLUICE_PROTOCOL_CFM, SLUICE_PROTOCOL_BFD, or 0 for neither and for a null
 * 'port'.  Marks in ctx->wild what that depends on. */
uint32_t monitor_protocol(struct xlate_ctx *ctx, const struct ofport *port);

#endif
