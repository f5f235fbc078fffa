#include "classifier/subtable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/hash.h"
#include "classifier/rule_table.h"
#include "packet/bytes.h"

/* Where the tracked prefix fields lie in the key, in the order of enum rule_table_prefix. */
static const struct {
    uint16_t offset;
    uint16_t n_bits;
    uint16_t eth_type;
} prefix_fields_at[SUBTABLE_PREFIXES] = {
    { offsetof(struct flow_key, ip_dst), 32, 0x0800 },
    { offsetof(struct flow_key, ip_src), 32, 0x0800 },
    { offsetof(struct flow_key, ipv6_dst), 128, 0x86dd },
    { offsetof(struct flow_key, ipv6_src), 128, 0x86dd },
};

#define PORTS_OFFSET offsetof(struct flow_key, tp_src)
#define PORTS_WORD (PORTS_OFFSET / 8)
_Static_assert(PORTS_OFFSET % 8 == 0 && offsetof(struct flow_key, tp_dst) == PORTS_OFFSET + 2, "ports");

#define TYPE_WORD (offsetof(struct flow_key, eth_type) / 8)
static const struct flow_key type_mask = { .eth_type = UINT16_MAX };

/* The stage in which a lookup reads a word of the key. */
static uint8_t
stage_of(uint32_t key_word)
{
    if (key_word < SLUICE_KEY_L2_WORD || key_word >= SLUICE_KEY_OPTIONS_WORD) {
        return 0;
    }
    return key_word < SLUICE_KEY_L3_WORD ? 1 : key_word < SLUICE_KEY_L4_WORD ? 2 : 3;
}

/* Rules in slots: the upper 16 bits of the hash, then the pointer, of which 48 bits are in use. */
#define RULE_POINTER_BITS 48

static uint64_t
rule_slot(const struct rule *rule)
{
    return (uint64_t) (rule->hash >> 16) << RULE_POINTER_BITS | (uint64_t) (uintptr_t) rule;
}

static struct rule *
slot_rule(uint64_t slot)
{
    return (struct rule *) (uintptr_t) (slot & ((UINT64_C(1) << RULE_POINTER_BITS) - 1));
}

static uint32_t
rule_slot_hash(uint64_t slot, const void *aux)
{
    (void) aux;
    return slot_rule(slot)->hash;
}

/* Counts in slots: the hash, then the number of rules. */
static uint32_t
count_slot_hash(uint64_t slot, const void *aux)
{
    (void) aux;
    return (uint32_t) (slot >> 32);
}

static bool
index_has(const struct slot_table *index, uint32_t hash)
{
    struct slot_search search = slot_search_begin(index, hash);

    while (slot_search_next(&search)) {
        if (search.slot >> 32 == hash && search.slot != SLOT_REMOVED) {
            return true;
        }
    }
    return false;
}

static int
index_add(struct slot_table *index, struct limbo *limbo, uint32_t hash)
{
    struct slot_search search = slot_search_begin(index, hash);

    while (slot_search_next(&search)) {
        if (search.slot >> 32 == hash && search.slot != SLOT_REMOVED) {
            slot_search_set(&search, search.slot + 1);
            return 0;
        }
    }
    return slot_table_put(index, limbo, hash, (uint64_t) hash << 32 | 1, count_slot_hash, NULL);
}

static void
index_subtract(struct slot_table *index, uint32_t hash)
{
    struct slot_search search = slot_search_begin(index, hash);

    while (slot_search_next(&search)) {
        if (search.slot >> 32 == hash && search.slot != SLOT_REMOVED) {
            if ((uint32_t) search.slot == 1) {
                slot_table_drop(index, &search);
            } else {
                slot_search_set(&search, search.slot - 1);
            }
            return;
        }
    }
}

/* The prefix length of a mask of 'n_bits' bits at 'bytes', or 0 if it is no prefix. */
static uint32_t
mask_prefix_length(const uint8_t *bytes, uint32_t n_bits)
{
    uint32_t length = 0;

    while (length < n_bits && bytes[length / 8] & (0x80 >> length % 8)) {
        length++;
    }
    for (uint32_t i = length; i < n_bits; i++) {
        if (bytes[i / 8] & (0x80 >> i % 8)) {
            return 0;
        }
    }
    return length;
}

