/* Workers, maintenance and control at once: ports and flows come and go while packets pass.  Under ThreadSanitizer. */
#include "worker/test/abi_batch.h"

#include <stdio.h>
#include <time.h>

static struct abi_batch batch;
static struct test_datapath test;

static void
nap(long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };

    nanosleep(&time, NULL);
}

static void
submit_all(void)
{
    assert(batch_submit(&batch, test.datapath) == 0);
    for (uint32_t i = 0; i < ((struct sluice_batch *) batch.room)->n_commands; i++) {
        assert(batch.results[i].error == 0);
    }
}

static uint64_t
transmitted(uint32_t port)
{
    struct sluice_port_query ask = { .type = SLUICE_QUERY_PORT_STATS, .size = sizeof ask, .dp_port = port };
    struct sluice_port_info info;
    size_t used;

    assert(sluice_datapath_query(test.datapath, &ask, sizeof ask, &info, sizeof info, &used) == 0);
    return info.tx_packets;
}

static void
churn(void)
{
    static const char config[] = "flows=300\0n_rxq=2";
    uint64_t last = 0;

    batch_begin(&batch, 0);
    batch_bridge(&batch, 1);
    batch_open(&batch, SLUICE_PORT_CLASS_NULL, 1, "in", config, sizeof config);
    batch_open(&batch, SLUICE_PORT_CLASS_NULL, 2, "out", NULL, 0);
    batch_ofport(&batch, 1, 1);
    batch_ofport(&batch, 1, 2);
    batch_flow(&batch, 1, 100, 2);
    submit_all();
    for (uint32_t i = 0; i < 60; i++) {
        batch_begin(&batch, 0);
        batch_flow(&batch, 1, 200 + i % 3, i % 2 == 0 ? 2 : 3);
        if (i % 2 == 0) {
            batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, 3, "m", NULL, 0);
            batch_ofport(&batch, 1, 3);
        } else {
            struct sluice_ofport_del *del = batch_add(&batch, SLUICE_COMMAND_OFPORT_DEL, sizeof *del, NULL, 0, NULL, 0);
            del->bridge = 1;
            del->ofp_port = 3;
            struct sluice_port_close *close =
                batch_add(&batch, SLUICE_COMMAND_PORT_CLOSE, sizeof *close, NULL, 0, NULL, 0);
            close->dp_port = 3;
        }
        submit_all();
        while (test_event(&test) != NULL) {
            continue;
        }
        nap(5);
    }
    last = transmitted(2);
    assert(last > 0);
    puts("ok - flows and ports change under traffic");
}

static void
wait_for_frames(int n)
{
    int seen = 0;

    for (int i = 0; i < 5000 && seen < n; i++) {
        while (test_event_of(&test, SLUICE_EVENT_PORT_FRAME) != NULL) {
            seen++;
        }
        nap(1);
    }
    assert(seen == n);
}

static void
sleepers_wake(void)
{
    uint8_t frame[60] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 0x12, 0x34 };

    batch_begin(&batch, 0);
    batch_bridge(&batch, 1);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, 1, "a", NULL, 0);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, 2, "b", NULL, 0);
    batch_ofport(&batch, 1, 1);
    batch_ofport(&batch, 1, 2);
    batch_flow(&batch, 1, 100, 2);
    submit_all();
    for (int i = 0; i < 50; i++) {
        if (i % 10 == 0) {
            nap(5);
        }
        batch_begin(&batch, 0);
        batch_inject(&batch, 1, frame, sizeof frame);
        submit_all();
        wait_for_frames(1);
    }
    puts("ok - a sleeping worker wakes for an injected frame");
}

int
main(void)
{
    test_create(&test, 2);
    churn();
    test_destroy(&test);
    test_create(&test, 2);
    sleepers_wake();
    test_destroy(&test);
    puts("ok - threads end");
    return 0;
}
