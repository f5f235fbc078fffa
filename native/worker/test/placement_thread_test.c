/* Queues move between workers, and workers come and rest, while packets pass: none is lost or counted twice.  Under
 * ThreadSanitizer. */
#include "worker/test/abi_batch.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

#define QUEUES 4u
#define WORKERS 5u /* One that polls what nobody placed, and four that are made. */
#define MOVES 120u
#define NONE UINT32_MAX

static struct abi_batch batch;
static struct test_datapath test;

static void
nap(long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&time, NULL);
}

static uint64_t
now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000000000 + (uint64_t) now.tv_nsec;
}

static void
submit_all(void)
{
    assert(batch_submit(&batch, test.datapath) == 0);
    for (uint32_t i = 0; i < ((struct sluice_batch *) batch.room)->n_commands; i++) {
        assert(batch.results[i].error == 0);
    }
}

static void
set_worker(uint32_t worker, uint32_t core)
{
    struct sluice_worker_set *set = batch_add(&batch, SLUICE_COMMAND_WORKER_SET, sizeof *set, NULL, 0, NULL, 0);

    set->worker = worker;
    set->core = core;
    set->cpu = core == NONE ? NONE : 0;
}

static void
place(uint32_t port, uint32_t queue, uint32_t worker)
{
    struct sluice_queue_place *queue_place =
        batch_add(&batch, SLUICE_COMMAND_QUEUE_PLACE, sizeof *queue_place, NULL, 0, NULL, 0);

    queue_place->dp_port = port;
    queue_place->queue = queue;
    queue_place->worker = worker;
}

static void
set_polling(uint32_t pause_us_max, uint32_t flags)
{
    struct sluice_polling_set *set = batch_add(&batch, SLUICE_COMMAND_POLLING_SET, sizeof *set, NULL, 0, NULL, 0);

    set->pause_us_max = pause_us_max;
    set->polling_flags = flags;
    for (uint32_t i = 0; i < 192; i++) {
        set->walls[i] = i % 32 * 100;
    }
}

static struct sluice_port_info
port_info(uint32_t port)
{
    struct sluice_port_query ask = { .type = SLUICE_QUERY_PORT_STATS, .size = sizeof ask, .dp_port = port };
    struct sluice_port_info info;
    size_t used;

    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, &info, sizeof info, &used) == 0);
    return info;
}

static uint64_t reply[65536];

/* Asks for a dump that fits one reply; returns the number of records. */
static uint32_t
dump(uint16_t type)
{
    struct sluice_dump_query ask = { .type = type, .size = sizeof ask };
    size_t used;

    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, reply, sizeof reply, &used) == 0);
    const struct sluice_dump_reply *header = (const struct sluice_dump_reply *) reply;
    assert(header->cursor == 0);
    return header->n_records;
}

static const struct sluice_worker_info *
worker_info(uint32_t worker)
{
    assert(worker < dump(SLUICE_QUERY_WORKER_STATS));
    return (const struct sluice_worker_info *) ((uint8_t *) reply + sizeof(struct sluice_dump_reply)) + worker;
}

/* Packets go from port 1 to port 2 once its queues are placed: before the rule is there they would be dropped. */
static void
open_ports(const char *config, size_t config_size, uint32_t n_rxq)
{
    batch_begin(&batch, 0);
    batch_bridge(&batch, 1);
    batch_open(&batch, SLUICE_PORT_CLASS_NULL, 1, "in", config, config_size);
    for (uint32_t q = 0; q < n_rxq; q++) {
        place(1, q, NONE);
    }
    batch_open(&batch, SLUICE_PORT_CLASS_NULL, 2, "out", NULL, 0);
    batch_ofport(&batch, 1, 1);
    batch_ofport(&batch, 1, 2);
    batch_flow(&batch, 1, 100, 2);
    submit_all();
}

/* What came in went out, and each packet was found once or translated once. */
static void
check_conservation(void)
{
    uint64_t received = port_info(1).rx_packets;
    uint64_t counted = 0, looked_up = 0, by_queue = 0;

    assert(received > 0);
    assert(port_info(2).tx_packets == received);
    uint32_t n = dump(SLUICE_QUERY_WORKER_STATS);
    const struct sluice_worker_info *workers =
        (const struct sluice_worker_info *) ((uint8_t *) reply + sizeof(struct sluice_dump_reply));
    for (uint32_t i = 0; i < n; i++) {
        counted += workers[i].n_packets;
        looked_up += workers[i].n_simple_hit + workers[i].n_emc_hit + workers[i].n_megaflow_hit + workers[i].n_miss;
        assert(workers[i].n_batches <= workers[i].n_packets);
        assert(workers[i].n_tx_packets == workers[i].n_packets);
        assert(workers[i].n_idle_polls <= workers[i].n_polls);
    }
    assert(counted == received);
    assert(looked_up == received);
    n = dump(SLUICE_QUERY_QUEUE_STATS);
    const struct sluice_queue_info *queues =
        (const struct sluice_queue_info *) ((uint8_t *) reply + sizeof(struct sluice_dump_reply));
    for (uint32_t i = 0; i < n; i++) {
        by_queue += queues[i].n_packets;
        assert(queues[i].n_packets == 0 || queues[i].cycles != 0);
    }
    assert(by_queue == received);
}

