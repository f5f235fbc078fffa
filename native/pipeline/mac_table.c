#include "pipeline/mac_table.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/epoch.h"

#define BUCKETS_MIN 64u

/* An entry that is learned again within this time is left alone. */
#define REFRESH_MS 1000u

/* An entry.  'id' is the VLAN above the 48 bits of the address, and never changes. */
struct mac_entry {
    _Atomic(struct mac_entry *) next;
    uint64_t id;
    _Atomic uint32_t bundle;
    _Atomic uint64_t used_ms;
    _Atomic bool is_static;

    /* Under the lock. */
    uint64_t locked_until_ms;        /* Gratuitous ARPs behind a bond do not move it before. */
    struct mac_entry *newer, *older; /* In the order of its kind. */
};

/* Entries of a kind by 'used_ms', roughly: refreshed entries move to the front. */
struct mac_order {
    struct mac_entry *newest, *oldest;
    uint32_t n;
};

/* Kinds of entries. */
enum { LEARNED, STATIC, N_KINDS };

struct bundle_count {
    uint32_t bundle;
    uint32_t n;
};

struct buckets {
    uint32_t mask;
    _Atomic(struct mac_entry *) heads[];
};

struct mac_table {
    _Atomic uint32_t refs;
    _Atomic(struct buckets *) buckets;

    pthread_mutex_t lock;
    struct limbo limbo;
    mac_changed_func *changed;
    void *aux;
    bool retired;
    uint32_t n;
    uint32_t size_max;
    uint32_t aging_s;
    struct mac_order orders[N_KINDS];
    uint64_t n_changes[MAC_SET + 1];
    struct bundle_count *counts; /* Of the bundles that learned entries are behind, in no order. */
    uint32_t n_counts;
    uint32_t counts_capacity;
};

static uint64_t
used_ms(const struct mac_entry *entry)
{
    return atomic_load_explicit(&entry->used_ms, memory_order_relaxed);
}

static void
set_used_ms(struct mac_entry *entry, uint64_t when_ms)
{
    atomic_store_explicit(&entry->used_ms, when_ms, memory_order_relaxed);
}

static uint64_t
entry_id(uint16_t vlan, uint64_t mac)
{
    return mac | (uint64_t) vlan << 48;
}

static uint32_t
hash_id(uint64_t id)
{
    id *= UINT64_C(0x9e3779b97f4a7c15);
    id ^= id >> 32;
    id *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t) (id >> 32);
}

static struct buckets *
buckets_create(uint32_t n)
{
    struct buckets *buckets = calloc(1, sizeof *buckets + n * sizeof buckets->heads[0]);
    if (buckets) {
        buckets->mask = n - 1;
    }
    return buckets;
}

struct mac_table *
mac_table_create(struct epoch *epoch, mac_changed_func *changed, void *aux)
{
    struct mac_table *table = calloc(1, sizeof *table);
    struct buckets *buckets = buckets_create(BUCKETS_MIN);
    if (!table || !buckets) {
        free(table);
        free(buckets);
        return NULL;
    }
    atomic_init(&table->refs, 1);
    atomic_init(&table->buckets, buckets);
    pthread_mutex_init(&table->lock, NULL);
    limbo_init(&table->limbo, epoch);
    table->changed = changed;
    table->aux = aux;
    table->size_max = MAC_TABLE_SIZE_DEFAULT;
    table->aging_s = MAC_AGING_S_DEFAULT;
    return table;
}

void
mac_table_ref(struct mac_table *table)
{
    atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
}

void
mac_table_unref(struct mac_table *table)
{
    if (!table || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) != 1) {
        return;
    }
    for (uint32_t kind = 0; kind < N_KINDS; kind++) {
        for (struct mac_entry *entry = table->orders[kind].newest; entry;) {
            struct mac_entry *older = entry->older;
            free(entry);
            entry = older;
        }
    }
    limbo_uninit(&table->limbo);
    free(table->counts);
    free(atomic_load_explicit(&table->buckets, memory_order_relaxed));
    pthread_mutex_destroy(&table->lock);
    free(table);
}

static void
tell(struct mac_table *table, uint64_t id, enum mac_change change)
{
    table->n_changes[change]++;
    if (!table->retired && table->changed) {
        table->changed(table->aux, (uint16_t) (id >> 48), id & UINT64_C(0xffffffffffff), change);
    }
}

