/* Matches: some words of the flow key, each with a value and a mask.
 *
 * A match is kept minimal: no word whose mask is zero, no value bit outside its mask.  So two matches are the same if
 * their bytes are.  The layout is that of the ABI (struct sluice_match and what follows it): a checked ABI match IS a
 * struct match, by a cast.
 *
 * All functions are pure; any thread. */
#ifndef PACKET_MATCH_H
#define PACKET_MATCH_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/flow_key.h"
#include "sluice/records.h"

struct match {
    uint64_t map[SLUICE_KEY_MAP_WORDS]; /* Bit i % 64 of element i / 64 stands for key word i. */
    uint64_t words[];                   /* For each bit, lowest first: value, then mask. */
};
_Static_assert(sizeof(struct match) == sizeof(struct sluice_match), "a match has the ABI's layout");

/* Bytes of the greatest match. */
#define MATCH_SIZE_MAX (sizeof(struct match) + 16 * SLUICE_KEY_WORDS)

/* A match with room for every word, for the stack. */
struct match_buffer {
    union {
        struct match match;
        uint64_t room[MATCH_SIZE_MAX / 8];
    };
};

/* Number of words in a map. */
static inline uint32_t
match_map_count(const uint64_t map[SLUICE_KEY_MAP_WORDS])
{
    return (uint32_t) (__builtin_popcountll(map[0]) + __builtin_popcountll(map[1]));
}

/* Bytes of a match. */
static inline size_t
match_size(const struct match *match)
{
    return sizeof *match + 16 * (size_t) match_map_count(match->map);
}

/* Walks over the words of a map:  MATCH_FOR_EACH_WORD (word, map) { ... } */
#define MATCH_FOR_EACH_WORD(WORD, MAP) \
    for (uint32_t part_ = 0; part_ < SLUICE_KEY_MAP_WORDS; part_++) \
        for (uint64_t bits_ = (MAP)[part_]; bits_ && ((WORD) = 64 * part_ + (uint32_t) __builtin_ctzll(bits_), true); \
             bits_ &= bits_ - 1)

/* Judges untrusted bytes.  '*used' gets the bytes that the match takes, which may be fewer than 'size'.
 * EINVAL: not 8-byte aligned, too short, a bit for a word that the key does not have, a mask of zero, or a value bit
 * outside of its mask. */
int match_check(const void *bytes, size_t size, size_t *used);

/* As match_check(), and the match must end exactly at 'size' and have words only below 'word_limit'. */
int match_check_exact(const void *bytes, size_t size, uint32_t word_limit);

/* Writes the match to two whole keys; words that it does not have are zero in both. */
void match_expand(const struct match *match, struct flow_key *value, struct flow_key *mask);

/* Makes the minimal match of 'value' and 'mask' in 'match', which has 'room' bytes.  Value bits outside of the mask are
 * ignored.  Returns the bytes used, or 0 if 'room' is too small; MATCH_SIZE_MAX always suffices. */
size_t match_compress(const struct flow_key *value, const struct flow_key *mask, struct match *match, size_t room);

bool match_equal(const struct match *a, const struct match *b);

/* Whether 'key' is in 'match'. */
bool match_covers(const struct match *match, const struct flow_key *key);

/* Whether every key in 'narrow' is in 'wide' too (OpenFlow's loose match of a rule by a description). */
bool match_contains(const struct match *wide, const struct match *narrow);

/* Whether some key is in both. */
bool match_overlaps(const struct match *a, const struct match *b);

/* A hash of all bytes. */
uint64_t match_hash(const struct match *match, uint64_t basis);

#endif
