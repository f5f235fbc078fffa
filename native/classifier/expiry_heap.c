#include "classifier/expiry_heap.h"

#include <errno.h>
#include <stdlib.h>

uint64_t
rule_due_ms(const struct rule *rule)
{
    uint64_t due = UINT64_MAX;

    if (rule->hard_timeout_s != 0) {
        due = rule->modified_ms + rule->hard_timeout_s * UINT64_C(1000);
    }
    if (rule->idle_timeout_s != 0) {
        uint64_t idle =
            atomic_load_explicit(&rule->stats->used_ms, memory_order_relaxed) + rule->idle_timeout_s * UINT64_C(1000);
        due = idle < due ? idle : due;
    }
    return due;
}

static void
place(struct expiry_heap *heap, uint32_t i, struct expiry element)
{
    heap->elements[i] = element;
    element.rule->expiry = i;
}

static void
sift_up(struct expiry_heap *heap, uint32_t i, struct expiry element)
{
    while (i > 0 && heap->elements[(i - 1) / 2].due_ms > element.due_ms) {
        place(heap, i, heap->elements[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    place(heap, i, element);
}

static void
sift_down(struct expiry_heap *heap, uint32_t i, struct expiry element)
{
    for (;;) {
        uint32_t child = 2 * i + 1;
        if (child + 1 < heap->n && heap->elements[child + 1].due_ms < heap->elements[child].due_ms) {
            child++;
        }
        if (child >= heap->n || heap->elements[child].due_ms >= element.due_ms) {
            break;
        }
        place(heap, i, heap->elements[child]);
        i = child;
    }
    place(heap, i, element);
}

int
expiry_heap_add(struct expiry_heap *heap, struct rule *rule)
{
    if (rule->hard_timeout_s == 0 && rule->idle_timeout_s == 0) {
        return 0;
    }
    if (heap->n == heap->capacity) {
        uint32_t capacity = heap->capacity != 0 ? 2 * heap->capacity : 16;
        struct expiry *elements = realloc(heap->elements, capacity * sizeof *elements);
        if (elements == NULL) {
            return ENOMEM;
        }
        heap->elements = elements;
        heap->capacity = capacity;
    }
    heap->n++;
    sift_up(heap, heap->n - 1, (struct expiry){ .due_ms = rule_due_ms(rule), .rule = rule });
    return 0;
}

void
expiry_heap_remove(struct expiry_heap *heap, struct rule *rule)
{
    uint32_t i = rule->expiry;

    if (i == RULE_POSITION_NONE) {
        return;
    }
    rule->expiry = RULE_POSITION_NONE;
    struct expiry last = heap->elements[--heap->n];
    if (i == heap->n) {
        return;
    }
    if (i > 0 && heap->elements[(i - 1) / 2].due_ms > last.due_ms) {
        sift_up(heap, i, last);
    } else {
        sift_down(heap, i, last);
    }
}

void
expiry_heap_refile_top(struct expiry_heap *heap)
{
    struct expiry top = heap->elements[0];

    top.due_ms = rule_due_ms(top.rule);
    sift_down(heap, 0, top);
}

void
expiry_heap_clear(struct expiry_heap *heap)
{
    free(heap->elements);
    *heap = (struct expiry_heap){ .n = 0 };
}
