#include "pipeline/action_check.h"

#include <stdbool.h>
#include <string.h>

#include "classifier/action_list.h"
#include "classifier/version_map.h"
#include "pipeline/config.h"
#include "pipeline/field.h"
#include "pipeline/field_hash.h"
#include "pipeline/learn.h"
#include "pipeline/select.h"
#include "pipeline/ofmeter.h"
#include "sluice/flow_key.h"
#include "sluice/records.h"

struct check {
    uint8_t table;
    uint32_t n_tables;
    bool is_frozen;
};

static uint32_t check_list(const struct check *check, const uint8_t *actions, size_t size, uint32_t depth);

static uint32_t
check_subfield(uint16_t field, uint32_t ofs, uint32_t n_bits, bool written)
{
    if (field >= SLUICE_N_FIELDS) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    const struct field_span *span = &field_spans[field];
    if (!n_bits || ofs + n_bits > span->n_bits || (written && !span->writable)) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    return 0;
}

/* True if 'size' is 'fixed' and then 'tail' bytes padded to a multiple of 8. */
static bool
tail_fits(size_t size, size_t fixed, uint64_t tail)
{
    return tail <= size && size == fixed + ((tail + 7) & ~(uint64_t) 7);
}

static bool
port_is_valid(uint32_t port)
{
    port = port_normalize(port);
    return port < PORT_MAX || (port >= PORT_IN_PORT && port != PORT_NONE);
}

static uint32_t
check_set_field(const struct sluice_action_set_field *a)
{
    uint32_t error = check_subfield(a->field, 0, 1, true);
    if (error) {
        return error;
    }
    const struct field_span *span = &field_spans[a->field];
    if (a->value_size != span->value_size || a->form > 1
        || a->size != sizeof *a + 2 * (size_t) ((a->value_size + 7) & ~7u)) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    return 0;
}

static uint32_t
check_move(const struct sluice_action_move *a)
{
    uint32_t error = check_subfield(a->src_field, a->src_ofs, a->n_bits, false);
    return error ? error : check_subfield(a->dst_field, a->dst_ofs, a->n_bits, true);
}

static uint32_t
check_ports(const void *action, uint16_t opcode)
{
    uint32_t port = opcode == SLUICE_ACTION_OUTPUT ? ((const struct sluice_action_output *) action)->port
                                                   : ((const struct sluice_action_enqueue *) action)->port;
    if (opcode == SLUICE_ACTION_OUTPUT) {
        return port_is_valid(port) ? 0 : SLUICE_ERROR_BAD_ARGUMENT;
    }
    port = port_normalize(port);
    return (port && port < PORT_MAX) || port == PORT_IN_PORT || port == PORT_LOCAL ? 0 : SLUICE_ERROR_BAD_ARGUMENT;
}

static uint32_t
check_vlan(const void *action, uint16_t opcode)
{
    bool valid;
    if (opcode == SLUICE_ACTION_PUSH_VLAN) {
        uint16_t type = ((const struct sluice_action_push_vlan *) action)->ethertype;
        valid = type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ;
    } else if (opcode == SLUICE_ACTION_SET_VLAN_VID) {
        valid = ((const struct sluice_action_set_vlan_vid *) action)->vid <= VLAN_VID_MASK;
    } else {
        valid = ((const struct sluice_action_set_vlan_pcp *) action)->pcp <= 7;
    }
    return valid ? 0 : SLUICE_ERROR_BAD_ARGUMENT;
}

static bool
is_encap_type(uint32_t packet_type)
{
    uint32_t eth_type = packet_type & 0xffff;
    return !packet_type
           || (packet_type >> 16 == 1
               && (eth_type == ETH_TYPE_NSH || eth_type == ETH_TYPE_MPLS || eth_type == ETH_TYPE_MPLS_MCAST));
}

/* Properties lie as on the wire: class, type, length, each padded to 8 bytes; only NSH has any. */
static uint32_t
check_encap(const struct sluice_action_encap *a)
{
    const uint8_t *p = (const uint8_t *) (a + 1);
    if (!tail_fits(a->size, sizeof *a, a->props_size) || a->props_size % 8 || !is_encap_type(a->new_pkt_type)) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    for (uint32_t at = 0, size; at < a->props_size; at += size) {
        uint32_t length = p[at + 3];
        size = (length + 7u) & ~7u;
        bool is_nsh = p[at] == 0 && p[at + 1] == 4;
        bool is_tlv = p[at + 2] == 2;
        if (length < 5 || size > a->props_size - at || !is_nsh || (is_tlv && length < 8u + p[at + 7])) {
            return SLUICE_ERROR_BAD_ACTION;
        }
    }
    return 0;
}

