#include "pipeline/mcast_table.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/epoch.h"

#define SLOTS_MIN 64u

struct member {
    uint32_t bundle;
    uint64_t used_s;
    struct group *group;
    struct member *newer, *older;               /* In the group. */
    struct member *newer_router, *older_router; /* Among all routers. */
};

/* A group, or the routers of a VLAN.  What says which never changes. */
struct group {
    uint8_t address[16];
    uint16_t vlan;
    bool is_routers;
    _Atomic(struct mcast_bundles *) published;

    /* Under the lock. */
    uint32_t n;
    struct member *newest, *oldest;
    struct group *newer, *older; /* In the order of the last report; not routers. */
};

/* Groups by hash, open-addressed; there always is a free slot. */
struct slots {
    uint32_t mask;
    _Atomic(struct group *) groups[];
};

struct mcast_table {
    _Atomic(struct slots *) slots;

    pthread_mutex_t lock;
    struct limbo limbo;
    struct mcast_hooks hooks;
    bool is_enabled;
    uint32_t size_max;
    uint32_t aging_s;
    uint32_t n_groups; /* Without routers. */
    uint32_t n_used;   /* Slots that are not free: of groups, routers and what was removed. */
    uint32_t n_live;   /* Of groups and routers. */
    struct group *newest, *oldest;
    struct member *newest_router, *oldest_router;
};

/* What stands in a slot whose group was removed: searches go on behind it. */
static struct group removed;

static uint32_t
hash(uint16_t vlan, const uint8_t address[16], bool is_routers)
{
    uint64_t words[2];
    memcpy(words, address, sizeof words);
    uint64_t h = (words[0] ^ ((uint64_t) vlan << 1 | is_routers)) * UINT64_C(0x9e3779b97f4a7c15);
    h = (h ^ h >> 32 ^ words[1]) * UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t) ((h ^ h >> 29) >> 16);
}

static struct slots *
slots_create(uint32_t n)
{
    struct slots *slots = calloc(1, sizeof *slots + n * sizeof slots->groups[0]);
    if (slots) {
        slots->mask = n - 1;
    }
    return slots;
}

struct mcast_table *
mcast_table_create(struct epoch *epoch, const struct mcast_hooks *hooks)
{
    struct mcast_table *table = calloc(1, sizeof *table);
    struct slots *slots = slots_create(SLOTS_MIN);
    if (!table || !slots) {
        free(table);
        free(slots);
        return NULL;
    }
    atomic_init(&table->slots, slots);
    pthread_mutex_init(&table->lock, NULL);
    limbo_init(&table->limbo, epoch);
    table->hooks = *hooks;
    table->size_max = MCAST_TABLE_SIZE_DEFAULT;
    table->aging_s = MCAST_AGING_S_DEFAULT;
    return table;
}

static void
group_free(void *group_)
{
    struct group *group = group_;
    free(atomic_load_explicit(&group->published, memory_order_relaxed));
    free(group);
}

static struct slots *
slots_of(const struct mcast_table *table)
{
    return atomic_load_explicit(&table->slots, memory_order_acquire);
}

void
mcast_table_destroy(struct mcast_table *table)
{
    if (!table) {
        return;
    }
    struct slots *slots = slots_of(table);
    for (uint32_t i = 0; i <= slots->mask; i++) {
        struct group *group = atomic_load_explicit(&slots->groups[i], memory_order_relaxed);
        if (!group || group == &removed) {
            continue;
        }
        for (struct member *member = group->newest; member;) {
            struct member *older = member->older;
            free(member);
            member = older;
        }
        group_free(group);
    }
    limbo_uninit(&table->limbo);
    free(slots);
    pthread_mutex_destroy(&table->lock);
    free(table);
}

