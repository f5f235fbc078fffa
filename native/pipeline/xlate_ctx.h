/* The state of one translation: shared by the files that translate.  Everything is one thread's. */
#ifndef SLUICE_PIPELINE_XLATE_CTX_H
#define SLUICE_PIPELINE_XLATE_CTX_H 1

#include "pipeline/config.h"
#include "pipeline/field.h"
#include "pipeline/freeze.h"
#include "pipeline/pipeline_state.h"
#include "pipeline/trace.h"
#include "pipeline/xlate.h"
#include "sluice/flow_key.h"
#include "sluice/records.h"

/* Calls into each other at most, so that no set of flow tables overruns a thread's stack. */
#define XLATE_NESTING_MAX 512u

struct xlate_ctx {
    struct pipeline *pipeline;
    const struct xlate_in *in;
    struct xlate_out *out;
    const struct config *config;

    const struct sluice_continuation *frozen; /* What the translation began with, or null. */
    const struct bridge_view *view;           /* The bridge that the packet is in now. */
    bool is_changed;                          /* The headers, since the packet arrived, at the last table. */
    const struct bridge_view *first_view;     /* Whose map tells what the options of the packet are; null: nobody's. */
    struct flow_key flow;                     /* The packet as it is now; 'in_port' is the OpenFlow port. */
    struct flow_key base;                     /* The packet as the datapath actions so far make it. */
    struct flow_key *wild;                    /* out->mask. */
    uint16_t base_dst_port;                   /* The UDP port that goes with the tunnel words of 'base'. */

    uint8_t table;
    const struct rule *rule; /* Whose actions are executed, or null. */
    uint64_t cookie;
    bool is_table_miss; /* 'rule' is priority 0 and matches everything. */

    uint32_t depth;
    uint32_t nesting;
    uint32_t n_resubmits;
    bool exit; /* Stop executing actions. */
    bool in_action_set;
    bool in_group; /* Executing a bucket. */
    bool in_packet_out;
    bool uncacheable;     /* The result serves this packet only. */
    uint32_t error;       /* enum sluice_drop_reason: the packet is dropped whatever was output. */
    uint32_t drop_reason; /* Why nothing was output, if nothing is. */
    uint32_t queue;       /* The packet's own skb_priority, in network order. */

    /* Headers that 'flow' has or lacks and that no datapath action has pushed or popped yet. */
    bool pending_encap;
    bool pending_decap;
    const struct sluice_action_encap *pending_nsh; /* The encap that a pending NSH is from. */

    uint8_t *stack; /* Values pushed: their bytes, big-endian, then one byte with their number. */
    uint32_t stack_size;
    uint32_t stack_capacity;

    uint64_t *action_set; /* As written, in order of writing. */
    uint32_t action_set_size;
    uint32_t action_set_capacity;
    bool has_action_set;

    /* Freezing, see freeze.h. */
    bool freezing;          /* 'exit' is set too. */
    bool freezes_this;      /* The action being executed is to be executed again. */
    bool changes_packet;    /* An action so far does. */
    bool keeps_hash;        /* An action that comes later hashes it as it came. */
    bool freezes_with_hash; /* Of 'hash_algorithm' and 'hash_basis'. */
    bool has_unrolled;      /* The last that was frozen belongs to 'unrolled_table' and 'unrolled_cookie'. */
    uint8_t unrolled_table;
    uint64_t unrolled_cookie;
    uint32_t hash_algorithm;
    uint32_t hash_basis;
    struct sluice_action_controller *pause; /* Not null: for a controller, not for the datapath.  Owned. */
    uint64_t *frozen_actions;
    uint32_t frozen_actions_size;
    uint32_t frozen_actions_capacity;
    bool is_tracked; /* Connection tracking saw the packet. */
    bool was_mpls;   /* The last MPLS label was popped: what is below it is not known. */

    uint32_t mirrors;        /* Those that have a copy of the packet, by the view's numbers. */
    uint32_t mirror_snaplen; /* While a copy is output: its bytes at most, or 0. */

    const struct bundle *spread; /* The bond among whose members the datapath chooses for the next output, or null. */

