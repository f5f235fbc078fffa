#include "packet/compose.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/parse.h"

#define PAYLOAD_SIZE 64

/* Appends 'n' zero bytes and returns where they are. */
static uint8_t *
put_zeros(struct packet *packet, uint32_t n)
{
    assert(packet->size + n <= PACKET_COMPOSE_SIZE_MAX);
    uint8_t *p = packet->data + packet->size;
    memset(p, 0, n);
    packet->size += n;
    return p;
}

/* Appends the payload; null: 64 bytes that count. */
static void
put_payload(struct packet *packet, const struct packet_payload *payload)
{
    if (payload) {
        assert(payload->size <= packet_tailroom(packet));
        if (payload->size) {
            memcpy(packet->data + packet->size, payload->bytes, payload->size);
        }
        packet->size += payload->size;
        return;
    }
    uint8_t *p = put_zeros(packet, PAYLOAD_SIZE);
    for (uint32_t i = 0; i < PAYLOAD_SIZE; i++) {
        p[i] = (uint8_t) i;
    }
}

static void
put_nd_option(struct packet *packet, uint8_t type, const uint8_t *address)
{
    static const uint8_t zero[6];
    if (memcmp(address, zero, sizeof zero)) {
        uint8_t *option = put_zeros(packet, ND_OPTION_SIZE);
        option[0] = type;
        option[1] = 1;
        memcpy(option + 2, address, 6);
    }
}

static void
put_icmp(struct packet *packet, const struct flow_key *key, const struct packet_payload *payload)
{
    bool v6 = key->ip_proto == PROTO_ICMPV6;
    uint8_t type = (uint8_t) be16(key->tp_src);
    uint8_t code = (uint8_t) be16(key->tp_dst);
    uint8_t *icmp = put_zeros(packet, ICMP_SIZE);
    icmp[0] = type;
    icmp[1] = code;
    bool echo = v6 ? type == 128 || type == 129 : type == 0 || type == 8;
    if (echo && !code) {
        put_payload(packet, payload);
    } else if (v6 && !code && (type == ND_SOLICIT || type == ND_ADVERT)) {
        put_raw32(icmp + 4, key->nd_reserved);
        memcpy(put_zeros(packet, 16), key->nd_target, 16);
        put_nd_option(packet, ND_OPTION_SLL, key->arp_sha);
        put_nd_option(packet, ND_OPTION_TLL, key->arp_tha);
    }
}

/* Appends L4, but for its checksum, with the payload if the protocol carries any. */
static void
put_l4(struct packet *packet, const struct flow_key *key, const struct packet_payload *payload)
{
    uint32_t begin = packet->size;
    uint8_t *l4;
    if (key->ip_frag & FRAG_LATER) {
        return;
    }
    switch (key->ip_proto) {
    case PROTO_TCP:
        l4 = put_zeros(packet, TCP_SIZE);
        put_raw16(l4, key->tp_src);
        put_raw16(l4 + 2, key->tp_dst);
        put_raw16(l4 + 12, (key->tcp_flags & be16(0x0fff)) | be16(5 << 12));
        if (!(key->tcp_flags & be16(TCP_SYN | TCP_FIN | TCP_RST))) {
            put_payload(packet, payload);
        }
        break;
    case PROTO_UDP:
        l4 = put_zeros(packet, UDP_SIZE);
        put_raw16(l4, key->tp_src);
        put_raw16(l4 + 2, key->tp_dst);
        put_payload(packet, payload);
        put_be16(l4 + 4, (uint16_t) (packet->size - begin));
        break;
    case PROTO_SCTP:
        l4 = put_zeros(packet, SCTP_SIZE);
        put_raw16(l4, key->tp_src);
        put_raw16(l4 + 2, key->tp_dst);
        break;
    case PROTO_IGMP:
        l4 = put_zeros(packet, IGMP_SIZE);
        l4[0] = (uint8_t) be16(key->tp_src);
        l4[1] = (uint8_t) be16(key->tp_dst);
        put_raw32(l4 + 4, key->igmp_group);
        break;
    case PROTO_ICMP:
    case PROTO_ICMPV6:
        put_icmp(packet, key, payload);
        break;
    default:
        break;
    }
}

static void
put_ipv4(struct packet *packet, const struct flow_key *key, const struct packet_payload *payload)
{
    uint8_t *ip = put_zeros(packet, IPV4_SIZE);
    ip[0] = 0x45;
    ip[1] = key->ip_tos;
    ip[8] = key->ip_ttl;
    ip[9] = key->ip_proto;
    put_raw32(ip + 12, key->ip_src);
    put_raw32(ip + 16, key->ip_dst);
    put_l4(packet, key, payload);
}

static void
put_ipv6(struct packet *packet, const struct flow_key *key, const struct packet_payload *payload)
{
    uint8_t *ip = put_zeros(packet, IPV6_SIZE);
    put_raw32(ip, be32(6u << 28 | (uint32_t) key->ip_tos << 20) | (key->ipv6_label & be32(IPV6_LABEL_MASK)));
    ip[6] = key->ip_proto;
    ip[7] = key->ip_ttl;
    memcpy(ip + 8, key->ipv6_src, 16);
    memcpy(ip + 24, key->ipv6_dst, 16);
    put_l4(packet, key, payload);
}

