#include "classifier/cookie_index.h"

#include <errno.h>
#include <stdlib.h>

#include "classifier/hash.h"

#define BUCKETS_MIN 64u

static struct rule **
bucket_of(struct rule **buckets, uint32_t n_buckets, uint64_t cookie)
{
    return &buckets[hash_finish(hash_word(0, cookie)) & (n_buckets - 1)];
}

static void
link_rule(struct rule **bucket, struct rule *rule)
{
    rule->cookie_next = *bucket;
    rule->cookie_prev = NULL;
    if (*bucket != NULL) {
        (*bucket)->cookie_prev = rule;
    }
    *bucket = rule;
}

static void
grow(struct cookie_index *index)
{
    uint32_t n_buckets = index->n_buckets != 0 ? 2 * index->n_buckets : BUCKETS_MIN;
    struct rule **buckets = calloc(n_buckets, sizeof *buckets);

    if (buckets == NULL) {
        return; /* Longer chains until there is memory. */
    }
    for (uint32_t i = 0; i < index->n_buckets; i++) {
        struct rule *next;
        for (struct rule *rule = index->buckets[i]; rule != NULL; rule = next) {
            next = rule->cookie_next;
            link_rule(bucket_of(buckets, n_buckets, rule->cookie), rule);
        }
    }
    free(index->buckets);
    index->buckets = buckets;
    index->n_buckets = n_buckets;
}

int
cookie_index_add(struct cookie_index *index, struct rule *rule)
{
    if (index->n_rules >= index->n_buckets) {
        grow(index);
        if (index->buckets == NULL) {
            return ENOMEM;
        }
    }
    link_rule(bucket_of(index->buckets, index->n_buckets, rule->cookie), rule);
    index->n_rules++;
    return 0;
}

void
cookie_index_remove(struct cookie_index *index, struct rule *rule)
{
    if (rule->cookie_prev != NULL) {
        rule->cookie_prev->cookie_next = rule->cookie_next;
    } else {
        *bucket_of(index->buckets, index->n_buckets, rule->cookie) = rule->cookie_next;
    }
    if (rule->cookie_next != NULL) {
        rule->cookie_next->cookie_prev = rule->cookie_prev;
    }
    index->n_rules--;
}

struct rule *
cookie_index_chain(const struct cookie_index *index, uint64_t cookie)
{
    return index->buckets != NULL ? *bucket_of(index->buckets, index->n_buckets, cookie) : NULL;
}

void
cookie_index_clear(struct cookie_index *index)
{
    free(index->buckets);
    *index = (struct cookie_index){ .n_buckets = 0 };
}
