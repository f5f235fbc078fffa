#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "tunnel/header.h"
#include "tunnel/protocols.h"

/* What the outer headers say. */
struct outer {
    struct flow_key key; /* The tunnel's members, and the packet type of what is inside. */
    uint16_t flags;      /* TUN_FLAG_*. */
};

/* The outer IP header.  The parser has checked lengths. */
static bool
read_ip(const struct packet *packet, struct flow_key *key)
{
    const uint8_t *ip = packet->data + packet->l3_ofs;
    if (packet->l3_type == PACKET_L3_IPV4) {
        uint32_t header_size = (uint32_t) (packet->l4_ofs - packet->l3_ofs);
        if (header_size != IPV4_SIZE || checksum(ip, IPV4_SIZE)
            || get_be16(ip + 6) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) {
            return false;
        }
        key->tun_tos = ip[1];
        key->tun_ttl = ip[8];
        key->tun_src = get_raw32(ip + 12);
        key->tun_dst = get_raw32(ip + 16);
        return true;
    }
    if (packet->l3_type == PACKET_L3_IPV6) {
        key->tun_tos = (uint8_t) (get_be32(ip) >> 20);
        key->tun_ttl = ip[7];
        memcpy(key->tun_ipv6_src, ip + 8, 16);
        memcpy(key->tun_ipv6_dst, ip + 24, 16);
        return true;
    }
    return false;
}

/* The UDP header; its checksum must be right if there is one. */
static bool
read_udp(const struct packet *packet, struct outer *outer)
{
    const uint8_t *udp = packet->data + packet->l4_ofs;
    if (packet->l4_type != PACKET_L4_UDP) {
        return false;
    }
    if (get_raw16(udp + 6)) {
        outer->flags |= TUN_FLAG_CSUM;
        return packet->flags & (PACKET_CSUM_VALID | PACKET_CSUM_PARTIAL) || packet_checksum_ok(packet);
    }
    return true;
}

/* Says what is inside by its Ethernet type. */
static bool
set_payload(struct outer *outer, uint32_t eth_type)
{
    if (eth_type == ETH_TYPE_TEB) {
        return true;
    }
    outer->key.packet_type = be32(1u << 16 | eth_type);
    return eth_type >= ETH_TYPE_MIN;
}

/* Each of these reads a protocol's header of at most 'size' bytes at 'bytes' and returns its size, or 0. */

static uint32_t
read_vxlan(const uint8_t *bytes, uint32_t size, struct outer *outer)
{
    static const uint16_t types[] = {
        [GPE_IPV4] = ETH_TYPE_IPV4, [GPE_IPV6] = ETH_TYPE_IPV6, [GPE_ETHERNET] = ETH_TYPE_TEB, [GPE_NSH] = ETH_TYPE_NSH
    };
    if (size < VXLAN_SIZE) {
        return 0;
    }
    uint32_t flags = get_be32(bytes);
    if (flags & VXLAN_FLAG_GPE) {
        if (flags & GPE_FLAG_OAM || bytes[3] < GPE_IPV4 || bytes[3] > GPE_NSH || !set_payload(outer, types[bytes[3]])) {
            return 0;
        }
        flags &= ~GPE_USED_BITS;
    } else if (flags & VXLAN_FLAG_GBP) {
        outer->key.tun_gbp_id = be16((uint16_t) (flags & GBP_ID));
        outer->key.tun_gbp_flags = (uint8_t) ((flags & GBP_FLAGS) >> GBP_SHIFT);
        flags &= ~(VXLAN_FLAG_GBP | GBP_FLAGS | GBP_ID);
    }
    if (flags != VXLAN_FLAG_VNI || bytes[7]) {
        return 0;
    }
    outer->key.tun_id = be64(get_be32(bytes + 4) >> 8);
    outer->flags |= TUN_FLAG_KEY;
    return VXLAN_SIZE;
}

