#include "port/xdp_socket.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define N_FRAMES (2 * XDP_RING_SIZE)
#define UMEM_SIZE ((size_t) N_FRAMES * XDP_FRAME_SIZE)
#define RING_MASK (XDP_RING_SIZE - 1)
#define HELPER_REDIRECT_MAP 51

/* Linux 5.18's and 6.6's, which older headers lack: packets in several frames. */
#define PROGRAM_HAS_FRAGS (1u << 5)
#define BIND_USE_SG (1u << 4)
#define DESCRIPTOR_CONTINUES (1u << 0)

static int
bpf(enum bpf_cmd command, union bpf_attr *attributes)
{
    long fd = syscall(SYS_bpf, command, attributes, sizeof *attributes);

    return fd < 0 ? -1 : (int) fd;
}

static int
create_map(uint32_t n_queues)
{
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.map_type = BPF_MAP_TYPE_XSKMAP;
    attributes.key_size = 4;
    attributes.value_size = 4;
    attributes.max_entries = n_queues;
    return bpf(BPF_MAP_CREATE, &attributes);
}

/* return bpf_redirect_map(map, ctx->rx_queue_index, XDP_PASS); */
static int
load_program(int map_fd, uint32_t flags)
{
    const struct bpf_insn code[] = {
        { .code = BPF_LDX | BPF_MEM | BPF_W,
          .dst_reg = 2,
          .src_reg = 1,
          .off = offsetof(struct xdp_md, rx_queue_index) },
        { .code = BPF_LD | BPF_DW | BPF_IMM, .dst_reg = 1, .src_reg = BPF_PSEUDO_MAP_FD, .imm = map_fd },
        { .code = 0 },
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 3, .imm = XDP_PASS },
        { .code = BPF_JMP | BPF_CALL, .imm = HELPER_REDIRECT_MAP },
        { .code = BPF_JMP | BPF_EXIT },
    };
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_XDP;
    attributes.insns = (uint64_t) (uintptr_t) code;
    attributes.insn_cnt = sizeof code / sizeof code[0];
    attributes.license = (uint64_t) (uintptr_t) "Dual BSD/GPL";
    attributes.prog_flags = flags;
    memcpy(attributes.prog_name, "sluice", 7);
    return bpf(BPF_PROG_LOAD, &attributes);
}

static int
create_link(int program_fd, uint32_t ifindex, enum xdp_mode mode)
{
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.link_create.prog_fd = (uint32_t) program_fd;
    attributes.link_create.target_ifindex = ifindex;
    attributes.link_create.attach_type = BPF_XDP;
    attributes.link_create.flags = mode == XDP_MODE_GENERIC ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;
    return bpf(BPF_LINK_CREATE, &attributes);
}

int
xdp_program_attach(struct xdp_program *program, uint32_t ifindex, enum xdp_mode mode, uint32_t n_queues)
{
    *program = (struct xdp_program){ -1, -1, -1 };
    program->map_fd = create_map(n_queues);
    if (program->map_fd >= 0) {
        program->program_fd = load_program(program->map_fd, mode == XDP_MODE_GENERIC ? PROGRAM_HAS_FRAGS : 0);
    }
    if (program->map_fd >= 0 && program->program_fd < 0 && mode == XDP_MODE_GENERIC && errno == EINVAL) {
        program->program_fd = load_program(program->map_fd, 0);
    }
    if (program->program_fd >= 0) {
        program->link_fd = create_link(program->program_fd, ifindex, mode);
    }
    if (program->link_fd >= 0) {
        return 0;
    }
    int error = errno;
    xdp_program_detach(program);
    return error;
}

