/* For unit tests of the pipeline: a pipeline with a clock that stands still, commands in a line, and datapath
 * actions as text, about as OVS prints them. */
#ifndef PIPELINE_TEST_PIPELINE_RIG_H
#define PIPELINE_TEST_PIPELINE_RIG_H 1

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "classifier/epoch.h"
#include "packet/bytes.h"
#include "packet/match.h"
#include "packet/test/claim.h"
#include "pipeline/field.h"
#include "pipeline/pipeline.h"
#include "pipeline/xlate.h"
#include "sluice/records.h"

struct rig {
    struct epoch *epoch;
    struct epoch_reader *reader;
    struct pipeline *pipeline;
    uint64_t now_ms;
    uint32_t n_executed;
    uint32_t n_removed_calls;
    char executed[4096]; /* Actions of the last packet-out. */
};

/* A buffer of OpenFlow actions. */
struct actions {
    uint64_t words[1024];
    uint32_t size;
};

/* The text of a 'set' action, cut to 'room'; returns its bytes. */
static inline size_t
rig_set_text(const struct sluice_dp_action_set *set, char *text, size_t room)
{
    static const struct {
        uint16_t field;
        const char *name;
    } names[] = {
        { SLUICE_FIELD_SKB_PRIORITY, "skb_priority" },
        { SLUICE_FIELD_PKT_MARK, "skb_mark" },
        { SLUICE_FIELD_ETH_SRC, "eth_src" },
        { SLUICE_FIELD_ETH_DST, "eth_dst" },
        { SLUICE_FIELD_IP_SRC, "ip_src" },
        { SLUICE_FIELD_IP_DST, "ip_dst" },
        { SLUICE_FIELD_IPV6_SRC, "ipv6_src" },
        { SLUICE_FIELD_IPV6_DST, "ipv6_dst" },
        { SLUICE_FIELD_IPV6_LABEL, "label" },
        { SLUICE_FIELD_NW_PROTO, "proto" },
        { SLUICE_FIELD_NW_TOS, "tos" },
        { SLUICE_FIELD_NW_TTL, "ttl" },
        { SLUICE_FIELD_ARP_SHA, "sha" },
        { SLUICE_FIELD_ARP_THA, "tha" },
        { SLUICE_FIELD_TCP_SRC, "src" },
        { SLUICE_FIELD_TCP_DST, "dst" },
        { SLUICE_FIELD_ND_TARGET, "target" },
        { SLUICE_FIELD_MPLS_LABEL, "mpls_label" },
        { SLUICE_FIELD_MPLS_TTL, "mpls_ttl" },
    };
    struct flow_key value;
    struct flow_key mask;
    size_t at = 0;
    const char *comma = "";
    match_expand((const struct match *) (set + 1), &value, &mask);
    at += (size_t) snprintf(text, room, "set(");
    for (size_t n = 0; n < sizeof names / sizeof names[0] && at < room; n++) {
        field_value m = field_get(&mask, names[n].field);
        if (m) {
            at += (size_t) snprintf(text + at, room - at, "%s%s=%llx", comma, names[n].name,
                                    (unsigned long long) field_get(&value, names[n].field));
            comma = ",";
        }
        if (m && m != field_ones(field_spans[names[n].field].n_bits) && at < room) {
            at += (size_t) snprintf(text + at, room - at, "/%llx", (unsigned long long) m);
        }
    }
    return at + (at < room ? (size_t) snprintf(text + at, room - at, ")") : 0);
}

