#include "packet/rewrite.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"

#define WORD(MEMBER) (offsetof(struct flow_key, MEMBER) / 8)
#define BIT(MEMBER) (UINT64_C(1) << WORD(MEMBER))

/* What to write.  Only the words in 'map' of the two keys are valid. */
struct rewrite {
    uint64_t map;
    struct flow_key value;
    struct flow_key mask;
};

#define ONES6 \
    { \
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff \
    }
#define ONES16 \
    { \
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff \
    }

/* The bits that can be written.  Numbers are given by their bytes in network order. */
static const struct flow_key writable = {
    .skb_priority = UINT32_MAX,
    .pkt_mark = UINT32_MAX,
    .eth_dst = ONES6,
    .eth_src = ONES6,
    .vlan0_tpid = UINT16_MAX,
    .vlan0_tci = UINT16_MAX,
    .vlan1_tpid = UINT16_MAX,
    .vlan1_tci = UINT16_MAX,
    .mpls0_lse = UINT32_MAX,
    .mpls1_lse = UINT32_MAX ^ __builtin_bswap32(MPLS_BOS),
    .mpls2_lse = UINT32_MAX ^ __builtin_bswap32(MPLS_BOS),
    .ipv6_src = ONES16,
    .ipv6_dst = ONES16,
    .ip_src = UINT32_MAX,
    .ip_dst = UINT32_MAX,
    .ipv6_label = __builtin_bswap32(IPV6_LABEL_MASK),
    .ip_tos = UINT8_MAX,
    .ip_ttl = UINT8_MAX,
    .ip_proto = UINT8_MAX, /* arp_op. */
    .nd_target = ONES16,
    .arp_sha = ONES6,
    .arp_tha = ONES6,
    .nsh_flags = UINT8_MAX, /* The lower 2 bits are the packet's. */
    .nsh_ttl = UINT8_MAX,   /* The lower 6. */
    .nsh_path_hdr = UINT32_MAX,
    .nsh_c1 = UINT32_MAX,
    .nsh_c2 = UINT32_MAX,
    .nsh_c3 = UINT32_MAX,
    .nsh_c4 = UINT32_MAX,
    .tp_src = UINT16_MAX,
    .tp_dst = UINT16_MAX,
    .nd_reserved = UINT32_MAX,
    .nd_options_type = UINT8_MAX,
};

bool
packet_rewrite_check(const struct match *match)
{
    const uint64_t *p = match->words;
    uint32_t word;
    MATCH_FOR_EACH_WORD(word, match->map) {
        if (p[1] & ~writable.words[word]) {
            return false;
        }
        p += 2;
    }
    return true;
}

static void
rewrite_init(struct rewrite *rewrite, const struct match *match)
{
    const uint64_t *p = match->words;
    rewrite->map = match->map[0];
    for (uint64_t map = match->map[0]; map; map &= map - 1, p += 2) {
        int word = __builtin_ctzll(map);
        rewrite->value.words[word] = p[0];
        rewrite->mask.words[word] = p[1];
    }
}

/* Writes the masked bits of 'size' bytes to 'field'.  Returns whether that changed anything. */
static bool
write_masked(uint8_t *field, const void *value_, const void *mask_, size_t size)
{
    const uint8_t *value = value_;
    const uint8_t *mask = mask_;
    uint8_t changed = 0;
    for (size_t i = 0; i < size; i++) {
        uint8_t byte = (uint8_t) ((field[i] & ~mask[i]) | (value[i] & mask[i]));
        changed |= (uint8_t) (byte ^ field[i]);
        field[i] = byte;
    }
    return changed;
}

/* Whether the device that sends the packet will compute its L4 checksum. */
static bool
l4_is_partial(const struct packet *packet)
{
    return packet->flags & PACKET_CSUM_PARTIAL && packet->csum_start == packet->l4_ofs;
}

