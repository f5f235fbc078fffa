#include "keepalive/keepalive.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 1024u
#define SEQ_SIZE 4u

struct session {
    struct keepalive_key key;
    struct session *next; /* Of its bucket. */
    uint32_t index;       /* In 'sessions'. */
    uint32_t interval_min_ms;
    uint32_t interval_max_ms;
    uint32_t detect_ms;
    uint32_t seq_at;
    uint32_t expected_seq_at;
    uint32_t frame_size;
    uint32_t actions_size;
    uint32_t expected_size; /* 0: nothing is expected, or something else came. */
    bool is_told;           /* Of the silence that is now. */
    uint64_t heard_ms;      /* When silence began. */
    struct keepalive_report report;
    uint8_t frame[KEEPALIVE_FRAME_MAX];
    uint8_t expected[KEEPALIVE_FRAME_MAX];
    uint64_t actions[KEEPALIVE_ACTIONS_MAX / 8];
};

struct keepalive_table {
    pthread_mutex_t lock;
    struct keepalive_hooks hooks;
    uint32_t random;
    uint32_t n_sessions;
    uint32_t room; /* Elements of 'sessions'. */
    struct session **sessions;
    struct session *buckets[BUCKETS];
};

struct keepalive_table *
keepalive_create(const struct keepalive_hooks *hooks, uint32_t seed)
{
    struct keepalive_table *table = calloc(1, sizeof *table);

    if (table != NULL) {
        pthread_mutex_init(&table->lock, NULL);
        table->hooks = *hooks;
        table->random = seed != 0 ? seed : 1;
    }
    return table;
}

