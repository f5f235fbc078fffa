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

/* Writes to 'words' the key's tunnel words of a packet that would leave by 'port', and tells a datapath whose tunnels are
 * the kernel's. */
void tunnel_prepare(struct xlate_ctx *ctx, const struct ofport *port, uint64_t words[8]);

/* tunnel_native.c: the part of tunnel_output() that builds the headers here and sends the packet on through the bridge
 * that leads to the other end.  The key's tunnel words are those of the packet to be. */
void tunnel_output_native(struct xlate_ctx *ctx, const struct ofport *port);

/* For a packet that is to leave by 'port', behind which the host may have an address: takes it out of its tunnel if it
 * is one of a tunnel that ends here, and returns true; else false, having noted what it says about neighbours. */
bool tunnel_terminate(struct xlate_ctx *ctx, const struct ofport *port);

/* The Geneve options that a packet leaves by 'port' with; returns their size. */
uint32_t tunnel_options(const struct xlate_ctx *ctx, const struct ofport *port, uint8_t out[TLV_OPTIONS_MAX]);

#endif
