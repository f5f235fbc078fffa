/* Keep-alives: frames that are sent at an interval, and frames that are awaited, whether or not anybody decides anything.
 *
 * A session belongs to a protocol on a port.  Its owner, a state machine elsewhere, says which frame to send, how often, and
 * which frame to expect.  As long as just that one arrives, the owner need not see it: the table takes it and remembers
 * when.  A frame that differs is the owner's, and so are all that follow it, in order, until the owner says anew what to
 * expect.  Frames of some protocols are numbered: the number is told apart from the rest.
 *
 * Owner of memory: the table copies everything.  Threads: any thread may call any function but create and destroy at any
 * time; one lock, which is held for a copy or a comparison of a frame and never while one is sent. */
#ifndef KEEPALIVE_KEEPALIVE_H
#define KEEPALIVE_KEEPALIVE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct keepalive_table;

/* Bytes of the longest frame, and of the longest list of actions. */
#define KEEPALIVE_FRAME_MAX 256u
#define KEEPALIVE_ACTIONS_MAX 128u

/* Sessions at most. */
#define KEEPALIVE_SESSIONS_MAX 65536u

/* What a session is told apart by: a bridge, one of its OpenFlow ports, and an enum sluice_protocol. */
struct keepalive_key {
    uint32_t bridge;
    uint32_t ofp_port;
    uint32_t protocol;
};

struct keepalive_part {
    const void *bytes;
    uint32_t size;
};

struct keepalive_settings {
    uint32_t interval_min_ms; /* Between two frames that are sent, */
    uint32_t interval_max_ms; /* a random time; 0: none is sent. */
    uint32_t first_ms;        /* Until the first of them. */
    uint32_t detect_ms;       /* Silence of so long is told once; 0: it is not. */
    uint32_t silent_ms;       /* Silence until now. */
    uint32_t seq_at; /* Where in 'frame' a number is that each frame increases, in network order; 0: nowhere. */
    uint32_t expected_seq_at;      /* The same of 'expected', whose next has the number after it. */
    struct keepalive_part actions; /* What to do with 'frame': opaque here. */
    struct keepalive_part frame;
    struct keepalive_part expected; /* Empty: every frame is the owner's. */
};

/* What became of a session.  Times are of the clock of 'now_ms' in the calls; 0: never. */
struct keepalive_report {
    uint64_t last_tx_ms;
    uint64_t next_tx_ms;
    uint64_t last_rx_ms;
    uint64_t n_tx; /* Since the session was made. */
    uint64_t n_rx; /* Frames that were taken, since the session was made. */
    uint32_t tx_seq;
    uint32_t rx_seq;
};

/* What the table asks of its surroundings, outside its lock.  'frame' and 'actions' last for the call. */
struct keepalive_hooks {
    void *aux;
    void (*send)(void *aux, const struct keepalive_key *key, const struct keepalive_part *frame,
                 const struct keepalive_part *actions);
    void (*silent)(void *aux, const struct keepalive_key *key);
};

/* Null when out of memory. */
struct keepalive_table *keepalive_create(const struct keepalive_hooks *hooks, uint32_t seed);

/* Nobody may be inside another function.  Null is fine. */
void keepalive_destroy(struct keepalive_table *table);

/* Makes the session, or changes it: numbers go on where they were, and so does what was heard of a frame that is expected
 * as before.  0, ENOMEM, ENOSPC (too many sessions), or EINVAL: a part is too long, a number
 * lies outside its frame, or the interval's ends are the wrong way round. */
int keepalive_set(struct keepalive_table *table, const struct keepalive_key *key,
                  const struct keepalive_settings *settings, uint64_t now_ms);

/* Ends the session; false if there is none. */
bool keepalive_remove(struct keepalive_table *table, const struct keepalive_key *key);

/* False if there is none. */
bool keepalive_report(struct keepalive_table *table, const struct keepalive_key *key, struct keepalive_report *report);

/* A frame of the session's protocol arrived.  True if it was just the expected one, and nobody else needs it. */
bool keepalive_hear(struct keepalive_table *table, const struct keepalive_key *key, const void *frame, size_t size,
                    uint64_t now_ms);

/* Sends what is due and tells of silence.  Returns when it has something to do next; UINT64_MAX: not before a change.  One
 * thread at a time. */
uint64_t keepalive_run(struct keepalive_table *table, uint64_t now_ms);

#endif
