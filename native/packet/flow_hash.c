#include "packet/flow_hash.h"

#include <stdbool.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/headers.h"

/* What is hashed. */
struct tuple {
    uint64_t src[2];
    uint64_t dst[2];
    uint16_t src_port;
    uint16_t dst_port;
    uint32_t proto;
};

/* Returns false if the packet is not IP. */
static bool
read_tuple(const struct packet *packet, struct tuple *tuple)
{
    const uint8_t *ip = packet->data + packet->l3_ofs;
    memset(tuple, 0, sizeof *tuple);
    if (packet->l3_type == PACKET_L3_IPV4) {
        tuple->src[0] = get_raw32(ip + 12);
        tuple->dst[0] = get_raw32(ip + 16);
        tuple->proto = ip[9];
    } else if (packet->l3_type == PACKET_L3_IPV6) {
        memcpy(tuple->src, ip + 8, 16);
        memcpy(tuple->dst, ip + 24, 16);
        /* The protocol behind extension headers; told apart from IPv4's. */
        tuple->proto = 256u + packet->l4_type;
    } else {
        return false;
    }
    switch (packet->l4_type) {
    case PACKET_L4_TCP:
    case PACKET_L4_UDP:
    case PACKET_L4_SCTP:
        tuple->src_port = get_raw16(packet->data + packet->l4_ofs);
        tuple->dst_port = get_raw16(packet->data + packet->l4_ofs + 2);
        break;
    default:
        break;
    }
    return true;
}

static uint64_t
mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint32_t
finish(uint64_t hash)
{
    hash *= UINT64_C(0xbf58476d1ce4e5b9);
    return (uint32_t) (hash >> 32 ^ hash);
}

uint32_t
packet_hash_l4(const struct packet *packet, uint32_t basis)
{
    struct tuple tuple;
    if (!read_tuple(packet, &tuple)) {
        return 0;
    }
    uint64_t hash = mix(basis, (uint64_t) tuple.proto << 32 | (uint32_t) tuple.src_port << 16 | tuple.dst_port);
    hash = mix(mix(hash, tuple.src[0]), tuple.src[1]);
    return finish(mix(mix(hash, tuple.dst[0]), tuple.dst[1]));
}

uint32_t
packet_hash_sym_l4(const struct packet *packet, uint32_t basis)
{
    struct tuple tuple;
    if (!read_tuple(packet, &tuple)) {
        return 0;
    }
    uint64_t hash = mix(basis, (uint64_t) tuple.proto << 32 | (uint32_t) (tuple.src_port ^ tuple.dst_port));
    return finish(mix(mix(hash, tuple.src[0] ^ tuple.dst[0]), tuple.src[1] ^ tuple.dst[1]));
}
