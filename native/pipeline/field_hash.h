/* Hashes of a packet's fields, for actions that spread packets over links: multipath, bundle, groups.
 *
 * The values are those of Open vSwitch, because people compute from them where a flow goes and expect it to stay there.
 * The key's fields are hashed by Jenkins' lookup3 or by MurmurHash3, both in the public domain, over the bytes that
 * Open vSwitch lays out.  Pure; any thread. */
#ifndef SLUICE_PIPELINE_FIELD_HASH_H
#define SLUICE_PIPELINE_FIELD_HASH_H 1

#include <stdbool.h>
#include <stdint.h>

#include "sluice/flow_key.h"

/* Which fields, as NXAST_MULTIPATH and NXAST_BUNDLE number them. */
enum hash_fields {
    HASH_ETH_SRC,
    HASH_SYMMETRIC_L4,
    HASH_SYMMETRIC_L3L4,
    HASH_SYMMETRIC_L3L4_UDP,
    HASH_NW_SRC,
    HASH_NW_DST,
    HASH_SYMMETRIC_L3,
    HASH_FIELDS_COUNT,
};

/* The hash of the fields of 'key'. */
uint32_t field_hash(const struct flow_key *key, enum hash_fields fields, uint16_t basis);

/* Adds the fields, as far as the packet has them, to 'wild'. */
void field_hash_unwildcard(const struct flow_key *key, struct flow_key *wild, enum hash_fields fields);

/* Hash of two words. */
uint32_t hash_two_words(uint32_t a, uint32_t b);

#endif
