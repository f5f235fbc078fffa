/* The rules of one table in the order in which they came, for dumps that go on where they stopped.
 *
 * Each rule has a sequence number and a position, and numbers grow with positions.  A rule that goes leaves a hole that
 * remembers its number, so that a search by number finds its way, and a rule that replaces it can take its place.
 * One thread at a time. */
#ifndef CLASSIFIER_RULE_ORDER_H
#define CLASSIFIER_RULE_ORDER_H 1

#include <stdint.h>

struct rule;

struct rule_order {
    uint64_t *places; /* A rule's address, or for a hole its sequence number * 2 + 1. */
    uint32_t n;
    uint32_t n_holes;
    uint32_t capacity;
    uint64_t last_sequence;
};

/* Puts a rule at the end and gives it its sequence number and position.  0 or ENOMEM. */
int rule_order_append(struct rule_order *order, struct rule *rule);

/* Makes the rule's place a hole; its number and position are kept in the rule. */
void rule_order_leave(struct rule_order *order, const struct rule *rule);

/* Fills the hole at rule->position, whose number is rule->sequence. */
void rule_order_return(struct rule_order *order, struct rule *rule);

/* Takes out holes if there are many.  Positions of rules that left before become meaningless. */
void rule_order_tidy(struct rule_order *order);

/* The position of the first rule or hole whose number is not below 'sequence'. */
uint32_t rule_order_position(const struct rule_order *order, uint64_t sequence);

/* The rule at a position below 'n', or null if it is a hole. */
static inline struct rule *
rule_order_at(const struct rule_order *order, uint32_t position)
{
    uint64_t place = order->places[position];

    return place & 1 ? (struct rule *) 0 : (struct rule *) (uintptr_t) place;
}

void rule_order_clear(struct rule_order *order);

#endif