static uint8_t *
l4_checksum_field(const struct packet *packet)
{
    uint8_t *l4 = packet->data + packet->l4_ofs;
    switch (packet->l4_type) {
    case PACKET_L4_TCP:
        return l4 + 16;
    case PACKET_L4_UDP:
        return l4 + 6;
    case PACKET_L4_ICMP:
    case PACKET_L4_ICMPV6:
    case PACKET_L4_IGMP:
        return l4 + 2;
    default:
        return NULL;
    }
}

/* Whether the L4 checksum has a pseudo-header.  ICMPv6 over IPv4 is nonsense that nothing defines; Open vSwitch leaves
 * its checksum alone, and so do we. */
static bool
l4_covers_addresses(const struct packet *packet)
{
    return packet->l4_type == PACKET_L4_TCP || packet->l4_type == PACKET_L4_UDP
           || (packet->l4_type == PACKET_L4_ICMPV6 && packet->l3_type == PACKET_L3_IPV6);
}

/* Adjusts the L4 checksum to a change of 'size' bytes at an even place of L4 itself or of the pseudo-header. */
static void
l4_changed(struct packet *packet, bool in_pseudo_header, const void *old_bytes, const void *new_bytes, size_t size)
{
    uint8_t *place = l4_checksum_field(packet);
    if (!place) {
        return;
    }
    uint16_t field = get_raw16(place);
    if (l4_is_partial(packet)) {
        /* The field holds the sum of the pseudo-header, not complemented; the device sums the rest. */
        if (in_pseudo_header) {
            put_raw16(place, (uint16_t) ~checksum_update((uint16_t) ~field, old_bytes, new_bytes, size));
        }
        return;
    }
    bool udp = packet->l4_type == PACKET_L4_UDP;
    if (udp && !field) {
        return; /* The sender computed none. */
    }
    field = checksum_update(field, old_bytes, new_bytes, size);
    put_raw16(place, udp && !field ? 0xffff : field);
}

static void
set_ethernet(struct packet *packet, const struct rewrite *rewrite)
{
    if (packet->bare_type || packet->size < ETH_SIZE) {
        return;
    }
    if (rewrite->map & BIT(eth_dst)) {
        write_masked(packet->data, rewrite->value.eth_dst, rewrite->mask.eth_dst, 6);
    }
    if (rewrite->map & BIT(eth_src)) {
        write_masked(packet->data + 6, rewrite->value.eth_src, rewrite->mask.eth_src, 6);
    }
}

static void
set_vlans(struct packet *packet, const struct rewrite *rewrite)
{
    const uint16_t *value = &rewrite->value.vlan0_tpid;
    const uint16_t *mask = &rewrite->mask.vlan0_tpid;
    uint8_t *tag = packet->data + ETH_ADDRESSES_SIZE;
    for (uint32_t i = 0; i < 2 && !packet->bare_type; i++, value += 2, mask += 2, tag += VLAN_SIZE) {
        if (packet->size < ETH_SIZE + (i + 1) * VLAN_SIZE || !eth_type_is_vlan(get_be16(tag))) {
            return;
        }
        uint16_t tci_mask = mask[1] & be16((uint16_t) ~VLAN_PRESENT);
        write_masked(tag, &value[0], &mask[0], 2);
        write_masked(tag + 2, &value[1], &tci_mask, 2);
    }
}

static void
set_mpls(struct packet *packet, const struct rewrite *rewrite)
{
    const uint32_t *value = &rewrite->value.mpls0_lse;
    const uint32_t *mask = &rewrite->mask.mpls0_lse;
    if (packet->l2_5_ofs == PACKET_NO_OFFSET) {
        return;
    }
    for (uint32_t i = 0; i < MPLS_LABELS_MAX && packet->l2_5_ofs + 4 * (i + 1) <= packet->size; i++) {
        uint8_t *entry = packet->data + packet->l2_5_ofs + 4 * i;
        if (rewrite->map & (i < 2 ? BIT(mpls0_lse) : BIT(mpls2_lse))) {
            write_masked(entry, &value[i], &mask[i], 4);
        }
        if (get_be32(entry) & MPLS_BOS) {
            return;
        }
    }
}

