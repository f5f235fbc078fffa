#include "packet/parse.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/headers.h"

/* Words of the flow key, by the members that lie in them. */
#define WORD(MEMBER) (offsetof(struct flow_key, MEMBER) / 8)
#define BIT(MEMBER) (UINT64_C(1) << WORD(MEMBER))

/* What the parser stands before, and the words that it has filled. */
struct cursor {
    const uint8_t *p;
    uint32_t left;
    uint64_t map;
};

/* Steps over 'n' bytes and returns them, or null if they are not there. */
static const uint8_t *
pull(struct cursor *cursor, uint32_t n)
{
    if (cursor->left < n) {
        return NULL;
    }
    const uint8_t *p = cursor->p;
    cursor->p += n;
    cursor->left -= n;
    return p;
}

static uint16_t
offset_of(const struct packet *packet, const struct cursor *cursor)
{
    ptrdiff_t offset = cursor->p - packet->data;
    return offset < PACKET_NO_OFFSET ? (uint16_t) offset : PACKET_NO_OFFSET;
}

/* Reads VLAN tags and the Ethernet type behind them; the caller made sure of a whole Ethernet header. */
static uint32_t
parse_eth_type(struct cursor *cursor, uint32_t vlan_limit, struct flow_key *key)
{
    uint16_t *vlan = &key->vlan0_tpid;
    for (uint32_t i = 0; i < vlan_limit && i < 2; i++, vlan += 2) {
        if (!eth_type_is_vlan(get_be16(cursor->p)) || cursor->left < VLAN_SIZE + 2) {
            break;
        }
        const uint8_t *tag = pull(cursor, VLAN_SIZE);
        vlan[0] = get_raw16(tag);
        vlan[1] = get_raw16(tag + 2) | be16(VLAN_PRESENT);
        cursor->map |= BIT(vlan0_tpid);
    }

    uint32_t type = get_be16(pull(cursor, 2));
    if (type >= ETH_TYPE_MIN) {
        return type;
    }
    static const uint8_t snap[6] = { 0xaa, 0xaa, 0x03, 0x00, 0x00, 0x00 };
    if (cursor->left < SNAP_SIZE || memcmp(cursor->p, snap, sizeof snap)) {
        return ETH_TYPE_NONE;
    }
    type = get_be16(pull(cursor, SNAP_SIZE) + sizeof snap);
    return type >= ETH_TYPE_MIN ? type : ETH_TYPE_NONE;
}

static void
parse_mpls(struct packet *packet, struct cursor *cursor, struct flow_key *key)
{
    packet->l2_5_ofs = offset_of(packet, cursor);
    uint32_t *lse = &key->mpls0_lse;
    const uint8_t *entry;
    for (uint32_t i = 0; (entry = pull(cursor, 4)) != NULL; i++) {
        if (i < MPLS_LABELS_MAX) {
            lse[i] = get_raw32(entry);
        }
        if (get_be32(entry) & MPLS_BOS) {
            break;
        }
    }
    cursor->map |= BIT(mpls0_lse) | BIT(mpls2_lse);
}

static void
parse_arp(struct packet *packet, struct cursor *cursor, struct flow_key *key)
{
    static const uint8_t ethernet_ipv4[6] = { 0x00, 0x01, 0x08, 0x00, 6, 4 };
    const uint8_t *arp = pull(cursor, ARP_SIZE);
    if (!arp || memcmp(arp, ethernet_ipv4, sizeof ethernet_ipv4)) {
        return;
    }
    packet->l3_type = PACKET_L3_ARP;
    key->ip_proto = arp[6] ? 0 : arp[7];
    memcpy(key->arp_sha, arp + 8, 6);
    key->ip_src = get_raw32(arp + 14);
    memcpy(key->arp_tha, arp + 18, 6);
    key->ip_dst = get_raw32(arp + 24);
    cursor->map |= BIT(ip_proto) | BIT(arp_sha) | BIT(arp_tha) | BIT(ip_src);
}

