/* "afxdp" ports: AF_XDP sockets on an existing network device, one for each of its first n_rxq queues.
 *
 * Configuration: n_rxq (1 to 15, default 1), xdp-mode (best-effort, native-with-zerocopy, native, generic; the default
 * best-effort tries them in that order).
 *
 * Offloads.  AF_XDP carries none, so we complete in software what we send.  What we receive from a veth may be
 * unfinished too: its peer's stack believes that the device adds the L4 checksum, and there is no word in AF_XDP to say
 * so.  Such a frame is known by its checksum field, which holds exactly the pseudo-header's sum; it is marked as
 * partial, and whoever sends it on completes it.  (A frame whose right checksum happens to be that number is
 * completed to the same number.)  Super-frames: while a veth has a native XDP program, the kernel takes segmentation
 * offload from its peer, so there are none.  In generic mode it does not; from Linux 6.6 on such a frame comes in
 * pieces and is cut to the MTU again when it is sent on, older kernels drop it. */
#include <errno.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "port/device.h"
#include "port/xdp_socket.h"

struct afxdp_port {
    struct port port;
    struct device device;
    struct xdp_program program;
    enum xdp_mode mode;
    _Bool peer_may_leave_checksums;
    struct xdp_socket sockets[PORT_QUEUES_MAX];
    uint64_t n_dropped_said; /* Of the kernel's drops, those that are in our counters. */
};

static void
close_sockets(struct afxdp_port *afxdp)
{
    for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++) {
        xdp_socket_close(&afxdp->sockets[i]);
    }
    xdp_program_detach(&afxdp->program);
}

static int
try_mode(struct afxdp_port *afxdp, enum xdp_mode mode)
{
    struct port *port = &afxdp->port;
    int error = xdp_program_attach(&afxdp->program, port->ifindex, mode, PORT_QUEUES_MAX);

    for (uint32_t i = 0; i < port->n_rxq && error == 0; i++) {
        error = xdp_socket_open(&afxdp->sockets[i], &afxdp->program, port->ifindex, i, mode);
    }
    if (error != 0) {
        close_sockets(afxdp);
    }
    afxdp->mode = mode;
    return error;
}

/* Finds the mode by its name. */
static int
open_mode(struct afxdp_port *afxdp, const char *name)
{
    static const struct {
        const char *name;
        enum xdp_mode mode;
    } modes[] = {
        { "native-with-zerocopy", XDP_MODE_NATIVE_ZEROCOPY },
        { "native", XDP_MODE_NATIVE },
        { "generic", XDP_MODE_GENERIC },
    };
    _Bool any = name == NULL || strcmp(name, "best-effort") == 0;
    int error = EINVAL;

    for (int i = 0; i < 3; i++) {
        if (any || strcmp(name, modes[i].name) == 0) {
            error = try_mode(afxdp, modes[i].mode);
            /* Another mode does not help if the device is taken or we may not. */
            if (error == 0 || error == EBUSY || error == EPERM) {
                return error;
            }
        }
    }
    return error;
}

static int
afxdp_open(struct port *port, const struct port_options *options)
{
    struct afxdp_port *afxdp = (struct afxdp_port *) port;
    const char *mode = port_config_get(options->config, options->config_size, "xdp-mode");
    char kind[32];
    uint64_t n_rxq;

    if (!port_config_number(options->config, options->config_size, "n_rxq", 1, PORT_QUEUES_MAX - 1, 1, &n_rxq)) {
        return EINVAL;
    }
    port->n_rxq = (uint32_t) n_rxq;
    port->n_txq = (uint32_t) n_rxq;
    for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++) {
        afxdp->sockets[i].fd = -1;
    }
    int error = device_look_up(port, kind);
    if (error == 0) {
        afxdp->peer_may_leave_checksums = strcmp(kind, "veth") == 0;
        error = open_mode(afxdp, mode);
    }
    if (error == 0) {
        error = device_promiscuous(&afxdp->device, port);
        if (error != 0) {
            close_sockets(afxdp);
        }
    }
    return error;
}

static void
afxdp_close(struct port *port)
{
    struct afxdp_port *afxdp = (struct afxdp_port *) port;

    device_restore(&afxdp->device, port);
    close_sockets(afxdp);
}

/* Marks a checksum that is only the pseudo-header's sum as partial, and TCP that is longer than the device's MTU as the
 * super-frame that it must have been for its sender. */
static void
find_offloads(struct packet *packet, uint32_t mtu)
{
    struct flow_key key;

    packet_parse(packet, 2, &key);
    _Bool tcp = packet->l4_type == PACKET_L4_TCP;
    if ((!tcp && packet->l4_type != PACKET_L4_UDP) || key.ip_frag != 0) {
        return;
    }
    uint32_t start = packet->l4_ofs;
    uint32_t offset = tcp ? 16 : 6;
    uint16_t field = get_raw16(packet->data + start + offset);
    if (field == checksum_fold(checksum_pseudo(packet, tcp ? 6 : 17, packet->l4_size))) {
        packet->flags |= PACKET_CSUM_PARTIAL;
        packet->csum_start = (uint16_t) start;
        packet->csum_offset = (uint16_t) offset;
    }
    uint32_t header_size = start - packet->l3_ofs + (tcp ? (packet->data[start + 12] >> 4) * 4u : 0);
    if (tcp && packet->size - packet->l3_ofs > mtu && mtu > header_size + 8) {
        packet->gso_type = packet->l3_type == PACKET_L3_IPV4 ? PACKET_GSO_TCPV4 : PACKET_GSO_TCPV6;
        packet->gso_size = (uint16_t) (mtu - header_size);
    }
}