static struct mac_entry *
find(const struct mac_table *table, uint64_t id)
{
    const struct buckets *buckets = atomic_load_explicit(&table->buckets, memory_order_acquire);
    struct mac_entry *entry = atomic_load_explicit(&buckets->heads[hash_id(id) & buckets->mask], memory_order_acquire);
    while (entry && entry->id != id) {
        entry = atomic_load_explicit(&entry->next, memory_order_acquire);
    }
    return entry;
}

static bool
is_static(const struct mac_entry *entry)
{
    return atomic_load_explicit(&entry->is_static, memory_order_relaxed);
}

static struct mac_order *
order_of(struct mac_table *table, const struct mac_entry *entry)
{
    return &table->orders[is_static(entry) ? STATIC : LEARNED];
}

static void
unlink_age(struct mac_table *table, struct mac_entry *entry)
{
    struct mac_order *order = order_of(table, entry);
    *(entry->newer ? &entry->newer->older : &order->newest) = entry->older;
    *(entry->older ? &entry->older->newer : &order->oldest) = entry->newer;
    order->n--;
}

static void
push_newest(struct mac_table *table, struct mac_entry *entry)
{
    struct mac_order *order = order_of(table, entry);
    entry->newer = NULL;
    entry->older = order->newest;
    *(entry->older ? &entry->older->newer : &order->oldest) = entry;
    order->newest = entry;
    order->n++;
}

static void
link_bucket(struct buckets *buckets, struct mac_entry *entry)
{
    _Atomic(struct mac_entry *) *head = &buckets->heads[hash_id(entry->id) & buckets->mask];
    atomic_store_explicit(&entry->next, atomic_load_explicit(head, memory_order_relaxed), memory_order_relaxed);
    atomic_store_explicit(head, entry, memory_order_release);
}

/* One entry more or less behind 'bundle'.  Without memory a bundle goes uncounted: eviction is then less fair. */
static void
count_bundle(struct mac_table *table, uint32_t bundle, int delta)
{
    uint32_t i = 0;
    while (i < table->n_counts && table->counts[i].bundle != bundle) {
        i++;
    }
    if (i == table->n_counts) {
        if (delta < 0) {
            return;
        }
        if (i == table->counts_capacity) {
            uint32_t capacity = i ? 2 * i : 8;
            struct bundle_count *counts = realloc(table->counts, capacity * sizeof *counts);
            if (!counts) {
                return;
            }
            table->counts = counts;
            table->counts_capacity = capacity;
        }
        table->counts[table->n_counts++] = (struct bundle_count){ bundle, 0 };
    }
    table->counts[i].n += (uint32_t) delta;
    if (!table->counts[i].n) {
        table->counts[i] = table->counts[--table->n_counts];
    }
}

/* Takes an entry out of its bucket and of the order of age, and tells. */
static void
remove_entry(struct mac_table *table, struct mac_entry *entry, enum mac_change change)
{
    struct buckets *buckets = atomic_load_explicit(&table->buckets, memory_order_relaxed);
    _Atomic(struct mac_entry *) *link = &buckets->heads[hash_id(entry->id) & buckets->mask];
    struct mac_entry *at;
    while ((at = atomic_load_explicit(link, memory_order_relaxed)) != entry) {
        assert(at);
        link = &at->next;
    }
    atomic_store_explicit(link, atomic_load_explicit(&entry->next, memory_order_relaxed), memory_order_release);
    unlink_age(table, entry);
    table->n--;
    if (!is_static(entry)) {
        count_bundle(table, atomic_load_explicit(&entry->bundle, memory_order_relaxed), -1);
    }
    uint64_t id = entry->id;
    limbo_put(&table->limbo, free, entry);
    tell(table, id, change);
}

/* Copies the entries of an order from the newest to the oldest; '*copies' gets the oldest, linked by 'newer'.  False
 * without memory. */
static bool
copy_order(const struct mac_order *order, struct mac_entry **copies)
{
    *copies = NULL;
    for (struct mac_entry *entry = order->newest; entry; entry = entry->older) {
        struct mac_entry *copy = malloc(sizeof *copy);
        if (!copy) {
            return false;
        }
        copy->id = entry->id;
        atomic_init(&copy->used_ms, used_ms(entry));
        atomic_init(&copy->is_static, is_static(entry));
        copy->locked_until_ms = entry->locked_until_ms;
        atomic_init(&copy->bundle, atomic_load_explicit(&entry->bundle, memory_order_relaxed));
        copy->newer = *copies;
        *copies = copy;
    }
    return true;
}

