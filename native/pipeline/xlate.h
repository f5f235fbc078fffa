/* Translation: what the OpenFlow tables of the bridges do with one packet, as datapath actions and the mask of what
 * was read on the way, which together make a megaflow.
 *
 * Un-wildcarding.  'mask' has a bit set for each bit of the packet's key that had any influence on 'actions'.  A bit
 * set without need makes the megaflow narrower than it could be and is harmless; a bit missing is a bug: some other
 * packet under the megaflow would have been translated differently.
 *
 * Staleness.  Configuration is divided into cells (a bridge's ports, one of its tables, one MAC address on one of its
 * VLANs, ...).  The result carries stamps: the cells that it was made from and what state they were in.
 * xlate_is_stale() compares them; while nothing at all changed that is one load and a compare.
 *
 * Threads.  xlate() may run in any number of threads at once.  The caller must be a registered, online reader of the
 * pipeline's epoch and must not pass a quiescent point during the call.  A result belongs to the thread that made it;
 * its credits may be given from any thread. */
#ifndef SLUICE_PIPELINE_XLATE_H
#define SLUICE_PIPELINE_XLATE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pipeline/solicit.h"
#include "sluice/flow_key.h"

struct megaflow;
struct config;
struct frozen_state;
struct learned;
struct group_stats;
struct mac_table;
struct neighbor;
struct netflow_path;
struct pipeline;
struct bond_load;
struct port_counters;
struct rule;
struct sluice_continuation;
struct table_counters;
struct trace_sink;

/* Limits of one translation.  Over any of them the packet is dropped and a reason counted. */
#define XLATE_DEPTH_MAX 64           /* Nested resubmits, patch ports and clones. */
#define XLATE_RESUBMITS_MAX 4096     /* Resubmits in all. */
#define XLATE_STACK_SIZE_MAX 65536   /* Bytes on the stack of push and pop. */
#define XLATE_ACTIONS_SIZE_MAX 61440 /* Bytes of datapath actions: what fits into a 16-bit size, with room to nest. */
#define XLATE_ACTION_SET_MAX 16384   /* Bytes of OpenFlow actions in the action set. */

/* Stamps that a result may carry; one that needs more goes stale with every change. */
#define XLATE_STAMPS_MAX 48

/* One cell, and its state at the time of translation, or when a change since was last found to be of no concern. */
struct xlate_stamp {
    uint32_t cell;
    _Atomic uint32_t state;
};

/* What a packet that takes this path counts for, besides the megaflow itself. */
enum xlate_credit_kind {
    XLATE_CREDIT_RULE,    /* 'rule' matched; the credit owns a reference to it once it is stolen. */
    XLATE_CREDIT_MISS,    /* A lookup in the table of 'counters' found nothing; likewise. */
    XLATE_CREDIT_PORT_RX, /* The patch port or tunnel of 'port' received it; the credit owns a reference. */
    XLATE_CREDIT_PORT_TX, /* The patch port or tunnel of 'port' sent it; the credit owns a reference. */
    XLATE_CREDIT_LEARN,   /* 'learned' was learned, and is again by each packet; the credit owns a reference. */
    XLATE_CREDIT_FIN,     /* A TCP packet that ends its connection shortens the timeouts of 'rule'; owns a reference. */
    XLATE_CREDIT_GROUP,   /* The bucket at position 'bundle' of 'group', or all; owns a reference. */
    XLATE_CREDIT_MAC,     /* NORMAL: 'mac' is alive on VLAN 'vlan' of 'macs' behind 'bundle'; owns a reference. */
    XLATE_CREDIT_FROZEN,  /* Nothing is counted; the credit keeps the recirculation id of 'frozen' alive. */
    XLATE_CREDIT_NEIGHBOR, /* Packets went to 'neighbor'; owns a reference. */
    XLATE_CREDIT_NETFLOW,  /* NetFlow: 'path', which the credit owns, to output 'bundle'. */
    XLATE_CREDIT_BOND,     /* Bucket 'bundle' of a bond, of 'load'; owns a reference. */
    XLATE_CREDIT_HEADER,   /* For what follows, packets are longer by 'bundle' bytes, as a signed number. */
};

struct xlate_credit {
    uint32_t kind;
    uint32_t bundle; /* For FIN: the bridge of 'rule'. */
    union {
        const struct rule *rule;
        struct learned *learned;
        struct table_counters *counters;
        struct port_counters *port;
        struct mac_table *macs;
        struct neighbor *neighbor;
        struct netflow_path *path;
        struct group_stats *group;
        struct bond_load *load;
        const struct frozen_state *frozen;
    };
    uint64_t mac; /* 48 bits, first byte of the address highest, above it the VLAN.  For FIN: idle timeout, from bit 16
                   * on hard timeout. */
};

/* The result.  'actions' and 'credits' are owned by it and reused by the next translation into it; a megaflow takes
 * copies, and the references of the credits (see xlate_out_steal_credits).  Until then the credits of rules and misses own
 * no references, of which every search would have to take one: they are good until the translating thread's next quiescent
 * point. */
