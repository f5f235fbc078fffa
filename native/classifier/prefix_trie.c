#include "classifier/prefix_trie.h"

#include <stdlib.h>

/* Bits from the parent to here and the rules whose prefix ends here.  All but 'n_rules' and 'edges' never changes. */
struct trie_node {
    uint32_t prefix;            /* Left-aligned. */
    uint32_t n_bits;            /* 0 to 32. */
    _Atomic uint32_t n_rules;
    _Atomic(struct trie_node *) edges[2];
};

/* Longest path: each node but the root has at least one bit. */
#define PATH_MAX_NODES (PREFIX_TRIE_BITS_MAX + 2)

/* The 32 bits of 'value' from bit 'offset' on, left-aligned; those past 'n_bits' are zero. */
static uint32_t
value_bits(const uint32_t *value, uint32_t offset, uint32_t n_bits)
{
    if (offset >= n_bits) {
        return 0;
    }
    uint32_t shift = offset % 32;
    uint32_t bits = value[offset / 32] << shift;
    if (shift != 0 && (offset / 32 + 1) * 32 < n_bits) {
        bits |= value[offset / 32 + 1] >> (32 - shift);
    }
    uint32_t n_left = n_bits - offset;
    return n_left >= 32 ? bits : bits & ~(UINT32_MAX >> n_left);
}

static uint32_t
value_bit(const uint32_t *value, uint32_t offset)
{
    return value[offset / 32] >> (31 - offset % 32) & 1;
}

/* How many of the node's bits the value has at 'offset'. */
static uint32_t
equal_bits(const struct trie_node *node, const uint32_t *value, uint32_t offset, uint32_t n_bits)
{
    uint32_t limit = node->n_bits < n_bits - offset ? node->n_bits : n_bits - offset;
    uint32_t differing = node->prefix ^ value_bits(value, offset, n_bits);
    uint32_t n = differing != 0 ? (uint32_t) __builtin_clz(differing) : 32;

    return n < limit ? n : limit;
}

static struct trie_node *
load_edge(const _Atomic(struct trie_node *) *edge)
{
    return atomic_load_explicit(edge, memory_order_acquire);
}

static void
store_edge(_Atomic(struct trie_node *) *edge, struct trie_node *node)
{
    atomic_store_explicit(edge, node, memory_order_release);
}

static struct trie_node *
node_create(uint32_t prefix, uint32_t n_bits, uint32_t n_rules)
{
    struct trie_node *node = malloc(sizeof *node);

    if (node != NULL) {
        node->prefix = n_bits != 0 ? prefix & ~(uint32_t) ((UINT64_C(1) << (32 - n_bits)) - 1) : 0;
        node->n_bits = n_bits;
        atomic_init(&node->n_rules, n_rules);
        atomic_init(&node->edges[0], NULL);
        atomic_init(&node->edges[1], NULL);
    }
    return node;
}

static void
node_free(struct trie_node *node)
{
    if (node != NULL) {
        node_free(load_edge(&node->edges[0]));
        node_free(load_edge(&node->edges[1]));
        free(node);
    }
}

/* Nodes for the bits [offset, length) of the value, with one rule at the end. */
static struct trie_node *
branch_create(const uint32_t *value, uint32_t offset, uint32_t length)
{
    struct trie_node *top = NULL;
    _Atomic(struct trie_node *) first = NULL;
    _Atomic(struct trie_node *) *link = &first;

    while (offset < length) {
        uint32_t n_bits = length - offset < 32 ? length - offset : 32;
        struct trie_node *node = node_create(value_bits(value, offset, length), n_bits, offset + n_bits == length);
        if (node == NULL) {
            node_free(top);
            return NULL;
        }
        store_edge(link, node);
        if (top == NULL) {
            top = node;
        }
        offset += n_bits;
        if (offset < length) {
            link = &node->edges[value_bit(value, offset)];
        }
    }
    return top;
}

/* Puts in place of the node at 'link' one with its first 'n_equal' bits, above the rest of it and a branch for the
 * value.  'offset' is where the value goes on after these bits. */
static bool
split(_Atomic(struct trie_node *) *link, struct limbo *limbo, const uint32_t *value, uint32_t offset,
      uint32_t length, uint32_t n_equal)
{
    struct trie_node *old = load_edge(link);
    struct trie_node *parent = node_create(old->prefix, n_equal, offset == length);
    struct trie_node *rest = node_create(n_equal < 32 ? old->prefix << n_equal : 0, old->n_bits - n_equal,
                                         atomic_load_explicit(&old->n_rules, memory_order_relaxed));
    struct trie_node *branch = offset < length ? branch_create(value, offset, length) : NULL;

    if (parent == NULL || rest == NULL || (offset < length && branch == NULL)) {
        free(parent);
        free(rest);
        node_free(branch);
        return false;
    }
    store_edge(&rest->edges[0], load_edge(&old->edges[0]));
    store_edge(&rest->edges[1], load_edge(&old->edges[1]));
    store_edge(&parent->edges[rest->prefix >> 31], rest);
    if (branch != NULL) {
        store_edge(&parent->edges[branch->prefix >> 31], branch);
    }
    store_edge(link, parent);
    limbo_put(limbo, free, old);
    return true;
}

