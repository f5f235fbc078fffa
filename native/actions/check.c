#include <errno.h>
#include <stdbool.h>

#include "actions/execute.h"
#include "packet/bytes.h"
#include "packet/headers.h"
#include "packet/match.h"
#include "packet/rewrite.h"
#include "tunnel/header.h"

static int check_list(const uint8_t *actions, size_t size, uint32_t depth);

static size_t
round_up8(size_t size)
{
    return (size + 7) & ~(size_t) 7;
}

static int
check_controller(const struct sluice_dp_action_controller *controller, size_t size)
{
    size_t tail = size - sizeof *controller;
    size_t match_bytes = controller->match_size;
    size_t userdata_bytes = controller->userdata_size;
    if (match_bytes > tail || match_bytes % 8 || userdata_bytes > tail - match_bytes
        || tail != match_bytes + round_up8(userdata_bytes)) {
        return EINVAL;
    }
    return match_bytes ? match_check_exact(controller + 1, match_bytes, SLUICE_KEY_WORDS) : 0;
}

static int
check_set(const struct sluice_dp_action_set *set, size_t size)
{
    if (set->match_size != size - sizeof *set || match_check_exact(set + 1, set->match_size, SLUICE_KEY_WORDS)) {
        return EINVAL;
    }
    return packet_rewrite_check((const void *) (set + 1)) ? 0 : EOPNOTSUPP;
}

static int
check_push_vlan(const struct sluice_dp_action_push_vlan *push)
{
    return eth_type_is_vlan(push->tpid) && push->tci & VLAN_PRESENT ? 0 : EINVAL;
}

static bool
is_zero(const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (bytes[i]) {
            return false;
        }
    }
    return true;
}

static int
check_push_eth(const struct sluice_dp_action_push_eth *push)
{
    return !push->pad && is_zero(push->src + 6, 2) && is_zero(push->dst + 6, 2) ? 0 : EINVAL;
}

/* A whole header of version 0 whose length is its own. */
static int
check_push_nsh(const struct sluice_dp_action_push_nsh *push, size_t size)
{
    const uint8_t *header = (const uint8_t *) (push + 1);
    uint32_t header_size = push->header_size;
    if (header_size < NSH_BASE_SIZE || header_size > NSH_SIZE_MAX || size != sizeof *push + round_up8(header_size)
        || get_be16(header) >> 14 || 4 * (get_be16(header) & 0x3fu) != header_size) {
        return EINVAL;
    }
    return is_zero(header + header_size, size - sizeof *push - header_size) ? 0 : EINVAL;
}

static int
check_clone(const struct sluice_dp_action_clone *clone, size_t size, uint32_t depth)
{
    if (clone->actions_size != size - sizeof *clone || depth >= ACTIONS_DEPTH_MAX) {
        return EINVAL;
    }
    return check_list((const uint8_t *) (clone + 1), clone->actions_size, depth + 1);
}

static int
check_pkt_len(const struct sluice_dp_action_check_pkt_len *check, size_t size, uint32_t depth)
{
    const uint8_t *lists = (const uint8_t *) (check + 1);
    size_t tail = size - sizeof *check;
    if (check->greater_size % 8 || check->greater_size > tail || check->less_equal_size != tail - check->greater_size
        || depth >= ACTIONS_DEPTH_MAX) {
        return EINVAL;
    }
    int greater = check_list(lists, check->greater_size, depth + 1);
    int less_equal = check_list(lists + check->greater_size, check->less_equal_size, depth + 1);
    return greater == EINVAL || less_equal == EINVAL ? EINVAL : greater ? greater : less_equal;
}

static int
check_sample(const struct sluice_dp_action_sample *sample, size_t size, uint32_t depth)
{
    if (sample->actions_size != size - sizeof *sample || sample->pad || depth >= ACTIONS_DEPTH_MAX) {
        return EINVAL;
    }
    return check_list((const uint8_t *) (sample + 1), sample->actions_size, depth + 1);
}

/* Sizes of the structs, by opcode; 'tail': more may follow. */
static const struct {
    uint8_t size;
    bool tail;
} shapes[] = {
    [SLUICE_DP_ACTION_OUTPUT] = { sizeof(struct sluice_dp_action_output), false },
    [SLUICE_DP_ACTION_CONTROLLER] = { sizeof(struct sluice_dp_action_controller), true },
    [SLUICE_DP_ACTION_SET] = { sizeof(struct sluice_dp_action_set), true },
    [SLUICE_DP_ACTION_PUSH_VLAN] = { sizeof(struct sluice_dp_action_push_vlan), false },
    [SLUICE_DP_ACTION_POP_VLAN] = { sizeof(struct sluice_dp_action_pop_vlan), false },
    [SLUICE_DP_ACTION_CLONE] = { sizeof(struct sluice_dp_action_clone), true },
    [SLUICE_DP_ACTION_SAMPLE] = { sizeof(struct sluice_dp_action_sample), true },
    [SLUICE_DP_ACTION_REPORT] = { sizeof(struct sluice_dp_action_report), true },
    [SLUICE_DP_ACTION_DROP] = { sizeof(struct sluice_dp_action_drop), false },
    [SLUICE_DP_ACTION_METER] = { sizeof(struct sluice_dp_action_meter), false },
    [SLUICE_DP_ACTION_PROTOCOL] = { sizeof(struct sluice_dp_action_protocol), false },
    [SLUICE_DP_ACTION_RECIRC] = { sizeof(struct sluice_dp_action_recirc), false },
    [SLUICE_DP_ACTION_HASH] = { sizeof(struct sluice_dp_action_hash), false },
    [SLUICE_DP_ACTION_LB_OUTPUT] = { sizeof(struct sluice_dp_action_lb_output), false },
    [SLUICE_DP_ACTION_KEEP_HASH] = { sizeof(struct sluice_dp_action_keep_hash), false },
    [SLUICE_DP_ACTION_TUNNEL_SET] = { sizeof(struct sluice_dp_action_tunnel_set), true },
    [SLUICE_DP_ACTION_TUNNEL_PUSH] = { sizeof(struct sluice_dp_action_tunnel_push), true },
    [SLUICE_DP_ACTION_TUNNEL_POP] = { sizeof(struct sluice_dp_action_tunnel_pop), false },
    [SLUICE_DP_ACTION_PUSH_ETH] = { sizeof(struct sluice_dp_action_push_eth), false },
    [SLUICE_DP_ACTION_POP_ETH] = { sizeof(struct sluice_dp_action_pop_eth), false },
    [SLUICE_DP_ACTION_PUSH_NSH] = { sizeof(struct sluice_dp_action_push_nsh), true },
    [SLUICE_DP_ACTION_POP_NSH] = { sizeof(struct sluice_dp_action_pop_nsh), false },
    [SLUICE_DP_ACTION_TRUNC] = { sizeof(struct sluice_dp_action_trunc), false },
    [SLUICE_DP_ACTION_PUSH_MPLS] = { sizeof(struct sluice_dp_action_push_mpls), false },
    [SLUICE_DP_ACTION_POP_MPLS] = { sizeof(struct sluice_dp_action_pop_mpls), false },
    [SLUICE_DP_ACTION_CHECK_PKT_LEN] = { sizeof(struct sluice_dp_action_check_pkt_len), true },
};

