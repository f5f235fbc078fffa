#include "tunnel/neighbor.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define BUCKETS 256u
#define ASK_SLOTS 256u
#define ASK_INTERVAL_MS 1000u

struct neighbor {
    _Atomic uint32_t refs;
    _Atomic uint32_t aging_ms;
    _Atomic uint64_t expires_ms;
    struct neighbor *next; /* Under the mutex, as all below. */
    struct neighbor_info info;
};

struct neighbor_table {
    pthread_mutex_t mutex;
    neighbor_changed_func *changed;
    void *aux;
    uint32_t aging_ms;
    uint32_t n;
    struct neighbor *buckets[BUCKETS];
    uint64_t may_ask_ms[ASK_SLOTS]; /* By hash: when the next request may go. */
};

static uint64_t
hash_address(uint32_t device, const uint8_t address[16])
{
    uint64_t words[2];
    memcpy(words, address, sizeof words);
    uint64_t hash = (words[0] ^ device) * UINT64_C(0x9e3779b97f4a7c15) + words[1];
    hash ^= hash >> 29;
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    return hash >> 32;
}

struct neighbor_table *
neighbor_table_create(neighbor_changed_func *changed, void *aux)
{
    struct neighbor_table *table = calloc(1, sizeof *table);
    if (table) {
        pthread_mutex_init(&table->mutex, NULL);
        table->changed = changed;
        table->aux = aux;
        table->aging_ms = NEIGHBOR_AGING_MS;
    }
    return table;
}

void
neighbor_ref(struct neighbor *entry)
{
    atomic_fetch_add_explicit(&entry->refs, 1, memory_order_relaxed);
}

void
neighbor_unref(struct neighbor *entry)
{
    if (entry && atomic_fetch_sub_explicit(&entry->refs, 1, memory_order_acq_rel) == 1) {
        free(entry);
    }
}

/* Where the pointer to the entry is, or null. */
static struct neighbor **
find(struct neighbor_table *table, uint32_t device, const uint8_t address[16])
{
    struct neighbor **link = &table->buckets[hash_address(device, address) % BUCKETS];
    for (; *link; link = &(*link)->next) {
        if ((*link)->info.device == device && !memcmp((*link)->info.address, address, 16)) {
            return link;
        }
    }
    return NULL;
}

/* Unlinks and tells.  With the mutex. */
static void
forget(struct neighbor_table *table, struct neighbor **link)
{
    struct neighbor *entry = *link;
    *link = entry->next;
    table->n--;
    table->changed(table->aux, entry->info.device, entry->info.address);
    neighbor_unref(entry);
}

static void
forget_if(struct neighbor_table *table, bool (*is_doomed)(const struct neighbor *entry, uint64_t arg), uint64_t arg)
{
    pthread_mutex_lock(&table->mutex);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct neighbor **link = &table->buckets[i]; *link;) {
            if (is_doomed(*link, arg)) {
                forget(table, link);
            } else {
                link = &(*link)->next;
            }
        }
    }
    pthread_mutex_unlock(&table->mutex);
}

static bool
is_of_device(const struct neighbor *entry, uint64_t device)
{
    return !device || entry->info.device == device;
}

static bool
is_expired(const struct neighbor *entry, uint64_t now_ms)
{
    return atomic_load_explicit(&entry->expires_ms, memory_order_relaxed) <= now_ms;
}

void
neighbor_table_destroy(struct neighbor_table *table)
{
    if (table) {
        neighbor_flush(table, 0);
        pthread_mutex_destroy(&table->mutex);
        free(table);
    }
}

void
neighbor_use(struct neighbor *entry, uint64_t used_ms)
{
    uint64_t expires_ms = used_ms + atomic_load_explicit(&entry->aging_ms, memory_order_relaxed);
    if (expires_ms > atomic_load_explicit(&entry->expires_ms, memory_order_relaxed)) {
        atomic_store_explicit(&entry->expires_ms, expires_ms, memory_order_relaxed);
    }
}

