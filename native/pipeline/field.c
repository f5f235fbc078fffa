#include "pipeline/field.h"

#include <assert.h>

#include "packet/bytes.h"

bool
field_is_plain(uint16_t field)
{
    return field < SLUICE_N_FIELDS && !(field >= SLUICE_FIELD_TUN_METADATA0 && field <= SLUICE_FIELD_TUN_METADATA63);
}

field_value
field_ones(uint32_t n_bits)
{
    assert(n_bits <= FIELD_BITS_MAX);
    return n_bits == FIELD_BITS_MAX ? ~(field_value) 0 : ((field_value) 1 << n_bits) - 1;
}

field_value
field_value_load(const uint8_t *bytes, uint32_t size)
{
    field_value value = 0;
    for (uint32_t i = 0; i < size; i++) {
        value = value << 8 | bytes[i];
    }
    return value;
}

void
field_value_store(uint8_t *bytes, uint32_t size, field_value value)
{
    for (uint32_t i = size; i > 0; i--) {
        bytes[i - 1] = (uint8_t) value;
        value >>= 8;
    }
}

field_value
field_get(const struct flow_key *key, uint16_t field)
{
    assert(field_is_plain(field));
    const struct field_span *span = &field_spans[field];
    return (field_value_load(key->bytes + span->offset, span->size) >> span->shift) & field_ones(span->n_bits);
}

field_value
field_writable_bits(uint16_t field)
{
    switch (field) {
    case SLUICE_FIELD_NW_TOS:
        return 0xfc;
    default:
        return field_ones(field_spans[field].n_bits);
    }
}

static bool
is_vlan_field(uint16_t field)
{
    return field >= SLUICE_FIELD_VLAN_TCI && field <= SLUICE_FIELD_VLAN_PCP;
}

void
field_set(struct flow_key *key, uint16_t field, field_value value, field_value mask)
{
    assert(field_is_plain(field));
    const struct field_span *span = &field_spans[field];
    uint8_t *bytes = key->bytes + span->offset;

    mask &= field_writable_bits(field);
    field_value word = field_value_load(bytes, span->size);
    word = (word & ~(mask << span->shift)) | ((value & mask) << span->shift);
    field_value_store(bytes, span->size, word);

    if (is_vlan_field(field)) {
        if (field == SLUICE_FIELD_DL_VLAN || field == SLUICE_FIELD_DL_VLAN_PCP || field == SLUICE_FIELD_VLAN_PCP) {
            key->vlan0_tci |= be16(VLAN_CFI);
        }
        if (!key->vlan0_tpid && key->vlan0_tci & be16(VLAN_CFI)) {
            key->vlan0_tpid = be16(ETH_TYPE_VLAN);
        }
    } else if (field == SLUICE_FIELD_IN_PORT) {
        key->in_port = be32(port_normalize(be32(key->in_port) & 0xffff));
    }
}

void
field_unwildcard(struct flow_key *wild, uint16_t field, field_value mask)
{
    assert(field_is_plain(field));
    const struct field_span *span = &field_spans[field];
    uint8_t *bytes = wild->bytes + span->offset;
    field_value word = field_value_load(bytes, span->size) | mask << span->shift;
    field_value_store(bytes, span->size, word);

    if (is_vlan_field(field)) {
        wild->vlan0_tci |= be16(VLAN_CFI);
    }
}

bool
key_is_ip(const struct flow_key *key)
{
    return key->eth_type == be16(ETH_TYPE_IPV4) || key->eth_type == be16(ETH_TYPE_IPV6);
}

static bool
is_l4(const struct flow_key *key, struct flow_key *wild, uint8_t ip_proto)
{
    if (!key_is_ip(key)) {
        return false;
    }
    wild->ip_proto = 0xff;
    return key->ip_proto == ip_proto && !(key->ip_frag & FRAG_LATER);
}

static bool
is_nd(const struct flow_key *key, struct flow_key *wild, bool solicit, bool advert)
{
    if (key->eth_type != be16(ETH_TYPE_IPV6) || !is_l4(key, wild, 58)) {
        return false;
    }
    wild->tp_src |= be16(0xff);
    wild->tp_dst |= be16(0xff);
    uint16_t type = be16(key->tp_src);
    return !key->tp_dst && ((solicit && type == 135) || (advert && type == 136));
}

bool
field_is_present(const struct flow_key *key, struct flow_key *wild, uint16_t field)
{
    switch ((enum field_prereq) field_spans[field].prereq) {
    case FIELD_PREREQ_NONE:
        return true;
    case FIELD_PREREQ_ETHERNET:
        return !key->packet_type;
    case FIELD_PREREQ_VLAN_VID:
        wild->vlan0_tci |= be16(VLAN_CFI);
        return key->vlan0_tci & be16(VLAN_CFI);
    case FIELD_PREREQ_MPLS:
        return key->eth_type == be16(ETH_TYPE_MPLS) || key->eth_type == be16(ETH_TYPE_MPLS_MCAST);
    case FIELD_PREREQ_IPV4:
        return key->eth_type == be16(ETH_TYPE_IPV4);
    case FIELD_PREREQ_IPV6:
        return key->eth_type == be16(ETH_TYPE_IPV6);
    case FIELD_PREREQ_IP:
        return key_is_ip(key);
    case FIELD_PREREQ_ARP:
        return key->eth_type == be16(ETH_TYPE_ARP) || key->eth_type == be16(ETH_TYPE_RARP);
    case FIELD_PREREQ_TCP:
        return is_l4(key, wild, 6);
    case FIELD_PREREQ_UDP:
        return is_l4(key, wild, 17);
    case FIELD_PREREQ_SCTP:
        return is_l4(key, wild, 132);
    case FIELD_PREREQ_ICMPV4:
        return key->eth_type == be16(ETH_TYPE_IPV4) && is_l4(key, wild, 1);
    case FIELD_PREREQ_ICMPV6:
        return key->eth_type == be16(ETH_TYPE_IPV6) && is_l4(key, wild, 58);
    case FIELD_PREREQ_ND:
        return is_nd(key, wild, true, true);
    case FIELD_PREREQ_ND_SOLICIT:
        return is_nd(key, wild, true, false);
    case FIELD_PREREQ_ND_ADVERT:
        return is_nd(key, wild, false, true);
    case FIELD_PREREQ_NSH:
        return key->eth_type == be16(ETH_TYPE_NSH);
    case FIELD_PREREQ_CT:
        return true;
    }
    return false;
}
