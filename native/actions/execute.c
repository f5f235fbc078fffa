#include "actions/execute.h"

#include <assert.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/flow_hash.h"
#include "packet/encap.h"
#include "packet/match.h"
#include "packet/rewrite.h"
#include "packet/segment.h"
#include "tunnel/header.h"

/* What every action begins with. */
struct action {
    uint16_t opcode;
    uint16_t size;
};

/* What becomes of the packets of a list of actions. */
struct fate {
    bool is_copy; /* They are copies, which may end anywhere. */
    bool given;   /* They, or copies of them, went to a port or to the control thread, or are looked up again. */
};

static void
count(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static void
count_copies(const struct action_sink *sink, uint64_t n)
{
    if (sink->counts) {
        count(&sink->counts->n_copied, n);
    }
}

static void
drop(const struct action_sink *sink, uint32_t reason, struct packet *const *packets, uint32_t n)
{
    sink->drop(sink->aux, reason, n);
    packet_release_burst(packets, n);
}

/* The packets have come to the end of their actions. */
static void
end(const struct action_sink *sink, struct packet *const *packets, uint32_t n, const struct fate *fate)
{
    if (n == 0) {
        return;
    }
    if (!fate->is_copy && !fate->given) {
        drop(sink, SLUICE_DROP_REASON_NO_OUTPUT, packets, n);
        return;
    }
    if (sink->counts) {
        count(&sink->counts->n_consumed, n);
    }
    packet_release_burst(packets, n);
}

/* Copies of up to 'size_max' bytes of each packet.  Returns how many there are; the others are counted as lost. */
static uint32_t
clone_batch(const struct action_sink *sink, struct packet *const *packets, uint32_t n, uint32_t size_max,
            struct packet **copies)
{
    uint32_t n_copies = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (packets[i]->size > size_max) {
            packet_checksum_complete(packets[i]);
        }
        copies[n_copies] = packet_clone(sink->pool, packets[i], size_max);
        n_copies += copies[n_copies] != NULL;
    }
    count_copies(sink, n);
    if (n_copies < n) {
        sink->drop(sink->aux, SLUICE_DROP_REASON_NO_BUFFER, n - n_copies);
    }
    return n_copies;
}

static void
truncate_batch(struct packet *const *packets, uint32_t n, uint32_t size_max)
{
    for (uint32_t i = 0; i < n; i++) {
        if (packets[i]->size > size_max) {
            packet_checksum_complete(packets[i]);
            packet_truncate(packets[i], size_max);
        }
    }
}

/* Sends at most 'size_max' bytes of each.  Takes the packets if 'last'. */
static void
execute_output(const struct action_sink *sink, const struct sluice_dp_action_output *output,
               struct packet *const *packets, uint32_t n, uint32_t size_max, bool last)
{
    if (last) {
        truncate_batch(packets, n, size_max);
        sink->output(sink->aux, output->dp_port, packets, n);
        return;
    }
    struct packet *copies[PACKET_BATCH_MAX];
    uint32_t n_copies = clone_batch(sink, packets, n, size_max, copies);
    if (n_copies) {
        sink->output(sink->aux, output->dp_port, copies, n_copies);
    }
}

static void
execute_lb_output(const struct action_sink *sink, const struct sluice_dp_action_lb_output *lb_output,
                  struct packet *const *packets, uint32_t n, uint32_t size_max, bool last)
{
    struct packet *copies[PACKET_BATCH_MAX];
    if (last) {
        truncate_batch(packets, n, size_max);
    } else {
        n = clone_batch(sink, packets, n, size_max, copies);
        packets = copies;
    }
    if (n) {
        sink->lb_output(sink->aux, lb_output, packets, n);
    }
}

/* Pushes or pops a header; false if that cannot be done to the packet. */
static bool
change_headers(struct packet *packet, const void *action, uint16_t opcode)
{
    switch (opcode) {
    case SLUICE_DP_ACTION_PUSH_VLAN: {
        const struct sluice_dp_action_push_vlan *push = action;
        return packet_push_vlan(packet, be16(push->tpid), be16(push->tci));
    }
    case SLUICE_DP_ACTION_PUSH_MPLS: {
        const struct sluice_dp_action_push_mpls *push = action;
        return push->whole ? packet_encap_mpls(packet, push->ethertype, be32(push->lse))
                           : packet_push_mpls(packet, be16(push->ethertype), be32(push->lse));
    }
    case SLUICE_DP_ACTION_PUSH_ETH: {
        const struct sluice_dp_action_push_eth *push = action;
        return packet_push_eth(packet, push->src, push->dst);
    }
    case SLUICE_DP_ACTION_PUSH_NSH: {
        const struct sluice_dp_action_push_nsh *push = action;
        return packet_push_nsh(packet, push + 1, push->header_size);
    }
    default:
        return packet_pop_nsh(packet);
    }
}

