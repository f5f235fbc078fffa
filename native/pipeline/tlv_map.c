#include "pipeline/tlv_map.h"

#include <string.h>

#include "packet/bytes.h"

#define OPTION_HEADER 4u
#define OPTION_CRITICAL 0x80u
#define OPTION_LENGTH 0x1fu

static uint64_t
bit_of(uint32_t index)
{
    return UINT64_C(1) << index;
}

static const struct tlv_entry *
entry_of(const struct tlv_map *map, uint32_t index)
{
    return map->used & bit_of(index) ? &map->entries[index] : NULL;
}

/* The granule of the key's options that holds granule 'i' of the entry's value. */
static uint8_t *
granule(const struct tlv_entry *entry, struct flow_key *key, uint32_t i)
{
    return key->tun_metadata + entry->granules[i] * TLV_GRANULE;
}

bool
tlv_map_read(struct tlv_map *map, const struct sluice_tlv_map_set *command)
{
    const struct sluice_tlv_entry *entries = (const struct sluice_tlv_entry *) (command + 1);
    if (command->n_entries > TLV_FIELDS || command->size != sizeof *command + command->n_entries * sizeof *entries) {
        return false;
    }
    memset(map, 0, sizeof *map);
    for (uint32_t i = 0; i < command->n_entries; i++) {
        const struct sluice_tlv_entry *from = &entries[i];
        if (from->index >= TLV_FIELDS || from->n_granules > TLV_GRANULES_MAX || map->used & bit_of(from->index)) {
            return false;
        }
        struct tlv_entry *to = &map->entries[from->index];
        to->option_class = from->option_class;
        to->option_type = from->option_type;
        to->n_granules = (uint8_t) from->n_granules;
        for (uint32_t j = 0; j < from->n_granules; j++) {
            if (from->granules[j] >= sizeof(((struct flow_key *) NULL)->tun_metadata) / TLV_GRANULE) {
                return false;
            }
            to->granules[j] = from->granules[j];
        }
        map->used |= bit_of(from->index);
    }
    return true;
}

/* The field that an option is, or TLV_FIELDS. */
static uint32_t
find(const struct tlv_map *map, const uint8_t *option)
{
    for (uint64_t rest = map->used; rest; rest &= rest - 1) {
        uint32_t index = (uint32_t) __builtin_ctzll(rest);
        if (map->entries[index].option_class == get_be16(option) && map->entries[index].option_type == option[2]) {
            return index;
        }
    }
    return TLV_FIELDS;
}

bool
tlv_map_decode(const struct tlv_map *map, struct flow_key *key)
{
    uint8_t options[sizeof key->tun_metadata];
    uint64_t size = be64(key->tun_metadata_present);
    uint64_t present = 0;
    if (!size) {
        return true;
    }
    if (size > sizeof options) {
        return false;
    }
    memcpy(options, key->tun_metadata, sizeof options);
    memset(key->tun_metadata, 0, sizeof key->tun_metadata);
    key->tun_metadata_present = 0;
    for (uint32_t at = 0; at < size;) {
        const uint8_t *option = options + at;
        if (size - at < OPTION_HEADER) {
            return false;
        }
        uint32_t n = option[3] & OPTION_LENGTH;
        at += OPTION_HEADER + n * TLV_GRANULE;
        if (at > size) {
            return false;
        }
        uint32_t index = find(map, option);
        if (index == TLV_FIELDS) {
            if (option[2] & OPTION_CRITICAL) {
                return false;
            }
            continue;
        }
        if (n != map->entries[index].n_granules) {
            return false;
        }
        for (uint32_t i = 0; i < n; i++) {
            memcpy(granule(&map->entries[index], key, i), option + OPTION_HEADER + i * TLV_GRANULE, TLV_GRANULE);
        }
        present |= bit_of(index);
    }
    key->tun_metadata_present = be64(present);
    return true;
}

static bool
reads_options(const struct flow_key *mask)
{
    uint64_t any = mask->tun_metadata_present;
    for (uint32_t i = SLUICE_KEY_OPTIONS_WORD; i < SLUICE_KEY_PIPELINE_WORD; i++) {
        any |= mask->words[i];
    }
    return any != 0;
}

void
tlv_map_decode_mask(const struct tlv_map *map, const struct flow_key *key, struct flow_key *mask)
{
    if (!reads_options(mask)) {
        return;
    }
    struct flow_key read = *mask;
    memset(mask->tun_metadata, 0, sizeof mask->tun_metadata);
    /* Which options there are, and in which order, tells which fields there are. */
    mask->tun_metadata_present = UINT64_MAX;
    uint64_t size = be64(key->tun_metadata_present);
    for (uint32_t at = 0; at + OPTION_HEADER <= size && at + OPTION_HEADER <= sizeof key->tun_metadata;) {
        const uint8_t *option = key->tun_metadata + at;
        uint8_t *to = mask->tun_metadata + at;
        uint32_t n = option[3] & OPTION_LENGTH;
        at += OPTION_HEADER + n * TLV_GRANULE;
        if (at > size || at > sizeof key->tun_metadata) {
            return;
        }
        memset(to, 0xff, 3);
        to[3] = OPTION_LENGTH;
        uint32_t index = find(map, option);
        const struct tlv_entry *entry = index < TLV_FIELDS ? &map->entries[index] : NULL;
        for (uint32_t i = 0; entry && i < n && i < entry->n_granules; i++) {
            memcpy(to + OPTION_HEADER + i * TLV_GRANULE, granule(entry, &read, i), TLV_GRANULE);
        }
    }
}

