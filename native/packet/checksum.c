#include "packet/checksum.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/headers.h"

uint32_t
checksum_add(uint32_t sum, const void *bytes_, size_t size)
{
    const uint8_t *bytes = bytes_;
    uint64_t wide = sum;
    for (; size >= 8; size -= 8, bytes += 8) {
        uint64_t word = get_raw64(bytes);
        wide += (word & UINT32_MAX) + (word >> 32);
    }
    for (; size >= 2; size -= 2, bytes += 2) {
        wide += get_raw16(bytes);
    }
    if (size) {
        wide += bytes[0];
    }
    wide = (wide & UINT32_MAX) + (wide >> 32);
    wide = (wide & UINT32_MAX) + (wide >> 32);
    return checksum_fold((uint32_t) wide);
}

uint16_t
checksum(const void *bytes, size_t size)
{
    return (uint16_t) ~checksum_fold(checksum_add(0, bytes, size));
}

/* RFC 1624, equation 3. */
uint16_t
checksum_update16(uint16_t field, uint16_t old_word, uint16_t new_word)
{
    return (uint16_t) ~checksum_fold((uint32_t) (uint16_t) ~field + (uint16_t) ~old_word + new_word);
}

uint16_t
checksum_update(uint16_t field, const void *old_bytes, const void *new_bytes, size_t size)
{
    uint32_t removed = checksum_add(0, old_bytes, size);
    uint32_t added = checksum_add(0, new_bytes, size);
    return checksum_update16(field, checksum_fold(removed), checksum_fold(added));
}

/* The address that L4's checksum covers of an IPv6 packet whose routing header has segments left: its last one. */
static const uint8_t *
routed_destination(const struct packet *packet)
{
    const uint8_t *ip = packet->data + packet->l3_ofs;
    const uint8_t *header = ip + IPV6_SIZE;
    const uint8_t *end = packet->data + packet->l4_ofs;
    uint8_t proto = ip[6];
    while (header + 8 <= end) {
        if (proto == PROTO_ROUTING && header[3]) {
            /* Types 0 and 2 list addresses with the last one last; segment routing (4) lists it first. */
            uint32_t size = header[1] * 8u;
            const uint8_t *address = header[2] == 4 ? header + 8 : header + 8 + size - 16;
            return size >= 16 && address + 16 <= end ? address : ip + 24;
        }
        uint32_t size = proto == PROTO_AH ? (header[1] + 2u) * 4 : proto == PROTO_FRAGMENT ? 8 : (header[1] + 1u) * 8;
        proto = header[0];
        header += size;
    }
    return ip + 24;
}

uint32_t
checksum_pseudo(const struct packet *packet, uint8_t proto, uint32_t l4_size)
{
    const uint8_t *ip = packet->data + packet->l3_ofs;
    uint32_t sum;
    if (packet->l3_type == PACKET_L3_IPV4) {
        sum = checksum_add(0, ip + 12, 8);
    } else {
        sum = checksum_add(0, ip + 8, 16);
        sum += checksum_add(0, packet->flags & PACKET_ROUTED ? routed_destination(packet) : ip + 24, 16);
    }
    return sum + be16(proto) + be16((uint16_t) l4_size) + be16((uint16_t) (l4_size >> 16));
}

uint32_t
crc32c(uint32_t crc, const void *bytes_, size_t size)
{
    /* Four bits at a time: sixteen words of table, and SCTP is rare. */
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3, 0x61c69362, 0x7198540d,
        0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9, 0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *bytes = bytes_;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = crc >> 4 ^ table[crc & 0xf];
        crc = crc >> 4 ^ table[crc & 0xf];
    }
    return ~crc;
}

/* Where the 16-bit checksum of an L4 header is, relative to the header, and the protocol in its pseudo-header: 0 for
 * none.  Returns false for protocols without such a checksum. */
static bool
l4_checksum_place(const struct packet *packet, uint32_t *offset, uint8_t *pseudo_proto)
{
    switch (packet->l4_type) {
    case PACKET_L4_TCP:
        *offset = 16;
        *pseudo_proto = PROTO_TCP;
        return true;
    case PACKET_L4_UDP:
        *offset = 6;
        *pseudo_proto = PROTO_UDP;
        return true;
    case PACKET_L4_ICMPV6:
        *offset = 2;
        *pseudo_proto = PROTO_ICMPV6;
        return true;
    case PACKET_L4_ICMP:
    case PACKET_L4_IGMP:
        *offset = 2;
        *pseudo_proto = 0;
        return true;
    default:
        return false;
    }
}