static inline void
rig_text(const void *actions, uint32_t size, char *text, size_t room)
{
    const uint8_t *bytes = actions;
    size_t at = 0;
    text[0] = '\0';
#define ADD(...) at += at < room ? (size_t) snprintf(text + at, room - at, __VA_ARGS__) : 0
    for (uint32_t i = 0; i < size;) {
        const struct sluice_dp_action_pop_vlan *a = (const void *) (bytes + i);
        if (i) {
            ADD(",");
        }
        switch (a->opcode) {
        case SLUICE_DP_ACTION_OUTPUT: {
            const struct sluice_dp_action_output *output = (const void *) a;
            ADD("%u", output->dp_port);
            break;
        }
        case SLUICE_DP_ACTION_CONTROLLER: {
            const struct sluice_dp_action_controller *c = (const void *) a;
            ADD("controller(reason=%u,id=%u,max_len=%u,table=%u,in_port=%u)", c->reason, c->controller_id, c->max_len,
                c->table, c->in_port);
            break;
        }
        case SLUICE_DP_ACTION_SET:
            at += rig_set_text((const struct sluice_dp_action_set *) a, text + at, at < room ? room - at : 0);
            break;
        case SLUICE_DP_ACTION_PUSH_VLAN: {
            const struct sluice_dp_action_push_vlan *p = (const void *) a;
            CHECK(p->tci & VLAN_CFI);
            ADD("push_vlan(");
            if (p->tpid != ETH_TYPE_VLAN) {
                ADD("tpid=%#x,", p->tpid);
            }
            ADD("vid=%u,pcp=%u)", p->tci & VLAN_VID_MASK, p->tci >> VLAN_PCP_SHIFT);
            break;
        }
        case SLUICE_DP_ACTION_POP_VLAN:
            ADD("pop_vlan");
            break;
        case SLUICE_DP_ACTION_CLONE: {
            const struct sluice_dp_action_clone *clone = (const void *) a;
            char nested[4096];
            rig_text(clone + 1, clone->actions_size, nested, sizeof nested);
            ADD("clone(%s)", nested);
            break;
        }
        case SLUICE_DP_ACTION_TRUNC:
            ADD("trunc(%u)", ((const struct sluice_dp_action_trunc *) (const void *) a)->max_len);
            break;
        case SLUICE_DP_ACTION_PUSH_MPLS: {
            const struct sluice_dp_action_push_mpls *push = (const void *) a;
            ADD("push_mpls(label=%u,tc=%u,ttl=%u,bos=%u)", push->lse >> 12, push->lse >> 9 & 7, push->lse & 255,
                push->lse >> 8 & 1);
            break;
        }
        case SLUICE_DP_ACTION_POP_MPLS:
            ADD("pop_mpls(%#x)", ((const struct sluice_dp_action_pop_mpls *) (const void *) a)->ethertype);
            break;
        case SLUICE_DP_ACTION_CHECK_PKT_LEN: {
            const struct sluice_dp_action_check_pkt_len *check = (const void *) a;
            char greater[2048], others[2048];
            rig_text(check + 1, check->greater_size, greater, sizeof greater);
            rig_text((const uint8_t *) (check + 1) + check->greater_size, check->less_equal_size, others,
                     sizeof others);
            ADD("check_pkt_len(size=%u,gt(%s),le(%s))", check->pkt_len, greater, others);
            break;
        }
        case SLUICE_DP_ACTION_RECIRC:
            ADD("recirc(%#x)", ((const struct sluice_dp_action_recirc *) (const void *) a)->recirc_id);
            break;
        case SLUICE_DP_ACTION_HASH: {
            const struct sluice_dp_action_hash *hash = (const void *) a;
            ADD("hash(%s(%u))", hash->algorithm == SLUICE_HASH_ALGORITHM_L4 ? "l4" : "sym_l4", hash->basis);
            break;
        }
        case SLUICE_DP_ACTION_LB_OUTPUT:
            ADD("lb_output(%u)", ((const struct sluice_dp_action_lb_output *) (const void *) a)->bond_id);
            break;
        case SLUICE_DP_ACTION_KEEP_HASH:
            ADD("keep_hash()");
            break;
        case SLUICE_DP_ACTION_DROP:
            ADD("drop");
            break;
        default:
            ADD("?%u", a->opcode);
            break;
        }
        CHECK(a->size >= 8 && a->size % 8 == 0);
        i += a->size;
    }
#undef ADD
}

static inline uint64_t
rig_now(void *aux)
{
    return ((struct rig *) aux)->now_ms;
}

static inline void
rig_flows_changed(void *aux)
{
    ((struct rig *) aux)->n_removed_calls++;
}

