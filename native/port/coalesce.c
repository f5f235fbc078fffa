#include "port/coalesce.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/packet.h"

#define TCP_SEQ 4u
#define TCP_FLAGS 13u
#define TCP_CHECKSUM 16u
#define TCP_FLAG_PSH 0x08u
#define TCP_FLAG_ACK 0x10u
#define SIZE_MAX_IP 65535u

/* Where the payload of a segment begins that may be joined with others, or 0. */
static uint32_t
payload_offset(const struct packet *packet)
{
    if (!(packet->flags & PACKET_CSUM_PARTIAL) || packet->gso_type != PACKET_GSO_NONE
        || packet->l4_type != PACKET_L4_TCP || packet->csum_start != packet->l4_ofs
        || packet->csum_offset != TCP_CHECKSUM || packet->bare_type != 0
        || (packet->l3_type != PACKET_L3_IPV4 && packet->l3_type != PACKET_L3_IPV6)) {
        return 0;
    }
    const uint8_t *l4 = packet->data + packet->l4_ofs;
    uint32_t header_size = (l4[12] >> 4) * 4u;
    uint32_t offset = packet->l4_ofs + header_size;
    _Bool only_data = (l4[TCP_FLAGS] & ~TCP_FLAG_PSH) == TCP_FLAG_ACK;
    _Bool is_whole = header_size < packet->l4_size && packet->size == packet->l4_ofs + packet->l4_size;

    return only_data && is_whole && header_size >= 20 && offset <= COALESCE_HEADER_MAX ? offset : 0;
}

/* Whether the IP headers and what is before them differ in nothing but length, identification and checksum. */
static _Bool
same_network(const struct packet *a, const struct packet *b)
{
    const uint8_t *x = a->data + a->l3_ofs, *y = b->data + b->l3_ofs;
    uint32_t size = (uint32_t) (a->l4_ofs - a->l3_ofs);

    if (a->l3_ofs != b->l3_ofs || a->l4_ofs != b->l4_ofs || a->l3_type != b->l3_type
        || memcmp(a->data, b->data, a->l3_ofs) != 0) {
        return 0;
    }
    if (a->l3_type == PACKET_L3_IPV6) {
        return memcmp(x, y, 4) == 0 && memcmp(x + 6, y + 6, size - 6) == 0;
    }
    return memcmp(x, y, 2) == 0 && memcmp(x + 6, y + 6, 4) == 0 && memcmp(x + 12, y + 12, size - 12) == 0;
}

/* Whether the TCP headers, of 'size' bytes, differ in nothing but sequence number, checksum and PSH. */
static _Bool
same_tcp(const uint8_t *x, const uint8_t *y, uint32_t size)
{
    return memcmp(x, y, 4) == 0 && memcmp(x + 8, y + 8, 5) == 0 && memcmp(x + 14, y + 14, 2) == 0
           && memcmp(x + 18, y + 18, size - 18) == 0;
}

/* Makes the header of the whole from that of its first packet. */
static void
make_header(const struct packet *first, const struct packet *last, struct coalesced *joined)
{
    uint8_t *ip = joined->header + first->l3_ofs;
    uint8_t *tcp = joined->header + first->l4_ofs;
    uint16_t l4_size = (uint16_t) (joined->size - first->l4_ofs);

    memcpy(joined->header, first->data, joined->header_size);
    if (first->l3_type == PACKET_L3_IPV4) {
        uint16_t old = get_raw16(ip + 2);
        put_be16(ip + 2, (uint16_t) (joined->size - first->l3_ofs));
        put_raw16(ip + 10, checksum_update16(get_raw16(ip + 10), old, get_raw16(ip + 2)));
        joined->gso_type = PACKET_GSO_TCPV4;
    } else {
        put_be16(ip + 4, (uint16_t) (joined->size - first->l3_ofs - 40));
        joined->gso_type = PACKET_GSO_TCPV6;
    }
    tcp[TCP_FLAGS] |= last->data[last->l4_ofs + TCP_FLAGS] & TCP_FLAG_PSH;
    /* The field is the pseudo-header's sum, which the length is a part of. */
    uint32_t sum = get_raw16(tcp + TCP_CHECKSUM) + be16(l4_size) + (uint16_t) ~be16((uint16_t) first->l4_size);
    put_raw16(tcp + TCP_CHECKSUM, checksum_fold(sum));
}

void
coalesce(struct packet *const *packets, uint32_t n, struct coalesced *joined)
{
    const struct packet *first = packets[0];
    uint32_t offset = n < 2 ? 0 : payload_offset(first);
    uint32_t part = first->size - offset;
    _Bool is_last = offset == 0 || first->data[first->l4_ofs + TCP_FLAGS] & TCP_FLAG_PSH;

    joined->n = 1;
    joined->size = first->size;
    for (; !is_last && joined->n < n; joined->n++) {
        const struct packet *next = packets[joined->n];
        if (payload_offset(next) != offset || next->size > first->size || !same_network(first, next)
            || !same_tcp(first->data + first->l4_ofs, next->data + next->l4_ofs, offset - first->l4_ofs)
            || joined->size + next->size - offset - first->l3_ofs > SIZE_MAX_IP
            || get_be32(next->data + next->l4_ofs + TCP_SEQ)
                   != get_be32(first->data + first->l4_ofs + TCP_SEQ) + joined->n * part) {
            break;
        }
        joined->size += next->size - offset;
        is_last = next->size < first->size || next->data[next->l4_ofs + TCP_FLAGS] & TCP_FLAG_PSH;
    }
    if (joined->n > 1) {
        joined->header_size = offset;
        joined->gso_size = (uint16_t) part;
        joined->csum_start = first->csum_start;
        joined->csum_offset = first->csum_offset;
        make_header(first, packets[joined->n - 1], joined);
    }
}