/* A truncation counts what is cut from the end: headers that come or go after it leave that as it is. */
static void
adjust_size_max(uint32_t *size_max, uint32_t before, const struct packet *packet)
{
    if (*size_max != UINT32_MAX) {
        *size_max += packet->size - before;
    }
}

/* Pushes or pops a header, and returns how many packets are left. */
static uint32_t
execute_headers(const struct action_sink *sink, const void *action, uint16_t opcode, struct packet **packets,
                uint32_t n, uint32_t *size_max)
{
    uint32_t n_left = 0;
    uint32_t n_lost = 0;
    uint32_t before = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t size = packets[i]->size;
        if (change_headers(packets[i], action, opcode)) {
            packets[n_left++] = packets[i];
            before = size;
        } else {
            packet_release(packets[i]);
            n_lost++;
        }
    }
    if (n_left) {
        adjust_size_max(size_max, before, packets[n_left - 1]);
    }
    if (n_lost) {
        sink->drop(sink->aux,
                   opcode == SLUICE_DP_ACTION_POP_NSH ? SLUICE_DROP_REASON_NSH_DECAP : SLUICE_DROP_REASON_NO_HEADROOM,
                   n_lost);
    }
    return n_left;
}

/* Pops a header, which always can be done.  There is a packet. */
static void
execute_pop(const void *action, uint16_t opcode, struct packet *const *packets, uint32_t n, uint32_t *size_max)
{
    uint32_t before = packets[0]->size;
    for (uint32_t i = 0; i < n; i++) {
        switch (opcode) {
        case SLUICE_DP_ACTION_POP_ETH:
            packet_pop_eth(packets[i]);
            break;
        case SLUICE_DP_ACTION_POP_MPLS:
            packet_pop_mpls(packets[i], be16(((const struct sluice_dp_action_pop_mpls *) action)->ethertype));
            break;
        default:
            packet_pop_vlan(packets[i]);
        }
    }
    adjust_size_max(size_max, before, packets[0]);
}

static void
execute_hash(const struct sluice_dp_action_hash *hash, struct packet *const *packets, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        packet_metadata(packets[i])->dp_hash = hash->algorithm == SLUICE_HASH_ALGORITHM_L4
                                                   ? packet_hash_l4(packets[i], hash->basis)
                                                   : packet_hash_sym_l4(packets[i], hash->vlan_limit, hash->basis);
    }
}

/* Takes the packets if 'last'. */
static void
execute_recirc(const struct action_sink *sink, const struct sluice_dp_action_recirc *recirc,
               struct packet *const *packets, uint32_t n, bool last)
{
    struct packet *copies[PACKET_BATCH_MAX];
    if (!last) {
        n = clone_batch(sink, packets, n, UINT32_MAX, copies);
        packets = copies;
    }
    for (uint32_t i = 0; i < n; i++) {
        packet_metadata(packets[i])->recirc_id = recirc->recirc_id;
    }
    if (n) {
        sink->recirc(sink->aux, packets, n);
    }
}

static void execute_list(const struct action_sink *sink, struct packet **packets, uint32_t n, const uint8_t *actions,
                         size_t size, struct fate *fate);

/* Executes 'actions' on copies. */
static void
execute_on_copies(const struct action_sink *sink, struct packet **copies, uint32_t n, const uint8_t *actions,
                  size_t size, struct fate *fate)
{
    struct fate of_copies = { .is_copy = true };
    execute_list(sink, copies, n, actions, size, &of_copies);
    fate->given |= of_copies.given;
}

/* A packet was cut into 'n' segments; what is left of it is lost. */
static void
end_segments(const struct action_sink *sink, struct packet_segmenter *segmenter, uint64_t n)
{
    if (packet_segment_done(segmenter)) {
        count_copies(sink, n - 1);
    } else {
        count_copies(sink, n);
        sink->drop(sink->aux, SLUICE_DROP_REASON_NO_BUFFER, 1);
    }
    packet_segment_end(segmenter);
}

/* Puts headers before packets that need no segmenting, and returns how many are left. */
static uint32_t
push_headers(const struct action_sink *sink, const struct sluice_dp_action_tunnel_push *push, struct packet **packets,
             uint32_t n)
{
    _Atomic uint32_t *sequence = sink->sequences ? &sink->sequences[push->sequence % TUNNEL_SEQUENCES] : NULL;
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (sequence && tunnel_push(packets[i], push, sequence)) {
            packets[n_left++] = packets[i];
        } else {
            packet_release(packets[i]);
        }
    }
    if (n_left < n) {
        sink->drop(sink->aux, SLUICE_DROP_REASON_TUNNEL_PUSH, n - n_left);
    }
    return n_left;
}