static void
set_ipv4_address(struct packet *packet, uint8_t *field, const uint32_t *value, const uint32_t *mask)
{
    uint8_t old[4];
    memcpy(old, field, 4);
    if (write_masked(field, value, mask, 4)) {
        uint8_t *ip = packet->data + packet->l3_ofs;
        put_raw16(ip + 10, checksum_update(get_raw16(ip + 10), old, field, 4));
        if (l4_covers_addresses(packet)) {
            l4_changed(packet, true, old, field, 4);
        }
    }
}

static void
set_ipv4(struct packet *packet, const struct rewrite *rewrite)
{
    uint8_t *ip = packet->data + packet->l3_ofs;
    if (rewrite->map & BIT(ip_src)) {
        set_ipv4_address(packet, ip + 12, &rewrite->value.ip_src, &rewrite->mask.ip_src);
        set_ipv4_address(packet, ip + 16, &rewrite->value.ip_dst, &rewrite->mask.ip_dst);
    }
    if (rewrite->map & BIT(ip_tos)) {
        uint16_t old_first = get_raw16(ip);
        uint16_t old_ttl = get_raw16(ip + 8);
        bool tos = write_masked(ip + 1, &rewrite->value.ip_tos, &rewrite->mask.ip_tos, 1);
        bool ttl = write_masked(ip + 8, &rewrite->value.ip_ttl, &rewrite->mask.ip_ttl, 1);
        if (tos || ttl) {
            uint16_t field = checksum_update16(get_raw16(ip + 10), old_first, get_raw16(ip));
            put_raw16(ip + 10, checksum_update16(field, old_ttl, get_raw16(ip + 8)));
        }
    }
}

static void
set_ipv6_address(struct packet *packet, uint8_t *field, const uint8_t *value, const uint8_t *mask, bool in_checksum)
{
    uint8_t old[16];
    memcpy(old, field, 16);
    if (write_masked(field, value, mask, 16) && in_checksum && l4_covers_addresses(packet)) {
        l4_changed(packet, true, old, field, 16);
    }
}

/* A key of which each word is either that of 'key' or zero, by 'map'. */
static void
copy_words(uint64_t *words, const struct flow_key *key, uint64_t map, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        words[i] = map >> (first + i) & 1 ? key->words[first + i] : 0;
    }
}

static void
set_ipv6(struct packet *packet, const struct rewrite *rewrite)
{
    uint8_t *ip = packet->data + packet->l3_ofs;
    if (rewrite->map & UINT64_C(0xf) << WORD(ipv6_src)) {
        uint64_t value[4];
        uint64_t mask[4];
        copy_words(value, &rewrite->value, rewrite->map, WORD(ipv6_src), 4);
        copy_words(mask, &rewrite->mask, rewrite->map, WORD(ipv6_src), 4);
        set_ipv6_address(packet, ip + 8, (const uint8_t *) value, (const uint8_t *) mask, true);
        set_ipv6_address(packet, ip + 24, (const uint8_t *) (value + 2), (const uint8_t *) (mask + 2),
                         !(packet->flags & PACKET_ROUTED));
    }
    if (rewrite->map & BIT(ip_tos)) {
        const uint32_t label = be32(IPV6_LABEL_MASK);
        uint32_t value = (rewrite->value.ipv6_label & label) | be32((uint32_t) rewrite->value.ip_tos << 20);
        uint32_t mask = (rewrite->mask.ipv6_label & label) | be32((uint32_t) rewrite->mask.ip_tos << 20);
        write_masked(ip, &value, &mask, 4);
        write_masked(ip + 7, &rewrite->value.ip_ttl, &rewrite->mask.ip_ttl, 1);
    }
}

