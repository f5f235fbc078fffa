#include "classifier/rule_order.h"

#include <errno.h>
#include <stdlib.h>

#include "classifier/rule.h"

int
rule_order_append(struct rule_order *order, struct rule *rule)
{
    if (order->n == order->capacity) {
        uint32_t capacity = order->capacity != 0 ? order->capacity + order->capacity / 2 : 16;
        uint64_t *places = realloc(order->places, capacity * sizeof *places);
        if (places == NULL || order->n >= RULE_POSITION_NONE / 2) {
            order->places = places != NULL ? places : order->places;
            return ENOMEM;
        }
        order->places = places;
        order->capacity = capacity;
    }
    rule->sequence = ++order->last_sequence;
    rule->position = order->n;
    order->places[order->n++] = (uint64_t) (uintptr_t) rule;
    return 0;
}

void
rule_order_leave(struct rule_order *order, const struct rule *rule)
{
    order->places[rule->position] = rule->sequence * 2 + 1;
    order->n_holes++;
}

void
rule_order_return(struct rule_order *order, struct rule *rule)
{
    order->places[rule->position] = (uint64_t) (uintptr_t) rule;
    order->n_holes--;
}

void
rule_order_tidy(struct rule_order *order)
{
    uint32_t n = 0;

    if (order->n_holes <= 64 + order->n / 2) {
        return;
    }
    for (uint32_t i = 0; i < order->n; i++) {
        struct rule *rule = rule_order_at(order, i);
        if (rule != NULL) {
            rule->position = n;
            order->places[n++] = order->places[i];
        }
    }
    order->n = n;
    order->n_holes = 0;
    uint64_t *places = realloc(order->places, (n + 16) * sizeof *places);
    if (places != NULL) {
        order->places = places;
        order->capacity = n + 16;
    }
}

static uint64_t
sequence_at(const struct rule_order *order, uint32_t position)
{
    const struct rule *rule = rule_order_at(order, position);

    return rule != NULL ? rule->sequence : order->places[position] / 2;
}

uint32_t
rule_order_position(const struct rule_order *order, uint64_t sequence)
{
    uint32_t low = 0, high = order->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (sequence_at(order, middle) < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

void
rule_order_clear(struct rule_order *order)
{
    free(order->places);
    *order = (struct rule_order){ .n = 0 };
}
