/* Who answers for learned rules: for each cookie and table, how many rules have a learn action that gives its rules that
 * cookie in that table and asks that they go when it goes (delete_learned).
 *
 * A place whose last rule left is orphaned: what was learned there is to be removed.  Places are kept, even with no rule,
 * until learned_cookies_tidy(), so that undoing a removal never needs memory.  One thread at a time. */
#ifndef CLASSIFIER_LEARNED_COOKIES_H
#define CLASSIFIER_LEARNED_COOKIES_H 1

#include <stdbool.h>
#include <stdint.h>

#include "classifier/action_list.h"

struct learned_place;

struct learned_cookies {
    struct learned_place **buckets;
    struct learned_place *orphans; /* Places that had their last rule removed since the last look. */
    uint32_t n_buckets;
    uint32_t n_places;
    uint32_t n_empty; /* Places without rules. */
};

/* Counts the learn actions of a rule that comes, or goes.  0 or ENOMEM; never fails for a rule that goes, or that comes
 * back. */
int learned_cookies_add(struct learned_cookies *cookies, const struct action_list *actions);
void learned_cookies_remove(struct learned_cookies *cookies, const struct action_list *actions);

/* Takes the next orphaned place.  False when there is none. */
bool learned_cookies_take_orphan(struct learned_cookies *cookies, uint64_t *cookie, uint8_t *table);

/* Forgets which places are orphaned. */
void learned_cookies_forget_orphans(struct learned_cookies *cookies);

/* Forgets places without rules, and that they are orphaned. */
void learned_cookies_tidy(struct learned_cookies *cookies);

void learned_cookies_clear(struct learned_cookies *cookies);

#endif