static void
put_arp(struct packet *packet, const struct flow_key *key)
{
    static const uint8_t ethernet_ipv4[6] = { 0x00, 0x01, 0x08, 0x00, 6, 4 };
    uint8_t *arp = put_zeros(packet, ARP_SIZE);
    memcpy(arp, ethernet_ipv4, sizeof ethernet_ipv4);
    arp[7] = key->ip_proto;
    if (key->ip_proto == 1 || key->ip_proto == 2) {
        memcpy(arp + 8, key->arp_sha, 6);
        put_raw32(arp + 14, key->ip_src);
        memcpy(arp + 18, key->arp_tha, 6);
        put_raw32(arp + 24, key->ip_dst);
    }
}

/* The key has no place for more labels, so a stack without a bottom ends after the third. */
static void
put_mpls(struct packet *packet, const struct flow_key *key)
{
    const uint32_t *lse = &key->mpls0_lse;
    for (uint32_t i = 0; i < MPLS_LABELS_MAX; i++) {
        put_raw32(put_zeros(packet, 4), lse[i]);
        if (be32(lse[i]) & MPLS_BOS) {
            break;
        }
    }
}

static void
put_ethernet(struct packet *packet, const struct flow_key *key)
{
    uint8_t *addresses = put_zeros(packet, ETH_ADDRESSES_SIZE);
    memcpy(addresses, key->eth_dst, 6);
    memcpy(addresses + 6, key->eth_src, 6);
    const uint16_t *vlan = &key->vlan0_tpid;
    for (uint32_t i = 0; i < 2; i++, vlan += 2) {
        if (vlan[1] & be16(VLAN_PRESENT)) {
            uint8_t *tag = put_zeros(packet, VLAN_SIZE);
            put_raw16(tag, vlan[0] ? vlan[0] : be16(ETH_TYPE_VLAN));
            put_raw16(tag + 2, vlan[1] & be16((uint16_t) ~VLAN_PRESENT));
        }
    }
    put_raw16(put_zeros(packet, 2), key->eth_type);
}

/* Fills in lengths and checksums of a frame that is complete but for them. */
static void
finish(struct packet *packet, const struct flow_key *key, uint32_t l3_ofs)
{
    struct flow_key parsed;
    uint8_t *l3 = packet->data + l3_ofs;
    uint32_t l3_size = packet->size - l3_ofs;
    switch (packet->bare_type ? packet->bare_type : be16(key->eth_type)) {
    case ETH_TYPE_NONE:
        /* An IEEE 802.3 length; Open vSwitch counts the Ethernet header too. */
        if (!packet->bare_type) {
            put_be16(l3 - 2, (uint16_t) packet->size);
        }
        break;
    case ETH_TYPE_IPV4:
        put_be16(l3 + 2, (uint16_t) l3_size);
        break;
    case ETH_TYPE_IPV6:
        put_be16(l3 + 4, (uint16_t) (l3_size - IPV6_SIZE));
        break;
    default:
        break;
    }
    packet_parse(packet, 2, &parsed);
    if (packet->l4_type == PACKET_L4_UDP && !(key->ip_frag & FRAG_LATER)) {
        put_be16(packet->data + packet->l4_ofs + 4, (uint16_t) packet->l4_size);
    }
    if (packet->l4_type == PACKET_L4_SCTP || key->ip_frag & FRAG_LATER) {
        packet->l4_type = PACKET_L4_NONE;
    }
    packet_checksum_fill(packet);

    /* Only now does it become a fragment: those have no L4 checksum of their own to fill in. */
    if (packet->l3_type == PACKET_L3_IPV4 && key->ip_frag & FRAG_ANY) {
        put_be16(l3 + 6, IPV4_MORE_FRAGMENTS | (key->ip_frag & FRAG_LATER ? 100 : 0));
        put_raw16(l3 + 10, 0);
        put_raw16(l3 + 10, checksum(l3, IPV4_SIZE));
    }
    packet_parse(packet, 2, &parsed);
}

void
packet_compose_sized(struct packet *packet, const struct flow_key *key, const struct packet_payload *payload,
                     uint32_t size)
{
    assert(packet_tailroom(packet) + packet->size >= PACKET_COMPOSE_SIZE_MAX);
    packet_reset(packet);
    packet->in_port = be32(key->in_port);
    packet->skb_priority = be32(key->skb_priority);
    packet->pkt_mark = be32(key->pkt_mark);
    packet->bare_type = be32(key->packet_type) >> 16 ? (uint16_t) be32(key->packet_type) : 0;
    packet->size = 0;
    if (!packet->bare_type) {
        put_ethernet(packet, key);
    }

    uint32_t eth_type = packet->bare_type ? packet->bare_type : be16(key->eth_type);
    if (eth_type_is_mpls(eth_type)) {
        put_mpls(packet, key);
    }
    static const struct packet_payload none;
    payload = !payload && size ? &none : payload;
    uint32_t l3_ofs = packet->size;
    switch (eth_type) {
    case ETH_TYPE_IPV4:
        put_ipv4(packet, key, payload);
        break;
    case ETH_TYPE_IPV6:
        put_ipv6(packet, key, payload);
        break;
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
        put_arp(packet, key);
        break;
    default:
        break;
    }
    if (size > packet->size) {
        assert(size - packet->size <= packet_tailroom(packet));
        memset(packet->data + packet->size, 0, size - packet->size);
        packet->size = size;
    }
    finish(packet, key, l3_ofs);
}

void
packet_compose(struct packet *packet, const struct flow_key *key)
{
    packet_compose_sized(packet, key, NULL, 0);
}