static void
set_arp(struct packet *packet, const struct rewrite *rewrite)
{
    uint8_t *arp = packet->data + packet->l3_ofs;
    if (rewrite->map & BIT(ip_proto) && write_masked(arp + 7, &rewrite->value.ip_proto, &rewrite->mask.ip_proto, 1)) {
        arp[6] = 0;
    }
    if (rewrite->map & BIT(arp_sha)) {
        write_masked(arp + 8, rewrite->value.arp_sha, rewrite->mask.arp_sha, 6);
    }
    if (rewrite->map & BIT(ip_src)) {
        write_masked(arp + 14, &rewrite->value.ip_src, &rewrite->mask.ip_src, 4);
        write_masked(arp + 24, &rewrite->value.ip_dst, &rewrite->mask.ip_dst, 4);
    }
    if (rewrite->map & BIT(arp_tha)) {
        write_masked(arp + 18, rewrite->value.arp_tha, rewrite->mask.arp_tha, 6);
    }
}

/* As an NSH begins with them, in network order. */
static uint16_t
flags_and_ttl(const struct flow_key *key)
{
    return be16((uint16_t) ((key->nsh_flags & 3u) << 12 | (key->nsh_ttl & 0x3fu) << 6));
}

static void
set_nsh(struct packet *packet, const struct rewrite *rewrite)
{
    uint8_t *nsh = packet->data + packet->l3_ofs;
    if (rewrite->map & BIT(nsh_flags)) {
        uint16_t value = flags_and_ttl(&rewrite->value);
        uint16_t mask = flags_and_ttl(&rewrite->mask);
        write_masked(nsh, &value, &mask, 2);
        write_masked(nsh + 4, &rewrite->value.nsh_path_hdr, &rewrite->mask.nsh_path_hdr, 4);
    }
    if (nsh[2] == NSH_MD_TYPE1 && rewrite->map & (BIT(nsh_c1) | BIT(nsh_c3))) {
        uint64_t value[2];
        uint64_t mask[2];
        copy_words(value, &rewrite->value, rewrite->map, WORD(nsh_c1), 2);
        copy_words(mask, &rewrite->mask, rewrite->map, WORD(nsh_c1), 2);
        write_masked(nsh + NSH_BASE_SIZE, value, mask, 16);
    }
}

/* Writes into L4 at 'offset' and adjusts L4's checksum.  'offset' and 'size' must be even. */
static void
set_l4_bytes(struct packet *packet, uint32_t offset, const void *value, const void *mask, size_t size)
{
    uint8_t old[16];
    uint8_t *field = packet->data + packet->l4_ofs + offset;
    memcpy(old, field, size);
    if (write_masked(field, value, mask, size)) {
        l4_changed(packet, false, old, field, size);
    }
}

/* A wrong CRC stays wrong: its difference to the right one is kept. */
static void
set_sctp_ports(struct packet *packet, const void *value, const void *mask)
{
    uint8_t *sctp = packet->data + packet->l4_ofs;
    uint32_t old_field = get_raw32(sctp + 8);
    put_raw32(sctp + 8, 0);
    uint32_t old_crc = crc32c(0, sctp, packet->l4_size);
    write_masked(sctp, value, mask, 4);
    uint32_t new_crc = crc32c(0, sctp, packet->l4_size);
    put_raw32(sctp + 8, old_field ^ old_crc ^ new_crc);
}

static void
set_ports(struct packet *packet, const struct rewrite *rewrite)
{
    const uint16_t *value = &rewrite->value.tp_src;
    const uint16_t *mask = &rewrite->mask.tp_src;
    if (!mask[0] && !mask[1]) {
        return;
    }
    switch (packet->l4_type) {
    case PACKET_L4_TCP:
    case PACKET_L4_UDP:
        set_l4_bytes(packet, 0, value, mask, 4);
        break;
    case PACKET_L4_SCTP:
        set_sctp_ports(packet, value, mask);
        break;
    case PACKET_L4_ICMP:
    case PACKET_L4_ICMPV6: {
        /* Type and code are one byte each; the key has them in the low bytes of its ports. */
        const uint8_t type_code[2] = { (uint8_t) be16(value[0]), (uint8_t) be16(value[1]) };
        const uint8_t type_code_mask[2] = { (uint8_t) be16(mask[0]), (uint8_t) be16(mask[1]) };
        set_l4_bytes(packet, 0, type_code, type_code_mask, 2);
        break;
    }
    default:
        break;
    }
}