void
keepalive_destroy(struct keepalive_table *table)
{
    if (table == NULL) {
        return;
    }
    for (uint32_t i = 0; i < table->n_sessions; i++) {
        free(table->sessions[i]);
    }
    free(table->sessions);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static struct session **
bucket_of(struct keepalive_table *table, const struct keepalive_key *key)
{
    uint32_t hash = (key->bridge * 31u + key->ofp_port) * 0x9e3779b1u + key->protocol;

    return &table->buckets[(hash >> 12 ^ hash) % BUCKETS];
}

static struct session *
find(struct keepalive_table *table, const struct keepalive_key *key)
{
    struct session *session = *bucket_of(table, key);

    while (session != NULL && memcmp(&session->key, key, sizeof *key) != 0) {
        session = session->next;
    }
    return session;
}

/* A new session, or null. */
static struct session *
add(struct keepalive_table *table, const struct keepalive_key *key)
{
    if (table->n_sessions == table->room) {
        uint32_t room = table->room != 0 ? 2 * table->room : 16;
        struct session **sessions = realloc(table->sessions, room * sizeof(struct session *));
        if (sessions == NULL) {
            return NULL;
        }
        table->sessions = sessions;
        table->room = room;
    }
    struct session *session = calloc(1, sizeof *session);
    if (session != NULL) {
        struct session **bucket = bucket_of(table, key);
        session->key = *key;
        session->index = table->n_sessions;
        session->next = *bucket;
        *bucket = session;
        table->sessions[table->n_sessions++] = session;
    }
    return session;
}

static bool
is_seq_inside(uint32_t seq_at, uint32_t size)
{
    return seq_at == 0 || (seq_at < size && size - seq_at >= SEQ_SIZE);
}

static bool
is_valid(const struct keepalive_settings *s)
{
    return s->interval_min_ms <= s->interval_max_ms && s->frame.size <= KEEPALIVE_FRAME_MAX
           && s->expected.size <= KEEPALIVE_FRAME_MAX && s->actions.size <= KEEPALIVE_ACTIONS_MAX
           && is_seq_inside(s->seq_at, s->frame.size) && is_seq_inside(s->expected_seq_at, s->expected.size)
           && (s->interval_max_ms == 0 || s->frame.size != 0);
}

static uint32_t
load_seq(const uint8_t *bytes)
{
    return (uint32_t) bytes[0] << 24 | (uint32_t) bytes[1] << 16 | (uint32_t) bytes[2] << 8 | bytes[3];
}

static void
store_seq(uint8_t *bytes, uint32_t seq)
{
    for (uint32_t i = 0; i < SEQ_SIZE; i++) {
        bytes[i] = (uint8_t) (seq >> (24 - 8 * i));
    }
}

static void
copy(void *to, const struct keepalive_part *part)
{
    if (part->size != 0) {
        memcpy(to, part->bytes, part->size);
    }
}

/* Whether 'settings' expect what is expected already, so that what was heard of it holds. */
static bool
expects_the_same(const struct session *session, const struct keepalive_settings *settings)
{
    const uint8_t *bytes = settings->expected.bytes;
    uint32_t size = settings->expected.size;
    uint32_t at = settings->expected_seq_at;

    if (size == 0 || size != session->expected_size || at != session->expected_seq_at) {
        return false;
    }
    if (at == 0) {
        return memcmp(bytes, session->expected, size) == 0;
    }
    return memcmp(bytes, session->expected, at) == 0
           && memcmp(bytes + at + SEQ_SIZE, session->expected + at + SEQ_SIZE, size - at - SEQ_SIZE) == 0;
}

static void
expect(struct session *session, const struct keepalive_settings *settings, uint64_t now_ms)
{
    session->detect_ms = settings->detect_ms;
    if (expects_the_same(session, settings)) {
        return;
    }
    session->expected_seq_at = settings->expected_seq_at;
    session->expected_size = settings->expected.size;
    session->heard_ms = now_ms > settings->silent_ms ? now_ms - settings->silent_ms : 0;
    session->is_told = false;
    copy(session->expected, &settings->expected);
    session->report.rx_seq = session->expected_seq_at != 0 ? load_seq(session->expected + session->expected_seq_at) : 0;
}

static void
change(struct session *session, const struct keepalive_settings *settings, uint64_t now_ms)
{
    bool is_numbered = session->seq_at != 0 && settings->seq_at != 0;

    session->interval_min_ms = settings->interval_min_ms;
    session->interval_max_ms = settings->interval_max_ms;
    session->seq_at = settings->seq_at;
    session->frame_size = settings->frame.size;
    session->actions_size = settings->actions.size;
    /* The caller's time may be from before the frame that was sent last. */
    uint64_t next_ms = now_ms + settings->first_ms;
    session->report.next_tx_ms = next_ms > session->report.last_tx_ms ? next_ms : session->report.last_tx_ms;
    copy(session->frame, &settings->frame);
    copy(session->actions, &settings->actions);
    if (!is_numbered && session->seq_at != 0) {
        session->report.tx_seq = load_seq(session->frame + session->seq_at);
    }
    expect(session, settings, now_ms);
}

int
keepalive_set(struct keepalive_table *table, const struct keepalive_key *key, const struct keepalive_settings *settings,
              uint64_t now_ms)
{
    int error = 0;

    if (!is_valid(settings)) {
        return EINVAL;
    }
    pthread_mutex_lock(&table->lock);
    struct session *session = find(table, key);
    if (session == NULL && table->n_sessions == KEEPALIVE_SESSIONS_MAX) {
        error = ENOSPC;
    } else if (session == NULL && (session = add(table, key)) == NULL) {
        error = ENOMEM;
    } else {
        change(session, settings, now_ms);
    }
    pthread_mutex_unlock(&table->lock);
    return error;
}

bool
keepalive_remove(struct keepalive_table *table, const struct keepalive_key *key)
{
    pthread_mutex_lock(&table->lock);
    struct session *session = find(table, key);
    if (session != NULL) {
        struct session **link = bucket_of(table, key);
        while (*link != session) {
            link = &(*link)->next;
        }
        *link = session->next;
        struct session *last = table->sessions[--table->n_sessions];
        table->sessions[session->index] = last;
        last->index = session->index;
        free(session);
    }
    pthread_mutex_unlock(&table->lock);
    return session != NULL;
}

bool
keepalive_report(struct keepalive_table *table, const struct keepalive_key *key, struct keepalive_report *report)
{
    pthread_mutex_lock(&table->lock);
    struct session *session = find(table, key);
    if (session != NULL) {
        *report = session->report;
    }
    pthread_mutex_unlock(&table->lock);
    return session != NULL;
}

/* Whether 'frame' is the expected one, but for the number, which is the next. */
static bool
is_expected(const struct session *session, const uint8_t *frame, size_t size)
{
    uint32_t at = session->expected_seq_at;

    if (session->expected_size == 0 || size != session->expected_size) {
        return false;
    }
    if (at == 0) {
        return memcmp(frame, session->expected, size) == 0;
    }
    return memcmp(frame, session->expected, at) == 0 && load_seq(frame + at) == session->report.rx_seq + 1
           && memcmp(frame + at + SEQ_SIZE, session->expected + at + SEQ_SIZE, size - at - SEQ_SIZE) == 0;
}

bool
keepalive_hear(struct keepalive_table *table, const struct keepalive_key *key, const void *frame, size_t size,
               uint64_t now_ms)
{
    bool is_taken = false;

    pthread_mutex_lock(&table->lock);
    struct session *session = find(table, key);
    if (session != NULL) {
        is_taken = is_expected(session, frame, size);
        if (is_taken) {
            session->report.n_rx++;
            session->report.rx_seq += session->expected_seq_at != 0;
            session->report.last_rx_ms = now_ms;
            session->heard_ms = now_ms;
            session->is_told = false;
        } else {
            /* Its owner sees this frame and those after it in the order in which they came. */
            session->expected_size = 0;
            session->detect_ms = 0;
        }
    }
    pthread_mutex_unlock(&table->lock);
    return is_taken;
}

/* What a session wants to have done, out of the lock. */
struct work {
    struct keepalive_key key;
    bool sends;
    bool is_silent;
    struct keepalive_part frame_part;
    struct keepalive_part actions_part;
    uint8_t frame[KEEPALIVE_FRAME_MAX];
    uint64_t actions[KEEPALIVE_ACTIONS_MAX / 8];
};

static uint32_t
draw(struct keepalive_table *table, uint32_t n)
{
    table->random ^= table->random << 13;
    table->random ^= table->random >> 17;
    table->random ^= table->random << 5;
    return table->random % n;
}

static void
take_frame(struct keepalive_table *table, struct session *session, struct work *work, uint64_t now_ms)
{
    struct keepalive_report *report = &session->report;

    if (session->seq_at != 0) {
        store_seq(session->frame + session->seq_at, ++report->tx_seq);
    }
    memcpy(work->frame, session->frame, session->frame_size);
    memcpy(work->actions, session->actions, session->actions_size);
    work->frame_part = (struct keepalive_part){ work->frame, session->frame_size };
    work->actions_part = (struct keepalive_part){ work->actions, session->actions_size };
    report->last_tx_ms = now_ms;
    report->n_tx++;
    report->next_tx_ms =
        now_ms + session->interval_min_ms + draw(table, session->interval_max_ms - session->interval_min_ms + 1);
}

/* Takes what is due of a session.  Returns when it is due again. */
static uint64_t
take_work(struct keepalive_table *table, struct session *session, struct work *work, uint64_t now_ms)
{
    uint64_t due = UINT64_MAX;

    work->key = session->key;
    work->sends = session->interval_max_ms != 0 && now_ms >= session->report.next_tx_ms;
    if (work->sends) {
        take_frame(table, session, work, now_ms);
    }
    if (session->interval_max_ms != 0) {
        due = session->report.next_tx_ms;
    }
    uint64_t silence_ms = session->heard_ms + session->detect_ms;
    work->is_silent = session->detect_ms != 0 && !session->is_told && now_ms >= silence_ms;
    session->is_told |= work->is_silent;
    if (session->detect_ms != 0 && !session->is_told && silence_ms < due) {
        due = silence_ms;
    }
    return due;
}

uint64_t
keepalive_run(struct keepalive_table *table, uint64_t now_ms)
{
    uint64_t due = UINT64_MAX;
    struct work work;

    pthread_mutex_lock(&table->lock);
    /* A session that goes while the lock is let go of puts another in its place, which has its turn in the next run. */
    for (uint32_t i = 0; i < table->n_sessions; i++) {
        uint64_t next = take_work(table, table->sessions[i], &work, now_ms);
        due = next < due ? next : due;
        if (work.sends || work.is_silent) {
            pthread_mutex_unlock(&table->lock);
            if (work.sends) {
                table->hooks.send(table->hooks.aux, &work.key, &work.frame_part, &work.actions_part);
            }
            if (work.is_silent) {
                table->hooks.silent(table->hooks.aux, &work.key);
            }
            pthread_mutex_lock(&table->lock);
        }
    }
    pthread_mutex_unlock(&table->lock);
    return due;
}
