/* A flow cache: what one worker remembers of translations.
 *
 * Megaflows lie in subtables, one for each mask, hash tables of masked values.  In front of them is a signature cache:
 * a table of 8-byte entries, found by a hash of the packet's addresses, that says which megaflow the last packet with
 * that hash was under.  What it says is verified against the megaflow's match, so it can never be wrong, only useless.
 * It is used when searching subtables would cost more, and grows with the number of flows.
 *
 * Masks are searched in order of hits.  There are at most 'masks_max', and a few more that take in addresses, protocol
 * and ports whole, to which megaflows of further masks are narrowed: with access lists of many masks a megaflow serves a
 * connection, and a flood of masks costs translations and not ever slower searches.  There are at most 'flows_max'
 * megaflows: a new one then replaces one that had no packet lately, or is not cached.
 *
 * A datapath port whose packets fill the cache does not shut out others: one that has less than its part of 'flows_max' may
 * take the place of megaflows of ports that have more, and one that has less than its part of the masks finds room for
 * a few more.
 *
 * Staleness.  A megaflow carries the owner's change number of when it was last found to be current.  If that differs
 * from the present one, the owner's is_stale() decides.  A stale megaflow is not found any more; inserting the same
 * match replaces it.  Sweeps have the owner translate it again: it gets the new actions if the new translation read
 * nothing that its mask does not have, and is removed otherwise.
 *
 * Statistics are kept by the worker in the megaflow and pushed, as what came new since the last push, to the owner's
 * credit() by sweeps, by flow_cache_push(), and when the megaflow is freed, so that none is lost.
 *
 * Threads.  Lookup, insert and megaflow_hit belong to the cache's worker, a registered reader of the epoch, between two
 * quiescent points.  All other functions may be called by any thread; they hold the cache's mutex in short stretches.
 * The worker never waits for that mutex: an insert that finds it taken is not cached this time (EAGAIN). */
#ifndef CLASSIFIER_FLOW_CACHE_H
#define CLASSIFIER_FLOW_CACHE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "classifier/epoch.h"
#include "sluice/flow_key.h"

/* Most keys in one lookup. */
#define FLOW_CACHE_BURST 32

/* Words of a match that lie in the megaflow itself. */
#define MEGAFLOW_VALUES 16

struct flow_cache;
struct megaflow_mask;

/* The part of a megaflow that only matters once it is found; does not change but for what the mutex guards. */
struct megaflow_body {
    struct flow_cache *cache;
    uint32_t size;         /* Of all of this, in bytes. */
    uint32_t actions_size; /* In bytes, a multiple of 8. */
    uint32_t data_size;
    uint64_t key_map[SLUICE_KEY_MAP_WORDS]; /* Words of the translated packet's key that are not zero. */
    uint64_t n_packets_pushed;              /* Under the cache's mutex. */
    uint64_t n_bytes_pushed;
    uint64_t created_ms;
    uint64_t id;      /* Of the match: what a megaflow becomes when it is translated again has the same. */
    uint64_t serial;  /* Never used twice in a cache. */
    uint64_t *values; /* Values of a match of more than MEGAFLOW_VALUES words, else null. */
    uint64_t bytes[]; /* The actions, the owner's data, the words of 'key_map', then what 'values' points to. */
};

/* A megaflow.  Its memory stays a megaflow's as long as the cache lives. */
struct megaflow {
    _Alignas(64) _Atomic(struct megaflow_mask *) mask;
    struct megaflow_body *body;
    _Atomic uint64_t change;    /* The owner's change number at which it was last known to be current. */
    _Atomic uint64_t n_packets; /* Written by the worker only. */
    _Atomic uint64_t n_bytes;
    _Atomic uint64_t used_ms;
    uint32_t hash;
    _Atomic uint16_t state;
    _Atomic uint16_t tcp_flags; /* All that were seen, as bits of the number. */
    uint32_t index;
    union {
        uint32_t dp_port;   /* By which its packets come. */
        uint32_t next_free; /* While it is free. */
    };
    uint64_t values[MEGAFLOW_VALUES];
};

/* One word of a megaflow's mask. */
struct megaflow_word {
    uint64_t mask;
    uint64_t factor; /* For the hash. */
    uint64_t key_word;
};

/* A megaflow's match: values for the words of its mask, in the order of the key. */
struct megaflow_words {
    uint32_t n;
    const struct megaflow_word *masks;
    const uint64_t *values;
};

/* The match.  As a reader of the epoch. */
struct megaflow_words megaflow_words(const struct megaflow *megaflow);

/* What to do.  'actions' are 8-byte aligned and valid until the worker's next quiescent point. */
static inline const void *
megaflow_actions(const struct megaflow *megaflow)
{
    return megaflow->body->bytes;
}

static inline uint32_t
megaflow_actions_size(const struct megaflow *megaflow)
{
    return megaflow->body->actions_size;
}

