/* Sends batches by an AF_PACKET socket that speaks virtio-net headers: checksums and segmentation are left to the kernel,
 * and TCP segments that follow one another leave as one super-frame.
 *
 * Threads: one at a time. */
#ifndef PORT_FRAME_SENDER_H
#define PORT_FRAME_SENDER_H 1

#include <linux/virtio_net.h>
#include <stdint.h>
#include <sys/socket.h>

#include "packet/packet.h"
#include "port/coalesce.h"

struct port;

/* What a message stands for. */
struct sent_frame {
    struct virtio_net_hdr header;
    uint32_t n_packets;
    uint32_t n_bytes;
};

struct frame_sender {
    int fd;         /* Borrowed. */
    uint32_t class; /* SO_PRIORITY: the class that the kernel queues frames in; 0: the discipline's default. */
    struct mmsghdr messages[PACKET_BATCH_MAX];
    struct sent_frame frames[PACKET_BATCH_MAX];
    struct iovec
        parts[3 * PACKET_BATCH_MAX]; /* A message has its header, a joined header and a part for each packet. */
    struct coalesced joined[PACKET_BATCH_MAX / 2 + 1]; /* The last is for trying. */
};

/* A sender by 'fd', a packet socket with PACKET_VNET_HDR that is bound to its device. */
void frame_sender_init(struct frame_sender *sender, int fd);

/* Sends 'n' packets, which stay the caller's, without waiting.  Returns how many were sent and adds their bytes to
 * '*n_bytes'; the rest is counted as drops of 'port's transmit queue 'queue'. */
uint32_t frame_sender_send(struct frame_sender *sender, struct port *port, uint32_t queue,
                           struct packet *const *packets, uint32_t n, uint64_t *n_bytes);

#endif
