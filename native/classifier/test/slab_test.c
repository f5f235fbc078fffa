#include "classifier/slab.h"

#include "classifier/pages.h"
#include "classifier/test/random_rules.h"

struct thing {
    uint8_t *memory;
    size_t size;
    uint8_t fill;
};

#define THINGS 4000u

static size_t
random_size(uint64_t *random)
{
    switch (random_below(random, 40)) {
    case 0:
        return 2049 + random_below(random, 200000);
    case 2:
        return 2049 + random_below(random, 15000);
    case 1:
        return random_below(random, 400) == 0 ? PAGES_HUGE_SIZE + 1 + random_below(random, 3000000) : 65536;
    default:
        return random_below(random, 2049);
    }
}

static void
check_fill(const struct thing *thing)
{
    for (size_t i = 0; i < thing->size; i++) {
        CHECK(thing->memory[i] == thing->fill);
    }
}

static void
test_random_lives(uint64_t seed)
{
    static struct thing things[THINGS];
    struct slab slab = { .n_bytes = 0 };
    uint64_t random = seed;

    memset(things, 0, sizeof things);
    for (uint32_t step = 0; step < 40000; step++) {
        /* Waves, so that regions come and go. */
        bool grows = step / 8000 % 2 == 0 ? random_below(&random, 8) != 0 : random_below(&random, 8) == 0;
        struct thing *thing = &things[random_below(&random, THINGS)];
        if (thing->memory == NULL && grows) {
            thing->size = random_size(&random);
            thing->fill = (uint8_t) random_next(&random);
            thing->memory = slab_alloc(&slab, thing->size);
            CHECK(thing->memory != NULL);
            CHECK((uintptr_t) thing->memory
                      % (thing->size > 16384                         ? 4096
                         : thing->size % 64 == 0 && thing->size != 0 ? 64
                                                                     : 16)
                  == 0);
            memset(thing->memory, thing->fill, thing->size);
        } else if (thing->memory != NULL && !grows) {
            check_fill(thing);
            slab_free(&slab, thing->memory, thing->size);
            thing->memory = NULL;
        }
    }
    uint64_t n_used = 0;
    for (uint32_t i = 0; i < THINGS; i++) {
        n_used += things[i].memory != NULL ? things[i].size : 0;
    }
    CHECK(slab.n_bytes >= n_used);
    for (uint32_t i = 0; i < THINGS; i++) {
        if (things[i].memory != NULL) {
            check_fill(&things[i]);
            slab_free(&slab, things[i].memory, things[i].size);
        }
    }
    CHECK(slab.n_bytes <= 2 * PAGES_HUGE_SIZE);
    slab_uninit(&slab);
    CHECK(slab.n_bytes == 0);
}

static void
test_density(size_t size)
{
    static void *all[100000];
    const uint32_t n = (uint32_t) (32000000 / size);
    struct slab slab = { .n_bytes = 0 };

    for (uint32_t i = 0; i < n; i++) {
        all[i] = slab_alloc(&slab, size);
    }
    uint64_t n_bytes = slab.n_bytes;
    /* Sizes are rounded up, the greater ones by a quarter at most, and the end of a block may have no room for one more. */
    CHECK(n_bytes < (uint64_t) n * size * (size > 2048 ? 15 : 11) / 10);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = round; i < n; i += 3) {
            slab_free(&slab, all[i], size);
        }
        for (uint32_t i = round; i < n; i += 3) {
            all[i] = slab_alloc(&slab, size);
        }
    }
    CHECK(slab.n_bytes == n_bytes);
    slab_uninit(&slab);
}

static void
test_little_takes_little(void)
{
    struct slab slab = { .n_bytes = 0 };
    void *memory = slab_alloc(&slab, 100);

    CHECK(slab.n_bytes < PAGES_HUGE_SIZE);
    slab_free(&slab, memory, 100);
    slab_free(&slab, NULL, 100);
    slab_uninit(&slab);
}

int
main(void)
{
    test_little_takes_little();
    printf("ok - a slab for little takes less than a huge page\n");
    for (size_t size = 320; size <= 16384; size = size * 7 / 4) {
        test_density(size);
    }
    printf("ok - things of one size lie close, and what is freed is used again\n");
    for (uint64_t seed = 1; seed <= 4; seed++) {
        test_random_lives(seed);
        printf("ok - things of all sizes keep what is written all over them (seed %llu)\n", (unsigned long long) seed);
    }
    return 0;
}