static void
free_copies(struct mac_entry *copies)
{
    while (copies) {
        struct mac_entry *next = copies->newer;
        free(copies);
        copies = next;
    }
}

/* Doubles the buckets.  Entries are copied, since readers may be walking along the old ones. */
static void
grow(struct mac_table *table)
{
    struct buckets *old = atomic_load_explicit(&table->buckets, memory_order_relaxed);
    struct buckets *buckets = buckets_create(2 * (old->mask + 1));
    struct mac_entry *copies[N_KINDS] = { NULL };
    if (!buckets || !copy_order(&table->orders[LEARNED], &copies[LEARNED])
        || !copy_order(&table->orders[STATIC], &copies[STATIC])) {
        free_copies(copies[LEARNED]);
        free_copies(copies[STATIC]);
        free(buckets);
        return;
    }
    for (uint32_t kind = 0; kind < N_KINDS; kind++) {
        struct mac_order *order = &table->orders[kind];
        for (struct mac_entry *entry = order->newest; entry;) {
            struct mac_entry *older = entry->older;
            limbo_put(&table->limbo, free, entry);
            entry = older;
        }
        order->oldest = copies[kind];
        order->newest = NULL;
        for (struct mac_entry *copy = copies[kind]; copy; copy = copy->newer) {
            copy->older = order->newest;
            order->newest = copy;
            link_bucket(buckets, copy);
        }
    }
    atomic_store_explicit(&table->buckets, buckets, memory_order_release);
    limbo_put(&table->limbo, free, old);
}

/* The bundle with the most entries. */
static uint32_t
biggest_bundle(const struct mac_table *table)
{
    struct bundle_count best = { 0, 0 };
    for (uint32_t i = 0; i < table->n_counts; i++) {
        best = table->counts[i].n > best.n ? table->counts[i] : best;
    }
    return best.bundle;
}

/* Makes room for one: drops the oldest entry of the bundle that has most.  False if all are static. */
static bool
evict(struct mac_table *table)
{
    uint32_t bundle = biggest_bundle(table);
    struct mac_entry *oldest = table->orders[LEARNED].oldest;
    struct mac_entry *entry = oldest;
    while (entry && atomic_load_explicit(&entry->bundle, memory_order_relaxed) != bundle) {
        entry = entry->newer;
    }
    if (!oldest) {
        return false;
    }
    remove_entry(table, entry ? entry : oldest, MAC_EVICTED);
    return true;
}

void
mac_table_configure(struct mac_table *table, uint32_t size_max, uint32_t aging_s)
{
    pthread_mutex_lock(&table->lock);
    table->size_max = size_max ? size_max : 1;
    table->aging_s = aging_s;
    while (table->n > table->size_max && evict(table)) {
    }
    pthread_mutex_unlock(&table->lock);
}

void
mac_table_retire(struct mac_table *table)
{
    pthread_mutex_lock(&table->lock);
    table->retired = true;
    pthread_mutex_unlock(&table->lock);
}

bool
mac_table_lookup(const struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t *bundle)
{
    const struct mac_entry *entry = find(table, entry_id(vlan, mac));
    if (entry) {
        *bundle = atomic_load_explicit(&entry->bundle, memory_order_relaxed);
    }
    return entry != NULL;
}

bool
mac_table_is_locked(struct mac_table *table, uint16_t vlan, uint64_t mac, uint64_t now_ms)
{
    pthread_mutex_lock(&table->lock);
    const struct mac_entry *entry = find(table, entry_id(vlan, mac));
    bool locked = entry && now_ms < entry->locked_until_ms;
    pthread_mutex_unlock(&table->lock);
    return locked;
}

/* Adds an address that is not there.  False without room. */
static bool
add(struct mac_table *table, uint64_t id, uint32_t bundle, bool as_static, uint64_t locked_until_ms, uint64_t now_ms)
{
    if (table->n >= table->size_max && !evict(table)) {
        return false;
    }
    struct mac_entry *entry = calloc(1, sizeof *entry);
    if (!entry) {
        return false;
    }
    if (table->n >= 2 * (atomic_load_explicit(&table->buckets, memory_order_relaxed)->mask + 1)) {
        grow(table);
    }
    entry->id = id;
    atomic_init(&entry->bundle, bundle);
    atomic_init(&entry->is_static, as_static);
    set_used_ms(entry, now_ms);
    entry->locked_until_ms = locked_until_ms;
    push_newest(table, entry);
    table->n++;
    if (!as_static) {
        count_bundle(table, bundle, 1);
    }
    link_bucket(atomic_load_explicit(&table->buckets, memory_order_relaxed), entry);
    tell(table, id, as_static ? MAC_SET : MAC_LEARNED);
    return true;
}

