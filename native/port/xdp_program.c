#include "port/xdp_program.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define HELPER_REDIRECT_MAP 51

/* Linux 5.18's, which older headers lack: packets in several frames. */
#define PROGRAM_HAS_FRAGS (1u << 5)

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

int
xdp_program_set(const struct xdp_program *program, uint32_t queue, int socket_fd)
{
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.map_fd = (uint32_t) program->map_fd;
    attributes.key = (uint64_t) (uintptr_t) &queue;
    attributes.value = (uint64_t) (uintptr_t) &socket_fd;
    return bpf(BPF_MAP_UPDATE_ELEM, &attributes) < 0 ? errno : 0;
}
