#include "classifier/version_map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/epoch.h"

#define BUCKETS_MIN 16u
#define NEVER UINT64_MAX

/* An object's place in a chain.  Each index has its own, so that readers of an old one are not disturbed by growing. */
struct link {
    _Atomic(struct link *) next;
    struct versioned *object;
};

struct index {
    uint32_t n_buckets; /* A power of two. */
    _Atomic(struct link *) buckets[];
};

struct change {
    struct versioned *object;
    bool added; /* Else removed. */
};

struct version_map {
    struct epoch *epoch;
    void (*free)(void *aux, struct versioned *object);
    void *aux;
    _Atomic(struct index *) index;
    struct limbo unlinking; /* Removed objects that readers of older versions may still look for. */
    struct limbo limbo;     /* Objects, links and indexes that readers may still hold. */
    uint32_t n_links;
    struct versioned **order; /* The newest objects, by number. */
    uint32_t n;
    uint32_t order_capacity;
    bool open;
    uint64_t version;
    struct change *changes;
    uint32_t n_changes;
    uint32_t changes_capacity;
};

static struct index *
index_create(uint32_t n_buckets)
{
    struct index *index = calloc(1, sizeof *index + n_buckets * sizeof index->buckets[0]);

    if (index != NULL) {
        index->n_buckets = n_buckets;
    }
    return index;
}

static void
index_free(void *index_)
{
    struct index *index = index_;

    for (uint32_t i = 0; i < index->n_buckets; i++) {
        struct link *next;
        for (struct link *link = atomic_load_explicit(&index->buckets[i], memory_order_relaxed); link != NULL;
             link = next) {
            next = atomic_load_explicit(&link->next, memory_order_relaxed);
            free(link);
        }
    }
    free(index);
}