static bool
learn(struct mac_table *table, uint64_t id, uint32_t bundle, bool gratuitous, bool bond, uint64_t now_ms)
{
    struct mac_entry *entry = find(table, id);
    uint64_t locked_until_ms = gratuitous && !bond ? now_ms + MAC_GRATUITOUS_LOCK_MS : 0;
    if (!entry) {
        return add(table, id, bundle, false, locked_until_ms, now_ms);
    }
    if (is_static(entry) || (gratuitous && bond && now_ms < entry->locked_until_ms)) {
        return false;
    }
    if (locked_until_ms) {
        entry->locked_until_ms = locked_until_ms;
    }
    set_used_ms(entry, now_ms);
    unlink_age(table, entry);
    push_newest(table, entry);
    uint32_t old = atomic_load_explicit(&entry->bundle, memory_order_relaxed);
    if (old == bundle) {
        return false;
    }
    count_bundle(table, old, -1);
    count_bundle(table, bundle, 1);
    atomic_store_explicit(&entry->bundle, bundle, memory_order_release);
    tell(table, id, MAC_MOVED);
    return true;
}

bool
mac_table_learn(struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t bundle, bool gratuitous, bool bond,
                uint64_t now_ms)
{
    /* Most packets are from where the address is known to be. */
    const struct mac_entry *known = find(table, entry_id(vlan, mac));
    if (known
        && (is_static(known)
            || (!gratuitous && atomic_load_explicit(&known->bundle, memory_order_relaxed) == bundle
                && now_ms < used_ms(known) + REFRESH_MS))) {
        return false;
    }

    pthread_mutex_lock(&table->lock);
    bool news = !table->retired && learn(table, entry_id(vlan, mac), bundle, gratuitous, bond, now_ms);
    limbo_reclaim(&table->limbo);
    pthread_mutex_unlock(&table->lock);
    return news;
}

void
mac_table_refresh(struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t bundle, uint64_t when_ms)
{
    pthread_mutex_lock(&table->lock);
    struct mac_entry *entry = find(table, entry_id(vlan, mac));
    if (entry && !is_static(entry) && atomic_load_explicit(&entry->bundle, memory_order_relaxed) == bundle
        && used_ms(entry) < when_ms) {
        set_used_ms(entry, when_ms);
        unlink_age(table, entry);
        push_newest(table, entry);
    }
    pthread_mutex_unlock(&table->lock);
}

uint64_t
mac_table_expire(struct mac_table *table, uint64_t now_ms)
{
    pthread_mutex_lock(&table->lock);
    uint64_t age_ms = (uint64_t) table->aging_s * 1000;
    const struct mac_order *order = &table->orders[LEARNED];
    while (order->oldest && used_ms(order->oldest) + age_ms <= now_ms) {
        remove_entry(table, order->oldest, MAC_EXPIRED);
    }
    uint64_t due = order->oldest ? used_ms(order->oldest) + age_ms : UINT64_MAX;
    limbo_reclaim(&table->limbo);
    pthread_mutex_unlock(&table->lock);
    return due;
}

void
mac_table_flush(struct mac_table *table, uint32_t bundle)
{
    pthread_mutex_lock(&table->lock);
    for (uint32_t kind = 0; kind < N_KINDS; kind++) {
        for (struct mac_entry *entry = table->orders[kind].newest; entry;) {
            struct mac_entry *older = entry->older;
            if (bundle == UINT32_MAX ? kind == LEARNED
                                     : atomic_load_explicit(&entry->bundle, memory_order_relaxed) == bundle) {
                remove_entry(table, entry, MAC_FLUSHED);
            }
            entry = older;
        }
    }
    limbo_reclaim(&table->limbo);
    pthread_mutex_unlock(&table->lock);
}