bool
neighbor_lookup(struct neighbor_table *table, uint32_t device, const uint8_t address[16], uint64_t now_ms,
                uint8_t mac[6], struct neighbor **entry)
{
    pthread_mutex_lock(&table->mutex);
    struct neighbor **link = find(table, device, address);
    bool found = link && !is_expired(*link, now_ms);
    if (found) {
        atomic_store_explicit(&(*link)->aging_ms, table->aging_ms, memory_order_relaxed);
        neighbor_use(*link, now_ms);
        memcpy(mac, (*link)->info.mac, 6);
        if (entry) {
            *entry = *link;
            neighbor_ref(*link);
        }
    }
    pthread_mutex_unlock(&table->mutex);
    return found;
}

bool
neighbor_set(struct neighbor_table *table, uint32_t device, const uint8_t address[16], const uint8_t mac[6],
             uint64_t now_ms)
{
    pthread_mutex_lock(&table->mutex);
    struct neighbor **link = find(table, device, address);
    if (link && !memcmp((*link)->info.mac, mac, 6)) {
        atomic_store_explicit(&(*link)->aging_ms, table->aging_ms, memory_order_relaxed);
        neighbor_use(*link, now_ms);
        pthread_mutex_unlock(&table->mutex);
        return true;
    }
    if (link) {
        forget(table, link);
    }
    struct neighbor *entry = table->n < NEIGHBORS_MAX ? calloc(1, sizeof *entry) : NULL;
    if (entry) {
        struct neighbor **bucket = &table->buckets[hash_address(device, address) % BUCKETS];
        atomic_init(&entry->refs, 1);
        atomic_init(&entry->aging_ms, table->aging_ms);
        atomic_init(&entry->expires_ms, now_ms + table->aging_ms);
        entry->info.device = device;
        memcpy(entry->info.address, address, 16);
        memcpy(entry->info.mac, mac, 6);
        entry->next = *bucket;
        *bucket = entry;
        table->n++;
        table->changed(table->aux, device, address);
    }
    pthread_mutex_unlock(&table->mutex);
    return entry != NULL;
}

void
neighbor_flush(struct neighbor_table *table, uint32_t device)
{
    forget_if(table, is_of_device, device);
}

void
neighbor_expire(struct neighbor_table *table, uint64_t now_ms)
{
    forget_if(table, is_expired, now_ms);
}

void
neighbor_set_aging(struct neighbor_table *table, uint32_t aging_ms, uint64_t now_ms)
{
    pthread_mutex_lock(&table->mutex);
    table->aging_ms = aging_ms;
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct neighbor *entry = table->buckets[i]; entry; entry = entry->next) {
            atomic_store_explicit(&entry->aging_ms, aging_ms, memory_order_relaxed);
            if (atomic_load_explicit(&entry->expires_ms, memory_order_relaxed) > now_ms + aging_ms) {
                atomic_store_explicit(&entry->expires_ms, now_ms + aging_ms, memory_order_relaxed);
            }
        }
    }
    pthread_mutex_unlock(&table->mutex);
}

uint32_t
neighbor_dump(struct neighbor_table *table, uint64_t now_ms, struct neighbor_info *infos, uint32_t n)
{
    uint32_t count = 0;
    pthread_mutex_lock(&table->mutex);
    for (uint32_t i = 0; i < BUCKETS; i++) {
        for (struct neighbor *entry = table->buckets[i]; entry; entry = entry->next, count++) {
            if (count < n) {
                infos[count] = entry->info;
                infos[count].is_stale = is_expired(entry, now_ms);
            }
        }
    }
    pthread_mutex_unlock(&table->mutex);
    return count;
}

bool
neighbor_may_ask(struct neighbor_table *table, uint32_t device, const uint8_t address[16], uint64_t now_ms)
{
    pthread_mutex_lock(&table->mutex);
    uint64_t *may_ask_ms = &table->may_ask_ms[hash_address(device, address) % ASK_SLOTS];
    bool may = now_ms >= *may_ask_ms;
    if (may) {
        *may_ask_ms = now_ms + ASK_INTERVAL_MS;
    }
    pthread_mutex_unlock(&table->mutex);
    return may;
}