void
prefix_trie_insert(struct prefix_trie *trie, struct limbo *limbo, const uint32_t *value, uint32_t length)
{
    _Atomic(struct trie_node *) *link = &trie->root;
    uint32_t offset = 0;
    struct trie_node *node;

    while ((node = load_edge(link)) != NULL) {
        uint32_t n_equal = equal_bits(node, value, offset, length);
        offset += n_equal;
        if (n_equal < node->n_bits) {
            if (!split(link, limbo, value, offset, length, n_equal)) {
                atomic_store(&trie->broken, true);
            }
            return;
        }
        if (offset == length) {
            atomic_fetch_add_explicit(&node->n_rules, 1, memory_order_relaxed);
            return;
        }
        link = &node->edges[value_bit(value, offset)];
    }
    node = branch_create(value, offset, length);
    if (node == NULL) {
        atomic_store(&trie->broken, true);
        return;
    }
    store_edge(link, node);
}

/* Removes nodes without rules at the end of a path, and joins one that has become a mere link to its child. */
static void
prune(struct limbo *limbo, _Atomic(struct trie_node *) *const path[], uint32_t n)
{
    while (n > 0) {
        _Atomic(struct trie_node *) *link = path[--n];
        struct trie_node *node = load_edge(link);
        struct trie_node *left = load_edge(&node->edges[0]);
        struct trie_node *right = load_edge(&node->edges[1]);

        if (atomic_load_explicit(&node->n_rules, memory_order_relaxed) != 0 || (left != NULL && right != NULL)) {
            return;
        }
        struct trie_node *child = left != NULL ? left : right;
        if (child != NULL) {
            if (node->n_bits + child->n_bits > 32) {
                return;
            }
            uint32_t tail = node->n_bits < 32 ? child->prefix >> node->n_bits : 0;
            struct trie_node *joined = node_create(node->prefix | tail, node->n_bits + child->n_bits,
                                                   atomic_load_explicit(&child->n_rules, memory_order_relaxed));
            if (joined == NULL) {
                return;
            }
            store_edge(&joined->edges[0], load_edge(&child->edges[0]));
            store_edge(&joined->edges[1], load_edge(&child->edges[1]));
            store_edge(link, joined);
            limbo_put(limbo, free, child);
            limbo_put(limbo, free, node);
            return;
        }
        store_edge(link, NULL);
        limbo_put(limbo, free, node);
    }
}

void
prefix_trie_remove(struct prefix_trie *trie, struct limbo *limbo, const uint32_t *value, uint32_t length)
{
    _Atomic(struct trie_node *) *path[PATH_MAX_NODES];
    _Atomic(struct trie_node *) *link = &trie->root;
    uint32_t n = 0, offset = 0;
    struct trie_node *node;

    while ((node = load_edge(link)) != NULL && n < PATH_MAX_NODES) {
        uint32_t n_equal = equal_bits(node, value, offset, length);
        if (n_equal < node->n_bits) {
            return; /* Only in a broken trie. */
        }
        path[n++] = link;
        offset += n_equal;
        if (offset == length) {
            if (atomic_load_explicit(&node->n_rules, memory_order_relaxed) != 0
                && atomic_fetch_sub_explicit(&node->n_rules, 1, memory_order_relaxed) == 1) {
                prune(limbo, path, n);
            }
            return;
        }
        link = &node->edges[value_bit(value, offset)];
    }
}

void
prefix_trie_lookup(const struct prefix_trie *trie, const uint32_t *value, uint32_t n_bits,
                   struct prefix_trie_result *result)
{
    const struct trie_node *node = load_edge(&trie->root);
    bool other_branch = false;
    uint32_t offset = 0;

    *result = (struct prefix_trie_result) { 0 };
    if (atomic_load_explicit(&trie->broken, memory_order_relaxed)) {
        *result = (struct prefix_trie_result) { .lengths = { UINT64_MAX, UINT64_MAX } };
        return;
    }
    while (node != NULL) {
        uint32_t n_equal = equal_bits(node, value, offset, n_bits);
        offset += n_equal;
        if (n_equal < node->n_bits) {
            result->n_bits = offset + 1; /* The first bit that differs was read too. */
            return;
        }
        if (offset > 0 && atomic_load_explicit(&node->n_rules, memory_order_relaxed) != 0) {
            result->lengths[(offset - 1) / 64] |= UINT64_C(1) << ((offset - 1) % 64);
        }
        if (offset >= n_bits) {
            result->n_bits = n_bits;
            return;
        }
        uint32_t bit = value_bit(value, offset);
        other_branch = load_edge(&node->edges[!bit]) != NULL;
        node = load_edge(&node->edges[bit]);
    }
    /* The bit that chose the missing branch was only read if there was a choice. */
    result->n_bits = other_branch ? offset + 1 : offset;
}

void
prefix_trie_clear(struct prefix_trie *trie)
{
    node_free(load_edge(&trie->root));
    store_edge(&trie->root, NULL);
}
