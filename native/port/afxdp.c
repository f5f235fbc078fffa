/* "afxdp" ports: AF_XDP sockets on an existing network device, one for each of its first n_rxq queues.
 *
 * Configuration: n_rxq (1 to 15, default 1), xdp-mode (best-effort, native-with-zerocopy, native, generic; the default
 * best-effort tries them in that order).
 *
 * Offloads.  AF_XDP carries none, so we complete in software what we send.  What we receive from a veth may be
 * unfinished too: its peer's stack believes that the device adds the L4 checksum, and there is no word in AF_XDP to say
 * so.  Such a frame is known by its checksum field, which holds exactly the pseudo-header's sum; it is marked as
 * partial, and whoever sends it on completes it.  (A frame whose right checksum happens to be that number is
 * completed to the same number.)  Super-frames do not come: while a veth has a native XDP program, the kernel
 * takes segmentation offload from its peer.  In generic mode it does not, and frames over XDP_FRAME_SIZE are dropped by
 * the kernel; native is the mode for veths. */
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
    uint64_t n_dropped_said;               /* Of the kernel's drops, those that are in our counters. */
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

/* Marks a checksum that is only the pseudo-header's sum as partial. */
static void
find_partial(struct packet *packet)
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
}

static void
afxdp_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct afxdp_port *afxdp = (struct afxdp_port *) port;
    struct xdp_socket *socket = &afxdp->sockets[queue];
    uint32_t n = xdp_socket_rx_peek(socket, PACKET_BATCH_MAX);

    for (uint32_t i = 0; i < n; i++) {
        uint32_t size;
        const uint8_t *frame = xdp_socket_rx_frame(socket, i, &size);
        struct packet *packet = packet_alloc(pool, size);
        if (packet == NULL) {
            port_count_drop(&port->rx[queue], SLUICE_PORT_DROP_RX_NO_BUFFER, 1);
            continue;
        }
        memcpy(packet->data, frame, size);
        if (afxdp->peer_may_leave_checksums) {
            find_partial(packet);
        }
        batch->packets[batch->n++] = packet;
    }
    if (n != 0) {
        xdp_socket_rx_done(socket, n);
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