static int
check_one(const void *body, uint16_t opcode, size_t size, uint32_t depth)
{
    if (opcode >= sizeof shapes / sizeof *shapes || !shapes[opcode].size || size < shapes[opcode].size
        || (size > shapes[opcode].size && !shapes[opcode].tail)) {
        return EINVAL;
    }
    switch (opcode) {
    case SLUICE_DP_ACTION_TRUNC:
        return ((const struct sluice_dp_action_trunc *) body)->max_len < ETH_SIZE ? EINVAL : 0;
    case SLUICE_DP_ACTION_PUSH_MPLS: {
        const struct sluice_dp_action_push_mpls *push = body;
        return eth_type_is_mpls(push->ethertype) && push->whole <= 1 && !push->pad2 ? 0 : EINVAL;
    }
    case SLUICE_DP_ACTION_POP_MPLS:
        return ((const struct sluice_dp_action_pop_mpls *) body)->pad ? EINVAL : 0;
    case SLUICE_DP_ACTION_CHECK_PKT_LEN:
        return check_pkt_len(body, size, depth);
    case SLUICE_DP_ACTION_CONTROLLER:
        return check_controller(body, size);
    case SLUICE_DP_ACTION_SET:
        return check_set(body, size);
    case SLUICE_DP_ACTION_PUSH_VLAN:
        return check_push_vlan(body);
    case SLUICE_DP_ACTION_POP_VLAN:
        return ((const struct sluice_dp_action_pop_vlan *) body)->pad ? EINVAL : 0;
    case SLUICE_DP_ACTION_CLONE:
        return check_clone(body, size, depth);
    case SLUICE_DP_ACTION_SAMPLE:
        return check_sample(body, size, depth);
    case SLUICE_DP_ACTION_REPORT: {
        const struct sluice_dp_action_report *report = body;
        return report->actions_size == size - sizeof *report && !report->pad ? 0 : EINVAL;
    }
    case SLUICE_DP_ACTION_HASH: {
        const struct sluice_dp_action_hash *hash = body;
        return hash->algorithm > SLUICE_HASH_ALGORITHM_SYM_L4 || hash->vlan_limit > 2 ? EINVAL : 0;
    }
    case SLUICE_DP_ACTION_KEEP_HASH:
        return ((const struct sluice_dp_action_keep_hash *) body)->pad ? EINVAL : 0;
    case SLUICE_DP_ACTION_TUNNEL_PUSH: {
        const struct sluice_dp_action_tunnel_push *push = body;
        return push->header_size >= TUNNEL_HEADER_MIN && push->port_min <= push->port_max
                       && round_up8(push->header_size) == size - sizeof *push
                   ? 0
                   : EINVAL;
    }
    case SLUICE_DP_ACTION_TUNNEL_SET:
        return round_up8(((const struct sluice_dp_action_tunnel_set *) body)->options_size)
                       == size - sizeof(struct sluice_dp_action_tunnel_set)
                   ? 0
                   : EINVAL;
    case SLUICE_DP_ACTION_PUSH_ETH:
        return check_push_eth(body);
    case SLUICE_DP_ACTION_PUSH_NSH:
        return check_push_nsh(body, size);
    case SLUICE_DP_ACTION_POP_ETH:
    case SLUICE_DP_ACTION_POP_NSH:
        return ((const struct sluice_dp_action_pop_eth *) body)->pad ? EINVAL : 0;
    default:
        return 0;
    }
}

static int
check_list(const uint8_t *actions, size_t size, uint32_t depth)
{
    int error = 0;
    for (size_t offset = 0; offset < size;) {
        const uint8_t *body = actions + offset;
        if (size - offset < 8) {
            return EINVAL;
        }
        size_t action_size = get_raw16(body + 2);
        if (action_size < 8 || action_size % 8 || action_size > size - offset) {
            return EINVAL;
        }
        int result = check_one(body, get_raw16(body), action_size, depth);
        if (result == EINVAL) {
            return EINVAL;
        }
        error = result ? result : error;
        offset += action_size;
    }
    return error;
}

int
actions_check(const void *actions, size_t size)
{
    return (uintptr_t) actions % 8 || size % 8 ? EINVAL : check_list(actions, size, 0);
}
