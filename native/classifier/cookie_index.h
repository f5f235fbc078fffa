/* Rules by cookie.  One thread at a time. */
#ifndef CLASSIFIER_COOKIE_INDEX_H
#define CLASSIFIER_COOKIE_INDEX_H 1

#include <stdint.h>

#include "classifier/rule.h"

struct cookie_index {
    struct rule **buckets; /* Of rules linked by cookie_next; null until the first. */
    uint32_t n_buckets;
    uint32_t n_rules;
};

/* Adds a rule.  0 or ENOMEM, which can only be at the first one. */
int cookie_index_add(struct cookie_index *index, struct rule *rule);

/* Removes a rule that is in it. */
void cookie_index_remove(struct cookie_index *index, struct rule *rule);

/* The first of a chain in which all rules with 'cookie' are, among others; go on by cookie_next. */
struct rule *cookie_index_chain(const struct cookie_index *index, uint64_t cookie);

void cookie_index_clear(struct cookie_index *index);

#endif
