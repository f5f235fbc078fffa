/* Claims: queues whose packets miss take no more than their share of a worker while others wait, nobody starves, and
 * who is alone gets everything. */
#undef NDEBUG
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "packet/packet.h"
#include "worker/miss_share.h"
#include "worker/state.h"

#define QUEUES_MAX 4

/* What a queue of the model sends: bursts of 'n' packets, of which 'n_misses' miss. */
struct traffic {
    uint32_t n;
    uint32_t n_misses;
};

#define HIT_CYCLES 90u
#define MISS_CYCLES 1500u

struct model {
    struct miss_share share;
    struct queue_list *list;
    struct rx_queue queues[QUEUES_MAX];
    struct traffic traffic[QUEUES_MAX];
    uint64_t cycles[QUEUES_MAX]; /* Spent on each. */
    uint64_t n_packets[QUEUES_MAX];
    uint64_t all;
};

static struct model *
create(uint32_t n, const struct traffic *traffic)
{
    struct model *model = calloc(1, sizeof *model);

    assert(model != NULL && n <= QUEUES_MAX);
    model->list = calloc(1, sizeof *model->list + n * sizeof model->list->queues[0]);
    assert(model->list != NULL);
    miss_share_init(&model->share);
    model->list->n = n;
    for (uint32_t i = 0; i < n; i++) {
        model->list->queues[i] = &model->queues[i];
        model->traffic[i] = traffic[i];
    }
    return model;
}

static void
destroy(struct model *model)
{
    free(model->list);
    free(model);
}

/* One turn, as a worker does it. */
static void
turn(struct model *model)
{
    uint64_t took = 0;

    for (uint32_t i = 0; i < model->list->n; i++) {
        struct miss_debt *debt = &model->queues[i].debt;
        const struct traffic *traffic = &model->traffic[i];
        if (traffic->n == 0 || miss_share_holds(&model->share, debt)) {
            continue;
        }
        uint64_t misses = (uint64_t) traffic->n_misses * MISS_CYCLES;
        uint64_t whole = misses + (uint64_t) (traffic->n - traffic->n_misses) * HIT_CYCLES;
        _Bool measured = debt->cycles != 0;
        model->share.n_misses = traffic->n_misses;
        model->share.miss_cycles = misses;
        if (measured || misses != 0) {
            miss_share_charge(&model->share, debt, traffic->n, traffic->n, measured ? whole : 0);
        }
        if (traffic->n == PACKET_BATCH_MAX) {
            miss_share_backlog(&model->share, debt);
        }
        model->cycles[i] += whole;
        model->n_packets[i] += traffic->n;
        took += whole;
    }
    took += 100;
    model->all += took;
    miss_share_turn(&model->share, model->list, took);
}

static void
run(struct model *model, uint64_t cycles)
{
    for (uint64_t until = model->all + cycles; model->all < until;) {
        turn(model);
    }
}

#define RUN UINT64_C(1000000000)

static double
part_of(const struct model *model, uint32_t i)
{
    return (double) model->cycles[i] / (double) model->all;
}

static void
test_attacker_gets_its_share(void)
{
    const struct traffic traffic[] = { { 32, 0 }, { 32, 32 } };
    struct model *model = create(2, traffic);

    run(model, RUN);
    assert(part_of(model, 1) < 1.1 / MISS_SHARE && part_of(model, 1) > 0.9 / MISS_SHARE);
    assert(part_of(model, 0) > 0.8);
    assert(atomic_load(&model->queues[1].debt.n_misses) == model->n_packets[1]);
    destroy(model);
}

static void
test_several_attackers_share_one_part(void)
{
    const struct traffic traffic[] = { { 32, 32 }, { 32, 0 }, { 32, 32 }, { 32, 32 } };
    struct model *model = create(4, traffic);

    run(model, RUN);
    assert(part_of(model, 1) > 0.8);
    for (uint32_t i = 0; i < 4; i++) {
        assert(i == 1 || (part_of(model, i) > 0.02 && part_of(model, i) < 0.05));
    }
    destroy(model);
}

static void
test_new_flows_of_others_do_not_wait(void)
{
    /* One packet in a hundred is the first of its flow. */
    const struct traffic traffic[] = { { 32, 0 }, { 32, 32 } };
    struct model *model = create(2, traffic);
    uint64_t n_turns = 0;

    for (uint64_t begin = model->all; model->all < begin + RUN; n_turns++) {
        model->traffic[0].n_misses = n_turns % 3 == 0;
        turn(model);
    }
    assert(model->n_packets[0] == 32 * n_turns && atomic_load(&model->queues[0].debt.n_misses) > n_turns / 4);
    assert(part_of(model, 0) > 0.8 && part_of(model, 1) > 0.02);
    destroy(model);
}

static void
test_alone_or_beside_idle_ports_it_gets_everything(void)
{
    const struct traffic traffic[] = { { 32, 32 }, { 0, 0 }, { 8, 0 } };
    struct model *alone = create(2, traffic);
    struct model *beside = create(3, traffic);

    run(alone, RUN);
    assert(part_of(alone, 0) > 0.99);
    /* A port without a backlog leaves what it does not need to others. */
    run(beside, RUN);
    assert(part_of(beside, 0) > 0.95);
    destroy(alone);
    destroy(beside);
}

static void
test_ports_that_all_miss_much_share_equally(void)
{
    /* The one spends a fifth of its packets on new flows, far more than others pay for. */
    const struct traffic traffic[] = { { 32, 6 }, { 32, 32 } };
    struct model *model = create(2, traffic);

    run(model, RUN);
    assert(part_of(model, 0) > 0.45 && part_of(model, 1) > 0.25);
    destroy(model);
}

static void
test_attackers_alone_share_equally(void)
{
    const struct traffic traffic[] = { { 32, 32 }, { 32, 32 } };
    struct model *model = create(2, traffic);

    run(model, RUN);
    assert(part_of(model, 0) > 0.49 && part_of(model, 1) > 0.49);
    destroy(model);
}

static void
test_debts_are_forgotten_when_the_attack_ends(void)
{
    const struct traffic traffic[] = { { 32, 0 }, { 32, 32 } };
    struct model *model = create(2, traffic);

    run(model, RUN);
    model->traffic[1].n_misses = 0;
    /* A quarter of a second later, its packets count as much as others'. */
    run(model, RUN / 2);
    uint64_t before[] = { model->n_packets[0], model->n_packets[1] };
    run(model, RUN / 10);
    assert(model->n_packets[0] - before[0] == model->n_packets[1] - before[1]);
    assert(model->queues[1].debt.cycles == 0 && model->share.n_debtors == 0);
    destroy(model);
}

static void
test_long_searches_cost(void)
{
    struct miss_share share = { 0 };
    struct miss_debt debt = { 0 };

    miss_share_charge(&share, &debt, 32, UINT64_C(32) * MISS_SHARE_PROBES, 0);
    assert(debt.cycles == 0 && share.n_debtors == 0);
    miss_share_charge(&share, &debt, 32, 32 * 136, 0);
    assert(debt.cycles > 32 * 100 * 10 && share.n_debtors == 1);
}

int
main(void)
{
    test_attacker_gets_its_share();
    test_several_attackers_share_one_part();
    test_new_flows_of_others_do_not_wait();
    test_alone_or_beside_idle_ports_it_gets_everything();
    test_ports_that_all_miss_much_share_equally();
    test_attackers_alone_share_equally();
    test_debts_are_forgotten_when_the_attack_ends();
    test_long_searches_cost();
    printf("ok - miss_share\n");
    return 0;
}