/* The first option of 'type' (0: of any type) that holds an Ethernet address, or null. */
static uint8_t *
nd_option(const struct packet *packet, uint8_t type)
{
    uint8_t *option = packet->data + packet->l4_ofs + ND_SIZE;
    uint32_t left = packet->l4_size - ND_SIZE;
    while (left >= ND_OPTION_SIZE) {
        uint32_t size = option[1] * ND_OPTION_SIZE;
        if (!size || size > left) {
            return NULL;
        }
        bool link_address = option[0] == ND_OPTION_SLL || option[0] == ND_OPTION_TLL;
        if (size == ND_OPTION_SIZE && (type ? option[0] == type : link_address)) {
            return option;
        }
        option += size;
        left -= size;
    }
    return NULL;
}

static void
set_nd_option(struct packet *packet, uint8_t type, const uint8_t *value, const uint8_t *mask)
{
    uint8_t *option = nd_option(packet, type);
    if (option) {
        set_l4_bytes(packet, (uint32_t) (option + 2 - (packet->data + packet->l4_ofs)), value, mask, 6);
    }
}

/* Neighbour discovery, if the packet is that. */
static void
set_nd(struct packet *packet, const struct rewrite *rewrite)
{
    const uint8_t *icmp = packet->data + packet->l4_ofs;
    if ((icmp[0] != ND_SOLICIT && icmp[0] != ND_ADVERT) || icmp[1]) {
        return;
    }
    if (rewrite->map & BIT(nd_reserved)) {
        set_l4_bytes(packet, 4, &rewrite->value.nd_reserved, &rewrite->mask.nd_reserved, 4);
    }
    if (packet->l4_size < ND_SIZE) {
        return;
    }
    if (rewrite->map & (BIT(nd_target) | BIT(nd_target) << 1)) {
        uint64_t value[2];
        uint64_t mask[2];
        copy_words(value, &rewrite->value, rewrite->map, WORD(nd_target), 2);
        copy_words(mask, &rewrite->mask, rewrite->map, WORD(nd_target), 2);
        set_l4_bytes(packet, 8, value, mask, 16);
    }
    if (rewrite->map & BIT(arp_sha)) {
        set_nd_option(packet, ND_OPTION_SLL, rewrite->value.arp_sha, rewrite->mask.arp_sha);
    }
    if (rewrite->map & BIT(arp_tha)) {
        set_nd_option(packet, ND_OPTION_TLL, rewrite->value.arp_tha, rewrite->mask.arp_tha);
    }
    uint8_t *option = rewrite->map & BIT(nd_options_type) ? nd_option(packet, 0) : NULL;
    if (option) {
        const uint8_t value[2] = { rewrite->value.nd_options_type, 0 };
        const uint8_t mask[2] = { rewrite->mask.nd_options_type, 0 };
        set_l4_bytes(packet, (uint32_t) (option - (packet->data + packet->l4_ofs)), value, mask, 2);
    }
}

static void
set_metadata(struct packet *packet, const struct rewrite *rewrite)
{
    if (rewrite->map & BIT(skb_priority)) {
        uint32_t mask = be32(rewrite->mask.skb_priority);
        packet->skb_priority = (packet->skb_priority & ~mask) | (be32(rewrite->value.skb_priority) & mask);
    }
    if (rewrite->map & BIT(pkt_mark)) {
        uint32_t mask = be32(rewrite->mask.pkt_mark);
        packet->pkt_mark = (packet->pkt_mark & ~mask) | (be32(rewrite->value.pkt_mark) & mask);
    }
}

