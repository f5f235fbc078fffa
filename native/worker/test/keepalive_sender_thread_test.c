/* Keep-alives from the ABI to the port and back: sent by a thread of their own, taken by the workers.  Under
 * ThreadSanitizer. */
#include "worker/test/abi_batch.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define BRIDGE 1u
#define PORT 1u
#define OTHER_PORT 2u
#define FRAME_SIZE 60u
#define SEQ_AT 20u

static struct abi_batch batch;
static struct test_datapath test;

static void
nap(long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&time, NULL);
}

/* What the last command of the batch came to. */
static uint32_t
submit(void)
{
    assert(batch_submit(&batch, test.datapath) == 0);
    return batch.results[((struct sluice_batch *) batch.room)->n_commands - 1].error;
}

/* A continuity check message of 802.1ag, as far as the pipeline looks. */
static void
make_frame(uint8_t frame[FRAME_SIZE], uint8_t content, uint32_t seq)
{
    static const uint8_t head[14] = { 0x01, 0x80, 0xc2, 0, 0, 0x30, 2, 0, 0, 0, 0, 1, 0x89, 0x02 };

    memset(frame, content, FRAME_SIZE);
    memcpy(frame, head, sizeof head);
    for (uint32_t i = 0; i < 4; i++) {
        frame[SEQ_AT + i] = (uint8_t) (seq >> (24 - 8 * i));
    }
}

static uint32_t
seq_of(const uint8_t *frame)
{
    const uint8_t *at = frame + SEQ_AT;

    return (uint32_t) at[0] << 24 | (uint32_t) at[1] << 16 | (uint32_t) at[2] << 8 | at[3];
}

/* Adds the command: every 'interval_ms' a frame with the number after 'seq' by PORT; expects frames of 'expected', or
 * none if it is 0. */
static struct sluice_keepalive_set *
add_set(uint32_t interval_ms, uint32_t seq, uint8_t expected)
{
    const struct sluice_action_output output = { .opcode = SLUICE_ACTION_OUTPUT, .size = sizeof output, .port = PORT };
    uint8_t tail[2 * 64] = { 0 };

    make_frame(tail, 7, seq);
    make_frame(tail + 64, expected, 0);
    struct sluice_keepalive_set *set = batch_add(&batch, SLUICE_COMMAND_KEEPALIVE_SET, sizeof *set, &output,
                                                 sizeof output, tail, expected ? 2 * 64 : 64);
    set->bridge = BRIDGE;
    set->ofp_port = PORT;
    set->protocol = SLUICE_PROTOCOL_CFM;
    set->interval_min_ms = set->interval_max_ms = interval_ms;
    set->seq_at = SEQ_AT;
    set->actions_size = sizeof output;
    set->frame_size = FRAME_SIZE;
    set->expected_size = expected ? FRAME_SIZE : 0;
    set->expected_seq_at = expected ? SEQ_AT : 0;
    return set;
}

static uint32_t
submit_set(uint32_t interval_ms, uint32_t seq, uint8_t expected)
{
    batch_begin(&batch, 0);
    add_set(interval_ms, seq, expected);
    return submit();
}

static uint32_t
submit_del(void)
{
    batch_begin(&batch, 0);
    struct sluice_keepalive_del *del = batch_add(&batch, SLUICE_COMMAND_KEEPALIVE_DEL, sizeof *del, NULL, 0, NULL, 0);
    del->bridge = BRIDGE;
    del->ofp_port = PORT;
    del->protocol = SLUICE_PROTOCOL_CFM;
    return submit();
}

static int
ask(struct sluice_keepalive_info *info)
{
    const struct sluice_keepalive_query query = {
        .type = SLUICE_QUERY_KEEPALIVE_GET,
        .size = sizeof query,
        .bridge = BRIDGE,
        .ofp_port = PORT,
        .protocol = SLUICE_PROTOCOL_CFM,
    };
    size_t used;

    return sluice_datapath_query(test.datapath, &query, sizeof query, info, sizeof *info, &used);
}

static void
setup(uint32_t n_workers)
{
    test_create(&test, n_workers);
    batch_begin(&batch, 0);
    batch_bridge(&batch, BRIDGE);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, PORT, "a", NULL, 0);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, OTHER_PORT, "b", NULL, 0);
    batch_ofport(&batch, BRIDGE, PORT);
    ((struct sluice_ofport_set *) ((uint8_t *) batch.room + batch.size - sizeof(struct sluice_ofport_set)))
        ->monitor_flags = SLUICE_MONITOR_FLAG_CFM;
    batch_ofport(&batch, BRIDGE, OTHER_PORT);
    assert(submit() == 0);
}

/* The next event of the type, which comes within five seconds. */
static const void *
await(uint16_t type)
{
    for (int i = 0; i < 5000; i++) {
        const struct sluice_record *record = test_event_of(&test, type);
        if (record != NULL) {
            return record;
        }
        nap(1);
    }
    assert(!"the event came");
    return NULL;
}

static void
inject(uint8_t content, uint32_t seq)
{
    uint8_t frame[FRAME_SIZE];

    make_frame(frame, content, seq);
    batch_begin(&batch, 0);
    batch_inject(&batch, PORT, frame, sizeof frame);
    assert(submit() == 0);
}

