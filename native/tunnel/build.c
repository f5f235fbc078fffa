#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "tunnel/header.h"
#include "tunnel/protocols.h"

/* The header as far as it is built. */
struct builder {
    const struct sluice_tunnel *tunnel;
    const struct flow_key *key;
    struct tunnel_header *header;
};

/* Room for 'n' more bytes, zeroed: the longest header fits. */
static uint8_t *
put(struct builder *b, uint32_t n)
{
    uint8_t *bytes = b->header->bytes + b->header->size;
    b->header->size = (uint16_t) (b->header->size + n);
    return bytes;
}

static void
put_ethernet(struct builder *b, const struct tunnel_link *link)
{
    uint8_t *eth = put(b, ETH_SIZE);
    memcpy(eth, link->next_hop_mac, 6);
    memcpy(eth + 6, link->source_mac, 6);
    put_be16(eth + 12, b->header->is_ipv6 ? ETH_TYPE_IPV6 : ETH_TYPE_IPV4);
}

static void
put_ip(struct builder *b, const struct tunnel_link *link)
{
    const struct flow_key *key = b->key;
    if (b->header->is_ipv6) {
        uint8_t *ip = put(b, IPV6_SIZE);
        put_be32(ip, 6u << 28 | (uint32_t) key->tun_tos << 20);
        ip[6] = b->header->ip_proto;
        ip[7] = key->tun_ttl;
        memcpy(ip + 8, link->source, 16);
        memcpy(ip + 24, key->tun_ipv6_dst, 16);
        return;
    }
    uint8_t *ip = put(b, IPV4_SIZE);
    ip[0] = 0x45;
    ip[1] = key->tun_tos;
    put_be16(ip + 6, key->tun_flags & be16(TUN_FLAG_DONT_FRAGMENT) ? IPV4_DONT_FRAGMENT : 0);
    ip[8] = key->tun_ttl;
    ip[9] = b->header->ip_proto;
    memcpy(ip + 12, link->source + 12, 4);
    put_raw32(ip + 16, key->tun_dst);
    put_raw16(ip + 10, checksum(ip, IPV4_SIZE));
}

static void
put_udp(struct builder *b)
{
    uint8_t *udp = put(b, UDP_SIZE);
    put_be16(udp + 2, b->tunnel->dst_port);
    if (b->header->is_ipv6 || b->key->tun_flags & be16(TUN_FLAG_CSUM)) {
        b->header->flags |= SLUICE_PUSH_FLAG_UDP_CSUM;
        put_be16(udp + 6, 0xffff);
    }
}

/* The Ethernet type that stands for what the packet is. */
static uint16_t
payload_type(const struct flow_key *key)
{
    uint32_t type = be32(key->packet_type);
    return type >> 16 == 1 ? (uint16_t) type : ETH_TYPE_TEB;
}

static bool
put_gre(struct builder *b)
{
    uint32_t flags = b->tunnel->tunnel_flags;
    uint8_t *gre = put(b, GRE_SIZE);
    uint16_t bits = 0;
    put_be16(gre + 2, payload_type(b->key));
    if (b->key->tun_flags & be16(TUN_FLAG_CSUM)) {
        bits |= GRE_CSUM;
        b->header->flags |= SLUICE_PUSH_FLAG_GRE_CSUM;
        put(b, 4);
    }
    if (flags & SLUICE_TUNNEL_FLAG_OUT_KEY) {
        bits |= GRE_KEY;
        put_be32(put(b, 4), (uint32_t) be64(b->key->tun_id));
    }
    if (flags & SLUICE_TUNNEL_FLAG_SEQ) {
        bits |= GRE_SEQ;
        b->header->flags |= SLUICE_PUSH_FLAG_GRE_SEQ;
        put(b, 4);
    }
    put_be16(gre, bits);
    b->header->type = b->header->is_ipv6 ? SLUICE_TUNNEL_TYPE_IP6GRE : SLUICE_TUNNEL_TYPE_GRE;
    return true;
}

static bool
put_erspan(struct builder *b)
{
    const struct flow_key *key = b->key;
    uint64_t session = be64(key->tun_id);
    uint8_t *gre = put(b, GRE_SIZE + 4);
    uint8_t *erspan = put(b, ERSPAN_SIZE);
    if (session > ERSPAN_SESSION_MAX) {
        return false;
    }
    put_be16(gre, GRE_SEQ);
    b->header->flags |= SLUICE_PUSH_FLAG_GRE_SEQ;
    erspan[0] = (uint8_t) (key->tun_erspan_ver << 4);
    put_be16(erspan + 2, (uint16_t) session);
    if (key->tun_erspan_ver == 1) {
        put_be16(gre + 2, ETH_TYPE_ERSPAN1);
        put_raw32(put(b, ERSPAN1_SIZE), key->tun_erspan_idx);
    } else if (key->tun_erspan_ver == 2) {
        put_be16(gre + 2, ETH_TYPE_ERSPAN2);
        uint8_t *second = put(b, ERSPAN2_SIZE);
        put_be16(second + 6, (uint16_t) ((key->tun_erspan_hwid & 0x3f) << 4 | (key->tun_erspan_dir & 1) << 3));
    } else {
        return false;
    }
    b->header->type = b->header->is_ipv6 ? SLUICE_TUNNEL_TYPE_IP6ERSPAN : SLUICE_TUNNEL_TYPE_ERSPAN;
    return true;
}

