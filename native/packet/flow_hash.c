#include "packet/flow_hash.h"

#include <stddef.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/hash.h"
#include "packet/headers.h"
#include "packet/parse.h"

/* What ends the hash of the 5-tuple. */
#define FIVE_TUPLE_END 42u

static bool
is_ipv4(const struct flow_key *key)
{
    return key->eth_type == be16(ETH_TYPE_IPV4);
}

static bool
is_ipv6(const struct flow_key *key)
{
    return key->eth_type == be16(ETH_TYPE_IPV6);
}

static bool
is_ip(const struct flow_key *key)
{
    return is_ipv4(key) || is_ipv6(key);
}

static void
xor_bytes(uint8_t *to, const uint8_t *a, const uint8_t *b, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        to[i] = a[i] ^ b[i];
    }
}

/* Both addresses of the packet's IP version, into 16 zero bytes. */
static void
xor_addresses(const struct flow_key *key, uint8_t to[16])
{
    if (is_ipv4(key)) {
        uint32_t both = key->ip_src ^ key->ip_dst;
        memcpy(to, &both, sizeof both);
    } else if (is_ipv6(key)) {
        xor_bytes(to, key->ipv6_src, key->ipv6_dst, 16);
    }
}

static uint16_t
vlan_ids(const struct flow_key *key)
{
    return (key->vlan0_tci ^ key->vlan1_tci) & be16(0x0fff);
}

static uint32_t
hash_l4(const struct flow_key *key, uint32_t basis)
{
    struct {
        uint8_t address[16];
        uint16_t eth_type;
        uint16_t vlan;
        uint16_t port;
        uint8_t eth[6];
        uint8_t ip_proto;
        uint8_t pad[3];
    } fields;

    memset(&fields, 0, sizeof fields);
    xor_bytes(fields.eth, key->eth_src, key->eth_dst, 6);
    xor_addresses(key, fields.address);
    fields.vlan = vlan_ids(key);
    fields.eth_type = key->eth_type;
    if (is_ip(key)) {
        fields.ip_proto = key->ip_proto;
        /* Not those of UDP, which need not be symmetric. */
        if (key->ip_proto == PROTO_TCP || key->ip_proto == PROTO_SCTP) {
            fields.port = key->tp_src ^ key->tp_dst;
        }
    }
    return hash_jenkins(&fields, sizeof fields, basis);
}

static uint32_t
hash_l3(const struct flow_key *key, uint32_t basis)
{
    struct {
        uint8_t address[16];
        uint16_t eth_type;
        uint8_t pad[2];
    } fields;

    memset(&fields, 0, sizeof fields);
    xor_addresses(key, fields.address);
    fields.eth_type = key->eth_type;
    return hash_jenkins(&fields, sizeof fields, basis);
}

static uint32_t
hash_l2(const struct flow_key *key, uint32_t basis)
{
    struct {
        uint16_t eth_type;
        uint16_t vlan;
        uint8_t eth[6];
        uint8_t pad[2];
    } fields;
    uint32_t words[sizeof fields / 4];
    uint32_t hash = basis;

    if (key->packet_type) {
        return 0;
    }
    memset(&fields, 0, sizeof fields);
    fields.eth_type = key->eth_type;
    fields.vlan = vlan_ids(key);
    xor_bytes(fields.eth, key->eth_src, key->eth_dst, 6);
    memcpy(words, &fields, sizeof words);
    for (uint32_t i = 0; i < sizeof words / 4; i++) {
        hash = hash_add(hash, words[i]);
    }
    return hash_end(hash, basis);
}

bool
flow_hash_has_ports(const struct flow_key *key, bool udp)
{
    return !(key->ip_frag & (FRAG_ANY | FRAG_LATER))
           && (key->ip_proto == PROTO_TCP || key->ip_proto == PROTO_SCTP || (udp && key->ip_proto == PROTO_UDP));
}