/* The slot that the group is in, or null. */
static _Atomic(struct group *) *
find_slot(const struct mcast_table *table, uint16_t vlan, const uint8_t address[16], bool is_routers)
{
    struct slots *slots = slots_of(table);
    for (uint32_t i = hash(vlan, address, is_routers);; i++) {
        _Atomic(struct group *) *slot = &slots->groups[i & slots->mask];
        const struct group *group = atomic_load_explicit(slot, memory_order_acquire);
        if (!group) {
            return NULL;
        }
        if (group != &removed && group->vlan == vlan && group->is_routers == is_routers
            && !memcmp(group->address, address, sizeof group->address)) {
            return slot;
        }
    }
}

static struct group *
find(const struct mcast_table *table, uint16_t vlan, const uint8_t address[16], bool is_routers)
{
    const _Atomic(struct group *) *slot = find_slot(table, vlan, address, is_routers);
    struct group *group = slot ? atomic_load_explicit(slot, memory_order_acquire) : NULL;
    /* It may have been removed meanwhile. */
    return group == &removed ? NULL : group;
}

static const uint8_t no_address[16];

const struct mcast_bundles *
mcast_table_group(const struct mcast_table *table, uint16_t vlan, const uint8_t group[16])
{
    const struct group *found = find(table, vlan, group, false);
    return found ? atomic_load_explicit(&found->published, memory_order_acquire) : NULL;
}

const struct mcast_bundles *
mcast_table_routers(const struct mcast_table *table, uint16_t vlan)
{
    const struct group *found = find(table, vlan, no_address, true);
    return found ? atomic_load_explicit(&found->published, memory_order_acquire) : NULL;
}

static void
tell(const struct mcast_table *table, const struct group *group)
{
    table->hooks.changed(table->hooks.aux, group->vlan, group->is_routers ? NULL : group->address);
}

static void
count(const struct mcast_table *table, enum mcast_event event, uint32_t n)
{
    if (n) {
        table->hooks.count(table->hooks.aux, event, n);
    }
}

static void
put_slot(struct slots *slots, struct group *group)
{
    uint32_t i = hash(group->vlan, group->address, group->is_routers);
    while (atomic_load_explicit(&slots->groups[i & slots->mask], memory_order_relaxed)) {
        i++;
    }
    atomic_store_explicit(&slots->groups[i & slots->mask], group, memory_order_release);
}

/* Makes sure that one more slot can be used, and that half of them are free if there is memory.  False: it cannot. */
static bool
reserve(struct mcast_table *table)
{
    struct slots *old = slots_of(table);
    if (table->n_used < (old->mask + 1) / 2) {
        return true;
    }
    uint32_t size = SLOTS_MIN;
    while (size < 4 * (table->n_live + 1)) {
        size *= 2;
    }
    struct slots *slots = slots_create(size);
    if (!slots) {
        return table->n_used < old->mask;
    }
    for (uint32_t i = 0; i <= old->mask; i++) {
        struct group *group = atomic_load_explicit(&old->groups[i], memory_order_relaxed);
        if (group && group != &removed) {
            put_slot(slots, group);
        }
    }
    table->n_used = table->n_live;
    atomic_store_explicit(&table->slots, slots, memory_order_release);
    limbo_put(&table->limbo, free, old);
    return true;
}

static void
unlink_order(struct mcast_table *table, struct group *group)
{
    *(group->newer ? &group->newer->older : &table->newest) = group->older;
    *(group->older ? &group->older->newer : &table->oldest) = group->newer;
}

static void
push_order(struct mcast_table *table, struct group *group)
{
    group->newer = NULL;
    group->older = table->newest;
    *(group->older ? &group->older->newer : &table->oldest) = group;
    table->newest = group;
}

static void
unlink_member(struct mcast_table *table, struct member *member)
{
    struct group *group = member->group;
    *(member->newer ? &member->newer->older : &group->newest) = member->older;
    *(member->older ? &member->older->newer : &group->oldest) = member->newer;
    group->n--;
    if (group->is_routers) {
        *(member->newer_router ? &member->newer_router->older_router : &table->newest_router) = member->older_router;
        *(member->older_router ? &member->older_router->newer_router : &table->oldest_router) = member->newer_router;
    }
}

