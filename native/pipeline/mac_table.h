/* MAC learning table of one bridge: which bundle an address was last seen behind, per VLAN.
 *
 * Lookups are lock-free and may run in any thread that is an online reader of the table's epoch.  Changes take the
 * table's own lock for as long as it takes to change one entry.  Every change that could send a packet another way
 * (an entry appears, moves or goes) is told to 'changed', under the lock, after the change can be seen.
 *
 * A static entry is the administrator's: it does not age, is not evicted and packets do not move it.
 *
 * Addresses are 48-bit numbers, first byte highest. */
#ifndef SLUICE_PIPELINE_MAC_TABLE_H
#define SLUICE_PIPELINE_MAC_TABLE_H 1

#include <stdbool.h>
#include <stdint.h>

struct epoch;
struct mac_table;

#define MAC_TABLE_SIZE_DEFAULT 8192
#define MAC_AGING_S_DEFAULT 300
/* How long a gratuitous ARP behind a plain port keeps ones behind a bond from moving the address. */
#define MAC_GRATUITOUS_LOCK_MS 5000

struct mac_entry_info {
    uint64_t mac;
    uint32_t bundle;
    uint16_t vlan;
    bool is_static;
    uint64_t used_ms; /* When a packet from it was last seen. */
};

/* What became of an address. */
enum mac_change {
    MAC_LEARNED,
    MAC_MOVED,
    MAC_EXPIRED,
    MAC_EVICTED,
    MAC_FLUSHED,
    MAC_SET, /* As a static entry. */
};

typedef void mac_changed_func(void *aux, uint16_t vlan, uint64_t mac, enum mac_change change);

/* An empty table with one reference, or null without memory.  'epoch' must outlive it.  'changed' is called with
 * 'aux', VLAN and address. */
struct mac_table *mac_table_create(struct epoch *epoch, mac_changed_func *changed, void *aux);

/* Takes a reference, or gives one up; the last frees the table, at once: no reader may be looking up in it.  Null is
 * fine for unref.  Any thread. */
void mac_table_ref(struct mac_table *table);
void mac_table_unref(struct mac_table *table);

/* From now on nothing is learned and 'changed' is not called any more: the bridge is gone. */
void mac_table_retire(struct mac_table *table);

/* Sets the limits: at most 'size_max' entries (evicting at once what is over), aged after 'aging_s' seconds. */
void mac_table_configure(struct mac_table *table, uint32_t size_max, uint32_t aging_s);

/* True, and the bundle in '*bundle', if 'mac' is known on 'vlan'. */
bool mac_table_lookup(const struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t *bundle);

/* Whether 'mac' on 'vlan' is held where it is, so that a gratuitous ARP behind a bond does not move it. */
bool mac_table_is_locked(struct mac_table *table, uint16_t vlan, uint64_t mac, uint64_t now_ms);

/* Learns that 'mac' is behind 'bundle' on 'vlan'.  'gratuitous': the packet is a gratuitous ARP; 'bond': the bundle has
 * several members.  Returns true if that was news (added or moved). */
bool mac_table_learn(struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t bundle, bool gratuitous, bool bond,
                     uint64_t now_ms);

/* Keeps an entry alive: packets from it passed at 'used_ms'.  Ignored if it is gone or moved. */
void mac_table_refresh(struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t bundle, uint64_t used_ms);

/* Removes entries not seen for the ageing time.  Returns when the next one is due, or UINT64_MAX. */
uint64_t mac_table_expire(struct mac_table *table, uint64_t now_ms);

/* Forgets the entries behind 'bundle', or all that are not static if it is UINT32_MAX. */
void mac_table_flush(struct mac_table *table, uint32_t bundle);

/* Makes the entry of 'mac' a static one behind 'bundle', adding it if need be.  False: the table is full of static
 * entries, or there is no memory. */
bool mac_table_set_static(struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t bundle, uint64_t now_ms);

/* Forgets the entry of 'mac', if it was learned. */
void mac_table_forget(struct mac_table *table, uint16_t vlan, uint64_t mac);

/* Forgets a static entry.  False if there is none. */
bool mac_table_remove_static(struct mac_table *table, uint16_t vlan, uint64_t mac);

bool mac_table_has_static(struct mac_table *table, uint16_t vlan, uint64_t mac);

/* Whether the entry of 'mac' is a static one behind another bundle than 'bundle'.  As mac_table_lookup(). */
bool mac_table_holds(const struct mac_table *table, uint16_t vlan, uint64_t mac, uint32_t bundle);

struct mac_table_stats {
    uint32_t n;
    uint32_t n_static; /* Of 'n'. */
    uint32_t size_max;
    uint64_t n_changes[MAC_SET + 1]; /* By enum mac_change, since the last clear. */
};

void mac_table_get_stats(struct mac_table *table, struct mac_table_stats *stats);
void mac_table_clear_stats(struct mac_table *table);

uint32_t mac_table_count(struct mac_table *table);

/* Writes up to 'n' entries with position >= 'from', static ones first, returns how many; '*next' gets the position to go on
 * from, or 0 at the end.  Order and positions hold while no entry is added. */
uint32_t mac_table_dump(struct mac_table *table, uint64_t from, struct mac_entry_info *entries, uint32_t n,
                        uint64_t *next);

#endif
