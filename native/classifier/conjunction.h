/* Conjunctive matches: rules that match only together.
 *
 * A soft rule is a clause of one or more conjunctions, each named by an id and known to have so many clauses.  When for
 * some id a key matches a rule of every clause, all of one priority, the key is looked up once more with that id in its
 * conj_id; what this finds, if anything, is the match.  (That lookup passes over soft rules, and over those of the same
 * match and lower priority behind them.)  A match of N x M values so takes N + M rules.
 *
 * All functions: any reader of the epoch, memory of the caller's. */
#ifndef CLASSIFIER_CONJUNCTION_H
#define CLASSIFIER_CONJUNCTION_H 1

#include <stdint.h>

#include "classifier/rule.h"

/* Soft rules of one lookup that need no memory but this. */
#define SOFT_MATCHES_INLINE 32u

/* The soft rules that a key matches: at most one of each subtable, in the order in which they were found. */
struct soft_matches {
    uint32_t n;
    uint32_t capacity;        /* Of 'more'. */
    const struct rule **more; /* All of them, once there are more than fit in 'few'. */
    const struct rule *few[SOFT_MATCHES_INLINE];
};

/* Adds a rule.  Without memory for it the rule is left out, as if it did not match. */
void soft_matches_add(struct soft_matches *soft, const struct rule *rule);

/* The rule that matches: 'hard', the best rule that matches alone (or null), or one of greater priority by way of a
 * conjunction.  'look_up' searches the table without soft rules for the key with a conj_id; null if nothing matches.
 * Frees what 'soft' holds. */
const struct rule *conjunction_resolve(struct soft_matches *soft, const struct rule *hard, uint64_t version,
                                       const struct rule *(*look_up)(void *aux, uint32_t id), void *aux);

#endif
