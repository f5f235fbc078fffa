/* "afxdp" ports: AF_XDP sockets on an existing network device, one for each of its first n_rxq queues, with one umem.
 *
 * Configuration: n_rxq (1 to 15, default 1), xdp-mode (best-effort, native-with-zerocopy, native, generic; the default
 * best-effort tries them in that order), use-need-wakeup (true, the default, or false: the kernel is called for every
 * burst, whether or not it asks for it).
 *
 * A received packet stays in the umem's frame; it leaves in it by a port's own queue, and is copied once to any other.
 *
 * Offloads.  In copy mode the kernel (Linux 6.11) takes partial checksums from us.  It has no word for super-frames; but
 * in copy mode it makes a packet of its own of each frame, so that nothing is lost when those go by an AF_PACKET socket
 * instead, and TCP segments that follow one another with them as one.  Else they are cut in software.
 * What we receive from a veth may be unfinished too: its peer's stack believes that the device adds the L4 checksum, and there is no word in AF_XDP to say
 * so.  Such a frame is known by its checksum field, which holds exactly the pseudo-header's sum; it is marked as
 * partial, and whoever sends it on completes it.  (A frame whose right checksum happens to be that number is
 * completed to the same number.)  Super-frames: while a veth has a native XDP program, the kernel takes segmentation
 * offload from its peer, so there are none.  In generic mode it does not; from Linux 6.6 on such a frame comes in
 * pieces and is cut to the MTU again when it is sent on, older kernels drop it. */
#include <errno.h>
#include <linux/if_packet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "port/device.h"
#include "port/frame_sender.h"
#include "port/xdp_socket.h"

/* The kernel frees a queue some time after its socket was closed; until then it says that the queue is busy. */
#define BUSY_TRIES 100
#define BUSY_WAIT_NS 2000000

struct afxdp_port {
    struct port port;
    struct device device;
    struct xdp_program program;
    enum xdp_mode mode;
    _Bool asks_for_wakeup;
    _Bool peer_may_leave_checksums;
    struct xdp_umem umem;
    struct xdp_socket *sockets;   /* n_rxq of them. */
    int sender_fd;                /* -1: super-frames are cut. */
    struct frame_sender *senders; /* As many, by 'sender_fd'. */
    uint64_t n_dropped_said;      /* Of the kernel's drops, those that are in our counters. */
};

static void
close_sockets(struct afxdp_port *afxdp)
{
    for (uint32_t i = afxdp->port.n_rxq; i > 0; i--) {
        xdp_socket_close(&afxdp->sockets[i - 1]);
    }
    xdp_umem_destroy(&afxdp->umem);
    xdp_program_detach(&afxdp->program);
}

/* Opens what super-frames are sent by.  Without it they are cut. */
static void
open_sender(struct afxdp_port *afxdp)
{
    const struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_ifindex = (int) afxdp->port.ifindex };
    int one = 1;
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0
        && (setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof one) != 0
            || setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &one, sizeof one) != 0
            || bind(fd, (const struct sockaddr *) &address, sizeof address) != 0)) {
        close(fd);
        fd = -1;
    }
    for (uint32_t i = 0; i < afxdp->port.n_txq && fd >= 0; i++) {
        frame_sender_init(&afxdp->senders[i], fd);
    }
    afxdp->sender_fd = fd;
}

static void
close_sender(struct afxdp_port *afxdp)
{
    if (afxdp->sender_fd >= 0) {
        close(afxdp->sender_fd);
    }
    free(afxdp->senders);
    free(afxdp->sockets);
}

static int
open_queue(struct afxdp_port *afxdp, uint32_t queue, enum xdp_mode mode)
{
    const struct xdp_socket_options options = {
        .program = &afxdp->program,
        .ifindex = afxdp->port.ifindex,
        .queue = queue,
        .mode = mode,
        .asks_for_wakeup = afxdp->asks_for_wakeup,
    };
    int error = EBUSY;

    for (int i = 0; i < BUSY_TRIES && error == EBUSY; i++) {
        const struct timespec pause = { .tv_nsec = i == 0 ? 0 : BUSY_WAIT_NS };
        nanosleep(&pause, NULL);
        error = xdp_socket_open(&afxdp->sockets[queue], &afxdp->umem, &options);
    }
    /* EBUSY is for another XDP program, of whose end the host tells; of a socket's it does not. */
    return error == EBUSY ? EADDRINUSE : error;
}