static void
push_member(struct mcast_table *table, struct member *member)
{
    struct group *group = member->group;
    member->newer = NULL;
    member->older = group->newest;
    *(member->older ? &member->older->newer : &group->oldest) = member;
    group->newest = member;
    group->n++;
    if (group->is_routers) {
        member->newer_router = NULL;
        member->older_router = table->newest_router;
        *(member->older_router ? &member->older_router->newer_router : &table->oldest_router) = member;
        table->newest_router = member;
    }
}

/* Lets readers see the members as they are.  False without memory. */
static bool
publish(struct mcast_table *table, struct group *group)
{
    struct mcast_bundles *bundles = malloc(sizeof *bundles + group->n * sizeof bundles->bundles[0]);
    if (!bundles) {
        return false;
    }
    bundles->n = 0;
    for (const struct member *member = group->oldest; member; member = member->newer) {
        bundles->bundles[bundles->n++] = member->bundle;
    }
    struct mcast_bundles *old = atomic_exchange_explicit(&group->published, bundles, memory_order_acq_rel);
    if (old) {
        limbo_put(&table->limbo, free, old);
    }
    return true;
}

/* Forgets a group with all of its members. */
static void
remove_group(struct mcast_table *table, struct group *group)
{
    while (group->oldest) {
        struct member *member = group->oldest;
        unlink_member(table, member);
        free(member);
    }
    if (!group->is_routers) {
        unlink_order(table, group);
        table->n_groups--;
    }
    table->n_live--;
    _Atomic(struct group *) *slot = find_slot(table, group->vlan, group->address, group->is_routers);
    assert(slot);
    atomic_store_explicit(slot, &removed, memory_order_release);
    limbo_put(&table->limbo, group_free, group);
    tell(table, group);
}

static struct group *
add_group(struct mcast_table *table, uint16_t vlan, const uint8_t address[16], bool is_routers)
{
    if (!is_routers && table->n_groups >= table->size_max && table->oldest) {
        remove_group(table, table->oldest);
        count(table, MCAST_EVICTED, 1);
    }
    struct group *group = calloc(1, sizeof *group);
    if (!group || !reserve(table)) {
        free(group);
        return NULL;
    }
    memcpy(group->address, address, sizeof group->address);
    group->vlan = vlan;
    group->is_routers = is_routers;
    atomic_init(&group->published, NULL);
    return group;
}

/* Lets readers find a group whose members they may see. */
static void
link_group(struct mcast_table *table, struct group *group)
{
    put_slot(slots_of(table), group);
    table->n_used++;
    table->n_live++;
    if (!group->is_routers) {
        push_order(table, group);
        table->n_groups++;
    }
}

static struct member *
find_member(const struct group *group, uint32_t bundle)
{
    struct member *member = group->newest;
    while (member && member->bundle != bundle) {
        member = member->older;
    }
    return member;
}

/* Takes out a member.  Without memory the group is forgotten whole, rather than that packets go where they should not;
 * then, and if it goes because it has no members, false is returned. */
static bool
remove_member(struct mcast_table *table, struct member *member, bool keeps_empty)
{
    struct group *group = member->group;
    unlink_member(table, member);
    free(member);
    if ((!group->n && !keeps_empty) || !publish(table, group)) {
        remove_group(table, group);
        return false;
    }
    tell(table, group);
    return true;
}

/* Adds 'bundle' to a group, or makes it the newest of those that are there.  What readers see is made anew only if that
 * changes it: a host that repeats its report costs no memory.  Returns whether the group is new. */
