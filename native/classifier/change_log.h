/* What rules came and went lately: lets a megaflow outlive changes that do not concern it.
 *
 * A ring of the matches of rules that were added, removed or modified, each with the table and the version in which that
 * took effect.  A megaflow asks for those of a table after the version that it knows.  If none can match any of its packets, it is
 * what a new translation would make.  What it compares are the words that a packet arrives with, so the answer is only good for
 * tables that the packet came to unchanged.
 *
 * The writer is whoever holds the control lock; readers are any threads, beside it.  An answer may be that a change is of concern
 * when none is: when there were too many, or while the writer overwrites what is read. */
#ifndef CLASSIFIER_CHANGE_LOG_H
#define CLASSIFIER_CHANGE_LOG_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sluice/flow_key.h"

struct megaflow;
struct rule;

/* Changes that a reader looks at: more cost it more than a translation. */
#define CHANGE_LOG_SPAN 64u
#define CHANGE_LOG_ENTRIES (4 * CHANGE_LOG_SPAN)

/* Words of the key that are compared: those of headers. */
#define CHANGE_LOG_FIRST_WORD SLUICE_KEY_TUNNEL_WORD
#define CHANGE_LOG_END_WORD SLUICE_KEY_OPTIONS_WORD

/* Words of a match that are kept.  One that has more is compared by the first of them. */
#define CHANGE_LOG_WORDS 8u

struct change_log_entry {
    _Alignas(64) _Atomic uint64_t sequence; /* Which change this is, from 1 on; 0 while it is written. */
    _Atomic uint32_t table;
    _Atomic uint32_t version;
    _Atomic uint32_t n_words;
    struct change_log_word {
        _Atomic uint32_t key_word; /* Ascending. */
        _Atomic uint64_t mask;
        _Atomic uint64_t value;
    } words[CHANGE_LOG_WORDS];
};

/* Zeroed, it is empty. */
struct change_log {
    _Atomic uint64_t n; /* Changes ever. */
    struct change_log_entry entries[CHANGE_LOG_ENTRIES];
};

/* Notes that 'rule' of the table that the caller calls 'table' came or went in 'version', which is that of the last one
 * or later.  A null rule is one of which nothing is known.  Before readers can learn of the version elsewhere. */
void change_log_put(struct change_log *log, uint32_t table, uint32_t version, const struct rule *rule);

/* Whether a rule of 'table' that came or went after version 'since' may match a packet of the megaflow. */
bool change_log_concerns(const struct change_log *log, uint32_t table, uint32_t since, const struct megaflow *megaflow);

#endif