static void
expand_mask(const struct rule_mask *mask, struct flow_key *key)
{
    const uint8_t *indexes = rule_mask_indexes(mask);

    memset(key, 0, sizeof *key);
    for (uint32_t i = 0; i < mask->n_words; i++) {
        key->words[indexes[i]] = mask->masks[i];
    }
}

static void
init_prefixes(struct subtable *subtable, uint32_t prefix_fields)
{
    struct flow_key key;

    expand_mask(subtable->mask, &key);
    subtable->prefix_stage = UINT8_MAX;
    for (uint32_t i = 0; i < SUBTABLE_PREFIXES; i++) {
        if (prefix_fields >> i & 1) {
            subtable->prefix_lengths[i] =
                (uint8_t) mask_prefix_length(key.bytes + prefix_fields_at[i].offset, prefix_fields_at[i].n_bits);
        }
    }
    subtable->ports_mask = get_be32(key.bytes + PORTS_OFFSET);
    if (subtable->ports_mask != 0) {
        subtable->ports_length = 32 - (uint32_t) __builtin_ctz(subtable->ports_mask);
        prefix_set_init(&subtable->ports, 32);
    }
}

/* Puts the words into the order of stages; stages without words are left out. */
static void
init_stages(struct subtable *subtable)
{
    const uint8_t *indexes = rule_mask_indexes(subtable->mask);
    uint32_t n = 0, n_stages = 0;

    for (uint8_t stage = 0; stage < SUBTABLE_STAGES; stage++) {
        uint32_t before = n;
        for (uint32_t i = 0; i < subtable->mask->n_words; i++) {
            if (stage_of(indexes[i]) == stage) {
                subtable->words[n++] = (struct stage_word){ subtable->mask->masks[i], indexes[i], (uint8_t) i };
            }
        }
        if (n != before) {
            if (stage == 2) {
                subtable->prefix_stage = (uint8_t) n_stages;
            }
            subtable->stage_ends[n_stages++] = (uint8_t) n;
        }
    }
    subtable->n_words = n;
    uint32_t n_before = subtable->prefix_stage == UINT8_MAX ? UINT32_MAX
                        : subtable->prefix_stage == 0       ? 0
                                                            : subtable->stage_ends[subtable->prefix_stage - 1];
    subtable->begins_with_prefixes = n_before == 0
                                     || (n_before == 1 && subtable->words[0].key_word == TYPE_WORD
                                         && subtable->words[0].mask == type_mask.words[TYPE_WORD]);
    subtable->n_indexes = (uint8_t) (n_stages > 1 ? n_stages - 1 : 0);
}

struct subtable *
subtable_create(struct rule_mask *mask, uint32_t hash, uint32_t prefix_fields)
{
    struct subtable *subtable = calloc(1, sizeof *subtable + mask->n_words * sizeof subtable->words[0]);

    if (subtable == NULL) {
        rule_mask_unref(mask);
        return NULL;
    }
    subtable->mask = mask;
    subtable->hash = hash;
    init_prefixes(subtable, prefix_fields);
    init_stages(subtable);
    return subtable;
}

void
subtable_destroy(void *subtable_)
{
    struct subtable *subtable = subtable_;
    struct slot_array *array = atomic_load_explicit(&subtable->rules.array, memory_order_relaxed);
    uint64_t slot;

    SLOT_TABLE_FOR_EACH(slot, array)
    {
        struct rule *next;
        for (struct rule *rule = slot_rule(slot); rule != NULL; rule = next) {
            next = atomic_load_explicit(&rule->next, memory_order_relaxed);
            rule_unref(rule);
        }
    }
    slot_table_clear(&subtable->rules);
    for (uint32_t i = 0; i < subtable->n_indexes; i++) {
        slot_table_clear(&subtable->indexes[i]);
    }
    prefix_set_clear(&subtable->ports);
    free(subtable->priorities);
    rule_mask_unref(subtable->mask);
    free(subtable);
}

