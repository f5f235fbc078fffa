/* Random rewrites of composed packets: what was set is parsed back, nothing else changes, checksums stay right. */
#include <stdint.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/compose.h"
#include "packet/headers.h"
#include "packet/parse.h"
#include "packet/rewrite.h"
#include "packet/test/claim.h"

struct frame {
    uint8_t buffer[1024];
    struct packet packet;
};

static void
random_bytes(uint64_t *state, void *bytes_, size_t size)
{
    uint8_t *bytes = bytes_;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t) (random_next(state) >> 32);
    }
}

static void
random_tags(uint64_t *state, struct flow_key *key)
{
    uint32_t n_tags = random_next(state) % 3;
    for (uint32_t i = 0; i < n_tags; i++) {
        (&key->vlan0_tpid)[2 * i] = be16(random_next(state) & 1 ? ETH_TYPE_VLAN : ETH_TYPE_QINQ);
        (&key->vlan0_tpid)[2 * i + 1] = be16((uint16_t) random_next(state) | VLAN_PRESENT);
    }
}

/* A key that compose and parse give back unchanged, of a random kind. */
static void
random_key(uint64_t *state, struct flow_key *key)
{
    static const uint16_t types[] = { ETH_TYPE_IPV4, ETH_TYPE_IPV4, ETH_TYPE_IPV6,
                                      ETH_TYPE_IPV6, ETH_TYPE_ARP,  ETH_TYPE_MPLS };
    static const uint8_t protos[] = { PROTO_TCP, PROTO_UDP, PROTO_SCTP, PROTO_ICMP, PROTO_ICMPV6, PROTO_IGMP };
    memset(key, 0, sizeof *key);
    random_bytes(state, key->eth_dst, 6);
    random_bytes(state, key->eth_src, 6);
    random_tags(state, key);
    uint16_t type = types[random_next(state) % 6];
    key->eth_type = be16(type);
    random_bytes(state, &key->ip_src, 8);
    if (type == ETH_TYPE_MPLS) {
        key->ip_src = key->ip_dst = 0;
        random_bytes(state, &key->mpls0_lse, 12);
        key->mpls2_lse |= be32(MPLS_BOS);
        key->mpls1_lse = be32(key->mpls0_lse) & MPLS_BOS ? 0 : key->mpls1_lse;
        key->mpls2_lse = be32(key->mpls0_lse | key->mpls1_lse) & MPLS_BOS ? 0 : key->mpls2_lse;
        return;
    }
    if (type == ETH_TYPE_ARP) {
        key->ip_proto = 1 + (random_next(state) & 1);
        random_bytes(state, key->arp_sha, 6);
        random_bytes(state, key->arp_tha, 6);
        return;
    }
    key->ip_tos = (uint8_t) random_next(state);
    key->ip_ttl = (uint8_t) random_next(state);
    key->ip_proto = protos[random_next(state) % 6];
    if (type == ETH_TYPE_IPV4 && key->ip_proto == PROTO_ICMPV6) {
        key->ip_proto = PROTO_ICMP;
    }
    if (type == ETH_TYPE_IPV6) {
        key->ip_src = key->ip_dst = 0;
        random_bytes(state, key->ipv6_src, 32);
        key->ipv6_label = be32((uint32_t) random_next(state) & IPV6_LABEL_MASK);
    }
    random_bytes(state, &key->tp_src, 4);
    if (key->ip_proto == PROTO_ICMP || key->ip_proto == PROTO_ICMPV6 || key->ip_proto == PROTO_IGMP) {
        key->tp_src &= be16(0xff);
        key->tp_dst &= be16(0xff);
    }
    if (key->ip_proto == PROTO_ICMPV6) {
        key->tp_src = be16(random_next(state) & 1 ? ND_SOLICIT : ND_ADVERT);
        key->tp_dst = 0;
        random_bytes(state, key->nd_target, 16);
        random_bytes(state, &key->nd_reserved, 4);
        random_bytes(state, key->arp_sha, 6);
        random_bytes(state, key->arp_tha, 6);
        key->nd_options_type = ND_OPTION_SLL;
    } else if (key->ip_proto == PROTO_IGMP) {
        random_bytes(state, &key->igmp_group, 4);
    } else if (key->ip_proto == PROTO_TCP) {
        key->tcp_flags = be16((uint16_t) random_next(state) & 0xfff);
    }
}

static void
compose(struct frame *frame, const struct flow_key *key)
{
    packet_wrap(&frame->packet, frame->buffer, sizeof frame->buffer, 64, 0);
    packet_compose(&frame->packet, key);
    if (frame->packet.l4_type == PACKET_L4_SCTP) {
        packet_checksum_fill(&frame->packet); /* compose leaves SCTP's out. */
    }
}