static bool
add_member(struct mcast_table *table, uint16_t vlan, const uint8_t address[16], bool is_routers, uint32_t bundle,
           uint64_t now_ms, bool *is_new_member)
{
    struct group *known = find(table, vlan, address, is_routers);
    struct group *group = known ? known : add_group(table, vlan, address, is_routers);
    struct member *member = group ? find_member(group, bundle) : NULL;
    const bool is_in_order = member && member == group->newest;
    *is_new_member = group && !member;
    if (group && member) {
        unlink_member(table, member);
    } else if (group) {
        member = calloc(1, sizeof *member);
    }
    if (!member) {
        count(table, MCAST_LOST, 1);
        *is_new_member = false;
        if (group && !known) {
            group_free(group);
        }
        return false;
    }
    *member = (struct member){ .bundle = bundle, .used_s = now_ms / 1000, .group = group };
    push_member(table, member);
    if (!is_in_order && !publish(table, group)) {
        count(table, MCAST_LOST, 1);
        if (*is_new_member) {
            unlink_member(table, member);
            free(member);
            *is_new_member = false;
        }
        if (!known) {
            group_free(group);
        }
        return false;
    }
    if (!known) {
        link_group(table, group);
    } else if (!is_routers) {
        unlink_order(table, group);
        push_order(table, group);
    }
    if (*is_new_member) {
        tell(table, group);
    }
    return !known;
}

/* Removes members of a group whose time is up, and it too if it has none.  Returns how many went. */
static uint32_t
prune(struct mcast_table *table, struct group *group, uint64_t now_s)
{
    uint32_t n = 0;
    bool stays = true;
    while (stays && group->oldest && group->oldest->used_s + table->aging_s <= now_s) {
        stays = remove_member(table, group->oldest, false);
        n++;
    }
    if (!stays) {
        return n + 1;
    }
    if (!group->n) {
        remove_group(table, group);
        return 1;
    }
    return n;
}

static void
expire(struct mcast_table *table, uint64_t now_s)
{
    uint32_t n_expired = 0;
    while (table->oldest) {
        if (table->n_groups > table->size_max) {
            remove_group(table, table->oldest);
            count(table, MCAST_EVICTED, 1);
            continue;
        }
        uint32_t n = prune(table, table->oldest, now_s);
        if (!n) {
            break;
        }
        n_expired += n;
    }
    while (table->oldest_router && table->oldest_router->used_s + MCAST_ROUTER_AGING_S <= now_s) {
        remove_member(table, table->oldest_router, false);
        n_expired++;
    }
    count(table, MCAST_EXPIRED, n_expired);
}

static void
lock(struct mcast_table *table)
{
    pthread_mutex_lock(&table->lock);
}

static void
unlock(struct mcast_table *table)
{
    limbo_reclaim(&table->limbo);
    pthread_mutex_unlock(&table->lock);
}

bool
mcast_table_join(struct mcast_table *table, uint16_t vlan, const uint8_t group[16], uint32_t bundle, uint64_t now_ms)
{
    bool is_new = false;
    bool is_new_member;
    lock(table);
    const struct group *routers = find(table, vlan, no_address, true);
    if (table->is_enabled && !(routers && find_member(routers, bundle))) {
        is_new = add_member(table, vlan, group, false, bundle, now_ms, &is_new_member);
        count(table, MCAST_LEARNED, is_new);
        expire(table, now_ms / 1000);
    }
    unlock(table);
    return is_new;
}

bool
mcast_table_leave(struct mcast_table *table, uint16_t vlan, const uint8_t group[16], uint32_t bundle, uint64_t now_ms)
{
    lock(table);
    const struct group *known = find(table, vlan, group, false);
    struct member *member = known ? find_member(known, bundle) : NULL;
    if (member) {
        remove_member(table, member, true);
        expire(table, now_ms / 1000);
    }
    unlock(table);
    return member != NULL;
}

bool
mcast_table_add_router(struct mcast_table *table, uint16_t vlan, uint32_t bundle, uint64_t now_ms)
{
    bool is_new = false;
    lock(table);
    if (table->is_enabled) {
        add_member(table, vlan, no_address, true, bundle, now_ms, &is_new);
        count(table, MCAST_LEARNED, is_new);
        expire(table, now_ms / 1000);
    }
    unlock(table);
    return is_new;
}

uint64_t
mcast_table_expire(struct mcast_table *table, uint64_t now_ms)
{
    lock(table);
    expire(table, now_ms / 1000);
    uint64_t due_s = UINT64_MAX / 1000;
    if (table->oldest && table->oldest->oldest) {
        due_s = table->oldest->oldest->used_s + table->aging_s;
    }
    if (table->oldest_router && table->oldest_router->used_s + MCAST_ROUTER_AGING_S < due_s) {
        due_s = table->oldest_router->used_s + MCAST_ROUTER_AGING_S;
    }
    unlock(table);
    return due_s == UINT64_MAX / 1000 ? UINT64_MAX : due_s * 1000;
}