static void
rewrite_packet(struct packet *packet, const struct rewrite *rewrite)
{
    if (rewrite->map & (BIT(skb_priority) | BIT(pkt_mark))) {
        set_metadata(packet, rewrite);
    }
    if (rewrite->map & (BIT(eth_dst) | BIT(eth_src))) {
        set_ethernet(packet, rewrite);
    }
    if (rewrite->map & BIT(vlan0_tci)) {
        set_vlans(packet, rewrite);
    }
    if (rewrite->map & (BIT(mpls0_lse) | BIT(mpls2_lse))) {
        set_mpls(packet, rewrite);
    }
    switch (packet->l3_type) {
    case PACKET_L3_IPV4:
        set_ipv4(packet, rewrite);
        break;
    case PACKET_L3_IPV6:
        set_ipv6(packet, rewrite);
        break;
    case PACKET_L3_ARP:
        set_arp(packet, rewrite);
        break;
    case PACKET_L3_NSH:
        set_nsh(packet, rewrite);
        break;
    default:
        break;
    }
    if (packet->l4_type == PACKET_L4_ICMPV6) {
        set_nd(packet, rewrite);
    }
    if (rewrite->map & BIT(tp_src)) {
        set_ports(packet, rewrite);
    }
}

void
packet_rewrite(struct packet *const *packets, uint32_t n, const struct match *match)
{
    struct rewrite rewrite;
    rewrite_init(&rewrite, match);
    for (uint32_t i = 0; i < n; i++) {
        rewrite_packet(packets[i], &rewrite);
    }
}

bool
packet_push_vlan(struct packet *packet, uint16_t tpid, uint16_t tci)
{
    if (packet->bare_type || packet->size < ETH_SIZE || !packet_open_gap(packet, ETH_ADDRESSES_SIZE, VLAN_SIZE)) {
        return false;
    }
    put_raw16(packet->data + ETH_ADDRESSES_SIZE, tpid);
    put_raw16(packet->data + ETH_ADDRESSES_SIZE + 2, tci & be16((uint16_t) ~VLAN_PRESENT));
    return true;
}

void
packet_pop_vlan(struct packet *packet)
{
    if (!packet->bare_type && packet->size >= ETH_SIZE + VLAN_SIZE
        && eth_type_is_vlan(get_be16(packet->data + ETH_ADDRESSES_SIZE))) {
        packet_close_gap(packet, ETH_ADDRESSES_SIZE, VLAN_SIZE);
    }
}

/* The packet's type, of which 'at' is what follows its Ethernet header, becomes 'eth_type', raw. */
static void
set_type(struct packet *packet, uint32_t at, uint16_t eth_type)
{
    if (packet->bare_type) {
        packet->bare_type = be16(eth_type) == ETH_TYPE_TEB ? 0 : be16(eth_type);
    } else {
        put_raw16(packet->data + at - 2, eth_type);
    }
}

bool
packet_push_mpls(struct packet *packet, uint16_t eth_type, uint32_t lse)
{
    uint32_t at = packet->l2_5_ofs == PACKET_NO_OFFSET ? packet->l3_ofs : packet->l2_5_ofs;
    uint32_t l2_size = packet->bare_type ? 0 : ETH_SIZE;
    if (packet->size < l2_size || at == PACKET_NO_OFFSET || at < l2_size || !packet_open_gap(packet, at, MPLS_SIZE)) {
        return false;
    }
    set_type(packet, at, eth_type);
    put_raw32(packet->data + at, lse);
    packet->l2_5_ofs = (uint16_t) at;
    return true;
}

void
packet_pop_mpls(struct packet *packet, uint16_t eth_type)
{
    uint32_t at = packet->l2_5_ofs;
    if (at == PACKET_NO_OFFSET || (at < ETH_SIZE && !packet->bare_type) || at + MPLS_SIZE > packet->size) {
        return;
    }
    bool is_last = get_be32(packet->data + at) & MPLS_BOS;
    packet->flags &= ~PACKET_HASH_VALID;
    set_type(packet, at, eth_type);
    packet_close_gap(packet, at, MPLS_SIZE);
    packet->l2_5_ofs = is_last ? PACKET_NO_OFFSET : (uint16_t) at;
}
