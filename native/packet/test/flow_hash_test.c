/* Hashes of packets, by the bytes and by the key, give the same; both directions of a connection hash alike. */
#include <stdint.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/compose.h"
#include "packet/flow_hash.h"
#include "packet/hash.h"
#include "packet/headers.h"
#include "packet/parse.h"
#include "packet/test/claim.h"

static const uint16_t types[] = { ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_ARP, 0x88cc };
static const uint8_t protos[] = {
    PROTO_TCP, PROTO_UDP, PROTO_SCTP, PROTO_ICMP, PROTO_ICMPV6, PROTO_IGMP, 89,
};

static void
random_key(uint64_t *state, struct flow_key *key)
{
    memset(key, 0, sizeof *key);
    for (uint32_t i = 0; i < 6; i++) {
        key->eth_src[i] = (uint8_t) (random_next(state) >> 20);
        key->eth_dst[i] = (uint8_t) (random_next(state) >> 20) & 0xfe;
    }
    if (random_next(state) & 1) {
        key->vlan0_tpid = be16(ETH_TYPE_VLAN);
        key->vlan0_tci = be16((uint16_t) (random_next(state) >> 30) | VLAN_PRESENT);
    }
    uint16_t type = types[random_next(state) % 4];
    key->eth_type = be16(type);
    key->ip_proto = type == ETH_TYPE_ARP ? 1 : protos[random_next(state) % 7];
    if (type == ETH_TYPE_IPV6) {
        for (uint32_t i = 0; i < 16; i++) {
            key->ipv6_src[i] = (uint8_t) (random_next(state) >> 20);
            key->ipv6_dst[i] = (uint8_t) (random_next(state) >> 20);
        }
    } else if (type != 0x88cc) {
        key->ip_src = (uint32_t) (random_next(state) >> 20);
        key->ip_dst = (uint32_t) (random_next(state) >> 20);
    }
    if (type == ETH_TYPE_IPV4 || type == ETH_TYPE_IPV6) {
        key->ip_ttl = 64;
        key->ip_frag = random_next(state) % 4 ? 0 : random_next(state) & 1 ? FRAG_ANY : FRAG_ANY | FRAG_LATER;
        key->tp_src = (uint16_t) (random_next(state) >> 20);
        key->tp_dst = (uint16_t) (random_next(state) >> 20);
    }
}

static void
test_packet_hashes_as_its_key(void)
{
    static uint8_t buffer[1024];
    uint64_t state = 0x5eed;
    uint32_t n_ports = 0;

    for (uint32_t i = 0; i < 20000; i++) {
        struct flow_key key;
        struct packet packet;
        random_key(&state, &key);
        packet_wrap(&packet, buffer, sizeof buffer, 256, 512);
        packet_compose(&packet, &key);
        packet_parse(&packet, 1, &key);
        uint16_t l4_ofs = packet.l4_ofs;
        uint32_t tuple = flow_hash_five_tuple(&key);
        CHECK(packet_hash_five_tuple(&packet) == tuple);
        CHECK(packet_hash_l4(&packet, i) == hash_two_words(tuple, i));
        CHECK(packet_hash_sym_l4(&packet, 1, i) == flow_hash(&key, HASH_SYMMETRIC_L3L4, i));
        CHECK(packet.l4_ofs == l4_ofs);
        n_ports += flow_hash_has_ports(&key, false);
        packet.flags |= PACKET_HASH_VALID;
        packet.hash = i;
        CHECK(packet_hash_five_tuple(&packet) == i);
    }
    CHECK(n_ports > 2000);
    claim("a packet hashes as its key does, and a device's hash is taken as it is");
}

