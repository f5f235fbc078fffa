#include "worker/keepalive_sender.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "packet/packet.h"
#include "packet/parse.h"
#include "pipeline/action_check.h"
#include "pipeline/pipeline.h"
#include "worker/state.h"

/* The thread looks at the clock again at least this often: it may have been moved. */
#define WAIT_MS_MAX 500u

/* Tables that a bridge has at most. */
#define TABLES_MAX UINT8_MAX

static size_t
pad8(size_t size)
{
    return (size + 7) & ~(size_t) 7;
}

/* Executes what a translation came to, on a frame that came by no port. */
static void
execute(struct worker *worker, const void *frame, uint32_t size)
{
    static const struct flow_key from_nowhere;
    const struct xlate_out *out = &worker->levels[0].xlate;

    worker_execute(worker, &from_nowhere, frame, size, out->actions, out->actions_size);
}

/* Where the frame goes is found anew each time: ports, bonds and tunnels may have changed.  The keep-alive thread. */
static void
send_frame(void *aux, const struct keepalive_key *session, const struct keepalive_part *frame,
           const struct keepalive_part *actions)
{
    struct sluice_datapath *datapath = aux;
    struct worker *worker = datapath->keepalive.worker;
    struct xlate_out *out = &worker->levels[0].xlate;
    const uint64_t now_ms = datapath_now(datapath);
    struct packet packet;
    struct flow_key key;

    packet_wrap(&packet, (void *) frame->bytes, frame->size, 0, frame->size);
    packet_parse(&packet, pipeline_vlan_limit(datapath->pipeline), &key);
    key.in_port = 0;
    const struct xlate_in in = {
        .key = &key,
        .now_ms = now_ms,
        .bridge = session->bridge,
        .in_port = UINT32_MAX,
        .actions = actions->bytes,
        .actions_size = actions->size,
    };
    const struct xlate_traffic traffic = { 1, frame->size, now_ms, 0, NULL };

    epoch_online(worker->reader);
    xlate(datapath->pipeline, &in, out);
    xlate_credit(datapath->pipeline, out->credits, out->n_credits, &traffic);
    execute(worker, frame->bytes, frame->size);
    const struct solicitations solicitations = out->solicitations;
    xlate_out_drop_credits(out, false);
    for (uint32_t i = 0; i < solicitations.n; i++) {
        solicitation_xlate(datapath->pipeline, &solicitations.all[i], now_ms, out);
        execute(worker, solicitations.all[i].frame, solicitations.all[i].size);
        xlate_out_drop_credits(out, false);
    }
    epoch_offline(worker->reader);
}

static void
tell_silence(void *aux, const struct keepalive_key *session)
{
    struct sluice_datapath *datapath = aux;
    struct sluice_event_keepalive_silent event = {
        .type = SLUICE_EVENT_KEEPALIVE_SILENT,
        .bridge = session->bridge,
        .ofp_port = session->ofp_port,
        .protocol = session->protocol,
    };
    const struct ring_part part = { &event, sizeof event };

    ring_put(&datapath->ring, 0, (struct sluice_record *) &event, &part, 1);
}

/* Waits until 'due_ms' of the datapath's clock, or until something changes.  Returns whether to go on. */
static _Bool
wait_until(struct sluice_datapath *datapath, uint64_t due_ms)
{
    struct keepalive_sender *sender = &datapath->keepalive;
    uint64_t now_ms = datapath_now(datapath);
    uint64_t wait_ms = due_ms <= now_ms ? 1 : due_ms - now_ms < WAIT_MS_MAX ? due_ms - now_ms : WAIT_MS_MAX;
    uint64_t until_ns = real_now_ns() + wait_ms * 1000000;
    const struct timespec until = { .tv_sec = (time_t) (until_ns / 1000000000),
                                    .tv_nsec = (long) (until_ns % 1000000000) };
    int error = 0;

    pthread_mutex_lock(&sender->lock);
    while (!sender->is_changed && !sender->is_stopping && error == 0) {
        error = pthread_cond_timedwait(&sender->changed, &sender->lock, &until);
    }
    sender->is_changed = 0;
    _Bool goes_on = !sender->is_stopping;
    pthread_mutex_unlock(&sender->lock);
    return goes_on;
}

static void *
sender_main(void *aux)
{
    struct sluice_datapath *datapath = aux;

    while (wait_until(datapath, keepalive_run(datapath->keepalive.table, datapath_now(datapath)))) {
        continue;
    }
    return NULL;
}

