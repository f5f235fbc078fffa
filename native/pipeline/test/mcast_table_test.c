/* The multicast snooping table against a plain model: lists of entries in order, searched from end to end. */
#include "pipeline/mcast_table.h"

#include <stdint.h>

#include "classifier/epoch.h"
#include "packet/test/claim.h"

#include <string.h>

#define GROUPS 24u
#define VLANS 2u
#define BUNDLES 6u
#define ENTRIES_MAX 1024u
#define ROUTERS GROUPS /* The number that stands for a VLAN's routers. */

/* A member of the model: in the order of the dump within its kind. */
struct entry {
    uint32_t group;
    uint32_t vlan;
    uint32_t bundle;
    uint64_t used_s;
};

/* A group's place in the order of the last report is its index in 'order'. */
struct model {
    struct entry entries[ENTRIES_MAX];
    uint32_t n;
    struct {
        uint32_t group;
        uint32_t vlan;
    } order[GROUPS * VLANS];
    uint32_t n_groups;
    uint32_t size_max;
    uint32_t aging_s;
};

static struct model model;

static uint32_t
random_below(uint64_t *random, uint32_t n)
{
    return (uint32_t) (random_next(random) >> 32) % n;
}

static uint32_t told[GROUPS + 1][VLANS];
static uint32_t counted[MCAST_LOST + 1];

static void
make_group(uint8_t group[16], uint32_t number)
{
    memset(group, 0, 16);
    group[0] = number % 2 ? 0xff : 0;
    group[15] = (uint8_t) number;
}

static void
changed(void *aux, uint16_t vlan, const uint8_t *group)
{
    (void) aux;
    told[group ? group[15] : ROUTERS][vlan]++;
}

static void
count(void *aux, enum mcast_event event, uint32_t n)
{
    (void) aux;
    counted[event] += n;
}

static uint32_t
find_order(uint32_t group, uint32_t vlan)
{
    uint32_t i = 0;
    while (i < model.n_groups && (model.order[i].group != group || model.order[i].vlan != vlan)) {
        i++;
    }
    return i;
}

static uint32_t
find_entry(uint32_t group, uint32_t vlan, uint32_t bundle)
{
    uint32_t i = 0;
    while (i < model.n
           && (model.entries[i].group != group || model.entries[i].vlan != vlan || model.entries[i].bundle != bundle)) {
        i++;
    }
    return i;
}

static bool
drop_entry(uint32_t i)
{
    if (i == model.n) {
        return false;
    }
    memmove(&model.entries[i], &model.entries[i + 1], (--model.n - i) * sizeof model.entries[0]);
    return true;
}

static void
drop_order(uint32_t i)
{
    memmove(&model.order[i], &model.order[i + 1], (--model.n_groups - i) * sizeof model.order[0]);
}

static uint32_t
count_members(uint32_t group, uint32_t vlan)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < model.n; i++) {
        n += model.entries[i].group == group && model.entries[i].vlan == vlan;
    }
    return n;
}

static void
drop_group(uint32_t i)
{
    const uint32_t group = model.order[i].group;
    const uint32_t vlan = model.order[i].vlan;
    for (uint32_t k = model.n; k-- > 0;) {
        if (model.entries[k].group == group && model.entries[k].vlan == vlan) {
            drop_entry(k);
        }
    }
    drop_order(i);
}

static void
model_expire(uint64_t now_s)
{
    while (model.n_groups) {
        const uint32_t group = model.order[0].group;
        const uint32_t vlan = model.order[0].vlan;
        uint32_t n = 0;
        if (model.n_groups > model.size_max) {
            drop_group(0);
            continue;
        }
        for (uint32_t i = 0; i < model.n;) {
            const struct entry *entry = &model.entries[i];
            if (entry->group == group && entry->vlan == vlan && entry->used_s + model.aging_s <= now_s) {
                drop_entry(i);
                n++;
            } else {
                i++;
            }
        }
        if (!count_members(group, vlan)) {
            drop_order(0);
            n++;
        }
        if (!n) {
            break;
        }
    }
    for (uint32_t i = 0; i < model.n;) {
        bool is_old = model.entries[i].group == ROUTERS && model.entries[i].used_s + MCAST_ROUTER_AGING_S <= now_s;
        i += is_old ? 0 : 1;
        if (is_old) {
            drop_entry(i);
        }
    }
}