/* The owner's data that was given at insertion. */
static inline void *
megaflow_data(const struct megaflow *megaflow)
{
    return megaflow->body->bytes + megaflow->body->actions_size / 8;
}

/* Counts packets that took the megaflow.  Its worker only. */
static inline void
megaflow_hit(struct megaflow *megaflow, uint64_t n_packets, uint64_t n_bytes, uint16_t tcp_flags, uint64_t now_ms)
{
    uint64_t packets = atomic_load_explicit(&megaflow->n_packets, memory_order_relaxed);
    uint64_t bytes = atomic_load_explicit(&megaflow->n_bytes, memory_order_relaxed);
    uint16_t flags = atomic_load_explicit(&megaflow->tcp_flags, memory_order_relaxed);

    atomic_store_explicit(&megaflow->n_packets, packets + n_packets, memory_order_relaxed);
    atomic_store_explicit(&megaflow->n_bytes, bytes + n_bytes, memory_order_relaxed);
    atomic_store_explicit(&megaflow->used_ms, now_ms, memory_order_relaxed);
    if ((flags | tcp_flags) != flags) {
        atomic_store_explicit(&megaflow->tcp_flags, (uint16_t) (flags | tcp_flags), memory_order_relaxed);
    }
}

/* What the cache asks of its owner.  Called by the thread that called the cache, some with its mutex held: they must not
 * call the cache back.  'data' is the megaflow's.  Any may be null. */
struct flow_cache_insertion;
struct flow_cache_hooks {
    void *aux;
    /* Whether the megaflow may be wrong by now.  '*change' is when it was last known to be current; when the answer
     * is false the hook brings it up to date.  Two threads may ask at once. */
    bool (*is_stale)(void *aux, const struct megaflow *megaflow, uint64_t *change);
    /* Counts packets for what the megaflow was made from.  One thread at a time for a cache. */
    void (*credit)(void *aux, void *data, uint64_t n_packets, uint64_t n_bytes, uint64_t used_ms, uint16_t tcp_flags);
    /* The megaflow is freed: give up what 'data' refers to. */
    void (*release)(void *aux, void *data);
    /* A sweep translates the stale megaflow of 'key' again; 'may_learn' if packets took it since the last sweep.  Fills
     * in 'insertion', whose pointers stay good until the next call, but for 'key' and 'now_ms'.  False: remove it. */
    bool (*revalidate)(void *aux, const struct flow_key *key, bool may_learn, struct flow_cache_insertion *insertion);
    /* A megaflow came, changed or goes; 'change' is a SLUICE_MEGAFLOW_CHANGE_*.  Only while flow_cache_tell() says so. */
    void (*tell)(void *aux, const struct megaflow *megaflow, uint32_t change);
};

struct flow_cache_options {
    struct epoch *epoch; /* Not owned; must outlive the cache. */
    struct flow_cache_hooks hooks;
    uint32_t flows_max;      /* Megaflows at most; 0: 200000. */
    uint32_t masks_max;      /* 0: 128. */
    uint32_t signatures_max; /* Entries of the signature cache at most, of 8 bytes; 0: 2 Mi. */
    uint64_t hash_seed;      /* Secret, so that nobody can make packets collide. */
};

/* Null when out of memory. */
struct flow_cache *flow_cache_create(const struct flow_cache_options *options);

/* Pushes all statistics, releases and frees everything.  The worker is gone.  Null is fine. */
void flow_cache_destroy(struct flow_cache *cache);

/* Finds the megaflows of 'n' <= FLOW_CACHE_BURST keys.  'change' is the owner's present change number.
 * megaflows[i] gets the one for keys[i] or null.  Returns a bit for each that was found.  The worker. */
uint32_t flow_cache_lookup(struct flow_cache *cache, const struct flow_key *const keys[], uint32_t n, uint64_t change,
                           struct megaflow *megaflows[]);

/* Whether the megaflow reads nothing of packets but their Ethernet type, tags and labels and whether they are fragments:
 * what packet_burst_is_alike() tells.  The worker. */
bool megaflow_is_wide(const struct megaflow *megaflow);

/* A number that no other megaflow of the cache has or had, nor this one before it was translated again. */
static inline uint64_t
megaflow_serial(const struct megaflow *megaflow)
{
    return megaflow->body->serial;
}

/* Whether a megaflow that was once found is still there, as 'serial' says, and current; then 'n' packets have found it again.
 * The worker. */
bool flow_cache_find_again(struct flow_cache *cache, struct megaflow *megaflow, uint64_t serial, uint32_t n,
                           uint64_t change);

/* Masks searched so far.  The worker. */
uint64_t flow_cache_n_probes(const struct flow_cache *cache);

/* Whether an insertion for the packet of 'key' is worth a try: false for the rest of a millisecond in which the cache was
 * found full of megaflows that are in use, if its port has its part of them.  The packet then counts as not cached.  The worker. */
bool flow_cache_may_insert(struct flow_cache *cache, const struct flow_key *key, uint64_t now_ms);

