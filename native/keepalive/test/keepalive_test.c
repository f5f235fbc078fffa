/* Keep-alives: what is sent when, what is taken, and who hears of silence. */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "keepalive/keepalive.h"

static const struct keepalive_key key = { 1, 2, 3 };

/* What the hooks saw. */
static struct {
    uint32_t n_sent;
    uint32_t n_silent;
    uint8_t last[KEEPALIVE_FRAME_MAX];
} seen;

static void
on_send(void *aux, const struct keepalive_key *session, const struct keepalive_part *frame,
        const struct keepalive_part *actions)
{
    (void) aux;
    assert(memcmp(session, &key, sizeof key) == 0 && actions->size == 8);
    memcpy(seen.last, frame->bytes, frame->size);
    seen.n_sent++;
}

static void
on_silence(void *aux, const struct keepalive_key *session)
{
    (void) aux;
    assert(memcmp(session, &key, sizeof key) == 0);
    seen.n_silent++;
}

static struct keepalive_table *
make(void)
{
    const struct keepalive_hooks hooks = { NULL, on_send, on_silence };

    memset(&seen, 0, sizeof seen);
    return keepalive_create(&hooks, 7);
}

static const uint8_t frame[20] = { 1, 2, 3, 4, 0, 0, 0, 9, 5 };
static const uint8_t expected[20] = { 9, 8, 7, 6, 0xff, 0xff, 0xff, 0xff, 1 };
static const uint64_t actions[1];

static struct keepalive_settings
settings(void)
{
    return (struct keepalive_settings){
        .interval_min_ms = 75,
        .interval_max_ms = 100,
        .detect_ms = 300,
        .actions = { actions, sizeof actions },
        .frame = { frame, sizeof frame },
        .expected = { expected, sizeof expected },
    };
}

static void
a_frame_is_sent_within_the_ends_of_its_interval(void)
{
    struct keepalive_table *table = make();
    struct keepalive_settings s = settings();
    struct keepalive_report report;
    uint64_t least = UINT64_MAX, most = 0, before = 0;

    s.first_ms = 10;
    assert(keepalive_set(table, &key, &s, 1000) == 0);
    for (uint64_t now = 1000; now < 100000; now++) {
        uint32_t n_sent = seen.n_sent;
        uint64_t due = keepalive_run(table, now);
        assert(due > now);
        if (seen.n_sent == n_sent) {
            continue;
        }
        assert(seen.n_sent == n_sent + 1);
        assert(before != 0 || now == 1010);
        if (before != 0) {
            least = now - before < least ? now - before : least;
            most = now - before > most ? now - before : most;
        }
        before = now;
    }
    assert(least == 75 && most == 100);
    assert(memcmp(seen.last, frame, sizeof frame) == 0);
    assert(keepalive_report(table, &key, &report));
    assert(report.n_tx == seen.n_sent && report.last_tx_ms == before && report.next_tx_ms > before);
    keepalive_destroy(table);
}

static void
a_number_in_a_frame_goes_up(void)
{
    struct keepalive_table *table = make();
    struct keepalive_settings s = settings();
    struct keepalive_report report;
    const uint8_t third[4] = { 0, 0, 0, 12 };

    s.interval_min_ms = s.interval_max_ms = 10;
    s.seq_at = 4;
    assert(keepalive_set(table, &key, &s, 0) == 0);
    for (uint64_t now = 0; now < 30; now++) {
        keepalive_run(table, now);
    }
    assert(seen.n_sent == 3 && memcmp(seen.last + 4, third, 4) == 0);
    assert(memcmp(seen.last + 8, frame + 8, sizeof frame - 8) == 0);
    assert(keepalive_report(table, &key, &report) && report.tx_seq == 12);
    keepalive_destroy(table);
}

