#include "pipeline/field_hash.h"

#include <stddef.h>
#include <string.h>

#include "packet/bytes.h"
#include "pipeline/field.h"

#define IP_PROTO_ICMP 1
#define IP_PROTO_TCP 6
#define IP_PROTO_UDP 17
#define IP_PROTO_SCTP 132

static uint32_t
rotate(uint32_t x, unsigned int n)
{
    return x << n | x >> (32 - n);
}

/* One round of lookup3: 'x' takes in 'y', rotated, and 'z' grows. */
static void
jenkins_step(uint32_t *x, uint32_t *y, uint32_t *z, unsigned int n)
{
    *x -= *y;
    *x ^= rotate(*y, n);
    *y += *z;
}

static void
jenkins_mix(uint32_t s[3])
{
    jenkins_step(&s[0], &s[2], &s[1], 4);
    jenkins_step(&s[1], &s[0], &s[2], 6);
    jenkins_step(&s[2], &s[1], &s[0], 8);
    jenkins_step(&s[0], &s[2], &s[1], 16);
    jenkins_step(&s[1], &s[0], &s[2], 19);
    jenkins_step(&s[2], &s[1], &s[0], 4);
}

static void
jenkins_end(uint32_t s[3])
{
    static const struct {
        uint8_t to, from, bits;
    } rounds[] = { { 2, 1, 14 }, { 0, 2, 11 }, { 1, 0, 25 }, { 2, 1, 16 }, { 0, 2, 4 }, { 1, 0, 14 }, { 2, 1, 24 } };

    for (uint32_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
        s[rounds[i].to] ^= s[rounds[i].from];
        s[rounds[i].to] -= rotate(s[rounds[i].from], rounds[i].bits);
    }
}

/* lookup3 of bytes, with the words as the machine reads them. */
static uint32_t
jenkins(const void *bytes_, size_t size, uint32_t basis)
{
    const uint8_t *bytes = bytes_;
    uint32_t begin = 0xdeadbeef + (uint32_t) size + basis;
    uint32_t state[3] = { begin, begin, begin };

    while (size) {
        uint32_t words[3] = { 0, 0, 0 };
        size_t n = size < sizeof words ? size : sizeof words;
        memcpy(words, bytes, n);
        for (uint32_t i = 0; i < 3; i++) {
            state[i] += words[i];
        }
        if (n == sizeof words) {
            jenkins_mix(state);
        } else {
            jenkins_end(state);
        }
        bytes += n;
        size -= n;
    }
    return state[2];
}

static uint32_t
murmur_add(uint32_t hash, uint32_t word)
{
    hash ^= rotate(word * 0xcc9e2d51u, 15) * 0x1b873593u;
    return rotate(hash, 13) * 5 + 0xe6546b64u;
}

static uint32_t
murmur_end(uint32_t hash, uint32_t size)
{
    hash ^= size;
    hash ^= hash >> 16;
    hash *= 0x85ebca6bu;
    hash ^= hash >> 13;
    hash *= 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

uint32_t
hash_two_words(uint32_t a, uint32_t b)
{
    return murmur_end(murmur_add(murmur_add(a, 0), b), 8);
}

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
    return (key->vlan0_tci ^ key->vlan1_tci) & be16(VLAN_VID_MASK);
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
    if (key_is_ip(key)) {
        fields.ip_proto = key->ip_proto;
        /* Not those of UDP, which need not be symmetric. */
        if (key->ip_proto == IP_PROTO_TCP || key->ip_proto == IP_PROTO_SCTP) {
            fields.port = key->tp_src ^ key->tp_dst;
        }
    }
    return jenkins(&fields, sizeof fields, basis);
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
    return jenkins(&fields, sizeof fields, basis);
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
        hash = murmur_add(hash, words[i]);
    }
    return murmur_end(hash, basis);
}

/* Whether the L4 ports take part in symmetric_l3l4. */
static bool
hashes_ports(const struct flow_key *key, bool udp)
{
    return !(key->ip_frag & (FRAG_ANY | FRAG_LATER))
           && (key->ip_proto == IP_PROTO_TCP || key->ip_proto == IP_PROTO_SCTP
               || (udp && key->ip_proto == IP_PROTO_UDP));
}