/* Hashes of a rule's values up to the end of each stage. */
static void
hash_stages(const struct subtable *subtable, const uint64_t *values, uint32_t hashes[SUBTABLE_STAGES])
{
    uint64_t hash = 0;
    uint32_t i = 0;

    for (uint32_t stage = 0; stage <= subtable->n_indexes; stage++) {
        for (; i < subtable->stage_ends[stage]; i++) {
            hash = hash_word(hash, values[subtable->words[i].position]);
        }
        hashes[stage] = hash_finish(hash);
    }
}

uint32_t
subtable_hash_values(const struct subtable *subtable, const uint64_t *values)
{
    uint32_t hashes[SUBTABLE_STAGES];

    hash_stages(subtable, values, hashes);
    return hashes[subtable->n_indexes];
}

/* The first of the priorities that is not below 'priority'. */
static uint32_t
priority_position(const struct subtable *subtable, uint32_t priority)
{
    uint32_t low = 0, high = subtable->n_priorities;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (subtable->priorities[middle].priority < priority) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static int
priority_add(struct subtable *subtable, uint32_t priority)
{
    uint32_t i = priority_position(subtable, priority);

    if (i < subtable->n_priorities && subtable->priorities[i].priority == priority) {
        subtable->priorities[i].n_rules++;
        return 0;
    }
    if (subtable->n_priorities == subtable->priorities_capacity) {
        uint32_t capacity = subtable->priorities_capacity != 0 ? 2 * subtable->priorities_capacity : 1;
        struct priority_count *priorities = realloc(subtable->priorities, capacity * sizeof *priorities);
        if (priorities == NULL) {
            return ENOMEM;
        }
        subtable->priorities = priorities;
        subtable->priorities_capacity = capacity;
    }
    memmove(&subtable->priorities[i + 1], &subtable->priorities[i],
            (subtable->n_priorities - i) * sizeof *subtable->priorities);
    subtable->priorities[i] = (struct priority_count){ priority, 1 };
    subtable->n_priorities++;
    return 0;
}

static void
priority_subtract(struct subtable *subtable, uint32_t priority)
{
    uint32_t i = priority_position(subtable, priority);

    if (--subtable->priorities[i].n_rules == 0) {
        subtable->n_priorities--;
        memmove(&subtable->priorities[i], &subtable->priorities[i + 1],
                (subtable->n_priorities - i) * sizeof *subtable->priorities);
    }
}

uint32_t
subtable_max_priority(const struct subtable *subtable)
{
    return subtable->priorities[subtable->n_priorities - 1].priority;
}

bool
subtable_has_priority(const struct subtable *subtable, uint32_t priority)
{
    uint32_t i = priority_position(subtable, priority);

    return i < subtable->n_priorities && subtable->priorities[i].priority == priority;
}

/* Searches for the first rule with these values.  Leaves '*search' at its slot. */
static struct rule *
find_slot(const struct subtable *subtable, uint32_t hash, const uint64_t *values, struct slot_search *search)
{
    *search = slot_search_begin(&subtable->rules, hash);
    while (slot_search_next(search)) {
        if (search->slot >> RULE_POINTER_BITS == hash >> 16 && search->slot != SLOT_REMOVED) {
            struct rule *rule = slot_rule(search->slot);
            if (rule->hash == hash && !memcmp(rule->values, values, subtable->n_words * sizeof *values)) {
                return rule;
            }
        }
    }
    return NULL;
}

struct rule *
subtable_find(const struct subtable *subtable, const uint64_t *values)
{
    struct slot_search search;

    return find_slot(subtable, subtable_hash_values(subtable, values), values, &search);
}

/* The rule's bits of the port numbers. */
static uint32_t
rule_ports(const struct subtable *subtable, const struct rule *rule)
{
    const uint8_t *indexes = rule_mask_indexes(subtable->mask);

    for (uint32_t i = 0; i < subtable->n_words; i++) {
        if (indexes[i] == PORTS_WORD) {
            return get_be32(&rule->values[i]);
        }
    }
    return 0;
}

static int
indexes_add(struct subtable *subtable, struct limbo *limbo, const uint32_t *hashes)
{
    for (uint32_t i = 0; i < subtable->n_indexes; i++) {
        if (index_add(&subtable->indexes[i], limbo, hashes[i]) != 0) {
            while (i-- > 0) {
                index_subtract(&subtable->indexes[i], hashes[i]);
            }
            return ENOMEM;
        }
    }
    return 0;
}

/* Rules of one match hang from one slot, greatest priority first and the newest first among equals. */
static int
link_rule(struct subtable *subtable, struct limbo *limbo, struct rule *rule)
{
    struct slot_search search;
    struct rule *head = find_slot(subtable, rule->hash, rule->values, &search);

    if (head == NULL) {
        atomic_store_explicit(&rule->next, NULL, memory_order_relaxed);
        return slot_table_put(&subtable->rules, limbo, rule->hash, rule_slot(rule), rule_slot_hash, NULL);
    }
    if (head->priority <= rule->priority) {
        atomic_store_explicit(&rule->next, head, memory_order_relaxed);
        slot_search_set(&search, rule_slot(rule));
        return 0;
    }
    struct rule *before = head, *after;
    while ((after = atomic_load_explicit(&before->next, memory_order_relaxed)) != NULL
           && after->priority > rule->priority) {
        before = after;
    }
    atomic_store_explicit(&rule->next, after, memory_order_relaxed);
    atomic_store_explicit(&before->next, rule, memory_order_release);
    return 0;
}

static void
unlink_rule(struct subtable *subtable, struct rule *rule)
{
    struct slot_search search;
    struct rule *head = find_slot(subtable, rule->hash, rule->values, &search);
    struct rule *next = atomic_load_explicit(&rule->next, memory_order_relaxed);

    if (head != rule) {
        struct rule *before = head, *after;
        while ((after = atomic_load_explicit(&before->next, memory_order_relaxed)) != rule) {
            before = after;
        }
        atomic_store_explicit(&before->next, next, memory_order_release);
    } else if (next != NULL) {
        slot_search_set(&search, rule_slot(next));
    } else {
        slot_table_drop(&subtable->rules, &search);
    }
}

int
subtable_insert(struct subtable *subtable, struct limbo *limbo, struct rule *rule)
{
    uint32_t hashes[SUBTABLE_STAGES];

    hash_stages(subtable, rule->values, hashes);
    rule->hash = hashes[subtable->n_indexes];
    if (priority_add(subtable, rule->priority) != 0) {
        return ENOMEM;
    }
    if (indexes_add(subtable, limbo, hashes) != 0) {
        priority_subtract(subtable, rule->priority);
        return ENOMEM;
    }
    if (subtable->ports_mask != 0) {
        uint32_t ports = rule_ports(subtable, rule);
        prefix_set_insert(&subtable->ports, limbo, &ports, subtable->ports_length);
    }
    if (link_rule(subtable, limbo, rule) != 0) {
        for (uint32_t i = 0; i < subtable->n_indexes; i++) {
            index_subtract(&subtable->indexes[i], hashes[i]);
        }
        priority_subtract(subtable, rule->priority);
        return ENOMEM;
    }
    subtable->n_rules++;
    return 0;
}

void
subtable_remove(struct subtable *subtable, struct limbo *limbo, struct rule *rule)
{
    uint32_t hashes[SUBTABLE_STAGES];

    unlink_rule(subtable, rule);
    hash_stages(subtable, rule->values, hashes);
    for (uint32_t i = 0; i < subtable->n_indexes; i++) {
        index_subtract(&subtable->indexes[i], hashes[i]);
    }
    if (subtable->ports_mask != 0) {
        uint32_t ports = rule_ports(subtable, rule);
        prefix_set_remove(&subtable->ports, limbo, &ports, subtable->ports_length);
    }
    priority_subtract(subtable, rule->priority);
    subtable->n_rules--;
}

void
subtable_prefix_value(uint32_t prefix, const uint8_t *key_bytes, uint32_t value[PREFIX_VALUE_WORDS])
{
    const uint8_t *bytes = key_bytes + prefix_fields_at[prefix].offset;

    for (uint32_t i = 0; i < prefix_fields_at[prefix].n_bits / 32; i++) {
        value[i] = get_be32(bytes + 4 * i);
    }
}

uint32_t
subtable_prefix_bits(uint32_t prefix)
{
    return prefix_fields_at[prefix].n_bits;
}

/* Whether the first 'n_bits' bits of a field have been read already. */
static bool
prefix_is_read(const struct flow_key *read_mask, uint32_t offset, uint32_t n_bits)
{
    const uint8_t *bytes = read_mask->bytes + offset;

    for (uint32_t i = 0; i < n_bits / 8; i++) {
        if (bytes[i] != 0xff) {
            return false;
        }
    }
    uint8_t rest = (uint8_t) (0xff00 >> n_bits % 8);
    return n_bits % 8 == 0 || (bytes[n_bits / 8] & rest) == rest;
}

static void
prefix_read(struct flow_key *read_mask, uint32_t offset, uint32_t n_bits)
{
    uint8_t *bytes = read_mask->bytes + offset;

    memset(bytes, 0xff, n_bits / 8);
    if (n_bits % 8 != 0) {
        bytes[n_bits / 8] |= (uint8_t) (0xff00 >> n_bits % 8);
    }
}

static bool
prefix_is_excluded(struct prefix_memo *memo, uint32_t field, uint32_t length, const struct flow_key *key)
{
    uint64_t bit = UINT64_C(1) << length % 64;
    uint32_t value[PREFIX_VALUE_WORDS], n_bits;

    if ((memo->known[field][length / 64] & bit) == 0) {
        subtable_prefix_value(field, key->bytes, value);
        bool excluded = prefix_set_excludes(&memo->sets[field], value, length, &n_bits);
        memo->known[field][length / 64] |= bit;
        memo->excluded[field][length / 64] &= ~bit;
        if (excluded) {
            memo->excluded[field][length / 64] |= bit;
            /* The same for all lengths, unless prefixes come and go meanwhile: then each is true of its time. */
            memo->n_bits[field] = (uint8_t) (n_bits > memo->n_bits[field] ? n_bits : memo->n_bits[field]);
        }
    }
    return (memo->excluded[field][length / 64] & bit) != 0;
}

bool
prefix_memo_excludes(struct prefix_memo *memo, const uint8_t lengths[SUBTABLE_PREFIXES], const struct flow_key *key,
                     struct flow_key *read_mask)
{
    for (uint32_t i = 0; i < SUBTABLE_PREFIXES; i++) {
        uint32_t length = lengths[i];

        /* In packets of other types the bytes mean something else: nothing can be concluded. */
        if (length == 0 || be16(key->eth_type) != prefix_fields_at[i].eth_type
            || !prefix_is_excluded(memo, i, length, key)) {
            continue;
        }
        uint32_t n_bits = memo->n_bits[i];
        if (n_bits <= length) {
            prefix_read(read_mask, prefix_fields_at[i].offset, n_bits);
            return true;
        }
        if (prefix_is_read(read_mask, prefix_fields_at[i].offset, n_bits)) {
            return true;
        }
    }
    return false;
}

/* Marks the first 'n' words, in the order of stages, as read. */
static void
words_read(const struct subtable *subtable, uint32_t n, struct flow_key *read_mask)
{
    for (uint32_t i = 0; i < n; i++) {
        read_mask->words[subtable->words[i].key_word] |= subtable->words[i].mask;
    }
}

/* Whether the ports alone explain the miss.  If so, only the bits of them that do are marked. */
static bool
ports_exclude(const struct subtable *subtable, const struct flow_key *key, struct flow_key *read_mask)
{
    uint32_t ports = get_be32(key->bytes + PORTS_OFFSET) & subtable->ports_mask;
    uint32_t n_bits;

    if (!prefix_set_excludes(&subtable->ports, &ports, subtable->ports_length, &n_bits)) {
        return false;
    }
    uint32_t bits = n_bits != 0 ? UINT32_MAX << (32 - n_bits) : 0;
    uint32_t read = get_be32(read_mask->bytes + PORTS_OFFSET) | (bits & subtable->ports_mask);
    put_be32(read_mask->bytes + PORTS_OFFSET, read);
    return true;
}

static bool
rule_has_key(const struct subtable *subtable, const struct rule *rule, const struct flow_key *key)
{
    uint64_t differing = 0;

    for (uint32_t i = 0; i < subtable->n_words; i++) {
        const struct stage_word *word = &subtable->words[i];
        differing |= (key->words[word->key_word] & word->mask) ^ rule->values[word->position];
    }
    return differing == 0;
}

static const struct rule *
find_visible(const struct subtable *subtable, uint64_t version, const struct flow_key *key, uint32_t hash)
{
    struct slot_search search = slot_search_begin(&subtable->rules, hash);

    while (slot_search_next(&search)) {
        if (search.slot >> RULE_POINTER_BITS != hash >> 16 || search.slot == SLOT_REMOVED) {
            continue;
        }
        const struct rule *rule = slot_rule(search.slot);
        if (rule->hash != hash || !rule_has_key(subtable, rule, key)) {
            continue;
        }
        while (rule != NULL && !rule_is_visible(rule, version)) {
            rule = atomic_load_explicit(&rule->next, memory_order_acquire);
        }
        return rule;
    }
    return NULL;
}

static uint64_t
hash_key(const struct subtable *subtable, const struct flow_key *key, uint64_t hash, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        hash = hash_word(hash, key->words[subtable->words[i].key_word] & subtable->words[i].mask);
    }
    return hash;
}

