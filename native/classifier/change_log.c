#include "classifier/change_log.h"

#include "classifier/flow_cache.h"
#include "classifier/rule.h"
#include "packet/match.h"

#define STORE(PLACE, VALUE) atomic_store_explicit(PLACE, VALUE, memory_order_relaxed)
#define LOAD(PLACE) atomic_load_explicit(PLACE, memory_order_relaxed)

static uint32_t
put_words(struct change_log_entry *entry, const struct rule *rule)
{
    const struct rule_mask *mask = rule->mask;
    uint32_t n = 0, i = 0, word;

    MATCH_FOR_EACH_WORD(word, mask->map) {
        if (word >= CHANGE_LOG_FIRST_WORD && word < CHANGE_LOG_END_WORD && n < CHANGE_LOG_WORDS) {
            STORE(&entry->words[n].key_word, word);
            STORE(&entry->words[n].mask, mask->masks[i]);
            STORE(&entry->words[n].value, rule->values[i]);
            n++;
        }
        i++;
    }
    return n;
}

void
change_log_put(struct change_log *log, uint32_t table, uint32_t version, const struct rule *rule)
{
    uint64_t sequence = LOAD(&log->n) + 1;
    struct change_log_entry *entry = &log->entries[sequence % CHANGE_LOG_ENTRIES];

    STORE(&entry->sequence, 0);
    atomic_thread_fence(memory_order_release);
    STORE(&entry->table, table);
    STORE(&entry->version, version);
    STORE(&entry->n_words, rule != NULL ? put_words(entry, rule) : 0);
    atomic_store_explicit(&entry->sequence, sequence, memory_order_release);
    atomic_store_explicit(&log->n, sequence, memory_order_release);
}

/* Whether a packet of the megaflow may be one that matches. */
static bool
may_match(const struct change_log_entry *entry, const struct megaflow *megaflow)
{
    struct megaflow_words words = megaflow_words(megaflow);
    uint32_t n = LOAD(&entry->n_words);
    uint32_t at = 0;

    for (uint32_t i = 0; i < n && i < CHANGE_LOG_WORDS; i++) {
        uint32_t key_word = LOAD(&entry->words[i].key_word);
        while (at < words.n && words.masks[at].key_word < key_word) {
            at++;
        }
        if (at < words.n && words.masks[at].key_word == key_word) {
            uint64_t both = words.masks[at].mask & LOAD(&entry->words[i].mask);
            if ((words.values[at] ^ LOAD(&entry->words[i].value)) & both) {
                return false;
            }
        }
    }
    return true;
}

bool
change_log_concerns(const struct change_log *log, uint32_t table, uint32_t since, const struct megaflow *megaflow)
{
    uint64_t n = atomic_load_explicit(&log->n, memory_order_acquire);

    for (uint64_t sequence = n; sequence != 0; sequence--) {
        const struct change_log_entry *entry = &log->entries[sequence % CHANGE_LOG_ENTRIES];
        if (n - sequence == CHANGE_LOG_SPAN
            || atomic_load_explicit(&entry->sequence, memory_order_acquire) != sequence) {
            return true;
        }
        bool is_later = (int32_t) (LOAD(&entry->version) - since) > 0;
        bool concerns = LOAD(&entry->table) == table && may_match(entry, megaflow);
        atomic_thread_fence(memory_order_acquire);
        if (LOAD(&entry->sequence) != sequence) {
            return true;
        }
        if (!is_later || concerns) {
            return is_later;
        }
    }
    return false;
}
