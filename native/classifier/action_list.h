/* Lists of OpenFlow actions, stored once however many rules have them.
 *
 * A list is immutable.  Its bytes are actions in the ABI's form that have been checked.  Any thread may take and give up
 * references; the table of lists is guarded by a mutex that is held for one search. */
#ifndef CLASSIFIER_ACTION_LIST_H
#define CLASSIFIER_ACTION_LIST_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct action_lists;

struct action_list {
    struct action_lists *owner;
    struct action_list *next; /* In the same bucket. */
    _Atomic uint32_t refs;
    uint32_t hash;
    uint32_t size; /* Of 'bytes'. */
    uint16_t n_conjunctions;
    uint16_t n_cookie_owners; /* Learn actions with delete_learned. */
    uint32_t n_references;    /* Groups and meters that the actions name, nested ones included. */
    uint32_t pad;
    uint8_t bytes[] __attribute__((aligned(8)));
};

/* What actions refer to by number. */
enum action_reference {
    ACTION_REFERENCE_GROUP = 1,
    ACTION_REFERENCE_METER, /* Of meter actions; a controller action's may be missing. */
};

/* Makes an empty set of lists.  Null when out of memory. */
struct action_lists *action_lists_create(void);

/* Gives up the caller's hold.  The set goes away when its last list does.  Null is fine. */
void action_lists_destroy(struct action_lists *lists);

/* A reference to the list with these bytes, or null when out of memory.  'bytes' is copied. */
struct action_list *action_lists_get(struct action_lists *lists, const void *bytes, size_t size);

/* Number of different lists, and the memory they take in bytes. */
void action_lists_measure(struct action_lists *lists, uint64_t *n_lists, uint64_t *n_bytes);

void action_list_ref(struct action_list *list);

/* Null is fine. */
void action_list_unref(struct action_list *list);

/* The learn action with delete_learned after 'learn', or the first if it is null; null if there is none.  Those nested in
 * clone count too. */
const struct sluice_action_learn *action_list_next_owner(const struct action_list *list,
                                                         const struct sluice_action_learn *learn);

/* Whether one of the actions, nested ones included, outputs to 'ofp_port' (output, enqueue, controller). */
bool action_list_outputs_to(const struct action_list *list, uint32_t ofp_port);

/* Calls 'visit' for each group and meter that the actions name, nested ones included, as often as they do. */
void action_list_visit_references(const struct action_list *list, void (*visit)(uint32_t kind, uint32_t id, void *aux),
                                  void *aux);

/* As that, for actions that are in no list but were checked. */
void actions_visit_references(const void *actions, uint32_t size, void (*visit)(uint32_t kind, uint32_t id, void *aux),
                              void *aux);

/* Whether the actions name that group or meter. */
bool action_list_refers_to(const struct action_list *list, enum action_reference kind, uint32_t id);

#endif
