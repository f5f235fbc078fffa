/* The property that megaflows stand on: a packet that is equal to another in all bits that its translation read is
 * translated to the same actions.  Random rules, random packets, random changes outside of the mask. */
#include "pipeline/test/pipeline_rig.h"
#include "pipeline/trace.h"

#define N_ROUNDS 300
#define N_PACKETS 60
#define N_VARIANTS 12
#define TEXT_SIZE 65536

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

static field_value
random_value(uint64_t *seed)
{
    /* Small numbers, so that things meet. */
    return random_next(seed) % 4 ? random_next(seed) % 4 : (field_value) random_next(seed) << 64 | random_next(seed);
}

static void
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

static void
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

static void
random_flow(struct rig *rig, uint64_t *seed, uint32_t bridge)
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
    uint32_t error = rig_flow_command(rig, bridge, table, (uint32_t) (random_next(seed) % 3), &value, &mask, &a);
    CHECK(!error || error == SLUICE_ERROR_BAD_MATCH);
}

static void
random_config(struct rig *rig, uint64_t *seed)
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
            random_flow(rig, seed, bridge);
        }
        rig_commit(rig);
    }
}

/* A copy of 'key' with other bits where 'mask' is clear.  Members of the packet only, and such that it stays a key
 * that a parser could have made as far as the mask leaves it free. */
static void
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
static bool
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

/* Prints the steps of a translation, for whoever looks into a failure. */
static void
print_steps(struct rig *rig, const struct flow_key *key)
{
    static uint64_t bytes[32768];
    struct trace_sink sink = { .bytes = (uint8_t *) bytes, .room = sizeof bytes };
    struct xlate_out out;
    const struct xlate_in in = { .key = key, .now_ms = rig->now_ms, .trace = &sink };
    xlate_out_init(&out);
    xlate(rig->pipeline, &in, &out);
    xlate_out_uninit(&out);
    for (size_t at = 0; at < sink.used;) {
        const struct sluice_trace_step *step = (const void *) (sink.bytes + at);
        const uint16_t *action = (const void *) ((const uint8_t *) (step + 1) + step->match_size);
        fprintf(stderr, "%*skind %u bridge %u table %u code %u priority %u opcode %u\n", 2 * step->depth, "",
                step->kind, step->bridge, step->table, step->code, step->priority, step->actions_size ? *action : 0);
        at += step->size;
    }
}

static void
translate(struct rig *rig, const struct flow_key *key, struct flow_key *mask, char text[TEXT_SIZE])
{
    struct xlate_out out;
    const struct xlate_in in = { .key = key, .now_ms = rig->now_ms };
    xlate_out_init(&out);
    xlate(rig->pipeline, &in, &out);
    rig_text(out.actions, out.actions_size, text, TEXT_SIZE);
    *mask = out.mask;
    xlate_out_uninit(&out);
    epoch_quiesce(rig->reader);
}

int
main(int argc, char *argv[])
{
    static struct rig rig;
    static char text[TEXT_SIZE];
    static char other[TEXT_SIZE];
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : UINT64_C(0x5eed);
    uint64_t n_variants = 0;
    rig_init(&rig);
    for (uint32_t bridge = 1; bridge <= 2; bridge++) {
        rig_bridge(&rig, bridge);
        for (uint32_t port = 1; port <= 4; port++) {
            rig_port(&rig, bridge, port, 10 * (bridge - 1) + port, 0);
        }
        rig_patch(&rig, bridge, 5, 3 - bridge, 5);
    }
    for (uint32_t round = 0; round < N_ROUNDS; round++) {
        uint64_t round_seed = seed;
        random_config(&rig, &seed);
        for (uint32_t i = 0; i < N_PACKETS; i++) {
            struct flow_key key;
            struct flow_key mask;
            random_packet(&seed, &key);
            if (random_next(&seed) % 2) {
                rig_xlate(&rig, &key, NULL);
            }
            translate(&rig, &key, &mask, text);
            for (uint32_t j = 0; j < N_VARIANTS; j++) {
                struct flow_key variant;
                struct flow_key variant_mask;
                vary(&seed, &key, &mask, &variant);
                if (!is_plausible(&variant)) {
                    continue;
                }
                n_variants++;
                translate(&rig, &variant, &variant_mask, other);
                if (strcmp(text, other)) {
                    fprintf(stderr, "round seed %#llx packet %u:\n  %s\n  %s\n", (unsigned long long) round_seed, i,
                            text, other);
                    for (uint32_t w = 0; w < SLUICE_KEY_WORDS; w++) {
                        if (key.words[w] != variant.words[w]) {
                            fprintf(stderr, "word %u: %016llx %016llx mask %016llx\n", w,
                                    (unsigned long long) be64(key.words[w]),
                                    (unsigned long long) be64(variant.words[w]),
                                    (unsigned long long) be64(mask.words[w]));
                        }
                    }
                    print_steps(&rig, &key);
                    print_steps(&rig, &variant);
                    return 1;
                }
            }
        }
    }
    printf("# %llu variants\n", (unsigned long long) n_variants);
    claim("packets that agree in what was read are translated alike");
    rig_uninit(&rig);
    return 0;
}
