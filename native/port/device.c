#include "port/device.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#include "port/link.h"

/* Linux 6.2's value; older headers lack it. */
#define GSO_UDP_L4 5

int
device_look_up(struct port *port, char *kind)
{
    struct link link;
    int error = link_get(port->name, &link);

    if (error == 0) {
        port->ifindex = link.info.ifindex;
        memcpy(port->mac, link.info.mac, sizeof port->mac);
        atomic_store(&port->mtu, link.info.mtu);
        if (kind != NULL) {
            memcpy(kind, link.kind, sizeof link.kind);
        }
    }
    return error;
}

int
device_promiscuous(struct device *device, const struct port *port)
{
    const struct sluice_link_set set = { .what = 4, .flags_on = IFF_PROMISC };
    struct link link;
    int error = link_get(port->name, &link);

    if (error != 0) {
        return error;
    }
    device->was_promiscuous = (link.info.link_flags & IFF_PROMISC) != 0;
    return device->was_promiscuous ? 0 : link_set(port->name, &set);
}

void
device_restore(const struct device *device, const struct port *port)
{
    const struct sluice_link_set set = { .what = 4, .flags_off = IFF_PROMISC };
    struct link link;

    /* The name may be another device's by now. */
    if (!device->was_promiscuous && link_get(port->name, &link) == 0 && link.info.ifindex == port->ifindex) {
        link_set(port->name, &set);
    }
}

void
device_stats(struct port *port, struct sluice_port_info *info)
{
    struct link link;

    if (link_get(port->name, &link) != 0 || link.info.ifindex != port->ifindex) {
        info->up = 0;
        info->carrier = 0;
        return;
    }
    memcpy(info->mac, link.info.mac, 6);
    info->mtu = link.info.mtu;
    info->up = (link.info.link_flags & IFF_UP) != 0;
    info->carrier = (link.info.link_flags & IFF_RUNNING) != 0;
    info->carrier_changes = link.info.carrier_changes;
    info->link_speed_mbps = link.info.link_speed_mbps;
    info->full_duplex = link.info.duplex == 1;
    info->multicast = link.info.multicast;
    info->collisions = link.info.collisions;
    info->rx_crc_errors = link.info.rx_crc_errors;
    info->rx_frame_errors = link.info.rx_frame_errors;
    info->rx_over_errors = link.info.rx_over_errors;
    info->rx_missed_errors = link.info.rx_missed_errors;
}

_Bool
device_take_header(struct packet *packet, const struct virtio_net_hdr *header)
{
    uint8_t type = header->gso_type & (uint8_t) ~VIRTIO_NET_HDR_GSO_ECN;

    if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
        if ((uint32_t) header->csum_start + header->csum_offset + 2 > packet->size) {
            return 0;
        }
        packet->flags |= PACKET_CSUM_PARTIAL;
        packet->csum_start = header->csum_start;
        packet->csum_offset = header->csum_offset;
    } else if (header->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
        packet->flags |= PACKET_CSUM_VALID;
    }
    if (type == VIRTIO_NET_HDR_GSO_NONE) {
        return 1;
    }
    if ((type != VIRTIO_NET_HDR_GSO_TCPV4 && type != VIRTIO_NET_HDR_GSO_TCPV6 && type != GSO_UDP_L4)
        || header->gso_size == 0) {
        return 0;
    }
    packet->gso_type = header->gso_type;
    packet->gso_size = header->gso_size;
    return 1;
}

_Bool
device_give_header(const struct packet *packet, struct virtio_net_hdr *header)
{
    memset(header, 0, sizeof *header);
    if (packet->flags & PACKET_CSUM_PARTIAL) {
        header->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        header->csum_start = packet->csum_start;
        header->csum_offset = packet->csum_offset;
        header->hdr_len = (uint16_t) (packet->csum_start + packet->csum_offset + 2);
    }
    if (packet->gso_type != PACKET_GSO_NONE) {
        if (!(packet->flags & PACKET_CSUM_PARTIAL)) {
            return 0;
        }
        _Bool tcp = (packet->gso_type & ~PACKET_GSO_ECN) != PACKET_GSO_UDP_L4;
        uint32_t l4_size =
            tcp && packet->csum_start + 13u < packet->size ? (packet->data[packet->csum_start + 12] >> 4) * 4u : 8;
        header->gso_type = packet->gso_type;
        header->gso_size = packet->gso_size;
        header->hdr_len = (uint16_t) (packet->csum_start + l4_size);
        return packet->csum_start + l4_size <= packet->size;
    }
    return 1;
}

struct packet *
device_join(struct packet_pool *pool, struct packet *packet, const uint8_t *overflow, uint32_t size)
{
    if (size <= PACKET_SMALL_SIZE) {
        packet->size = size;
        return packet;
    }
    struct packet *large = packet_alloc(pool, size);
    if (large != NULL) {
        memcpy(large->data, packet->data, PACKET_SMALL_SIZE);
        memcpy(large->data + PACKET_SMALL_SIZE, overflow, size - PACKET_SMALL_SIZE);
    }
    packet_release(packet);
    return large;
}

void
device_tx_error(struct port *port, uint32_t queue, int error, uint32_t n)
{
    uint32_t reason;

    switch (error) {
    case EAGAIN:
    case ENOBUFS:
    case ENOMEM:
        reason = SLUICE_PORT_DROP_TX_QUEUE_FULL;
        break;
    case ENETDOWN:
    case ENXIO:
    case ENODEV:
    case EIO:
    case EBADFD:
        reason = SLUICE_PORT_DROP_TX_DOWN;
        break;
    case EMSGSIZE:
        reason = SLUICE_PORT_DROP_TX_TOO_LONG;
        break;
    default:
        reason = SLUICE_PORT_DROP_TX_ERROR;
        atomic_store_explicit(&port->tx[queue].n_errors,
                              atomic_load_explicit(&port->tx[queue].n_errors, memory_order_relaxed) + n,
                              memory_order_relaxed);
        break;
    }
    port_count_drop(&port->tx[queue], reason, n);
}
