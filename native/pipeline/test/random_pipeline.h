/* Random rules and random packets that meet, for tests of properties: two bridges with a patch port between them. */
#ifndef SLUICE_PIPELINE_TEST_RANDOM_PIPELINE_H
#define SLUICE_PIPELINE_TEST_RANDOM_PIPELINE_H 1

#include "pipeline/test/pipeline_rig.h"

/* Fields that rules match and actions set. */
static const uint16_t match_fields[] = {
    SLUICE_FIELD_ETH_SRC,   SLUICE_FIELD_ETH_DST,   SLUICE_FIELD_VLAN_TCI,    SLUICE_FIELD_VLAN_VID,
    SLUICE_FIELD_VLAN_PCP,  SLUICE_FIELD_IP_SRC,    SLUICE_FIELD_IP_DST,      SLUICE_FIELD_NW_PROTO,
    SLUICE_FIELD_NW_TTL,    SLUICE_FIELD_NW_TOS,    SLUICE_FIELD_TCP_SRC,     SLUICE_FIELD_TCP_DST,
    SLUICE_FIELD_REG0,      SLUICE_FIELD_METADATA,  SLUICE_FIELD_ETH_TYPE,    SLUICE_FIELD_IP_FRAG,
    SLUICE_FIELD_TCP_FLAGS, SLUICE_FIELD_IPV6_SRC,  SLUICE_FIELD_IPV6_LABEL,  SLUICE_FIELD_PKT_MARK,
    SLUICE_FIELD_ICMP_TYPE, SLUICE_FIELD_ND_TARGET, SLUICE_FIELD_IN_PORT_OXM,
};
static const uint16_t set_fields[] = {
    SLUICE_FIELD_ETH_SRC,   SLUICE_FIELD_ETH_DST,   SLUICE_FIELD_VLAN_TCI,   SLUICE_FIELD_VLAN_VID,
    SLUICE_FIELD_VLAN_PCP,  SLUICE_FIELD_DL_VLAN,   SLUICE_FIELD_IP_SRC,     SLUICE_FIELD_IP_DST,
    SLUICE_FIELD_NW_TTL,    SLUICE_FIELD_NW_TOS,    SLUICE_FIELD_NW_ECN,     SLUICE_FIELD_TCP_SRC,
    SLUICE_FIELD_UDP_DST,   SLUICE_FIELD_REG0,      SLUICE_FIELD_XREG0,      SLUICE_FIELD_XXREG0,
    SLUICE_FIELD_METADATA,  SLUICE_FIELD_IPV6_SRC,  SLUICE_FIELD_IPV6_LABEL, SLUICE_FIELD_PKT_MARK,
    SLUICE_FIELD_ICMP_TYPE, SLUICE_FIELD_ND_TARGET, SLUICE_FIELD_ARP_SHA,    SLUICE_FIELD_ARP_OP,
    SLUICE_FIELD_ARP_TPA,
};

#define PICK(SEED, ARRAY) (ARRAY)[random_next(SEED) % (sizeof(ARRAY) / sizeof(ARRAY)[0])]

static inline field_value
random_value(uint64_t *seed)
{
    /* Small numbers, so that things meet. */
    return random_next(seed) % 4 ? random_next(seed) % 4 : (field_value) random_next(seed) << 64 | random_next(seed);
}

