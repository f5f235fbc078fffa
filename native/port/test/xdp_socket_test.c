/* The rings of AF_XDP sockets beside a kernel that is made up: frames go round, none is lost or there twice. */
#include "port/xdp_socket.h"

#include <stdatomic.h>
#include <string.h>

#include "packet/test/claim.h"

#define N_SOCKETS 2u
#define N_FRAMES (N_SOCKETS * 2 * XDP_RING_SIZE)
#define MASK (XDP_RING_SIZE - 1)

/* What the kernel shares with a socket. */
struct fake_kernel {
    _Atomic uint32_t indexes[4][2]; /* Producer and consumer of fill, completion, rx, tx. */
    _Atomic uint32_t flags;
    uint64_t fill[XDP_RING_SIZE];
    uint64_t completion[XDP_RING_SIZE];
    struct xdp_desc rx[XDP_RING_SIZE];
    struct xdp_desc tx[XDP_RING_SIZE];
};

static struct fake_kernel kernels[N_SOCKETS];
static struct xdp_socket sockets[N_SOCKETS];
static struct xdp_umem umem;
static struct packet_pool *pool;
static uint64_t seed = 7;

static void
open_sockets(void)
{
    CHECK(xdp_umem_create(&umem, N_SOCKETS) == 0);
    memset(kernels, 0, sizeof kernels);
    memset(sockets, 0, sizeof sockets);
    for (uint32_t i = 0; i < N_SOCKETS; i++) {
        struct fake_kernel *kernel = &kernels[i];
        struct xdp_socket *socket = &sockets[i];
        struct xdp_ring *const rings[] = { &socket->fill, &socket->completion, &socket->rx, &socket->tx };
        void *const entries[] = { kernel->fill, kernel->completion, kernel->rx, kernel->tx };
        for (int ring = 0; ring < 4; ring++) {
            rings[ring]->producer = &kernel->indexes[ring][0];
            rings[ring]->consumer = &kernel->indexes[ring][1];
            rings[ring]->flags = &kernel->flags;
            rings[ring]->entries = entries[ring];
        }
        socket->fd = -1;
        /* The kernel asks for nothing, so that it is not called. */
        socket->asks_for_wakeup = 1;
        socket->umem = &umem;
        xdp_socket_share_out(socket, i);
    }
}

/* The kernel receives a frame that says 'value'.  False if it has no frame to receive into. */
static _Bool
kernel_receives(struct fake_kernel *kernel, uint64_t value, uint32_t options)
{
    uint32_t at = kernel->indexes[0][1];

    if (at == kernel->indexes[0][0] || kernel->indexes[2][0] - kernel->indexes[2][1] == XDP_RING_SIZE) {
        return 0;
    }
    uint64_t address = kernel->fill[at & MASK] + 256;
    kernel->indexes[0][1]++;
    memcpy(umem.memory + address, &value, sizeof value);
    kernel->rx[kernel->indexes[2][0] & MASK] = (struct xdp_desc){ .addr = address, .len = 60, .options = options };
    kernel->indexes[2][0]++;
    return 1;
}

/* The kernel sends up to 'n' frames and adds what they say to '*sum'.  Returns how many. */
static uint32_t
kernel_sends(struct fake_kernel *kernel, uint32_t n, uint64_t *sum)
{
    uint32_t sent = 0;

    for (; sent < n && kernel->indexes[3][1] != kernel->indexes[3][0]; sent++) {
        const struct xdp_desc *entry = &kernel->tx[kernel->indexes[3][1] & MASK];
        uint64_t value;
        CHECK(entry->len == 60 && entry->addr < umem.size);
        memcpy(&value, umem.memory + entry->addr, sizeof value);
        *sum += value;
        CHECK(kernel->indexes[1][0] - kernel->indexes[1][1] < XDP_RING_SIZE);
        kernel->completion[kernel->indexes[1][0] & MASK] = entry->addr;
        kernel->indexes[1][0]++;
        kernel->indexes[3][1]++;
    }
    return sent;
}

