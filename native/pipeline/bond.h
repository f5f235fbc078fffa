/* Bonds: which member of a bundle a packet leaves by, and whether the one that it came in by lets it in.
 *
 * Everything belongs to the thread that translates. */
#ifndef SLUICE_PIPELINE_BOND_H
#define SLUICE_PIPELINE_BOND_H 1

#include <stdbool.h>
#include <stdint.h>

struct bond_load;
struct bundle;
struct ofport;
struct pipeline;
struct xlate_ctx;

enum bond_verdict {
    BOND_ADMIT,
    BOND_REFUSE,
    BOND_REFUSE_IF_MOVED, /* If the source address is known to be behind another bundle: what we sent came back. */
};

/* The member of 'bundle' to send the packet by, which is in 'vlan' within the switch; null if there is none now.  If it is
 * not for the translation to say but for the datapath, packet by packet, ctx->spread is 'bundle' afterwards, and the
 * member is one of those that it may be. */
const struct ofport *bond_choose_member(struct xlate_ctx *ctx, const struct bundle *bundle, uint16_t vlan);

/* Appends what makes the datapath choose among the members of 'bundle'. */
void bond_spread(struct xlate_ctx *ctx, const struct bundle *bundle);

/* Sends the packet, which came back with its hash, by a member of bundle 'id'. */
void bond_output_hashed(struct xlate_ctx *ctx, uint32_t id);

/* Gives a balanced bond the load of 'old', if that has any, or a new one.  0 or ENOMEM. */
int bond_take_load(struct pipeline *pipeline, uint32_t bridge, struct bundle *bundle, const struct bundle *old);

/* Null is fine.  Any thread. */
void bond_load_unref(struct bond_load *load);

/* Counts packets that went by 'bucket'.  Any thread. */
void bond_load_credit(struct bond_load *load, uint32_t bucket, uint64_t n_packets, uint64_t n_bytes);

/* Whether a packet is let in that came by 'ofp_port' of 'bundle'.  'multicast': to more than one. */
enum bond_verdict bond_admit(const struct bundle *bundle, uint32_t ofp_port, bool multicast);

#endif
