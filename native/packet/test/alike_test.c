/* What packet_burst_is_alike() says at a glance, held against parsing. */
#include <stdint.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/headers.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/test/claim.h"

#define FRAME_ROOM 96u

static const uint16_t types[] = { ETH_TYPE_IPV4,
                                  ETH_TYPE_IPV6,
                                  ETH_TYPE_ARP,
                                  ETH_TYPE_VLAN,
                                  ETH_TYPE_QINQ,
                                  ETH_TYPE_MPLS,
                                  ETH_TYPE_NSH,
                                  ETH_TYPE_NONE,
                                  0,
                                  40,
                                  0x88cc };
#define N_TYPES (sizeof types / sizeof types[0])

/* A frame in which what tells types, fragments, options and flags apart is one of the few values that matter. */
static void
random_frame(uint64_t *state, struct packet *packet, uint8_t *room)
{
    static const uint8_t protocols[] = {
        PROTO_TCP, PROTO_UDP, PROTO_ICMP, PROTO_ICMPV6, PROTO_FRAGMENT, PROTO_HOPOPTS
    };
    uint64_t random = random_next(state);
    uint8_t proto = protocols[random_next(state) % sizeof protocols];
    for (uint32_t i = 0; i < FRAME_ROOM; i++) {
        room[i] = (uint8_t) (random_next(state) >> 32);
    }
    packet_wrap(packet, room, FRAME_ROOM, 0, random & 3 ? 60 : 14 + (uint32_t) (random >> 8) % (FRAME_ROOM - 14));
    put_be16(room + 12, types[(random >> 16) % N_TYPES]);
    if ((random >> 24 & 7) == 0) { /* LLC that may go on with a type. */
        memcpy(room + 14, "\xaa\xaa\x03\0\0\0\x08\0", 8);
    } else if (get_be16(room + 12) == ETH_TYPE_IPV4) {
        room[14] = random >> 25 & 7 ? 0x45 : 0x46;
        put_be16(room + 16, (uint16_t) (random >> 28 & 7 ? 46 : random >> 40));
        put_be16(room + 20, random >> 31 & 3 ? 0x4000 : (uint16_t) (random >> 33));
        room[23] = proto;
    } else if (get_be16(room + 12) == ETH_TYPE_IPV6) {
        put_be16(room + 18, (uint16_t) (random >> 28 & 7 ? 6 : random >> 40));
        room[20] = proto;
    }
}

static void
a_glance_says_what_parsing_says(void)
{
    uint64_t state = 7;
    uint32_t n_alike = 0, n_flags = 0;
    for (uint32_t round = 0; round < 200000; round++) {
        uint8_t room[FRAME_ROOM];
        struct packet packet, *packets[] = { &packet };
        struct flow_key key;
        uint64_t n_bytes = 0;
        uint16_t flags = 0;
        random_frame(&state, &packet, room);
        uint16_t raw = random_next(&state) & 1 ? get_be16(room + 12) : types[random_next(&state) % N_TYPES];
        uint16_t eth_type = be16(raw < ETH_TYPE_MIN ? ETH_TYPE_NONE : raw);
        if (!packet_burst_is_alike(packets, 1, eth_type, &n_bytes, &flags)) {
            continue;
        }
        packet_parse(&packet, 1, &key);
        CHECK(key.eth_type == eth_type && key.vlan0_tci == 0 && key.vlan0_tpid == 0 && key.mpls0_lse == 0);
        CHECK(key.ip_frag == 0 && n_bytes == packet.size);
        CHECK(flags == (key.ip_proto == PROTO_TCP ? be16(key.tcp_flags) : 0));
        n_alike++;
        n_flags += flags != 0;
    }
    CHECK(n_alike > 10000 && n_flags > 500);
    claim("packets that a glance finds alike have that type, no tag, no label, are no fragments, and have those flags");
}

static void
common_packets_are_alike(void)
{
    uint8_t rooms[3][FRAME_ROOM] = { { 0 } };
    struct packet made[3], *packets[3];
    uint64_t n_bytes = 0;
    uint16_t flags = 0;
    for (uint32_t i = 0; i < 3; i++) {
        packets[i] = &made[i];
        packet_wrap(&made[i], rooms[i], FRAME_ROOM, 0, 60 + i);
        put_be16(rooms[i] + 12, ETH_TYPE_IPV4);
        rooms[i][14] = 0x45;
        put_be16(rooms[i] + 16, 46);
        rooms[i][23] = PROTO_TCP;
        rooms[i][47] = (uint8_t) (1 << i);
    }
    CHECK(packet_burst_is_alike(packets, 3, be16(ETH_TYPE_IPV4), &n_bytes, &flags) && n_bytes == 183 && flags == 7);
    CHECK(!packet_burst_is_alike(packets, 3, be16(ETH_TYPE_IPV6), &n_bytes, &flags));
    rooms[2][20] = 0x20;
    CHECK(!packet_burst_is_alike(packets, 3, be16(ETH_TYPE_IPV4), &n_bytes, &flags));
    CHECK(packet_burst_is_alike(packets, 2, be16(ETH_TYPE_IPV4), &n_bytes, &flags));
    made[1].flags = PACKET_CSUM_PARTIAL;
    CHECK(!packet_burst_is_alike(packets, 2, be16(ETH_TYPE_IPV4), &n_bytes, &flags));
    made[1].flags = PACKET_CSUM_VALID;
    made[0].gso_type = PACKET_GSO_TCPV4;
    CHECK(!packet_burst_is_alike(packets, 2, be16(ETH_TYPE_IPV4), &n_bytes, &flags));
    claim("a burst is alike if all of it is, and nothing of it is left to a device");
}

int
main(void)
{
    a_glance_says_what_parsing_says();
    common_packets_are_alike();
    return 0;
}