static void
model_add(uint32_t group, uint32_t vlan, uint32_t bundle, uint64_t now_s)
{
    if (group != ROUTERS) {
        if (find_entry(ROUTERS, vlan, bundle) < model.n) {
            return;
        }
        uint32_t i = find_order(group, vlan);
        if (i < model.n_groups) {
            drop_order(i);
        } else if (model.n_groups >= model.size_max) {
            drop_group(0);
        }
        model.order[model.n_groups].group = group;
        model.order[model.n_groups++].vlan = vlan;
    }
    drop_entry(find_entry(group, vlan, bundle));
    CHECK(model.n < ENTRIES_MAX);
    model.entries[model.n++] = (struct entry){ group, vlan, bundle, now_s };
    model_expire(now_s);
}

static void
model_flush(uint32_t bundle)
{
    for (uint32_t i = model.n; i-- > 0;) {
        const struct entry entry = model.entries[i];
        if (bundle != UINT32_MAX && entry.bundle != bundle) {
            continue;
        }
        drop_entry(i);
        if (entry.group != ROUTERS && !count_members(entry.group, entry.vlan)) {
            drop_order(find_order(entry.group, entry.vlan));
        }
    }
    if (bundle == UINT32_MAX) {
        model.n_groups = 0;
    }
}

/* Compares what lookups find with the members of the model, in order. */
static void
check_lookups(const struct mcast_table *table)
{
    for (uint32_t number = 0; number <= GROUPS; number++) {
        for (uint32_t vlan = 0; vlan < VLANS; vlan++) {
            uint8_t group[16];
            uint32_t at = 0;
            make_group(group, number);
            const struct mcast_bundles *found = number == ROUTERS ? mcast_table_routers(table, (uint16_t) vlan)
                                                                  : mcast_table_group(table, (uint16_t) vlan, group);
            bool is_known =
                number == ROUTERS ? count_members(ROUTERS, vlan) > 0 : find_order(number, vlan) < model.n_groups;
            CHECK((found != NULL) == is_known);
            for (uint32_t i = 0; found && i < model.n; i++) {
                if (model.entries[i].group == number && model.entries[i].vlan == vlan) {
                    CHECK(at < found->n && found->bundles[at] == model.entries[i].bundle);
                    at++;
                }
            }
            CHECK(!found || at == found->n);
        }
    }
}

/* Compares the dump, taken in pieces. */
static void
check_dump(struct mcast_table *table, uint64_t now_s)
{
    struct mcast_entry_info entries[7];
    uint64_t from = 0;
    uint32_t n = 0;
    uint32_t at = 0;
    for (uint32_t place = 0; place <= model.n_groups; place++) {
        const uint32_t group = place < model.n_groups ? model.order[place].group : ROUTERS;
        for (uint32_t i = 0; i < model.n; i++) {
            const struct entry *entry = &model.entries[i];
            uint8_t address[16];
            if (entry->group != group || (group != ROUTERS && entry->vlan != model.order[place].vlan)) {
                continue;
            }
            if (at == n) {
                n = mcast_table_dump(table, now_s * 1000, from, entries, 7, &from);
                at = 0;
                CHECK(n);
            }
            make_group(address, group == ROUTERS ? 0 : group);
            CHECK(!memcmp(entries[at].group, address, sizeof address));
            CHECK(entries[at].vlan == entry->vlan && entries[at].bundle == entry->bundle);
            CHECK(entries[at].is_router == (group == ROUTERS) && entries[at].age_s == now_s - entry->used_s);
            at++;
        }
    }
    CHECK(at == n && !from);
}

/* What the members of every group are, as a number each that tells sets apart. */
static void
summarize(uint64_t sums[GROUPS + 1][VLANS])
{
    memset(sums, 0, (GROUPS + 1) * VLANS * sizeof sums[0][0]);
    for (uint32_t i = 0; i < model.n_groups; i++) {
        sums[model.order[i].group][model.order[i].vlan] = UINT64_C(1) << 32;
    }
    for (uint32_t i = 0; i < model.n; i++) {
        sums[model.entries[i].group][model.entries[i].vlan] += UINT64_C(1) << model.entries[i].bundle;
    }
}