static inline void
random_packet(uint64_t *seed, struct flow_key *key)
{
    static const uint16_t types[] = {
        ETH_TYPE_IPV4, ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_ARP, 0x1234, ETH_TYPE_VLAN
    };
    static const uint8_t protocols[] = { 6, 17, 1, 58, 132, 2 };
    memset(key, 0, sizeof *key);
    key->in_port = be32((uint32_t) (1 + random_next(seed) % 5));
    key->eth_type = be16(PICK(seed, types));
    key->eth_src[5] = (uint8_t) (random_next(seed) % 4);
    key->eth_dst[5] = (uint8_t) (random_next(seed) % 4);
    if (random_next(seed) % 8 == 0) {
        memset(key->eth_dst, 0xff, 6);
    }
    uint32_t n_tags = (uint32_t) (random_next(seed) % 3);
    if (n_tags) {
        key_set_vlan(key, (uint16_t) (random_next(seed) % 4), (uint16_t) (random_next(seed) % 8));
        if (n_tags == 2) {
            key->vlan1_tpid = be16(random_next(seed) % 2 ? ETH_TYPE_VLAN : ETH_TYPE_QINQ);
            key->vlan1_tci = be16((uint16_t) (VLAN_CFI | random_next(seed) % 4));
        }
    }
    key->pkt_mark = be32((uint32_t) (random_next(seed) % 3));
    bool is_arp = key->eth_type == be16(ETH_TYPE_ARP);
    if (key_is_ip(key) || is_arp) {
        key->ip_src = be32((uint32_t) random_value(seed));
        key->ip_dst = be32((uint32_t) random_value(seed));
        key->ip_proto = is_arp ? (uint8_t) (1 + random_next(seed) % 2) : PICK(seed, protocols);
    }
    if (key_is_ip(key)) {
        key->ip_ttl = (uint8_t) (random_next(seed) % 4);
        key->ip_tos = (uint8_t) random_next(seed);
        key->ip_frag = (uint8_t[]){ 0, 0, 0, 1, 3 }[random_next(seed) % 5];
        if (!(key->ip_frag & FRAG_LATER)) {
            bool is_icmp = key->ip_proto == 1 || key->ip_proto == 58;
            key->tp_src = is_icmp ? be16(random_next(seed) % 2 ? 135 : 8) : be16((uint16_t) (random_next(seed) % 4));
            key->tp_dst = be16((uint16_t) (random_next(seed) % 4));
        }
    }
    if (key->eth_type == be16(ETH_TYPE_IPV6)) {
        key->ip_src = key->ip_dst = 0;
        key->ipv6_src[15] = (uint8_t) (random_next(seed) % 4);
        key->ipv6_label = be32((uint32_t) (random_next(seed) % 4));
    }
}

static inline void
random_actions(uint64_t *seed, uint8_t table, struct actions *a, uint32_t depth)
{
    for (uint64_t n = 1 + random_next(seed) % 4; n; n--) {
        uint16_t field = PICK(seed, set_fields);
        uint16_t bits = field_spans[field].n_bits;
        uint16_t n_bits = (uint16_t) (1 + random_next(seed) % (bits < 32 ? bits : 32));
        uint16_t ofs = (uint16_t) (random_next(seed) % (uint64_t) (bits - n_bits + 1));
        uint32_t from = a->size;
        switch (random_next(seed) % 17) {
        case 0:
        case 1:
        case 2:
            add_output(a, (uint32_t) (1 + random_next(seed) % 8));
            break;
        case 3:
            add_set_field(a, field, random_value(seed), field_ones(bits));
            break;
        case 4:
            add_set_field(a, field, random_value(seed) << ofs, field_ones(n_bits) << ofs);
            break;
        case 5: {
            uint16_t src = PICK(seed, match_fields);
            n_bits = n_bits < field_spans[src].n_bits ? n_bits : field_spans[src].n_bits;
            ADD_ACTION(a, MOVE, move, .n_bits = n_bits, .src_field = src, .dst_field = field, .dst_ofs = ofs);
            break;
        }
        case 6:
            ADD_ACTION(a, PUSH_VLAN, push_vlan, .ethertype = random_next(seed) % 2 ? 0x8100 : 0x88a8);
            break;
        case 7:
            ADD_ACTION(a, STRIP_VLAN, strip_vlan, .form = 0);
            break;
        case 8:
            ADD_ACTION(a, SET_VLAN_VID, set_vlan_vid, .vid = 3, .push = random_next(seed) % 2);
            break;
        case 9:
            ADD_ACTION(a, DEC_TTL, dec_ttl, .n_controllers = 0);
            break;
        case 10:
            ADD_ACTION(a, RESUBMIT, resubmit, .in_port = random_next(seed) % 2 ? PORT_IN_PORT : 3,
                       .table = (uint8_t) (table + 1 + random_next(seed) % 2));
            break;
        case 11:
            add_output(a, PORT_NORMAL);
            break;
        case 12:
            ADD_ACTION(a, STACK_PUSH, stack_push, .field = field, .ofs = ofs, .n_bits = n_bits);
            ADD_ACTION(a, STACK_POP, stack_pop, .field = PICK(seed, set_fields), .n_bits = 1);
            break;
        case 13:
            if (depth < 2) {
                random_actions(seed, table, a, depth + 1);
                wrap_actions(a, from, SLUICE_ACTION_CLONE);
            }
            break;
        case 14:
            add_output(a, random_next(seed) % 2 ? PORT_FLOOD : PORT_CONTROLLER);
            break;
        case 15:
            ADD_ACTION(a, OUTPUT_REG, output_reg, .field = PICK(seed, match_fields), .n_bits = 1);
            break;
        case 16:
            ADD_ACTION(a, SET_L4_DST_PORT, set_l4_dst_port, .port = 3);
            break;
        }
    }
}

/* What priorities rules get: few, so that rules replace each other, or each its own, so that it is defined which of two
 * that match is used. */