bool
mac_table_set_static(struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t bundle, uint64_t now_ms)
{
    uint64_t id = entry_id(vlan, mac);
    bool done = true;
    pthread_mutex_lock(&table->lock);
    struct mac_entry *entry = find(table, id);
    if (!entry) {
        done = add(table, id, bundle, true, 0, now_ms);
    } else {
        if (!is_static(entry)) {
            count_bundle(table, atomic_load_explicit(&entry->bundle, memory_order_relaxed), -1);
        }
        unlink_age(table, entry);
        atomic_store_explicit(&entry->is_static, true, memory_order_relaxed);
        set_used_ms(entry, now_ms);
        push_newest(table, entry);
        bool moves = atomic_load_explicit(&entry->bundle, memory_order_relaxed) != bundle;
        atomic_store_explicit(&entry->bundle, bundle, memory_order_release);
        tell(table, id, moves ? MAC_MOVED : MAC_SET);
    }
    limbo_reclaim(&table->limbo);
    pthread_mutex_unlock(&table->lock);
    return done;
}

void
mac_table_forget(struct mac_table *table, uint16_t vlan, uint64_t mac)
{
    pthread_mutex_lock(&table->lock);
    struct mac_entry *entry = find(table, entry_id(vlan, mac));
    if (entry && !is_static(entry)) {
        remove_entry(table, entry, MAC_FLUSHED);
    }
    limbo_reclaim(&table->limbo);
    pthread_mutex_unlock(&table->lock);
}

bool
mac_table_remove_static(struct mac_table *table, uint16_t vlan, uint64_t mac)
{
    pthread_mutex_lock(&table->lock);
    struct mac_entry *entry = find(table, entry_id(vlan, mac));
    bool found = entry && is_static(entry);
    if (found) {
        remove_entry(table, entry, MAC_FLUSHED);
    }
    limbo_reclaim(&table->limbo);
    pthread_mutex_unlock(&table->lock);
    return found;
}

bool
mac_table_has_static(struct mac_table *table, uint16_t vlan, uint64_t mac)
{
    pthread_mutex_lock(&table->lock);
    const struct mac_entry *entry = find(table, entry_id(vlan, mac));
    bool found = entry && is_static(entry);
    pthread_mutex_unlock(&table->lock);
    return found;
}

bool
mac_table_holds(const struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t bundle)
{
    const struct mac_entry *entry = find(table, entry_id(vlan, mac));
    return entry && is_static(entry) && atomic_load_explicit(&entry->bundle, memory_order_relaxed) != bundle;
}

void
mac_table_get_stats(struct mac_table *table, struct mac_table_stats *stats)
{
    pthread_mutex_lock(&table->lock);
    stats->n = table->n;
    stats->n_static = table->orders[STATIC].n;
    stats->size_max = table->size_max;
    memcpy(stats->n_changes, table->n_changes, sizeof stats->n_changes);
    pthread_mutex_unlock(&table->lock);
}

void
mac_table_clear_stats(struct mac_table *table)
{
    pthread_mutex_lock(&table->lock);
    memset(table->n_changes, 0, sizeof table->n_changes);
    pthread_mutex_unlock(&table->lock);
}

uint32_t
mac_table_count(struct mac_table *table)
{
    pthread_mutex_lock(&table->lock);
    uint32_t n = table->n;
    pthread_mutex_unlock(&table->lock);
    return n;
}

uint32_t
mac_table_dump(struct mac_table *table, uint64_t from, struct mac_entry_info *entries, uint32_t n, uint64_t *next)
{
    pthread_mutex_lock(&table->lock);
    uint64_t position = 0;
    uint32_t used = 0;
    uint32_t kind = STATIC;
    const struct mac_entry *entry = table->orders[STATIC].oldest;
    for (;; entry = entry->newer, position++) {
        if (!entry && kind == STATIC) {
            kind = LEARNED;
            entry = table->orders[LEARNED].oldest;
        }
        if (!entry || used == n) {
            break;
        }
        if (position >= from) {
            entries[used++] = (struct mac_entry_info){
                .mac = entry->id & UINT64_C(0xffffffffffff),
                .bundle = atomic_load_explicit(&entry->bundle, memory_order_relaxed),
                .vlan = (uint16_t) (entry->id >> 48),
                .is_static = kind == STATIC,
                .used_ms = used_ms(entry),
            };
        }
    }
    *next = entry ? position : 0;
    pthread_mutex_unlock(&table->lock);
    return used;
}
