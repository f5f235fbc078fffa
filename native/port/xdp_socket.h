/* AF_XDP sockets without libxdp: a umem that a port's sockets share, and four rings for each socket.
 *
 * Of a socket's frames half are for receiving and half for transmitting.  A received packet stays in its frame until it
 * is released, or leaves in it through a socket of the same umem; then the frame that takes its place is one of that
 * socket's.  So each socket always has as many of either as at first.
 *
 * Threads.  Receiving, and releasing what was received, is for the thread that polls the queue; transmitting is for
 * whoever has the lock of the transmit queue.  The two share nothing. */
#ifndef PORT_XDP_SOCKET_H
#define PORT_XDP_SOCKET_H 1

#include <linux/if_xdp.h>
#include <stddef.h>
#include <stdint.h>

#include "packet/packet.h"
#include "port/xdp_program.h"

/* Bytes of a umem frame: what the kernel takes at most.  256 of them are the kernel's headroom. */
#define XDP_FRAME_SIZE 4096u
#define XDP_RING_SIZE 2048u

/* Received packets of a queue that are on their way at once. */
#define XDP_PACKETS_MAX 128u

/* Bytes before a frame that is copied into the umem: room for what tells the kernel of its checksum. */
#define XDP_TX_HEADROOM 64u
#define XDP_TX_SIZE_MAX (XDP_FRAME_SIZE - XDP_TX_HEADROOM)

/* Memory that the sockets of a port share. */
struct xdp_umem {
    uint8_t *memory;
    size_t size;
    int fd;                  /* Of the socket that registered it; -1: none did yet. */
    _Bool carries_checksums; /* What is transmitted may have partial checksums. */
};

/* One ring shared with the kernel. */
struct xdp_ring {
    _Atomic uint32_t *producer;
    _Atomic uint32_t *consumer;
    _Atomic uint32_t *flags;
    void *entries; /* XDP_RING_SIZE of uint64_t or struct xdp_desc. */
    void *map;
    size_t map_size;
};

struct xdp_socket {
    struct packet_owner owner; /* First: the owner of a received packet is its socket. */
    int fd;
    _Bool asks_for_wakeup; /* The kernel says in the rings when it wants to be called. */
    struct xdp_umem *umem;
    struct xdp_ring fill;
    struct xdp_ring completion;
    struct xdp_ring rx;
    struct xdp_ring tx;
    uint32_t n_spare;
    uint32_t n_free_tx;
    uint32_t n_packets;
    uint32_t spare[XDP_RING_SIZE];   /* Receive frames that are ours, by number in the umem. */
    uint32_t free_tx[XDP_RING_SIZE]; /* Transmit frames that are ours. */
    struct packet *packets[XDP_PACKETS_MAX];
    struct packet headers[XDP_PACKETS_MAX]; /* What 'packets' point to, the last used first. */
};

/* What to open. */
struct xdp_socket_options {
    const struct xdp_program *program;
    uint32_t ifindex;
    uint32_t queue;
    enum xdp_mode mode;
    _Bool asks_for_wakeup;
};

/* Reserves memory for 'n_sockets'.  ENOMEM.  A umem that is zeroed may be destroyed. */
int xdp_umem_create(struct xdp_umem *umem, uint32_t n_sockets);
void xdp_umem_destroy(struct xdp_umem *umem);

/* Opens a socket for a queue and enters it into the program's map.  The first socket of a umem must be closed last.
 * ENOBUFS: no memory may be locked (ulimit -l); EOPNOTSUPP: no zero-copy; EBUSY: the queue has a socket;
 * EINVAL: the device has no such queue, or the kernel is too old. */
int xdp_socket_open(struct xdp_socket *socket, struct xdp_umem *umem, const struct xdp_socket_options *options);

/* A part of opening: gives the kernel the frames to receive into that are those of 'queue', and us those to transmit from.
 * The umem and the rings must be there. */
void xdp_socket_share_out(struct xdp_socket *socket, uint32_t queue);

/* Closes a socket; one that is zeroed with fd -1 is fine. */
void xdp_socket_close(struct xdp_socket *socket);

/* Gives the frames of released packets back to the kernel and tells how many received descriptors are there. */
uint32_t xdp_socket_rx_peek(struct xdp_socket *socket);

/* The bytes of descriptor 'i' of those.  '*more' says that the packet goes on in the next one. */
const uint8_t *xdp_socket_rx_frame(const struct xdp_socket *socket, uint32_t i, uint32_t *size, _Bool *more);

/* The packet of descriptor 'i', which is whole in it; the caller owns it and releases it on this thread.  Null when too
 * many are on their way. */
struct packet *xdp_socket_rx_packet(struct xdp_socket *socket, uint32_t i);

/* Takes the frame of descriptor 'i' back that did not become a packet. */
void xdp_socket_rx_drop(struct xdp_socket *socket, uint32_t i);

/* Is done with the first 'n' descriptors. */
void xdp_socket_rx_done(struct xdp_socket *socket, uint32_t n);

/* Queues the bytes of the packet, which stays the caller's to release.  It must fit XDP_TX_SIZE_MAX.  False: all frames
 * are on their way. */
_Bool xdp_socket_tx_put(struct xdp_socket *socket, struct packet *packet);

/* Takes back the transmit frames that the kernel is done with: before each burst, so that the same few stay in the
 * CPU's cache. */
void xdp_socket_tx_reclaim(struct xdp_socket *socket);

/* Has the kernel send what is queued.  Returns how many frames it took and threw away. */
uint32_t xdp_socket_tx_kick(struct xdp_socket *socket);

/* The kernel's counters; zero when it does not tell. */
void xdp_socket_statistics(const struct xdp_socket *socket, struct xdp_statistics *statistics);

#endif