enum priorities { PRIORITIES_FEW, PRIORITIES_DISTINCT };

static inline uint32_t
random_priority(uint64_t *seed, enum priorities priorities)
{
    static uint32_t n;
    return priorities == PRIORITIES_FEW ? (uint32_t) (random_next(seed) % 3) : ++n * 7919 % 65521;
}

static inline void
random_flow(struct rig *rig, uint64_t *seed, uint32_t bridge, enum priorities priorities)
{
    struct flow_key value;
    struct flow_key mask;
    struct actions a = { .size = 0 };
    uint8_t table = (uint8_t) (random_next(seed) % 4);
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    for (uint64_t n = random_next(seed) % 4; n; n--) {
        uint16_t field = PICK(seed, match_fields);
        field_value field_mask = random_next(seed) % 3 ? field_ones(field_spans[field].n_bits)
                                                       : random_value(seed) & field_ones(field_spans[field].n_bits);
        const struct field_span *span = &field_spans[field];
        field_value v = random_value(seed) & field_mask;
        field_value word = field_value_load(mask.bytes + span->offset, span->size);
        field_value_store(mask.bytes + span->offset, span->size, word | field_mask << span->shift);
        word = field_value_load(value.bytes + span->offset, span->size);
        field_value_store(value.bytes + span->offset, span->size, word | v << span->shift);
    }
    random_actions(seed, table, &a, 0);
    uint32_t error = rig_flow_command(rig, bridge, table, random_priority(seed, priorities), &value, &mask, &a);
    CHECK(!error || error == SLUICE_ERROR_BAD_MATCH);
}

static inline void
random_config(struct rig *rig, uint64_t *seed, enum priorities priorities)
{
    for (uint32_t bridge = 1; bridge <= 2; bridge++) {
        rig_clear(rig, bridge);
        rig_bridge_flags(rig, bridge, 0, (uint32_t[]){ 0, 0, 1, 3 }[random_next(seed) % 4]);
        for (uint32_t port = 1; port <= 4; port++) {
            rig_bundle(rig, bridge, port, (uint16_t) (random_next(seed) % 5), (uint16_t) (random_next(seed) % 4),
                       (uint16_t) (random_next(seed) % 4), (uint16_t) (random_next(seed) % 4));
        }
        pipeline_begin(rig->pipeline, true);
        for (uint64_t n = 2 + random_next(seed) % 12; n; n--) {
            random_flow(rig, seed, bridge, priorities);
        }
        rig_commit(rig);
    }
}

/* A copy of 'key' with other bits where 'mask' is clear.  Members of the packet only, and such that it stays a key
 * that a parser could have made as far as the mask leaves it free. */
static inline void
vary(uint64_t *seed, const struct flow_key *key, const struct flow_key *mask, struct flow_key *variant)
{
    struct flow_key other;
    random_packet(seed, &other);
    for (uint32_t i = 0; i < SLUICE_KEY_WORDS; i++) {
        uint64_t random = random_next(seed) % 2 ? random_next(seed) : UINT64_MAX;
        uint64_t free_bits = ~mask->words[i] & random;
        variant->words[i] = (key->words[i] & ~free_bits) | (other.words[i] & free_bits);
    }
}

/* Whether a parser could make it: tags in order, with types; no addresses without a header for them. */
static inline bool
is_plausible(const struct flow_key *key)
{
    bool outer = key->vlan0_tci & be16(VLAN_CFI);
    bool inner = key->vlan1_tci & be16(VLAN_CFI);
    if ((inner && !outer) || (outer != (key->vlan0_tpid != 0)) || (inner != (key->vlan1_tpid != 0))
        || (!outer && key->vlan0_tci) || (!inner && key->vlan1_tci)) {
        return false;
    }
    /* Protocol 0 stands for headers that are not there, which no packet comes with. */
    if (!key->ip_proto && (key_is_ip(key) || key->eth_type == be16(ETH_TYPE_ARP))) {
        return false;
    }
    if (!key_is_ip(key) || key->ip_frag & FRAG_LATER) {
        return !key->tp_src && !key->tp_dst;
    }
    return true;
}

/* The bridges and their ports. */
static inline void
random_rig_init(struct rig *rig)
{
    rig_init(rig);
    for (uint32_t bridge = 1; bridge <= 2; bridge++) {
        rig_bridge(rig, bridge);
        for (uint32_t port = 1; port <= 4; port++) {
            rig_port(rig, bridge, port, 10 * (bridge - 1) + port, 0);
        }
        rig_patch(rig, bridge, 5, 3 - bridge, 5);
    }
}

#endif