/* Cuts a packet into segments, each of which gets the headers and goes through the 'rest' of the actions. */
static void
push_segments(const struct action_sink *sink, const struct sluice_dp_action_tunnel_push *push, struct packet *packet,
              const uint8_t *rest, size_t rest_size, struct fate *fate)
{
    struct packet_segmenter segmenter;
    struct packet *segments[PACKET_BATCH_MAX];
    uint64_t n_all = 0;
    uint32_t n;
    packet_segment_begin(&segmenter, sink->pool, packet);
    while ((n = packet_segment_next(&segmenter, segments, PACKET_BATCH_MAX)) != 0) {
        n_all += n;
        n = push_headers(sink, push, segments, n);
        if (n) {
            execute_list(sink, segments, n, rest, rest_size, fate);
        }
    }
    end_segments(sink, &segmenter, n_all);
}

/* Takes packets to be segmented through the 'rest' of the actions, pushes headers on the others, and returns how many
 * these are. */
static uint32_t
execute_tunnel_push(const struct action_sink *sink, const struct sluice_dp_action_tunnel_push *push,
                    struct packet **packets, uint32_t n, const uint8_t *rest, size_t rest_size, struct fate *fate)
{
    uint32_t n_plain = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (packets[i]->gso_type == PACKET_GSO_NONE) {
            packets[n_plain++] = packets[i];
        } else {
            push_segments(sink, push, packets[i], rest, rest_size, fate);
        }
    }
    return push_headers(sink, push, packets, n_plain);
}

/* Takes the packets, or copies of them, out of their tunnel and has them looked up again. */
static void
execute_tunnel_pop(const struct action_sink *sink, const struct sluice_dp_action_tunnel_pop *pop,
                   struct packet *const *packets, uint32_t n, bool last)
{
    struct packet *popped[PACKET_BATCH_MAX];
    if (last) {
        memcpy(popped, packets, n * sizeof *packets);
    } else {
        n = clone_batch(sink, packets, n, UINT32_MAX, popped);
    }
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (tunnel_pop(popped[i], pop->tunnel_type)) {
            popped[i]->in_port = pop->dp_port;
            popped[n_left++] = popped[i];
        } else {
            packet_release(popped[i]);
        }
    }
    if (n_left < n) {
        sink->drop(sink->aux, SLUICE_DROP_REASON_TUNNEL_POP, n - n_left);
    }
    if (n_left) {
        sink->recirc(sink->aux, popped, n_left);
    }
}

/* A copy has at most 'size_max' bytes, because it is a tunnel's output.  Takes the packets if 'last'. */
static void
execute_clone(const struct action_sink *sink, const struct sluice_dp_action_clone *clone, struct packet **packets,
              uint32_t n, uint32_t size_max, bool last, struct fate *fate)
{
    const uint8_t *nested = (const uint8_t *) (clone + 1);
    if (last) {
        truncate_batch(packets, n, size_max);
        execute_list(sink, packets, n, nested, clone->actions_size, fate);
        return;
    }
    struct packet *copies[PACKET_BATCH_MAX];
    uint32_t n_copies = clone_batch(sink, packets, n, size_max, copies);
    execute_on_copies(sink, copies, n_copies, nested, clone->actions_size, fate);
}

/* Xorshift: good enough to choose packets that no pattern of traffic can dodge, and cheap. */
static uint32_t
next_random(uint32_t *state)
{
    uint32_t x = *state;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

/* Runs the nested actions on copies of the packets that chance picks. */
static void
execute_sample(const struct action_sink *sink, const struct sluice_dp_action_sample *sample,
               struct packet *const *packets, uint32_t n, struct fate *fate)
{
    struct packet *chosen[PACKET_BATCH_MAX];
    uint32_t n_chosen = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (sample->probability == UINT32_MAX || !sink->random || next_random(sink->random) <= sample->probability) {
            chosen[n_chosen++] = packets[i];
        }
    }
    const struct action *nested = (const void *) (sample + 1);
    if (!n_chosen || !sample->actions_size) {
        return;
    }
    if (nested->opcode == SLUICE_DP_ACTION_REPORT && nested->size == sample->actions_size) {
        /* It only looks at them. */
        sink->report(sink->aux, (const void *) nested, chosen, n_chosen);
        return;
    }
    struct packet *copies[PACKET_BATCH_MAX];
    uint32_t n_copies = clone_batch(sink, chosen, n_chosen, UINT32_MAX, copies);
    execute_on_copies(sink, copies, n_copies, (const uint8_t *) nested, sample->actions_size, fate);
}