static uint32_t
check_mpls(const void *action, uint16_t opcode)
{
    bool valid;
    if (opcode == SLUICE_ACTION_PUSH_MPLS) {
        uint16_t type = ((const struct sluice_action_push_mpls *) action)->ethertype;
        valid = type == ETH_TYPE_MPLS || type == ETH_TYPE_MPLS_MCAST;
    } else if (opcode == SLUICE_ACTION_SET_MPLS_LABEL) {
        valid = ((const struct sluice_action_set_mpls_label *) action)->label <= 0xfffff;
    } else if (opcode == SLUICE_ACTION_SET_MPLS_TC) {
        valid = ((const struct sluice_action_set_mpls_tc *) action)->tc <= 7;
    } else {
        valid = ((const struct sluice_action_set_mpls_ttl *) action)->ttl <= 255;
    }
    return valid ? 0 : SLUICE_ERROR_BAD_ARGUMENT;
}

static uint32_t
check_nested(const struct check *check, const void *action, size_t fixed, uint32_t nested_size, uint32_t depth)
{
    const struct sluice_action_clone *a = action;
    if (!tail_fits(a->size, fixed, nested_size) || nested_size % 8) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    if (depth >= ACTION_DEPTH_MAX) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    return check_list(check, (const uint8_t *) action + fixed, nested_size, depth + 1);
}

/* Fixed sizes by opcode. */
#define FIXED(NAME, STRUCT) [SLUICE_ACTION_##NAME] = sizeof(struct sluice_action_##STRUCT)
static const uint8_t fixed_sizes[SLUICE_ACTION_MAX + 1] = {
    FIXED(OUTPUT, output),
    FIXED(OUTPUT_REG, output_reg),
    FIXED(CONTROLLER, controller),
    FIXED(SET_FIELD, set_field),
    FIXED(MOVE, move),
    FIXED(PUSH_VLAN, push_vlan),
    FIXED(STRIP_VLAN, strip_vlan),
    FIXED(SET_VLAN_VID, set_vlan_vid),
    FIXED(SET_VLAN_PCP, set_vlan_pcp),
    FIXED(SET_ETH_SRC, set_eth_src),
    FIXED(SET_ETH_DST, set_eth_dst),
    FIXED(SET_IPV4_SRC, set_ipv4_src),
    FIXED(SET_IPV4_DST, set_ipv4_dst),
    FIXED(SET_IP_DSCP, set_ip_dscp),
    FIXED(SET_IP_ECN, set_ip_ecn),
    FIXED(SET_IP_TTL, set_ip_ttl),
    FIXED(SET_L4_SRC_PORT, set_l4_src_port),
    FIXED(SET_L4_DST_PORT, set_l4_dst_port),
    FIXED(DEC_TTL, dec_ttl),
    FIXED(RESUBMIT, resubmit),
    FIXED(GOTO_TABLE, goto_table),
    FIXED(WRITE_METADATA, write_metadata),
    FIXED(CLEAR_ACTIONS, clear_actions),
    FIXED(WRITE_ACTIONS, write_actions),
    FIXED(EXIT, exit),
    FIXED(NOTE, note),
    FIXED(CLONE, clone),
    FIXED(SAMPLE, sample),
    FIXED(STACK_PUSH, stack_push),
    FIXED(STACK_POP, stack_pop),
    FIXED(SET_TUNNEL, set_tunnel),
    FIXED(SET_QUEUE, set_queue),
    FIXED(POP_QUEUE, pop_queue),
    FIXED(ENQUEUE, enqueue),
    FIXED(FIN_TIMEOUT, fin_timeout),
    FIXED(LEARN, learn),
    FIXED(CONJUNCTION, conjunction),
    FIXED(MULTIPATH, multipath),
    FIXED(BUNDLE, bundle),
    FIXED(DEBUG_RECIRC, debug_recirc),
    FIXED(METER, meter),
    FIXED(ENCAP, encap),
    FIXED(DECAP, decap),
    FIXED(DEC_NSH_TTL, dec_nsh_ttl),
    FIXED(OUTPUT_TRUNC, output_trunc),
    FIXED(PUSH_MPLS, push_mpls),
    FIXED(POP_MPLS, pop_mpls),
    FIXED(SET_MPLS_LABEL, set_mpls_label),
    FIXED(SET_MPLS_TC, set_mpls_tc),
    FIXED(SET_MPLS_TTL, set_mpls_ttl),
    FIXED(DEC_MPLS_TTL, dec_mpls_ttl),
    FIXED(DELETE_FIELD, delete_field),
    FIXED(CHECK_PKT_LARGER, check_pkt_larger),
    FIXED(GROUP, group),
};
#undef FIXED

