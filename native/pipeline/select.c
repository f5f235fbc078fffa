#include "pipeline/select.h"

#include "packet/hash.h"

/* Links up to which the highest random weight is searched for; with more this would take too long. */
#define HRW_LINKS_MAX 64u

static uint32_t
highest_weight(uint32_t hash, uint32_t n_links)
{
    uint32_t best = 0;
    uint32_t best_weight = hash_two_words(hash, 0);
    for (uint32_t link = 1; link < n_links; link++) {
        uint32_t weight = hash_two_words(hash, link);
        if (weight > best_weight) {
            best = link;
            best_weight = weight;
        }
    }
    return best;
}

/* Hashes again and again until the result modulo 'modulo' is a link.  A 'modulo' with which that would take long is
 * replaced by the next power of two. */
static uint32_t
iterate(uint32_t hash, uint32_t n_links, uint32_t modulo)
{
    if (modulo < n_links || modulo / 2 > n_links) {
        modulo = 1;
        while (modulo < n_links) {
            modulo *= 2;
        }
    }
    /* Link numbers have 16 bits, even where 'modulo' has more. */
    for (uint32_t i = 0;; i++) {
        uint32_t link = (uint16_t) (hash_two_words(hash, i) % modulo);
        if (link < n_links) {
            return link;
        }
    }
}

uint32_t
multipath_link(uint32_t hash, enum multipath_algorithm algorithm, uint32_t n_links, uint32_t arg)
{
    switch (algorithm) {
    case MULTIPATH_MODULO_N:
        return hash % n_links;
    case MULTIPATH_HASH_THRESHOLD:
        return n_links == 1 ? 0 : hash / (UINT32_MAX / n_links + 1);
    case MULTIPATH_HRW:
        return n_links <= HRW_LINKS_MAX ? highest_weight(hash, n_links) : iterate(hash, n_links, 0);
    case MULTIPATH_ITER_HASH:
        return iterate(hash, n_links, arg);
    }
    return 0;
}

uint32_t
bundle_hrw(const uint32_t *members, uint32_t n, uint32_t hash, bool (*is_live)(const void *aux, uint32_t member),
           const void *aux)
{
    uint32_t best = BUNDLE_NO_MEMBER;
    uint32_t best_weight = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (is_live(aux, members[i])) {
            uint32_t weight = hash_two_words(i, hash);
            if (best == BUNDLE_NO_MEMBER || weight > best_weight) {
                best = i;
                best_weight = weight;
            }
        }
    }
    return best;
}

uint32_t
bundle_first_live(const uint32_t *members, uint32_t n, bool (*is_live)(const void *aux, uint32_t member),
                  const void *aux)
{
    for (uint32_t i = 0; i < n; i++) {
        if (is_live(aux, members[i])) {
            return i;
        }
    }
    return BUNDLE_NO_MEMBER;
}
