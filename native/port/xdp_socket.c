#include "port/xdp_socket.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define FRAMES_PER_SOCKET (2 * XDP_RING_SIZE)
#define RING_MASK (XDP_RING_SIZE - 1)

/* What a socket may have on its way in the kernel: all of its frames, with what the kernel adds to each. */
#define SEND_BUFFER_SIZE ((int) (XDP_RING_SIZE * (XDP_FRAME_SIZE + 1024)))

/* Calls for one burst: one for each frame, if the kernel throws all away. */
#define KICKS_MAX (2 * PACKET_BATCH_MAX)

/* Of Linux 6.6 and 6.11, which older headers lack: packets in several frames; words to the kernel before a frame. */
#define BIND_USE_SG (1u << 4)
#define DESCRIPTOR_CONTINUES (1u << 0)
#define DESCRIPTOR_HAS_METADATA (1u << 1)
#define UMEM_HAS_METADATA_SIZE (1u << 2)
#define METADATA_CHECKSUM (1u << 1)

struct umem_registration {
    uint64_t memory;
    uint64_t size;
    uint32_t frame_size;
    uint32_t headroom;
    uint32_t flags;
    uint32_t metadata_size;
};
_Static_assert(sizeof(struct umem_registration) == 32, "as in the kernel");

/* Lies directly before a frame. */
struct tx_metadata {
    uint64_t flags;
    uint16_t csum_start;
    uint16_t csum_offset;
    uint32_t pad;
    uint64_t launch_time;
};
_Static_assert(sizeof(struct tx_metadata) == 24 && sizeof(struct tx_metadata) <= XDP_TX_HEADROOM, "as in the kernel");

int
xdp_umem_create(struct xdp_umem *umem, uint32_t n_sockets)
{
    size_t size = (size_t) n_sockets * FRAMES_PER_SOCKET * XDP_FRAME_SIZE;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    *umem = (struct xdp_umem){ .fd = -1 };
    if (memory == MAP_FAILED) {
        return ENOMEM;
    }
    umem->memory = memory;
    umem->size = size;
    return 0;
}

void
xdp_umem_destroy(struct xdp_umem *umem)
{
    if (umem->memory != NULL) {
        munmap(umem->memory, umem->size);
        umem->memory = NULL;
    }
}

static int
map_ring(int fd, const struct xdp_ring_offset *offset, size_t entry_size, uint64_t page, struct xdp_ring *ring)
{
    size_t size = offset->desc + XDP_RING_SIZE * entry_size;
    uint8_t *map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, (off_t) page);

    if (map == MAP_FAILED) {
        return errno;
    }
    ring->map = map;
    ring->map_size = size;
    ring->producer = (_Atomic uint32_t *) (map + offset->producer);
    ring->consumer = (_Atomic uint32_t *) (map + offset->consumer);
    ring->flags = (_Atomic uint32_t *) (map + offset->flags);
    ring->entries = map + offset->desc;
    return 0;
}

static int
map_rings(struct xdp_socket *socket)
{
    struct xdp_mmap_offsets offsets;
    socklen_t size = sizeof offsets;

    if (getsockopt(socket->fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) != 0) {
        return errno;
    }
    int error = map_ring(socket->fd, &offsets.fr, 8, XDP_UMEM_PGOFF_FILL_RING, &socket->fill);
    error =
        error != 0 ? error : map_ring(socket->fd, &offsets.cr, 8, XDP_UMEM_PGOFF_COMPLETION_RING, &socket->completion);
    error =
        error != 0 ? error : map_ring(socket->fd, &offsets.rx, sizeof(struct xdp_desc), XDP_PGOFF_RX_RING, &socket->rx);
    return error != 0 ? error
                      : map_ring(socket->fd, &offsets.tx, sizeof(struct xdp_desc), XDP_PGOFF_TX_RING, &socket->tx);
}

/* Makes the umem known to the kernel.  Words before frames are for copy mode alone: there the kernel heeds them whatever
 * the device, and a device that does not sum is helped. */
