/* Neighbours: the link addresses of the next hops of tunnels, by the device (a bridge, mostly) that leads to them.
 *
 * An entry is found by device and IP address, is used by translations, and goes when it was not used for the ageing
 * time.  Megaflows that were made from it hold a reference, through which their traffic keeps it alive.  Every change
 * that sends packets another way is told to 'changed', after it can be seen.
 *
 * Threads.  Any.  One mutex, which is held for a search or a change; only misses come here. */
#ifndef TUNNEL_NEIGHBOR_H
#define TUNNEL_NEIGHBOR_H 1

#include <stdbool.h>
#include <stdint.h>

#define NEIGHBORS_MAX 4096u
#define NEIGHBOR_AGING_MS (15u * 60 * 1000)

struct neighbor;
struct neighbor_table;

struct neighbor_info {
    uint32_t device;
    bool is_stale; /* Past its time, but still there. */
    uint8_t address[16];
    uint8_t mac[6];
};

typedef void neighbor_changed_func(void *aux, uint32_t device, const uint8_t address[16]);

/* An empty table, or null without memory. */
struct neighbor_table *neighbor_table_create(neighbor_changed_func *changed, void *aux);

/* Null is fine.  References to entries may outlive the table. */
void neighbor_table_destroy(struct neighbor_table *table);

/* True, the link address and a reference to the entry (unless 'entry' is null) if it is known; that is a use. */
bool neighbor_lookup(struct neighbor_table *table, uint32_t device, const uint8_t address[16], uint64_t now_ms,
                     uint8_t mac[6], struct neighbor **entry);

/* Says where an address is.  False when the table is full. */
bool neighbor_set(struct neighbor_table *table, uint32_t device, const uint8_t address[16], const uint8_t mac[6],
                  uint64_t now_ms);

/* Forgets a device's entries, or all if it is 0. */
void neighbor_flush(struct neighbor_table *table, uint32_t device);

/* Changes how long entries last that are used from now on, and shortens the time of the others to that. */
void neighbor_set_aging(struct neighbor_table *table, uint32_t aging_ms, uint64_t now_ms);

/* Forgets entries that are past their time. */
void neighbor_expire(struct neighbor_table *table, uint64_t now_ms);

/* Copies up to 'n' entries and returns how many there are. */
uint32_t neighbor_dump(struct neighbor_table *table, uint64_t now_ms, struct neighbor_info *infos, uint32_t n);

/* Whether somebody may ask for the address now: once a second, so that a burst of packets to an unknown neighbour is
 * not a burst of requests. */
bool neighbor_may_ask(struct neighbor_table *table, uint32_t device, const uint8_t address[16], uint64_t now_ms);

/* Packets went to the neighbour at 'used_ms'. */
void neighbor_use(struct neighbor *entry, uint64_t used_ms);

void neighbor_ref(struct neighbor *entry);
void neighbor_unref(struct neighbor *entry);

#endif
