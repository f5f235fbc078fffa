/* "packet" ports: an existing network device through an AF_PACKET socket.
 *
 * The socket speaks virtio-net headers, so that what a device's peer leaves to it (checksums, segmentation) passes
 * through us to the other port untouched: TCP between two veths costs one header, not a checksum.  Frames that the
 * host itself sends on the device are not received.  VLAN tags, which the kernel takes off, are put back. */
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packet/bytes.h"
#include "port/device.h"
#include "port/frame_sender.h"

#define BUFFER_SIZE (4 << 20)

/* One message of recvmmsg. */
struct packet_slot {
    struct virtio_net_hdr header;
    struct iovec iov[3];
    uint8_t control[CMSG_SPACE(sizeof(struct tpacket_auxdata))] __attribute__((aligned(8)));
};

struct packet_port {
    struct port port;
    struct device device;
    int fd;
    uint32_t budget;   /* Packets that the next receive asks for; follows the load. */
    uint32_t room;     /* Bytes of each of their buffers: super-frames came lately, or not. */
    uint8_t *overflow; /* PACKET_BATCH_MAX of DEVICE_OVERFLOW_SIZE; touched when needed. */
    struct mmsghdr rx_messages[PACKET_BATCH_MAX];
    struct packet_slot rx_slots[PACKET_BATCH_MAX];
    struct frame_sender sender;
};

static int
set_option(int fd, int name, int value)
{
    return setsockopt(fd, SOL_PACKET, name, &value, sizeof value) == 0 ? 0 : errno;
}

static int
open_socket(const struct port *port, int *fdp)
{
    const struct sockaddr_ll address = {
        .sll_family = AF_PACKET,
        .sll_protocol = be16(ETH_P_ALL),
        .sll_ifindex = (int) port->ifindex,
    };
    int size = BUFFER_SIZE;
    /* Protocol 0: nothing is received before the options and the device are set. */
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    *fdp = fd;
    if (fd < 0) {
        return errno;
    }
    int error = set_option(fd, PACKET_VNET_HDR, 1);
    error = error != 0 ? error : set_option(fd, PACKET_AUXDATA, 1);
    error = error != 0 ? error : set_option(fd, PACKET_IGNORE_OUTGOING, 1);
    if (error != 0) {
        return error;
    }
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    }
    return bind(fd, (const struct sockaddr *) &address, sizeof address) == 0 ? 0 : errno;
}

/* The parts of the messages that never change. */
static void
prepare_messages(struct packet_port *packet)
{
    for (uint32_t i = 0; i < PACKET_BATCH_MAX; i++) {
        struct packet_slot *rx = &packet->rx_slots[i];
        rx->iov[0] = (struct iovec){ &rx->header, sizeof rx->header };
        rx->iov[2] = (struct iovec){ packet->overflow + (size_t) i * DEVICE_OVERFLOW_SIZE, DEVICE_OVERFLOW_SIZE };
        packet->rx_messages[i].msg_hdr = (struct msghdr){ .msg_iov = rx->iov, .msg_iovlen = 3 };
    }
}

static int
packet_open(struct port *port, const struct port_options *options)
{
    struct packet_port *packet = (struct packet_port *) port;

    (void) options;
    packet->fd = -1;
    int error = device_look_up(port, NULL);
    if (error != 0) {
        return error;
    }
    packet->overflow = malloc((size_t) PACKET_BATCH_MAX * DEVICE_OVERFLOW_SIZE);
    error = packet->overflow == NULL ? ENOMEM : open_socket(port, &packet->fd);
    if (error == 0) {
        error = device_promiscuous(&packet->device, port);
    }
    if (error != 0) {
        if (packet->fd >= 0) {
            close(packet->fd);
        }
        free(packet->overflow);
        return error;
    }
    port->offloads = PORT_OFFLOAD_CHECKSUM | PORT_OFFLOAD_SEGMENT;
    packet->budget = 4;
    packet->room = PACKET_SMALL_SIZE;
    prepare_messages(packet);
    frame_sender_init(&packet->sender, packet->fd);
    return 0;
}

static void
packet_close(struct port *port)
{
    struct packet_port *packet = (struct packet_port *) port;

    device_restore(&packet->device, port);
    close(packet->fd);
    free(packet->overflow);
}

/* Puts the tag back that the kernel keeps beside the frame. */
static _Bool
restore_tag(struct packet *packet, struct msghdr *message)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
        struct tpacket_auxdata aux;
        if (c->cmsg_level != SOL_PACKET || c->cmsg_type != PACKET_AUXDATA) {
            continue;
        }
        memcpy(&aux, CMSG_DATA(c), sizeof aux);
        if (!(aux.tp_status & TP_STATUS_VLAN_VALID)) {
            return 1;
        }
        if (packet->size < 12 || !packet_open_gap(packet, 12, 4)) {
            return 0;
        }
        put_be16(packet->data + 12, aux.tp_status & TP_STATUS_VLAN_TPID_VALID ? aux.tp_vlan_tpid : ETH_P_8021Q);
        put_be16(packet->data + 14, aux.tp_vlan_tci);
        return 1;
    }
    return 1;
}