static uint32_t
read_geneve(const uint8_t *bytes, uint32_t size, struct outer *outer)
{
    if (size < GENEVE_SIZE) {
        return 0;
    }
    uint32_t header_size = GENEVE_SIZE + 4u * (bytes[0] & 0x3f);
    if (bytes[0] >> 6 || header_size > size || get_be16(bytes + 2) != ETH_TYPE_TEB) {
        return 0;
    }
    outer->flags |= TUN_FLAG_KEY | (bytes[1] & GENEVE_FLAG_OAM ? TUN_FLAG_OAM : 0);
    outer->key.tun_id = be64(get_be32(bytes + 4) >> 8);
    outer->key.tun_metadata_present = be64(header_size - GENEVE_SIZE);
    memcpy(outer->key.tun_metadata, bytes + GENEVE_SIZE, header_size - GENEVE_SIZE);
    return header_size;
}

static uint32_t
read_gtpu(const uint8_t *bytes, uint32_t size, struct outer *outer)
{
    if (size <= GTPU_SIZE) {
        return 0;
    }
    outer->key.tun_gtpu_flags = bytes[0];
    outer->key.tun_gtpu_msgtype = bytes[1];
    outer->key.tun_id = be64(get_be32(bytes + 4));
    uint32_t header_size = GTPU_SIZE + (bytes[0] & GTPU_FLAG_SEQ ? GTPU_OPTION_SIZE : 0);
    if (bytes[1] != GTPU_MESSAGE_PACKET || header_size >= size) {
        return 0;
    }
    uint32_t version = bytes[header_size] >> 4;
    if (version != 4 && version != 6) {
        return 0;
    }
    return set_payload(outer, version == 4 ? ETH_TYPE_IPV4 : ETH_TYPE_IPV6) ? header_size : 0;
}

static uint32_t
read_gre(const uint8_t *bytes, uint32_t size, struct outer *outer)
{
    if (size < GRE_SIZE) {
        return 0;
    }
    uint16_t bits = get_be16(bytes);
    uint32_t header_size =
        GRE_SIZE + (bits & GRE_CSUM ? 4u : 0u) + (bits & GRE_KEY ? 4u : 0u) + (bits & GRE_SEQ ? 4u : 0u);
    if (bits & ~(GRE_CSUM | GRE_KEY | GRE_SEQ) || header_size > size || !set_payload(outer, get_be16(bytes + 2))) {
        return 0;
    }
    const uint8_t *word = bytes + GRE_SIZE;
    if (bits & GRE_CSUM) {
        if (checksum(bytes, size)) {
            return 0;
        }
        outer->flags |= TUN_FLAG_CSUM;
        word += 4;
    }
    if (bits & GRE_KEY) {
        outer->flags |= TUN_FLAG_KEY;
        outer->key.tun_id = be64(get_be32(word));
    }
    return header_size;
}

static uint32_t
read_erspan(const uint8_t *bytes, uint32_t size, struct outer *outer)
{
    const uint8_t *erspan = bytes + GRE_SIZE + 4;
    if (size < GRE_SIZE + 4 + ERSPAN_SIZE + ERSPAN1_SIZE || get_be16(bytes) & ~GRE_SEQ) {
        return 0;
    }
    uint16_t type = get_be16(bytes + 2);
    struct flow_key *key = &outer->key;
    outer->flags |= TUN_FLAG_KEY;
    key->tun_id = be64(get_be16(erspan + 2) & ERSPAN_SESSION_MAX);
    key->tun_erspan_ver = erspan[0] >> 4;
    if (type != ETH_TYPE_ERSPAN1 && type != ETH_TYPE_ERSPAN2) {
        return 0;
    }
    if (key->tun_erspan_ver == 1) {
        key->tun_erspan_idx = get_raw32(erspan + ERSPAN_SIZE);
        return GRE_SIZE + 4 + ERSPAN_SIZE + ERSPAN1_SIZE;
    }
    if (key->tun_erspan_ver != 2 || size < GRE_SIZE + 4 + ERSPAN_SIZE + ERSPAN2_SIZE) {
        return 0;
    }
    uint16_t bits = get_be16(erspan + ERSPAN_SIZE + 6);
    key->tun_erspan_dir = bits >> 3 & 1;
    key->tun_erspan_hwid = bits >> 4 & 0x3f;
    return GRE_SIZE + 4 + ERSPAN_SIZE + ERSPAN2_SIZE;
}