static void
test_compose_and_parse(void)
{
    uint64_t state = 3;
    for (uint32_t i = 0; i < 20000; i++) {
        struct flow_key key, parsed;
        struct frame frame;
        random_key(&state, &key);
        compose(&frame, &key);
        packet_parse(&frame.packet, 2, &parsed);
        CHECK(!memcmp(&key, &parsed, sizeof key));
        CHECK(packet_checksum_ok(&frame.packet));
    }
    claim("a composed packet has the key that it was composed of, and right checksums");
}

/* Makes L4's checksum partial, as a TCP sender with offloads hands it over. */
static void
make_partial(struct packet *packet)
{
    packet->flags |= PACKET_CSUM_PARTIAL;
    packet->csum_start = packet->l4_ofs;
    packet->csum_offset = packet->l4_type == PACKET_L4_TCP ? 16 : 6;
    uint8_t proto = packet->l4_type == PACKET_L4_TCP ? PROTO_TCP : PROTO_UDP;
    put_raw16(packet->data + packet->csum_start + packet->csum_offset,
              checksum_fold(checksum_pseudo(packet, proto, packet->l4_size)));
}

/* The bits that a rewrite of a packet with this key may change and that it then parses back. */
static void
settable(const struct flow_key *key, struct flow_key *mask)
{
    memset(mask, 0, sizeof *mask);
    memset(mask->eth_dst, 0xff, 6);
    memset(mask->eth_src, 0xff, 6);
    mask->vlan0_tci = key->vlan0_tci ? be16(0xefff) : 0;
    mask->vlan1_tci = key->vlan1_tci ? be16(0xefff) : 0;
    uint16_t type = be16(key->eth_type);
    if (type == ETH_TYPE_MPLS) {
        mask->mpls0_lse = be32(~MPLS_BOS);
        mask->mpls1_lse = be32(key->mpls0_lse) & MPLS_BOS ? 0 : be32(~MPLS_BOS);
        mask->mpls2_lse = be32(key->mpls0_lse | key->mpls1_lse) & MPLS_BOS ? 0 : be32(~MPLS_BOS);
        return;
    }
    if (type == ETH_TYPE_IPV6) {
        memset(mask->ipv6_src, 0xff, 32);
        mask->ipv6_label = be32(IPV6_LABEL_MASK);
    } else {
        mask->ip_src = mask->ip_dst = UINT32_MAX;
    }
    if (type == ETH_TYPE_ARP) {
        memset(mask->arp_sha, 0xff, 6);
        memset(mask->arp_tha, 0xff, 6);
        mask->ip_proto = 0xff;
        return;
    }
    mask->ip_tos = mask->ip_ttl = 0xff;
    if (key->nd_options_type) {
        memset(mask->nd_target, 0xff, 16);
        memset(mask->arp_sha, 0xff, 6);
        memset(mask->arp_tha, 0xff, 6);
        mask->nd_reserved = UINT32_MAX;
    } else if (key->ip_proto == PROTO_ICMP) {
        mask->tp_src = mask->tp_dst = be16(0xff);
    } else if (key->ip_proto != PROTO_IGMP) {
        mask->tp_src = mask->tp_dst = UINT16_MAX;
    }
}

static void
test_random_rewrites(bool partial)
{
    uint64_t state = 4 + partial;
    for (uint32_t i = 0; i < 30000; i++) {
        struct flow_key key, value, mask, wanted, parsed;
        struct frame frame;
        struct match_buffer buffer;
        random_key(&state, &key);
        compose(&frame, &key);
        bool is_partial = partial && (key.ip_proto == PROTO_TCP || key.ip_proto == PROTO_UDP)
                          && frame.packet.l4_type != PACKET_L4_NONE;
        if (is_partial) {
            make_partial(&frame.packet);
        }

        settable(&key, &mask);
        random_bytes(&state, &value, sizeof value);
        for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
            uint64_t chance = random_next(&state);
            mask.words[word] &= chance % 3 == 0 ? 0 : chance % 3 == 1 ? UINT64_MAX : random_next(&state);
            wanted.words[word] = (key.words[word] & ~mask.words[word]) | (value.words[word] & mask.words[word]);
        }
        CHECK(match_compress(&value, &mask, &buffer.match, sizeof buffer));
        CHECK(packet_rewrite_check(&buffer.match));
        struct packet *packet = &frame.packet;
        packet_rewrite(&packet, 1, &buffer.match);

        packet_parse(packet, 2, &parsed);
        for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
            CHECK(parsed.words[word] == wanted.words[word]);
        }
        if (is_partial) {
            CHECK(packet->flags & PACKET_CSUM_PARTIAL);
            packet_checksum_complete(packet);
        }
        CHECK(packet_checksum_ok(packet));
    }
    claim(partial ? "a random rewrite under checksum offload is parsed back and completes to right checksums"
                  : "a random rewrite is parsed back, changes nothing else and keeps checksums right");
}

