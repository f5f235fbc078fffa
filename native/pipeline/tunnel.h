/* Tunnels in translation: packets that came out of one, and output to one. */
#ifndef SLUICE_PIPELINE_TUNNEL_H
#define SLUICE_PIPELINE_TUNNEL_H 1

#include "pipeline/xlate_ctx.h"

/* Un-wildcards what decides which tunnel port a packet came from.  Nothing for other packets. */
void tunnel_wild(struct xlate_ctx *ctx);

/* Takes congestion that the outer header tells of into the inner one.  False if the inner packet cannot say so: it is
 * to be dropped. */
bool tunnel_receive_ecn(struct xlate_ctx *ctx);

/* Outputs to a tunnel port. */
void tunnel_output(struct xlate_ctx *ctx, const struct ofport *port);

#endif