static bool
is_fragment(const struct packet *packet)
{
    const uint8_t *ip = packet->data + packet->l3_ofs;
    if (packet->l3_type == PACKET_L3_IPV4) {
        return get_be16(ip + 6) & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK);
    }
    const uint8_t *header = ip + IPV6_SIZE;
    const uint8_t *end = packet->data + packet->l4_ofs;
    uint8_t proto = ip[6];
    while (header + 8 <= end && proto != PROTO_FRAGMENT) {
        uint32_t size = proto == PROTO_AH ? (header[1] + 2u) * 4 : (header[1] + 1u) * 8;
        proto = header[0];
        header += size;
    }
    return header + 8 <= end && get_be16(header + 2) & 0xfff9;
}

/* The sum over L4 as it is, pseudo-header included: 0xffff if the checksum in it is right. */
static uint16_t
l4_sum(const struct packet *packet, uint8_t pseudo_proto)
{
    const uint8_t *l4 = packet->data + packet->l4_ofs;
    uint32_t size = packet->l4_size;
    if (packet->l4_type == PACKET_L4_UDP && get_be16(l4 + 4) >= UDP_SIZE && get_be16(l4 + 4) < size) {
        size = get_be16(l4 + 4); /* UDP has a length of its own; what follows is not covered. */
    }
    uint32_t sum = pseudo_proto ? checksum_pseudo(packet, pseudo_proto, size) : 0;
    return checksum_fold(checksum_add(sum, l4, size));
}

static void
fill_l4(struct packet *packet)
{
    uint8_t *l4 = packet->data + packet->l4_ofs;
    uint32_t offset;
    uint8_t pseudo_proto;
    if (packet->l4_type == PACKET_L4_SCTP) {
        memset(l4 + 8, 0, 4);
        put_raw32(l4 + 8, crc32c(0, l4, packet->l4_size));
    } else if (l4_checksum_place(packet, &offset, &pseudo_proto)) {
        put_raw16(l4 + offset, 0);
        uint16_t field = (uint16_t) ~l4_sum(packet, pseudo_proto);
        put_raw16(l4 + offset, packet->l4_type == PACKET_L4_UDP && !field ? 0xffff : field);
    }
}

void
packet_checksum_fill(struct packet *packet)
{
    uint8_t *ip = packet->data + packet->l3_ofs;
    if (packet->l3_type == PACKET_L3_IPV4) {
        put_raw16(ip + 10, 0);
        put_raw16(ip + 10, checksum(ip, 4u * (ip[0] & 0xf)));
    } else if (packet->l3_type != PACKET_L3_IPV6) {
        return;
    }
    if (packet->l4_type != PACKET_L4_NONE && !is_fragment(packet)) {
        fill_l4(packet);
    }
    packet->flags &= (uint8_t) ~PACKET_CSUM_PARTIAL;
}

bool
packet_checksum_ok(const struct packet *packet)
{
    const uint8_t *ip = packet->data + packet->l3_ofs;
    if (packet->l3_type == PACKET_L3_IPV4) {
        if (checksum(ip, 4u * (ip[0] & 0xf))) {
            return false;
        }
    } else if (packet->l3_type != PACKET_L3_IPV6) {
        return true;
    }
    return packet_l4_checksum_ok(packet);
}

bool
packet_l4_checksum_ok(const struct packet *packet)
{
    if (packet->l4_type == PACKET_L4_NONE || packet->flags & PACKET_CSUM_PARTIAL || is_fragment(packet)) {
        return true;
    }
    const uint8_t *l4 = packet->data + packet->l4_ofs;
    uint32_t offset;
    uint8_t pseudo_proto;
    if (packet->l4_type == PACKET_L4_SCTP) {
        static const uint8_t zero[4];
        uint32_t crc = crc32c(crc32c(crc32c(0, l4, 8), zero, 4), l4 + 12, packet->l4_size - 12);
        return crc == get_raw32(l4 + 8);
    }
    if (!l4_checksum_place(packet, &offset, &pseudo_proto)) {
        return true;
    }
    if (packet->l4_type == PACKET_L4_UDP && packet->l3_type == PACKET_L3_IPV4 && !get_raw16(l4 + 6)) {
        return true;
    }
    return l4_sum(packet, pseudo_proto) == 0xffff;
}

void
packet_checksum_complete(struct packet *packet)
{
    if (!(packet->flags & PACKET_CSUM_PARTIAL)) {
        return;
    }
    packet->flags &= (uint8_t) ~PACKET_CSUM_PARTIAL;
    uint32_t start = packet->csum_start;
    uint32_t place = start + packet->csum_offset;
    if (place + 2 > packet->size) {
        return; /* The device lied: nothing can be completed. */
    }

    /* The sum ends with the IP payload, where it is known: padding may be anything. */
    uint32_t end = packet->size;
    if (packet->l4_ofs != PACKET_NO_OFFSET && start >= packet->l4_ofs && packet->l4_size) {
        uint32_t payload_end = packet->l4_ofs + packet->l4_size;
        end = payload_end < end && payload_end >= place + 2 ? payload_end : end;
    }
    uint16_t field = checksum(packet->data + start, end - start);
    put_raw16(packet->data + place, field ? field : 0xffff);
}
