/* The multicast snooping table with threads that learn and threads that look up at once. */
#include <pthread.h>
#include <stdatomic.h>

#include "classifier/epoch.h"
#include "packet/test/claim.h"
#include "pipeline/mcast_table.h"

#define WRITERS 2u
#define READERS 2u
#define ROUNDS 20000u
#define GROUPS 40u
#define BUNDLES 8u

static struct epoch *epoch;
static struct mcast_table *table;
static atomic_uint n_changes, n_over;
static atomic_ullong now_ms = 1000;

static void
changed(void *aux, uint16_t vlan, const uint8_t *group)
{
    (void) aux;
    CHECK(vlan < 2 && (!group || group[15] < GROUPS));
    atomic_fetch_add(&n_changes, 1);
}

static void
count(void *aux, enum mcast_event event, uint32_t n)
{
    (void) aux;
    CHECK(event <= MCAST_LOST && n);
}

/* Members are there once each, however often they said so. */
static uint32_t
check(const struct mcast_bundles *found)
{
    uint32_t seen = 0;
    for (uint32_t i = 0; found && i < found->n; i++) {
        CHECK(found->n <= BUNDLES && found->bundles[i] < BUNDLES && !(seen & 1u << found->bundles[i]));
        seen |= 1u << found->bundles[i];
    }
    return seen != 0;
}

static void *
look_up(void *aux)
{
    struct epoch_reader *reader = epoch_register(epoch);
    uint64_t random = 100 + (uint64_t) (uintptr_t) aux;
    uint32_t n_found = 0;
    while (atomic_load(&n_over) < WRITERS || !n_found) {
        for (uint32_t i = 0; i < 32; i++) {
            const uint8_t group[16] = { 0xff, [15] = (uint8_t) (random_next(&random) % GROUPS) };
            const uint16_t vlan = (uint16_t) (random_next(&random) % 2);
            n_found += check(mcast_table_group(table, vlan, group));
            check(mcast_table_routers(table, vlan));
        }
        epoch_quiesce(reader);
    }
    epoch_unregister(reader);
    return NULL;
}

static void *
learn(void *aux)
{
    uint64_t random = 1 + (uint64_t) (uintptr_t) aux;
    struct mcast_entry_info entries[8];
    for (uint32_t i = 0; i < ROUNDS; i++) {
        const uint8_t group[16] = { 0xff, [15] = (uint8_t) (random_next(&random) % GROUPS) };
        const uint16_t vlan = (uint16_t) (random_next(&random) % 2);
        const uint32_t bundle = (uint32_t) (random_next(&random) % BUNDLES);
        const uint64_t now = atomic_fetch_add(&now_ms, 7);
        uint64_t from = 0;
        switch (random_next(&random) % 16) {
        case 0:
            mcast_table_add_router(table, vlan, bundle, now);
            break;
        case 1:
            mcast_table_flush(table, bundle);
            break;
        case 2:
            mcast_table_expire(table, now);
            break;
        case 3:
            mcast_table_dump(table, now, 0, entries, 8, &from);
            break;
        case 4:
            mcast_table_configure(table, true, 20 + i % 60, 30 + i % 20, now);
            break;
        case 5:
        case 6:
            mcast_table_leave(table, vlan, group, bundle, now);
            break;
        default:
            mcast_table_join(table, vlan, group, bundle, now);
            /* The same host says it again. */
            mcast_table_join(table, vlan, group, bundle, now);
        }
    }
    /* What the readers wait for. */
    mcast_table_flush(table, UINT32_MAX);
    for (uint8_t i = 0; i < GROUPS; i++) {
        mcast_table_join(table, 0, (uint8_t[16]){ 0xff, [15] = i }, 1, atomic_load(&now_ms));
    }
    atomic_fetch_add(&n_over, 1);
    return NULL;
}

int
main(void)
{
    pthread_t threads[WRITERS + READERS];
    epoch = epoch_create();
    table = mcast_table_create(epoch, &(struct mcast_hooks){ .changed = changed, .count = count });
    CHECK(epoch && table);
    mcast_table_configure(table, true, 60, 30, 1000);
    for (uintptr_t i = 0; i < WRITERS + READERS; i++) {
        CHECK(!pthread_create(&threads[i], NULL, i < WRITERS ? learn : look_up, (void *) i));
    }
    for (uint32_t i = 0; i < WRITERS + READERS; i++) {
        pthread_join(threads[i], NULL);
    }
    CHECK(atomic_load(&n_changes));
    mcast_table_destroy(table);
    epoch_destroy(epoch);
    claim("groups that come, go and age under lookups have each member once, whoever says it how often");
    return 0;
}