/* Runs one branch of a check_pkt_len.  Takes the packets if 'last'. */
static void
execute_branch(const struct action_sink *sink, struct packet **packets, uint32_t n, const uint8_t *actions, size_t size,
               bool last, struct fate *fate)
{
    if (last && n) {
        execute_list(sink, packets, n, actions, size, fate);
    } else if (n && size) {
        struct packet *copies[PACKET_BATCH_MAX];
        uint32_t n_copies = clone_batch(sink, packets, n, UINT32_MAX, copies);
        execute_on_copies(sink, copies, n_copies, actions, size, fate);
    }
}

/* Takes the packets if 'last'. */
static void
execute_check_pkt_len(const struct action_sink *sink, const struct sluice_dp_action_check_pkt_len *check,
                      struct packet **packets, uint32_t n, bool last, struct fate *fate)
{
    const uint8_t *greater = (const uint8_t *) (check + 1);
    const uint8_t *less_equal = greater + check->greater_size;
    struct packet *larger[PACKET_BATCH_MAX];
    struct packet *others[PACKET_BATCH_MAX];
    uint32_t n_larger = 0;
    uint32_t n_others = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (packet_segment_size(packets[i]) > check->pkt_len) {
            larger[n_larger++] = packets[i];
        } else {
            others[n_others++] = packets[i];
        }
    }
    struct fate of_others = *fate;
    execute_branch(sink, larger, n_larger, greater, check->greater_size, last, fate);
    execute_branch(sink, others, n_others, less_equal, check->less_equal_size, last, &of_others);
    fate->given |= of_others.given;
}

/* Whether packets that came to this action are not dropped when nothing else becomes of them. */
static bool
gives(uint16_t opcode)
{
    return opcode == SLUICE_DP_ACTION_OUTPUT || opcode == SLUICE_DP_ACTION_CONTROLLER
           || opcode == SLUICE_DP_ACTION_PROTOCOL || opcode == SLUICE_DP_ACTION_RECIRC
           || opcode == SLUICE_DP_ACTION_TUNNEL_POP || opcode == SLUICE_DP_ACTION_LB_OUTPUT;
}

/* Executes one action on '*n' packets; some may be lost.  '*size_max' is what an output may send of each.  Returns whether
 * the packets were taken, which only happens if the action is the 'last' or a drop. */
static bool
execute_one(const struct action_sink *sink, const struct action *action, struct packet **packets, uint32_t *n,
            uint32_t *size_max, bool last, struct fate *fate)
{
    const void *body = action;
    fate->given |= gives(action->opcode);
    switch (action->opcode) {
    case SLUICE_DP_ACTION_OUTPUT:
        execute_output(sink, body, packets, *n, *size_max, last);
        *size_max = UINT32_MAX;
        return last;
    case SLUICE_DP_ACTION_LB_OUTPUT:
        execute_lb_output(sink, body, packets, *n, *size_max, last);
        *size_max = UINT32_MAX;
        return last;
    case SLUICE_DP_ACTION_TRUNC:
        *size_max = ((const struct sluice_dp_action_trunc *) body)->max_len;
        return false;
    case SLUICE_DP_ACTION_CHECK_PKT_LEN:
        execute_check_pkt_len(sink, body, packets, *n, last, fate);
        return last;
    case SLUICE_DP_ACTION_CONTROLLER:
        sink->controller(sink->aux, body, packets, *n);
        return false;
    case SLUICE_DP_ACTION_PROTOCOL:
        sink->protocol(sink->aux, body, packets, *n);
        return false;
    case SLUICE_DP_ACTION_REPORT:
        sink->report(sink->aux, body, packets, *n);
        return false;
    case SLUICE_DP_ACTION_SAMPLE:
        execute_sample(sink, body, packets, *n, fate);
        return false;
    case SLUICE_DP_ACTION_SET:
        packet_rewrite(packets, *n, (const void *) ((const struct sluice_dp_action_set *) body + 1));
        return false;
    case SLUICE_DP_ACTION_PUSH_VLAN:
    case SLUICE_DP_ACTION_PUSH_MPLS:
    case SLUICE_DP_ACTION_PUSH_ETH:
    case SLUICE_DP_ACTION_PUSH_NSH:
    case SLUICE_DP_ACTION_POP_NSH:
        *n = execute_headers(sink, body, action->opcode, packets, *n, size_max);
        return false;
    case SLUICE_DP_ACTION_POP_ETH:
    case SLUICE_DP_ACTION_POP_MPLS:
    case SLUICE_DP_ACTION_POP_VLAN:
        execute_pop(body, action->opcode, packets, *n, size_max);
        return false;
    case SLUICE_DP_ACTION_CLONE:
        execute_clone(sink, body, packets, *n, *size_max, last, fate);
        *size_max = UINT32_MAX;
        return last;
    case SLUICE_DP_ACTION_RECIRC:
        execute_recirc(sink, body, packets, *n, last);
        return last;
    case SLUICE_DP_ACTION_HASH:
        execute_hash(body, packets, *n);
        return false;
    case SLUICE_DP_ACTION_KEEP_HASH:
        for (uint32_t i = 0; i < *n; i++) {
            packet_keep_hash(packets[i]);
        }
        return false;
    case SLUICE_DP_ACTION_TUNNEL_POP:
        execute_tunnel_pop(sink, body, packets, *n, last);
        return last;
    case SLUICE_DP_ACTION_TUNNEL_SET:
        /* Only a datapath whose tunnel ports are the kernel's uses it; here there is none to output to. */
        return false;
    case SLUICE_DP_ACTION_METER:
        sink->meter(sink->aux, ((const struct sluice_dp_action_meter *) body)->meter, packets, n);
        return false;
    case SLUICE_DP_ACTION_DROP:
        drop(sink, ((const struct sluice_dp_action_drop *) body)->reason, packets, *n);
        return true;
    default:
        assert(!"an action that actions_check() refuses");
        return false;
    }
}

