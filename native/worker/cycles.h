/* The processor's cycle counter, or what comes closest to it. */
#ifndef WORKER_CYCLES_H
#define WORKER_CYCLES_H 1

#include <stdint.h>

static inline uint64_t
cycles(void)
{
#if defined __x86_64__
    return __builtin_ia32_rdtsc();
#elif defined __aarch64__
    uint64_t value;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(value));
    return value;
#else
    return 0;
#endif
}

#endif