struct flow_cache_insertion {
    const struct flow_key *key;  /* The packet that was translated. */
    const struct flow_key *mask; /* What was read of it.  Words from SLUICE_KEY_PIPELINE_WORD on are ignored. */
    const void *actions;         /* Copied. */
    uint32_t actions_size;       /* A multiple of 8. */
    uint32_t data_size;          /* A multiple of 8. */
    const void *data;            /* Copied; on success the cache takes over the references in it. */
    uint64_t change;             /* The owner's change number that the translation is good for. */
    uint64_t now_ms;
};

/* Inserts a megaflow, replacing one of the same match.  '*megaflowp' gets it, so that the packet can be counted;
 * '*replaced' whether there was one.
 * ENOSPC: too many masks, or megaflows that are all in use.  EAGAIN: the mutex is taken.  ENOMEM.  The worker. */
int flow_cache_insert(struct flow_cache *cache, const struct flow_cache_insertion *insertion,
                      struct megaflow **megaflowp, bool *replaced);

struct flow_cache_sweep {
    uint64_t now_ms;
    uint64_t change;              /* As for lookup. */
    uint64_t idle_ms;             /* Megaflows without packets for so long are removed; 10000 is OVS's. */
    uint64_t idle_over_ms;        /* The same while there are more than 'flows_wanted'; 100 is OVS's. */
    uint32_t flows_wanted;        /* OVS's flow limit, which follows the load; above twice as many all are removed. */
    uint32_t n_revalidations_max; /* Stale megaflows beyond so many are removed untranslated. */
};

/* Pushes the statistics of all megaflows, removes the idle, translates the stale again, ranks the masks, frees what is
 * due.  Returns the number of megaflows left.  Call it every half second or so. */
uint32_t flow_cache_sweep(struct flow_cache *cache, const struct flow_cache_sweep *sweep);

/* Pushes the statistics of all megaflows. */
void flow_cache_push(struct flow_cache *cache);

/* Removes all megaflows, or those whose data 'chosen' is true for if it is not null. */
void flow_cache_flush(struct flow_cache *cache, bool (*chosen)(void *aux, void *data), void *aux);

/* Frees what no reader can see any more.  Quick; returns how many megaflows wait. */
uint32_t flow_cache_collect(struct flow_cache *cache);

/* Whether the owner's tell() is called from now on. */
void flow_cache_tell(struct flow_cache *cache, bool on);

/* The key of the packet that the megaflow was made for.  As a reader of the epoch. */
void megaflow_get_key(const struct megaflow *megaflow, struct flow_key *key);

/* Writes a megaflow_info record.  Returns its size, or 0 when it does not fit.  As a reader of the epoch. */
size_t megaflow_put_record(const struct megaflow *megaflow, uint32_t worker, uint8_t *record, size_t room);

/* At most so many megaflows from now on. */
void flow_cache_set_limit(struct flow_cache *cache, uint32_t flows_max);

/* Writes megaflow_info records from position '*cursor' (0: the beginning), as many as fit, and advances '*cursor'; 0:
 * that was all.  '*used' gets the bytes written, '*n_records' their number.  'worker' is put into the records.  A
 * megaflow that is there all along is reported exactly once; one that is replaced meanwhile may be told twice.  0, or
 * ENOSPC when not even one fits. */
int flow_cache_dump(struct flow_cache *cache, uint32_t worker, uint64_t *cursor, uint8_t *records, size_t room,
                    size_t *used, uint32_t *n_records);

/* What a datapath port has of the cache. */
struct flow_cache_port_stats {
    uint32_t n_flows;
    uint32_t n_masks; /* That were made for its packets. */
    bool fills;       /* The megaflows or the masks are as many as there may be, and most are this port's. */
};
void flow_cache_get_port_stats(struct flow_cache *cache, uint32_t port, struct flow_cache_port_stats *stats);

/* Calls 'visit' with the data of each megaflow of a port, with the mutex held, until it returns false. */
void flow_cache_visit_port(struct flow_cache *cache, uint32_t port, bool (*visit)(void *aux, void *data), void *aux);

struct flow_cache_stats {
    uint64_t n_hits; /* Packets found, by signature or by mask. */
    uint64_t n_misses;
    uint64_t n_signature_hits;
    uint64_t n_again_hits;  /* Those found again without a key. */
    uint64_t n_mask_probes; /* Subtables searched. */
    uint64_t n_not_cached;  /* Insertions refused, for whatever reason. */
    uint64_t n_replaced;    /* Megaflows that had to go for a new one. */
    uint32_t n_flows;
    uint32_t n_masks;
    uint64_t n_signatures; /* Size of the signature cache in entries; 0 while not in use. */
    uint64_t n_bytes;      /* Memory, about. */
};

/* Adds this cache's figures to '*stats'. */
void flow_cache_add_stats(struct flow_cache *cache, struct flow_cache_stats *stats);

#endif
