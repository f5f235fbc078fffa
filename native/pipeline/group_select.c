/* How select groups spread hash values over their buckets. */
#include <errno.h>
#include <stdlib.h>

#include "pipeline/ofgroup.h"

#define HASH_VALUES_MIN 16u

/* Hash values so that the lightest bucket gets one at least; 0 if there is no weight at all. */
static uint64_t
count_hash_values(const struct ofgroup *group)
{
    uint64_t total = 0;
    uint32_t least = UINT32_MAX;

    for (uint32_t i = 0; i < group->n_buckets; i++) {
        uint32_t weight = group->buckets[i].weight;
        total += weight;
        least = weight != 0 && weight < least ? weight : least;
    }
    if (total == 0) {
        return 0;
    }
    uint64_t wanted = (total + least - 1) / least;
    uint64_t n = HASH_VALUES_MIN;
    while (n < wanted) {
        n *= 2;
    }
    return n;
}

/* Gives out the hash values one by one, each to the bucket whose weight over its divisor is the greatest (the method of
 * Webster, or Sainte-Lague): shares are as near to the weights as they can be, and spread out. */
static int
fill_map(struct ofgroup *group, uint32_t n)
{
    double *values = malloc((group->n_buckets + 1) * sizeof *values);

    group->hash_map = calloc(n, sizeof *group->hash_map);
    if (values == NULL || group->hash_map == NULL) {
        free(values);
        return ENOMEM;
    }
    for (uint32_t i = 0; i < group->n_buckets; i++) {
        values[i] = group->buckets[i].weight;
    }
    for (uint32_t hash = 0; hash < n; hash++) {
        uint32_t winner = 0;
        for (uint32_t i = 1; i < group->n_buckets; i++) {
            winner = values[i] > values[winner] ? i : winner;
        }
        struct ofbucket *bucket = &group->buckets[winner];
        bucket->n_hash_values++;
        values[winner] = (double) bucket->weight / (2 * bucket->n_hash_values + 1);
        group->hash_map[hash] = (uint16_t) winner;
    }
    group->hash_mask = n - 1;
    free(values);
    return 0;
}

int
ofgroup_set_method(struct ofgroup *group)
{
    if (group->type != SLUICE_GROUP_TYPE_SELECT) {
        return 0;
    }
    if (group->given_method == SLUICE_SELECTION_METHOD_HASH) {
        group->method =
            group->n_fields != 0 ? SLUICE_SELECTION_METHOD_HASH : (uint32_t) SLUICE_SELECTION_METHOD_DEFAULT;
        return 0;
    }
    uint64_t n = count_hash_values(group);
    if (n == 0 || n > GROUP_HASH_VALUES_MAX || group->n_buckets > UINT16_MAX) {
        group->method = SLUICE_SELECTION_METHOD_DEFAULT;
        return 0;
    }
    group->method = SLUICE_SELECTION_METHOD_DP_HASH;
    group->hash_algorithm = SLUICE_HASH_ALGORITHM_SYM_L4;
    if (group->given_method == SLUICE_SELECTION_METHOD_DP_HASH) {
        uint32_t algorithm = (uint32_t) (group->param >> 32);
        group->hash_algorithm =
            algorithm <= SLUICE_HASH_ALGORITHM_SYM_L4 ? algorithm : (uint32_t) SLUICE_HASH_ALGORITHM_L4;
        group->hash_basis = (uint32_t) group->param;
    }
    return fill_map(group, (uint32_t) n);
}