static uint32_t
hash_l3l4(const struct flow_key *key, uint32_t basis, bool udp)
{
    uint32_t words[4] = { 0, 0, 0, 0 };
    uint32_t hash = basis;

    if (!is_ip(key)) {
        return hash_l2(key, basis);
    }
    xor_addresses(key, (uint8_t *) words);
    for (uint32_t i = 0; i < (is_ipv4(key) ? 1u : 4u); i++) {
        hash = hash_add(hash, words[i]);
    }
    hash = hash_add(hash, key->ip_proto);
    if (flow_hash_has_ports(key, udp)) {
        hash = hash_add(hash, (uint16_t) (key->tp_src ^ key->tp_dst));
    }
    return hash_end(hash, basis);
}

/* One address. */
static uint32_t
hash_address(const struct flow_key *key, const uint32_t *ipv4, const uint8_t *ipv6, uint32_t basis)
{
    return is_ipv4(key) ? hash_jenkins(ipv4, 4, basis) : is_ipv6(key) ? hash_jenkins(ipv6, 16, basis) : basis;
}

uint32_t
flow_hash(const struct flow_key *key, enum hash_fields fields, uint32_t basis)
{
    switch (fields) {
    case HASH_ETH_SRC:
        return hash_jenkins(key->eth_src, sizeof key->eth_src, basis);
    case HASH_SYMMETRIC_L4:
        return hash_l4(key, basis);
    case HASH_SYMMETRIC_L3L4:
        return hash_l3l4(key, basis, false);
    case HASH_SYMMETRIC_L3L4_UDP:
        return hash_l3l4(key, basis, true);
    case HASH_NW_SRC:
        return hash_address(key, &key->ip_src, key->ipv6_src, basis);
    case HASH_NW_DST:
        return hash_address(key, &key->ip_dst, key->ipv6_dst, basis);
    case HASH_SYMMETRIC_L3:
        return hash_l3(key, basis);
    case HASH_FIELDS_COUNT:
        break;
    }
    return basis;
}

static uint32_t
add_bytes(uint32_t hash, const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += sizeof(uint32_t)) {
        hash = hash_add(hash, get_raw32(bytes + i));
    }
    return hash;
}

static bool
has_ports(uint8_t ip_proto)
{
    return ip_proto == PROTO_TCP || ip_proto == PROTO_UDP || ip_proto == PROTO_SCTP || ip_proto == PROTO_ICMP
           || ip_proto == PROTO_ICMPV6;
}

/* Of a packet that says 'ip_proto' behind its addresses. */
static uint32_t
hash_tuple(const struct flow_key *key, uint8_t ip_proto)
{
    uint32_t hash = 0;

    if (is_ipv6(key)) {
        hash = add_bytes(add_bytes(hash, key->ipv6_src, 16), key->ipv6_dst, 16);
    } else if (is_ipv4(key) || key->eth_type == be16(ETH_TYPE_ARP)) {
        hash = hash_add(hash_add(hash, key->ip_src), key->ip_dst);
    } else {
        return hash_end(hash, FIVE_TUPLE_END);
    }
    hash = hash_add(hash, ip_proto);
    if (has_ports(key->ip_proto)) {
        hash = hash_add(hash, key->tp_src | (uint32_t) key->tp_dst << 16);
    }
    return hash_end(hash, FIVE_TUPLE_END);
}

uint32_t
flow_hash_five_tuple(const struct flow_key *key)
{
    return hash_tuple(key, key->ip_proto);
}

/* What is hashed of nearly all packets, found by the offsets that the packet has. */
struct tuple {
    const uint8_t *src;
    const uint8_t *dst;
    uint32_t address_size;
    uint32_t ports; /* As the key has them, the source's in the low bytes. */
    uint8_t ip_proto;
};