static inline void
rig_execute(void *aux, const struct flow_key *key, const uint8_t *frame, size_t frame_size, const void *actions,
            size_t actions_size)
{
    struct rig *rig = aux;
    (void) key;
    (void) frame;
    CHECK(frame_size >= 14);
    rig->n_executed++;
    rig_text(actions, (uint32_t) actions_size, rig->executed, sizeof rig->executed);
}

/* Nobody else wants the lock. */
static inline bool
rig_control_enter(void *aux)
{
    (void) aux;
    return true;
}

static inline void
rig_control_leave(void *aux)
{
    (void) aux;
}

static inline void
rig_init(struct rig *rig)
{
    memset(rig, 0, sizeof *rig);
    rig->now_ms = 1000;
    rig->epoch = epoch_create();
    rig->reader = epoch_register(rig->epoch);
    CHECK(rig->epoch && rig->reader);
    const struct pipeline_options options = {
        .epoch = rig->epoch,
        .hooks = {
            .aux = rig,
            .execute = rig_execute,
            .flows_changed = rig_flows_changed,
            .control_enter = rig_control_enter,
            .control_leave = rig_control_leave,
            .now = rig_now,
        },
        .n_threads = 1,
    };
    CHECK(!pipeline_create(&options, &rig->pipeline));
}

static inline void
rig_uninit(struct rig *rig)
{
    epoch_unregister(rig->reader);
    pipeline_destroy(rig->pipeline);
    epoch_destroy(rig->epoch);
}

/* One command inside an open transaction. */
static inline uint32_t
rig_command(struct rig *rig, void *command, uint16_t type, uint32_t size)
{
    struct sluice_record *record = command;
    struct sluice_result result;
    record->type = type;
    record->size = size;
    pipeline_command(rig->pipeline, record, &result);
    return result.error;
}

static inline void
rig_commit(struct rig *rig)
{
    epoch_quiesce(rig->reader);
    CHECK(!pipeline_commit(rig->pipeline));
    epoch_quiesce(rig->reader);
}

/* One command, a transaction of its own. */
static inline uint32_t
rig_do(struct rig *rig, void *command, uint16_t type, uint32_t size)
{
    pipeline_begin(rig->pipeline, false);
    uint32_t error = rig_command(rig, command, type, size);
    if (error) {
        pipeline_rollback(rig->pipeline);
    } else {
        rig_commit(rig);
    }
    return error;
}

static inline void
rig_bridge(struct rig *rig, uint32_t id)
{
    struct sluice_bridge_add command = { .bridge = id, .n_tables = 254 };
    CHECK(!rig_do(rig, &command, SLUICE_COMMAND_BRIDGE_ADD, sizeof command));
}

static inline void
rig_bridge_flags(struct rig *rig, uint32_t id, uint32_t flags, uint32_t frag_mode)
{
    struct sluice_bridge_set command = { .bridge = id, .bridge_flags = flags, .frag_mode = frag_mode };
    CHECK(!rig_do(rig, &command, SLUICE_COMMAND_BRIDGE_SET, sizeof command));
}

static inline void
rig_port(struct rig *rig, uint32_t bridge, uint32_t ofp_port, uint32_t dp_port, uint32_t config)
{
    struct sluice_ofport_set command = { .bridge = bridge, .ofp_port = ofp_port, .dp_port = dp_port, .config = config };
    CHECK(!rig_do(rig, &command, SLUICE_COMMAND_OFPORT_SET, sizeof command));
}

static inline void
rig_patch(struct rig *rig, uint32_t bridge, uint32_t ofp_port, uint32_t peer_bridge, uint32_t peer_port)
{
    struct sluice_ofport_set command = {
        .bridge = bridge, .ofp_port = ofp_port, .peer_bridge = peer_bridge, .peer_ofp_port = peer_port
    };
    CHECK(!rig_do(rig, &command, SLUICE_COMMAND_OFPORT_SET, sizeof command));
}

