#include <string.h>
#include <time.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/flow_hash.h"
#include "packet/headers.h"
#include "tunnel/header.h"
#include "tunnel/protocols.h"

/* The UDP source port that a packet's flow gets. */
static uint16_t
source_port(const struct packet *packet, const struct sluice_dp_action_tunnel_push *push)
{
    uint64_t hash = packet_hash_five_tuple(packet);
    return (uint16_t) (push->port_min + ((hash * (uint32_t) (push->port_max - push->port_min)) >> 32));
}

/* Puts the length into the IP header.  Returns where the header behind it begins. */
static uint32_t
set_ip_length(uint8_t *frame, uint32_t size)
{
    uint8_t *ip = frame + ETH_SIZE;
    if (get_be16(frame + 12) == ETH_TYPE_IPV6) {
        put_be16(ip + 4, (uint16_t) (size - ETH_SIZE - IPV6_SIZE));
        return ETH_SIZE + IPV6_SIZE;
    }
    uint16_t length = be16((uint16_t) (size - ETH_SIZE));
    put_raw16(ip + 10, checksum_update16(get_raw16(ip + 10), get_raw16(ip + 2), length));
    put_raw16(ip + 2, length);
    return ETH_SIZE + IPV4_SIZE;
}

/* The sum of the pseudo-header of the outer IP header. */
static uint32_t
pseudo_sum(const uint8_t *frame, uint32_t l4_size)
{
    const uint8_t *ip = frame + ETH_SIZE;
    bool is_ipv6 = get_be16(frame + 12) == ETH_TYPE_IPV6;
    const uint8_t tail[8] = { 0, 0, (uint8_t) (l4_size >> 8), (uint8_t) l4_size, 0, 0, 0, is_ipv6 ? ip[6] : ip[9] };
    uint32_t sum = checksum_add(0, tail, sizeof tail);
    return is_ipv6 ? checksum_add(sum, ip + 8, 32) : checksum_add(sum, ip + 12, 8);
}

static void
finish_udp(uint8_t *frame, uint32_t l4, uint32_t size, uint16_t source, bool has_csum)
{
    uint8_t *udp = frame + l4;
    uint32_t l4_size = size - l4;
    put_be16(udp, source);
    put_be16(udp + 4, (uint16_t) l4_size);
    if (has_csum) {
        put_raw16(udp + 6, 0);
        uint16_t sum = (uint16_t) ~checksum_fold(checksum_add(pseudo_sum(frame, l4_size), udp, l4_size));
        put_raw16(udp + 6, sum ? sum : 0xffff);
    }
}

/* ERSPAN version 2 tells when the packet was seen, in units of 100 microseconds. */
static uint32_t
erspan_time(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t) ((uint64_t) now.tv_sec * 10000 + (uint64_t) now.tv_nsec / 100000);
}

static void
finish_gre(uint8_t *frame, uint32_t l4, uint32_t size, uint8_t flags, _Atomic uint32_t *sequence)
{
    uint8_t *gre = frame + l4;
    uint16_t bits = get_be16(gre);
    uint8_t *word = gre + GRE_SIZE + (bits & GRE_CSUM ? 4 : 0) + (bits & GRE_KEY ? 4 : 0);
    if (flags & SLUICE_PUSH_FLAG_GRE_SEQ) {
        put_be32(word, atomic_fetch_add_explicit(sequence, 1, memory_order_relaxed));
    }
    if (get_be16(gre + 2) == ETH_TYPE_ERSPAN2) {
        put_be32(word + 4 + ERSPAN_SIZE, erspan_time());
    }
    if (flags & SLUICE_PUSH_FLAG_GRE_CSUM) {
        put_raw16(gre + GRE_SIZE, checksum(gre, size - l4));
    }
}

/* Says where the outer headers are, for rewriting. */
static void
set_offsets(struct packet *packet, uint32_t l4, bool is_udp)
{
    packet->bare_type = 0;
    packet->l2_5_ofs = PACKET_NO_OFFSET;
    packet->l3_ofs = ETH_SIZE;
    packet->l4_ofs = (uint16_t) l4;
    packet->l3_type = l4 == ETH_SIZE + IPV4_SIZE ? PACKET_L3_IPV4 : PACKET_L3_IPV6;
    packet->l4_type = is_udp ? PACKET_L4_UDP : PACKET_L4_NONE;
    packet->l4_size = packet->size - l4;
    packet->flags &= PACKET_METADATA;
}

bool
tunnel_push(struct packet *packet, const struct sluice_dp_action_tunnel_push *push, _Atomic uint32_t *sequence)
{
    uint32_t payload_size = packet->size;
    bool is_gre = push->push_flags & (SLUICE_PUSH_FLAG_GRE_CSUM | SLUICE_PUSH_FLAG_GRE_SEQ)
                  || push->tunnel_type == SLUICE_TUNNEL_TYPE_GRE || push->tunnel_type == SLUICE_TUNNEL_TYPE_IP6GRE;
    packet_checksum_complete(packet);
    uint16_t source = is_gre ? 0 : source_port(packet, push);
    if (payload_size + push->header_size > UINT16_MAX || !packet_open_gap(packet, 0, push->header_size)) {
        return false;
    }
    uint8_t *frame = packet->data;
    memcpy(frame, push + 1, push->header_size);
    uint32_t l4 = set_ip_length(frame, packet->size);
    set_offsets(packet, l4, !is_gre);
    if (is_gre) {
        finish_gre(frame, l4, packet->size, push->push_flags, sequence);
    } else {
        if (push->tunnel_type == SLUICE_TUNNEL_TYPE_GTPU) {
            put_be16(frame + l4 + UDP_SIZE + 2, (uint16_t) payload_size);
        }
        finish_udp(frame, l4, packet->size, source, push->push_flags & SLUICE_PUSH_FLAG_UDP_CSUM);
    }
    return true;
}