static void
check_moves(void)
{
    static const char config[] = "flows=300\0n_rxq=4";

    test_create(&test, 1);
    open_ports(config, sizeof config, QUEUES);
    batch_begin(&batch, 0);
    for (uint32_t i = 1; i < WORKERS; i++) {
        set_worker(i, i);
    }
    submit_all();
    for (uint32_t i = 0; i < MOVES; i++) {
        batch_begin(&batch, 0);
        for (uint32_t q = 0; q < QUEUES; q++) {
            place(1, q, (i * (q + 1)) % WORKERS);
        }
        if (i % 10 == 9) {
            /* A worker rests while others take over, and comes back. */
            place(1, i % QUEUES, NONE);
            set_worker(1 + i % (WORKERS - 1), i % 20 == 9 ? NONE : i);
        }
        if (i % 30 == 7) {
            set_polling(i % 60 == 7 ? 50 : 0, i % 60 == 7 ? SLUICE_POLLING_FLAG_METRICS : 0);
        }
        submit_all();
        while (test_event(&test) != NULL) {
            continue;
        }
        dump(SLUICE_QUERY_WORKER_HISTOGRAMS);
        nap(2);
    }
    batch_begin(&batch, 0);
    for (uint32_t q = 0; q < QUEUES; q++) {
        place(1, q, NONE);
    }
    submit_all();
    /* Whoever still had a burst has finished it before the queue was taken away. */
    check_conservation();
    uint64_t received = port_info(1).rx_packets;
    nap(20);
    assert(port_info(1).rx_packets == received);
    test_destroy(&test);
    puts("ok - queues move and no packet is lost");
}

/* What worker 1 did in the next 'ms' milliseconds: how many sleeps, and the part of its time that they took. */
struct rest {
    uint64_t n_sleeps;
    double part;
};

static struct rest
watch_rest(long ms)
{
    struct sluice_worker_info before = *worker_info(1);

    nap(ms);
    struct sluice_worker_info after = *worker_info(1);
    return (struct rest){
        after.n_sleeps - before.n_sleeps,
        (double) (after.sleep_cycles - before.sleep_cycles) / (double) (after.now_cycles - before.now_cycles),
    };
}

/* Until worker 1 has looked at its queues so many times again, and so knows what was submitted. */
static void
wait_for_turns(uint64_t n)
{
    uint64_t end = worker_info(1)->n_polls + n;

    for (int i = 0; i < 10000 && worker_info(1)->n_polls < end; i++) {
        nap(1);
    }
    assert(worker_info(1)->n_polls >= end);
}

static void
ask_polling(uint32_t pause_us_max)
{
    batch_begin(&batch, 0);
    set_polling(pause_us_max, 0);
    submit_all();
}

/* Worker 1 polls queue 0 of port 1. */
static void
begin_polling(const char *config, size_t config_size)
{
    test_create(&test, 1);
    open_ports(config, config_size, 1);
    batch_begin(&batch, 0);
    set_worker(1, 0);
    place(1, 0, 1);
    submit_all();
    wait_for_turns(100);
}

static void
check_pauses(void)
{
    static const char stream[] = "flows=4", silence[] = "polled=1";

    begin_polling(stream, sizeof stream);
    ask_polling(1000);
    assert(watch_rest(50).n_sleeps == 0);
    test_destroy(&test);

    begin_polling(silence, sizeof silence);
    assert(watch_rest(50).n_sleeps == 0);
    ask_polling(1000);
    wait_for_turns(500); /* A pause is a microsecond longer than the one before. */
    struct rest rest = watch_rest(100);
    assert(rest.n_sleeps > 0 && rest.part > 0.5);
    ask_polling(0);
    wait_for_turns(100);
    assert(watch_rest(50).n_sleeps == 0);
    test_destroy(&test);
    puts("ok - a worker pauses when it is told to and finds little");
}