int
keepalive_sender_init(struct sluice_datapath *datapath)
{
    struct keepalive_sender *sender = &datapath->keepalive;
    const struct keepalive_hooks hooks = { datapath, send_frame, tell_silence };
    pthread_condattr_t attributes;

    pthread_mutex_init(&sender->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&sender->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    sender->has_lock = 1;
    int error = worker_create(datapath, datapath->n_workers + 1, 1, &sender->worker);
    if (error == 0) {
        sender->worker->reader = epoch_register(datapath->epoch);
        sender->table = keepalive_create(&hooks, (uint32_t) real_now_ns());
    }
    if (error == 0 && (sender->worker->reader == NULL || sender->table == NULL)) {
        error = ENOMEM;
    }
    if (error == 0) {
        epoch_offline(sender->worker->reader);
    }
    return error;
}

static void
tell_change(struct keepalive_sender *sender, _Bool stops)
{
    pthread_mutex_lock(&sender->lock);
    sender->is_changed = 1;
    sender->is_stopping |= stops;
    pthread_cond_signal(&sender->changed);
    pthread_mutex_unlock(&sender->lock);
}

void
keepalive_sender_stop(struct sluice_datapath *datapath)
{
    struct keepalive_sender *sender = &datapath->keepalive;

    if (sender->has_thread) {
        tell_change(sender, 1);
        pthread_join(sender->thread, NULL);
        sender->has_thread = 0;
    }
}

void
keepalive_sender_uninit(struct sluice_datapath *datapath)
{
    struct keepalive_sender *sender = &datapath->keepalive;

    keepalive_destroy(sender->table);
    worker_destroy(sender->worker);
    if (sender->has_lock) {
        pthread_cond_destroy(&sender->changed);
        pthread_mutex_destroy(&sender->lock);
    }
}

static void
fail(struct sluice_result *result, uint32_t error)
{
    result->error = error;
}

/* The parts of a command, which follow it, each padded; false if they do not fill it. */
static _Bool
find_parts(const struct sluice_keepalive_set *set, struct keepalive_settings *settings)
{
    const uint8_t *at = (const uint8_t *) (set + 1);
    struct keepalive_part *const parts[] = { &settings->actions, &settings->frame, &settings->expected };
    const uint32_t sizes[] = { set->actions_size, set->frame_size, set->expected_size };
    size_t size = sizeof *set;

    for (uint32_t i = 0; i < 3; i++) {
        if (sizes[i] > set->size) {
            return 0;
        }
        *parts[i] = (struct keepalive_part){ at, sizes[i] };
        at += pad8(sizes[i]);
        size += pad8(sizes[i]);
    }
    return size == set->size;
}

void
keepalive_do_set(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_keepalive_set *set = (const struct sluice_keepalive_set *) record;
    struct keepalive_sender *sender = &datapath->keepalive;
    struct keepalive_settings settings;

    if (record->size < sizeof *set || !find_parts(set, &settings)) {
        fail(result, SLUICE_ERROR_INVALID_RECORD);
        return;
    }
    if (datapath->n_threads == 0) {
        fail(result, SLUICE_ERROR_NOT_SUPPORTED);
        return;
    }
    settings.interval_min_ms = set->interval_min_ms;
    settings.interval_max_ms = set->interval_max_ms;
    settings.first_ms = set->first_ms;
    settings.detect_ms = set->detect_ms;
    settings.silent_ms = set->silent_ms;
    settings.seq_at = set->seq_at;
    settings.expected_seq_at = set->expected_seq_at;
    if (action_check(settings.actions.bytes, settings.actions.size, UINT8_MAX, TABLES_MAX) != 0) {
        fail(result, SLUICE_ERROR_BAD_ACTION);
        return;
    }
    const struct keepalive_key key = { set->bridge, set->ofp_port, set->protocol };
    int error = keepalive_set(sender->table, &key, &settings, datapath_now(datapath));
    if (error != 0) {
        fail(result, error == EINVAL ? SLUICE_ERROR_BAD_ARGUMENT : SLUICE_ERROR_NO_MEMORY);
        return;
    }
    if (!sender->has_thread) {
        sender->has_thread = pthread_create(&sender->thread, NULL, sender_main, datapath) == 0;
        if (!sender->has_thread) {
            keepalive_remove(sender->table, &key);
            fail(result, SLUICE_ERROR_NO_MEMORY);
            return;
        }
    }
    tell_change(sender, 0);
}

void
keepalive_do_del(struct sluice_datapath *datapath, const struct sluice_record *record, struct sluice_result *result)
{
    const struct sluice_keepalive_del *del = (const struct sluice_keepalive_del *) record;

    if (record->size != sizeof *del) {
        fail(result, SLUICE_ERROR_INVALID_RECORD);
        return;
    }
    const struct keepalive_key key = { del->bridge, del->ofp_port, del->protocol };
    if (!keepalive_remove(datapath->keepalive.table, &key)) {
        fail(result, SLUICE_ERROR_NO_SUCH_PORT);
        return;
    }
    /* Another session took its place, which a run that is under way may have passed already. */
    tell_change(&datapath->keepalive, 0);
}

int
keepalive_answer(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply, size_t reply_size,
                 size_t *used)
{
    const struct sluice_keepalive_query *ask = (const struct sluice_keepalive_query *) query;
    struct keepalive_report report;

    if (query->size != sizeof *ask) {
        return EINVAL;
    }
    const struct keepalive_key key = { ask->bridge, ask->ofp_port, ask->protocol };
    if (!keepalive_report(datapath->keepalive.table, &key, &report)) {
        return ENOENT;
    }
    const struct sluice_keepalive_info info = {
        .size = sizeof info,
        .tx_seq = report.tx_seq,
        .rx_seq = report.rx_seq,
        .last_tx_ms = report.last_tx_ms,
        .next_tx_ms = report.next_tx_ms,
        .last_rx_ms = report.last_rx_ms,
        .n_tx = report.n_tx,
        .n_rx = report.n_rx,
    };
    if (reply_size < sizeof info) {
        return ENOSPC;
    }
    memcpy(reply, &info, sizeof info);
    *used = sizeof info;
    return 0;
}