void
xdp_program_detach(struct xdp_program *program)
{
    int *const fds[] = { &program->link_fd, &program->program_fd, &program->map_fd };

    for (int i = 0; i < 3; i++) {
        if (*fds[i] >= 0) {
            close(*fds[i]);
            *fds[i] = -1;
        }
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

static int
set_rings(struct xdp_socket *socket)
{
    static const int options[] = { XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING };
    const struct xdp_umem_reg umem = {
        .addr = (uint64_t) (uintptr_t) socket->umem,
        .len = UMEM_SIZE,
        .chunk_size = XDP_FRAME_SIZE,
    };
    uint32_t size = XDP_RING_SIZE;

    if (setsockopt(socket->fd, SOL_XDP, XDP_UMEM_REG, &umem, sizeof umem) != 0) {
        return errno;
    }
    for (int i = 0; i < 4; i++) {
        if (setsockopt(socket->fd, SOL_XDP, options[i], &size, sizeof size) != 0) {
            return errno;
        }
    }
    return map_rings(socket);
}

static void
fill_all(struct xdp_socket *socket)
{
    uint64_t *fill = socket->fill.entries;

    for (uint32_t i = 0; i < XDP_RING_SIZE; i++) {
        fill[i] = (uint64_t) i * XDP_FRAME_SIZE;
        socket->free_tx[i] = (uint64_t) (XDP_RING_SIZE + i) * XDP_FRAME_SIZE;
    }
    atomic_store_explicit(socket->fill.producer, XDP_RING_SIZE, memory_order_release);
    socket->n_free_tx = XDP_RING_SIZE;
}

static int
bind_socket(const struct xdp_socket *socket, const struct xdp_program *program, uint32_t ifindex, uint32_t queue,
            enum xdp_mode mode)
{
    struct sockaddr_xdp address = {
        .sxdp_family = AF_XDP,
        .sxdp_flags = (uint16_t) (XDP_USE_NEED_WAKEUP | (mode == XDP_MODE_NATIVE_ZEROCOPY ? XDP_ZEROCOPY : XDP_COPY)
                                  | (mode == XDP_MODE_GENERIC ? BIND_USE_SG : 0)),
        .sxdp_ifindex = ifindex,
        .sxdp_queue_id = queue,
    };
    union bpf_attr attributes;

    int error = bind(socket->fd, (const struct sockaddr *) &address, sizeof address) == 0 ? 0 : errno;
    if (error == EINVAL && address.sxdp_flags & BIND_USE_SG) {
        address.sxdp_flags &= (uint16_t) ~BIND_USE_SG;
        error = bind(socket->fd, (const struct sockaddr *) &address, sizeof address) == 0 ? 0 : errno;
    }
    if (error != 0) {
        return error;
    }
    memset(&attributes, 0, sizeof attributes);
    attributes.map_fd = (uint32_t) program->map_fd;
    attributes.key = (uint64_t) (uintptr_t) &queue;
    attributes.value = (uint64_t) (uintptr_t) &socket->fd;
    return bpf(BPF_MAP_UPDATE_ELEM, &attributes) < 0 ? errno : 0;
}

int
xdp_socket_open(struct xdp_socket *socket_, const struct xdp_program *program, uint32_t ifindex, uint32_t queue,
                enum xdp_mode mode)
{
    memset(socket_, 0, sizeof *socket_);
    socket_->fd = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (socket_->fd < 0) {
        return errno;
    }
    socket_->umem = mmap(NULL, UMEM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int error = socket_->umem == MAP_FAILED ? ENOMEM : set_rings(socket_);
    if (error == 0) {
        fill_all(socket_);
        error = bind_socket(socket_, program, ifindex, queue, mode);
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
    close(socket->fd);
    socket->fd = -1;
    for (int i = 0; i < 4; i++) {
        if (rings[i]->map != NULL) {
            munmap(rings[i]->map, rings[i]->map_size);
            rings[i]->map = NULL;
        }
    }
    if (socket->umem != NULL && socket->umem != MAP_FAILED) {
        munmap(socket->umem, UMEM_SIZE);
    }
    socket->umem = NULL;
}

uint32_t
xdp_socket_rx_peek(const struct xdp_socket *socket)
{
    return atomic_load_explicit(socket->rx.producer, memory_order_acquire)
           - atomic_load_explicit(socket->rx.consumer, memory_order_relaxed);
}

const uint8_t *
xdp_socket_rx_frame(const struct xdp_socket *socket, uint32_t i, uint32_t *size, _Bool *more)
{
    uint32_t consumer = atomic_load_explicit(socket->rx.consumer, memory_order_relaxed);
    const struct xdp_desc *entry = (const struct xdp_desc *) socket->rx.entries + ((consumer + i) & RING_MASK);

    *size = entry->len;
    *more = (entry->options & DESCRIPTOR_CONTINUES) != 0;
    return socket->umem + entry->addr;
}

void
xdp_socket_rx_done(struct xdp_socket *socket, uint32_t n)
{
    uint32_t consumer = atomic_load_explicit(socket->rx.consumer, memory_order_relaxed);
    uint32_t producer = atomic_load_explicit(socket->fill.producer, memory_order_relaxed);
    const struct xdp_desc *entries = socket->rx.entries;
    uint64_t *fill = socket->fill.entries;

    /* The fill ring has room: it is as large as there are receive frames. */
    for (uint32_t i = 0; i < n; i++) {
        uint64_t address = entries[(consumer + i) & RING_MASK].addr;
        fill[(producer + i) & RING_MASK] = address - address % XDP_FRAME_SIZE;
    }
    atomic_store_explicit(socket->rx.consumer, consumer + n, memory_order_release);
    atomic_store_explicit(socket->fill.producer, producer + n, memory_order_release);
    if (atomic_load_explicit(socket->fill.flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP) {
        recvfrom(socket->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
    }
}

/* Takes back the transmit frames that the kernel is done with. */
static void
reclaim(struct xdp_socket *socket)
{
    uint32_t consumer = atomic_load_explicit(socket->completion.consumer, memory_order_relaxed);
    uint32_t n = atomic_load_explicit(socket->completion.producer, memory_order_acquire) - consumer;
    const uint64_t *entries = socket->completion.entries;

    for (uint32_t i = 0; i < n && socket->n_free_tx < XDP_RING_SIZE; i++) {
        socket->free_tx[socket->n_free_tx++] = entries[(consumer + i) & RING_MASK];
    }
    atomic_store_explicit(socket->completion.consumer, consumer + n, memory_order_release);
}

uint8_t *
xdp_socket_tx_frame(struct xdp_socket *socket)
{
    if (socket->n_free_tx == 0) {
        reclaim(socket);
    }
    return socket->n_free_tx == 0 ? NULL : socket->umem + socket->free_tx[socket->n_free_tx - 1];
}

void
xdp_socket_tx_put(struct xdp_socket *socket, uint8_t *frame, uint32_t size)
{
    uint32_t producer = atomic_load_explicit(socket->tx.producer, memory_order_relaxed);
    struct xdp_desc *entry = (struct xdp_desc *) socket->tx.entries + (producer & RING_MASK);

    socket->n_free_tx--;
    *entry = (struct xdp_desc){ .addr = (uint64_t) (frame - socket->umem), .len = size };
    atomic_store_explicit(socket->tx.producer, producer + 1, memory_order_release);
}

int
xdp_socket_tx_kick(struct xdp_socket *socket)
{
    /* In copy mode a call sends a few frames only, and says EAGAIN while there are more. */
    for (int i = 0; i < 64; i++) {
        if (atomic_load_explicit(socket->tx.producer, memory_order_relaxed)
            == atomic_load_explicit(socket->tx.consumer, memory_order_acquire)) {
            return 0;
        }
        if (!(atomic_load_explicit(socket->tx.flags, memory_order_relaxed) & XDP_RING_NEED_WAKEUP)) {
            return 0;
        }
        if (sendto(socket->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) < 0 && errno != EAGAIN && errno != EINTR) {
            return errno == EBUSY || errno == ENOBUFS ? 0 : errno;
        }
    }
    return 0;
}

uint64_t
xdp_socket_n_dropped(const struct xdp_socket *socket)
{
    struct xdp_statistics statistics;
    socklen_t size = sizeof statistics;

    memset(&statistics, 0, sizeof statistics);
    if (getsockopt(socket->fd, SOL_XDP, XDP_STATISTICS, &statistics, &size) != 0) {
        return 0;
    }
    return statistics.rx_dropped + statistics.rx_ring_full + statistics.rx_fill_ring_empty_descs;
}