/* Whether the action needs the segments of a super-frame, each with the headers that the action reads or covers: NSH's
 * hides what would be cut, and outer headers may be those that are cut. */
static bool
needs_segments(const struct action *action, const struct packet *packet)
{
    if (packet->gso_type == PACKET_GSO_NONE) {
        return false;
    }
    return action->opcode == SLUICE_DP_ACTION_PUSH_NSH
           || (action->opcode == SLUICE_DP_ACTION_TUNNEL_POP && !packet_has_inner_offload(packet));
}

/* Executes 'actions' on the segments of the super-frames among the packets whose segments the first of them needs; takes
 * these and returns how many other packets there are. */
static uint32_t
execute_on_segments(const struct action_sink *sink, struct packet **packets, uint32_t n, const uint8_t *actions,
                    size_t size, struct fate *fate)
{
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!needs_segments((const struct action *) actions, packets[i])) {
            packets[n_left++] = packets[i];
            continue;
        }
        struct packet_segmenter segmenter;
        struct packet *segments[PACKET_BATCH_MAX];
        uint64_t n_all = 0;
        uint32_t n_segments;
        packet_segment_begin(&segmenter, sink->pool, packets[i]);
        while ((n_segments = packet_segment_next(&segmenter, segments, PACKET_BATCH_MAX)) > 0) {
            n_all += n_segments;
            execute_list(sink, segments, n_segments, actions, size, fate);
        }
        end_segments(sink, &segmenter, n_all);
    }
    return n_left;
}

/* Takes the packets; 'packets' itself is used as working space. */
static void
execute_list(const struct action_sink *sink, struct packet **packets, uint32_t n, const uint8_t *actions, size_t size,
             struct fate *fate)
{
    uint32_t size_max = UINT32_MAX;
    for (size_t offset = 0; offset < size && n;) {
        const struct action *action = (const void *) (actions + offset);
        assert(size - offset >= 8 && action->size >= 8 && action->size <= size - offset);
        if (action->opcode == SLUICE_DP_ACTION_PUSH_NSH || action->opcode == SLUICE_DP_ACTION_TUNNEL_POP) {
            n = execute_on_segments(sink, packets, n, actions + offset, size - offset, fate);
        }
        offset += action->size;
        if (action->opcode == SLUICE_DP_ACTION_TUNNEL_PUSH) {
            truncate_batch(packets, n, size_max);
            size_max = UINT32_MAX;
            n = execute_tunnel_push(sink, (const void *) action, packets, n, actions + offset, size - offset, fate);
            continue;
        }
        if (execute_one(sink, action, packets, &n, &size_max, offset >= size, fate)) {
            return;
        }
    }
    end(sink, packets, n, fate);
}

void
actions_execute(const struct action_sink *sink, struct packet *const *packets, uint32_t n, const void *actions,
                size_t size)
{
    struct packet *working[PACKET_BATCH_MAX];
    struct fate fate = { .given = false };
    assert(n <= PACKET_BATCH_MAX);
    memcpy(working, packets, n * sizeof *working);
    execute_list(sink, working, n, actions, size, &fate);
}
