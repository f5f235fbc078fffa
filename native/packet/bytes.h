/* Unaligned access to big-endian bytes, and byte-order of words of the flow key.
 *
 * Functions named get_ and put_ take any address.  Members of struct flow_key hold their bytes in network order, so
 * that a member copied from a packet needs no swap; be16() and be32() convert between that and a number. */
#ifndef PACKET_BYTES_H
#define PACKET_BYTES_H 1

#include <stdint.h>
#include <string.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "The flow-table ABI is little-endian; this machine is not."
#endif

static inline uint16_t
be16(uint16_t value)
{
    return __builtin_bswap16(value);
}

static inline uint32_t
be32(uint32_t value)
{
    return __builtin_bswap32(value);
}

static inline uint64_t
be64(uint64_t value)
{
    return __builtin_bswap64(value);
}

/* Raw bytes, in the machine's order: what a member of the flow key holds. */
static inline uint16_t
get_raw16(const void *bytes)
{
    uint16_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint32_t
get_raw32(const void *bytes)
{
    uint32_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline uint64_t
get_raw64(const void *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof value);
    return value;
}

static inline void
put_raw16(void *bytes, uint16_t value)
{
    memcpy(bytes, &value, sizeof value);
}

static inline void
put_raw32(void *bytes, uint32_t value)
{
    memcpy(bytes, &value, sizeof value);
}

static inline void
put_raw64(void *bytes, uint64_t value)
{
    memcpy(bytes, &value, sizeof value);
}

/* Numbers in network order. */
static inline uint16_t
get_be16(const void *bytes)
{
    return be16(get_raw16(bytes));
}

static inline uint32_t
get_be32(const void *bytes)
{
    return be32(get_raw32(bytes));
}

static inline void
put_be16(void *bytes, uint16_t value)
{
    put_raw16(bytes, be16(value));
}

static inline void
put_be32(void *bytes, uint32_t value)
{
    put_raw32(bytes, be32(value));
}

#endif