/* Whole TCP, UDP and SCTP datagrams without IPv6 extension headers.  Returns false for all others. */
static bool
read_tuple(const struct packet *packet, struct tuple *tuple)
{
    const uint8_t *ip = packet->data + packet->l3_ofs;

    if (packet->l4_type != PACKET_L4_TCP && packet->l4_type != PACKET_L4_UDP && packet->l4_type != PACKET_L4_SCTP) {
        return false;
    }
    if (packet->l3_type == PACKET_L3_IPV4 && !(get_be16(ip + 6) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK))) {
        *tuple = (struct tuple){ ip + 12, ip + 16, 4, 0, ip[9] };
    } else if (packet->l3_type == PACKET_L3_IPV6 && packet->l4_ofs == packet->l3_ofs + IPV6_SIZE) {
        *tuple = (struct tuple){ ip + 8, ip + 24, 16, 0, ip[6] };
    } else {
        return false;
    }
    tuple->ports = get_raw32(packet->data + packet->l4_ofs);
    return true;
}

/* The key of a packet whose offsets stay as they are. */
static void
read_key(const struct packet *packet, uint32_t vlan_limit, struct flow_key *key)
{
    struct packet view = *packet;

    packet_parse(&view, vlan_limit, key);
}

uint32_t
packet_hash_five_tuple(const struct packet *packet)
{
    struct tuple tuple;

    if (packet->flags & PACKET_HASH_VALID) {
        return packet->hash;
    }
    if (!read_tuple(packet, &tuple)) {
        struct flow_key key;
        /* A tag that the last look into the packet did not look behind is taken for its type here, too. */
        read_key(packet, packet->l3_type == PACKET_L3_NONE ? 1 : 2, &key);
        bool extended = is_ipv6(&key) && (packet->l4_type == PACKET_L4_TCP || packet->l4_type == PACKET_L4_UDP);
        /* Of a TCP or UDP packet Open vSwitch hashes the first of the headers that follow. */
        return hash_tuple(&key, extended ? packet->data[packet->l3_ofs + 6] : key.ip_proto);
    }
    uint32_t hash = add_bytes(add_bytes(0, tuple.src, tuple.address_size), tuple.dst, tuple.address_size);
    return hash_end(hash_add(hash_add(hash, tuple.ip_proto), tuple.ports), FIVE_TUPLE_END);
}

void
packet_keep_hash(struct packet *packet)
{
    packet->hash = packet_hash_five_tuple(packet);
    packet->flags |= PACKET_HASH_VALID;
}

uint32_t
packet_hash_l4(const struct packet *packet, uint32_t basis)
{
    return hash_two_words(packet_hash_five_tuple(packet), basis);
}

/* Whether there are more tags than are looked behind: what is known of the packet may be of behind them, as tags are
 * pushed without a look into it. */
static bool
is_tagged_deeper(const struct packet *packet, uint32_t vlan_limit)
{
    return vlan_limit < 2 && !packet->bare_type && packet->size >= ETH_SIZE + VLAN_SIZE
           && eth_type_is_vlan(get_be16(packet->data + 12)) && eth_type_is_vlan(get_be16(packet->data + 16));
}

uint32_t
packet_hash_sym_l4(const struct packet *packet, uint32_t vlan_limit, uint32_t basis)
{
    struct tuple tuple;
    uint32_t hash = basis;

    if (is_tagged_deeper(packet, vlan_limit) || !read_tuple(packet, &tuple)) {
        struct flow_key key;
        read_key(packet, vlan_limit, &key);
        return flow_hash(&key, HASH_SYMMETRIC_L3L4, basis);
    }
    for (uint32_t i = 0; i < tuple.address_size; i += 4) {
        hash = hash_add(hash, get_raw32(tuple.src + i) ^ get_raw32(tuple.dst + i));
    }
    hash = hash_add(hash, tuple.ip_proto);
    if (tuple.ip_proto != PROTO_UDP) {
        hash = hash_add(hash, (uint16_t) (tuple.ports ^ tuple.ports >> 16));
    }
    return hash_end(hash, basis);
}
