/* Geneve options as fields: which option each of tun_metadata0 to 63 is, and where its value lies in the key.
 *
 * A key that comes from a packet holds the options as the packet had them: 'tun_metadata_present' is their size in
 * bytes, 'tun_metadata' they themselves.  Translation works on a key in which 'tun_metadata_present' has a bit for
 * each field that the packet has, and 'tun_metadata' their values, at places that the bridge's map gives.  A place is
 * a list of granules of four bytes, so that room that is given back can be used for an option of another size.
 *
 * All functions are pure; any thread. */
#ifndef SLUICE_PIPELINE_TLV_MAP_H
#define SLUICE_PIPELINE_TLV_MAP_H 1

#include <stdbool.h>
#include <stdint.h>

#include "pipeline/field.h"
#include "sluice/flow_key.h"
#include "sluice/records.h"

#define TLV_FIELDS 64u
#define TLV_GRANULE 4u
#define TLV_GRANULES_MAX 31u
#define TLV_VALUE_MAX (TLV_GRANULE * TLV_GRANULES_MAX)

struct tlv_entry {
    uint16_t option_class;
    uint8_t option_type;
    uint8_t n_granules;
    uint8_t granules[TLV_GRANULES_MAX];
};

struct tlv_map {
    uint64_t used; /* Bit for each field that has an entry. */
    struct tlv_entry entries[TLV_FIELDS];
};

/* The map that the command says.  False if it is not one. */
bool tlv_map_read(struct tlv_map *map, const struct sluice_tlv_map_set *command);

/* Makes fields of the key's options, in place.  False if an option has not the size of its field, is critical and
 * unknown, or runs beyond the options. */
bool tlv_map_decode(const struct tlv_map *map, struct flow_key *key);

/* Makes of 'mask', which says what was read of fields, what was read of the options of 'key', which are a packet's. */
void tlv_map_decode_mask(const struct tlv_map *map, const struct flow_key *key, struct flow_key *mask);

/* Writes the options of the key's fields to 'out', which has room for all there can be, and returns their size. */
#define TLV_OPTIONS_MAX (256u + 4u * TLV_FIELDS)
uint32_t tlv_map_encode(const struct tlv_map *map, const struct flow_key *key, uint8_t out[TLV_OPTIONS_MAX]);

/* As those of field.h, for subfields of any field.  At most FIELD_BITS_MAX bits. */
field_value tlv_subfield_get(const struct tlv_map *map, const struct flow_key *key, struct subfield sf);
void tlv_subfield_set(const struct tlv_map *map, struct flow_key *key, struct subfield sf, field_value value);
void tlv_subfield_unwildcard(const struct tlv_map *map, struct flow_key *wild, struct subfield sf);

/* Sets the bits 'mask' of a tun_metadata field to 'value', both of TLV_VALUE_MAX bytes. */
void tlv_field_set(const struct tlv_map *map, struct flow_key *key, uint16_t field, const uint8_t *value,
                   const uint8_t *mask);

/* Puts bits into a number of TLV_VALUE_MAX bytes. */
void tlv_value_put(uint8_t value[TLV_VALUE_MAX], uint32_t ofs, uint32_t n_bits, field_value bits);

/* Takes the option off. */
void tlv_field_delete(struct flow_key *key, uint16_t field);

#endif