/* A bundle of one port, whose number is the bundle's too.  'trunk': one VLAN to carry, or 0 for all. */
static inline void
rig_bundle(struct rig *rig, uint32_t bridge, uint32_t port, uint16_t mode, uint16_t tag, uint16_t trunk, uint16_t flags)
{
    struct {
        struct sluice_bundle_set set;
        uint32_t members[2];
    } command;
    memset(&command, 0, sizeof command);
    command.set.bridge = bridge;
    command.set.bundle = port;
    command.set.vlan_mode = mode;
    command.set.tag = tag;
    command.set.bundle_flags = flags;
    command.set.n_members = 1;
    command.members[0] = port;
    if (trunk) {
        command.set.trunks[trunk / 64] |= UINT64_C(1) << (trunk % 64);
    }
    CHECK(!rig_do(rig, &command, SLUICE_COMMAND_BUNDLE_SET, sizeof command));
}

/* Builds actions. */

static inline void *
actions_add(struct actions *actions, uint16_t opcode, uint32_t size)
{
    size = (size + 7) & ~7u;
    CHECK(actions->size + size <= sizeof actions->words);
    struct sluice_action_exit *a = (void *) ((uint8_t *) actions->words + actions->size);
    memset(a, 0, size);
    a->opcode = opcode;
    a->size = (uint16_t) size;
    actions->size += size;
    return a;
}

#define ADD_ACTION(ACTIONS, OPCODE, STRUCT, ...) \
    do { \
        struct sluice_action_##STRUCT init_ = { __VA_ARGS__ }; \
        init_.opcode = SLUICE_ACTION_##OPCODE; \
        init_.size = sizeof init_; \
        memcpy(actions_add(ACTIONS, init_.opcode, init_.size), &init_, sizeof init_); \
    } while (0)

static inline void
add_output(struct actions *actions, uint32_t port)
{
    ADD_ACTION(actions, OUTPUT, output, .port = port);
}

static inline void
add_resubmit(struct actions *actions, uint8_t table)
{
    ADD_ACTION(actions, RESUBMIT, resubmit, .in_port = PORT_IN_PORT, .table = table);
}

static inline void
add_set_field(struct actions *actions, uint16_t field, field_value value, field_value mask)
{
    uint32_t n = field_spans[field].value_size;
    uint32_t padded = (n + 7) & ~7u;
    struct sluice_action_set_field *a =
        actions_add(actions, SLUICE_ACTION_SET_FIELD, (uint32_t) sizeof *a + 2 * padded);
    a->field = field;
    a->value_size = n;
    field_value_store((uint8_t *) (a + 1), n, value);
    field_value_store((uint8_t *) (a + 1) + padded, n, mask);
}

/* Wraps what was added since 'from' into an action that nests. */
static inline void
wrap_actions(struct actions *actions, uint32_t from, uint16_t opcode)
{
    uint32_t size = actions->size - from;
    uint8_t *bytes = (uint8_t *) actions->words;
    CHECK(actions->size + 8 <= sizeof actions->words);
    memmove(bytes + from + 8, bytes + from, size);
    struct sluice_action_clone head = { .opcode = opcode, .size = (uint16_t) (size + 8), .actions_size = size };
    memcpy(bytes + from, &head, sizeof head);
    actions->size += 8;
}

/* Adds a rule that matches 'value' under 'mask'; null: everything. */
static inline uint32_t
rig_flow_command(struct rig *rig, uint32_t bridge, uint8_t table, uint32_t priority, const struct flow_key *value,
                 const struct flow_key *mask, const struct actions *actions)
{
    static _Thread_local struct {
        struct sluice_flow_mod mod;
        uint64_t rest[1400];
    } command;
    memset(&command, 0, sizeof command.mod);
    struct match *match = (struct match *) command.rest;
    struct flow_key none;
    memset(&none, 0, sizeof none);
    size_t size = match_compress(value ? value : &none, mask ? mask : &none, match, sizeof command.rest);
    memcpy((uint8_t *) command.rest + size, actions->words, actions->size);
    command.mod.bridge = bridge;
    command.mod.table = table;
    command.mod.command = SLUICE_FLOW_COMMAND_ADD;
    command.mod.priority = priority;
    command.mod.out_port = UINT32_MAX;
    command.mod.out_group = UINT32_MAX;
    command.mod.match_size = (uint32_t) size;
    command.mod.actions_size = actions->size;
    return rig_command(rig, &command, SLUICE_COMMAND_FLOW_MOD, (uint32_t) (sizeof command.mod + size + actions->size));
}

