/* The table of frozen states, with threads that make, find and give up the same few states. */
#include <pthread.h>
#include <string.h>

#include "classifier/epoch.h"
#include "packet/test/claim.h"
#include "pipeline/frozen.h"

#define N_THREADS 4
#define N_ROUNDS 40000

static struct epoch *epoch;
static struct frozen_table *table;

static void *
work(void *aux)
{
    struct epoch_reader *reader = epoch_register(epoch);
    uint64_t seed = 1 + (uint64_t) (uintptr_t) aux;
    const struct frozen_state *held[8] = { NULL };
    for (uint32_t i = 0; i < N_ROUNDS; i++) {
        const struct sluice_continuation content = { .bridge = 1 + (uint32_t) (random_next(&seed) % 16) };
        const struct frozen_state *state = frozen_acquire(table, &content, sizeof content);
        CHECK(state && state->content.bridge == content.bridge && frozen_find(table, state->id) == state);
        uint32_t slot = i % 8;
        if (held[slot]) {
            CHECK(frozen_find(table, held[slot]->id) == held[slot]);
            frozen_unref(held[slot], i % 3 == 0);
        }
        held[slot] = state;
        const struct frozen_state *found = frozen_find(table, 1 + (uint32_t) (random_next(&seed) % 64));
        CHECK(!found || found->content.bridge <= 16 || found->content.bridge == 100);
        epoch_quiesce(reader);
        if (!aux && i % 64 == 0) {
            frozen_maintain(table, (4 + i) * FROZEN_LINGER_MS);
        }
    }
    for (uint32_t slot = 0; slot < 8; slot++) {
        frozen_unref(held[slot], slot % 2 == 0);
    }
    epoch_unregister(reader);
    return NULL;
}

static uint32_t
id_for(uint32_t bridge, bool lingers)
{
    const struct sluice_continuation content = { .bridge = bridge };
    const struct frozen_state *state = frozen_acquire(table, &content, sizeof content);
    CHECK(state);
    uint32_t id = state->id;
    frozen_unref(state, lingers);
    return id;
}

static void
test_lingers(void)
{
    uint32_t first = id_for(100, true);
    CHECK(id_for(100, false) == first);
    CHECK(id_for(100, true) == first + 1);
    CHECK(frozen_find(table, first) && frozen_find(table, first + 1));
    for (uint64_t now_ms = FROZEN_LINGER_MS; now_ms <= 3 * FROZEN_LINGER_MS; now_ms += FROZEN_LINGER_MS) {
        frozen_maintain(table, now_ms);
    }
    CHECK(!frozen_find(table, first) && !frozen_find(table, first + 1));
    CHECK(id_for(100, false) == first + 2);
    claim("a state is found for some time by its id, and by its content if it lingers");
}

int
main(void)
{
    pthread_t threads[N_THREADS];
    epoch = epoch_create();
    table = frozen_table_create(epoch);
    test_lingers();
    for (uintptr_t i = 0; i < N_THREADS; i++) {
        CHECK(!pthread_create(&threads[i], NULL, work, (void *) i));
    }
    for (uint32_t i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(!frozen_count(table));
    frozen_table_destroy(table);
    epoch_destroy(epoch);
    claim("states that threads share are found while someone holds them, and gone after");
    return 0;
}
