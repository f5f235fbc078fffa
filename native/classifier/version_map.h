/* A map from numbers to objects that come and go with versions: the groups or the meters of a bridge.
 *
 * An object is in the map from version 'add_version' on, until 'remove_version'; what it says never changes, so that
 * changing it means to remove it and to add another.  A reader finds the object that its version of the configuration
 * has, whatever is being changed meanwhile.
 *
 * Transactions.  As those of a flow store: version_map_begin() names the version in which changes appear; the owner
 * makes it current and calls version_map_commit(), or calls version_map_rollback() and nothing happened.
 *
 * Threads.  version_map_find(): any reader of the epoch.  All else: one thread at a time (the control lock). */
#ifndef CLASSIFIER_VERSION_MAP_H
#define CLASSIFIER_VERSION_MAP_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct epoch;
struct version_map;

/* What every object begins with.  The owner sets 'id', the map the rest. */
struct versioned {
    struct version_map *map;
    uint64_t add_version;
    _Atomic uint64_t remove_version;
    uint32_t id;
};

/* Makes an empty map.  'epoch' is not owned.  'free' gets each object that no reader can see any more, and those whose
 * addition was undone; 'aux' is passed to it.  Null when out of memory. */
struct version_map *version_map_create(struct epoch *epoch, void (*free)(void *aux, struct versioned *object),
                                       void *aux);

/* Frees the map and its objects.  No reader may be using it.  Null is fine. */
void version_map_destroy(struct version_map *map);

/* The object 'id' at 'version', or null.  Any reader; it stays until the reader passes a quiescent point. */
struct versioned *version_map_find(const struct version_map *map, uint32_t id, uint64_t version);

/* Opens a transaction whose changes appear in 'version', which must be greater than any current one. */
void version_map_begin(struct version_map *map, uint64_t version);

/* Adds an object, which is the map's from now on; its number must be free.  0, or ENOMEM and the object is the
 * caller's still. */
int version_map_add(struct version_map *map, struct versioned *object);

/* Removes the newest object 'id', which must be there.  0 or ENOMEM. */
int version_map_remove(struct version_map *map, uint32_t id);

/* Where the transaction is, and going back there. */
uint32_t version_map_mark(const struct version_map *map);
void version_map_undo(struct version_map *map, uint32_t mark);

/* Ends the transaction after its version has become current; or undoes it.  'added', if not null, is called for each
 * object that the transaction added and that is there now, 'removed' for each that it removed. */
void version_map_commit(struct version_map *map, void (*added)(void *aux, struct versioned *object),
                        void (*removed)(void *aux, struct versioned *object), void *aux);
void version_map_rollback(struct version_map *map);

/* Unlinks and frees what no reader can see any more.  Quick; call it now and then. */
void version_map_collect(struct version_map *map);

/* The newest objects, the open transaction included, in ascending order of their numbers: how many, the one at a
 * position, and the position of the first whose number is at least 'id'. */
uint32_t version_map_count(const struct version_map *map);
struct versioned *version_map_at(const struct version_map *map, uint32_t position);
uint32_t version_map_position(const struct version_map *map, uint32_t id);

/* The newest object 'id', the open transaction included, or null. */
struct versioned *version_map_newest(const struct version_map *map, uint32_t id);

#endif
