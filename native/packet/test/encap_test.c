/* Headers pushed and popped in front of packets: what is parsed afterwards. */
#include <stdint.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/compose.h"
#include "packet/encap.h"
#include "packet/headers.h"
#include "packet/match.h"
#include "packet/parse.h"
#include "packet/rewrite.h"
#include "packet/test/claim.h"

static const uint8_t src[6] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t dst[6] = { 2, 0, 0, 0, 0, 2 };

struct frame {
    uint8_t buffer[1024];
    struct packet packet;
};

static void
compose(struct frame *frame, uint16_t eth_type, uint8_t proto)
{
    struct flow_key key = { .eth_type = be16(eth_type), .ip_proto = proto, .ip_ttl = 64 };
    key.tp_src = be16(1000);
    key.tp_dst = be16(2000);
    key.ip_dst = eth_type == ETH_TYPE_IPV4 ? be32(0x0a000001) : 0;
    memcpy(key.eth_dst, dst, 6);
    packet_wrap(&frame->packet, frame->buffer, sizeof frame->buffer, 400, 0);
    packet_compose(&frame->packet, &key);
}

static struct flow_key
parsed(struct frame *frame)
{
    struct flow_key key;
    packet_parse(&frame->packet, 2, &key);
    return key;
}

static void
test_ethernet(void)
{
    static const uint16_t types[] = { ETH_TYPE_IPV4, ETH_TYPE_IPV6, ETH_TYPE_ARP };
    struct frame frame;
    for (uint32_t i = 0; i < 3; i++) {
        compose(&frame, types[i], types[i] == ETH_TYPE_ARP ? 1 : PROTO_UDP);
        struct flow_key before = parsed(&frame);
        uint32_t size = frame.packet.size;
        packet_push_vlan(&frame.packet, be16(ETH_TYPE_VLAN), be16(VLAN_PRESENT | 5));
        packet_pop_eth(&frame.packet);
        CHECK(frame.packet.size == size - ETH_SIZE && frame.packet.bare_type == types[i]);
        uint16_t l3_ofs = frame.packet.l3_ofs;
        uint16_t l4_ofs = frame.packet.l4_ofs;
        struct flow_key bare = parsed(&frame);
        CHECK(!l3_ofs && frame.packet.l3_ofs == l3_ofs && frame.packet.l4_ofs == l4_ofs);
        CHECK(bare.packet_type == be32(0x10000u | types[i]) && bare.eth_type == be16(types[i]));
        bare.packet_type = 0;
        memcpy(bare.eth_dst, dst, 6);
        CHECK(!memcmp(&bare, &before, sizeof bare));
        packet_pop_eth(&frame.packet);
        CHECK(frame.packet.size == size - ETH_SIZE);
        CHECK(packet_push_eth(&frame.packet, src, dst) && frame.packet.size == size && !frame.packet.bare_type);
        CHECK(packet_push_eth(&frame.packet, dst, src) && frame.packet.size == size);
        struct flow_key after = parsed(&frame);
        memcpy(before.eth_src, src, 6);
        CHECK(!memcmp(&after, &before, sizeof after));
    }
    claim("without its Ethernet header and tags a packet is the same one of its Ethernet type; it gets one back");
}

static void
test_nsh(void)
{
    const uint8_t header[NSH_TYPE1_SIZE] = { 0x0f, 0xc6, NSH_MD_TYPE1, 0, 0, 0x12, 0x34, 255, 0x11, 0x22, 0x33, 0x44 };
    struct frame frame;
    compose(&frame, ETH_TYPE_IPV4, PROTO_TCP);
    struct flow_key inner = parsed(&frame);
    uint32_t size = frame.packet.size;
    CHECK(packet_push_nsh(&frame.packet, header, sizeof header));
    struct flow_key key = parsed(&frame);
    CHECK(key.packet_type == be32(0x10000u | ETH_TYPE_NSH) && key.nsh_ttl == 63 && key.nsh_np == NSH_NEXT_ETHERNET);
    CHECK(key.nsh_path_hdr == be32(0x1234ff) && key.nsh_c1 == be32(0x11223344) && !key.ip_proto);

    struct flow_key value = { .nsh_flags = 2, .nsh_ttl = 7, .nsh_path_hdr = be32(0x99) };
    struct flow_key mask = { .nsh_flags = 0xff, .nsh_ttl = 0xff, .nsh_path_hdr = be32(0xff) };
    value.nsh_c4 = mask.nsh_c4 = UINT32_MAX;
    struct match_buffer match;
    struct packet *packet = &frame.packet;
    match_compress(&value, &mask, &match.match, sizeof match);
    CHECK(packet_rewrite_check(&match.match));
    packet_rewrite(&packet, 1, &match.match);
    key = parsed(&frame);
    CHECK(key.nsh_flags == 2 && key.nsh_ttl == 7 && key.nsh_path_hdr == be32(0x123499) && key.nsh_c4 == UINT32_MAX);
    CHECK(key.nsh_c1 == be32(0x11223344) && key.nsh_mdtype == NSH_MD_TYPE1);

    CHECK(packet_push_nsh(packet, header, sizeof header) && packet->data[3] == NSH_NEXT_NSH);
    CHECK(packet_push_eth(packet, src, dst));
    key = parsed(&frame);
    CHECK(key.eth_type == be16(ETH_TYPE_NSH) && !key.packet_type && key.nsh_np == NSH_NEXT_NSH);
    CHECK(!packet_pop_nsh(packet));
    packet_pop_eth(packet);
    for (uint32_t i = 0; i < 2; i++) {
        CHECK(packet_pop_nsh(packet));
        key = parsed(&frame);
    }
    CHECK(packet->size == size && !memcmp(&key, &inner, sizeof key));
    claim("NSH over Ethernet and over NSH: parsed, rewritten, popped");
}