/* Ethernet, then 'n_tags' tags, then a TCP packet over IPv6 that has an extension header. */
static void
wrap_extended(struct packet *packet, uint8_t *buffer, uint32_t n_tags)
{
    uint8_t *data = buffer + 128;
    uint32_t at = 12;

    memset(buffer, 0, 512);
    for (uint32_t i = 0; i < n_tags; i++, at += VLAN_SIZE) {
        put_be16(data + at, ETH_TYPE_VLAN);
    }
    put_be16(data + at, ETH_TYPE_IPV6);
    uint8_t *ip = data + at + 2;
    ip[0] = 0x60;
    ip[5] = 8 + 20;
    ip[6] = 60;
    ip[23] = 1;
    ip[39] = 2;
    ip[40] = PROTO_TCP;
    ip[49] = 80;
    ip[60] = 0x50;
    packet_wrap(packet, buffer, 512, 128, at + 2 + 40 + 8 + 20);
}

static void
test_kept_hash(void)
{
    static uint8_t buffer[512];
    struct packet packet;
    struct flow_key key;

    wrap_extended(&packet, buffer, 0);
    packet_parse(&packet, 1, &key);
    CHECK(packet.l4_type == PACKET_L4_TCP && key.ip_proto == PROTO_TCP);
    uint32_t before = packet_hash_l4(&packet, 9);
    key.ip_proto = 60;
    CHECK(before != hash_two_words(flow_hash_five_tuple(&key), 9));
    packet_keep_hash(&packet);
    packet.data[packet.l3_ofs + 23] = 7;
    packet_keep_hash(&packet);
    CHECK(packet_hash_l4(&packet, 9) == before);
    packet.flags &= ~PACKET_HASH_VALID;
    CHECK(packet_hash_l4(&packet, 9) != before);
    claim("a hash that is kept is that of the packet as it was");

    wrap_extended(&packet, buffer, 2);
    packet_parse(&packet, 2, &key);
    uint32_t behind = packet_hash_sym_l4(&packet, 2, 9);
    CHECK(behind == flow_hash(&key, HASH_SYMMETRIC_L3L4, 9));
    CHECK(packet_hash_sym_l4(&packet, 1, 9) != behind);
    packet_parse(&packet, 1, &key);
    CHECK(packet_hash_sym_l4(&packet, 1, 9) == flow_hash(&key, HASH_SYMMETRIC_L3L4, 9));
    claim("the symmetric hash looks behind no more tags than packets are looked into");
}

static void
test_directions_hash_alike(void)
{
    uint64_t state = 0xd1ec;

    for (uint32_t i = 0; i < 2000; i++) {
        struct flow_key key;
        random_key(&state, &key);
        struct flow_key back = key;
        memcpy(back.eth_src, key.eth_dst, 6);
        memcpy(back.eth_dst, key.eth_src, 6);
        memcpy(back.ipv6_src, key.ipv6_dst, 16);
        memcpy(back.ipv6_dst, key.ipv6_src, 16);
        back.ip_src = key.ip_dst;
        back.ip_dst = key.ip_src;
        back.tp_src = key.tp_dst;
        back.tp_dst = key.tp_src;
        for (enum hash_fields fields = HASH_SYMMETRIC_L4; fields <= HASH_SYMMETRIC_L3L4_UDP; fields++) {
            CHECK(flow_hash(&key, fields, i) == flow_hash(&back, fields, i));
        }
    }
    claim("symmetric hashes are the same for both directions");
}

/* Values that are published for MurmurHash3 of 32 bits. */
static void
test_known_values(void)
{
    const uint32_t words[2] = { 1, 0xdeadbeefu };
    CHECK(hash_murmur(words, 8, 0) == hash_end(hash_add(hash_add(0, 1), 0xdeadbeefu), 8));
    CHECK(hash_murmur("", 0, 0) == 0);
    CHECK(hash_murmur("\0\0\0", 4, 0) == 0x2362f9deu);
    CHECK(hash_murmur("\xff\xff\xff\xff", 4, 0) == 0x76293b50u);
    CHECK(hash_murmur("\x21\x43\x65\x87", 4, 0x5082edeeu) == 0x2362f9deu);
    CHECK(hash_number(0xdeadbeef00000001u) == hash_murmur(words, 8, 0));
    claim("MurmurHash3 gives the values that are published for it");
}

int
main(void)
{
    test_packet_hashes_as_its_key();
    test_kept_hash();
    test_directions_hash_alike();
    test_known_values();
    return 0;
}
