/* Packets, the pools that they come from, and batches of them.
 *
 * A packet is a header (struct packet) and a buffer that holds a frame with room before and after it.  Most frames begin
 * with an Ethernet header; 'bare_type' tells of those that do not.  Pools
 * allocate all of their buffers when they are made; after that nothing on a packet's way allocates.
 *
 * Ownership.  Whoever holds a packet pointer by a function that says that it "takes" packets must pass them on or
 * release them, exactly once.  Other functions borrow.
 *
 * Threads.  A packet has one owner at a time and no lock.  A pool belongs to one thread: only that thread allocates
 * from it and calls packet_release() on its packets; any other thread must use packet_release_remote(). */
#ifndef PACKET_PACKET_H
#define PACKET_PACKET_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Packets in a batch at most. */
#define PACKET_BATCH_MAX 32

/* Room before a frame that packet_alloc() leaves, for tags and encapsulation. */
#define PACKET_HEADROOM 256

/* Greatest frame of each class of buffer.  A large one holds an IP packet of 64 KiB with its Ethernet header and tags:
 * what a TSO sender hands over. */
#define PACKET_SMALL_SIZE 2048
#define PACKET_LARGE_SIZE 65664

/* The value of an offset that is not there. */
#define PACKET_NO_OFFSET UINT16_MAX

/* What is at 'l3_ofs'. */
enum packet_l3 {
    PACKET_L3_NONE,
    PACKET_L3_IPV4,
    PACKET_L3_IPV6,
    PACKET_L3_ARP, /* ARP or RARP of IPv4 over Ethernet, whole. */
    PACKET_L3_NSH, /* With a valid NSH header. */
};

/* What is at 'l4_ofs', with its fixed header whole.  NONE in later fragments. */
enum packet_l4 {
    PACKET_L4_NONE,
    PACKET_L4_TCP,
    PACKET_L4_UDP,
    PACKET_L4_SCTP,
    PACKET_L4_ICMP,
    PACKET_L4_ICMPV6,
    PACKET_L4_IGMP,
};

/* Bits of 'flags'. */
#define PACKET_CSUM_PARTIAL \
    0x01u                       /* The L4 checksum field holds the folded sum of the pseudo-header, not complemented;
                                   * whoever transmits sums from 'csum_start' on into 'csum_start' + 'csum_offset'.
                                   * As VIRTIO_NET_HDR_F_NEEDS_CSUM. */
#define PACKET_CSUM_VALID 0x02u /* The L4 checksum was verified.  As VIRTIO_NET_HDR_F_DATA_VALID. */
#define PACKET_HASH_VALID 0x04u /* 'hash' holds a hash of the 5-tuple that the device computed. */
#define PACKET_ROUTED \
    0x08u                     /* IPv6 with a routing header that has segments left: the destination that L4's
                                   * checksum covers is not the one in the IPv6 header.  Set by parsing. */
#define PACKET_METADATA 0x10u /* 'metadata' holds something; else its bytes mean nothing. */

/* 'gso_type': numbered as VIRTIO_NET_HDR_GSO_*. */
#define PACKET_GSO_NONE 0
#define PACKET_GSO_TCPV4 1
#define PACKET_GSO_TCPV6 4
#define PACKET_GSO_UDP_L4 5
#define PACKET_GSO_ECN 0x80 /* A bit besides TCPV4 or TCPV6: CWR goes into the first segment only. */

struct packet;

/* Who a packet's buffer goes back to.  A port that receives into memory of its own (a umem) makes one of these and puts
 * it into the packets that it gives out; pools have one inside. */
struct packet_owner {
    /* Takes back 'n' packets, all of this owner.  Called by the thread that received them. */
    void (*release)(struct packet_owner *owner, struct packet *const *packets, uint32_t n);
};

/* What actions gave to a packet besides its bytes, for the next time that it is looked up.  Host order. */
struct packet_metadata {
    uint32_t recirc_id;
    uint32_t dp_hash;
    bool is_tunneled; /* Came out of a tunnel: 'tunnel' holds the key's words of it. */
    uint16_t options_size;
    uint64_t tunnel[8];   /* As in the key. */
    uint8_t options[252]; /* Geneve's, as the packet had them. */
};

struct packet {
    /* The frame.  'data' is within ['base', 'base' + 'capacity'). */
    uint8_t *data;
    uint32_t size;
    uint32_t in_port; /* Datapath port that received the packet. */

    /* Set by parsing, relative to 'data'; kept right by rewriting and by tag pushes. */
    uint16_t l2_5_ofs; /* First MPLS label stack entry. */
    uint16_t l3_ofs;
    uint16_t l4_ofs; /* Behind the IP header and IPv6 extension headers, also if 'l4_type' is NONE. */
    uint8_t l3_type; /* enum packet_l3 */
    uint8_t l4_type; /* enum packet_l4 */

    /* Offloads, in virtio-net's terms. */
    uint8_t flags;
    uint8_t gso_type;
    uint16_t gso_size;   /* Payload bytes of each segment. */
    uint16_t csum_start; /* Relative to 'data'. */
    uint16_t csum_offset;