static int
try_mode(struct afxdp_port *afxdp, enum xdp_mode mode)
{
    struct port *port = &afxdp->port;
    int error = xdp_program_attach(&afxdp->program, port->ifindex, mode, PORT_QUEUES_MAX);

    if (error == 0) {
        error = xdp_umem_create(&afxdp->umem, port->n_rxq);
    }
    for (uint32_t i = 0; i < port->n_rxq && error == 0; i++) {
        error = open_queue(afxdp, i, mode);
    }
    if (error != 0) {
        close_sockets(afxdp);
    }
    afxdp->mode = mode;
    port->offloads = afxdp->umem.carries_checksums ? PORT_OFFLOAD_CHECKSUM : 0;
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
            if (error == 0 || error == EBUSY || error == EADDRINUSE || error == EPERM) {
                return error;
            }
        }
    }
    return error;
}

/* The value of 'key', "true" or "false"; false if it is neither. */
static _Bool
read_flag(const struct port_options *options, const char *key, _Bool fallback, _Bool *value)
{
    const char *text = port_config_get(options->config, options->config_size, key);

    *value = text == NULL ? fallback : strcmp(text, "true") == 0;
    return text == NULL || *value || strcmp(text, "false") == 0;
}

static int
afxdp_open(struct port *port, const struct port_options *options)
{
    struct afxdp_port *afxdp = (struct afxdp_port *) port;
    const char *mode = port_config_get(options->config, options->config_size, "xdp-mode");
    char kind[32];
    uint64_t n_rxq;

    if (!port_config_number(options->config, options->config_size, "n_rxq", 1, PORT_QUEUES_MAX - 1, 1, &n_rxq)
        || !read_flag(options, "use-need-wakeup", 1, &afxdp->asks_for_wakeup)) {
        return EINVAL;
    }
    port->n_rxq = (uint32_t) n_rxq;
    port->n_txq = (uint32_t) n_rxq;
    afxdp->sender_fd = -1;
    afxdp->sockets = calloc(n_rxq, sizeof *afxdp->sockets);
    afxdp->senders = calloc(n_rxq, sizeof *afxdp->senders);
    if (afxdp->sockets == NULL || afxdp->senders == NULL) {
        close_sender(afxdp);
        return ENOMEM;
    }
    for (uint32_t i = 0; i < n_rxq; i++) {
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
    if (error != 0) {
        close_sender(afxdp);
        return error;
    }
    if (port->offloads & PORT_OFFLOAD_CHECKSUM) {
        open_sender(afxdp);
        port->offloads |= afxdp->sender_fd >= 0 ? PORT_OFFLOAD_SEGMENT : 0;
    }
    return 0;
}

static void
afxdp_close(struct port *port)
{
    struct afxdp_port *afxdp = (struct afxdp_port *) port;

    device_restore(&afxdp->device, port);
    close_sockets(afxdp);
    close_sender(afxdp);
}

/* Where L4 is in a frame of the commonest form: no tag, IPv4 without options that is no fragment, or IPv6 without
 * extension headers.  Returns TCP's or UDP's protocol number, or 0 for what must be parsed. */
static uint8_t
find_plain_l4(const struct packet *packet, uint32_t *l4_ofs, uint32_t *l4_size, uint32_t *pseudo)
{
    const uint8_t *l3 = packet->data + 14;
    uint16_t type = packet->size < 54 ? 0 : get_be16(packet->data + 12);
    uint8_t proto = 0;
    uint32_t address_ofs = 8, address_size = 32;

    if (type == 0x0800 && l3[0] == 0x45 && (get_be16(l3 + 6) & 0x3fff) == 0 && get_be16(l3 + 2) >= 20u) {
        proto = l3[9];
        *l4_ofs = 34;
        *l4_size = get_be16(l3 + 2) - 20u;
        address_ofs = 12;
        address_size = 8;
    } else if (type == 0x86dd && l3[0] >> 4 == 6) {
        proto = l3[6];
        *l4_ofs = 54;
        *l4_size = get_be16(l3 + 4);
    }
    uint32_t header_size = proto == 6 ? 20 : 8;
    if ((proto != 6 && proto != 17) || *l4_size < header_size || *l4_size > packet->size - *l4_ofs) {
        return 0;
    }
    *pseudo = checksum_add(0, l3 + address_ofs, address_size) + be16(proto) + be16((uint16_t) *l4_size);
    return proto;
}

/* The same for any frame that has TCP or UDP. */
static uint8_t
find_l4(struct packet *packet, uint32_t *l4_ofs, uint32_t *pseudo)
{
    struct flow_key key;
    uint32_t size;
    uint8_t proto = find_plain_l4(packet, l4_ofs, &size, pseudo);

    if (proto != 0) {
        return proto;
    }
    packet_parse(packet, 2, &key);
    _Bool tcp = packet->l4_type == PACKET_L4_TCP;
    if ((!tcp && packet->l4_type != PACKET_L4_UDP) || key.ip_frag != 0) {
        return 0;
    }
    *l4_ofs = packet->l4_ofs;
    *pseudo = checksum_pseudo(packet, tcp ? 6 : 17, packet->l4_size);
    return tcp ? 6 : 17;
}

/* A frame that is longer than the MTU was one that the sender left to the device to cut. */
static void
mark_super_frame(struct packet *packet, uint32_t l4_ofs, uint32_t mtu)
{
    uint16_t type = get_be16(packet->data + 12);
    uint32_t l3_ofs = 14;

    while ((type == 0x8100 || type == 0x88a8) && l3_ofs + 4 <= l4_ofs) {
        type = get_be16(packet->data + l3_ofs + 2);
        l3_ofs += 4;
    }
    uint32_t header_size = l4_ofs - l3_ofs + (packet->data[l4_ofs + 12] >> 4) * 4u;
    if (packet->size - l3_ofs > mtu && mtu > header_size + 8) {
        packet->gso_type = type == 0x0800 ? PACKET_GSO_TCPV4 : PACKET_GSO_TCPV6;
        packet->gso_size = (uint16_t) (mtu - header_size);
    }
}

/* Marks a checksum that is only the pseudo-header's sum as partial, and TCP that is longer than the device's MTU as the
 * super-frame that it must have been for its sender. */
static void
find_offloads(struct packet *packet, uint32_t mtu)
{
    uint32_t start, pseudo;
    uint8_t proto = find_l4(packet, &start, &pseudo);

    if (proto == 0) {
        return;
    }
    _Bool tcp = proto == 6;
    uint32_t offset = tcp ? 16 : 6;
    if (get_raw16(packet->data + start + offset) == checksum_fold(pseudo)) {
        packet->flags |= PACKET_CSUM_PARTIAL;
        packet->csum_start = (uint16_t) start;
        packet->csum_offset = (uint16_t) offset;
    }
    if (tcp && packet->size > mtu + 14) {
        mark_super_frame(packet, start, mtu);
    }
}

/* Copies a packet that lies in descriptors 'i' to 'end'.  Null when there is no buffer. */
static struct packet *
gather(struct afxdp_port *afxdp, uint32_t queue, struct packet_pool *pool, uint32_t i, uint32_t end, uint32_t total)
{
    struct xdp_socket *socket = &afxdp->sockets[queue];
    struct packet *packet = packet_alloc(pool, total);
    uint32_t size, at = 0;
    _Bool more;

    if (packet == NULL) {
        port_count_drop(&afxdp->port.rx[queue], SLUICE_PORT_DROP_RX_NO_BUFFER, 1);
    }
    for (; i < end; i++) {
        const uint8_t *frame = xdp_socket_rx_frame(socket, i, &size, &more);
        if (packet != NULL) {
            memcpy(packet->data + at, frame, size);
        }
        at += size;
        xdp_socket_rx_drop(socket, i);
    }
    return packet;
}

/* Takes the packet whose first descriptor is 'i' of 'n'; '*next' gets the descriptor behind it.  Null when it was
 * dropped; '*next' stays 'i' when the packet is not whole yet. */
static struct packet *
take_packet(struct afxdp_port *afxdp, uint32_t queue, struct packet_pool *pool, uint32_t i, uint32_t n, uint32_t *next)
{
    struct xdp_socket *socket = &afxdp->sockets[queue];
    struct packet *packet = NULL;
    uint32_t total = 0, size;
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
    if (last == i + 1) {
        packet = xdp_socket_rx_packet(socket, i);
    }
    return packet != NULL ? packet : gather(afxdp, queue, pool, i, last, total);
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
            __builtin_prefetch(packet->data);
            batch->packets[batch->n++] = packet;
        }
    }
    for (uint32_t j = 0; j < batch->n && afxdp->peer_may_leave_checksums; j++) {
        find_offloads(batch->packets[j], mtu);
    }
    if (i != 0) {
        xdp_socket_rx_done(socket, i);
    }
}

