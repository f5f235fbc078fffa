#include "pipeline/learn.h"

#include <stdlib.h>
#include <string.h>

#include "classifier/flow_store.h"
#include "packet/bytes.h"
#include "packet/match.h"
#include "pipeline/field.h"
#include "pipeline/tlv_map.h"
#include "pipeline/pipeline_state.h"
#include "pipeline/remark.h"

#define LEARN_SEND_FLOW_REM 1u
#define LEARN_DELETE_LEARNED 2u
#define LEARN_WRITE_RESULT 4u
#define LEARN_FLAGS (LEARN_SEND_FLOW_REM | LEARN_DELETE_LEARNED | LEARN_WRITE_RESULT)

enum spec_source {
    SOURCE_FIELD,
    SOURCE_IMMEDIATE,
};

enum spec_target {
    TARGET_MATCH,
    TARGET_LOAD,
    TARGET_OUTPUT,
};

static size_t
pad8(size_t size)
{
    return (size + 7) & ~(size_t) 7;
}

static const struct sluice_learn_spec *
first_spec(const struct sluice_action_learn *learn)
{
    return learn->specs_size ? (const struct sluice_learn_spec *) (learn + 1) : NULL;
}

/* The spec after 'spec', or null. */
static const struct sluice_learn_spec *
next_spec(const struct sluice_action_learn *learn, const struct sluice_learn_spec *spec)
{
    const uint8_t *next = (const uint8_t *) (spec + 1) + pad8(spec->immediate_size);
    bool more = next < (const uint8_t *) (learn + 1) + learn->specs_size;
    return more ? (const struct sluice_learn_spec *) (const void *) next : NULL;
}

static struct subfield
spec_source(const struct sluice_learn_spec *spec)
{
    return (struct subfield){ spec->src_field, spec->src_ofs, spec->n_bits };
}

static field_value
spec_value(const struct tlv_map *tlvs, const struct sluice_learn_spec *spec, const struct flow_key *flow)
{
    if (spec->source == SOURCE_FIELD) {
        return tlv_subfield_get(tlvs, flow, spec_source(spec));
    }
    return field_value_load((const uint8_t *) (spec + 1), spec->immediate_size) & field_ones(spec->n_bits);
}

static uint32_t
check_field(uint16_t field, uint32_t ofs, uint32_t n_bits, bool written)
{
    if (field >= SLUICE_N_FIELDS) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    const struct field_span *span = &field_spans[field];
    bool valid = n_bits && n_bits <= FIELD_BITS_MAX && ofs + n_bits <= span->n_bits && (!written || span->writable);
    return valid ? 0 : SLUICE_ERROR_BAD_ACTION;
}

static uint32_t
check_spec(const struct sluice_learn_spec *spec, size_t room)
{
    uint32_t error = 0;
    if (room < sizeof *spec || pad8(spec->immediate_size) > room - sizeof *spec || spec->source > SOURCE_IMMEDIATE
        || spec->target > TARGET_OUTPUT || (spec->target == TARGET_OUTPUT && spec->source == SOURCE_IMMEDIATE)
        || spec->immediate_size > FIELD_BITS_MAX / 8) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    if (spec->source == SOURCE_FIELD) {
        error = check_field(spec->src_field, spec->src_ofs, spec->n_bits, false);
    }
    if (!error && spec->target != TARGET_OUTPUT) {
        error = check_field(spec->dst_field, spec->dst_ofs, spec->n_bits, spec->target == TARGET_LOAD);
    }
    return error;
}

uint32_t
learn_check(const struct sluice_action_learn *learn, uint32_t n_tables)
{
    if (learn->learn_flags & ~LEARN_FLAGS || learn->specs_size % 8
        || learn->size != sizeof *learn + (size_t) learn->specs_size) {
        return SLUICE_ERROR_BAD_ACTION;
    }
    if (learn->table >= n_tables) {
        return SLUICE_ERROR_BAD_TABLE;
    }
    const uint8_t *bytes = (const uint8_t *) (learn + 1);
    for (size_t at = 0; at < learn->specs_size;) {
        const struct sluice_learn_spec *spec = (const struct sluice_learn_spec *) (const void *) (bytes + at);
        uint32_t error = check_spec(spec, learn->specs_size - at);
        if (error) {
            return error;
        }
        at += sizeof *spec + pad8(spec->immediate_size);
    }
    return learn->learn_flags & LEARN_WRITE_RESULT ? check_field(learn->result_field, learn->result_ofs, 1, true) : 0;
}

