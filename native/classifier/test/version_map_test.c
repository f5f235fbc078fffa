#include <stdlib.h>

#include "classifier/epoch.h"
#include "classifier/version_map.h"
#include "packet/test/claim.h"

struct object {
    struct versioned versioned;
    uint64_t value;
};

static uint32_t n_objects;

static void
free_object(void *aux, struct versioned *versioned)
{
    CHECK(aux == &n_objects);
    n_objects--;
    free(versioned);
}

static int
add(struct version_map *map, uint32_t id, uint64_t value)
{
    struct object *object = calloc(1, sizeof *object);

    CHECK(object != NULL);
    object->versioned.id = id;
    object->value = value;
    n_objects++;
    return version_map_add(map, &object->versioned);
}

/* The value that a reader of 'version' finds, 0 for none. */
static uint64_t
value_at(const struct version_map *map, uint32_t id, uint64_t version)
{
    const struct object *object = (const struct object *) version_map_find(map, id, version);

    return object != NULL ? object->value : 0;
}

static void
test_versions(struct epoch *epoch)
{
    struct version_map *map = version_map_create(epoch, free_object, &n_objects);
    struct epoch_reader *reader = epoch_register(epoch);

    version_map_begin(map, 2);
    CHECK(!add(map, 7, 70) && !add(map, 3, 30));
    CHECK(!value_at(map, 7, 1) && value_at(map, 7, 2) == 70);
    version_map_commit(map, NULL, NULL, NULL);
    version_map_begin(map, 3);
    CHECK(!version_map_remove(map, 7) && !add(map, 7, 71) && !version_map_remove(map, 3));
    CHECK(value_at(map, 7, 2) == 70 && value_at(map, 7, 3) == 71);
    CHECK(value_at(map, 3, 2) == 30 && !value_at(map, 3, 3));
    version_map_commit(map, NULL, NULL, NULL);
    CHECK(value_at(map, 7, 2) == 70 && n_objects == 3);
    for (uint32_t i = 0; i < 4; i++) {
        epoch_quiesce(reader);
        version_map_collect(map);
    }
    CHECK(value_at(map, 7, 3) == 71 && n_objects == 1);
    epoch_unregister(reader);
    version_map_destroy(map);
    CHECK(n_objects == 0);
    claim("a reader finds what its version has, and what none can see is freed");
}

static void
test_undo(struct epoch *epoch)
{
    struct version_map *map = version_map_create(epoch, free_object, &n_objects);

    version_map_begin(map, 2);
    CHECK(!add(map, 1, 10) && !add(map, 2, 20));
    version_map_commit(map, NULL, NULL, NULL);
    version_map_begin(map, 3);
    uint32_t mark = version_map_mark(map);
    CHECK(!version_map_remove(map, 1) && !add(map, 1, 11) && !add(map, 5, 50) && !version_map_remove(map, 2));
    version_map_undo(map, mark);
    CHECK(version_map_count(map) == 2 && value_at(map, 1, 3) == 10 && value_at(map, 2, 3) == 20);
    CHECK(!value_at(map, 5, 3));
    CHECK(!add(map, 5, 51));
    version_map_rollback(map);
    CHECK(version_map_newest(map, 5) == NULL && !value_at(map, 5, 3));
    version_map_begin(map, 3);
    CHECK(!add(map, 5, 52));
    version_map_commit(map, NULL, NULL, NULL);
    CHECK(value_at(map, 5, 3) == 52);
    version_map_destroy(map);
    version_map_destroy(NULL);
    CHECK(n_objects == 0);
    claim("an undone transaction leaves nothing behind, and its version may be used again");
}

static void
test_random(struct epoch *epoch)
{
    enum { N_IDS = 300 };
    struct version_map *map = version_map_create(epoch, free_object, &n_objects);
    uint64_t model[N_IDS] = { 0 };
    uint64_t seed = 7;
    uint64_t version = 1;

    for (uint32_t round = 0; round < 400; round++) {
        uint64_t before[N_IDS];
        for (uint32_t i = 0; i < N_IDS; i++) {
            before[i] = model[i];
        }
        version_map_begin(map, version + 1);
        for (uint64_t n = random_next(&seed) % 40; n != 0; n--) {
            uint32_t id = (uint32_t) (random_next(&seed) % N_IDS);
            if (model[id] != 0) {
                CHECK(!version_map_remove(map, id));
                model[id] = 0;
            } else {
                model[id] = random_next(&seed) | 1;
                CHECK(!add(map, id, model[id]));
            }
        }
        bool keep = random_next(&seed) % 4 != 0;
        if (keep) {
            version_map_commit(map, NULL, NULL, NULL);
            version++;
        } else {
            version_map_rollback(map);
        }
        uint32_t n = 0;
        for (uint32_t i = 0; i < N_IDS; i++) {
            model[i] = keep ? model[i] : before[i];
            CHECK(value_at(map, i, version) == model[i]);
            if (model[i] != 0) {
                CHECK(version_map_at(map, n++)->id == i);
            }
        }
        CHECK(version_map_count(map) == n);
    }
    version_map_destroy(map);
    CHECK(n_objects == 0);
    claim("random transactions leave what a plain array would hold");
}

int
main(void)
{
    struct epoch *epoch = epoch_create();

    test_versions(epoch);
    test_undo(epoch);
    test_random(epoch);
    epoch_destroy(epoch);
    return 0;
}
