/* A slab: memory for things of a few sizes that are made by the hundred thousand.
 *
 * Memory comes in regions of a huge page each (pages.h); the first is a small one, for those who need little.  A region is cut
 * into blocks.  Things of one size class lie together in a block; what is greater than the greatest class takes blocks side
 * by side, and what is greater than a region comes from pages_alloc().  Of regions of which nothing is in
 * use one is kept.
 *
 * No lock: it belongs to whoever holds the lock of the structure that it serves. */
#ifndef CLASSIFIER_SLAB_H
#define CLASSIFIER_SLAB_H 1

#include <stddef.h>
#include <stdint.h>

/* Sizes up to 2 kB in steps of 16 bytes, then to 16 kB in quarters of an octave. */
#define SLAB_CLASSES 140u

struct slab_block;
struct slab_region;

struct slab {
    struct slab_block *partial[SLAB_CLASSES]; /* Blocks with room, by size class. */
    struct slab_region *regions;
    uint32_t n_unused; /* Regions but the first of which nothing is in use. */
    uint64_t n_bytes;  /* Of all that it has from the kernel. */
};

/* Memory that is not cleared, aligned to 16 bytes, to 64 if its size is a multiple of that, to a page if it is more than
 * 16 kB.  Null when there is none.  A slab of zeros is an empty one. */
void *slab_alloc(struct slab *slab, size_t size);

/* Gives back what slab_alloc() gave for 'size'.  Null is fine. */
void slab_free(struct slab *slab, void *memory, size_t size);

/* Frees everything, but for what is greater than a region: that must have been freed. */
void slab_uninit(struct slab *slab);

#endif
