#include "packet/encap.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"

bool
packet_push_eth(struct packet *packet, const uint8_t src[6], const uint8_t dst[6])
{
    if (!packet->bare_type) {
        return true;
    }
    if (!packet_open_gap(packet, 0, ETH_SIZE)) {
        return false;
    }
    memcpy(packet->data, dst, 6);
    memcpy(packet->data + 6, src, 6);
    put_be16(packet->data + ETH_ADDRESSES_SIZE, packet->bare_type);
    packet->bare_type = 0;
    return true;
}

void
packet_pop_eth(struct packet *packet)
{
    uint32_t size = packet->l2_5_ofs != PACKET_NO_OFFSET ? packet->l2_5_ofs : packet->l3_ofs;
    if (packet->bare_type || size == PACKET_NO_OFFSET || size < ETH_SIZE) {
        return;
    }
    uint32_t type = get_be16(packet->data + size - 2);
    packet_close_gap(packet, 0, size);
    packet->bare_type = (uint16_t) (type >= ETH_TYPE_MIN ? type : ETH_TYPE_NONE);
}

/* What NSH calls a packet that it carries, or 0. */
static uint8_t
next_protocol(const struct packet *packet)
{
    switch (packet->bare_type) {
    case 0:
        return NSH_NEXT_ETHERNET;
    case ETH_TYPE_IPV4:
        return NSH_NEXT_IPV4;
    case ETH_TYPE_IPV6:
        return NSH_NEXT_IPV6;
    case ETH_TYPE_NSH:
        return NSH_NEXT_NSH;
    default:
        return 0;
    }
}

static void
forget_layers(struct packet *packet)
{
    packet->l2_5_ofs = PACKET_NO_OFFSET;
    packet->l3_ofs = PACKET_NO_OFFSET;
    packet->l4_ofs = PACKET_NO_OFFSET;
    packet->l3_type = PACKET_L3_NONE;
    packet->l4_type = PACKET_L4_NONE;
    packet->l4_size = 0;
    packet->flags &= (uint8_t) ~PACKET_ROUTED;
}

bool
packet_encap_mpls(struct packet *packet, uint16_t eth_type, uint32_t lse)
{
    if (packet_headroom(packet) < MPLS_SIZE) {
        return false;
    }
    /* No device knows where the checksum inside is. */
    packet_checksum_complete(packet);
    packet_open_gap(packet, 0, MPLS_SIZE);
    put_raw32(packet->data, lse);
    packet->bare_type = eth_type;
    forget_layers(packet);
    packet->l2_5_ofs = 0;
    return true;
}

bool
packet_push_nsh(struct packet *packet, const void *header, uint32_t size)
{
    uint8_t next = next_protocol(packet);
    if (!next || packet_headroom(packet) < size) {
        return false;
    }
    /* No device knows where the checksum inside is. */
    packet_checksum_complete(packet);
    packet_open_gap(packet, 0, size);
    memcpy(packet->data, header, size);
    packet->data[3] = next;
    packet->bare_type = ETH_TYPE_NSH;
    forget_layers(packet);
    packet->l3_ofs = 0;
    packet->l3_type = PACKET_L3_NSH;
    return true;
}

bool
packet_pop_nsh(struct packet *packet)
{
    static const uint16_t types[] = {
        [NSH_NEXT_IPV4] = ETH_TYPE_IPV4,
        [NSH_NEXT_IPV6] = ETH_TYPE_IPV6,
        [NSH_NEXT_ETHERNET] = 0,
        [NSH_NEXT_NSH] = ETH_TYPE_NSH,
    };
    if (packet->bare_type != ETH_TYPE_NSH || packet->l3_type != PACKET_L3_NSH) {
        return false;
    }
    uint8_t next = packet->data[3];
    uint32_t size = 4 * (get_be16(packet->data) & 0x3fu);
    if (next < NSH_NEXT_IPV4 || next > NSH_NEXT_NSH || size < NSH_BASE_SIZE || size > packet->size) {
        return false;
    }
    packet_close_gap(packet, 0, size);
    packet->bare_type = types[next];
    forget_layers(packet);
    return true;
}
