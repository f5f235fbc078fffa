/* What the choice of a link or bucket by a hash reads of a packet.  Pure; any thread. */
#ifndef SLUICE_PIPELINE_FIELD_HASH_H
#define SLUICE_PIPELINE_FIELD_HASH_H 1

#include "packet/flow_hash.h"
#include "sluice/flow_key.h"

/* Adds the fields, as far as the packet has them, to 'wild'. */
void field_hash_unwildcard(const struct flow_key *key, struct flow_key *wild, enum hash_fields fields);

#endif