void
learn_unwildcard(const struct tlv_map *tlvs, const struct sluice_action_learn *learn, struct flow_key *wild)
{
    for (const struct sluice_learn_spec *spec = first_spec(learn); spec; spec = next_spec(learn, spec)) {
        if (spec->source == SOURCE_FIELD) {
            tlv_subfield_unwildcard(tlvs, wild, spec_source(spec));
        }
    }
}

/* The new flow's match, expanded. */
struct expanded {
    struct flow_key value;
    struct flow_key mask;
};

static void
match_on(const struct tlv_map *tlvs, struct expanded *match, const struct sluice_learn_spec *spec, field_value value)
{
    if (!field_is_plain(spec->dst_field)) {
        const struct subfield sf = { spec->dst_field, spec->dst_ofs, spec->n_bits };
        tlv_subfield_set(tlvs, &match->value, sf, value);
        tlv_subfield_unwildcard(tlvs, &match->mask, sf);
        return;
    }
    const struct field_span *span = &field_spans[spec->dst_field];
    uint32_t shift = spec->dst_ofs + span->shift;
    field_value bits = field_ones(spec->n_bits) << shift;
    uint8_t *to_value = match->value.bytes + span->offset;
    uint8_t *to_mask = match->mask.bytes + span->offset;

    field_value word = field_value_load(to_value, span->size);
    field_value_store(to_value, span->size, (word & ~bits) | (value << shift & bits));
    field_value_store(to_mask, span->size, field_value_load(to_mask, span->size) | bits);

    if (spec->dst_field == SLUICE_FIELD_IN_PORT) {
        /* The 16-bit number stands for a 32-bit one. */
        match->value.in_port = be32(port_normalize(be32(match->value.in_port) & 0xffff));
        match->mask.in_port = UINT32_MAX;
    } else if (spec->dst_field == SLUICE_FIELD_VLAN_PCP || spec->dst_field == SLUICE_FIELD_DL_VLAN
               || spec->dst_field == SLUICE_FIELD_DL_VLAN_PCP) {
        match->value.vlan0_tci |= be16(VLAN_CFI);
        match->mask.vlan0_tci |= be16(VLAN_CFI);
    }
}

/* A load of the new flow.  Returns its size. */
static uint32_t
put_load(uint8_t *to, const struct sluice_learn_spec *spec, field_value value)
{
    const struct field_span *span = &field_spans[spec->dst_field];
    struct sluice_action_set_field *a = (struct sluice_action_set_field *) (void *) to;
    uint32_t bytes = (uint32_t) pad8(span->value_size);
    uint32_t size = (uint32_t) sizeof *a + 2 * bytes;

    memset(to, 0, size);
    *a = (struct sluice_action_set_field){
        .opcode = SLUICE_ACTION_SET_FIELD,
        .size = (uint16_t) size,
        .field = spec->dst_field,
        .form = 1,
        .ofs = spec->dst_ofs,
        .n_bits = spec->n_bits,
        .value_size = span->value_size,
    };
    uint8_t *value_bytes = (uint8_t *) (a + 1);
    if (!field_is_plain(spec->dst_field)) {
        tlv_value_put(value_bytes, spec->dst_ofs, spec->n_bits, value);
        tlv_value_put(value_bytes + bytes, spec->dst_ofs, spec->n_bits, ~(field_value) 0);
        return size;
    }
    field_value_store(value_bytes, span->value_size, value << spec->dst_ofs);
    field_value_store(value_bytes + bytes, span->value_size, field_ones(spec->n_bits) << spec->dst_ofs);
    return size;
}