/* Any rewrite of any packet: only the sanitizers judge, and the frame's size must not change. */
static void
test_foreign_rewrites(void)
{
    uint64_t state = 6;
    for (uint32_t i = 0; i < 30000; i++) {
        struct flow_key key, other, mask, parsed;
        struct frame frame;
        struct match_buffer buffer;
        random_key(&state, &key);
        random_key(&state, &other);
        compose(&frame, &key);
        uint32_t size = (uint32_t) (random_next(&state) % (frame.packet.size + 1));
        uint8_t *copy = malloc(size ? size : 1);
        memcpy(copy, frame.packet.data, size);
        struct packet packet;
        packet_wrap(&packet, copy, size, 0, size);
        packet_parse(&packet, 2, &parsed);
        settable(&other, &mask);
        match_compress(&other, &mask, &buffer.match, sizeof buffer);
        struct packet *packets[1] = { &packet };
        packet_rewrite(packets, 1, &buffer.match);
        CHECK(packet.size == size && packet.data == copy);
        free(copy);
    }
    claim("a rewrite of headers that a cut packet does not have stays inside the packet");
}

static void
test_vlan(void)
{
    uint64_t state = 7;
    for (uint32_t i = 0; i < 5000; i++) {
        struct flow_key key, parsed;
        struct frame frame;
        random_key(&state, &key);
        key.vlan1_tpid = key.vlan1_tci = 0;
        compose(&frame, &key);
        struct packet *packet = &frame.packet;
        uint16_t l3_ofs = packet->l3_ofs;
        CHECK(packet_push_vlan(packet, be16(ETH_TYPE_QINQ), be16(0x3005)));
        CHECK(packet->l3_ofs == l3_ofs + 4 && get_be16(packet->data + 14) == 0x2005);
        packet_parse(packet, 2, &parsed);
        CHECK(parsed.vlan0_tpid == be16(ETH_TYPE_QINQ) && parsed.vlan0_tci == be16(0x3005));
        CHECK(parsed.vlan1_tci == key.vlan0_tci && packet->l3_ofs == l3_ofs + 4);
        packet_pop_vlan(packet);
        packet_parse(packet, 2, &parsed);
        CHECK(!memcmp(&parsed, &key, sizeof key));
    }
    claim("a pushed tag is outermost, and popping it gives the packet back");
}

static void
test_absent_checksum(void)
{
    struct flow_key key, mask;
    struct frame frame;
    struct match_buffer buffer;
    memset(&key, 0, sizeof key);
    memset(&mask, 0, sizeof mask);
    key.eth_type = be16(ETH_TYPE_IPV4);
    key.ip_proto = PROTO_UDP;
    compose(&frame, &key);
    struct packet *packet = &frame.packet;
    put_raw16(packet->data + packet->l4_ofs + 6, 0);
    key.ip_dst = be32(0x0a000001);
    mask.ip_dst = UINT32_MAX;
    match_compress(&key, &mask, &buffer.match, sizeof buffer);
    packet_rewrite(&packet, 1, &buffer.match);
    CHECK(get_raw16(packet->data + packet->l4_ofs + 6) == 0 && packet_checksum_ok(packet));
    claim("a UDP checksum that the sender left out stays out");
}

static void
test_checksum_vectors(void)
{
    static const uint8_t bytes[] = { 0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7 }; /* RFC 1071. */
    CHECK(checksum_fold(checksum_add(0, bytes, sizeof bytes)) == be16(0xddf2));
    CHECK(checksum(bytes, 7) == (uint16_t) ~be16((uint16_t) (0xddf2 - 0xf7)));
    CHECK(crc32c(0, "123456789", 9) == 0xe3069283);
    CHECK(crc32c(crc32c(0, "1234", 4), "56789", 5) == 0xe3069283);
    claim("checksums of the RFC's and CRC32c's examples come out");
}

int
main(void)
{
    test_checksum_vectors();
    test_compose_and_parse();
    test_random_rewrites(false);
    test_random_rewrites(true);
    test_foreign_rewrites();
    test_vlan();
    test_absent_checksum();
    return 0;
}