static uint32_t
check_conjunction(const struct sluice_action_conjunction *a)
{
    bool valid = a->n_clauses >= 2 && a->n_clauses <= 64 && a->clause < a->n_clauses;
    return valid ? 0 : SLUICE_ERROR_BAD_ACTION;
}

static uint32_t
check_multipath(const struct sluice_action_multipath *a)
{
    bool fits = a->n_bits >= 16 || a->max_link < 1u << a->n_bits;
    if (a->fields >= HASH_FIELDS_COUNT || a->algorithm > MULTIPATH_ITER_HASH || !fits) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    return check_subfield(a->field, a->ofs, a->n_bits, true);
}

static uint32_t
check_bundle(const struct sluice_action_bundle *a)
{
    if (a->fields >= HASH_FIELDS_COUNT || a->algorithm > BUNDLE_HRW || a->n_members > BUNDLE_MEMBERS_MAX
        || !tail_fits(a->size, sizeof *a, 4u * a->n_members)) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    return a->n_bits ? check_subfield(a->field, a->ofs, a->n_bits, true) : 0;
}

/* Checks what depends on the opcode.  The fixed part is there. */
static uint32_t
check_action(const struct check *check, const uint8_t *action, uint16_t opcode, uint16_t size, uint32_t depth)
{
    switch (opcode) {
    case SLUICE_ACTION_CONTROLLER:
        return tail_fits(size, sizeof(struct sluice_action_controller),
                         ((const struct sluice_action_controller *) action)->userdata_size)
                   ? 0
                   : SLUICE_ERROR_BAD_ACTION;
    case SLUICE_ACTION_NOTE:
        return tail_fits(size, sizeof(struct sluice_action_note),
                         ((const struct sluice_action_note *) action)->note_size)
                   ? 0
                   : SLUICE_ERROR_BAD_ACTION;
    case SLUICE_ACTION_DEC_TTL:
        return tail_fits(size, sizeof(struct sluice_action_dec_ttl),
                         2u * ((const struct sluice_action_dec_ttl *) action)->n_controllers)
                   ? 0
                   : SLUICE_ERROR_BAD_ACTION;
    case SLUICE_ACTION_DELETE_FIELD:
        return field_is_plain(((const struct sluice_action_delete_field *) action)->field)
                       || ((const struct sluice_action_delete_field *) action)->field >= SLUICE_N_FIELDS
                   ? SLUICE_ERROR_BAD_ACTION
                   : 0;
    case SLUICE_ACTION_ENCAP:
        return check_encap((const struct sluice_action_encap *) action);
    case SLUICE_ACTION_SET_FIELD:
        return check_set_field((const struct sluice_action_set_field *) action);
    case SLUICE_ACTION_LEARN:
        return learn_check((const struct sluice_action_learn *) action, check->n_tables);
    case SLUICE_ACTION_BUNDLE:
        return check_bundle((const struct sluice_action_bundle *) action);
    case SLUICE_ACTION_WRITE_ACTIONS:
    case SLUICE_ACTION_CLONE:
        return check_nested(check, action, fixed_sizes[opcode],
                            ((const struct sluice_action_clone *) action)->actions_size, depth);
    default:
        break;
    }

    if (size != fixed_sizes[opcode]) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    switch (opcode) {
    case SLUICE_ACTION_OUTPUT:
    case SLUICE_ACTION_ENQUEUE:
        return check_ports(action, opcode);
    case SLUICE_ACTION_OUTPUT_REG: {
        const struct sluice_action_output_reg *a = (const struct sluice_action_output_reg *) action;
        return a->n_bits > 64 ? SLUICE_ERROR_BAD_ACTION : check_subfield(a->field, a->ofs, a->n_bits, false);
    }
    case SLUICE_ACTION_MOVE:
        return check_move((const struct sluice_action_move *) action);
    case SLUICE_ACTION_CONJUNCTION:
        return check_conjunction((const struct sluice_action_conjunction *) action);
    case SLUICE_ACTION_MULTIPATH:
        return check_multipath((const struct sluice_action_multipath *) action);
    case SLUICE_ACTION_PUSH_VLAN:
    case SLUICE_ACTION_SET_VLAN_VID:
    case SLUICE_ACTION_SET_VLAN_PCP:
        return check_vlan(action, opcode);
    case SLUICE_ACTION_OUTPUT_TRUNC: {
        const struct sluice_action_output_trunc *a = (const struct sluice_action_output_trunc *) action;
        return port_is_valid(a->port) && a->max_len >= 14 ? 0 : SLUICE_ERROR_BAD_ARGUMENT;
    }
    case SLUICE_ACTION_SAMPLE: {
        const struct sluice_action_sample *a = (const struct sluice_action_sample *) action;
        return a->probability && a->direction <= 2 ? 0 : SLUICE_ERROR_BAD_ARGUMENT;
    }
    case SLUICE_ACTION_PUSH_MPLS:
    case SLUICE_ACTION_SET_MPLS_LABEL:
    case SLUICE_ACTION_SET_MPLS_TC:
    case SLUICE_ACTION_SET_MPLS_TTL:
        return check_mpls(action, opcode);
    case SLUICE_ACTION_CHECK_PKT_LARGER: {
        const struct sluice_action_check_pkt_larger *a = (const struct sluice_action_check_pkt_larger *) action;
        return a->n_bits != 1 ? SLUICE_ERROR_BAD_ACTION : check_subfield(a->field, a->ofs, a->n_bits, true);
    }
    case SLUICE_ACTION_STACK_PUSH:
    case SLUICE_ACTION_STACK_POP: {
        const struct sluice_action_stack_push *a = (const struct sluice_action_stack_push *) action;
        return check_subfield(a->field, a->ofs, a->n_bits, opcode == SLUICE_ACTION_STACK_POP);
    }
    case SLUICE_ACTION_RESUBMIT: {
        const struct sluice_action_resubmit *a = (const struct sluice_action_resubmit *) action;
        return a->with_ct                                       ? SLUICE_ERROR_UNSUPPORTED_ACTION
               : a->table != 255 && a->table >= check->n_tables ? SLUICE_ERROR_BAD_TABLE
                                                                : 0;
    }
    case SLUICE_ACTION_GOTO_TABLE: {
        uint32_t table = ((const struct sluice_action_goto_table *) action)->table;
        bool up = check->table == 255 || table > check->table;
        return table < check->n_tables && table < 255 && up ? 0 : SLUICE_ERROR_BAD_TABLE;
    }
    default:
        return 0;
    }
}

