/* The headers of a tunnel's packets: built once for a megaflow, put before each packet, taken off again.
 *
 * Threads.  Any; what is passed in is the caller's. */
#ifndef TUNNEL_HEADER_H
#define TUNNEL_HEADER_H 1

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "packet/packet.h"
#include "sluice/flow_key.h"
#include "sluice/records.h"

/* Ethernet, IPv4 and GRE; less cannot be a header. */
#define TUNNEL_HEADER_MIN 38u

/* Bytes of a packet's Geneve options. */
#define TUNNEL_OPTIONS_MAX 252u

/* Ethernet, IPv6 and the longest header of a tunnel protocol, with Geneve options. */
#define TUNNEL_HEADER_MAX (128u + TUNNEL_OPTIONS_MAX)

/* Sequence counters; tunnels share them by number. */
#define TUNNEL_SEQUENCES 1024u

/* Bits of the key's tun_flags.  The first one is OpenFlow's, the others are the datapath's. */
#define TUN_FLAG_OAM 1u
#define TUN_FLAG_DONT_FRAGMENT 2u
#define TUN_FLAG_CSUM 4u
#define TUN_FLAG_KEY 8u

struct tunnel_header {
    uint8_t bytes[TUNNEL_HEADER_MAX];
    uint16_t size;
    uint8_t type;  /* enum sluice_tunnel_type: over IPv6 another one than the port's. */
    uint8_t flags; /* enum sluice_push_flag */
    uint8_t ip_proto;
    bool is_ipv6;
};

/* Where headers go on the link. */
struct tunnel_link {
    uint8_t source_mac[6];
    uint8_t next_hop_mac[6];
    uint8_t source[16]; /* IPv6 or IPv4-mapped. */
};

/* Builds the headers of packets that leave by 'tunnel', from the key's tunnel words and packet type.  False if the
 * tunnel cannot carry such packets: a protocol that is not built here, an ERSPAN session over 10 bits, ... */
bool tunnel_header_build(const struct sluice_tunnel *tunnel, const struct flow_key *key, const struct tunnel_link *link,
                         struct tunnel_header *header);

/* Adds 'size' bytes of options to a Geneve header; none to any other.  False if they do not fit. */
bool tunnel_header_put_options(struct tunnel_header *header, const uint8_t *options, uint32_t size);

/* Puts the header of 'push' before the packet, which must have been parsed and must not be one to be segmented, and
 * fills in lengths, checksums, the UDP source port and 'sequence', which counts up.  The packet is then one without
 * offsets: parse it before it is rewritten.  False if the header does not fit. */
bool tunnel_push(struct packet *packet, const struct sluice_dp_action_tunnel_push *push, _Atomic uint32_t *sequence);

/* Takes the headers of a tunnel of 'type' off a parsed packet and notes in its metadata what they said.  False if they
 * are not those of such a tunnel, or damaged; then the packet is as it was. */
bool tunnel_pop(struct packet *packet, uint32_t type);

#endif
