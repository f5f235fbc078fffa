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

/* From so many subtables on it pays to search for prefixes first, which costs a search even where a rule is found. */
#define SUBTABLES_MANY 8u

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

/* What one lookup has learned of the prefixes of its packet, so that each length is searched for once and not for each
 * subtable.  What was excluded stays so: rules that come meanwhile are of versions to come. */
struct prefix_memo {
    const struct prefix_set *sets; /* Those of the whole table, SUBTABLE_PREFIXES of them. */
    bool is_early;                 /* There are many subtables: prefixes are asked before hashes. */
    uint8_t n_bits[SUBTABLE_PREFIXES];
    uint64_t known[SUBTABLE_PREFIXES][PREFIX_BITS_MAX / 64 + 1]; /* By length: whether what follows is known. */
    uint64_t excluded[SUBTABLE_PREFIXES][PREFIX_BITS_MAX / 64 + 1];
};

static inline void
prefix_memo_init(struct prefix_memo *memo, const struct prefix_set *sets, uint32_t n_subtables)
{
    memo->sets = sets;
    memo->is_early = n_subtables >= SUBTABLES_MANY;
    for (uint32_t i = 0; i < SUBTABLE_PREFIXES; i++) {
        memo->n_bits[i] = 0;
        for (uint32_t k = 0; k <= PREFIX_BITS_MAX / 64; k++) {
            memo->known[i][k] = 0;
        }
    }
}

struct subtable {
    /* For readers; constant. */
    uint32_t n_words;
    uint8_t n_indexes;                         /* Stages before the last. */
    uint8_t stage_ends[SUBTABLE_STAGES];       /* Positions in 'words' at which each stage ends. */
    uint8_t prefix_lengths[SUBTABLE_PREFIXES]; /* 0: the mask has no prefix of that field. */
    uint8_t prefix_stage;                      /* The stage of these fields; UINT8_MAX if it has none. */
    bool begins_with_prefixes;                 /* Before them there is nothing but, perhaps, the Ethernet type. */
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

/* The visible rule that 'key' matches, or null.  Or's into 'read_mask', unless it is null, what was read. */
const struct rule *subtable_lookup(const struct subtable *subtable, uint64_t version, const struct flow_key *key,
                                   struct flow_key *read_mask, struct prefix_memo *memo);

/* True if the prefixes in use prove that no rule of a subtable with prefixes of these 'lengths' (0: none) can match, by bits
 * that cost no more than those of a search.  These are or'ed into 'read_mask'. */
bool prefix_memo_excludes(struct prefix_memo *memo, const uint8_t lengths[SUBTABLE_PREFIXES],
                          const struct flow_key *key, struct flow_key *read_mask);

/* The value of a prefix field in a key, and the number of its bits. */
void subtable_prefix_value(uint32_t prefix, const uint8_t *key_bytes, uint32_t value[PREFIX_VALUE_WORDS]);
uint32_t subtable_prefix_bits(uint32_t prefix);

/* Memory of the subtable's indexes in bytes. */
uint64_t subtable_size(const struct subtable *subtable);

#endif
