/* Keep-alives with an owner, receiving threads and the sending thread at once; also run under ThreadSanitizer. */
#undef NDEBUG
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "keepalive/keepalive.h"

#define N_SESSIONS 64u
#define N_ROUNDS 20000u

static struct keepalive_table *table;
static atomic_uint n_sent, n_taken, now_ms;
static atomic_bool is_over;
static const uint8_t frame[60] = { 1 };
static const uint64_t actions[2];

static struct keepalive_key
key_of(uint32_t i)
{
    return (struct keepalive_key){ 1, i, 3 };
}

static void
on_send(void *aux, const struct keepalive_key *key, const struct keepalive_part *sent,
        const struct keepalive_part *list)
{
    (void) aux;
    assert(key->ofp_port < N_SESSIONS && sent->size == sizeof frame && list->size == sizeof actions);
    assert(memcmp(sent->bytes, frame, sizeof frame) == 0);
    atomic_fetch_add(&n_sent, 1);
}

static void
on_silence(void *aux, const struct keepalive_key *key)
{
    (void) aux;
    assert(key->ofp_port < N_SESSIONS);
}

static void *
send_all(void *aux)
{
    (void) aux;
    while (!atomic_load(&is_over)) {
        keepalive_run(table, atomic_fetch_add(&now_ms, 1));
    }
    return NULL;
}

static void *
hear_all(void *aux)
{
    (void) aux;
    /* On and on until one is taken: this thread may have begun before the owner. */
    for (uint32_t i = 0; i < N_ROUNDS || atomic_load(&n_taken) == 0; i++) {
        struct keepalive_key key = key_of(i % N_SESSIONS);
        atomic_fetch_add(&n_taken, keepalive_hear(table, &key, frame, sizeof frame, atomic_load(&now_ms)));
    }
    return NULL;
}

static void *
own_all(void *aux)
{
    struct keepalive_settings settings = {
        .interval_min_ms = 1,
        .interval_max_ms = 3,
        .detect_ms = 5,
        .actions = { actions, sizeof actions },
        .frame = { frame, sizeof frame },
        .expected = { frame, sizeof frame },
    };
    struct keepalive_report report;

    (void) aux;
    for (uint32_t i = 0; i < N_ROUNDS; i++) {
        struct keepalive_key key = key_of(i * 7 % N_SESSIONS);
        if (i % 5 == 4) {
            keepalive_remove(table, &key);
        } else {
            assert(keepalive_set(table, &key, &settings, atomic_load(&now_ms)) == 0);
        }
        key = key_of(i * 3 % N_SESSIONS);
        if (keepalive_report(table, &key, &report)) {
            assert(report.next_tx_ms >= report.last_tx_ms);
        }
    }
    return NULL;
}

int
main(void)
{
    const struct keepalive_hooks hooks = { NULL, on_send, on_silence };
    pthread_t sender, owner, hearers[2];

    table = keepalive_create(&hooks, 1);
    assert(table != NULL);
    pthread_create(&sender, NULL, send_all, NULL);
    pthread_create(&owner, NULL, own_all, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        pthread_create(&hearers[i], NULL, hear_all, NULL);
    }
    pthread_join(owner, NULL);
    for (uint32_t i = 0; i < 2; i++) {
        pthread_join(hearers[i], NULL);
    }
    while (atomic_load(&n_sent) == 0) {
        sched_yield();
    }
    atomic_store(&is_over, true);
    pthread_join(sender, NULL);
    assert(atomic_load(&n_sent) != 0 && atomic_load(&n_taken) != 0);
    keepalive_destroy(table);
    puts("ok - sessions are made, changed, heard and sent by several threads at once");
    return 0;
}