static uint32_t
hash_l3l4(const struct flow_key *key, uint32_t basis, bool udp)
{
    uint32_t words[4] = { 0, 0, 0, 0 };
    uint32_t hash = basis;

    if (!key_is_ip(key)) {
        return hash_l2(key, basis);
    }
    xor_addresses(key, (uint8_t *) words);
    for (uint32_t i = 0; i < (is_ipv4(key) ? 1u : 4u); i++) {
        hash = murmur_add(hash, words[i]);
    }
    hash = murmur_add(hash, key->ip_proto);
    if (hashes_ports(key, udp)) {
        hash = murmur_add(hash, (uint16_t) (key->tp_src ^ key->tp_dst));
    }
    return murmur_end(hash, basis);
}

/* One address. */
static uint32_t
hash_address(const struct flow_key *key, const uint32_t *ipv4, const uint8_t *ipv6, uint32_t basis)
{
    return is_ipv4(key) ? jenkins(ipv4, 4, basis) : is_ipv6(key) ? jenkins(ipv6, 16, basis) : basis;
}

uint32_t
field_hash(const struct flow_key *key, enum hash_fields fields, uint16_t basis)
{
    switch (fields) {
    case HASH_ETH_SRC:
        return jenkins(key->eth_src, sizeof key->eth_src, basis);
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

static void
read_source(const struct flow_key *key, struct flow_key *wild)
{
    if (is_ipv4(key)) {
        wild->ip_src = UINT32_MAX;
    } else if (is_ipv6(key)) {
        memset(wild->ipv6_src, 0xff, sizeof wild->ipv6_src);
    }
}

static void
read_destination(const struct flow_key *key, struct flow_key *wild)
{
    if (is_ipv4(key)) {
        wild->ip_dst = UINT32_MAX;
    } else if (is_ipv6(key)) {
        memset(wild->ipv6_dst, 0xff, sizeof wild->ipv6_dst);
    }
}

static void
read_l2(struct flow_key *wild)
{
    memset(wild->eth_src, 0xff, sizeof wild->eth_src);
    memset(wild->eth_dst, 0xff, sizeof wild->eth_dst);
    wild->vlan0_tci |= be16(VLAN_VID_MASK | VLAN_CFI);
    wild->vlan1_tci |= be16(VLAN_VID_MASK | VLAN_CFI);
}

/* All bits of the ports; the types of ICMP have only eight. */
static void
read_ports(const struct flow_key *key, struct flow_key *wild)
{
    uint16_t bits = key->ip_proto == IP_PROTO_ICMP ? be16(0xff) : UINT16_MAX;

    wild->tp_src |= bits;
    wild->tp_dst |= bits;
}

void
field_hash_unwildcard(const struct flow_key *key, struct flow_key *wild, enum hash_fields fields)
{
    switch (fields) {
    case HASH_ETH_SRC:
        memset(wild->eth_src, 0xff, sizeof wild->eth_src);
        return;
    case HASH_NW_SRC:
        read_source(key, wild);
        return;
    case HASH_NW_DST:
        read_destination(key, wild);
        return;
    case HASH_SYMMETRIC_L3:
    case HASH_SYMMETRIC_L4:
    case HASH_SYMMETRIC_L3L4:
    case HASH_SYMMETRIC_L3L4_UDP:
        read_source(key, wild);
        read_destination(key, wild);
        break;
    case HASH_FIELDS_COUNT:
        return;
    }
    if (fields == HASH_SYMMETRIC_L3) {
        return;
    }
    if (key_is_ip(key)) {
        wild->ip_proto = 0xff;
    }
    if (fields == HASH_SYMMETRIC_L4) {
        read_l2(wild);
        if (key_is_ip(key) && key->ip_proto != IP_PROTO_UDP) {
            read_ports(key, wild);
        }
    } else if (!key_is_ip(key)) {
        /* What is hashed then are the fields of layer 2. */
        read_l2(wild);
    } else if (hashes_ports(key, fields == HASH_SYMMETRIC_L3L4_UDP)) {
        read_ports(key, wild);
    }
}