static void
mark(uint8_t *seen, uint64_t frame)
{
    CHECK(frame < N_FRAMES && seen[frame] == 0);
    seen[frame] = 1;
}

/* Every frame is in one place, and as many in each socket's care as at first. */
static void
check_frames(void)
{
    static uint8_t seen[N_FRAMES];

    memset(seen, 0, sizeof seen);
    for (uint32_t i = 0; i < N_SOCKETS; i++) {
        struct fake_kernel *kernel = &kernels[i];
        struct xdp_socket *socket = &sockets[i];
        uint32_t n_rx = 0, n_tx = 0;
        for (uint32_t at = kernel->indexes[0][1]; at != kernel->indexes[0][0]; at++, n_rx++) {
            mark(seen, kernel->fill[at & MASK] / XDP_FRAME_SIZE);
        }
        for (uint32_t at = kernel->indexes[2][1]; at != kernel->indexes[2][0]; at++, n_rx++) {
            mark(seen, kernel->rx[at & MASK].addr / XDP_FRAME_SIZE);
        }
        for (uint32_t at = 0; at < socket->n_spare; at++, n_rx++) {
            mark(seen, socket->spare[at]);
        }
        for (uint32_t at = kernel->indexes[3][1]; at != kernel->indexes[3][0]; at++, n_tx++) {
            mark(seen, kernel->tx[at & MASK].addr / XDP_FRAME_SIZE);
        }
        for (uint32_t at = kernel->indexes[1][1]; at != kernel->indexes[1][0]; at++, n_tx++) {
            mark(seen, kernel->completion[at & MASK] / XDP_FRAME_SIZE);
        }
        for (uint32_t at = 0; at < socket->n_free_tx; at++, n_tx++) {
            mark(seen, socket->free_tx[at]);
        }
        CHECK(n_rx == XDP_RING_SIZE && n_tx == XDP_RING_SIZE && socket->n_packets == XDP_PACKETS_MAX);
    }
}

/* Receives a burst by one socket and sends it by another, as it is or as copies.  Returns what could not be sent. */
static uint32_t
forward(struct xdp_socket *from, struct xdp_socket *to, _Bool copies, uint64_t *sum)
{
    uint32_t n = xdp_socket_rx_peek(from), n_lost = 0;
    struct packet *packets[32];

    n = n > 32 ? 32 : n;
    for (uint32_t i = 0; i < n; i++) {
        packets[i] = xdp_socket_rx_packet(from, i);
        CHECK(packets[i] != NULL && packets[i]->size == 60 && packet_headroom(packets[i]) == 256);
    }
    xdp_socket_rx_done(from, n);
    xdp_socket_tx_reclaim(to);
    for (uint32_t i = 0; i < n; i++) {
        struct packet *packet = copies ? packet_clone(pool, packets[i], UINT32_MAX) : packets[i];
        uint64_t value;
        CHECK(packet != NULL);
        memcpy(&value, packet->data, sizeof value);
        if (xdp_socket_tx_put(to, packet)) {
            *sum += value;
        } else {
            n_lost++;
        }
        if (copies) {
            packet_release(packet);
        }
    }
    CHECK(xdp_socket_tx_kick(to) == 0);
    packet_release_burst(packets, n);
    return n_lost;
}

