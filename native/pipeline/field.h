/* Fields of the flow key by number: reading, writing and un-wildcarding some of their bits.
 *
 * All functions are pure; any thread.  Only fields of up to FIELD_BITS_MAX bits are known here; callers check with
 * field_is_plain(). */
#ifndef SLUICE_PIPELINE_FIELD_H
#define SLUICE_PIPELINE_FIELD_H 1

#include <stdbool.h>
#include <stdint.h>

#include "packet/headers.h"
#include "sluice/flow_key.h"

#define FIELD_BITS_MAX 128

/* The value of a field, as a number. */
__extension__ typedef unsigned __int128 field_value;

/* Some bits of a field: 'n_bits' from bit 'ofs' up. */
struct subfield {
    uint16_t field;
    uint16_t ofs;
    uint16_t n_bits;
};

/* True if 'field' is a field's number and the pipeline can read it.  tun_metadata needs a map that is not here. */
bool field_is_plain(uint16_t field);

/* The lowest 'n_bits' bits set; 'n_bits' is at most 128. */
field_value field_ones(uint32_t n_bits);

/* A number from 'size' big-endian bytes, and back.  'size' is at most 16 for what matters; excess high bytes are
 * ignored, or zero. */
field_value field_value_load(const uint8_t *bytes, uint32_t size);
void field_value_store(uint8_t *bytes, uint32_t size, field_value value);

field_value field_get(const struct flow_key *key, uint16_t field);

/* The bits of a field that a write to it may change. */
field_value field_writable_bits(uint16_t field);

/* Sets the bits of 'mask' to those of 'value' and leaves the others.  Fields of a VLAN tag add the tag if they must;
 * a 16-bit port number becomes a 32-bit one. */
void field_set(struct flow_key *key, uint16_t field, field_value value, field_value mask);

/* Sets bits in 'wild', the mask of what was read, for reading or writing the bits 'mask' of the field. */
void field_unwildcard(struct flow_key *wild, uint16_t field, field_value mask);

static inline field_value
subfield_get(const struct flow_key *key, struct subfield sf)
{
    return (field_get(key, sf.field) >> sf.ofs) & field_ones(sf.n_bits);
}

static inline void
subfield_set(struct flow_key *key, struct subfield sf, field_value value)
{
    field_set(key, sf.field, value << sf.ofs, field_ones(sf.n_bits) << sf.ofs);
}

static inline void
subfield_unwildcard(struct flow_key *wild, struct subfield sf)
{
    field_unwildcard(wild, sf.field, field_ones(sf.n_bits) << sf.ofs);
}

/* As subfield_unwildcard(), for writing. */
static inline void
subfield_unwildcard_write(struct flow_key *wild, struct subfield sf)
{
    field_unwildcard(wild, sf.field, field_ones(sf.n_bits) << sf.ofs & field_writable_bits(sf.field));
}

/* Whether the packet of 'key' has the field.  What the answer depends on is added to 'wild'. */
bool field_is_present(const struct flow_key *key, struct flow_key *wild, uint16_t field);

/* OpenFlow 1.1+ numbers of ports; those of 1.0 (16 bits) become them. */
#define PORT_MAX 0xff00u /* Ports below this one are real. */
#define PORT_UNSET 0xfffffff7u
#define PORT_IN_PORT 0xfffffff8u
#define PORT_TABLE 0xfffffff9u
#define PORT_NORMAL 0xfffffffau
#define PORT_FLOOD 0xfffffffbu
#define PORT_ALL 0xfffffffcu
#define PORT_CONTROLLER 0xfffffffdu
#define PORT_LOCAL 0xfffffffeu
#define PORT_NONE 0xffffffffu

static inline uint32_t
port_normalize(uint32_t port)
{
    return port >= PORT_MAX && port <= 0xffff ? port | 0xffff0000u : port;
}

/* Parts of a VLAN tag's control information, in host order. */
#define VLAN_VID_MASK 0x0fffu
#define VLAN_CFI 0x1000u
#define VLAN_PCP_MASK 0xe000u
#define VLAN_PCP_SHIFT 13

/* The TCP flags in host order; 0 if the packet is not TCP. */
static inline uint16_t
key_tcp_flags(const struct flow_key *key)
{
    return key->ip_proto == 6 ? (uint16_t) (key->tcp_flags << 8 | key->tcp_flags >> 8) : 0;
}

/* True for IPv4 and IPv6. */
bool key_is_ip(const struct flow_key *key);

#endif
