/* A subtable: the rules of a table that have one mask, found by a hash of their masked values.
 *
 * The words of the mask are divided into stages.  Every stage but the last has an index that counts the rules for each
 * hash of the stages up to it, so that a lookup can stop early.
 *
 * Threads.  As rule_table.h: one writer, readers of the epoch beside it. */
#ifndef CLASSIFIER_SUBTABLE_H
#define CLASSIFIER_SUBTABLE_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "classifier/epoch.h"
#include "classifier/prefix_set.h"
#include "classifier/rule.h"
#include "classifier/slot_table.h"

#define SUBTABLE_STAGES 4   /* Metadata, L2, L3, L4. */
#define SUBTABLE_PREFIXES 4 /* As enum rule_table_prefix. */

struct priority_count {
    uint32_t priority;
    uint32_t n_rules;
};

/* One word of the mask, in the order of stages. */
struct stage_word {
    uint64_t mask;
    uint8_t key_word; /* Which word of the key. */
    uint8_t position; /* Which of the rule's values. */
};

struct subtable {
    /* For readers; constant. */
    uint32_t n_words;
    uint8_t n_indexes;                         /* Stages before the last. */
    uint8_t stage_ends[SUBTABLE_STAGES];       /* Positions in 'words' at which each stage ends. */
    uint8_t prefix_lengths[SUBTABLE_PREFIXES]; /* 0: the mask has no prefix of that field. */
    uint8_t prefix_stage;                      /* The stage of these fields; UINT8_MAX if it has none. */
    uint32_t ports_mask;                       /* Of both port numbers, tp_src first; host order. */
    uint32_t ports_length;                     /* Bits of them up to the last one that matters. */

    /* For readers; changed by the writer. */
    struct slot_table rules;
    struct slot_table indexes[SUBTABLE_STAGES - 1];
    struct prefix_set ports;

    /* The writer's. */
    struct rule_mask *mask; /* Counted. */
    struct subtable *next;  /* In the table's bucket. */
    uint32_t hash;          /* Of the mask. */
    uint32_t n_rules;
    struct priority_count *priorities; /* Ascending. */
    uint32_t n_priorities, priorities_capacity;
    bool listed; /* In the list that lookups go through. */

    struct stage_word words[];
};

/* Makes an empty subtable for 'mask', taking over the caller's reference.  Null when out of memory (the reference is
 * given up then). */
struct subtable *subtable_create(struct rule_mask *mask, uint32_t hash, uint32_t prefix_fields);

/* Frees the subtable and gives up the references to its rules, when no reader can be in it. */
void subtable_destroy(void *subtable);

/* Hash of a rule's values. */
uint32_t subtable_hash_values(const struct subtable *subtable, const uint64_t *values);

/* Adds and removes a rule of this mask.  0 or ENOMEM.  The rule's reference stays the caller's business. */
int subtable_insert(struct subtable *subtable, struct limbo *limbo, struct rule *rule);
void subtable_remove(struct subtable *subtable, struct limbo *limbo, struct rule *rule);

/* The greatest priority of its rules; it has some. */
uint32_t subtable_max_priority(const struct subtable *subtable);
bool subtable_has_priority(const struct subtable *subtable, uint32_t priority);

/* The first rule, visible or not, with these values; others follow by 'next'. */
struct rule *subtable_find(const struct subtable *subtable, const uint64_t *values);

/* The visible rule that 'key' matches, or null.  Or's into 'read_mask', unless it is null, what was read.  'prefixes' are
 * those of the whole table, SUBTABLE_PREFIXES of them. */
const struct rule *subtable_lookup(const struct subtable *subtable, uint64_t version, const struct flow_key *key,
                                   struct flow_key *read_mask, const struct prefix_set prefixes[]);

/* The value of a prefix field in a key, and the number of its bits. */
void subtable_prefix_value(uint32_t prefix, const uint8_t *key_bytes, uint32_t value[PREFIX_VALUE_WORDS]);
uint32_t subtable_prefix_bits(uint32_t prefix);

/* Memory of the subtable's indexes in bytes. */
uint64_t subtable_size(const struct subtable *subtable);

#endif