static void
test_mpls(void)
{
    struct frame frame;
    compose(&frame, ETH_TYPE_IPV4, PROTO_UDP);
    struct flow_key before = parsed(&frame);
    uint32_t size = frame.packet.size;
    CHECK(packet_encap_mpls(&frame.packet, ETH_TYPE_MPLS, be32(7u << 12 | MPLS_BOS | 64)));
    CHECK(packet_encap_mpls(&frame.packet, ETH_TYPE_MPLS, be32(9u << 12 | 64)));
    struct flow_key key = parsed(&frame);
    CHECK(frame.packet.size == size + 2 * MPLS_SIZE && key.packet_type == be32(0x10000u | ETH_TYPE_MPLS));
    CHECK(key.mpls0_lse == be32(9u << 12 | 64) && key.mpls1_lse == be32(7u << 12 | MPLS_BOS | 64));

    CHECK(packet_push_mpls(&frame.packet, be16(ETH_TYPE_MPLS_MCAST), be32(11u << 12 | 64)));
    key = parsed(&frame);
    CHECK(key.packet_type == be32(0x10000u | ETH_TYPE_MPLS_MCAST) && key.mpls0_lse == be32(11u << 12 | 64));
    packet_pop_mpls(&frame.packet, be16(ETH_TYPE_MPLS));
    packet_pop_mpls(&frame.packet, be16(ETH_TYPE_MPLS));
    key = parsed(&frame);
    CHECK(key.packet_type == be32(0x10000u | ETH_TYPE_MPLS) && key.mpls0_lse == be32(7u << 12 | MPLS_BOS | 64));
    packet_pop_mpls(&frame.packet, be16(ETH_TYPE_TEB));
    key = parsed(&frame);
    CHECK(frame.packet.size == size && !memcmp(&key, &before, sizeof key));
    claim("labels before an Ethernet header are pushed and popped, and the packet inside is as it was");

    CHECK(packet_encap_mpls(&frame.packet, ETH_TYPE_MPLS, be32(7u << 12 | MPLS_BOS | 64)));
    CHECK(packet_push_eth(&frame.packet, src, dst));
    key = parsed(&frame);
    CHECK(!key.packet_type && key.eth_type == be16(ETH_TYPE_MPLS) && !memcmp(key.eth_src, src, sizeof src));
    while (packet_encap_mpls(&frame.packet, ETH_TYPE_MPLS, be32(64))) {
        continue;
    }
    CHECK(packet_headroom(&frame.packet) < MPLS_SIZE);
    claim("an Ethernet header before a label is an Ethernet packet; without headroom there is no label");
}

static void
test_refusals(void)
{
    const uint8_t header[NSH_BASE_SIZE] = { 0x0f, 0xc2, NSH_MD_TYPE2 };
    struct frame frame;
    compose(&frame, ETH_TYPE_ARP, 1);
    parsed(&frame);
    CHECK(!packet_pop_nsh(&frame.packet));
    packet_pop_eth(&frame.packet);
    CHECK(!packet_push_nsh(&frame.packet, header, sizeof header) && frame.packet.bare_type == ETH_TYPE_ARP);
    CHECK(!packet_push_vlan(&frame.packet, be16(ETH_TYPE_VLAN), be16(VLAN_PRESENT)));

    compose(&frame, ETH_TYPE_IPV6, PROTO_UDP);
    parsed(&frame);
    CHECK(packet_push_nsh(&frame.packet, header, sizeof header));
    frame.packet.data[3] = 9;
    parsed(&frame);
    CHECK(!packet_pop_nsh(&frame.packet) && frame.packet.bare_type == ETH_TYPE_NSH);
    frame.packet.data[3] = NSH_NEXT_ETHERNET;
    put_be16(frame.packet.data, 0x0fff);
    frame.packet.size = 20;
    struct flow_key key = parsed(&frame);
    CHECK(frame.packet.l3_type == PACKET_L3_NONE && !key.nsh_ttl && !packet_pop_nsh(&frame.packet));
    claim("what NSH cannot carry, and a header that is not whole, are left alone");
}

int
main(void)
{
    test_ethernet();
    test_nsh();
    test_mpls();
    test_refusals();
    return 0;
}
