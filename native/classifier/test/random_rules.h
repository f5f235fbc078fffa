/* What the classifier's tests share: a seeded generator, and random keys, masks and rules that collide often. */
#ifndef CLASSIFIER_TEST_RANDOM_RULES_H
#define CLASSIFIER_TEST_RANDOM_RULES_H 1

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/match.h"
#include "sluice/flow_key.h"

/* Unlike assert(), stays when NDEBUG is defined. */
#define CHECK(CONDITION) \
    ((CONDITION) ? (void) 0 : (fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #CONDITION), abort()))

static inline uint64_t
random_next(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

static inline uint32_t
random_below(uint64_t *state, uint32_t n)
{
    return (uint32_t) (random_next(state) % n);
}

/* A packet's key out of few: TCP or UDP over IPv4 or IPv6, or ARP. */
static inline void
random_key(uint64_t *state, struct flow_key *key)
{
    memset(key, 0, sizeof *key);
    key->in_port = be32(1 + random_below(state, 3));
    key->eth_dst[5] = (uint8_t) random_below(state, 3);
    key->eth_src[5] = (uint8_t) random_below(state, 3);
    uint32_t kind = random_below(state, 5);
    key->eth_type = be16(kind < 3 ? 0x0800 : kind == 3 ? 0x86dd : 0x0806);
    if (kind == 3) {
        key->ipv6_src[0] = (uint8_t) (random_below(state, 4) << 6);
        key->ipv6_src[15] = (uint8_t) random_below(state, 4);
        key->ipv6_dst[7] = (uint8_t) random_below(state, 256);
    } else {
        key->ip_src = be32(0x0a000000 | random_below(state, 4) << 16 | random_below(state, 4));
        key->ip_dst = be32(random_below(state, 4) << 30 | random_below(state, 4) << 14 | random_below(state, 4));
    }
    if (kind < 4) {
        key->ip_proto = random_below(state, 2) ? 6 : 17;
        key->tp_src = be16((uint16_t) (random_below(state, 4) << 14 | random_below(state, 2)));
        key->tp_dst = be16((uint16_t) random_below(state, 4));
    }
    key->metadata = random_below(state, 2);
    key->regs[0] = random_below(state, 2);
}

static inline uint32_t
prefix_mask(uint32_t length)
{
    return length != 0 ? be32(UINT32_MAX << (32 - length)) : 0;
}

/* A mask as people write them: fields whole or left out, prefixes of addresses, now and then any bits of ports. */
static inline void
random_mask(uint64_t *state, struct flow_key *mask)
{
    static const uint8_t lengths[] = { 0, 0, 1, 2, 8, 16, 18, 24, 30, 31, 32, 32 };
    uint64_t bits = random_next(state) & random_next(state);

    memset(mask, 0, sizeof *mask);
    mask->in_port = bits & 1 ? UINT32_MAX : 0;
    mask->eth_dst[5] = bits & 2 ? 0xff : 0;
    mask->eth_src[5] = bits & 4 ? 3 : 0;
    mask->metadata = bits & 8 ? UINT64_MAX : 0;
    mask->regs[0] = bits & 16 ? 1 : 0;
    if (random_below(state, 3) == 0) {
        return;
    }
    mask->eth_type = UINT16_MAX;
    mask->ip_src = prefix_mask(lengths[random_below(state, sizeof lengths)]);
    mask->ip_dst = prefix_mask(lengths[random_below(state, sizeof lengths)]);
    if (bits & 32) {
        mask->ipv6_src[0] = (uint8_t) (0xff00 >> random_below(state, 9));
        mask->ipv6_dst[7] = bits & 64 ? 0x55 : 0;
    }
    if (bits & 128) {
        mask->ip_proto = 0xff;
        mask->tp_src = bits & 256 ? UINT16_MAX : be16((uint16_t) (0xffff0000 >> random_below(state, 17)));
        mask->tp_dst = bits & 512 ? UINT16_MAX : 0;
    }
}

#endif