static void
the_expected_frame_is_taken_until_another_comes(void)
{
    struct keepalive_table *table = make();
    struct keepalive_settings s = settings();
    struct keepalive_report report;
    uint8_t other[20];

    memcpy(other, expected, sizeof other);
    other[19] = 1;
    assert(!keepalive_hear(table, &key, expected, sizeof expected, 5));
    assert(keepalive_set(table, &key, &s, 10) == 0);
    assert(keepalive_hear(table, &key, expected, sizeof expected, 20));
    assert(keepalive_hear(table, &key, expected, sizeof expected, 30));
    assert(!keepalive_hear(table, &key, expected, sizeof expected - 1, 40));
    assert(!keepalive_hear(table, &key, expected, sizeof expected, 50) && "the owner has not seen the other frame yet");
    assert(keepalive_report(table, &key, &report) && report.n_rx == 2 && report.last_rx_ms == 30);
    assert(keepalive_set(table, &key, &s, 60) == 0);
    assert(!keepalive_hear(table, &key, other, sizeof other, 70));
    keepalive_destroy(table);
}

static void
the_next_number_is_expected(void)
{
    struct keepalive_table *table = make();
    struct keepalive_settings s = settings();
    uint8_t next[20];

    memcpy(next, expected, sizeof next);
    memset(next + 4, 0, 4); /* After the greatest comes 0. */
    s.expected_seq_at = 4;
    assert(keepalive_set(table, &key, &s, 0) == 0);
    assert(keepalive_hear(table, &key, next, sizeof next, 1));
    next[7] = 1;
    assert(keepalive_hear(table, &key, next, sizeof next, 2));
    next[7] = 3;
    assert(!keepalive_hear(table, &key, next, sizeof next, 3));
    keepalive_destroy(table);
}

static void
silence_is_told_once_and_again_after_a_frame(void)
{
    struct keepalive_table *table = make();
    struct keepalive_settings s = settings();

    s.interval_min_ms = s.interval_max_ms = 0;
    s.silent_ms = 100;
    assert(keepalive_set(table, &key, &s, 1000) == 0);
    assert(keepalive_run(table, 1000) == 1200);
    assert(keepalive_run(table, 1199) == 1200 && seen.n_silent == 0);
    assert(keepalive_run(table, 1200) == UINT64_MAX && seen.n_silent == 1);
    assert(keepalive_run(table, 5000) == UINT64_MAX && seen.n_silent == 1);
    assert(keepalive_hear(table, &key, expected, sizeof expected, 5000));
    assert(keepalive_run(table, 5001) == 5300 && keepalive_run(table, 5300) == UINT64_MAX && seen.n_silent == 2);
    assert(seen.n_sent == 0);
    keepalive_destroy(table);
}

static void
what_cannot_be_is_refused(void)
{
    struct keepalive_table *table = make();
    static const uint8_t large[KEEPALIVE_FRAME_MAX + 1];
    struct keepalive_settings s = settings();

    s.frame = (struct keepalive_part){ large, sizeof large };
    assert(keepalive_set(table, &key, &s, 0) == EINVAL);
    s = settings();
    s.seq_at = 17;
    assert(keepalive_set(table, &key, &s, 0) == EINVAL);
    s.seq_at = 16;
    assert(keepalive_set(table, &key, &s, 0) == 0);
    s.interval_min_ms = 101;
    assert(keepalive_set(table, &key, &s, 0) == EINVAL);
    s = settings();
    s.actions.size = KEEPALIVE_ACTIONS_MAX + 1;
    assert(keepalive_set(table, &key, &s, 0) == EINVAL);
    assert(keepalive_remove(table, &key) && !keepalive_remove(table, &key));
    assert(keepalive_run(table, 1000) == UINT64_MAX && seen.n_sent == 0);
    keepalive_destroy(table);
    keepalive_destroy(NULL);
}

int
main(void)
{
    a_frame_is_sent_within_the_ends_of_its_interval();
    a_number_in_a_frame_goes_up();
    the_expected_frame_is_taken_until_another_comes();
    the_next_number_is_expected();
    silence_is_told_once_and_again_after_a_frame();
    what_cannot_be_is_refused();
    puts("ok - frames are sent at their intervals, expected ones are taken, and silence is told once");
    return 0;
}
