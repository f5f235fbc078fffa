/* Sends one frame of 60 bytes over and over into a network device that takes XDP frames, such as a veth, as fast as one
 * CPU can: the kernel runs an XDP program on live frames, which makes no packet of its own for each (Linux 5.18).
 *
 * usage: frame_source DEVICE SECONDS; prints {"packetsPerSecond":N} */
#include <linux/bpf.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define HELPER_REDIRECT 23
#define LIVE_FRAMES (1u << 1) /* Linux 5.18's. */
#define FRAMES_A_RUN 16384u

static int
bpf(enum bpf_cmd command, union bpf_attr *attributes)
{
    return (int) syscall(SYS_bpf, command, attributes, sizeof *attributes);
}

/* return bpf_redirect(ifindex, 0); */
static int
load_program(uint32_t ifindex)
{
    const struct bpf_insn code[] = {
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = (int32_t) ifindex },
        { .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0 },
        { .code = BPF_JMP | BPF_CALL, .imm = HELPER_REDIRECT },
        { .code = BPF_JMP | BPF_EXIT },
    };
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.prog_type = BPF_PROG_TYPE_XDP;
    attributes.insns = (uint64_t) (uintptr_t) code;
    attributes.insn_cnt = sizeof code / sizeof code[0];
    attributes.license = (uint64_t) (uintptr_t) "Dual BSD/GPL";
    return bpf(BPF_PROG_LOAD, &attributes);
}

static int
run_program(int program, const uint8_t *frame, uint32_t size)
{
    struct xdp_md context = { .data_end = size };
    union bpf_attr attributes;

    memset(&attributes, 0, sizeof attributes);
    attributes.test.prog_fd = (uint32_t) program;
    attributes.test.data_in = (uint64_t) (uintptr_t) frame;
    attributes.test.data_size_in = size;
    attributes.test.ctx_in = (uint64_t) (uintptr_t) &context;
    attributes.test.ctx_size_in = sizeof context;
    attributes.test.repeat = FRAMES_A_RUN;
    attributes.test.flags = LIVE_FRAMES;
    attributes.test.batch_size = 64;
    return bpf(BPF_PROG_TEST_RUN, &attributes);
}

static double
now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double) time.tv_sec + 1e-9 * (double) time.tv_nsec;
}

int
main(int argc, char **argv)
{
    /* UDP from 10.0.0.1 to 10.0.0.2, without a checksum. */
    static const uint8_t frame[60] = { 0x02, 0, 0,  0,  0, 0x22, 0x02, 0, 0,  0,  0,    0x11, 0x08, 0,
                                       0x45, 0, 0,  46, 0, 0,    0,    0, 64, 17, 0x66, 0xbd, 10,   0,
                                       0,    1, 10, 0,  0, 2,    0,    9, 0,  9,  0,    26,   0,    0 };
    uint32_t ifindex = argc == 3 ? if_nametoindex(argv[1]) : 0;
    double seconds = argc == 3 ? atof(argv[2]) : 0;
    uint64_t n = 0;

    if (ifindex == 0 || seconds <= 0) {
        fprintf(stderr, "usage: frame_source DEVICE SECONDS\n");
        return 2;
    }
    int program = load_program(ifindex);
    if (program < 0) {
        perror("frame_source: an XDP program cannot be loaded");
        return 1;
    }
    double begin = now();
    while (now() - begin < seconds) {
        if (run_program(program, frame, sizeof frame) != 0) {
            perror("frame_source: the program cannot be run on live frames");
            return 1;
        }
        n += FRAMES_A_RUN;
    }
    printf("{\"packetsPerSecond\":%.0f}\n", (double) n / (now() - begin));
    return 0;
}