/* Whether the batch has super-frames, or segments that make one. */
static _Bool
has_super_frames(const struct packet_batch *batch)
{
    struct coalesced joined;

    for (uint32_t i = 0; i < batch->n; i += joined.n) {
        coalesce(batch->packets + i, batch->n - i, &joined);
        if (joined.n > 1 || batch->packets[i]->gso_type != PACKET_GSO_NONE) {
            return 1;
        }
    }
    return 0;
}

static uint32_t
afxdp_tx(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes)
{
    struct afxdp_port *afxdp = (struct afxdp_port *) port;
    struct xdp_socket *socket = &afxdp->sockets[queue];
    uint32_t n_sent = 0, n_lost;

    if (afxdp->sender_fd >= 0 && has_super_frames(batch)) {
        n_sent = frame_sender_send(&afxdp->senders[queue], port, queue, batch->packets, batch->n, n_bytes);
        packet_release_burst(batch->packets, batch->n);
        return n_sent;
    }

    xdp_socket_tx_reclaim(socket);
    for (uint32_t i = 0; i < batch->n; i++) {
        struct packet *packet = batch->packets[i];
        if (packet->size > XDP_TX_SIZE_MAX) {
            port_count_drop(&port->tx[queue], SLUICE_PORT_DROP_TX_TOO_LONG, 1);
        } else if (!xdp_socket_tx_put(socket, packet)) {
            port_count_drop(&port->tx[queue], SLUICE_PORT_DROP_TX_QUEUE_FULL, 1);
        } else {
            *n_bytes += packet->size;
            n_sent++;
        }
    }
    n_lost = xdp_socket_tx_kick(socket);
    if (n_lost != 0) {
        device_tx_error(port, queue, EBUSY, n_lost);
        n_lost = n_lost < n_sent ? n_lost : n_sent;
        /* Which they were is not told: they are taken to be like the others. */
        *n_bytes -= n_sent != 0 ? *n_bytes / n_sent * n_lost : 0;
        n_sent -= n_lost;
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
        struct xdp_statistics statistics;
        xdp_socket_statistics(&afxdp->sockets[i], &statistics);
        n += statistics.rx_dropped + statistics.rx_ring_full + statistics.rx_fill_ring_empty_descs;
    }
    /* Counted on a queue that no worker polls, since this is the control thread. */
    port_count_drop(&port->rx[PORT_QUEUES_MAX - 1], SLUICE_PORT_DROP_RX_DEVICE, n - afxdp->n_dropped_said);
    info->rx_dropped += n - afxdp->n_dropped_said;
    afxdp->n_dropped_said = n;
    device_stats(port, info);
    info->xdp_mode = afxdp->mode + 1;
    info->xdp_use_need_wakeup = afxdp->asks_for_wakeup;
}

static void
afxdp_queue_stats(struct port *port, uint32_t queue, struct sluice_xsk_info *info)
{
    const struct afxdp_port *afxdp = (const struct afxdp_port *) port;
    struct xdp_statistics statistics;

    xdp_socket_statistics(&afxdp->sockets[queue], &statistics);
    *info = (struct sluice_xsk_info){
        .rx_dropped = statistics.rx_dropped,
        .rx_invalid_descs = statistics.rx_invalid_descs,
        .tx_invalid_descs = statistics.tx_invalid_descs,
        .rx_ring_full = statistics.rx_ring_full,
        .rx_fill_ring_empty_descs = statistics.rx_fill_ring_empty_descs,
        .tx_ring_empty_descs = statistics.tx_ring_empty_descs,
    };
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
    .queue_stats = afxdp_queue_stats,
};