static void
parse_nsh(struct packet *packet, struct cursor *cursor, struct flow_key *key)
{
    const uint8_t *nsh = cursor->p;
    if (cursor->left < NSH_BASE_SIZE) {
        return;
    }
    uint32_t first = get_be16(nsh);
    uint32_t size = 4 * (first & 0x3f);
    if (size > cursor->left || first >> 14 || (nsh[2] == NSH_MD_TYPE1 && size != NSH_TYPE1_SIZE)
        || (nsh[2] == NSH_MD_TYPE2 && size < NSH_BASE_SIZE)) {
        return;
    }
    packet->l3_type = PACKET_L3_NSH;
    key->nsh_flags = first >> 12 & 3;
    key->nsh_ttl = first >> 6 & 0x3f;
    key->nsh_mdtype = nsh[2];
    key->nsh_np = nsh[3];
    key->nsh_path_hdr = get_raw32(nsh + 4);
    if (key->nsh_mdtype == NSH_MD_TYPE1) {
        memcpy(&key->nsh_c1, nsh + NSH_BASE_SIZE, 16);
    }
    cursor->map |= BIT(nsh_flags) | BIT(nsh_c1) | BIT(nsh_c3);
}

/* Link-layer address options of neighbour discovery.  The first of a kind counts; a second is an error that voids what
 * was read. */
static void
parse_nd_options(struct cursor *cursor, struct flow_key *key)
{
    static const uint8_t zero[6];
    while (cursor->left >= ND_OPTION_SIZE) {
        const uint8_t *option = cursor->p;
        uint32_t size = option[1] * ND_OPTION_SIZE;
        if (!pull(cursor, size ? size : UINT32_MAX)) {
            return;
        }
        if ((option[0] != ND_OPTION_SLL && option[0] != ND_OPTION_TLL) || size != ND_OPTION_SIZE) {
            continue;
        }
        uint8_t *address = option[0] == ND_OPTION_SLL ? key->arp_sha : key->arp_tha;
        if (memcmp(address, zero, sizeof zero)) {
            memset(key->nd_target, 0, sizeof key->nd_target);
            memset(key->arp_sha, 0, sizeof key->arp_sha);
            memset(key->arp_tha, 0, sizeof key->arp_tha);
            return;
        }
        memcpy(address, option + 2, 6);
        if (!key->nd_options_type) {
            key->nd_options_type = option[0];
        }
    }
}

static void
parse_icmp(struct cursor *cursor, const uint8_t *icmp, struct flow_key *key)
{
    key->tp_src = be16(icmp[0]);
    key->tp_dst = be16(icmp[1]);
    if (key->ip_proto != PROTO_ICMPV6 || icmp[1] || (icmp[0] != ND_SOLICIT && icmp[0] != ND_ADVERT)) {
        return;
    }
    key->nd_reserved = get_raw32(icmp + 4);
    const uint8_t *target = pull(cursor, 16);
    if (target) {
        memcpy(key->nd_target, target, 16);
        parse_nd_options(cursor, key);
        cursor->map |= BIT(nd_target) | BIT(nd_target) << 1 | BIT(arp_sha) | BIT(arp_tha) | BIT(nd_options_type);
    }
}

/* 'cursor' stands before the L4 header and ends where the IP payload does. */
static void
parse_l4(struct packet *packet, struct cursor *cursor, struct flow_key *key)
{
    static const struct {
        uint8_t type, size;
    } protocols[256] = {
        [PROTO_TCP] = { PACKET_L4_TCP, TCP_SIZE },        [PROTO_UDP] = { PACKET_L4_UDP, UDP_SIZE },
        [PROTO_SCTP] = { PACKET_L4_SCTP, SCTP_SIZE },     [PROTO_ICMP] = { PACKET_L4_ICMP, ICMP_SIZE },
        [PROTO_ICMPV6] = { PACKET_L4_ICMPV6, ICMP_SIZE }, [PROTO_IGMP] = { PACKET_L4_IGMP, IGMP_SIZE },
    };

    packet->l4_ofs = offset_of(packet, cursor);
    packet->l4_size = cursor->left;
    uint8_t type = protocols[key->ip_proto].type;
    if (type == PACKET_L4_NONE || key->ip_frag & FRAG_LATER || packet->l4_ofs == PACKET_NO_OFFSET) {
        return;
    }
    const uint8_t *l4 = pull(cursor, protocols[key->ip_proto].size);
    if (!l4) {
        return;
    }
    packet->l4_type = type;
    cursor->map |= BIT(tp_src);
    switch (type) {
    case PACKET_L4_TCP:
        key->tcp_flags = get_raw16(l4 + 12) & be16(0x0fff);
        cursor->map |= BIT(tcp_flags);
        /* Fall through. */
    case PACKET_L4_UDP:
    case PACKET_L4_SCTP:
        key->tp_src = get_raw16(l4);
        key->tp_dst = get_raw16(l4 + 2);
        break;
    case PACKET_L4_IGMP:
        key->tp_src = be16(l4[0]);
        key->tp_dst = be16(l4[1]);
        key->igmp_group = get_raw32(l4 + 4);
        cursor->map |= BIT(igmp_group);
        break;
    default:
        parse_icmp(cursor, l4, key);
        break;
    }
}