    uint32_t sflow_report; /* Offset of the report action for sFlow, or UINT32_MAX; what it says is known at the end. */
    uint32_t n_outputs;    /* To devices and tunnels. */
    bool has_reports;      /* Of IPFIX, the bridge's or of sample actions. */
    uint32_t output;       /* The last one's datapath port. */

    uint32_t netflow_output; /* OpenFlow port that NetFlow tells of, or NETFLOW_OUTPUT_*. */

    /* Nothing comes after the action being executed, so it may do with the packet what it likes. */
    bool is_last;

    uint16_t trace_depth;
};

/* xlate_actions() or xlate_clone(). */
typedef void xlate_run(struct xlate_ctx *ctx, const void *actions, uint32_t size, bool is_last);

/* Un-wildcards the bits of 'MEMBER' that are set in 'BITS' (in network order). */
#define WILD(CTX, MEMBER, BITS) ((CTX)->wild->MEMBER |= (BITS))
#define WILD_ALL(CTX, MEMBER) memset(&(CTX)->wild->MEMBER, 0xff, sizeof(CTX)->wild->MEMBER)

/* xlate.c */

/* Notes that the result depends on a cell.  Before what is in the cell is read. */
void xlate_stamp(struct xlate_ctx *ctx, uint32_t cell);

/* Room for one more credit, which is zeroed, or null: then the translation fails for want of memory. */
struct xlate_credit *xlate_add_credit(struct xlate_ctx *ctx);

/* Fails the translation: the packet is dropped for 'reason'.  The first one stands. */
void xlate_fail(struct xlate_ctx *ctx, uint32_t reason);

/* Searches 'table' as if the packet came in on 'in_port', and executes what it says.  'may_miss': a miss is treated
 * as the table is configured; otherwise nothing happens.  'run' is how actions are executed. */
void xlate_table(struct xlate_ctx *ctx, uint32_t in_port, uint8_t table, bool may_miss, xlate_run *run);

/* Whether one more table or group may be gone into.  If not, the translation has failed. */
bool xlate_may_resubmit(struct xlate_ctx *ctx);

/* xlate_group.c: executes a group.  False if there is none of that number: then the list of actions ends. */
bool xlate_group(struct xlate_ctx *ctx, uint32_t id);

/* A meter of the bridge that the packet is in, or null. */
const struct ofmeter *xlate_meter(struct xlate_ctx *ctx, uint32_t id);

/* Whether 'port' lets the packet in.  One that the spanning tree only lets be learned from does, for NORMAL to see it. */
bool xlate_may_receive(struct xlate_ctx *ctx, const struct ofport *port);

/* Whether the packet is one of the spanning tree protocol's. */
bool xlate_is_bpdu(const struct flow_key *key);

/* Gives a packet of a protocol that the bridge itself speaks to who speaks it, past the tables.  Returns whether it did. */
bool xlate_take_protocol(struct xlate_ctx *ctx);

/* Makes 'size' bytes of room at the end of a growing array of bytes.  False without memory. */
bool xlate_reserve(void *arrayp, uint32_t used, uint32_t *capacity, uint32_t size, uint32_t max);

/* xlate_trace.c: steps for ofproto/trace, if anyone is tracing. */
void trace_bridge(struct xlate_ctx *ctx);
void trace_action(struct xlate_ctx *ctx, const void *action, uint32_t size);
void trace_note(struct xlate_ctx *ctx, uint16_t note, uint64_t a, uint64_t b, uint64_t c);
void trace_note_actions(struct xlate_ctx *ctx, uint16_t note, const void *actions, uint32_t size);
void trace_subfield(struct xlate_ctx *ctx, struct subfield sf);

/* Reads and writes bits of the packet's key, noting that they were. */
field_value xlate_load(struct xlate_ctx *ctx, struct subfield sf);
void xlate_store(struct xlate_ctx *ctx, struct subfield sf, field_value value);
void trace_action_set(struct xlate_ctx *ctx);
void trace_learned(struct xlate_ctx *ctx, const struct sluice_flow_mod *record);
void trace_thaw(struct xlate_ctx *ctx);
void trace_bucket(struct xlate_ctx *ctx, uint32_t bucket);

/* xlate_action.c */

/* Executes OpenFlow actions that passed action_check().  'is_last': nothing is done with the packet after them. */
void xlate_actions(struct xlate_ctx *ctx, const void *actions, uint32_t size, bool is_last);

