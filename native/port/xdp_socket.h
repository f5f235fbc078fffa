/* AF_XDP sockets without libxdp: a umem, four rings, and the program that redirects a queue's frames to its socket.
 *
 * The umem's first half of frames is for receiving (always in the fill ring, the receive ring or our hands for the
 * length of one call), the second for transmitting. */
#ifndef PORT_XDP_SOCKET_H
#define PORT_XDP_SOCKET_H 1

#include <linux/if_xdp.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of a umem frame: what the kernel takes at most.  256 of them are the kernel's headroom. */
#define XDP_FRAME_SIZE 4096u
#define XDP_RING_SIZE 2048u

enum xdp_mode {
    XDP_MODE_NATIVE_ZEROCOPY,
    XDP_MODE_NATIVE,
    XDP_MODE_GENERIC,
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
    int fd;
    uint8_t *umem;
    struct xdp_ring fill;
    struct xdp_ring completion;
    struct xdp_ring rx;
    struct xdp_ring tx;
    uint64_t free_tx[XDP_RING_SIZE]; /* Addresses of transmit frames that are ours. */
    uint32_t n_free_tx;
};

/* The redirect program on a device, and its map from queue to socket. */
struct xdp_program {
    int map_fd;
    int program_fd;
    int link_fd; /* Closing it takes the program off the device. */
};

/* In generic mode a packet may be longer than a frame and lie in several (Linux 6.6); in native mode it never does: a
 * program that took such packets would not keep the kernel from handing super-frames to a veth's peer.
 *
 * Loads the program and attaches it in 'mode' to 'ifindex', for 'n_queues' queues.  EBUSY: the device has an XDP
 * program; EPERM; EOPNOTSUPP: the driver has no native XDP. */
int xdp_program_attach(struct xdp_program *program, uint32_t ifindex, enum xdp_mode mode, uint32_t n_queues);
void xdp_program_detach(struct xdp_program *program);

/* Opens a socket for 'queue' and enters it into the program's map.  ENOBUFS: no memory may be locked (ulimit -l);
 * EOPNOTSUPP: no zero-copy; EBUSY: the queue has a socket. */
int xdp_socket_open(struct xdp_socket *socket, const struct xdp_program *program, uint32_t ifindex, uint32_t queue,
                    enum xdp_mode mode);

/* Closes a socket; one that is zeroed with fd -1 is fine. */
void xdp_socket_close(struct xdp_socket *socket);

/* How many received descriptors are there. */
uint32_t xdp_socket_rx_peek(const struct xdp_socket *socket);

/* The bytes of descriptor 'i' of those.  '*more' says that the packet goes on in the next one. */
const uint8_t *xdp_socket_rx_frame(const struct xdp_socket *socket, uint32_t i, uint32_t *size, _Bool *more);

/* Gives the frames of the first 'n' descriptors back to the kernel. */
void xdp_socket_rx_done(struct xdp_socket *socket, uint32_t n);

/* A frame to write up to XDP_FRAME_SIZE bytes into, or null: all are on their way. */
uint8_t *xdp_socket_tx_frame(struct xdp_socket *socket);

/* Queues the frame that xdp_socket_tx_frame() gave. */
void xdp_socket_tx_put(struct xdp_socket *socket, uint8_t *frame, uint32_t size);

/* Has the kernel send what is queued.  0 or an errno value. */
int xdp_socket_tx_kick(struct xdp_socket *socket);

/* Frames that the kernel dropped for want of room. */
uint64_t xdp_socket_n_dropped(const struct xdp_socket *socket);

#endif