static uint32_t
bucket_of(const struct index *index, uint32_t id)
{
    return (uint32_t) (id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (index->n_buckets - 1);
}

/* Puts the object at the front of its chain: newer ones are found first.  0 or ENOMEM. */
static int
index_add(struct index *index, struct versioned *object)
{
    _Atomic(struct link *) *bucket = &index->buckets[bucket_of(index, object->id)];
    struct link *link = malloc(sizeof *link);

    if (link == NULL) {
        return ENOMEM;
    }
    link->object = object;
    atomic_init(&link->next, atomic_load_explicit(bucket, memory_order_relaxed));
    atomic_store_explicit(bucket, link, memory_order_release);
    return 0;
}

struct version_map *
version_map_create(struct epoch *epoch, void (*free_object)(void *aux, struct versioned *object), void *aux)
{
    struct version_map *map = calloc(1, sizeof *map);
    struct index *index = index_create(BUCKETS_MIN);

    if (map == NULL || index == NULL) {
        free(map);
        free(index);
        return NULL;
    }
    map->epoch = epoch;
    map->free = free_object;
    map->aux = aux;
    atomic_init(&map->index, index);
    limbo_init(&map->unlinking, epoch);
    limbo_init(&map->limbo, epoch);
    return map;
}

void
version_map_destroy(struct version_map *map)
{
    if (map == NULL) {
        return;
    }
    if (map->open) {
        version_map_rollback(map);
    }
    limbo_uninit(&map->unlinking);
    limbo_uninit(&map->limbo);
    for (uint32_t i = 0; i < map->n; i++) {
        map->free(map->aux, map->order[i]);
    }
    index_free(atomic_load_explicit(&map->index, memory_order_relaxed));
    free(map->order);
    free(map->changes);
    free(map);
}

static bool
is_visible(const struct versioned *object, uint64_t version)
{
    return object->add_version <= version
           && version < atomic_load_explicit(&object->remove_version, memory_order_relaxed);
}

struct versioned *
version_map_find(const struct version_map *map, uint32_t id, uint64_t version)
{
    const struct index *index = atomic_load_explicit(&map->index, memory_order_acquire);

    for (struct link *link = atomic_load_explicit(&index->buckets[bucket_of(index, id)], memory_order_acquire);
         link != NULL; link = atomic_load_explicit(&link->next, memory_order_acquire)) {
        if (link->object->id == id && is_visible(link->object, version)) {
            return link->object;
        }
    }
    return NULL;
}

uint32_t
version_map_count(const struct version_map *map)
{
    return map->n;
}

struct versioned *
version_map_at(const struct version_map *map, uint32_t position)
{
    assert(position < map->n);
    return map->order[position];
}

uint32_t
version_map_position(const struct version_map *map, uint32_t id)
{
    uint32_t low = 0;
    uint32_t high = map->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (map->order[middle]->id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

struct versioned *
version_map_newest(const struct version_map *map, uint32_t id)
{
    uint32_t position = version_map_position(map, id);

    return position < map->n && map->order[position]->id == id ? map->order[position] : NULL;
}

void
version_map_begin(struct version_map *map, uint64_t version)
{
    assert(!map->open && version > map->version);
    map->open = true;
    map->version = version;
    map->n_changes = 0;
}

/* Makes room for one more element.  False without memory. */
static bool
reserve(void *arrayp, uint32_t n, uint32_t *capacity, size_t size)
{
    void **array = arrayp;

    if (n < *capacity) {
        return true;
    }
    uint32_t wanted = *capacity != 0 ? 2 * *capacity : 16;
    void *grown = realloc(*array, wanted * size);
    if (grown == NULL) {
        return false;
    }
    *array = grown;
    *capacity = wanted;
    return true;
}

/* Makes the chains short again.  Without memory they stay long, which is slow and nothing worse. */
static void
grow(struct version_map *map)
{
    struct index *old = atomic_load_explicit(&map->index, memory_order_relaxed);
    struct index *index = index_create(2 * old->n_buckets);

    if (index == NULL) {
        return;
    }
    for (uint32_t i = 0; i < old->n_buckets; i++) {
        for (struct link *link = atomic_load_explicit(&old->buckets[i], memory_order_relaxed); link != NULL;
             link = atomic_load_explicit(&link->next, memory_order_relaxed)) {
            if (index_add(index, link->object) != 0) {
                index_free(index);
                return;
            }
        }
    }
    atomic_store_explicit(&map->index, index, memory_order_release);
    limbo_put(&map->limbo, index_free, old);
}

static void
enter_order(struct version_map *map, struct versioned *object)
{
    uint32_t position = version_map_position(map, object->id);

    memmove(map->order + position + 1, map->order + position, (map->n - position) * sizeof *map->order);
    map->order[position] = object;
    map->n++;
}

static void
leave_order(struct version_map *map, const struct versioned *object)
{
    uint32_t position = version_map_position(map, object->id);

    assert(position < map->n && map->order[position] == object);
    map->n--;
    memmove(map->order + position, map->order + position + 1, (map->n - position) * sizeof *map->order);
}

int
version_map_add(struct version_map *map, struct versioned *object)
{
    assert(map->open && version_map_newest(map, object->id) == NULL);
    if (!reserve(&map->changes, map->n_changes, &map->changes_capacity, sizeof *map->changes)
        || !reserve(&map->order, map->n, &map->order_capacity, sizeof *map->order)) {
        return ENOMEM;
    }
    if (map->n_links >= atomic_load_explicit(&map->index, memory_order_relaxed)->n_buckets) {
        grow(map);
    }
    object->map = map;
    object->add_version = map->version;
    atomic_init(&object->remove_version, NEVER);
    if (index_add(atomic_load_explicit(&map->index, memory_order_relaxed), object) != 0) {
        return ENOMEM;
    }
    map->n_links++;
    enter_order(map, object);
    map->changes[map->n_changes++] = (struct change){ object, true };
    return 0;
}

int
version_map_remove(struct version_map *map, uint32_t id)
{
    struct versioned *object = version_map_newest(map, id);

    assert(map->open && object != NULL);
    if (!reserve(&map->changes, map->n_changes, &map->changes_capacity, sizeof *map->changes)) {
        return ENOMEM;
    }
    atomic_store_explicit(&object->remove_version, map->version, memory_order_relaxed);
    leave_order(map, object);
    map->changes[map->n_changes++] = (struct change){ object, false };
    return 0;
}

static void
free_object(void *object_)
{
    struct versioned *object = object_;

    object->map->free(object->map->aux, object);
}

/* Takes the object out of its chain. */
static void
unlink_object(void *object_)
{
    struct versioned *object = object_;
    struct version_map *map = object->map;
    struct index *index = atomic_load_explicit(&map->index, memory_order_relaxed);
    _Atomic(struct link *) *at = &index->buckets[bucket_of(index, object->id)];
    struct link *link;

    while ((link = atomic_load_explicit(at, memory_order_relaxed))->object != object) {
        at = &link->next;
    }
    atomic_store_explicit(at, atomic_load_explicit(&link->next, memory_order_relaxed), memory_order_release);
    map->n_links--;
    limbo_put(&map->limbo, free, link);
    limbo_put(&map->limbo, free_object, object);
}

uint32_t
version_map_mark(const struct version_map *map)
{
    return map->n_changes;
}

/* Nothing here needs memory: what was removed was in all these places when the transaction began. */
void
version_map_undo(struct version_map *map, uint32_t mark)
{
    while (map->n_changes > mark) {
        struct change change = map->changes[--map->n_changes];
        if (change.added) {
            leave_order(map, change.object);
            atomic_store_explicit(&change.object->remove_version, 0, memory_order_relaxed);
            unlink_object(change.object);
        } else {
            atomic_store_explicit(&change.object->remove_version, NEVER, memory_order_relaxed);
            enter_order(map, change.object);
        }
    }
}

void
version_map_commit(struct version_map *map, void (*added)(void *aux, struct versioned *object),
                   void (*removed)(void *aux, struct versioned *object), void *aux)
{
    assert(map->open);
    for (uint32_t i = 0; i < map->n_changes; i++) {
        struct change change = map->changes[i];
        bool is_there = atomic_load_explicit(&change.object->remove_version, memory_order_relaxed) == NEVER;
        if (change.added && is_there && added != NULL) {
            added(aux, change.object);
        }
        if (!change.added) {
            if (removed != NULL) {
                removed(aux, change.object);
            }
            limbo_put(&map->unlinking, unlink_object, change.object);
        }
    }
    map->n_changes = 0;
    map->open = false;
    version_map_collect(map);
}

void
version_map_rollback(struct version_map *map)
{
    assert(map->open);
    version_map_undo(map, 0);
    map->open = false;
    map->version--;
    version_map_collect(map);
}

void
version_map_collect(struct version_map *map)
{
    limbo_reclaim(&map->unlinking);
    limbo_reclaim(&map->limbo);
}