/* Makes a whole packet of message 'i', whose frame begins in 'first'.  Null when it had to be dropped. */
static struct packet *
finish_packet(struct packet_port *packet, uint32_t i, struct packet *first, struct packet_pool *pool)
{
    struct mmsghdr *message = &packet->rx_messages[i];
    struct packet_slot *slot = &packet->rx_slots[i];
    struct port_queue *counters = &packet->port.rx[0];

    if (message->msg_len < sizeof slot->header || message->msg_hdr.msg_flags & MSG_TRUNC) {
        port_count_drop(counters, SLUICE_PORT_DROP_RX_INVALID, 1);
        packet_release(first);
        return NULL;
    }
    uint32_t size = message->msg_len - (uint32_t) sizeof slot->header;
    struct packet *whole = first;
    if (slot->iov[1].iov_len == PACKET_SMALL_SIZE) {
        whole = device_join(pool, first, slot->iov[2].iov_base, size);
    } else {
        whole->size = size;
    }
    if (whole == NULL) {
        port_count_drop(counters, SLUICE_PORT_DROP_RX_NO_BUFFER, 1);
        return NULL;
    }
    if (!device_take_header(whole, &slot->header) || !restore_tag(whole, &message->msg_hdr)) {
        port_count_drop(counters, SLUICE_PORT_DROP_RX_INVALID, 1);
        packet_release(whole);
        return NULL;
    }
    return whole;
}

/* Takes buffers for the next receive and lays them out.  Returns how many: where large ones run short, small ones do. */
static uint32_t
lay_out_buffers(struct packet_port *packet, struct packet_pool *pool, struct packet **buffers)
{
    uint32_t n = packet_alloc_burst(pool, packet->room, buffers, packet->budget);

    if (n == 0 && packet->room != PACKET_SMALL_SIZE) {
        packet->room = PACKET_SMALL_SIZE;
        n = packet_alloc_burst(pool, packet->room, buffers, packet->budget);
    }
    for (uint32_t i = 0; i < n; i++) {
        struct packet_slot *slot = &packet->rx_slots[i];
        struct msghdr *header = &packet->rx_messages[i].msg_hdr;
        slot->iov[1] = (struct iovec){ buffers[i]->data, packet->room };
        header->msg_iovlen = packet->room == PACKET_SMALL_SIZE ? 3 : 2;
        header->msg_control = slot->control;
        header->msg_controllen = sizeof slot->control;
        header->msg_flags = 0;
    }
    return n;
}

static void
packet_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct packet_port *packet = (struct packet_port *) port;
    struct packet *buffers[PACKET_BATCH_MAX];
    uint32_t n = lay_out_buffers(packet, pool, buffers);
    uint32_t n_large = 0;

    (void) queue;
    int n_received = n == 0 ? 0 : recvmmsg(packet->fd, packet->rx_messages, n, MSG_DONTWAIT, NULL);
    if (n_received < 0) {
        n_received = 0;
    }
    for (uint32_t i = 0; i < (uint32_t) n_received; i++) {
        struct packet *whole = finish_packet(packet, i, buffers[i], pool);
        if (whole != NULL) {
            n_large += whole->size > PACKET_SMALL_SIZE;
            batch->packets[batch->n++] = whole;
        }
    }
    packet_release_burst(buffers + n_received, n - (uint32_t) n_received);
    packet->budget = 2 * (uint32_t) n_received + 4;
    if (packet->budget > PACKET_BATCH_MAX) {
        packet->budget = PACKET_BATCH_MAX;
    }
    /* What is received into a small buffer and what overflowed it must be joined by a copy. */
    if (n_received > 0) {
        packet->room = 2 * n_large >= (uint32_t) n_received ? PACKET_LARGE_SIZE : PACKET_SMALL_SIZE;
    }
}

static uint32_t
packet_tx(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes)
{
    struct packet_port *packet = (struct packet_port *) port;
    uint32_t n_sent = frame_sender_send(&packet->sender, port, queue, batch->packets, batch->n, n_bytes);

    packet_release_burst(batch->packets, batch->n);
    return n_sent;
}

static int
packet_wait_fd(struct port *port, uint32_t queue)
{
    const struct packet_port *packet = (const struct packet_port *) port;

    (void) queue;
    return packet->fd;
}

static void
packet_stats(struct port *port, struct sluice_port_info *info)
{
    struct packet_port *packet = (struct packet_port *) port;
    struct tpacket_stats stats;
    socklen_t size = sizeof stats;

    /* The kernel forgets what it told. */
    if (getsockopt(packet->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0) {
        port_count_drop(&port->rx[1], SLUICE_PORT_DROP_RX_DEVICE, stats.tp_drops);
        info->rx_dropped += stats.tp_drops;
    }
    device_stats(port, info);
}

const struct port_class port_class_packet = {
    .number = SLUICE_PORT_CLASS_PACKET,
    .name = "packet",
    .size = sizeof(struct packet_port),
    .open = packet_open,
    .close = packet_close,
    .rx = packet_rx,
    .tx = packet_tx,
    .wait_fd = packet_wait_fd,
    .stats = packet_stats,
};