/* An output of the new flow, if 'value' is a port that a learned flow may output to.  Returns its size. */
static uint32_t
put_output(uint8_t *to, field_value value)
{
    uint32_t port = value <= UINT16_MAX ? port_normalize((uint32_t) value) : PORT_NONE;
    bool may = port < PORT_MAX || port == PORT_IN_PORT || port == PORT_FLOOD || port == PORT_LOCAL || port == PORT_ALL;

    if (may) {
        struct sluice_action_output *a = (struct sluice_action_output *) (void *) to;
        *a = (struct sluice_action_output){ .opcode = SLUICE_ACTION_OUTPUT, .size = sizeof *a, .port = port };
        return sizeof *a;
    }
    return 0;
}

/* Writes the actions of the new flow to 'to', if it is not null, which has room for them.  Returns their size. */
static uint32_t
put_actions(const struct tlv_map *tlvs, const struct sluice_action_learn *learn, const struct flow_key *flow,
            struct expanded *match, uint8_t *to)
{
    uint32_t used = 0;

    if (learn->fin_idle_timeout || learn->fin_hard_timeout) {
        struct sluice_action_fin_timeout *a = (struct sluice_action_fin_timeout *) (void *) to;
        *a = (struct sluice_action_fin_timeout){
            .opcode = SLUICE_ACTION_FIN_TIMEOUT,
            .size = sizeof *a,
            .idle_timeout = learn->fin_idle_timeout,
            .hard_timeout = learn->fin_hard_timeout,
        };
        used += sizeof *a;
    }
    for (const struct sluice_learn_spec *spec = first_spec(learn); spec; spec = next_spec(learn, spec)) {
        field_value value = spec_value(tlvs, spec, flow);
        if (spec->target == TARGET_MATCH) {
            match_on(tlvs, match, spec, value);
        } else if (spec->target == TARGET_LOAD) {
            used += put_load(to + used, spec, value);
        } else {
            used += put_output(to + used, value);
        }
    }
    return used;
}

/* Bytes that the actions take at most. */
static size_t
actions_room(const struct sluice_action_learn *learn)
{
    size_t room = sizeof(struct sluice_action_fin_timeout);
    for (const struct sluice_learn_spec *spec = first_spec(learn); spec; spec = next_spec(learn, spec)) {
        room += spec->target == TARGET_LOAD
                    ? sizeof(struct sluice_action_set_field) + 2 * pad8(field_spans[spec->dst_field].value_size)
                : spec->target == TARGET_OUTPUT ? sizeof(struct sluice_action_output)
                                                : 0;
    }
    return room;
}

/* The flow_mod that installs the flow, without match and actions. */
static struct sluice_flow_mod
make_record(uint32_t bridge, const struct sluice_action_learn *learn, uint32_t match_size, uint32_t actions_size)
{
    uint16_t flags = learn->cookie == UINT64_MAX ? SLUICE_FLOW_FLAG_ADD_KEEPS_COOKIE : SLUICE_FLOW_FLAG_MODIFY_MAY_ADD;

    flags |= learn->learn_flags & LEARN_SEND_FLOW_REM ? SLUICE_FLOW_FLAG_SEND_FLOW_REM : 0;
    return (struct sluice_flow_mod){
        .type = SLUICE_COMMAND_FLOW_MOD,
        .size = (uint32_t) sizeof(struct sluice_flow_mod) + match_size + actions_size,
        .bridge = bridge,
        .table = learn->table,
        .command = SLUICE_FLOW_COMMAND_MODIFY_STRICT,
        .flow_flags = flags,
        .priority = learn->priority,
        .out_port = UINT32_MAX,
        .out_group = UINT32_MAX,
        .new_cookie = learn->cookie,
        .idle_timeout_s = learn->idle_timeout,
        .hard_timeout_s = learn->hard_timeout,
        .match_size = match_size,
        .actions_size = actions_size,
    };
}