/* Copies the packet whose first descriptor is 'i' of 'n'; '*next' gets the descriptor behind it.  Null when there was
 * no buffer; '*next' stays 'i' when the packet is not whole yet. */
static struct packet *
take_packet(struct afxdp_port *afxdp, uint32_t queue, struct packet_pool *pool, uint32_t i, uint32_t n, uint32_t *next)
{
    struct xdp_socket *socket = &afxdp->sockets[queue];
    uint32_t total = 0, size, at = 0;
    uint32_t last = i;
    _Bool more = 1;

    for (; last < n && more; last++) {
        xdp_socket_rx_frame(socket, last, &size, &more);
        total += size;
    }
    if (more) {
        return NULL;
    }
    *next = last;
    struct packet *packet = packet_alloc(pool, total);
    if (packet == NULL) {
        port_count_drop(&afxdp->port.rx[queue], SLUICE_PORT_DROP_RX_NO_BUFFER, 1);
        return NULL;
    }
    for (; i < last; i++) {
        const uint8_t *frame = xdp_socket_rx_frame(socket, i, &size, &more);
        memcpy(packet->data + at, frame, size);
        at += size;
    }
    return packet;
}

static void
afxdp_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct afxdp_port *afxdp = (struct afxdp_port *) port;
    struct xdp_socket *socket = &afxdp->sockets[queue];
    uint32_t mtu = atomic_load_explicit(&port->mtu, memory_order_relaxed);
    uint32_t n = xdp_socket_rx_peek(socket);
    uint32_t i = 0;

    while (i < n && batch->n < PACKET_BATCH_MAX) {
        uint32_t next = i;
        struct packet *packet = take_packet(afxdp, queue, pool, i, n, &next);
        if (next == i) {
            break;
        }
        i = next;
        if (packet != NULL) {
            if (afxdp->peer_may_leave_checksums) {
                find_offloads(packet, mtu);
            }
            batch->packets[batch->n++] = packet;
        }
    }
    if (i != 0) {
        xdp_socket_rx_done(socket, i);
    }
}

static uint32_t
afxdp_tx(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes)
{
    struct afxdp_port *afxdp = (struct afxdp_port *) port;
    struct xdp_socket *socket = &afxdp->sockets[queue];
    uint32_t n_sent = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        const struct packet *packet = batch->packets[i];
        if (packet->size > XDP_FRAME_SIZE) {
            port_count_drop(&port->tx[queue], SLUICE_PORT_DROP_TX_TOO_LONG, 1);
            continue;
        }
        uint8_t *frame = xdp_socket_tx_frame(socket);
        if (frame == NULL) {
            port_count_drop(&port->tx[queue], SLUICE_PORT_DROP_TX_QUEUE_FULL, 1);
            continue;
        }
        memcpy(frame, packet->data, packet->size);
        xdp_socket_tx_put(socket, frame, packet->size);
        *n_bytes += packet->size;
        n_sent++;
    }
    int error = xdp_socket_tx_kick(socket);
    if (error != 0) {
        device_tx_error(port, queue, error, 1);
    }
    packet_release_burst(batch->packets, batch->n);
    return n_sent;
}

static int
afxdp_wait_fd(struct port *port, uint32_t queue)
{
    const struct afxdp_port *afxdp = (const struct afxdp_port *) port;

    return afxdp->sockets[queue].fd;
}

static void
afxdp_stats(struct port *port, struct sluice_port_info *info)
{
    struct afxdp_port *afxdp = (struct afxdp_port *) port;
    uint64_t n = 0;

    for (uint32_t i = 0; i < port->n_rxq; i++) {
        n += xdp_socket_n_dropped(&afxdp->sockets[i]);
    }
    /* Counted on a queue that no worker polls, since this is the control thread. */
    port_count_drop(&port->rx[PORT_QUEUES_MAX - 1], SLUICE_PORT_DROP_RX_DEVICE, n - afxdp->n_dropped_said);
    info->rx_dropped += n - afxdp->n_dropped_said;
    afxdp->n_dropped_said = n;
    device_stats(port, info);
    info->xdp_mode = afxdp->mode + 1;
}

const struct port_class port_class_afxdp = {
    .number = SLUICE_PORT_CLASS_AFXDP,
    .name = "afxdp",
    .size = sizeof(struct afxdp_port),
    .open = afxdp_open,
    .close = afxdp_close,
    .rx = afxdp_rx,
    .tx = afxdp_tx,
    .wait_fd = afxdp_wait_fd,
    .stats = afxdp_stats,
};