uint32_t
tlv_map_encode(const struct tlv_map *map, const struct flow_key *key, uint8_t out[TLV_OPTIONS_MAX])
{
    struct flow_key *from = (struct flow_key *) key;
    uint32_t size = 0;
    for (uint64_t rest = be64(key->tun_metadata_present) & map->used; rest; rest &= rest - 1) {
        const struct tlv_entry *entry = &map->entries[__builtin_ctzll(rest)];
        uint8_t *option = out + size;
        put_be16(option, entry->option_class);
        option[2] = entry->option_type;
        option[3] = entry->n_granules;
        for (uint32_t i = 0; i < entry->n_granules; i++) {
            memcpy(option + OPTION_HEADER + i * TLV_GRANULE, granule(entry, from, i), TLV_GRANULE);
        }
        size += OPTION_HEADER + entry->n_granules * TLV_GRANULE;
    }
    return size;
}

/* The value of a tun_metadata field, its last bytes being the option's. */
static void
load(const struct tlv_entry *entry, const struct flow_key *key, uint8_t value[TLV_VALUE_MAX])
{
    memset(value, 0, TLV_VALUE_MAX);
    uint8_t *to = value + TLV_VALUE_MAX - entry->n_granules * TLV_GRANULE;
    for (uint32_t i = 0; i < entry->n_granules; i++) {
        memcpy(to + i * TLV_GRANULE, granule(entry, (struct flow_key *) key, i), TLV_GRANULE);
    }
}

/* Bits of a number of TLV_VALUE_MAX bytes. */
static field_value
extract(const uint8_t value[TLV_VALUE_MAX], uint32_t ofs, uint32_t n_bits)
{
    field_value result = 0;
    for (uint32_t i = n_bits < FIELD_BITS_MAX ? n_bits : FIELD_BITS_MAX; i > 0; i--) {
        uint32_t bit = ofs + i - 1;
        result = result << 1 | (value[TLV_VALUE_MAX - 1 - bit / 8] >> bit % 8 & 1);
    }
    return result;
}

void
tlv_value_put(uint8_t value[TLV_VALUE_MAX], uint32_t ofs, uint32_t n_bits, field_value bits)
{
    for (uint32_t i = 0; i < n_bits && i < FIELD_BITS_MAX; i++) {
        uint8_t *byte = &value[TLV_VALUE_MAX - 1 - (ofs + i) / 8];
        uint8_t flag = (uint8_t) (1u << (ofs + i) % 8);
        *byte = (uint8_t) (bits >> i & 1 ? *byte | flag : *byte & ~flag);
    }
}

field_value
tlv_subfield_get(const struct tlv_map *map, const struct flow_key *key, struct subfield sf)
{
    if (field_is_plain(sf.field)) {
        return subfield_get(key, sf);
    }
    const struct tlv_entry *entry = entry_of(map, sf.field - SLUICE_FIELD_TUN_METADATA0);
    uint8_t value[TLV_VALUE_MAX];
    if (!entry) {
        return 0;
    }
    load(entry, key, value);
    return extract(value, sf.ofs, sf.n_bits);
}

void
tlv_field_set(const struct tlv_map *map, struct flow_key *key, uint16_t field, const uint8_t *value,
              const uint8_t *mask)
{
    uint32_t index = field - SLUICE_FIELD_TUN_METADATA0;
    const struct tlv_entry *entry = entry_of(map, index);
    if (!entry) {
        return;
    }
    uint32_t skip = TLV_VALUE_MAX - entry->n_granules * TLV_GRANULE;
    /* An option that was not there begins as zero, whatever its place held. */
    bool is_new = !(be64(key->tun_metadata_present) & bit_of(index));
    for (uint32_t i = 0; i < entry->n_granules * TLV_GRANULE; i++) {
        uint8_t *byte = granule(entry, key, i / TLV_GRANULE) + i % TLV_GRANULE;
        uint8_t old = is_new ? 0 : *byte;
        *byte = (uint8_t) ((old & ~mask[skip + i]) | (value[skip + i] & mask[skip + i]));
    }
    key->tun_metadata_present |= be64(bit_of(index));
}

void
tlv_subfield_set(const struct tlv_map *map, struct flow_key *key, struct subfield sf, field_value value)
{
    if (field_is_plain(sf.field)) {
        subfield_set(key, sf, value);
        return;
    }
    uint8_t bytes[TLV_VALUE_MAX] = { 0 };
    uint8_t mask[TLV_VALUE_MAX] = { 0 };
    tlv_value_put(bytes, sf.ofs, sf.n_bits, value);
    tlv_value_put(mask, sf.ofs, sf.n_bits, ~(field_value) 0);
    tlv_field_set(map, key, sf.field, bytes, mask);
}

void
tlv_subfield_unwildcard(const struct tlv_map *map, struct flow_key *wild, struct subfield sf)
{
    if (field_is_plain(sf.field)) {
        subfield_unwildcard(wild, sf);
        return;
    }
    uint8_t mask[TLV_VALUE_MAX] = { 0 };
    tlv_value_put(mask, sf.ofs, sf.n_bits, ~(field_value) 0);
    tlv_field_set(map, wild, sf.field, mask, mask);
}

void
tlv_field_delete(struct flow_key *key, uint16_t field)
{
    key->tun_metadata_present &= ~be64(bit_of(field - SLUICE_FIELD_TUN_METADATA0));
}
