/* Numbers of the protocols that packets are made of: sizes, types, bits. */
#ifndef PACKET_HEADERS_H
#define PACKET_HEADERS_H 1

#include <stdbool.h>
#include <stdint.h>

#define ETH_SIZE 14u
#define ETH_ADDRESSES_SIZE 12u
#define VLAN_SIZE 4u
#define SNAP_SIZE 8u /* LLC and SNAP. */

/* Ethernet types as numbers. */
#define ETH_TYPE_MIN 0x0600u  /* Less is a length. */
#define ETH_TYPE_NONE 0x05ffu /* The flow key's word for "no Ethernet type". */
#define ETH_TYPE_IPV4 0x0800u
#define ETH_TYPE_ARP 0x0806u
#define ETH_TYPE_TEB 0x6558u /* Ethernet in what names types. */
#define ETH_TYPE_RARP 0x8035u
#define ETH_TYPE_VLAN 0x8100u
#define ETH_TYPE_QINQ 0x88a8u
#define ETH_TYPE_IPV6 0x86ddu
#define ETH_TYPE_SLOW 0x8809u /* LACP and others. */
#define ETH_TYPE_MPLS 0x8847u
#define ETH_TYPE_CFM 0x8902u
#define ETH_TYPE_MPLS_MCAST 0x8848u
#define ETH_TYPE_NSH 0x894fu
#define ETH_TYPE_LLDP 0x88ccu

#define VLAN_PRESENT 0x1000u /* In a flow key's TCI: there is a tag. */

#define ARP_SIZE 28u

#define IPV4_SIZE 20u
#define IPV4_SIZE_MAX 60u /* With all options. */
#define IPV4_MORE_FRAGMENTS 0x2000u
#define IPV4_OFFSET_MASK 0x1fffu

#define IPV6_SIZE 40u
#define IPV6_LABEL_MASK 0x000fffffu

#define FRAG_ANY 1u /* Bits of the key's ip_frag. */
#define FRAG_LATER 2u

#define PROTO_HOPOPTS 0u
#define PROTO_ICMP 1u
#define PROTO_IGMP 2u
#define PROTO_TCP 6u
#define PROTO_UDP 17u
#define PROTO_ROUTING 43u
#define PROTO_FRAGMENT 44u
#define PROTO_GRE 47u
#define PROTO_AH 51u
#define PROTO_ICMPV6 58u
#define PROTO_DSTOPTS 60u
#define PROTO_SCTP 132u

#define TCP_SIZE 20u
#define TCP_FIN 0x01u
#define TCP_SYN 0x02u
#define TCP_RST 0x04u
#define TCP_PSH 0x08u
#define TCP_CWR 0x80u
#define UDP_SIZE 8u
#define SCTP_SIZE 12u
#define GRE_SIZE 4u /* Without its optional words. */
#define GRE_CSUM 0x8000u
#define GRE_KEY 0x2000u
#define GRE_SEQ 0x1000u
#define ICMP_SIZE 8u
#define IGMP_SIZE 8u
#define ND_SIZE 24u /* ICMPv6 header and target. */
#define ND_OPTION_SIZE 8u
#define ND_SOLICIT 135u
#define ND_ADVERT 136u
#define ND_OPTION_SLL 1u
#define ND_OPTION_TLL 2u

#define MPLS_SIZE 4u
#define MPLS_BOS 0x00000100u
#define MPLS_LABELS_MAX 3u

#define NSH_BASE_SIZE 8u
#define NSH_TYPE1_SIZE 24u
#define NSH_SIZE_MAX 252u /* The length counts 4-byte words in six bits. */
#define NSH_MD_TYPE1 1u
#define NSH_MD_TYPE2 2u
#define NSH_TTL_DEFAULT 63u
#define NSH_SI_DEFAULT 255u

/* Next protocols of NSH. */
#define NSH_NEXT_IPV4 1u
#define NSH_NEXT_IPV6 2u
#define NSH_NEXT_ETHERNET 3u
#define NSH_NEXT_NSH 4u

/* 'type' in host order. */
static inline bool
eth_type_is_vlan(uint32_t type)
{
    return type == ETH_TYPE_VLAN || type == ETH_TYPE_QINQ;
}

static inline bool
eth_type_is_mpls(uint32_t type)
{
    return type == ETH_TYPE_MPLS || type == ETH_TYPE_MPLS_MCAST;
}

#endif