    uint16_t rx_queue;
    uint16_t bare_type; /* 0: the frame begins with an Ethernet header.  Otherwise it begins with what follows one, and
                         * this is the Ethernet type of that, in host order: OpenFlow's packet type (1, bare_type). */
    uint32_t hash;

    uint32_t l4_size;      /* Bytes from 'l4_ofs' to the end of the IP payload, padding excluded.  Set by parsing. */
    uint32_t skb_priority; /* Host order; chooses the output queue. */
    uint32_t pkt_mark;     /* Host order. */
    uint32_t capacity;
    struct packet_owner *owner; /* Null for packet_wrap(). */

    /* Another cache line. */
    uint8_t *base;
    struct packet *next; /* For the owner's lists; others leave it alone. */
    struct packet_metadata metadata;
};
_Static_assert(offsetof(struct packet, base) == 64, "what forwarding touches is in one cache line");

/* OpenFlow's packet type, in host order: namespace, then type. */
static inline uint32_t
packet_type(const struct packet *packet)
{
    return packet->bare_type ? UINT32_C(0x10000) | packet->bare_type : 0;
}

struct packet_batch {
    uint32_t n;
    struct packet *packets[PACKET_BATCH_MAX];
};

/* Pools. */

struct packet_pool;

struct packet_pool_options {
    uint32_t n_small; /* Buffers of PACKET_SMALL_SIZE; 0 for the default, 8192. */
    uint32_t n_large; /* Buffers of PACKET_LARGE_SIZE; 0 for the default, 256. */
};

struct packet_pool_stats {
    uint32_t n_small;
    uint32_t n_small_free;
    uint32_t n_large;
    uint32_t n_large_free;
    uint64_t n_exhausted; /* Allocations that failed. */
};

/* Makes a pool in '*pool'; the caller destroys it.  Memory is reserved now and touched when first used.  ENOMEM. */
int packet_pool_create(const struct packet_pool_options *options, struct packet_pool **pool);

/* Frees the pool.  All of its packets must have been released.  Null is fine. */
void packet_pool_destroy(struct packet_pool *pool);

/* Free counts are as the owning thread sees them; other threads get an estimate. */
void packet_pool_get_stats(const struct packet_pool *pool, struct packet_pool_stats *stats);

/* A packet with room for 'size' bytes behind PACKET_HEADROOM; its 'size' is set to 'size', the bytes are whatever was
 * there, and all else is as packet_reset() leaves it.  The caller owns it.  Null, and counted, if none is free or
 * 'size' is over PACKET_LARGE_SIZE. */
struct packet *packet_alloc(struct packet_pool *pool, uint32_t size);

/* Allocates up to 'n' packets at once (for a receive ring).  Returns how many it got; a shortfall counts once. */
uint32_t packet_alloc_burst(struct packet_pool *pool, uint32_t size, struct packet **packets, uint32_t n);

/* Gives packets back to their owners.  Takes them.  Only on the thread that they belong to. */
void packet_release(struct packet *packet);
void packet_release_burst(struct packet *const *packets, uint32_t n);

/* Gives a pool's packet back from any thread.  The pool sees it when it runs dry.  Takes the packet. */
void packet_release_remote(struct packet *packet);

/* A copy of the first 'size_max' bytes (all of them if less), with everything known of the packet; the caller owns it.
 * A copy that is shorter than the packet has no offloads: complete the checksum first if it matters.
 * Null, and counted by the pool, if there is no buffer. */
struct packet *packet_clone(struct packet_pool *pool, const struct packet *packet, uint32_t size_max);

/* Single packets. */

/* Makes a packet of foreign memory: 'size' bytes at 'headroom' into a buffer of 'capacity' bytes at 'base'.  It has no
 * owner: packet_release() must not be called on it. */
void packet_wrap(struct packet *packet, void *base, uint32_t capacity, uint32_t headroom, uint32_t size);

/* The packet's metadata to be written; zero if it had none. */
struct packet_metadata *packet_metadata(struct packet *packet);

/* Forgets offsets, offloads and metadata; keeps buffer, data, size and owner. */
void packet_reset(struct packet *packet);

static inline uint32_t
packet_headroom(const struct packet *packet)
{
    return (uint32_t) (packet->data - packet->base);
}

static inline uint32_t
packet_tailroom(const struct packet *packet)
{
    return packet->capacity - packet_headroom(packet) - packet->size;
}

/* Moves the first 'keep' bytes of the frame 'n' bytes towards the front and so opens a gap of 'n' bytes behind them.
 * Offsets behind the gap follow.  Returns false and changes nothing if the headroom is too small. */
bool packet_open_gap(struct packet *packet, uint32_t keep, uint32_t n);

/* The opposite: removes the 'n' bytes at 'keep'.  The frame must have them. */
void packet_close_gap(struct packet *packet, uint32_t keep, uint32_t n);

/* Cuts the frame to 'size' bytes at most; offloads go if anything is cut. */
void packet_truncate(struct packet *packet, uint32_t size);

#endif
