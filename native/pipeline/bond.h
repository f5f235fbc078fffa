/* Bonds: which member of a bundle a packet leaves by, and whether the one that it came in by lets it in.
 *
 * Everything belongs to the thread that translates. */
#ifndef SLUICE_PIPELINE_BOND_H
#define SLUICE_PIPELINE_BOND_H 1

#include <stdbool.h>
#include <stdint.h>

struct bundle;
struct ofport;
struct xlate_ctx;

enum bond_verdict {
    BOND_ADMIT,
    BOND_REFUSE,
    BOND_REFUSE_IF_MOVED, /* If the source address is known to be behind another bundle: what we sent came back. */
};

/* The member of 'bundle' to send the packet by, which is in 'vlan' within the switch; null if there is none now. */
const struct ofport *bond_choose_member(struct xlate_ctx *ctx, const struct bundle *bundle, uint16_t vlan);

/* Whether a packet is let in that came by 'ofp_port' of 'bundle'.  'multicast': to more than one. */
enum bond_verdict bond_admit(const struct bundle *bundle, uint32_t ofp_port, bool multicast);

#endif