struct xlate_out {
    struct flow_key mask;  /* What was read.  'in_port' stands for the datapath port and is always all ones. */
    uint64_t *actions;     /* Datapath actions, struct sluice_dp_action_*; a lone drop if nothing else. */
    uint32_t actions_size; /* In bytes, a multiple of 8. */
    uint32_t actions_capacity;
    struct xlate_credit *credits;
    uint32_t n_credits;
    uint32_t credits_capacity;
    uint64_t change;                    /* The pipeline's change number that the stamps were last compared at. */
    uint32_t n_stamps;                  /* XLATE_STAMPS_MAX + 1: too many, any change makes it stale. */
    uint32_t drop_reason;               /* enum sluice_drop_reason; 0 if something was output. */
    bool failed;                        /* Translation hit a limit: the packet is dropped whatever its actions say. */
    bool cacheable;                     /* False if the result must serve this packet only. */
    uint32_t slow;                      /* enum sluice_slow_reason: why each packet is looked at. */
    struct solicitations solicitations; /* To be sent, too. */
    struct xlate_stamp stamps[XLATE_STAMPS_MAX];
};

struct xlate_in {
    const struct flow_key *key; /* As parsed, 'in_port' being the datapath port; pipeline words zero.  With a recirc_id
                                 * it begins with what was frozen under that. */
    uint64_t now_ms;            /* The datapath's clock. */
    bool learn;                 /* True for a real packet: NORMAL may learn its source, learn actions take effect. */
    bool has_control;           /* The caller holds the control lock, and no transaction is open. */
    const struct config *draft; /* Not null: the packet sees what the open transaction made so far, which this is.  What
                                 * it would change at once, the transaction changes at its commit; what learn actions
                                 * learn is left to the caller, as credits. */
    struct trace_sink *trace;   /* Null but for ofproto/trace. */
    const struct packet *packet; /* Parsed as 'key', or null: then nothing is learned from its bytes. */

    /* For packet_out and trace: when 'bridge' is not 0, the packet begins in that bridge on OpenFlow port 'in_port'
     * whatever key->in_port says, key's pipeline words are kept, and if 'actions' is not null these are executed in
     * place of table 0.  The actions must have passed action_check(). */
    uint32_t bridge;
    uint32_t in_port;
    const void *actions;
    uint32_t actions_size;
    const struct sluice_continuation *resume; /* Not null: a paused packet goes on with this, whose parts were checked.
                                               * 'bridge', 'in_port' and 'actions' are not used. */
    struct flow_key *final;                   /* Not null: gets the key after translation. */
};

/* Prepares 'out'; allocates nothing. */
void xlate_out_init(struct xlate_out *out);

/* Frees what 'out' owns and gives up the references of its credits. */
void xlate_out_uninit(struct xlate_out *out);

/* Translates.  Never fails: what cannot be executed is a drop with a reason (SLUICE_DROP_REASON_*). */
void xlate(struct pipeline *pipeline, const struct xlate_in *in, struct xlate_out *out);

/* True if configuration that 'stamps' depend on changed since '*change'.  When false, '*change' and the stamps are brought
 * up to date, so that the next call is quick again.  Rules that cannot match packets of 'megaflow' are of no concern; a null
 * one is any packet.  Any thread that owns '*change'. */
bool xlate_is_stale(const struct pipeline *pipeline, uint64_t *change, struct xlate_stamp *stamps, uint32_t n_stamps,
                    const struct megaflow *megaflow);

/* Packets of one burst that are yet to be counted for rules and tables.  Misses of a burst tend to meet the same rules,
 * and workers share the counters: each is written once a burst.  Zeroed, it is empty.  One thread's; all packets have the
 * same time. */
#define CREDIT_TALLY_RULES 64u
#define CREDIT_TALLY_TABLES 32u
struct credit_tally {
    uint32_t n_used; /* Elements of 'used': the slots in use. */
    uint8_t used[CREDIT_TALLY_RULES];
    uint64_t used_ms;
    struct credit_tally_rule {
        const struct rule *rule; /* Null: free. */
        uint64_t n_packets;
        uint64_t n_bytes;
    } rules[CREDIT_TALLY_RULES];                        /* By address. */
    struct table_counters *tables[CREDIT_TALLY_TABLES]; /* By table number; null: none. */
    uint64_t n_matches[CREDIT_TALLY_TABLES];
};

/* Counts what is in the tally, which is empty then.  Before the quiescent point after the translations. */
void credit_tally_flush(struct credit_tally *tally);

/* Packets that took one path: their number, bytes, the time of the last, and the TCP flags of any. */
struct xlate_traffic {
    uint64_t n_packets;
    uint64_t n_bytes;
    uint64_t used_ms;
    uint16_t tcp_flags;
    struct credit_tally *tally; /* Where what rules and tables count goes; null: they count it at once. */
};

/* Counts packets for each credit.  Any thread. */
void xlate_credit(struct pipeline *pipeline, const struct xlate_credit *credits, uint32_t n_credits,
                  const struct xlate_traffic *traffic);

/* Gives up the references that 'credits' own.  The array itself stays the caller's.  'lingers': the next translation is
 * perhaps of a packet of the same flow, and is to get the same recirculation ids.  Any thread. */
void xlate_credits_release(struct xlate_credit *credits, uint32_t n_credits, bool lingers);

/* Forgets the credits and gives up what they own.  'lingers' as above. */
void xlate_out_drop_credits(struct xlate_out *out, bool lingers);

/* Makes the references of the credits the caller's, who has copied the array: takes those that 'out' does without, and
 * has it forget the others without giving them up.  Before the quiescent point after the translation. */
void xlate_out_steal_credits(struct xlate_out *out);

#endif
