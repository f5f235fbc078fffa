/* The two hash functions whose values people see: MurmurHash3 of words and Jenkins' lookup3 of bytes, both in the public
 * domain, begun and finished as Open vSwitch begins and finishes them.
 *
 * Pure; any thread. */
#ifndef PACKET_HASH_H
#define PACKET_HASH_H 1

#include <stddef.h>
#include <stdint.h>

static inline uint32_t
hash_rotate(uint32_t x, unsigned int n)
{
    return x << n | x >> (32 - n);
}

/* Takes one more word into a hash that began with a basis and must be ended. */
static inline uint32_t
hash_add(uint32_t hash, uint32_t word)
{
    hash ^= hash_rotate(word * 0xcc9e2d51u, 15) * 0x1b873593u;
    return hash_rotate(hash, 13) * 5 + 0xe6546b64u;
}

/* Ends a hash; 'final' is a number that its user chose, such as the bytes taken in. */
static inline uint32_t
hash_end(uint32_t hash, uint32_t final)
{
    hash ^= final;
    hash ^= hash >> 16;
    hash *= 0x85ebca6bu;
    hash ^= hash >> 13;
    hash *= 0xc2b2ae35u;
    return hash ^ hash >> 16;
}

/* Hash of two words; a number of 64 bits hashes otherwise. */
static inline uint32_t
hash_two_words(uint32_t a, uint32_t b)
{
    return hash_end(hash_add(hash_add(a, 0), b), 8);
}

/* Hash of an address on a VLAN, by which bonds spread hosts. */
static inline uint32_t
hash_mac(const uint8_t mac[6], uint16_t vlan, uint32_t basis)
{
    uint32_t low = (uint32_t) mac[2] << 24 | (uint32_t) mac[3] << 16 | (uint32_t) mac[4] << 8 | mac[5];
    uint32_t high = (uint32_t) vlan << 16 | (uint32_t) mac[0] << 8 | mac[1];
    return hash_end(hash_add(hash_add(basis, low), high), 8);
}

static inline uint32_t
hash_number(uint64_t number)
{
    return hash_end(hash_add(hash_add(0, (uint32_t) number), (uint32_t) (number >> 32)), 8);
}

/* MurmurHash3 of 'size' bytes; the last word is filled up with zeros. */
uint32_t hash_murmur(const void *bytes, size_t size, uint32_t basis);

/* lookup3 of 'size' bytes, with the words as the machine reads them. */
uint32_t hash_jenkins(const void *bytes, size_t size, uint32_t basis);

#endif