/* xlate_clone.c */

/* As xlate_actions(), on a copy of the packet, with its own action set and stack: afterwards the packet is as it was. */
void xlate_clone(struct xlate_ctx *ctx, const void *actions, uint32_t size, bool is_last);

/* Executes check_pkt_larger, 'action', and with it all that follows it in its list, 'rest': once for packets that are
 * larger and once for the others. */
void xlate_check_pkt_larger(struct xlate_ctx *ctx, const void *action, const void *rest, uint32_t rest_size);

/* xlate_learn.c */

/* Executes learn and fin_timeout. */
void xlate_learn(struct xlate_ctx *ctx, const struct sluice_action_learn *learn);
void xlate_fin_timeout(struct xlate_ctx *ctx, const struct sluice_action_fin_timeout *action);

/* action_set.c */

/* Adds actions to the action set, empties it, executes it. */
void action_set_write(struct xlate_ctx *ctx, const void *actions, uint32_t size);
void action_set_restore(struct xlate_ctx *ctx, const void *actions, uint32_t size);
void action_set_clear(struct xlate_ctx *ctx);
void action_set_execute(struct xlate_ctx *ctx);

/* vlan.c */

/* Shifts tags to make a place for a new outermost one, which the caller fills; removes the outermost. */
void vlan_push(struct flow_key *flow, struct flow_key *wild);
void vlan_pop(struct flow_key *flow, struct flow_key *wild);
uint32_t vlan_count(const struct flow_key *flow);

/* encap.c */

/* Whether the packet has no Ethernet header. */
bool key_is_bare(const struct flow_key *key);

void xlate_encap(struct xlate_ctx *ctx, const struct sluice_action_encap *action);

/* Returns true if the packet must be looked up again before any other action. */
bool xlate_decap(struct xlate_ctx *ctx, const struct sluice_action_decap *action);

/* Returns false if the TTL ran out: then the rest of the actions is not executed. */
bool xlate_dec_nsh_ttl(struct xlate_ctx *ctx);

/* Appends what makes the packet's type that of 'flow'.  Part of commit_actions(). */
void commit_packet_type(struct xlate_ctx *ctx);

/* mpls.c */

#define MPLS_ENTRIES_MAX 3u

/* The 'i'th entry of the label stack, from the outermost on, in network order. */
uint32_t *mpls_entry(struct flow_key *flow, uint32_t i);

/* Of an Ethernet type in network order. */
bool mpls_eth_type(uint16_t eth_type);

/* Entries in the stack, at most MPLS_ENTRIES_MAX; what was read is added to 'wild' if it is not null. */
uint32_t mpls_count(struct flow_key *flow, struct flow_key *wild);

/* Push an entry onto 'n' < MPLS_ENTRIES_MAX, pop one of 'n' > 0; 'eth_type', in network order, is the packet's type
 * after that.  L3 and L4 stay as they are. */
void mpls_push_entry(struct flow_key *flow, uint32_t n, uint16_t eth_type, struct flow_key *wild);
void mpls_pop_entry(struct flow_key *flow, uint32_t n, uint16_t eth_type, struct flow_key *wild);

/* The OpenFlow actions.  mpls_dec_ttl() returns false if the rest of the actions is not executed. */
void mpls_push(struct xlate_ctx *ctx, const struct sluice_action_push_mpls *a);
void mpls_pop(struct xlate_ctx *ctx, const struct sluice_action_pop_mpls *a);
void mpls_set(struct xlate_ctx *ctx, const void *action, uint16_t opcode);
bool mpls_dec_ttl(struct xlate_ctx *ctx);

/* After the last label was popped: whether 'action' cannot be executed before the headers under it are known. */
bool mpls_must_recirculate(const void *action);

/* commit.c */

/* Appends datapath actions that turn 'base' into 'flow', and makes them equal in what they cover. */
void commit_actions(struct xlate_ctx *ctx);

/* Appends what makes the label stack that of 'flow'.  Part of commit_actions(). */
void commit_mpls(struct xlate_ctx *ctx);

/* Room for a datapath action of 'size' bytes, zeroed, with opcode and size set; null if there is none, and then the
 * translation has failed. */
