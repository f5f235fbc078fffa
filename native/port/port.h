/* Ports: where packets come in and go out.  One driver a file, each a struct port_class.
 *
 * Life.  port_open() makes a port of a class from a name and configuration strings; from then on its queues may be
 * polled.  port_close() ends it: the caller makes sure that no thread is inside port_rx() or port_tx() any more, and
 * destroys what was queued.  Between the two:
 *
 *   - each receive queue is polled by one thread at a time (ownership may move between threads with a happens-before);
 *   - any thread may transmit on any queue: port_tx() takes the queue's lock for the batch;
 *   - set, inject, stats: one control thread, at the same time as the others poll.
 *
 * Ports know packets only; what they have to tell the datapath goes through struct port_host. */
#ifndef PORT_PORT_H
#define PORT_PORT_H 1

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/records.h"

struct packet_batch;
struct packet_pool;
struct port;

/* Queues of a port at most.  More workers than transmit queues share them. */
#define PORT_QUEUES_MAX 16u
#define PORT_NAME_SIZE 128u

/* Counters of drops, by enum sluice_port_drop; number 0 is not used. */
#define PORT_DROPS 16u

/* port_class.wait_fd's answers besides a descriptor. */
#define PORT_WAIT_NEVER (-1) /* Nothing will come: the queue need not be waited for. */
#define PORT_WAIT_BUSY (-2)  /* There is always something: the worker must not sleep. */

/* What a port's transmit side completes by itself; what it does not is done in software before class->tx. */
#define PORT_OFFLOAD_CHECKSUM 1u /* Partial checksums. */
#define PORT_OFFLOAD_SEGMENT 2u  /* GSO super-frames. */

/* What the ports of one datapath count together. */
struct port_counters {
    _Atomic uint32_t n_dummies; /* Dummy ports ever opened: their Ethernet addresses count up. */
};

/* What a port tells the datapath.  Functions may be called by any thread, and never call back into the port. */
struct port_host {
    /* A port whose frames the control thread takes transmitted one.  False: there was no room for it. */
    _Bool (*frame)(void *aux, uint32_t dp_port, const uint8_t *frame, uint32_t size);
    void (*changed)(void *aux, uint32_t dp_port, int error); /* Carrier changed (0), or the device failed (errno). */
    void (*readable)(void *aux, uint32_t dp_port);           /* A frame was injected: who polls the port may sleep. */
    void *aux;
    struct port_counters *counters;
};

/* What to open. */
struct port_options {
    uint32_t dp_port;   /* 1 to 65535. */
    const char *name;   /* Device or port name; copied. */
    const char *config; /* 'key=value' strings, each ended by a zero byte. */
    size_t config_size;
    uint32_t n_threads;           /* Threads that will transmit: how many transmit queues are worth having. */
    const struct port_host *host; /* Must outlive the port. */
};

/* Counters of a queue.  Written by the queue's thread (transmit: under the queue's lock), read by anyone. */
struct port_queue {
    _Alignas(64) atomic_flag lock; /* Of transmit queues; of receive queues, the driver's. */
    _Atomic uint64_t n_packets;
    _Atomic uint64_t n_bytes;
    _Atomic uint64_t n_errors;              /* The device refused with an error. */
    _Atomic uint64_t n_segments;            /* Packets that came of cutting others, beyond these. */
    _Atomic uint64_t n_dropped[PORT_DROPS]; /* By enum sluice_port_drop. */
};

/* What packets pass before a driver sends them. */
struct port_gate {
    /* Releases those that may not pass, and takes them out of the batch.  Called with the lock of 'queue'. */
    void (*run)(struct port_gate *gate, struct port_queue *queue, struct packet_batch *batch);
};

/* What every driver's structure begins with.  Set by port_open() and class->open; 'up', 'mtu' and 'mac' may change. */
struct port {
    const struct port_class *class;
    const struct port_host *host;
    uint32_t dp_port;
    uint32_t n_rxq; /* Set by open, 1 unless it says otherwise. */
    uint32_t n_txq;
    uint32_t offloads;        /* PORT_OFFLOAD_*. */
    uint32_t ifindex;         /* 0: no device of the host. */
    _Atomic uint32_t mtu;     /* Frames longer than it and its headers are dropped when transmitted; 0: any. */
    _Atomic uint32_t up;      /* 0: administratively down, neither receives nor transmits. */
    _Atomic _Bool tx_by_flow; /* Which transmit queue: by a hash of the packet's flow; else by the thread that sends. */
    _Atomic(struct port_gate *) gate; /* Null: all may pass.  Not owned; who transmits is a reader of the epoch. */
    uint8_t mac[6];
    char name[PORT_NAME_SIZE];
    struct port_queue rx[PORT_QUEUES_MAX];
    struct port_queue tx[PORT_QUEUES_MAX];
};

