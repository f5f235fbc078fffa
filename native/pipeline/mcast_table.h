/* Multicast snooping table of one bridge: which bundles want a group, per VLAN, and behind which there are routers.
 *
 * Lookups are lock-free and may run in any thread that is an online reader of the table's epoch; what they return stays
 * as it is until the thread's next quiescent point.  Changes take the table's own lock; they come with packets of IGMP
 * and MLD, by the thread that translates, and from the control thread.  Every change of the bundles of a group or of a
 * VLAN's routers is told to 'changed', under the lock, after it can be seen; that a bundle wants still what it wanted is
 * no change.
 *
 * Bounds.  There are at most as many groups as the table is configured for: another one takes the place of the group that
 * was asked for longest ago, which is counted as evicted.  A group, and the routers of a VLAN, have each bundle at most
 * once.  What there is no memory for is not learned, and counted as lost.
 *
 * Ageing follows Open vSwitch to the letter, since what a switch does with a group that nobody wants any more can be
 * seen: memberships go in the order of their groups, which is that of the last report, and a group goes with its last
 * member once it is the first in that order.  Until then it is known, and goes to nobody.
 *
 * Addresses are 16 bytes; those of IPv4 are mapped into IPv6. */
#ifndef SLUICE_PIPELINE_MCAST_TABLE_H
#define SLUICE_PIPELINE_MCAST_TABLE_H 1

#include <stdbool.h>
#include <stdint.h>

struct epoch;
struct mcast_table;

#define MCAST_TABLE_SIZE_DEFAULT 2048
#define MCAST_AGING_S_DEFAULT 300
/* How long a router is known that sends no queries. */
#define MCAST_ROUTER_AGING_S 180u

/* The bundles of a group or of a VLAN's routers, the longest known first. */
struct mcast_bundles {
    uint32_t n;
    uint32_t bundles[];
};

enum mcast_event {
    MCAST_LEARNED, /* Groups and routers. */
    MCAST_EXPIRED, /* Members, groups and routers. */
    MCAST_EVICTED, /* Groups. */
    MCAST_LOST,    /* Groups, members and routers. */
};

struct mcast_hooks {
    /* The bundles of 'group' on 'vlan' changed; null: the routers. */
    void (*changed)(void *aux, uint16_t vlan, const uint8_t *group);
    void (*count)(void *aux, enum mcast_event event, uint32_t n);
    void *aux;
};

/* An empty table, or null without memory.  'epoch' must outlive it. */
struct mcast_table *mcast_table_create(struct epoch *epoch, const struct mcast_hooks *hooks);

/* Frees the table, at once: no reader may be looking up in it.  Null is fine. */
void mcast_table_destroy(struct mcast_table *table);

/* Sets the limits, and removes what is beyond them: at most 'size_max' groups, aged after 'aging_s' seconds.  A table that
 * is not enabled is empty. */
void mcast_table_configure(struct mcast_table *table, bool is_enabled, uint32_t size_max, uint32_t aging_s,
                           uint64_t now_ms);

/* The bundles that want 'group' on 'vlan', possibly none; null if the group is not known. */
const struct mcast_bundles *mcast_table_group(const struct mcast_table *table, uint16_t vlan, const uint8_t group[16]);

/* The bundles behind which there are routers on 'vlan'; null: none. */
const struct mcast_bundles *mcast_table_routers(const struct mcast_table *table, uint16_t vlan);

/* Says that 'bundle' wants 'group'.  Nothing happens where there is a router, who gets everything.  Returns true if the
 * group was not known. */
bool mcast_table_join(struct mcast_table *table, uint16_t vlan, const uint8_t group[16], uint32_t bundle,
                      uint64_t now_ms);

/* Says that 'bundle' wants it no more.  Returns true if it did. */
bool mcast_table_leave(struct mcast_table *table, uint16_t vlan, const uint8_t group[16], uint32_t bundle,
                       uint64_t now_ms);

/* Says that there is a router behind 'bundle'.  Returns true if it was not known. */
bool mcast_table_add_router(struct mcast_table *table, uint16_t vlan, uint32_t bundle, uint64_t now_ms);

/* Removes what is too old or too much.  Returns when the next is due, or UINT64_MAX. */
uint64_t mcast_table_expire(struct mcast_table *table, uint64_t now_ms);

/* Forgets what is behind 'bundle', or everything if it is UINT32_MAX. */
void mcast_table_flush(struct mcast_table *table, uint32_t bundle);

struct mcast_entry_info {
    uint8_t group[16];
    uint32_t bundle;
    uint32_t age_s;
    uint16_t vlan;
    bool is_router; /* Then there is no group. */
};

/* Writes up to 'n' entries with position >= 'from', groups in the order of their last report, then routers; returns how
 * many.  '*next' gets the position to go on from, or 0 at the end. */
uint32_t mcast_table_dump(struct mcast_table *table, uint64_t now_ms, uint64_t from, struct mcast_entry_info *entries,
                          uint32_t n, uint64_t *next);

/* The routers alone, likewise. */
uint32_t mcast_table_dump_routers(struct mcast_table *table, uint64_t now_ms, uint64_t from,
                                  struct mcast_entry_info *entries, uint32_t n, uint64_t *next);

#endif