struct learned *
learned_create(uint32_t bridge, const struct tlv_map *tlvs, const struct sluice_action_learn *learn,
               const struct flow_key *flow, uint64_t now_ms)
{
    const size_t head = (sizeof(struct learned) + 7) & ~(size_t) 7;
    struct expanded expanded;
    struct match_buffer match;
    uint8_t *actions = malloc(actions_room(learn));

    if (!actions) {
        return NULL;
    }
    memset(&expanded, 0, sizeof expanded);
    uint32_t actions_size = put_actions(tlvs, learn, flow, &expanded, actions);
    uint32_t match_bytes = (uint32_t) match_compress(&expanded.value, &expanded.mask, &match.match, sizeof match);
    struct learned *learned = malloc(head + sizeof *learned->record + match_bytes + actions_size);
    if (learned) {
        atomic_init(&learned->refs, 1);
        atomic_init(&learned->waits, false);
        atomic_init(&learned->limit_told, false);
        atomic_init(&learned->used_ms, now_ms);
        learned->limit = learn->limit;
        learned->record = (struct sluice_flow_mod *) (void *) ((uint8_t *) learned + head);
        *learned->record = make_record(bridge, learn, match_bytes, actions_size);
        uint8_t *tail = (uint8_t *) (learned->record + 1);
        memcpy(tail, &match, match_bytes);
        memcpy(tail + match_bytes, actions, actions_size);
    }
    free(actions);
    return learned;
}

void
learned_ref(struct learned *learned)
{
    atomic_fetch_add_explicit(&learned->refs, 1, memory_order_relaxed);
}

void
learned_unref(struct learned *learned)
{
    if (learned && atomic_fetch_sub_explicit(&learned->refs, 1, memory_order_acq_rel) == 1) {
        free(learned);
    }
}

/* Whether 'timeout_s' (0: none) has run out since the last packet. */
static bool
ran_out(uint64_t used_ms, uint16_t timeout_s, uint64_t now_ms)
{
    return timeout_s && used_ms + timeout_s * UINT64_C(1000) < now_ms;
}

/* Whether there is nothing to install: the flow is there, and is now as young as the last packet that learned it, or it
 * would be too old. */
static bool
is_settled(const struct bridge_view *view, const struct learned *learned, uint64_t now_ms)
{
    const struct sluice_flow_mod *record = learned->record;
    uint64_t used_ms = atomic_load_explicit(&learned->used_ms, memory_order_relaxed);
    return flow_store_refresh(view->bridge->flows, record, used_ms) || ran_out(used_ms, record->hard_timeout_s, now_ms)
           || ran_out(used_ms, record->idle_timeout_s, now_ms);
}

uint32_t
learned_add(struct pipeline *pipeline, const struct learned *learned, uint64_t now_ms)
{
    const struct sluice_flow_mod *record = learned->record;
    const struct bridge_view *view = pipeline_view(pipeline, record->bridge);
    if (!view || is_settled(view, learned, now_ms)) {
        return 0;
    }
    uint32_t error;
    struct flow_store *flows = transaction_flows(pipeline, record->bridge, &error);
    uint64_t n_rules;
    return flows ? flow_store_flow_mod(flows, record, now_ms, &n_rules) : error;
}

bool
learned_install(struct pipeline *pipeline, struct learned *learned, uint64_t now_ms)
{
    const struct sluice_flow_mod *record = learned->record;
    const struct bridge_view *view = pipeline_view(pipeline, record->bridge);
    if (learned->limit && view && !is_settled(view, learned, now_ms)
        && flow_store_count_cookie(view->bridge->flows, record->table, record->new_cookie, learned->limit)
               >= learned->limit) {
        const struct remark remark = { .bridge = record->bridge,
                                       .code = SLUICE_TRACE_NOTE_LEARN_LIMIT,
                                       .a = record->new_cookie };
        /* Packets under one megaflow ask for the same again. */
        if (!atomic_exchange(&learned->limit_told, true)) {
            remark_tell(pipeline, &remark, now_ms);
        }
        return false;
    }
    learned_add(pipeline, learned, now_ms);
    return true;
}

bool
learned_is_there(const struct pipeline *pipeline, const struct learned *learned)
{
    const struct bridge_view *view = pipeline_view(pipeline, learned->record->bridge);
    return view && flow_store_refresh(view->bridge->flows, learned->record, 0);
}
