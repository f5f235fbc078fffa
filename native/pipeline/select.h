/* Choosing one of several links by a hash, or by who is alive.  Pure; any thread. */
#ifndef SLUICE_PIPELINE_SELECT_H
#define SLUICE_PIPELINE_SELECT_H 1

#include <stdbool.h>
#include <stdint.h>

/* Algorithms of NXAST_MULTIPATH. */
enum multipath_algorithm {
    MULTIPATH_MODULO_N,
    MULTIPATH_HASH_THRESHOLD,
    MULTIPATH_HRW,
    MULTIPATH_ITER_HASH,
};

/* Algorithms of NXAST_BUNDLE. */
enum bundle_algorithm {
    BUNDLE_ACTIVE_BACKUP,
    BUNDLE_HRW,
};

#define BUNDLE_MEMBERS_MAX 2048u
#define BUNDLE_NO_MEMBER UINT32_MAX

/* The link, below 'n_links' (1 to 65536), that a packet of 'hash' takes. */
uint32_t multipath_link(uint32_t hash, enum multipath_algorithm algorithm, uint32_t n_links, uint32_t arg);

/* The index of the chosen live member, or BUNDLE_NO_MEMBER: by the highest random weight, or the first. */
uint32_t bundle_hrw(const uint32_t *members, uint32_t n, uint32_t hash,
                    bool (*is_live)(const void *aux, uint32_t member), const void *aux);
uint32_t bundle_first_live(const uint32_t *members, uint32_t n, bool (*is_live)(const void *aux, uint32_t member),
                           const void *aux);

#endif