static int
register_umem(struct xdp_umem *umem, int fd, enum xdp_mode mode)
{
    struct umem_registration registration = {
        .memory = (uint64_t) (uintptr_t) umem->memory,
        .size = umem->size,
        .frame_size = XDP_FRAME_SIZE,
        .flags = UMEM_HAS_METADATA_SIZE,
        .metadata_size = sizeof(struct tx_metadata),
    };

    umem->carries_checksums = mode != XDP_MODE_NATIVE_ZEROCOPY
                              && setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &registration, sizeof registration) == 0;
    if (!umem->carries_checksums) {
        registration.flags = 0;
        registration.metadata_size = 0;
        if (setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &registration, sizeof(struct xdp_umem_reg)) != 0) {
            return errno;
        }
    }
    umem->fd = fd;
    return 0;
}

static int
set_rings(struct xdp_socket *socket)
{
    static const int options[] = { XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING };
    int send_buffer_size = SEND_BUFFER_SIZE;
    uint32_t size = XDP_RING_SIZE;

    for (int i = 0; i < 4; i++) {
        if (setsockopt(socket->fd, SOL_XDP, options[i], &size, sizeof size) != 0) {
            return errno;
        }
    }
    if (setsockopt(socket->fd, SOL_SOCKET, SO_SNDBUFFORCE, &send_buffer_size, sizeof send_buffer_size) != 0) {
        setsockopt(socket->fd, SOL_SOCKET, SO_SNDBUF, &send_buffer_size, sizeof send_buffer_size);
    }
    return map_rings(socket);
}

static void release_packets(struct packet_owner *owner, struct packet *const *packets, uint32_t n);

void
xdp_socket_share_out(struct xdp_socket *socket, uint32_t queue)
{
    uint64_t *fill = socket->fill.entries;
    uint32_t first = queue * FRAMES_PER_SOCKET;

    for (uint32_t i = 0; i < XDP_RING_SIZE; i++) {
        fill[i] = (uint64_t) (first + i) * XDP_FRAME_SIZE;
        socket->free_tx[i] = first + XDP_RING_SIZE + i;
    }
    atomic_store_explicit(socket->fill.producer, XDP_RING_SIZE, memory_order_release);
    socket->n_free_tx = XDP_RING_SIZE;
    for (uint32_t i = 0; i < XDP_PACKETS_MAX; i++) {
        socket->packets[i] = &socket->headers[i];
    }
    socket->n_packets = XDP_PACKETS_MAX;
    socket->owner.release = release_packets;
}

/* A socket that shares a umem has its mode and its way of wake-ups from the one that registered it. */
static int
bind_socket(const struct xdp_socket *socket, const struct xdp_socket_options *options)
{
    _Bool shares = socket->umem->fd != socket->fd;
    uint16_t copy = options->mode == XDP_MODE_NATIVE_ZEROCOPY ? XDP_ZEROCOPY : XDP_COPY;
    uint16_t wakeup = options->asks_for_wakeup ? XDP_USE_NEED_WAKEUP : 0;
    struct sockaddr_xdp address = {
        .sxdp_family = AF_XDP,
        .sxdp_flags = shares ? XDP_SHARED_UMEM : (uint16_t) (copy | wakeup),
        .sxdp_ifindex = options->ifindex,
        .sxdp_queue_id = options->queue,
        .sxdp_shared_umem_fd = shares ? (uint32_t) socket->umem->fd : 0,
    };
    uint16_t plain = address.sxdp_flags;

    if (options->mode == XDP_MODE_GENERIC && !shares) {
        address.sxdp_flags |= BIND_USE_SG;
    }
    int error = bind(socket->fd, (const struct sockaddr *) &address, sizeof address) == 0 ? 0 : errno;
    if (error == EINVAL && address.sxdp_flags != plain) {
        address.sxdp_flags = plain;
        error = bind(socket->fd, (const struct sockaddr *) &address, sizeof address) == 0 ? 0 : errno;
    }
    return error;
}

int
xdp_socket_open(struct xdp_socket *socket_, struct xdp_umem *umem, const struct xdp_socket_options *options)
{
    memset(socket_, 0, sizeof *socket_);
    socket_->umem = umem;
    socket_->asks_for_wakeup = options->asks_for_wakeup;
    socket_->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (socket_->fd < 0) {
        return errno;
    }
    int error = umem->fd < 0 ? register_umem(umem, socket_->fd, options->mode) : 0;
    error = error != 0 ? error : set_rings(socket_);
    if (error == 0) {
        xdp_socket_share_out(socket_, options->queue);
        error = bind_socket(socket_, options);
    }
    if (error == 0) {
        error = xdp_program_set(options->program, options->queue, socket_->fd);
    }
    if (error != 0) {
        xdp_socket_close(socket_);
    }
    return error;
}

