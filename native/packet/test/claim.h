/* For unit tests: one line a claim. */
#ifndef PACKET_TEST_CLAIM_H
#define PACKET_TEST_CLAIM_H 1

#include <stdio.h>
#include <stdlib.h>

/* Ends the test unless 'condition' holds. */
#define CHECK(CONDITION) \
    do { \
        if (!(CONDITION)) { \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #CONDITION); \
            exit(1); \
        } \
    } while (0)

static inline void
claim(const char *text)
{
    printf("ok - %s\n", text);
}

/* Numbers that are the same in every run (xorshift64*). */
static inline uint64_t
random_next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(2685821657736338717);
}

#endif