static void
step(struct mcast_table *table, uint64_t *random, uint64_t *now_s)
{
    const uint32_t number = random_below(random, GROUPS);
    const uint32_t vlan = random_below(random, VLANS);
    const uint32_t bundle = random_below(random, BUNDLES);
    const uint64_t now_ms = *now_s * 1000;
    const uint32_t dice = random_below(random, 100);
    uint8_t group[16];
    make_group(group, number);
    if (dice < 50) {
        bool was_known = find_order(number, vlan) < model.n_groups;
        bool is_refused = find_entry(ROUTERS, vlan, bundle) < model.n;
        CHECK(mcast_table_join(table, (uint16_t) vlan, group, bundle, now_ms) == (!was_known && !is_refused));
        model_add(number, vlan, bundle, *now_s);
    } else if (dice < 75) {
        bool was_there = drop_entry(find_entry(number, vlan, bundle));
        CHECK(mcast_table_leave(table, (uint16_t) vlan, group, bundle, now_ms) == was_there);
        if (was_there) {
            model_expire(*now_s);
        }
    } else if (dice < 80) {
        bool was_there = find_entry(ROUTERS, vlan, bundle) < model.n;
        CHECK(mcast_table_add_router(table, (uint16_t) vlan, bundle, now_ms) == !was_there);
        model_add(ROUTERS, vlan, bundle, *now_s);
    } else if (dice < 95) {
        *now_s += random_below(random, 12);
        mcast_table_expire(table, *now_s * 1000);
        model_expire(*now_s);
    } else if (dice < 97) {
        mcast_table_flush(table, bundle);
        model_flush(bundle);
    } else if (dice < 98) {
        mcast_table_flush(table, UINT32_MAX);
        model_flush(UINT32_MAX);
    } else {
        model.size_max = 10 + random_below(random, 30);
        model.aging_s = 15 + random_below(random, 100);
        mcast_table_configure(table, true, model.size_max, model.aging_s, now_ms);
        model_expire(*now_s);
    }
}

static void
test_random_lives(uint64_t seed)
{
    uint64_t random = seed;
    uint64_t now_s = 1000;
    struct epoch *epoch = epoch_create();
    struct mcast_table *table = mcast_table_create(epoch, &(struct mcast_hooks){ .changed = changed, .count = count });
    CHECK(table);
    memset(&model, 0, sizeof model);
    model.size_max = 20;
    model.aging_s = 60;
    mcast_table_configure(table, true, model.size_max, model.aging_s, now_s * 1000);
    for (uint32_t i = 0; i < 20000; i++) {
        uint64_t before[GROUPS + 1][VLANS];
        uint64_t after[GROUPS + 1][VLANS];
        summarize(before);
        memset(told, 0, sizeof told);
        step(table, &random, &now_s);
        summarize(after);
        check_lookups(table);
        check_dump(table, now_s);
        for (uint32_t number = 0; number <= GROUPS; number++) {
            for (uint32_t vlan = 0; vlan < VLANS; vlan++) {
                CHECK(before[number][vlan] == after[number][vlan] || told[number][vlan]);
                CHECK(before[number][vlan] != after[number][vlan] || !told[number][vlan]);
            }
        }
    }
    CHECK(counted[MCAST_LEARNED] && counted[MCAST_EXPIRED] && counted[MCAST_EVICTED] && !counted[MCAST_LOST]);
    claim("20000 random steps leave what a plain model has, and every change, and nothing else, is told");
    mcast_table_configure(table, false, model.size_max, model.aging_s, now_s * 1000);
    model_flush(UINT32_MAX);
    check_lookups(table);
    uint8_t group[16] = { 0xff };
    CHECK(!mcast_table_join(table, 0, group, 1, now_s * 1000) && !mcast_table_group(table, 0, group));
    CHECK(!mcast_table_add_router(table, 0, 1, now_s * 1000) && !mcast_table_routers(table, 0));
    claim("a table that is not enabled is empty and learns nothing");
    mcast_table_destroy(table);
    mcast_table_destroy(NULL);
    epoch_destroy(epoch);
}

static void
test_limits(void)
{
    struct epoch *epoch = epoch_create();
    struct mcast_table *table = mcast_table_create(epoch, &(struct mcast_hooks){ .changed = changed, .count = count });
    memset(counted, 0, sizeof counted);
    mcast_table_configure(table, true, 5000, 300, 1000);
    for (uint32_t i = 0; i < 20000; i++) {
        mcast_table_join(table, 1, (uint8_t[16]){ 0xff, [12] = (uint8_t) i, [13] = (uint8_t) (i >> 8), [15] = 1 },
                         i % 7, 1000);
    }
    CHECK(counted[MCAST_EVICTED] == 15000 && counted[MCAST_LEARNED] == 20000);
    uint32_t n_known = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        n_known +=
            mcast_table_group(table, 1, (uint8_t[16]){ 0xff, [12] = (uint8_t) i, [13] = (uint8_t) (i >> 8), [15] = 1 })
            != NULL;
    }
    CHECK(n_known == 5000);
    CHECK(mcast_table_expire(table, 1000) == 301000);
    CHECK(mcast_table_expire(table, 301000) == UINT64_MAX && counted[MCAST_EXPIRED] == 10000);
    claim("groups beyond the size take the place of the oldest, which is counted, and all age");
    mcast_table_destroy(table);
    epoch_destroy(epoch);
}

int
main(int argc, char **argv)
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : UINT64_C(0x6d63617374);
    printf("# seed %#llx\n", (unsigned long long) seed);
    test_random_lives(seed);
    test_limits();
    return 0;
}
