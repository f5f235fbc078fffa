#include "classifier/slab.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "classifier/pages.h"

#define BLOCK_SIZE PAGES_ALIGNMENT
#define REGION_BLOCKS ((uint32_t) (PAGES_HUGE_SIZE / BLOCK_SIZE))
#define FIRST_REGION_BLOCKS 8u

/* Small sizes are multiples of GRAIN; greater ones come in quarters of an octave. */
#define GRAIN 16u
#define SMALL_SIZE_MAX ((size_t) 1 << SMALL_SIZE_BITS)
#define SMALL_SIZE_BITS 11u
#define SMALL_CLASSES ((uint32_t) (SMALL_SIZE_MAX / GRAIN))
#define HEADER_SIZE 64u
#define CLASS_SIZE_MAX (SMALL_SIZE_MAX << (SLAB_CLASSES - SMALL_CLASSES) / 4)

/* Tests under the address sanitizer see uses of what was freed. */
#if defined __has_feature
#if __has_feature(address_sanitizer)
#define HAS_SANITIZER 1
#endif
#endif
#if defined HAS_SANITIZER
#include <sanitizer/asan_interface.h>
#define HIDE(MEMORY, SIZE) ASAN_POISON_MEMORY_REGION(MEMORY, SIZE)
#define SHOW(MEMORY, SIZE) ASAN_UNPOISON_MEMORY_REGION(MEMORY, SIZE)
#else
#define HIDE(MEMORY, SIZE) ((void) (MEMORY), (void) (SIZE))
#define SHOW(MEMORY, SIZE) ((void) (MEMORY), (void) (SIZE))
#endif

struct slab_region {
    struct slab_region *next;
    uint8_t *memory;
    uint32_t n_blocks;
    uint32_t n_free;
    uint32_t free; /* A bit for each block that is not in use. */
};

_Static_assert(PAGES_HUGE_SIZE / BLOCK_SIZE <= 32, "a bit for each block");

/* What was freed. */
struct freed {
    struct freed *next;
};

/* At the beginning of each block of things. */
struct slab_block {
    struct slab_block *next, **prev; /* In the slab's list of its class, unless the block is full. */
    struct freed *freed;
    uint32_t class;
    uint32_t n_used;
    uint32_t n_begun; /* Places that were ever used: those behind them are free. */
};

_Static_assert(sizeof(struct slab_block) <= HEADER_SIZE, "what comes first in a block");

static uint32_t
bits(uint32_t n)
{
    return (uint32_t) ((UINT64_C(1) << n) - 1);
}

/* The first region does not count: it stays. */
static bool
is_unused(const struct slab_region *region)
{
    return region->n_free == REGION_BLOCKS;
}

static struct slab_region *
add_region(struct slab *slab)
{
    uint32_t n_blocks = slab->regions == NULL ? FIRST_REGION_BLOCKS : REGION_BLOCKS;
    struct slab_region *region = malloc(sizeof *region);

    if (region == NULL) {
        return NULL;
    }
    *region = (struct slab_region){
        .next = slab->regions,
        .memory = pages_alloc(n_blocks * BLOCK_SIZE),
        .n_blocks = n_blocks,
        .n_free = n_blocks,
        .free = bits(n_blocks),
    };
    if (region->memory == NULL) {
        free(region);
        return NULL;
    }
    slab->regions = region;
    slab->n_unused += is_unused(region);
    slab->n_bytes += n_blocks * BLOCK_SIZE;
    return region;
}

/* The first of 'n' free blocks side by side, or -1. */
static int
find_run(const struct slab_region *region, uint32_t n)
{
    uint32_t starts = region->free;

    for (uint32_t i = 1; i < n && starts != 0; i++) {
        starts &= region->free >> i;
    }
    return starts != 0 ? __builtin_ctz(starts) : -1;
}

/* Memory of 'n' blocks side by side.  The newest region is looked at first: it has most room. */
static void *
take_blocks(struct slab *slab, uint32_t n)
{
    struct slab_region *region = slab->regions;
    int first = -1;

    while (region != NULL && (region->n_free < n || (first = find_run(region, n)) < 0)) {
        region = region->next;
    }
    while (region == NULL) {
        /* The first region may be too small. */
        region = add_region(slab);
        if (region == NULL) {
            return NULL;
        }
        first = find_run(region, n);
        region = first < 0 ? NULL : region;
    }
    slab->n_unused -= is_unused(region);
    region->n_free -= n;
    region->free &= ~(bits(n) << first);
    return region->memory + (size_t) first * BLOCK_SIZE;
}

static void
free_region(struct slab *slab, struct slab_region *region)
{
    slab->n_bytes -= region->n_blocks * BLOCK_SIZE;
    SHOW(region->memory, region->n_blocks * BLOCK_SIZE);
    pages_free(region->memory, region->n_blocks * BLOCK_SIZE);
    free(region);
}

