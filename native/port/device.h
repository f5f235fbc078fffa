/* What the drivers for network devices of the host have in common: the device's state, promiscuous mode, and virtio-net
 * headers, in which the kernel tells and is told of offloads. */
#ifndef PORT_DEVICE_H
#define PORT_DEVICE_H 1

#include <linux/virtio_net.h>
#include <stdint.h>
#include <sys/uio.h>

#include "packet/packet.h"
#include "port/port.h"

/* Bytes of a frame that do not fit a small buffer land here. */
#define DEVICE_OVERFLOW_SIZE (PACKET_LARGE_SIZE - PACKET_SMALL_SIZE)

struct device {
    _Bool was_promiscuous; /* The flag was set before we came. */
};

/* Fills the port's ifindex, mac and mtu from the device of its name, and tells its link in '*kind' (32 bytes) if that
 * is not null.  ENODEV when there is none. */
int device_look_up(struct port *port, char *kind);

/* Makes the device promiscuous, and puts it back as it was. */
int device_promiscuous(struct device *device, const struct port *port);
void device_restore(const struct device *device, const struct port *port);

/* port_class.stats for devices: up, carrier, speed and the like as the kernel has them. */
void device_stats(struct port *port, struct sluice_port_info *info);

/* Takes offloads from a header.  False: the header cannot be, and the packet must be dropped. */
_Bool device_take_header(struct packet *packet, const struct virtio_net_hdr *header);

/* Tells offloads in a header.  False: the kernel has no word for them. */
_Bool device_give_header(const struct packet *packet, struct virtio_net_hdr *header);

/* A received frame of 'size' bytes, of which the first PACKET_SMALL_SIZE are in 'packet' and the others in 'overflow',
 * as one packet.  Takes 'packet'.  Null when there is no buffer. */
struct packet *device_join(struct packet_pool *pool, struct packet *packet, const uint8_t *overflow, uint32_t size);

/* Counts and reports an errno value of transmission: what it dropped. */
void device_tx_error(struct port *port, uint32_t queue, int error, uint32_t n);

#endif
