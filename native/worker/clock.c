/* The datapath's clock. */
#include <time.h>

#include "worker/state.h"

uint64_t
real_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

uint64_t
real_now_ms(void)
{
    return real_now_ns() / 1000000;
}

static uint64_t
real_now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000 + (uint64_t) now.tv_nsec / 1000;
}

uint64_t
datapath_now_us(const struct sluice_datapath *datapath)
{
    if (atomic_load_explicit(&datapath->clock.is_frozen, memory_order_relaxed)) {
        return 1000 * atomic_load_explicit(&datapath->clock.frozen_ms, memory_order_relaxed);
    }
    return real_now_us() + 1000 * atomic_load_explicit(&datapath->clock.ahead_ms, memory_order_relaxed);
}

uint64_t
datapath_now(const struct sluice_datapath *datapath)
{
    if (atomic_load_explicit(&datapath->clock.is_frozen, memory_order_relaxed)) {
        return atomic_load_explicit(&datapath->clock.frozen_ms, memory_order_relaxed);
    }
    return real_now_ms() + atomic_load_explicit(&datapath->clock.ahead_ms, memory_order_relaxed);
}