void *commit_append(struct xlate_ctx *ctx, uint16_t opcode, uint32_t size);

/* Puts before all actions what keeps the packet's hash, if one of them needs it. */
void commit_keep_hash(struct xlate_ctx *ctx);

/* Appends the meter of that number in the datapath. */
void commit_meter(struct xlate_ctx *ctx, uint32_t dp_meter);

/* Begins a `clone`: what is appended until commit_clone_end() is in it.  Returns what to give to that, which takes the
 * clone back if nothing is in it. */
uint32_t commit_clone_begin(struct xlate_ctx *ctx);
void commit_clone_end(struct xlate_ctx *ctx, uint32_t clone);

/* output.c */

/* Outputs to a port, real or reserved.  'max_len' is that of output:CONTROLLER and means nothing for others. */
void output_port(struct xlate_ctx *ctx, uint32_t port, uint32_t max_len);

/* Outputs to a real port, also the one that the packet came in on. */
void output_real(struct xlate_ctx *ctx, uint32_t port);

/* Outputs the first bytes to a real port. */
void output_trunc(struct xlate_ctx *ctx, const struct sluice_action_output_trunc *action);

/* The packet enters 'peer' of another bridge and goes through its tables. */
void output_into_bridge(struct xlate_ctx *ctx, const struct bridge_view *view, const struct ofport *peer);

/* Counts the packet for a port that has no device. */
void output_credit(struct xlate_ctx *ctx, const struct ofport *port, enum xlate_credit_kind kind);

/* A packet-in. */
void output_controller(struct xlate_ctx *ctx, const struct sluice_action_controller *action);
void output_continuation(struct xlate_ctx *ctx, const struct sluice_action_controller *action, uint32_t recirc_id);
void output_invalid_ttl(struct xlate_ctx *ctx, uint16_t controller_id);
void output_table_miss(struct xlate_ctx *ctx);

/* normal.c */

void normal_output(struct xlate_ctx *ctx);

/* The tags of a packet as the switch sees them, in host order: outer, inner.  A VID of 0 is no VLAN. */
struct normal_tags {
    struct {
        uint16_t tpid;
        uint16_t vid;
        uint16_t pcp; /* In place: bits 13 to 15. */
    } v[2];
};

/* The tags within the switch of the packet as it is, had it come in by 'bundle'.  False: that does not let it in. */
bool normal_input_tags(struct xlate_ctx *ctx, const struct bundle *bundle, struct normal_tags *tags);

/* Outputs to a member of 'bundle', or to all bundles that carry 'vlan', a packet with these tags within the switch. */
void normal_output_bundle(struct xlate_ctx *ctx, const struct bundle *bundle, const struct normal_tags *tags);
void normal_output_vlan(struct xlate_ctx *ctx, uint16_t vlan, const struct normal_tags *tags);

/* To all bundles but 'in' that carry such a packet and are flooded to. */
void normal_flood(struct xlate_ctx *ctx, const struct bundle *in, const struct normal_tags *tags);

/* mcast.c */

/* Does with a packet of multicast what snooping says.  False: the bridge does not snoop, or it is none. */
bool mcast_forward(struct xlate_ctx *ctx, const struct bundle *in, const struct normal_tags *tags);

/* mirror.c */

/* Gives mirrors that select it a copy of the packet as it is: it came 'in' by the port, or just went out by it. */
void mirror_packet(struct xlate_ctx *ctx, uint32_t ofp_port, bool in);

/* Whether the bundle is the output of a mirror, and so for nothing else. */
bool mirror_owns_bundle(const struct bridge_view *view, const struct bundle *bundle);

/* sample.c */

/* Samples what the bridge's exporters want of a packet that comes in, as it comes in. */
void sample_input(struct xlate_ctx *ctx);

/* Samples for IPFIX a packet that is about to go out by a device or a tunnel. */
void sample_output(struct xlate_ctx *ctx, const struct ofport *port);

/* The OpenFlow action. */
void sample_action(struct xlate_ctx *ctx, const struct sluice_action_sample *action);

/* Tells sFlow's sample where the packet goes and what is done to it on the way. */
void sample_finish(struct xlate_ctx *ctx);

#endif