static void
test_round(void)
{
    uint64_t put = 0, sent = 0;
    uint32_t n_sent = 0, n_lost = 0;

    open_sockets();
    for (int round = 0; round < 20000; round++) {
        uint32_t i = (uint32_t) (random_next(&seed) % N_SOCKETS);
        for (uint64_t n = random_next(&seed) % 40; n > 0; n--) {
            kernel_receives(&kernels[i], random_next(&seed), 0);
        }
        uint32_t to = (uint32_t) (random_next(&seed) % N_SOCKETS);
        n_lost += forward(&sockets[i], &sockets[to], random_next(&seed) % 4 == 0, &put);
        /* For some time the kernel sends less than it gets. */
        if (round % 2000 > 300) {
            n_sent += kernel_sends(&kernels[random_next(&seed) % N_SOCKETS], 64, &sent);
        }
        if (round % 64 == 0) {
            check_frames();
        }
    }
    for (uint32_t i = 0; i < N_SOCKETS; i++) {
        n_sent += kernel_sends(&kernels[i], UINT32_MAX, &sent);
    }
    check_frames();
    CHECK(put == sent && n_sent > 100000 && n_lost > 0);
    claim("frames go round between sockets of a umem: each is in one place, and every byte comes through");
    xdp_umem_destroy(&umem);
}

static void
test_in_place(void)
{
    uint64_t sum = 0;

    open_sockets();
    CHECK(kernel_receives(&kernels[0], 1, 0) && xdp_socket_rx_peek(&sockets[0]) == 1);
    struct packet *packet = xdp_socket_rx_packet(&sockets[0], 0);
    uint64_t address = (uint64_t) (packet->data - umem.memory);
    xdp_socket_rx_done(&sockets[0], 1);
    packet->flags |= PACKET_CSUM_PARTIAL;
    packet->csum_start = 34;
    packet->csum_offset = 6;
    CHECK(xdp_socket_tx_put(&sockets[1], packet));
    packet_release(packet);
    const struct xdp_desc *entry = &kernels[1].tx[0];
    static const uint8_t metadata[24] = { 2, 0, 0, 0, 0, 0, 0, 0, 34, 0, 6 };
    CHECK(entry->addr == address && entry->options == 2);
    CHECK(memcmp(umem.memory + address - sizeof metadata, metadata, sizeof metadata) == 0);
    CHECK(kernel_sends(&kernels[1], 9, &sum) == 1 && sum == 1);
    check_frames();
    claim("a packet leaves by another queue in the frame that it came in, and the kernel is told of its checksum");
    xdp_umem_destroy(&umem);
}

static void
test_bounds(void)
{
    struct packet *packets[XDP_PACKETS_MAX];
    uint32_t size;
    _Bool more;

    open_sockets();
    for (uint32_t i = 0; i < XDP_PACKETS_MAX + 2; i++) {
        CHECK(kernel_receives(&kernels[0], i, i == XDP_PACKETS_MAX ? 1 : 0));
    }
    for (uint32_t i = 0; i < XDP_PACKETS_MAX; i++) {
        packets[i] = xdp_socket_rx_packet(&sockets[0], i);
        CHECK(packets[i] != NULL);
    }
    CHECK(xdp_socket_rx_packet(&sockets[0], XDP_PACKETS_MAX) == NULL);
    xdp_socket_rx_frame(&sockets[0], XDP_PACKETS_MAX, &size, &more);
    CHECK(size == 60 && more);
    xdp_socket_rx_drop(&sockets[0], XDP_PACKETS_MAX);
    xdp_socket_rx_drop(&sockets[0], XDP_PACKETS_MAX + 1);
    xdp_socket_rx_done(&sockets[0], XDP_PACKETS_MAX + 2);
    packet_release_burst(packets, XDP_PACKETS_MAX);
    check_frames();
    CHECK(xdp_socket_rx_peek(&sockets[0]) == 0 && sockets[0].n_spare == 0);
    claim("no more packets are on their way than there is room for, and frames in several pieces are given back");
    while (kernel_receives(&kernels[1], 5, 0)) {
        continue;
    }
    CHECK(xdp_socket_rx_peek(&sockets[1]) == XDP_RING_SIZE);
    claim("a kernel that ran out of frames is full of packets");
    xdp_umem_destroy(&umem);
}

int
main(void)
{
    const struct packet_pool_options options = { .n_small = 64, .n_large = 1 };

    CHECK(packet_pool_create(&options, &pool) == 0);
    test_in_place();
    test_round();
    test_bounds();
    packet_pool_destroy(pool);
    return 0;
}