static void
give_blocks(struct slab *slab, void *memory, uint32_t n)
{
    struct slab_region **place = &slab->regions;
    struct slab_region *region;

    while (region = *place, (size_t) ((uint8_t *) memory - region->memory) >= region->n_blocks * BLOCK_SIZE) {
        place = &region->next;
    }
    region->free |= bits(n) << (size_t) ((uint8_t *) memory - region->memory) / BLOCK_SIZE;
    region->n_free += n;
    if (is_unused(region)) {
        if (slab->n_unused == 0) {
            slab->n_unused++;
        } else {
            *place = region->next;
            free_region(slab, region);
        }
    }
}

static void
list_push(struct slab_block **list, struct slab_block *block)
{
    block->next = *list;
    block->prev = list;
    if (*list != NULL) {
        (*list)->prev = &block->next;
    }
    *list = block;
}

static void
list_remove(struct slab_block *block)
{
    *block->prev = block->next;
    if (block->next != NULL) {
        block->next->prev = block->prev;
    }
}

static size_t
class_size(uint32_t class)
{
    if (class < SMALL_CLASSES) {
        return ((size_t) class + 1) * GRAIN;
    }
    uint32_t octave = (class - SMALL_CLASSES) / 4, quarter = (class - SMALL_CLASSES) % 4;
    return (size_t) (4 + quarter + 1) << (SMALL_SIZE_BITS + octave - 2);
}

/* The class of the least size that has room for 'size', up to CLASS_SIZE_MAX. */
static uint32_t
class_of(size_t size)
{
    if (size <= SMALL_SIZE_MAX) {
        return size == 0 ? 0 : (uint32_t) ((size - 1) / GRAIN);
    }
    uint32_t bits = 63u - (uint32_t) __builtin_clzll(size - 1);
    return SMALL_CLASSES + (bits - SMALL_SIZE_BITS) * 4 + (uint32_t) ((size - 1) >> (bits - 2) & 3);
}

static uint32_t
n_places(uint32_t class)
{
    return (uint32_t) ((BLOCK_SIZE - HEADER_SIZE) / class_size(class));
}

static void *
alloc_in_block(struct slab *slab, uint32_t class)
{
    struct slab_block *block = slab->partial[class];
    void *memory;

    if (block == NULL) {
        block = take_blocks(slab, 1);
        if (block == NULL) {
            return NULL;
        }
        *block = (struct slab_block){ .class = class };
        list_push(&slab->partial[class], block);
    }
    if (block->freed != NULL) {
        memory = block->freed;
        SHOW(memory, class_size(class));
        block->freed = block->freed->next;
    } else {
        memory = (uint8_t *) block + HEADER_SIZE + block->n_begun++ * class_size(class);
    }
    if (++block->n_used == n_places(class)) {
        list_remove(block);
    }
    return memory;
}

static void
free_in_block(struct slab *slab, void *memory)
{
    struct slab_block *block = (struct slab_block *) ((uintptr_t) memory & ~(uintptr_t) (BLOCK_SIZE - 1));
    struct freed *freed = memory;

    assert(block->n_used != 0);
    freed->next = block->freed;
    block->freed = freed;
    HIDE(memory, class_size(block->class));
    if (block->n_used-- == n_places(block->class)) {
        list_push(&slab->partial[block->class], block);
    }
    if (block->n_used == 0) {
        list_remove(block);
        SHOW(block, BLOCK_SIZE);
        give_blocks(slab, block, 1);
    }
}

static uint32_t
n_blocks_for(size_t size)
{
    return (uint32_t) ((size + BLOCK_SIZE - 1) / BLOCK_SIZE);
}

void *
slab_alloc(struct slab *slab, size_t size)
{
    if (size <= CLASS_SIZE_MAX) {
        return alloc_in_block(slab, class_of(size));
    }
    if (size <= PAGES_HUGE_SIZE) {
        return take_blocks(slab, n_blocks_for(size));
    }
    void *memory = pages_alloc(size);
    slab->n_bytes += memory != NULL ? size : 0;
    return memory;
}

void
slab_free(struct slab *slab, void *memory, size_t size)
{
    if (memory == NULL) {
        return;
    }
    if (size <= CLASS_SIZE_MAX) {
        free_in_block(slab, memory);
    } else if (size <= PAGES_HUGE_SIZE) {
        give_blocks(slab, memory, n_blocks_for(size));
    } else {
        slab->n_bytes -= size;
        pages_free(memory, size);
    }
}

void
slab_uninit(struct slab *slab)
{
    while (slab->regions != NULL) {
        struct slab_region *region = slab->regions;
        slab->regions = region->next;
        free_region(slab, region);
    }
    *slab = (struct slab){ .n_bytes = 0 };
}
