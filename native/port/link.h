/* Network devices of the host, through rtnetlink and ethtool's ioctl.
 *
 * Each call opens what it needs and closes it again, so any thread may call; only the monitor keeps state. */
#ifndef PORT_LINK_H
#define PORT_LINK_H 1

#include <net/if.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/records.h"

struct link {
    struct sluice_link_info info; /* 'type', 'flags', 'size', 'name_size' and 'kind_size' are not set. */
    char name[IFNAMSIZ];
    char kind[32]; /* rtnetlink's, "" for a physical device. */
};

/* State of the device 'name'.  ENODEV when there is none. */
int link_get(const char *name, struct link *link);

/* Whether the link of the device 'name' is up as its transceiver says, asked by MII or, where the driver has none, by
 * ethtool.  A device that answers neither is down. */
_Bool link_asks_device(const char *name);

/* Calls 'each' for every device, until it returns false. */
int link_list(_Bool (*each)(void *aux, const struct link *link), void *aux);

/* Changes a device.  'what' says which of the record's members count; the record's type and sizes are not looked at. */
int link_set(const char *name, const struct sluice_link_set *set);

/* Hands the kernel a whole message of rtnetlink about queueing, 'size' bytes, and puts what it answers, without the
 * acknowledgement or end of a dump, into 'reply'; '*used' gets its bytes.  EINVAL: it is no such message.  ENOSPC: the
 * answer does not fit.  Otherwise what the kernel says. */
int link_tc(const void *message, size_t size, void *reply, size_t reply_size, size_t *used);

/* A socket that hears of changes of devices (IFLA), addresses and routes. */
struct link_monitor {
    int fd;
};

struct link_listener {
    void (*link)(void *aux, uint32_t ifindex, const char *name, _Bool is_gone);
    void (*address)(void *aux, uint32_t ifindex); /* An address or route; ifindex 0 when it is of no one device. */
    void *aux;
};

/* Opens the monitor.  'fd' is then readable when there is news. */
int link_monitor_open(struct link_monitor *monitor);
void link_monitor_close(struct link_monitor *monitor);

/* Reads all news without waiting.  When the kernel dropped some (ENOBUFS), link() is called with ifindex 0 and a null
 * name: everything may have changed. */
void link_monitor_run(struct link_monitor *monitor, const struct link_listener *listener);

#endif