/* The size of all headers, or 0. */
static uint32_t
read_headers(const struct packet *packet, uint32_t type, struct outer *outer)
{
    uint32_t l4 = packet->l4_ofs;
    if (packet->l3_ofs == PACKET_NO_OFFSET || l4 == PACKET_NO_OFFSET || !read_ip(packet, &outer->key)) {
        return 0;
    }
    const uint8_t *bytes = packet->data + l4;
    uint32_t size = packet->l4_size;
    uint32_t own = 0;
    switch (type) {
    case SLUICE_TUNNEL_TYPE_GRE:
    case SLUICE_TUNNEL_TYPE_IP6GRE:
        own = read_gre(bytes, size, outer);
        break;
    case SLUICE_TUNNEL_TYPE_ERSPAN:
    case SLUICE_TUNNEL_TYPE_IP6ERSPAN:
        own = read_erspan(bytes, size, outer);
        break;
    case SLUICE_TUNNEL_TYPE_VXLAN:
    case SLUICE_TUNNEL_TYPE_GENEVE:
    case SLUICE_TUNNEL_TYPE_GTPU:
        if (!read_udp(packet, outer)) {
            return 0;
        }
        l4 += UDP_SIZE;
        bytes += UDP_SIZE;
        size -= UDP_SIZE;
        own = type == SLUICE_TUNNEL_TYPE_VXLAN    ? read_vxlan(bytes, size, outer)
              : type == SLUICE_TUNNEL_TYPE_GENEVE ? read_geneve(bytes, size, outer)
                                                  : read_gtpu(bytes, size, outer);
        break;
    default:
        break;
    }
    return own ? l4 + own : 0;
}

bool
tunnel_pop(struct packet *packet, uint32_t type)
{
    struct outer outer;
    memset(&outer, 0, sizeof outer);
    uint32_t size = read_headers(packet, type, &outer);
    uint16_t bare_type = (uint16_t) be32(outer.key.packet_type);
    if (!size || size + (bare_type ? 1 : ETH_SIZE) > packet->size) {
        return false;
    }
    outer.key.tun_flags = be16(outer.flags);
    /* What a device is to do to the inner headers is still to be done; the outer ones are gone with theirs. */
    bool has_inner_offload = packet->flags & PACKET_CSUM_PARTIAL && packet->csum_start >= size;
    packet_close_gap(packet, 0, size);
    uint32_t skb_priority = packet->skb_priority;
    uint32_t pkt_mark = packet->pkt_mark;
    uint16_t csum_start = packet->csum_start, csum_offset = packet->csum_offset, gso_size = packet->gso_size;
    uint8_t gso_type = packet->gso_type;
    packet_reset(packet);
    if (has_inner_offload) {
        packet->flags |= PACKET_CSUM_PARTIAL;
        packet->csum_start = csum_start;
        packet->csum_offset = csum_offset;
        packet->gso_type = gso_type;
        packet->gso_size = gso_size;
    }
    packet->skb_priority = skb_priority;
    packet->pkt_mark = pkt_mark;
    packet->bare_type = bare_type;
    struct packet_metadata *metadata = packet_metadata(packet);
    memset(metadata, 0, sizeof *metadata);
    metadata->is_tunneled = true;
    memcpy(metadata->tunnel, &outer.key.words[SLUICE_KEY_TUNNEL_WORD], sizeof metadata->tunnel);
    metadata->options_size = (uint16_t) be64(outer.key.tun_metadata_present);
    memcpy(metadata->options, outer.key.tun_metadata, metadata->options_size);
    return true;
}
