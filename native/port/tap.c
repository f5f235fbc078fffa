/* "tap" ports: a tap device that exists as long as the port does.
 *
 * As with "packet" ports, offloads pass through in virtio-net headers: the host's stack may hand us 64 kB of TCP at
 * once, and be handed the same. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "port/device.h"

/* Linux 6.2's offloads of UDP; older kernels refuse them and are asked again without. */
#define OFFLOAD_TCP (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define OFFLOAD_UDP (0x20 | 0x40)

struct tap_port {
    struct port port;
    int fd;
    _Atomic uint32_t is_lost; /* The device was deleted under us. */
    uint8_t *overflow;
};

static int
open_device(const struct port *port, int *fdp)
{
    struct ifreq request;
    int header_size = sizeof(struct virtio_net_hdr);
    int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

    *fdp = fd;
    if (fd < 0) {
        return errno;
    }
    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, port->name, strlen(port->name));
    request.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
    if (ioctl(fd, TUNSETIFF, &request) != 0 || ioctl(fd, TUNSETVNETHDRSZ, &header_size) != 0) {
        return errno;
    }
    if (ioctl(fd, TUNSETOFFLOAD, OFFLOAD_TCP | OFFLOAD_UDP) != 0 && ioctl(fd, TUNSETOFFLOAD, OFFLOAD_TCP) != 0) {
        return errno;
    }
    return 0;
}

static int
tap_open(struct port *port, const struct port_options *options)
{
    struct tap_port *tap = (struct tap_port *) port;

    (void) options;
    if (strlen(port->name) >= IFNAMSIZ) {
        return ENAMETOOLONG;
    }
    tap->overflow = malloc(DEVICE_OVERFLOW_SIZE);
    tap->fd = -1;
    int error = tap->overflow == NULL ? ENOMEM : open_device(port, &tap->fd);
    if (error == 0) {
        error = device_look_up(port, NULL);
    }
    if (error != 0) {
        if (tap->fd >= 0) {
            close(tap->fd);
        }
        free(tap->overflow);
        return error;
    }
    port->offloads = PORT_OFFLOAD_CHECKSUM | PORT_OFFLOAD_SEGMENT;
    return 0;
}

static void
tap_close(struct port *port)
{
    struct tap_port *tap = (struct tap_port *) port;

    close(tap->fd);
    free(tap->overflow);
}

/* Reads one frame.  Null: no frame (errno EAGAIN) or none worth keeping (errno 0). */
static struct packet *
read_frame(struct tap_port *tap, struct packet_pool *pool, struct packet *buffer)
{
    struct virtio_net_hdr header;
    const struct iovec iov[] = {
        { &header, sizeof header },
        { buffer->data, PACKET_SMALL_SIZE },
        { tap->overflow, DEVICE_OVERFLOW_SIZE },
    };
    struct port_queue *counters = &tap->port.rx[0];
    ssize_t n = readv(tap->fd, iov, 3);

    if (n < 0) {
        int error = errno;
        packet_release(buffer);
        errno = error;
        return NULL;
    }
    if ((size_t) n <= sizeof header) {
        port_count_drop(counters, SLUICE_PORT_DROP_RX_INVALID, 1);
        packet_release(buffer);
        errno = 0;
        return NULL;
    }
    struct packet *packet = device_join(pool, buffer, tap->overflow, (uint32_t) ((size_t) n - sizeof header));
    if (packet == NULL) {
        port_count_drop(counters, SLUICE_PORT_DROP_RX_NO_BUFFER, 1);
    } else if (!device_take_header(packet, &header)) {
        port_count_drop(counters, SLUICE_PORT_DROP_RX_INVALID, 1);
        packet_release(packet);
        packet = NULL;
    }
    errno = 0;
    return packet;
}

static void
tap_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct tap_port *tap = (struct tap_port *) port;

    (void) queue;
    for (uint32_t i = 0; i < PACKET_BATCH_MAX; i++) {
        struct packet *buffer = packet_alloc(pool, PACKET_SMALL_SIZE);
        if (buffer == NULL) {
            return; /* The frame, if there is one, waits. */
        }
        struct packet *packet = read_frame(tap, pool, buffer);
        if (packet != NULL) {
            batch->packets[batch->n++] = packet;
        } else if (errno == EBADFD) {
            if (atomic_exchange(&tap->is_lost, 1) == 0) {
                port->host->changed(port->host->aux, port->dp_port, ENODEV);
            }
            return;
        } else if (errno != 0 && errno != EINTR) {
            return;
        }
    }
}

static uint32_t
tap_tx(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes)
{
    struct tap_port *tap = (struct tap_port *) port;
    uint32_t n_sent = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        struct packet *packet = batch->packets[i];
        struct virtio_net_hdr header;
        if (!device_give_header(packet, &header)) {
            port_count_drop(&port->tx[queue], SLUICE_PORT_DROP_TX_UNSUPPORTED, 1);
            continue;
        }
        const struct iovec iov[] = { { &header, sizeof header }, { packet->data, packet->size } };
        ssize_t n;
        do {
            n = writev(tap->fd, iov, 2);
        } while (n < 0 && errno == EINTR);
        if (n < 0) {
            device_tx_error(port, queue, errno, 1);
        } else {
            *n_bytes += packet->size;
            n_sent++;
        }
    }
    packet_release_burst(batch->packets, batch->n);
    return n_sent;
}

static int
tap_wait_fd(struct port *port, uint32_t queue)
{
    const struct tap_port *tap = (const struct tap_port *) port;

    (void) queue;
    return atomic_load_explicit(&tap->is_lost, memory_order_relaxed) ? PORT_WAIT_NEVER : tap->fd;
}

const struct port_class port_class_tap = {
    .number = SLUICE_PORT_CLASS_TAP,
    .name = "tap",
    .size = sizeof(struct tap_port),
    .open = tap_open,
    .close = tap_close,
    .rx = tap_rx,
    .tx = tap_tx,
    .wait_fd = tap_wait_fd,
    .stats = device_stats,
};
