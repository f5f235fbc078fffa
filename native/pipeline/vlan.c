#include <string.h>

#include "packet/bytes.h"
#include "pipeline/xlate_ctx.h"

uint32_t
vlan_count(const struct flow_key *flow)
{
    return !(flow->vlan0_tci & be16(VLAN_CFI)) ? 0 : !(flow->vlan1_tci & be16(VLAN_CFI)) ? 1 : 2;
}

/* What was the outer tag becomes the inner one and the other way round, so both are read whole. */
static void
read_tags(struct flow_key *wild)
{
    wild->vlan0_tpid = UINT16_MAX;
    wild->vlan0_tci = UINT16_MAX;
    wild->vlan1_tpid = UINT16_MAX;
    wild->vlan1_tci = UINT16_MAX;
}

void
vlan_push(struct flow_key *flow, struct flow_key *wild)
{
    wild->vlan0_tci |= be16(VLAN_CFI);
    if (vlan_count(flow)) {
        read_tags(wild);
    }
    flow->vlan1_tpid = flow->vlan0_tpid;
    flow->vlan1_tci = flow->vlan0_tci;
    flow->vlan0_tpid = 0;
    flow->vlan0_tci = 0;
}

void
vlan_pop(struct flow_key *flow, struct flow_key *wild)
{
    wild->vlan0_tci |= be16(VLAN_CFI);
    if (vlan_count(flow)) {
        read_tags(wild);
        flow->vlan0_tpid = flow->vlan1_tpid;
        flow->vlan0_tci = flow->vlan1_tci;
        flow->vlan1_tpid = 0;
        flow->vlan1_tci = 0;
    }
}