void
xdp_socket_close(struct xdp_socket *socket)
{
    struct xdp_ring *const rings[] = { &socket->fill, &socket->completion, &socket->rx, &socket->tx };

    if (socket->fd < 0) {
        return;
    }
    if (socket->umem->fd == socket->fd) {
        socket->umem->fd = -1;
    }
    close(socket->fd);
    socket->fd = -1;
    for (int i = 0; i < 4; i++) {
        if (rings[i]->map != NULL) {
            munmap(rings[i]->map, rings[i]->map_size);
            rings[i]->map = NULL;
        }
    }
}

static const struct xdp_desc *
descriptor(const struct xdp_socket *socket, uint32_t i)
{
    uint32_t consumer = atomic_load_explicit(socket->rx.consumer, memory_order_relaxed);

    return (const struct xdp_desc *) socket->rx.entries + ((consumer + i) & RING_MASK);
}

/* The fill ring has room for all receive frames. */
static void
refill(struct xdp_socket *socket)
{
    uint32_t producer = atomic_load_explicit(socket->fill.producer, memory_order_relaxed);
    uint64_t *fill = socket->fill.entries;
    uint32_t n = socket->n_spare;

    for (uint32_t i = 0; i < n; i++) {
        fill[(producer + i) & RING_MASK] = (uint64_t) socket->spare[i] * XDP_FRAME_SIZE;
    }
    socket->n_spare = 0;
    atomic_store_explicit(socket->fill.producer, producer + n, memory_order_release);
    if (atomic_load_explicit(socket->fill.flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP) {
        recvfrom(socket->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
    }
}

uint32_t
xdp_socket_rx_peek(struct xdp_socket *socket)
{
    if (socket->n_spare != 0) {
        refill(socket);
    }
    return atomic_load_explicit(socket->rx.producer, memory_order_acquire)
           - atomic_load_explicit(socket->rx.consumer, memory_order_relaxed);
}

const uint8_t *
xdp_socket_rx_frame(const struct xdp_socket *socket, uint32_t i, uint32_t *size, _Bool *more)
{
    const struct xdp_desc *entry = descriptor(socket, i);

    *size = entry->len;
    *more = (entry->options & DESCRIPTOR_CONTINUES) != 0;
    return socket->umem->memory + entry->addr;
}

struct packet *
xdp_socket_rx_packet(struct xdp_socket *socket, uint32_t i)
{
    const struct xdp_desc *entry = descriptor(socket, i);

    if (socket->n_packets == 0) {
        return NULL;
    }
    struct packet *packet = socket->packets[--socket->n_packets];
    packet->base = socket->umem->memory + (entry->addr & ~(uint64_t) (XDP_FRAME_SIZE - 1));
    packet->capacity = XDP_FRAME_SIZE;
    packet->owner = &socket->owner;
    packet->data = socket->umem->memory + entry->addr;
    packet->size = entry->len;
    packet_reset(packet);
    return packet;
}

static uint32_t
frame_number(const struct xdp_umem *umem, const uint8_t *base)
{
    return (uint32_t) ((size_t) (base - umem->memory) / XDP_FRAME_SIZE);
}

void
xdp_socket_rx_drop(struct xdp_socket *socket, uint32_t i)
{
    socket->spare[socket->n_spare++] = (uint32_t) (descriptor(socket, i)->addr / XDP_FRAME_SIZE);
}

void
xdp_socket_rx_done(struct xdp_socket *socket, uint32_t n)
{
    uint32_t consumer = atomic_load_explicit(socket->rx.consumer, memory_order_relaxed);

    atomic_store_explicit(socket->rx.consumer, consumer + n, memory_order_release);
}

static void
release_packets(struct packet_owner *owner, struct packet *const *packets, uint32_t n)
{
    struct xdp_socket *socket = (struct xdp_socket *) (void *) owner;

    for (uint32_t i = 0; i < n; i++) {
        socket->spare[socket->n_spare++] = frame_number(socket->umem, packets[i]->base);
        socket->packets[socket->n_packets++] = packets[i];
    }
}

void
xdp_socket_tx_reclaim(struct xdp_socket *socket)
{
    uint32_t consumer = atomic_load_explicit(socket->completion.consumer, memory_order_relaxed);
    uint32_t n = atomic_load_explicit(socket->completion.producer, memory_order_acquire) - consumer;
    const uint64_t *entries = socket->completion.entries;

    for (uint32_t i = 0; i < n && socket->n_free_tx < XDP_RING_SIZE; i++) {
        uint64_t address = entries[(consumer + i) & RING_MASK];
        socket->free_tx[socket->n_free_tx++] = (uint32_t) (address / XDP_FRAME_SIZE);
    }
    atomic_store_explicit(socket->completion.consumer, consumer + n, memory_order_release);
}

/* The packet's bytes in the umem: its own frame if that is of this umem, else a copy.  The packet is left with what is
 * not on its way: its own memory, or the frame that it got for the one that it gave. */
static uint8_t *
frame_of(struct xdp_socket *socket, struct packet *packet)
{
    uint8_t *spare = socket->umem->memory + (size_t) socket->free_tx[--socket->n_free_tx] * XDP_FRAME_SIZE;
    const struct xdp_socket *from = (const struct xdp_socket *) (const void *) packet->owner;

    if (packet->owner->release == release_packets && from->umem == socket->umem
        && packet_headroom(packet) >= sizeof(struct tx_metadata)) {
        uint8_t *frame = packet->data;
        packet->base = spare;
        packet->data = spare + XDP_TX_HEADROOM;
        return frame;
    }
    memcpy(spare + XDP_TX_HEADROOM, packet->data, packet->size);
    return spare + XDP_TX_HEADROOM;
}

_Bool
xdp_socket_tx_put(struct xdp_socket *socket, struct packet *packet)
{
    uint32_t producer = atomic_load_explicit(socket->tx.producer, memory_order_relaxed);
    struct xdp_desc *entry = (struct xdp_desc *) socket->tx.entries + (producer & RING_MASK);
    uint32_t options = 0;

    if (socket->n_free_tx == 0) {
        return 0;
    }
    uint8_t *frame = frame_of(socket, packet);
    if (packet->flags & PACKET_CSUM_PARTIAL) {
        const struct tx_metadata metadata = {
            .flags = METADATA_CHECKSUM,
            .csum_start = packet->csum_start,
            .csum_offset = packet->csum_offset,
        };
        memcpy(frame - sizeof metadata, &metadata, sizeof metadata);
        options = DESCRIPTOR_HAS_METADATA;
    }
    *entry = (struct xdp_desc){
        .addr = (uint64_t) (frame - socket->umem->memory),
        .len = packet->size,
        .options = options,
    };
    atomic_store_explicit(socket->tx.producer, producer + 1, memory_order_release);
    return 1;
}

uint32_t
xdp_socket_tx_kick(struct xdp_socket *socket)
{
    uint32_t n_lost = 0;

    for (uint32_t i = 0; i < KICKS_MAX; i++) {
        if (atomic_load_explicit(socket->tx.producer, memory_order_relaxed)
            == atomic_load_explicit(socket->tx.consumer, memory_order_acquire)) {
            break;
        }
        if (socket->asks_for_wakeup
            && !(atomic_load_explicit(socket->tx.flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP)) {
            break;
        }
        if (sendto(socket->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0) {
            continue;
        }
        /* In copy mode a call sends a few frames only, and says EAGAIN while there are more; EBUSY is for one frame that
         * was thrown away, behind which the others still wait.  After other errors all wait for the next burst. */
        if (errno == EBUSY) {
            n_lost++;
        } else if (errno != EAGAIN && errno != EINTR) {
            break;
        }
    }
    return n_lost;
}

void
xdp_socket_statistics(const struct xdp_socket *socket, struct xdp_statistics *statistics)
{
    socklen_t size = sizeof *statistics;

    memset(statistics, 0, sizeof *statistics);
    if (getsockopt(socket->fd, SOL_XDP, XDP_STATISTICS, statistics, &size) != 0) {
        memset(statistics, 0, sizeof *statistics);
    }
}
