/* Frozen translations.  Some actions need the packet to be looked up again before what follows them can be translated:
 * its hash, its connection or the headers under an MPLS label are only known once the actions so far were executed.
 * Translation then freezes what it would go on with under a recirculation id, ends in a `recirc` with that id, and the
 * translation of the packet that comes back with the id in its key thaws it (freeze.h).
 *
 * A state is found or made by its content, so that equal ones share an id, and counted: by the credits of translations,
 * and with them by megaflows, and by whoever else must keep the id alive.  Ids are given in sequence from 1 on, and one
 * that is still known is not given again.  A state that nobody needs stays known for FROZEN_LINGER_MS, up to a number of
 * them: by its id, for packets that are on their way and for who traced it, and after a packet of a flow that is not
 * cached by its content too, so that the id does not change from packet to packet.
 *
 * Threads.  frozen_find() takes no lock and is for registered, online readers of the epoch; all else may be called by
 * any thread and holds one of several mutexes for the length of a bucket's chain. */
#ifndef SLUICE_PIPELINE_FROZEN_H
#define SLUICE_PIPELINE_FROZEN_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/records.h"

/* How long a state is kept without references, at least; at most about twice as long. */
#define FROZEN_LINGER_MS 500u

struct epoch;
struct frozen_table;

struct frozen_state {
    _Atomic uint32_t refs;
    uint32_t id;
    uint64_t hash;
    struct frozen_table *table;
    _Atomic(struct frozen_state *) next_id;
    struct frozen_state *next_content; /* Under the stripe's mutex. */
    struct frozen_state *next_idle;    /* Likewise. */
    bool is_idle;                      /* In the stripe's list of idle states; may have references again. */
    bool has_content;                  /* Likewise: findable by its content. */
    uint32_t idle_since;               /* The table's age when the last reference went. */
    size_t size;                       /* Of 'content' with its parts behind it. */
    _Alignas(8) struct sluice_continuation content;
};

/* Parts of the content; valid as long as that. */
const void *frozen_match(const struct sluice_continuation *content);
const void *frozen_stack(const struct sluice_continuation *content);
const void *frozen_action_set(const struct sluice_continuation *content);
const void *frozen_actions(const struct sluice_continuation *content);

/* Null when out of memory.  'epoch' is not owned and must outlive the table. */
struct frozen_table *frozen_table_create(struct epoch *epoch);

/* Frees the table.  All references have been given up and no reader is left.  Null is fine. */
void frozen_table_destroy(struct frozen_table *table);

/* The state with 'size' bytes of 'content', made if there is none.  The caller gets a reference.  Null when out of
 * memory or ids. */
struct frozen_state *frozen_acquire(struct frozen_table *table, const struct sluice_continuation *content, size_t size);

void frozen_ref(const struct frozen_state *state);

/* Gives up a reference.  A state without any is forgotten some time later, see above.  'lingers': until then equal
 * content finds it; otherwise that gets another id from now on. */
void frozen_unref(const struct frozen_state *state, bool lingers);

/* The state with 'id', or null.  Good until the reader's next quiescent point. */
const struct frozen_state *frozen_find(const struct frozen_table *table, uint32_t id);

/* States that have references. */
uint32_t frozen_count(const struct frozen_table *table);

/* Forgets states that were without references for long enough, and frees what is due.  One thread at a time. */
void frozen_maintain(struct frozen_table *table, uint64_t now_ms);

#endif