static void
set_queues(const char *config, size_t config_size)
{
    batch_begin(&batch, 0);
    struct sluice_port_set *set = batch_add(&batch, SLUICE_COMMAND_PORT_SET, sizeof *set, config, config_size, NULL, 0);
    set->dp_port = 1;
    set->config_size = (uint32_t) config_size;
    submit_all();
}

/* Gives port 1 a frame in each queue from 'first' to before 'end'. */
static void
inject(uint32_t first, uint32_t end)
{
    uint8_t frame[60] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x12, 0x34 };

    batch_begin(&batch, 0);
    for (uint32_t q = first; q < end; q++) {
        batch_inject(&batch, 1, frame, sizeof frame);
        ((struct sluice_port_inject *) ((uint8_t *) batch.room + batch.size - sizeof(struct sluice_port_inject) - 64))
            ->queue = q;
    }
    submit_all();
}

static void
wait_for_received(uint64_t n)
{
    for (int i = 0; i < 5000 && port_info(1).rx_packets < n; i++) {
        nap(1);
    }
    assert(port_info(1).rx_packets == n);
}

static void
check_queues(void)
{
    static const char two[] = "n_rxq=2", four[] = "n_rxq=4", one[] = "n_rxq=1";
    uint64_t n = 0;

    test_create(&test, 2);
    batch_begin(&batch, 0);
    batch_open(&batch, SLUICE_PORT_CLASS_DUMMY, 1, "in", two, sizeof two);
    submit_all();
    for (int i = 0; i < 20; i++) {
        assert(dump(SLUICE_QUERY_QUEUE_STATS) == 2);
        inject(0, 2);
        wait_for_received(n += 2);
        set_queues(four, sizeof four);
        assert(dump(SLUICE_QUERY_QUEUE_STATS) == 4);
        inject(0, 4);
        wait_for_received(n += 4);
        set_queues(one, sizeof one);
        assert(dump(SLUICE_QUERY_QUEUE_STATS) == 1);
        batch_begin(&batch, 0);
        place(1, 1, 0);
        assert(batch_submit(&batch, test.datapath) == 0 && batch.results[0].error == SLUICE_ERROR_NO_SUCH_PORT);
        inject(0, 1);
        wait_for_received(n += 1);
        set_queues(two, sizeof two);
    }
    test_destroy(&test);
    puts("ok - queues of an open port come and go");
}

static void
check_refusals(void)
{
    uint64_t start = now_ns();

    test_create(&test, 1);
    open_ports(NULL, 0, 1);
    batch_begin(&batch, SLUICE_BATCH_FLAG_INDEPENDENT);
    set_worker(0, 1);  /* The worker that polls what nobody placed. */
    set_worker(2, 1);  /* One too many. */
    place(9, 0, 0);    /* No such port. */
    place(1, 1, 0);    /* No such queue. */
    place(1, 0, 1);    /* No such worker. */
    set_polling(1, 2); /* No such flag. */
    assert(batch_submit(&batch, test.datapath) == 0);
    assert(batch.results[0].error == SLUICE_ERROR_BAD_ARGUMENT);
    assert(batch.results[1].error == SLUICE_ERROR_BAD_ARGUMENT);
    assert(batch.results[2].error == SLUICE_ERROR_NO_SUCH_PORT);
    assert(batch.results[3].error == SLUICE_ERROR_NO_SUCH_PORT);
    assert(batch.results[4].error == SLUICE_ERROR_BAD_ARGUMENT);
    assert(batch.results[5].error == SLUICE_ERROR_BAD_ARGUMENT);
    assert(dump(SLUICE_QUERY_WORKER_STATS) == 1);
    for (uint32_t i = 1; i < 64; i++) {
        batch_begin(&batch, 0);
        set_worker(i, NONE);
        submit_all();
    }
    batch_begin(&batch, 0);
    set_worker(64, NONE);
    assert(batch_submit(&batch, test.datapath) == 0 && batch.results[0].error == SLUICE_ERROR_DEVICE);
    assert(batch.results[0].system_error == ENOSPC);
    /* Workers without queues cost nothing. */
    assert(worker_info(63)->n_queues == 0);
    test_destroy(&test);
    test_create(&test, 0);
    batch_begin(&batch, 0);
    set_worker(1, 1);
    assert(batch_submit(&batch, test.datapath) == 0 && batch.results[0].error == SLUICE_ERROR_NOT_SUPPORTED);
    test_destroy(&test);
    assert(now_ns() - start < 60000000000u);
    puts("ok - what cannot be is refused");
}

int
main(void)
{
    check_moves();
    check_pauses();
    check_queues();
    check_refusals();
    return 0;
}