/* Marks what a miss depends on, found after 'done' words in the order of stages.  When the stage of prefixes was
 * reached, they may explain the miss by fewer bits than that stage has. */
static const struct rule *
missed(const struct subtable *subtable, const struct flow_key *key, struct flow_key *read_mask,
       struct prefix_memo *memo, uint32_t done)
{
    uint32_t stage = subtable->prefix_stage;

    if (stage <= subtable->n_indexes) {
        uint32_t before = stage > 0 ? subtable->stage_ends[stage - 1] : 0;
        if (done > before && prefix_memo_excludes(memo, subtable->prefix_lengths, key, read_mask)) {
            done = before;
        }
    }
    words_read(subtable, done, read_mask);
    return NULL;
}

const struct rule *
subtable_lookup(const struct subtable *subtable, uint64_t version, const struct flow_key *key,
                struct flow_key *read_mask, struct prefix_memo *memo)
{
    uint64_t hash = 0;
    uint32_t done = 0;

    for (uint32_t stage = 0; read_mask != NULL && stage < subtable->n_indexes; stage++) {
        if (stage == subtable->prefix_stage && memo->is_early
            && prefix_memo_excludes(memo, subtable->prefix_lengths, key, read_mask)) {
            words_read(subtable, done, read_mask);
            return NULL;
        }
        hash = hash_key(subtable, key, hash, done, subtable->stage_ends[stage]);
        done = subtable->stage_ends[stage];
        if (!index_has(&subtable->indexes[stage], hash_finish(hash))) {
            return missed(subtable, key, read_mask, memo, done);
        }
    }
    hash = hash_key(subtable, key, hash, done, subtable->n_words);
    const struct rule *rule = find_visible(subtable, version, key, hash_finish(hash));
    if (read_mask == NULL) {
        return rule;
    }
    if (rule == NULL) {
        /* Prefixes first, as they may leave the ports unread. */
        uint32_t stage = subtable->prefix_stage;
        bool excluded =
            stage <= subtable->n_indexes && prefix_memo_excludes(memo, subtable->prefix_lengths, key, read_mask);
        if (excluded) {
            done = stage > 0 ? subtable->stage_ends[stage - 1] : 0;
        } else if (subtable->ports_mask == 0 || !ports_exclude(subtable, key, read_mask)) {
            done = subtable->n_words;
        }
        words_read(subtable, done, read_mask);
        return NULL;
    }
    words_read(subtable, subtable->n_words, read_mask);
    return rule;
}

uint64_t
subtable_size(const struct subtable *subtable)
{
    uint64_t size = sizeof *subtable + subtable->n_words * sizeof subtable->words[0];

    size += slot_table_size(&subtable->rules) + subtable->priorities_capacity * sizeof *subtable->priorities;
    size += prefix_set_size(&subtable->ports);
    for (uint32_t i = 0; i < subtable->n_indexes; i++) {
        size += slot_table_size(&subtable->indexes[i]);
    }
    return size;
}
