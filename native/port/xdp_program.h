/* The XDP program that redirects the frames of a device's queues to AF_XDP sockets, without libbpf. */
#ifndef PORT_XDP_PROGRAM_H
#define PORT_XDP_PROGRAM_H 1

#include <stdint.h>

enum xdp_mode {
    XDP_MODE_NATIVE_ZEROCOPY,
    XDP_MODE_NATIVE,
    XDP_MODE_GENERIC,
};

/* The program on a device, and its map from queue to socket. */
struct xdp_program {
    int map_fd;
    int program_fd;
    int link_fd; /* Closing it takes the program off the device. */
};

/* In generic mode a packet may be longer than a frame and lie in several (Linux 6.6); in native mode it never does: a
 * program that took such packets would not keep the kernel from handing super-frames to a veth's peer.
 *
 * Loads the program and attaches it in 'mode' to 'ifindex', for 'n_queues' queues.  EBUSY: the device has an XDP
 * program; EPERM; EOPNOTSUPP: the driver has no native XDP; ERANGE: the driver has none for so great an MTU. */
int xdp_program_attach(struct xdp_program *program, uint32_t ifindex, enum xdp_mode mode, uint32_t n_queues);
void xdp_program_detach(struct xdp_program *program);

/* Has frames of 'queue' go to a socket.  0 or an errno value. */
int xdp_program_set(const struct xdp_program *program, uint32_t queue, int socket_fd);

#endif
