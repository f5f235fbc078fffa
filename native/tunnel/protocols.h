/* Numbers of the protocols that tunnels are made of. */
#ifndef TUNNEL_PROTOCOLS_H
#define TUNNEL_PROTOCOLS_H 1

#define ETH_TYPE_ERSPAN1 0x88beu
#define ETH_TYPE_ERSPAN2 0x22ebu

#define IPV4_DONT_FRAGMENT 0x4000u

#define ERSPAN_SIZE 4u
#define ERSPAN1_SIZE 4u /* What follows in version 1: the index. */
#define ERSPAN2_SIZE 8u /* In version 2: a time, and bits. */
#define ERSPAN_SESSION_MAX 0x3ffu

#define VXLAN_SIZE 8u
#define VXLAN_FLAG_VNI 0x08000000u
#define VXLAN_FLAG_GPE 0x04000000u
#define GPE_USED_BITS 0x370000ffu /* Of the first word: version, next protocol, and the flags that go with them. */
#define GPE_FLAG_OAM 0x01000000u
#define VXLAN_FLAG_GBP 0x80000000u
#define GBP_FLAGS 0x00480000u /* Do not learn; the policy was applied. */
#define GBP_SHIFT 16
#define GBP_ID 0x0000ffffu
#define GPE_IPV4 1u
#define GPE_IPV6 2u
#define GPE_ETHERNET 3u
#define GPE_NSH 4u

#define GENEVE_SIZE 8u
#define GENEVE_FLAG_OAM 0x80u
#define GENEVE_FLAG_CRITICAL 0x40u
#define GENEVE_OPTION_CRITICAL 0x80u /* In an option's type. */

#define GTPU_SIZE 8u
#define GTPU_OPTION_SIZE 4u
#define GTPU_FLAGS_USUAL 0x30u /* Version 1, GTP. */
#define GTPU_FLAG_SEQ 0x02u
#define GTPU_MESSAGE_PACKET 255u

#endif