static void
refuses(void)
{
    struct sluice_keepalive_info info;

    setup(0);
    assert(submit_set(100, 0, 0) == SLUICE_ERROR_NOT_SUPPORTED && ask(&info) == ENOENT);
    test_destroy(&test);
    puts("ok - a datapath without threads takes no keep-alives");

    setup(1);
    assert(submit_del() == SLUICE_ERROR_NO_SUCH_PORT && ask(&info) == ENOENT);
    batch_begin(&batch, 0);
    add_set(100, 0, 0)->frame_size = FRAME_SIZE + 8;
    assert(submit() == SLUICE_ERROR_INVALID_RECORD);
    batch_begin(&batch, 0);
    add_set(100, 0, 0)->actions_size = UINT32_MAX;
    assert(submit() == SLUICE_ERROR_INVALID_RECORD);
    batch_begin(&batch, 0);
    add_set(100, 0, 0)->interval_max_ms = 99;
    assert(submit() == SLUICE_ERROR_BAD_ARGUMENT);
    batch_begin(&batch, 0);
    add_set(100, 0, 0)->seq_at = FRAME_SIZE - 3;
    assert(submit() == SLUICE_ERROR_BAD_ARGUMENT);
    batch_begin(&batch, 0);
    struct sluice_keepalive_set *set = add_set(100, 0, 0);
    ((struct sluice_action_output *) (set + 1))->opcode = UINT16_MAX;
    assert(submit() == SLUICE_ERROR_BAD_ACTION);
    assert(ask(&info) == ENOENT);
    puts("ok - what is malformed is refused and leaves nothing behind");
    test_destroy(&test);
}

static void
sends(void)
{
    struct sluice_keepalive_info info;

    assert(submit_set(2, 40, 0) == 0);
    for (uint32_t i = 0; i < 20; i++) {
        uint8_t expected[FRAME_SIZE];
        const struct sluice_event_port_frame *event = await(SLUICE_EVENT_PORT_FRAME);
        make_frame(expected, 7, 41 + i);
        assert(event->dp_port == PORT && event->packet_size == FRAME_SIZE);
        assert(memcmp(event + 1, expected, FRAME_SIZE) == 0);
    }
    assert(ask(&info) == 0 && info.n_tx >= 20 && info.tx_seq == 40 + (uint32_t) info.n_tx);
    puts("ok - frames go where the actions say, each with the next number");

    assert(submit_set(3, 1000, 0) == 0);
    uint32_t last = 0;
    for (uint32_t i = 0; i < 20; i++) {
        const struct sluice_event_port_frame *event = await(SLUICE_EVENT_PORT_FRAME);
        uint32_t seq = seq_of((const uint8_t *) (event + 1));
        assert(last == 0 || seq == last + 1);
        last = seq;
    }
    assert(last < 1000);
    puts("ok - numbers go on when the interval changes");

    assert(submit_del() == 0 && ask(&info) == ENOENT);
    /* One may be under way. */
    nap(20);
    while (test_event_of(&test, SLUICE_EVENT_PORT_FRAME) != NULL) {
        continue;
    }
    nap(20);
    assert(test_event_of(&test, SLUICE_EVENT_PORT_FRAME) == NULL);
    puts("ok - none is sent once the session is ended");
}

static void
listens(void)
{
    struct sluice_keepalive_info info = { 0 };

    batch_begin(&batch, 0);
    add_set(10000, 0, 9)->detect_ms = 400;
    assert(submit() == 0);
    for (uint32_t i = 0; i < 10; i++) {
        inject(9, 1 + i);
        nap(10);
    }
    for (int i = 0; i < 5000 && info.n_rx < 10; i++) {
        nap(1);
        assert(ask(&info) == 0);
    }
    assert(info.n_rx == 10 && info.rx_seq == 10);
    assert(test_event_of(&test, SLUICE_EVENT_PROTOCOL_PACKET) == NULL);
    puts("ok - frames that come as expected are counted and not told");

    const struct sluice_event_keepalive_silent *silent = await(SLUICE_EVENT_KEEPALIVE_SILENT);
    assert(silent->bridge == BRIDGE && silent->ofp_port == PORT && silent->protocol == SLUICE_PROTOCOL_CFM);
    nap(500);
    assert(test_event_of(&test, SLUICE_EVENT_KEEPALIVE_SILENT) == NULL);
    puts("ok - silence is told once");

    inject(8, 11);
    inject(9, 12);
    for (uint32_t i = 0; i < 2; i++) {
        const struct sluice_event_protocol_packet *event = await(SLUICE_EVENT_PROTOCOL_PACKET);
        assert(seq_of((const uint8_t *) (event + 1)) == 11 + i);
    }
    assert(ask(&info) == 0 && info.n_rx == 10);
    puts("ok - a frame that differs is told, and so are those after it, in order");
    assert(submit_del() == 0);
}

/* The owner changes its mind all the time, while frames are sent and come. */
static void
churns(void)
{
    for (uint32_t i = 0; i < 300; i++) {
        assert(submit_set(1 + i % 3, i, i % 2 ? 9 : 0) == 0);
        inject((uint8_t) (8 + i % 2), i);
        if (i % 7 == 6) {
            assert(submit_del() == 0);
        }
        while (test_event(&test) != NULL) {
            continue;
        }
        if (i % 10 == 0) {
            nap(3);
        }
    }
    assert(submit_set(1, 0, 9) == 0);
    puts("ok - sessions change while frames are sent and come, and a datapath ends with one under way");
}

int
main(void)
{
    refuses();
    setup(2);
    sends();
    listens();
    churns();
    test_destroy(&test);
    return 0;
}