static void
parse_ipv4(struct packet *packet, struct cursor *cursor, struct flow_key *key)
{
    const uint8_t *ip = cursor->p;
    if (cursor->left < IPV4_SIZE) {
        return;
    }
    uint32_t header_size = 4u * (ip[0] & 0xf);
    uint32_t total_size = get_be16(ip + 2);
    if (header_size < IPV4_SIZE || header_size > total_size || total_size > cursor->left) {
        return;
    }
    packet->l3_type = PACKET_L3_IPV4;
    cursor->left = total_size; /* What follows is padding. */
    pull(cursor, header_size);

    uint32_t frag = get_be16(ip + 6);
    if (frag & (IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) {
        key->ip_frag = frag & IPV4_OFFSET_MASK ? FRAG_ANY | FRAG_LATER : FRAG_ANY;
    }
    key->ip_tos = ip[1];
    key->ip_ttl = ip[8];
    key->ip_proto = ip[9];
    key->ip_src = get_raw32(ip + 12);
    key->ip_dst = get_raw32(ip + 16);
    cursor->map |= BIT(ip_proto) | BIT(ip_src);
    parse_l4(packet, cursor, key);
}

/* Steps over IPv6 extension headers.  Returns false if one is cut short.  '*proto' gets what follows, or FRAGMENT in
 * later fragments. */
static bool
parse_ipv6_extensions(struct packet *packet, struct cursor *cursor, uint8_t *proto, uint8_t *frag)
{
    for (;;) {
        const uint8_t *header = cursor->p;
        uint32_t size;
        switch (*proto) {
        case PROTO_HOPOPTS:
        case PROTO_ROUTING:
        case PROTO_DSTOPTS:
        case PROTO_AH:
        case PROTO_FRAGMENT:
            break;
        default:
            return true;
        }
        if (cursor->left < 8) {
            return false;
        }
        size = *proto == PROTO_AH ? (header[1] + 2u) * 4 : *proto == PROTO_FRAGMENT ? 8u : (header[1] + 1u) * 8;
        if (*proto == PROTO_ROUTING && header[3]) {
            packet->flags |= PACKET_ROUTED;
        }
        uint32_t offset_and_more = *proto == PROTO_FRAGMENT ? get_be16(header + 2) : 0;
        *proto = header[0];
        if (!pull(cursor, size)) {
            return false;
        }
        if (offset_and_more) {
            *frag = FRAG_ANY;
            if (offset_and_more & 0xfff8) {
                *frag |= FRAG_LATER;
                *proto = PROTO_FRAGMENT;
                return true;
            }
        }
    }
}

static void
parse_ipv6(struct packet *packet, struct cursor *cursor, struct flow_key *key)
{
    const uint8_t *ip = cursor->p;
    if (cursor->left < IPV6_SIZE || cursor->left - IPV6_SIZE < get_be16(ip + 4)) {
        return;
    }
    packet->l3_type = PACKET_L3_IPV6;
    cursor->left = IPV6_SIZE + get_be16(ip + 4); /* What follows is padding. */
    pull(cursor, IPV6_SIZE);
    memcpy(key->ipv6_src, ip + 8, 32);
    cursor->map |= UINT64_C(0xf) << WORD(ipv6_src);

    uint8_t proto = ip[6];
    uint8_t frag = 0;
    if (!parse_ipv6_extensions(packet, cursor, &proto, &frag)) {
        return;
    }
    uint32_t first = get_be32(ip);
    key->ipv6_label = be32(first & IPV6_LABEL_MASK);
    key->ip_tos = (uint8_t) (first >> 20);
    key->ip_ttl = ip[7];
    key->ip_proto = proto;
    key->ip_frag = frag;
    cursor->map |= BIT(ipv6_label);
    parse_l4(packet, cursor, key);
}

/* Reads an Ethernet header and VLAN tags, if the packet has them; returns the Ethernet type of what follows. */
static uint32_t
parse_ethernet(const struct packet *packet, struct cursor *cursor, uint32_t vlan_limit, struct flow_key *key)
{
    cursor->map |= BIT(eth_dst) | BIT(eth_src);
    if (packet->bare_type) {
        return packet->bare_type;
    }
    memcpy(key->eth_dst, cursor->p, 6);
    memcpy(key->eth_src, cursor->p + 6, 6);
    pull(cursor, ETH_ADDRESSES_SIZE);
    return parse_eth_type(cursor, vlan_limit, key);
}

/* Parses any packet.  Returns the words that it may have filled. */
static uint64_t
parse_any(struct packet *packet, uint32_t vlan_limit, struct flow_key *key)
{
    struct cursor cursor = { packet->data, packet->size, BIT(in_port) | BIT(skb_priority) | BIT(pkt_mark) };
    key->in_port = be32(packet->in_port);
    key->skb_priority = be32(packet->skb_priority);
    key->pkt_mark = be32(packet->pkt_mark);
    key->packet_type = be32(packet_type(packet));
    if (!packet->bare_type && cursor.left < ETH_SIZE) {
        return cursor.map;
    }
    uint32_t eth_type = parse_ethernet(packet, &cursor, vlan_limit, key);
    key->eth_type = be16((uint16_t) eth_type);

    if (eth_type_is_mpls(eth_type)) {
        parse_mpls(packet, &cursor, key);
    }
    packet->l3_ofs = offset_of(packet, &cursor);
    switch (eth_type) {
    case ETH_TYPE_IPV4:
        parse_ipv4(packet, &cursor, key);
        break;
    case ETH_TYPE_IPV6:
        parse_ipv6(packet, &cursor, key);
        break;
    case ETH_TYPE_ARP:
    case ETH_TYPE_RARP:
        parse_arp(packet, &cursor, key);
        break;
    case ETH_TYPE_NSH:
        parse_nsh(packet, &cursor, key);
        break;
    default:
        break;
    }
    return cursor.map;
}

static void
reset_layers(struct packet *packet)
{
    packet->l2_5_ofs = PACKET_NO_OFFSET;
    packet->l3_ofs = PACKET_NO_OFFSET;
    packet->l4_ofs = PACKET_NO_OFFSET;
    packet->l3_type = PACKET_L3_NONE;
    packet->l4_type = PACKET_L4_NONE;
    packet->l4_size = 0;
    packet->flags &= (uint8_t) ~PACKET_ROUTED;
}

static void
clear_words(struct flow_key *key, uint64_t map)
{
    for (; map; map &= map - 1) {
        key->words[__builtin_ctzll(map)] = 0;
    }
}

/* Of 'map', the words that are not zero. */
static uint64_t
exact_map(const struct flow_key *key, uint64_t map)
{
    uint64_t exact = 0;
    for (; map; map &= map - 1) {
        int word = __builtin_ctzll(map);
        exact |= (uint64_t) (key->words[word] != 0) << word;
    }
    return exact;
}

static void
parse_slowly(struct packet *packet, uint32_t vlan_limit, struct flow_key *key, uint64_t *map)
{
    reset_layers(packet);
    clear_words(key, *map);
    *map = exact_map(key, parse_any(packet, vlan_limit, key));
}

/* Stores a word and returns its bit if it is not zero. */
static inline uint64_t
store(struct flow_key *key, uint32_t word, uint64_t value)
{
    key->words[word] = value;
    return (uint64_t) (value != 0) << word;
}

/* Untagged Ethernet, IPv4 without options, no fragment, TCP or UDP: most packets.  Returns false, with nothing changed,
 * if it is not that. */
static inline bool
parse_quickly(struct packet *packet, struct flow_key *key, uint64_t *map)
{
    const uint8_t *eth = packet->data;
    const uint8_t *ip = eth + ETH_SIZE;
    const uint8_t *l4 = ip + IPV4_SIZE;
    if (packet->size < ETH_SIZE + IPV4_SIZE + TCP_SIZE || packet->bare_type) {
        return false;
    }
    uint32_t total_size = get_be16(ip + 2);
    uint8_t proto = ip[9];
    bool tcp = proto == PROTO_TCP;
    if ((get_raw32(eth + 12) & be32(0xffffff00)) != be32(ETH_TYPE_IPV4 << 16 | 0x4500)
        || get_raw16(ip + 6) & be16(IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK) || (!tcp && proto != PROTO_UDP)
        || total_size > packet->size - ETH_SIZE || total_size < IPV4_SIZE + (tcp ? TCP_SIZE : UDP_SIZE)) {
        return false;
    }

    packet->l2_5_ofs = PACKET_NO_OFFSET;
    packet->l3_ofs = ETH_SIZE;
    packet->l4_ofs = ETH_SIZE + IPV4_SIZE;
    packet->l3_type = PACKET_L3_IPV4;
    packet->l4_type = tcp ? PACKET_L4_TCP : PACKET_L4_UDP;
    packet->l4_size = total_size - IPV4_SIZE;
    packet->flags &= (uint8_t) ~PACKET_ROUTED;

    const uint64_t six_bytes = UINT64_C(0xffffffffffff);
    uint64_t new_map = store(key, WORD(in_port), be32(packet->in_port));
    new_map |= store(key, WORD(skb_priority), (uint64_t) be32(packet->skb_priority) << 32);
    new_map |= store(key, WORD(pkt_mark), be32(packet->pkt_mark));
    new_map |= store(key, WORD(eth_dst), (get_raw64(eth) & six_bytes) | (uint64_t) be16(ETH_TYPE_IPV4) << 48);
    new_map |= store(key, WORD(eth_src), get_raw64(eth + 6) & six_bytes);
    new_map |= store(key, WORD(ip_src), get_raw64(ip + 12));
    new_map |= store(key, WORD(ip_proto), (uint64_t) ip[1] << 40 | (uint64_t) ip[8] << 48 | (uint64_t) proto << 56);
    new_map |= store(key, WORD(tcp_flags), tcp ? (uint64_t) (get_raw16(l4 + 12) & be16(0x0fff)) << 48 : 0);
    new_map |= store(key, WORD(tp_src), get_raw32(l4));
    clear_words(key, *map & ~new_map);
    *map = new_map;
    return true;
}
_Static_assert(WORD(pkt_mark) == WORD(packet_type) && offsetof(struct flow_key, skb_priority) % 8 == 4
                   && offsetof(struct flow_key, pkt_mark) % 8 == 0 && offsetof(struct flow_key, eth_type) % 8 == 6
                   && offsetof(struct flow_key, ip_src) % 8 == 0 && offsetof(struct flow_key, ip_tos) % 8 == 5
                   && offsetof(struct flow_key, tcp_flags) % 8 == 6 && offsetof(struct flow_key, tp_src) % 8 == 0,
               "places in words that parse_quickly() builds");

_Static_assert(sizeof(((struct packet_metadata *) NULL)->tunnel) == (SLUICE_KEY_L2_WORD - SLUICE_KEY_TUNNEL_WORD) * 8,
               "words of a tunnel");

/* Options are rare: one bit of the map stands for all of their words. */
#define OPTIONS_BIT (UINT64_C(1) << SLUICE_KEY_OPTIONS_WORD)

static void
clear_options(struct flow_key *key, uint64_t *map)
{
    memset(&key->words[SLUICE_KEY_OPTIONS_WORD], 0, (SLUICE_KEY_PIPELINE_WORD - SLUICE_KEY_OPTIONS_WORD) * 8u);
    *map &= ~OPTIONS_BIT;
}

static void
add_options(const struct packet *packet, struct flow_key *key, uint64_t *map)
{
    key->tun_metadata_present = be64(packet->metadata.options_size);
    memcpy(key->tun_metadata, packet->metadata.options, packet->metadata.options_size);
    *map |= OPTIONS_BIT;
}

/* Adds what actions gave to a packet that comes back.  These members share words with ones that parsing has set. */
static void
add_metadata(const struct packet *packet, struct flow_key *key, uint64_t *map)
{
    key->recirc_id = be32(packet->metadata.recirc_id);
    key->dp_hash = be32(packet->metadata.dp_hash);
    uint64_t words = UINT64_C(1) << WORD(recirc_id) | UINT64_C(1) << WORD(dp_hash);
    if (packet->metadata.is_tunneled) {
        memcpy(&key->words[SLUICE_KEY_TUNNEL_WORD], packet->metadata.tunnel, sizeof packet->metadata.tunnel);
        words |= ((UINT64_C(1) << SLUICE_KEY_L2_WORD) - 1) & ~((UINT64_C(1) << SLUICE_KEY_TUNNEL_WORD) - 1);
    }
    *map = exact_map(key, *map | words);
    if (packet->metadata.is_tunneled && packet->metadata.options_size) {
        add_options(packet, key, map);
    }
}

void
packet_parse_burst(struct packet *const *packets, uint32_t n, uint32_t vlan_limit, struct flow_key *keys,
                   uint64_t *maps)
{
    for (uint32_t i = 0; i < n; i++) {
        if (maps[i] & OPTIONS_BIT) {
            clear_options(&keys[i], &maps[i]);
        }
        if (!parse_quickly(packets[i], &keys[i], &maps[i])) {
            parse_slowly(packets[i], vlan_limit, &keys[i], &maps[i]);
        }
        if (packets[i]->flags & PACKET_METADATA) {
            add_metadata(packets[i], &keys[i], &maps[i]);
        }
    }
}

void
packet_parse(struct packet *packet, uint32_t vlan_limit, struct flow_key *key)
{
    uint64_t map = 0;
    memset(key, 0, sizeof *key);
    packet_parse_burst(&packet, 1, vlan_limit, key, &map);
}

/* TCP flags at a glance; false if the packet may be a fragment or has options or extension headers. */
static inline bool
glance_ipv4(const struct packet *packet, uint16_t *tcp_flags)
{
    const uint8_t *ip = packet->data + ETH_SIZE;
    if (packet->size < ETH_SIZE + IPV4_SIZE || ip[0] != 0x45
        || get_raw16(ip + 6) & be16(IPV4_MORE_FRAGMENTS | IPV4_OFFSET_MASK)) {
        return false;
    }
    uint32_t total_size = get_be16(ip + 2);
    if (ip[9] == PROTO_TCP && total_size >= IPV4_SIZE + TCP_SIZE && total_size <= packet->size - ETH_SIZE) {
        *tcp_flags |= get_be16(ip + IPV4_SIZE + 12) & 0x0fff;
    }
    return true;
}

static inline bool
glance_ipv6(const struct packet *packet, uint16_t *tcp_flags)
{
    const uint8_t *ip = packet->data + ETH_SIZE;
    if (packet->size < ETH_SIZE + IPV6_SIZE || (ip[6] != PROTO_TCP && ip[6] != PROTO_UDP && ip[6] != PROTO_ICMPV6)) {
        return false;
    }
    uint32_t payload_size = get_be16(ip + 4);
    if (ip[6] == PROTO_TCP && payload_size >= TCP_SIZE && payload_size <= packet->size - ETH_SIZE - IPV6_SIZE) {
        *tcp_flags |= get_be16(ip + IPV6_SIZE + 12) & 0x0fff;
    }
    return true;
}

/* Frames that have a length where others have their type: no LLC header that goes on with a type. */
static inline bool
glance_length(const struct packet *packet)
{
    return packet->size > ETH_SIZE && packet->data[ETH_SIZE] != 0xaa;
}

bool
packet_burst_is_alike(struct packet *const *packets, uint32_t n, uint16_t eth_type, uint64_t *n_bytes,
                      uint16_t *tcp_flags)
{
    uint64_t size = 0;
    uint32_t odd = 0;
    bool alike = true;

    for (uint32_t i = 0; i < n; i++) {
        const struct packet *packet = packets[i];
        uint16_t type = get_raw16(packet->data + ETH_ADDRESSES_SIZE);
        odd |= (packet->flags & (PACKET_CSUM_PARTIAL | PACKET_METADATA)) | packet->gso_type | packet->bare_type;
        size += packet->size;
        if (type == be16(ETH_TYPE_IPV4)) {
            alike &= glance_ipv4(packet, tcp_flags);
        } else if (type == be16(ETH_TYPE_IPV6)) {
            alike &= glance_ipv6(packet, tcp_flags);
        } else if (be16(type) < ETH_TYPE_MIN) {
            alike &= glance_length(packet);
            type = be16(ETH_TYPE_NONE);
        }
        if (type != eth_type || !alike) {
            return false;
        }
    }
    *n_bytes += size;
    return odd == 0 && !eth_type_is_vlan(be16(eth_type)) && !eth_type_is_mpls(be16(eth_type))
           && eth_type != be16(ETH_TYPE_NSH);
}
