#include <pthread.h>
#include <stdlib.h>

#include "meter/meter.h"
#include "meter/meter_table.h"
#include "packet/test/claim.h"

static struct meter *
make(uint32_t flags, uint32_t rate, uint32_t burst_size, uint64_t now_ms)
{
    const struct sluice_meter_band band = { rate, burst_size };
    struct meter *meter = meter_create(flags, &band, 1, 1000 * now_ms);

    CHECK(meter != NULL);
    return meter;
}

/* Runs packets of one size, one a call; returns how many passed. */
static uint32_t
run(struct meter *meter, uint32_t n, uint32_t size, uint64_t now_ms)
{
    uint32_t n_passed = 0;

    for (uint32_t i = 0; i < n; i++) {
        n_passed += meter_run(meter, &size, 1, 1000 * now_ms) == 0;
    }
    return n_passed;
}

static void
test_packets(void)
{
    struct meter *meter = make(SLUICE_METER_FLAG_PKTPS, 10, 3, 5000);

    CHECK(run(meter, 5, 60, 5000) == 3);
    CHECK(run(meter, 2, 60, 5099) == 0);
    CHECK(run(meter, 2, 60, 5100) == 1);
    CHECK(run(meter, 9, 60, 99000) == 3);
    CHECK(atomic_load(&meter->n_packets) == 18 && atomic_load(&meter->n_bytes) == 18 * 60);
    CHECK(atomic_load(&meter->bands[0].n_packets) == 11 && atomic_load(&meter->bands[0].n_bytes) == 11 * 60);
    free(meter);
    claim("a meter of packets lets a burst through, then its rate, and counts what passed and what did not");
}

static void
test_kilobits(void)
{
    struct meter *meter = make(SLUICE_METER_FLAG_KBPS, 1, 2, 0);

    /* 2000 bits: four packets of 480 and 80 bits are left. */
    CHECK(run(meter, 7, 60, 0) == 4);
    CHECK(run(meter, 5, 60, 870) == 1);
    CHECK(run(meter, 5, 60, 880) == 1);
    free(meter);
    meter = make(SLUICE_METER_FLAG_KBPS, 8, 0, 0);
    CHECK(meter->bands[0].burst_size == 8 && run(meter, 20, 100, 0) == 10);
    free(meter);
    claim("a meter of kilobits counts bits, and without a burst size holds a second's worth");
}

static void
test_burst(void)
{
    const uint32_t sizes[] = { 100, 1000, 100, 100, 1000, 50 };
    struct meter *meter = make(SLUICE_METER_FLAG_KBPS, 1, 3, 0);

    /* 3000 bits: the large ones do not fit, small ones behind them do. */
    CHECK(meter_run(meter, sizes, 6, 0) == 0x12);
    free(meter);
    claim("a packet that is over a band does not take from its bucket");
}

static void
test_bands(void)
{
    const struct sluice_meter_band bands[] = { { 1, 2 }, { 3, 4 }, { 2, 4 } };
    struct meter *meter = meter_create(SLUICE_METER_FLAG_PKTPS, bands, 3, 0);
    const uint32_t sizes[6] = { 10, 10, 10, 10, 10, 10 };

    CHECK(meter != NULL && meter_run(meter, sizes, 6, 0) == 0x3c);
    CHECK(atomic_load(&meter->bands[0].n_packets) == 2);
    CHECK(atomic_load(&meter->bands[1].n_packets) == 2);
    CHECK(atomic_load(&meter->bands[2].n_packets) == 0);
    free(meter);
    claim("of several bands that a packet is over, the one with the highest rate counts it");
}

static void
test_extremes(void)
{
    struct meter *meter = make(SLUICE_METER_FLAG_KBPS, UINT32_MAX, UINT32_MAX, 0);

    for (uint64_t now_ms = 0; now_ms < UINT64_C(1) << 45; now_ms = 3 * now_ms + 1) {
        CHECK(run(meter, 3, 65535, now_ms) == 3);
        CHECK(run(meter, 3, 65535, now_ms) == 3);
    }
    free(meter);
    meter = make(SLUICE_METER_FLAG_PKTPS, 1, 1, 1000);
    CHECK(run(meter, 2, 60, 1000) == 1);
    CHECK(run(meter, 2, 60, 900) == 0);
    CHECK(run(meter, 2, 60, 2000) == 1);
    free(meter);
    claim("the highest rate, long idle times and a clock that steps back do not upset a meter");
}

/* Packets of 'size' bytes come in bursts, at 'offered' times what the meter lets through, for some seconds.  Returns the
 * part of the rate that passed after the first burst. */