static void
forget_all(struct mcast_table *table)
{
    while (table->oldest) {
        remove_group(table, table->oldest);
    }
    while (table->oldest_router) {
        remove_group(table, table->oldest_router->group);
    }
}

void
mcast_table_configure(struct mcast_table *table, bool is_enabled, uint32_t size_max, uint32_t aging_s, uint64_t now_ms)
{
    lock(table);
    table->is_enabled = is_enabled;
    table->size_max = size_max;
    table->aging_s = aging_s;
    if (!is_enabled) {
        forget_all(table);
    }
    expire(table, now_ms / 1000);
    unlock(table);
}

void
mcast_table_flush(struct mcast_table *table, uint32_t bundle)
{
    lock(table);
    if (bundle == UINT32_MAX) {
        forget_all(table);
    }
    for (struct group *group = table->oldest; group;) {
        struct group *newer = group->newer;
        struct member *member = find_member(group, bundle);
        if (member) {
            remove_member(table, member, false);
        }
        group = newer;
    }
    for (struct member *router = table->oldest_router; router;) {
        struct member *newer = router->newer_router;
        const bool is_last = router->group->n == 1;
        if (router->bundle == bundle && !remove_member(table, router, false) && !is_last) {
            newer = table->oldest_router; /* The group went with all of its members. */
        }
        router = newer;
    }
    unlock(table);
}

/* Where a dump is. */
struct dump {
    struct mcast_entry_info *entries;
    uint32_t n;
    uint32_t used;
    uint64_t from;
    uint64_t position;
    uint64_t now_s;
};

/* Writes a member, if it is asked for.  False: there is no room. */
static bool
dump_member(struct dump *dump, const struct member *member)
{
    if (dump->position >= dump->from) {
        if (dump->used == dump->n) {
            return false;
        }
        struct mcast_entry_info *entry = &dump->entries[dump->used++];
        memcpy(entry->group, member->group->address, sizeof entry->group);
        entry->bundle = member->bundle;
        entry->age_s = (uint32_t) (dump->now_s > member->used_s ? dump->now_s - member->used_s : 0);
        entry->vlan = member->group->vlan;
        entry->is_router = member->group->is_routers;
    }
    dump->position++;
    return true;
}

static bool
dump_groups(const struct mcast_table *table, struct dump *dump)
{
    for (const struct group *group = table->oldest; group; group = group->newer) {
        for (const struct member *member = group->oldest; member; member = member->newer) {
            if (!dump_member(dump, member)) {
                return false;
            }
        }
    }
    return true;
}

static bool
dump_routers(const struct mcast_table *table, struct dump *dump)
{
    for (const struct member *router = table->oldest_router; router; router = router->newer_router) {
        if (!dump_member(dump, router)) {
            return false;
        }
    }
    return true;
}

uint32_t
mcast_table_dump(struct mcast_table *table, uint64_t now_ms, uint64_t from, struct mcast_entry_info *entries,
                 uint32_t n, uint64_t *next)
{
    struct dump dump = { .entries = entries, .n = n, .from = from, .now_s = now_ms / 1000 };
    lock(table);
    bool is_whole = dump_groups(table, &dump) && dump_routers(table, &dump);
    unlock(table);
    *next = is_whole ? 0 : dump.position;
    return dump.used;
}

uint32_t
mcast_table_dump_routers(struct mcast_table *table, uint64_t now_ms, uint64_t from, struct mcast_entry_info *entries,
                         uint32_t n, uint64_t *next)
{
    struct dump dump = { .entries = entries, .n = n, .from = from, .now_s = now_ms / 1000 };
    lock(table);
    bool is_whole = dump_routers(table, &dump);
    unlock(table);
    *next = is_whole ? 0 : dump.position;
    return dump.used;
}
