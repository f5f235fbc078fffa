/* Executes datapath actions (rows `datapathOpcodes`, struct sluice_dp_action_*) on packets.
 *
 * Numbers in actions (ports, a VLAN's tpid and tci) are in the machine's order, as everywhere in records; only words of
 * matches hold network order.
 *
 * Threads.  The calling thread must own the packets and 'pool' of the sink.  The functions of the sink run on it. */
#ifndef ACTIONS_EXECUTE_H
#define ACTIONS_EXECUTE_H 1

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "packet/packet.h"
#include "sluice/records.h"

/* Clones within clones at most. */
#define ACTIONS_DEPTH_MAX 32

/* Packets that came into being and ended in the course of actions.  Whatever is executed: packets taken, and 'n_copied',
 * are those that were output, dropped or looked up again, and 'n_consumed'.  Written by the executing thread. */
struct action_counts {
    _Atomic uint64_t n_copied;   /* Copies and segments beyond the packet itself. */
    _Atomic uint64_t n_consumed; /* Originals after their copies were sent or told of, and copies of no more use. */
};

/* Where packets go.  No member may be null.  'n' is at most PACKET_BATCH_MAX. */
struct action_sink {
    /* Takes 'n' packets to be sent on 'dp_port'.  They may carry offloads, and need not come in order of reception
     * with those of other calls. */
    void (*output)(void *aux, uint32_t dp_port, struct packet *const *packets, uint32_t n);

    /* Borrows the packets, whose headers are as rewritten so far, for the length of the call.  'action' is followed by
     * its match and userdata.  Packets may carry offloads: complete the checksum of a copy (or of the packet itself,
     * that is harmless) before showing it to anyone. */
    void (*controller)(void *aux, const struct sluice_dp_action_controller *action, struct packet *const *packets,
                       uint32_t n);

    /* As controller. */
    void (*protocol)(void *aux, const struct sluice_dp_action_protocol *action, struct packet *const *packets,
                     uint32_t n);

    /* As controller. */
    void (*report)(void *aux, const struct sluice_dp_action_report *action, struct packet *const *packets, uint32_t n);

    /* Takes packets that are to be looked up again.  Their metadata has the new recirc_id, and dp_hash if there was a
     * hash action. */
    void (*recirc)(void *aux, struct packet *const *packets, uint32_t n);

    /* Takes packets with a dp_hash, to be sent by the members of a bond.  As output in everything else. */
    void (*lb_output)(void *aux, const struct sluice_dp_action_lb_output *action, struct packet *const *packets,
                      uint32_t n);

    /* Runs '*n' packets past a meter: releases and counts those that it drops, and moves those that are left, '*n' of
     * them, together. */
    void (*meter)(void *aux, uint32_t meter, struct packet **packets, uint32_t *n);

    /* Counts 'n' packets or copies that were dropped, by a drop action or because something could not be done to them.
     * 'reason' is the drop_reason.  Borrows nothing: the packets are released by actions_execute(). */
    void (*drop)(void *aux, uint32_t reason, uint32_t n);

    void *aux;
    struct action_counts *counts; /* May be null. */
    struct packet_pool *pool;     /* Copies come from here. */
    uint32_t *random;             /* State of the generator that chooses samples, not 0.  Null: every packet is one. */
    _Atomic uint32_t *sequences;  /* TUNNEL_SEQUENCES of them. */
};

/* Executes 'size' bytes of 'actions' on 'n' packets (at most PACKET_BATCH_MAX), which were parsed.  Takes the packets:
 * the last output gives them away without a copy, others get copies, and what no output took is released.
 *
 * The actions must have been accepted by actions_check(); this is asserted for sizes only. */
void actions_execute(const struct action_sink *sink, struct packet *const *packets, uint32_t n, const void *actions,
                     size_t size);

/* Judges untrusted actions: known opcodes, sizes, reserved bytes, nesting, matches that packet_rewrite() can set,
 * VLAN types.  0 or EINVAL; EOPNOTSUPP if all is well-formed but a set writes what cannot be written. */
int actions_check(const void *actions, size_t size);

#endif
