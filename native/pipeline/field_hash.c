#include "pipeline/field_hash.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/headers.h"
#include "pipeline/field.h"

static void
read_source(const struct flow_key *key, struct flow_key *wild)
{
    if (key->eth_type == be16(ETH_TYPE_IPV4)) {
        wild->ip_src = UINT32_MAX;
    } else if (key->eth_type == be16(ETH_TYPE_IPV6)) {
        memset(wild->ipv6_src, 0xff, sizeof wild->ipv6_src);
    }
}

static void
read_destination(const struct flow_key *key, struct flow_key *wild)
{
    if (key->eth_type == be16(ETH_TYPE_IPV4)) {
        wild->ip_dst = UINT32_MAX;
    } else if (key->eth_type == be16(ETH_TYPE_IPV6)) {
        memset(wild->ipv6_dst, 0xff, sizeof wild->ipv6_dst);
    }
}

static void
read_l2(struct flow_key *wild)
{
    memset(wild->eth_src, 0xff, sizeof wild->eth_src);
    memset(wild->eth_dst, 0xff, sizeof wild->eth_dst);
    wild->vlan0_tci |= be16(VLAN_VID_MASK | VLAN_CFI);
    wild->vlan1_tci |= be16(VLAN_VID_MASK | VLAN_CFI);
}

/* All bits of the ports; the types of ICMP have only eight. */
static void
read_ports(const struct flow_key *key, struct flow_key *wild)
{
    uint16_t bits = key->ip_proto == PROTO_ICMP ? be16(0xff) : UINT16_MAX;

    wild->tp_src |= bits;
    wild->tp_dst |= bits;
}

void
field_hash_unwildcard(const struct flow_key *key, struct flow_key *wild, enum hash_fields fields)
{
    switch (fields) {
    case HASH_ETH_SRC:
        memset(wild->eth_src, 0xff, sizeof wild->eth_src);
        return;
    case HASH_NW_SRC:
        read_source(key, wild);
        return;
    case HASH_NW_DST:
        read_destination(key, wild);
        return;
    case HASH_SYMMETRIC_L3:
    case HASH_SYMMETRIC_L4:
    case HASH_SYMMETRIC_L3L4:
    case HASH_SYMMETRIC_L3L4_UDP:
        read_source(key, wild);
        read_destination(key, wild);
        break;
    case HASH_FIELDS_COUNT:
        return;
    }
    if (fields == HASH_SYMMETRIC_L3) {
        return;
    }
    if (key_is_ip(key)) {
        wild->ip_proto = 0xff;
    }
    if (fields == HASH_SYMMETRIC_L4) {
        read_l2(wild);
        if (key_is_ip(key) && key->ip_proto != PROTO_UDP) {
            read_ports(key, wild);
        }
    } else if (!key_is_ip(key)) {
        /* What is hashed then are the fields of layer 2. */
        read_l2(wild);
    } else if (flow_hash_has_ports(key, fields == HASH_SYMMETRIC_L3L4_UDP)) {
        read_ports(key, wild);
    }
}