static double
measure(uint32_t flags, uint32_t rate, uint32_t burst_size, uint32_t size, double offered)
{
    struct meter *meter = make(flags, rate, burst_size, 0);
    double per_second = flags & SLUICE_METER_FLAG_PKTPS ? rate : rate * 1000.0 / (8.0 * size);
    uint32_t n = per_second < 100000 ? 1 : METER_BURST_MAX;
    double step_us = n * 1e6 / (per_second * offered);
    uint64_t n_rounds = (uint64_t) (4e6 / step_us);
    uint64_t n_passed = 0;
    uint32_t sizes[METER_BURST_MAX];

    n_rounds = n_rounds > 30000 ? 30000 : n_rounds;
    for (uint32_t i = 0; i < METER_BURST_MAX; i++) {
        sizes[i] = size;
    }
    /* The bucket is emptied first. */
    for (uint32_t i = 0; i < 2000000 && meter_run(meter, sizes, 1, 0) == 0; i++) {
        continue;
    }
    for (uint64_t i = 1; i <= n_rounds; i++) {
        n_passed += n - (uint32_t) __builtin_popcount(meter_run(meter, sizes, n, (uint64_t) ((double) i * step_us)));
    }
    free(meter);
    return (double) n_passed / (per_second * (double) n_rounds * step_us / 1e6);
}

static void
test_rates(void)
{
    for (uint32_t rate = 100; rate <= 100000000; rate *= 10) {
        /* A bucket of a thousandth of a second, and one of no more than a burst. */
        uint32_t bursts[] = { rate / 1000 + 3, 2 * METER_BURST_MAX + rate / 1000000 };
        for (uint32_t i = 0; i < 2; i++) {
            for (double offered = 1.05; offered < 40; offered *= 5) {
                double part = measure(SLUICE_METER_FLAG_PKTPS, rate, bursts[i], 60, offered);
                CHECK(part > 0.98 && part < 1.02);
            }
        }
    }
    for (uint32_t rate = 1000; rate <= 40000000; rate *= 10) {
        for (uint32_t size = 60; size <= 1500; size *= 5) {
            double part = measure(SLUICE_METER_FLAG_KBPS, rate, 800 + rate / 100, size, 3);
            CHECK(part > 0.98 && part < 1.02);
        }
    }
    claim("what passes is within 2 % of the rate, from 100 packets a second to 100 million, with small bursts, too");
}

struct sharing {
    struct meter *meter;
    uint64_t n_passed;
};

#define ROUNDS 20000u

static void *
share(void *sharing_)
{
    struct sharing *sharing = sharing_;
    uint32_t sizes[METER_BURST_MAX];

    for (uint32_t i = 0; i < METER_BURST_MAX; i++) {
        sizes[i] = 60 + i;
    }
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t over = meter_run(sharing->meter, sizes, METER_BURST_MAX, i / 10 * UINT64_C(1000));
        sharing->n_passed += METER_BURST_MAX - (uint32_t) __builtin_popcount(over);
    }
    return NULL;
}

static void
test_threads(void)
{
    struct meter *meter = make(SLUICE_METER_FLAG_PKTPS, 50000, 1000, 0);
    struct sharing sharing[4];
    pthread_t threads[4];
    uint64_t n_passed = 0;

    for (uint32_t i = 0; i < 4; i++) {
        sharing[i] = (struct sharing){ meter, 0 };
        CHECK(!pthread_create(&threads[i], NULL, share, &sharing[i]));
    }
    for (uint32_t i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        n_passed += sharing[i].n_passed;
    }
    /* A full bucket and 50 packets for each of 2000 ms. */
    CHECK(n_passed <= 1000 + 50 * 2000);
    CHECK(n_passed + atomic_load(&meter->bands[0].n_packets) == 4 * ROUNDS * METER_BURST_MAX);
    CHECK(atomic_load(&meter->n_packets) == 4 * ROUNDS * METER_BURST_MAX);
    free(meter);
    claim("threads that share a meter together never pass more than it allows, and every packet is counted once");
}

static void
test_table(void)
{
    struct meter_table *table = meter_table_create();
    struct meter *a = make(SLUICE_METER_FLAG_PKTPS, 1, 1, 0);
    struct meter *b = make(SLUICE_METER_FLAG_PKTPS, 1, 1, 0);
    uint32_t id;

    for (uint32_t i = 0; i < 1000; i++) {
        CHECK(meter_table_reserve(table, &id) == 0 && id == i && meter_table_get(table, id) == NULL);
    }
    meter_table_put(table, 700, a);
    CHECK(meter_table_get(table, 700) == a);
    meter_table_put(table, 700, b);
    meter_table_remove(table, 700, a);
    CHECK(meter_table_get(table, 700) == b);
    meter_table_remove(table, 700, b);
    CHECK(meter_table_get(table, 700) == NULL && meter_table_reserve(table, &id) == 0 && id == 700);
    meter_table_remove(table, 3, a);
    CHECK(meter_table_reserve(table, &id) == 0 && id == 3);
    CHECK(meter_table_get(table, METER_IDS_MAX) == NULL && meter_table_get(table, METER_IDS_MAX - 1) == NULL);
    meter_table_destroy(table);
    meter_table_destroy(NULL);
    free(a);
    free(b);
    claim("numbers are given out lowest first, and stay while a meter is replaced");
}

int
main(void)
{
    test_packets();
    test_kilobits();
    test_burst();
    test_bands();
    test_extremes();
    test_rates();
    test_threads();
    test_table();
    return 0;
}
