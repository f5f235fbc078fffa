/* Asking for the link address of a tunnel's next hop: ARP or neighbour discovery, sent through the bridge that leads
 * there as if the host had. */
#ifndef SLUICE_PIPELINE_SOLICIT_H
#define SLUICE_PIPELINE_SOLICIT_H 1

#include <stdint.h>

struct pipeline;
struct xlate_out;

/* Ethernet, IPv6 and a neighbour solicitation with the source's link address. */
#define SOLICITATION_MAX 86u

/* Requests of one translation at most; the next packet asks for the others. */
#define SOLICITATIONS_MAX 4u

/* A request that a translation wants sent. */
struct solicitation {
    uint32_t bridge;
    uint32_t in_port; /* The OpenFlow port that it comes from. */
    uint32_t size;
    uint8_t frame[SOLICITATION_MAX];
};

struct solicitations {
    uint32_t n;
    struct solicitation all[SOLICITATIONS_MAX];
};

/* Makes the request for 'address' from a device with 'mac' and 'source'; all addresses IPv6 or IPv4-mapped. */
void solicitation_make(struct solicitation *solicitation, const uint8_t mac[6], const uint8_t source[16],
                       const uint8_t address[16]);

/* Translates the request into 'out': what is to be executed on its frame.  As xlate(). */
void solicitation_xlate(struct pipeline *pipeline, const struct solicitation *solicitation, uint64_t now_ms,
                        struct xlate_out *out);

#endif