static uint32_t
check_list(const struct check *check, const uint8_t *actions, size_t size, uint32_t depth)
{
    for (size_t at = 0; at < size;) {
        uint16_t opcode;
        uint16_t action_size;
        if (size - at < 8) {
            return SLUICE_ERROR_BAD_ACTION;
        }
        memcpy(&opcode, actions + at, 2);
        memcpy(&action_size, actions + at + 2, 2);
        if (action_size < 8 || action_size % 8 || action_size > size - at) {
            return SLUICE_ERROR_BAD_ACTION;
        }
        if (!opcode || opcode > SLUICE_ACTION_MAX) {
            return SLUICE_ERROR_BAD_ACTION;
        }
        if (opcode == SLUICE_ACTION_UNROLL_XLATE && check->is_frozen && !depth
            && action_size == sizeof(struct sluice_action_unroll_xlate)) {
            at += action_size;
            continue;
        }
        if (!sluice_action_executed[opcode] || !fixed_sizes[opcode]) {
            return SLUICE_ERROR_UNSUPPORTED_ACTION;
        }
        if (action_size < fixed_sizes[opcode]) {
            return SLUICE_ERROR_BAD_ACTION;
        }
        uint32_t error = check_action(check, actions + at, opcode, action_size, depth);
        if (error) {
            return error;
        }
        at += action_size;
    }
    return 0;
}

static uint32_t
check_whole(const struct check *check, const void *actions, size_t size)
{
    if (size % 8 || ((uintptr_t) actions & 7) || size > UINT32_MAX) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    return check_list(check, actions, size, 0);
}

uint32_t
action_check(const void *actions, size_t size, uint8_t table, uint32_t n_tables)
{
    const struct check check = { .table = table, .n_tables = n_tables };
    return check_whole(&check, actions, size);
}

uint32_t
action_check_frozen(const void *actions, size_t size, uint32_t n_tables)
{
    const struct check check = { .table = 255, .n_tables = n_tables, .is_frozen = true };
    return check_whole(&check, actions, size);
}

struct reference_check {
    const struct bridge *bridge;
    uint32_t error;
};

static void
check_reference(uint32_t kind, uint32_t id, void *check_)
{
    struct reference_check *check = check_;
    bool there = true;
    uint32_t error = kind == ACTION_REFERENCE_METER ? SLUICE_ERROR_NO_SUCH_METER : SLUICE_ERROR_NO_SUCH_GROUP;

    if (kind == ACTION_REFERENCE_METER) {
        there = ofmeter_id_is_plain(id) && version_map_newest(check->bridge->meters, id);
    } else {
        there = version_map_newest(check->bridge->groups, id);
    }
    if (!there && !check->error) {
        check->error = error;
    }
}

uint32_t
action_check_references(const struct bridge *bridge, const void *actions, size_t size)
{
    struct reference_check check = { bridge, 0 };
    actions_visit_references(actions, (uint32_t) size, check_reference, &check);
    return check.error;
}