/* Deletes the rules of a table that a cookie-less loose command for everything finds, if their actions output to
 * 'out_port'. */
static inline uint32_t
rig_delete_command(struct rig *rig, uint32_t bridge, uint8_t table, uint32_t out_port)
{
    struct {
        struct sluice_flow_mod mod;
        uint64_t match[2];
    } command = { .mod = { .bridge = bridge,
                           .table = table,
                           .command = SLUICE_FLOW_COMMAND_DELETE,
                           .out_port = out_port,
                           .out_group = UINT32_MAX,
                           .match_size = sizeof command.match } };
    return rig_command(rig, &command, SLUICE_COMMAND_FLOW_MOD, sizeof command);
}

static inline uint32_t
rig_flow(struct rig *rig, uint32_t bridge, uint8_t table, uint32_t priority, const struct flow_key *value,
         const struct flow_key *mask, const struct actions *actions)
{
    pipeline_begin(rig->pipeline, false);
    uint32_t error = rig_flow_command(rig, bridge, table, priority, value, mask, actions);
    if (error) {
        pipeline_rollback(rig->pipeline);
    } else {
        rig_commit(rig);
    }
    return error;
}

static inline void
rig_clear(struct rig *rig, uint32_t bridge)
{
    struct sluice_flow_flush command = { .bridge = bridge };
    CHECK(!rig_do(rig, &command, SLUICE_COMMAND_FLOW_FLUSH, sizeof command));
}

/* Makes 'actions' the only rule of the bridge. */
static inline void
rig_only(struct rig *rig, uint32_t bridge, const struct actions *actions)
{
    rig_clear(rig, bridge);
    CHECK(!rig_flow(rig, bridge, 0, 1, NULL, NULL, actions));
}

/* A TCP packet from datapath port 'dp_port'. */
static inline struct flow_key
tcp_key(uint32_t dp_port)
{
    struct flow_key key;
    memset(&key, 0, sizeof key);
    key.in_port = be32(dp_port);
    key.eth_type = be16(ETH_TYPE_IPV4);
    key.eth_src[5] = 1;
    key.eth_dst[5] = 2;
    key.ip_src = be32(0x0a000001);
    key.ip_dst = be32(0x0a000002);
    key.ip_proto = 6;
    key.ip_ttl = 64;
    key.tp_src = be16(1);
    key.tp_dst = be16(2);
    return key;
}

static inline void
key_set_vlan(struct flow_key *key, uint16_t vid, uint16_t pcp)
{
    key->vlan0_tpid = be16(ETH_TYPE_VLAN);
    key->vlan0_tci = be16((uint16_t) (VLAN_CFI | vid | pcp << VLAN_PCP_SHIFT));
}

/* Translates, and returns the actions as text, which lives until the next call. */
static inline const char *
rig_xlate(struct rig *rig, const struct flow_key *key, struct flow_key *mask)
{
    static char text[65536];
    struct xlate_out out;
    const struct xlate_in in = { .key = key, .now_ms = rig->now_ms, .learn = true };
    xlate_out_init(&out);
    xlate(rig->pipeline, &in, &out);
    rig_text(out.actions, out.actions_size, text, sizeof text);
    xlate_credit(rig->pipeline, out.credits, out.n_credits,
                 &(struct xlate_traffic){ 1, 100, rig->now_ms, key_tcp_flags(key), NULL });
    if (mask) {
        *mask = out.mask;
    }
    xlate_out_uninit(&out);
    pipeline_do_chores(rig->pipeline, rig->now_ms);
    epoch_quiesce(rig->reader);
    return text;
}

static inline void
rig_expect_at(struct rig *rig, const struct flow_key *key, const char *expected, int line)
{
    const char *text = rig_xlate(rig, key, NULL);
    if (strcmp(text, expected)) {
        fprintf(stderr, "line %d: got %s, expected %s\n", line, text, expected);
        exit(1);
    }
}

#define EXPECT(RIG, KEY, TEXT) rig_expect_at(RIG, KEY, TEXT, __LINE__)

#endif
