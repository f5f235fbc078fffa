#include "classifier/pages.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Linux 5.14; older C libraries do not have the name. */
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static size_t
round_up(size_t size)
{
    size_t page = (size_t) sysconf(_SC_PAGESIZE);

    return (size + page - 1) & ~(page - 1);
}

/* Maps more than is wanted and gives back what is before and behind the aligned part. */
static uint8_t *
map_aligned(size_t size, size_t alignment)
{
    uint8_t *memory = mmap(NULL, size + alignment, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED) {
        return NULL;
    }
    size_t before = -(uintptr_t) memory & (alignment - 1);
    if (before != 0) {
        munmap(memory, before);
    }
    munmap(memory + before + size, alignment - before);
    return memory + before;
}

void *
pages_alloc(size_t size)
{
    if (size < PAGES_SIZE_MIN) {
        return calloc(1, size);
    }
    size = round_up(size);
    bool is_huge = size >= PAGES_HUGE_SIZE;
    uint8_t *memory = map_aligned(size, is_huge ? PAGES_HUGE_SIZE : PAGES_ALIGNMENT);
    if (memory != NULL) {
        /* Advice: what the kernel can't do now, it does at the first touch. */
        if (is_huge) {
            madvise(memory, size, MADV_HUGEPAGE);
        }
        madvise(memory, size, MADV_POPULATE_WRITE);
    }
    return memory;
}

void
pages_free(void *memory, size_t size)
{
    if (size < PAGES_SIZE_MIN) {
        free(memory);
    } else if (memory != NULL) {
        munmap(memory, round_up(size));
    }
}
