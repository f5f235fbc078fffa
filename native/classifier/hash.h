/* Hashing of 64-bit words: one multiplication each, for hash tables only.  Not secret without a secret seed. */
#ifndef CLASSIFIER_HASH_H
#define CLASSIFIER_HASH_H 1

#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Adds a word to a hash under way. */
static inline uint64_t
hash_word(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 32);
}

/* Ends a hash. */
static inline uint32_t
hash_finish(uint64_t hash)
{
    hash *= UINT64_C(0xd6e8feb86659fd93);
    return (uint32_t) (hash >> 32);
}

/* Adds bytes. */
static inline uint64_t
hash_bytes(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *p = bytes;
    uint64_t word;

    for (; size >= 8; p += 8, size -= 8) {
        memcpy(&word, p, 8);
        hash = hash_word(hash, word);
    }
    if (size != 0) {
        word = 0;
        memcpy(&word, p, size);
        hash = hash_word(hash, word);
    }
    return hash;
}

#endif
