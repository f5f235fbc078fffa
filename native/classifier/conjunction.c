#include "classifier/conjunction.h"

#include <stdlib.h>
#include <string.h>

#include "classifier/hash.h"

/* Ids of one priority that need no memory but the stack; a power of two. */
#define IDS_INLINE 64u

/* The clauses seen of one conjunction: a bit each; bits beyond its number are set from the beginning, so that all ones
 * means complete. */
struct clauses {
    uint64_t seen; /* 0: the place is free. */
    uint32_t id;
};

/* Conjunctions by id, open addressing, never full. */
struct clause_table {
    struct clauses *places;
    uint32_t limit; /* Places minus one. */
    struct clauses few[IDS_INLINE];
};

static const struct rule **
soft_rules(struct soft_matches *soft)
{
    return soft->more != NULL ? soft->more : soft->few;
}

void
soft_matches_add(struct soft_matches *soft, const struct rule *rule)
{
    uint32_t room = soft->more != NULL ? soft->capacity : SOFT_MATCHES_INLINE;

    if (soft->n == room) {
        const struct rule **more = realloc(soft->more, 2 * room * sizeof *more);
        if (more == NULL) {
            return;
        }
        if (soft->more == NULL) {
            memcpy(more, soft->few, sizeof soft->few);
        }
        soft->more = more;
        soft->capacity = 2 * room;
    }
    soft_rules(soft)[soft->n++] = rule;
}

/* The next visible rule of the same match and a lower priority. */
static const struct rule *
next_lower(const struct rule *rule, uint64_t version)
{
    uint32_t priority = rule->priority;

    do {
        rule = atomic_load_explicit(&rule->next, memory_order_acquire);
    } while (rule != NULL && (rule->priority == priority || !rule_is_visible(rule, version)));
    return rule;
}

/* Makes an empty table for 'n' ids.  False without memory. */
static bool
clause_table_init(struct clause_table *table, uint64_t n)
{
    uint32_t size = IDS_INLINE;

    while (size < 2 * n) {
        size *= 2;
    }
    table->places = table->few;
    table->limit = size - 1;
    if (size > IDS_INLINE) {
        table->places = calloc(size, sizeof *table->places);
        return table->places != NULL;
    }
    memset(table->few, 0, sizeof table->few);
    return true;
}

static void
clause_table_uninit(struct clause_table *table)
{
    if (table->places != table->few) {
        free(table->places);
    }
}

/* Marks one clause as seen.  True if that completes its conjunction. */
static bool
clause_table_see(struct clause_table *table, const struct sluice_action_conjunction *clause)
{
    uint32_t i = hash_finish(hash_word(0, clause->id)) & table->limit;

    while (table->places[i].seen != 0 && table->places[i].id != clause->id) {
        i = (i + 1) & table->limit;
    }
    struct clauses *clauses = &table->places[i];
    if (clauses->seen == 0) {
        clauses->id = clause->id;
        clauses->seen = clause->n_clauses < 64 ? UINT64_MAX << clause->n_clauses : 0;
    }
    clauses->seen |= UINT64_C(1) << (clause->clause & 63);
    return clauses->seen == UINT64_MAX;
}

/* Marks the clauses of 'rule' as seen, of those conjunctions that 'n_rules' rules can complete at all.  True, with an id,
 * at the first that is complete. */
static bool
see_rule(struct clause_table *table, const struct rule *rule, uint32_t n_rules, uint32_t *id)
{
    const struct action_list *actions = rule->actions;

    for (uint32_t at = 0; at < actions->size;) {
        const struct sluice_action_conjunction *clause = (const void *) (actions->bytes + at);
        if (clause->opcode == SLUICE_ACTION_CONJUNCTION && clause->n_clauses <= n_rules
            && clause_table_see(table, clause)) {
            *id = clause->id;
            return true;
        }
        at += clause->size;
    }
    return false;
}

/* Searches for a conjunction whose clauses all are among the rules of 'priority', of which there are 'n_rules'. */
static const struct rule *
find_complete(struct soft_matches *soft, uint32_t priority, uint32_t n_rules,
              const struct rule *(*look_up)(void *aux, uint32_t id), void *aux)
{
    const struct rule *found = NULL;
    struct clause_table table;
    uint64_t n_clauses = 0;

    for (uint32_t i = 0; i < soft->n; i++) {
        const struct rule *rule = soft_rules(soft)[i];
        n_clauses += rule->priority == priority ? rule->actions->n_conjunctions : 0;
    }
    if (!clause_table_init(&table, n_clauses)) {
        return NULL;
    }
    for (uint32_t i = 0; i < soft->n && found == NULL; i++) {
        const struct rule *rule = soft_rules(soft)[i];
        uint32_t id;

        if (rule->priority == priority && see_rule(&table, rule, n_rules, &id)) {
            found = look_up(aux, id);
        }
    }
    clause_table_uninit(&table);
    return found;
}

/* Forgets soft rules that 'hard' beats.  Returns the greatest priority of those left, and their number. */
static uint32_t
keep_better(struct soft_matches *soft, const struct rule *hard, uint32_t *n_best)
{
    const struct rule **rules = soft_rules(soft);
    uint32_t best = 0;

    *n_best = 0;
    for (uint32_t i = 0; i < soft->n;) {
        if (rules[i] == NULL || (hard != NULL && rules[i]->priority <= hard->priority)) {
            rules[i] = rules[--soft->n];
            continue;
        }
        if (*n_best == 0 || rules[i]->priority > best) {
            best = rules[i]->priority;
            *n_best = 0;
        }
        *n_best += rules[i]->priority == best;
        i++;
    }
    return best;
}

/* Puts in the place of each soft rule of 'priority' the next lower one of its match, and returns the better of 'hard' and
 * those of them that match alone. */
static const struct rule *
fall_back(struct soft_matches *soft, uint32_t priority, const struct rule *hard, uint64_t version)
{
    const struct rule **rules = soft_rules(soft);

    for (uint32_t i = 0; i < soft->n; i++) {
        if (rules[i]->priority != priority) {
            continue;
        }
        rules[i] = next_lower(rules[i], version);
        if (rules[i] != NULL && !rule_is_soft(rules[i])) {
            if (hard == NULL || rules[i]->priority > hard->priority) {
                hard = rules[i];
            }
            rules[i] = NULL;
        }
    }
    return hard;
}

const struct rule *
conjunction_resolve(struct soft_matches *soft, const struct rule *hard, uint64_t version,
                    const struct rule *(*look_up)(void *aux, uint32_t id), void *aux)
{
    const struct rule *found = NULL;

    while (found == NULL) {
        uint32_t n_best;
        uint32_t priority = keep_better(soft, hard, &n_best);
        if (n_best == 0) {
            break;
        }
        found = find_complete(soft, priority, n_best, look_up, aux);
        if (found == NULL) {
            hard = fall_back(soft, priority, hard, version);
        }
    }
    free(soft->more);
    return found != NULL ? found : hard;
}