struct port_class {
    uint32_t number; /* enum sluice_port_class */
    const char *name;
    size_t size; /* Of the driver's structure, which begins with struct port; zeroed before open. */

    /* Opens the device.  0 or a positive errno value, after which close is not called: it undoes what it did. */
    int (*open)(struct port *port, const struct port_options *options);

    /* Gives up the device and what belongs to it.  The structure is freed by the caller. */
    void (*close)(struct port *port);

    /* Changes settings of an open port, 'n_rxq' among them if the driver can: then the queues that go must bear a last
     * poll, and those that come are empty.  ENOTSUP: it must be opened anew for that.  May be null: always ENOTSUP. */
    int (*set)(struct port *port, const char *config, size_t config_size);

    /* Gives the port a frame to receive; copied.  Null: ENOTSUP. */
    int (*inject)(struct port *port, uint32_t queue, const uint8_t *frame, uint32_t size);

    /* Fills the empty 'batch' with up to its capacity of packets from 'pool'.  Never waits.  The packets' in_port is
     * set by port_rx().  Drops for want of buffers are counted by the driver. */
    void (*rx)(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch);

    /* Transmits the batch, never waits, and puts every packet (frees it), sent or not.  Called with the queue's lock.
     * Returns how many were sent and adds their bytes to '*n_bytes'; the rest was counted by port_count_drop(). */
    uint32_t (*tx)(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes);

    /* A descriptor that is readable when the queue has packets, or PORT_WAIT_*.  It may change between calls. */
    int (*wait_fd)(struct port *port, uint32_t queue);

    /* Fills what the device knows beyond the port's own counters.  May be null. */
    void (*stats)(struct port *port, struct sluice_port_info *info);

    /* Fills what the kernel counts for an AF_XDP socket.  Null: the port has none. */
    void (*queue_stats)(struct port *port, uint32_t queue, struct sluice_xsk_info *info);
};

/* Opens a port of class 'number'.  On success '*port' is the caller's to close.  EINVAL, ENOMEM, ENOTSUP (no such class
 * here) or what the driver said. */
int port_open(uint32_t number, const struct port_options *options, struct port **port);
void port_close(struct port *port);

/* Changes settings: those of the driver, or "tx-steering" alone ("thread", or "hash": by flow).  EINVAL, ENOTSUP. */
int port_set(struct port *port, const char *config, size_t config_size);
int port_inject(struct port *port, uint32_t queue, const uint8_t *frame, uint32_t size);

/* Receives a burst of a queue, counts it and marks the packets with the port and queue. */
void port_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch);

/* Transmits a batch on the queue of thread 'thread' and empties it.  Offloads that the port does not have are completed
 * in software with buffers of 'pool', which must be the pool of the calling thread. */
void port_tx(struct port *port, uint32_t thread, struct packet_pool *pool, struct packet_batch *batch);

/* As class->wait_fd. */
int port_wait_fd(struct port *port, uint32_t queue);

/* Sums the counters and adds what the device knows. */
void port_stats(struct port *port, struct sluice_port_info *info);

/* Packets that came of cutting others, beyond these. */
uint64_t port_n_segments(const struct port *port);

/* Packets of this port dropped for 'reason' (enum sluice_port_drop) since it was opened. */
uint64_t port_n_dropped(const struct port *port, uint32_t reason);

/* For drivers. */
void port_count_drop(struct port_queue *queue, uint32_t reason, uint64_t n);

/* The value of 'key' in configuration strings, or null.  The strings must end with a zero byte. */
const char *port_config_get(const char *config, size_t config_size, const char *key);

/* The value as a number in [min, max]; 'fallback' when absent.  False when it is no such number. */
_Bool port_config_number(const char *config, size_t config_size, const char *key, uint64_t min, uint64_t max,
                         uint64_t fallback, uint64_t *value);

/* Whether the configuration strings are well-formed: 'key=value', each ended by a zero byte. */
_Bool port_config_check(const char *config, size_t config_size);

/* The drivers. */
extern const struct port_class port_class_packet;
extern const struct port_class port_class_tap;
extern const struct port_class port_class_afxdp;
extern const struct port_class port_class_dummy;
extern const struct port_class port_class_memory;
extern const struct port_class port_class_pcap;
extern const struct port_class port_class_null;

#endif
