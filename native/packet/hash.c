#include "packet/hash.h"

#include <string.h>

uint32_t
hash_murmur(const void *bytes_, size_t size, uint32_t basis)
{
    const uint8_t *bytes = bytes_;
    uint32_t hash = basis;

    for (size_t i = 0; i < size; i += sizeof(uint32_t)) {
        uint32_t word = 0;
        memcpy(&word, bytes + i, size - i < sizeof word ? size - i : sizeof word);
        hash = hash_add(hash, word);
    }
    return hash_end(hash, (uint32_t) size);
}

/* One round of lookup3: 'x' takes in 'y', rotated, and 'z' grows. */
static void
jenkins_step(uint32_t *x, uint32_t *y, uint32_t *z, unsigned int n)
{
    *x -= *y;
    *x ^= hash_rotate(*y, n);
    *y += *z;
}

static void
jenkins_mix(uint32_t s[3])
{
    jenkins_step(&s[0], &s[2], &s[1], 4);
    jenkins_step(&s[1], &s[0], &s[2], 6);
    jenkins_step(&s[2], &s[1], &s[0], 8);
    jenkins_step(&s[0], &s[2], &s[1], 16);
    jenkins_step(&s[1], &s[0], &s[2], 19);
    jenkins_step(&s[2], &s[1], &s[0], 4);
}

static void
jenkins_end(uint32_t s[3])
{
    static const struct {
        uint8_t to, from, bits;
    } rounds[] = { { 2, 1, 14 }, { 0, 2, 11 }, { 1, 0, 25 }, { 2, 1, 16 }, { 0, 2, 4 }, { 1, 0, 14 }, { 2, 1, 24 } };

    for (uint32_t i = 0; i < sizeof rounds / sizeof rounds[0]; i++) {
        s[rounds[i].to] ^= s[rounds[i].from];
        s[rounds[i].to] -= hash_rotate(s[rounds[i].from], rounds[i].bits);
    }
}

uint32_t
hash_jenkins(const void *bytes_, size_t size, uint32_t basis)
{
    const uint8_t *bytes = bytes_;
    uint32_t begin = 0xdeadbeef + (uint32_t) size + basis;
    uint32_t state[3] = { begin, begin, begin };

    while (size) {
        uint32_t words[3] = { 0, 0, 0 };
        size_t n = size < sizeof words ? size : sizeof words;
        memcpy(words, bytes, n);
        for (uint32_t i = 0; i < 3; i++) {
            state[i] += words[i];
        }
        if (n == sizeof words) {
            jenkins_mix(state);
        } else {
            jenkins_end(state);
        }
        bytes += n;
        size -= n;
    }
    return state[2];
}
