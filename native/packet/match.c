#include "packet/match.h"

#include <errno.h>
#include <string.h>

/* Bits of the last element of a map for words that the key does not have. */
#define MAP_LAST_UNUSED (~UINT64_C(0) << (SLUICE_KEY_WORDS - 64 * (SLUICE_KEY_MAP_WORDS - 1)))
_Static_assert(SLUICE_KEY_MAP_WORDS == 2 && SLUICE_KEY_WORDS > 64 && SLUICE_KEY_WORDS < 128, "shape of a map");

int
match_check(const void *bytes, size_t size, size_t *used)
{
    if ((uintptr_t) bytes % 8 || size < sizeof(struct match)) {
        return EINVAL;
    }
    const struct match *match = bytes;
    if (match->map[1] & MAP_LAST_UNUSED || size < match_size(match)) {
        return EINVAL;
    }
    uint32_t n = match_map_count(match->map);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t value = match->words[2 * i];
        uint64_t mask = match->words[2 * i + 1];
        if (!mask || value & ~mask) {
            return EINVAL;
        }
    }
    *used = match_size(match);
    return 0;
}

int
match_check_exact(const void *bytes, size_t size, uint32_t word_limit)
{
    size_t used;
    int error = match_check(bytes, size, &used);
    if (error || used != size) {
        return EINVAL;
    }
    const struct match *match = bytes;
    for (uint32_t word = word_limit; word < SLUICE_KEY_WORDS; word++) {
        if (match->map[word / 64] >> word % 64 & 1) {
            return EINVAL;
        }
    }
    return 0;
}

void
match_expand(const struct match *match, struct flow_key *value, struct flow_key *mask)
{
    memset(value, 0, sizeof *value);
    memset(mask, 0, sizeof *mask);
    const uint64_t *p = match->words;
    uint32_t word;
    MATCH_FOR_EACH_WORD(word, match->map) {
        value->words[word] = *p++;
        mask->words[word] = *p++;
    }
}

size_t
match_compress(const struct flow_key *value, const struct flow_key *mask, struct match *match, size_t room)
{
    if (room < sizeof *match) {
        return 0;
    }
    size_t words_room = (room - sizeof *match) / 16;
    size_t n = 0;
    memset(match->map, 0, sizeof match->map);
    for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
        if (!mask->words[word]) {
            continue;
        }
        if (n == words_room) {
            return 0;
        }
        match->map[word / 64] |= UINT64_C(1) << word % 64;
        match->words[2 * n] = value->words[word] & mask->words[word];
        match->words[2 * n + 1] = mask->words[word];
        n++;
    }
    return match_size(match);
}

bool
match_equal(const struct match *a, const struct match *b)
{
    return a->map[0] == b->map[0] && a->map[1] == b->map[1]
           && !memcmp(a->words, b->words, 16 * (size_t) match_map_count(a->map));
}

bool
match_covers(const struct match *match, const struct flow_key *key)
{
    const uint64_t *p = match->words;
    uint32_t word;
    MATCH_FOR_EACH_WORD(word, match->map) {
        if ((key->words[word] ^ p[0]) & p[1]) {
            return false;
        }
        p += 2;
    }
    return true;
}

/* The place of 'word', which is in the match, among its words. */
static const uint64_t *
match_word(const struct match *match, uint32_t word)
{
    uint64_t below = (UINT64_C(1) << word % 64) - 1;
    int index = word < 64 ? __builtin_popcountll(match->map[0] & below)
                          : __builtin_popcountll(match->map[0]) + __builtin_popcountll(match->map[1] & below);
    return &match->words[2 * index];
}

bool
match_contains(const struct match *wide, const struct match *narrow)
{
    if (wide->map[0] & ~narrow->map[0] || wide->map[1] & ~narrow->map[1]) {
        return false;
    }
    const uint64_t *p = wide->words;
    uint32_t word;
    MATCH_FOR_EACH_WORD(word, wide->map) {
        const uint64_t *q = match_word(narrow, word);
        if (p[1] & ~q[1] || (p[0] ^ q[0]) & p[1]) {
            return false;
        }
        p += 2;
    }
    return true;
}

bool
match_overlaps(const struct match *a, const struct match *b)
{
    const uint64_t shared[SLUICE_KEY_MAP_WORDS] = { a->map[0] & b->map[0], a->map[1] & b->map[1] };
    uint32_t word;
    MATCH_FOR_EACH_WORD(word, shared) {
        const uint64_t *p = match_word(a, word);
        const uint64_t *q = match_word(b, word);
        if ((p[0] ^ q[0]) & p[1] & q[1]) {
            return false;
        }
    }
    return true;
}

static uint64_t
hash_mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 32;
}

uint64_t
match_hash(const struct match *match, uint64_t basis)
{
    uint32_t n = match_map_count(match->map);
    uint64_t hash = hash_mix(hash_mix(basis, match->map[0]), match->map[1]);
    for (uint32_t i = 0; i < 2 * n; i++) {
        hash = hash_mix(hash, match->words[i]);
    }
    return hash;
}