/* The protocol number of VXLAN-GPE for an Ethernet type; 0 if it has none. */
static uint8_t
gpe_protocol(uint16_t type)
{
    switch (type) {
    case ETH_TYPE_IPV4:
        return GPE_IPV4;
    case ETH_TYPE_IPV6:
        return GPE_IPV6;
    case ETH_TYPE_TEB:
        return GPE_ETHERNET;
    case ETH_TYPE_NSH:
        return GPE_NSH;
    default:
        return 0;
    }
}

static bool
put_vxlan(struct builder *b)
{
    const struct flow_key *key = b->key;
    put_udp(b);
    uint8_t *vxlan = put(b, VXLAN_SIZE);
    put_be32(vxlan, VXLAN_FLAG_VNI);
    put_be32(vxlan + 4, (uint32_t) be64(key->tun_id) << 8);
    if (b->tunnel->tunnel_flags & SLUICE_TUNNEL_FLAG_GPE) {
        put_be32(vxlan, VXLAN_FLAG_VNI | VXLAN_FLAG_GPE);
        vxlan[3] = gpe_protocol(payload_type(key));
        return vxlan[3] != 0;
    }
    uint32_t policy = be16(key->tun_gbp_id) | ((uint32_t) key->tun_gbp_flags << GBP_SHIFT & GBP_FLAGS);
    if (b->tunnel->tunnel_flags & SLUICE_TUNNEL_FLAG_GBP && policy) {
        put_be32(vxlan, VXLAN_FLAG_VNI | VXLAN_FLAG_GBP | policy);
    }
    return payload_type(key) == ETH_TYPE_TEB;
}

static bool
put_geneve(struct builder *b)
{
    const struct flow_key *key = b->key;
    put_udp(b);
    uint8_t *geneve = put(b, GENEVE_SIZE);
    geneve[1] = key->tun_flags & be16(TUN_FLAG_OAM) ? GENEVE_FLAG_OAM : 0;
    put_be16(geneve + 2, ETH_TYPE_TEB);
    put_be32(geneve + 4, (uint32_t) be64(key->tun_id) << 8);
    return payload_type(key) == ETH_TYPE_TEB;
}

static bool
put_gtpu(struct builder *b)
{
    const struct flow_key *key = b->key;
    put_udp(b);
    b->header->flags |= SLUICE_PUSH_FLAG_UDP_CSUM;
    uint8_t *gtpu = put(b, GTPU_SIZE);
    gtpu[0] = key->tun_gtpu_flags ? key->tun_gtpu_flags : GTPU_FLAGS_USUAL;
    gtpu[1] = key->tun_gtpu_msgtype ? key->tun_gtpu_msgtype : GTPU_MESSAGE_PACKET;
    put_be32(gtpu + 4, (uint32_t) be64(key->tun_id));
    return true;
}

bool
tunnel_header_build(const struct sluice_tunnel *tunnel, const struct flow_key *key, const struct tunnel_link *link,
                    struct tunnel_header *header)
{
    memset(header, 0, sizeof *header);
    header->is_ipv6 = !key->tun_dst;
    header->ip_proto = tunnel->ip_proto;
    header->type = tunnel->tunnel_type;
    struct builder b = { tunnel, key, header };
    put_ethernet(&b, link);
    put_ip(&b, link);
    switch (tunnel->tunnel_type) {
    case SLUICE_TUNNEL_TYPE_GRE:
    case SLUICE_TUNNEL_TYPE_IP6GRE:
        return put_gre(&b);
    case SLUICE_TUNNEL_TYPE_ERSPAN:
    case SLUICE_TUNNEL_TYPE_IP6ERSPAN:
        return put_erspan(&b);
    case SLUICE_TUNNEL_TYPE_VXLAN:
        return put_vxlan(&b);
    case SLUICE_TUNNEL_TYPE_GENEVE:
        return put_geneve(&b);
    case SLUICE_TUNNEL_TYPE_GTPU:
        return put_gtpu(&b);
    default:
        return false;
    }
}

bool
tunnel_header_put_options(struct tunnel_header *header, const uint8_t *options, uint32_t size)
{
    if (!size || header->type != SLUICE_TUNNEL_TYPE_GENEVE) {
        return true;
    }
    if (size > TUNNEL_OPTIONS_MAX || size > TUNNEL_HEADER_MAX - header->size) {
        return false;
    }
    uint8_t *geneve = header->bytes + header->size - GENEVE_SIZE;
    for (uint32_t at = 0; at < size; at += 4u + 4u * (options[at + 3] & 0x1f)) {
        geneve[1] |= options[at + 2] & GENEVE_OPTION_CRITICAL ? GENEVE_FLAG_CRITICAL : 0;
    }
    geneve[0] = (uint8_t) (size / 4);
    memcpy(header->bytes + header->size, options, size);
    header->size = (uint16_t) (header->size + size);
    return true;
}
