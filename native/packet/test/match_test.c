#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "packet/match.h"
#include "packet/test/claim.h"

/* Few words and few bits, so that random matches often meet. */
static void
random_match(uint64_t *state, struct flow_key *value, struct flow_key *mask)
{
    static const uint32_t words[] = { 0, 20, 29, 38, 63, 64, 90 };
    memset(value, 0, sizeof *value);
    memset(mask, 0, sizeof *mask);
    for (uint32_t i = 0; i < sizeof words / sizeof *words; i++) {
        value->words[words[i]] = random_next(state) & 3;
        mask->words[words[i]] = random_next(state) & random_next(state) & 3;
    }
}

static void
test_compress_and_expand(void)
{
    uint64_t state = 1;
    for (uint32_t i = 0; i < 2000; i++) {
        struct flow_key value, mask, value2, mask2;
        struct match_buffer buffer;
        size_t used;
        random_match(&state, &value, &mask);
        size_t size = match_compress(&value, &mask, &buffer.match, sizeof buffer);
        CHECK(size && size == match_size(&buffer.match));
        CHECK(!match_check(&buffer, sizeof buffer, &used) && used == size);
        CHECK(!match_check_exact(&buffer, size, SLUICE_KEY_WORDS));
        match_expand(&buffer.match, &value2, &mask2);
        for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
            CHECK(mask2.words[word] == mask.words[word]);
            CHECK(value2.words[word] == (value.words[word] & mask.words[word]));
        }
        struct match_buffer small;
        CHECK(match_compress(&value, &mask, &small.match, size - 1) == 0 || size == sizeof(struct match));
    }
    claim("compress and expand are each other's opposite, and compress never writes more than its room");
}

static void
test_relations(void)
{
    uint64_t state = 2;
    uint32_t n_contained = 0, n_overlapping = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        struct flow_key av, am, bv, bm;
        struct match_buffer a, b;
        random_match(&state, &av, &am);
        random_match(&state, &bv, &bm);
        match_compress(&av, &am, &a.match, sizeof a);
        match_compress(&bv, &bm, &b.match, sizeof b);
        bool contains = true, overlaps = true, covers = true;
        for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
            uint64_t difference = av.words[word] ^ bv.words[word];
            contains = contains && !(am.words[word] & ~bm.words[word]) && !(difference & am.words[word]);
            overlaps = overlaps && !(difference & am.words[word] & bm.words[word]);
            covers = covers && !(difference & am.words[word]);
        }
        CHECK(match_contains(&a.match, &b.match) == contains);
        CHECK(match_overlaps(&a.match, &b.match) == overlaps);
        CHECK(match_covers(&a.match, &bv) == covers);
        CHECK(match_equal(&a.match, &a.match) && match_hash(&a.match, 5) == match_hash(&a.match, 5));
        CHECK(match_equal(&a.match, &b.match)
              == (match_size(&a.match) == match_size(&b.match) && !memcmp(&a, &b, match_size(&a.match))));
        n_contained += contains;
        n_overlapping += overlaps;
    }
    CHECK(n_contained > 10 && n_overlapping > 10);
    claim("containing, overlapping and covering agree with their definitions word by word");
}

static void
test_untrusted(void)
{
    struct match_buffer buffer;
    size_t used;
    memset(&buffer, 0, sizeof buffer);
    CHECK(match_check(&buffer, 15, &used) == EINVAL);
    CHECK(!match_check(&buffer, 16, &used) && used == 16);
    buffer.match.map[0] = 1;
    CHECK(match_check(&buffer, 16, &used) == EINVAL);
    CHECK(match_check(&buffer, 32, &used) == EINVAL);
    buffer.match.words[1] = 0xf0;
    CHECK(!match_check(&buffer, 32, &used) && used == 32);
    buffer.match.words[0] = 0x01;
    CHECK(match_check(&buffer, 32, &used) == EINVAL);
    buffer.match.words[0] = 0x10;
    CHECK(!match_check_exact(&buffer, 32, 1) && match_check_exact(&buffer, 32, 0) == EINVAL);
    CHECK(match_check_exact(&buffer, 40, 1) == EINVAL);
    CHECK(match_check((uint8_t *) &buffer + 4, 32, &used) == EINVAL);
    buffer.match.map[0] = 0;
    buffer.match.map[1] = UINT64_C(1) << (SLUICE_KEY_WORDS - 64);
    CHECK(match_check(&buffer, sizeof buffer, &used) == EINVAL);
    claim("short, misaligned, unknown, unmasked and empty words of untrusted matches are refused");
}

int
main(void)
{
    test_compress_and_expand();
    test_relations();
    test_untrusted();
    return 0;
}
