#include "pipeline/solicit.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/headers.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pipeline/field.h"
#include "pipeline/xlate.h"
#include "sluice/records.h"

#define ARP_REQUEST 1u

static void
make_arp(struct solicitation *s, const uint8_t mac[6], const uint8_t source[4], const uint8_t address[4])
{
    static const uint8_t head[8] = { 0, 1, 8, 0, 6, 4, 0, ARP_REQUEST };
    uint8_t *frame = s->frame;
    uint8_t *arp = frame + ETH_SIZE;
    s->size = ETH_SIZE + ARP_SIZE;
    memset(frame, 0, s->size);
    memset(frame, 0xff, 6);
    memcpy(frame + 6, mac, 6);
    put_be16(frame + 12, ETH_TYPE_ARP);
    memcpy(arp, head, sizeof head);
    memcpy(arp + 8, mac, 6);
    memcpy(arp + 14, source, 4);
    memcpy(arp + 24, address, 4);
}

static void
make_nd(struct solicitation *s, const uint8_t mac[6], const uint8_t source[16], const uint8_t address[16])
{
    const uint32_t payload_size = ND_SIZE + ND_OPTION_SIZE;
    uint8_t *frame = s->frame;
    uint8_t *ip = frame + ETH_SIZE;
    uint8_t *nd = ip + IPV6_SIZE;
    s->size = ETH_SIZE + IPV6_SIZE + payload_size;
    memset(frame, 0, s->size);
    /* The solicited-node multicast address ends as the address does, and so does its Ethernet address. */
    frame[0] = frame[1] = 0x33;
    frame[2] = 0xff;
    memcpy(frame + 3, address + 13, 3);
    memcpy(frame + 6, mac, 6);
    put_be16(frame + 12, ETH_TYPE_IPV6);
    ip[0] = 0x60;
    put_be16(ip + 4, (uint16_t) payload_size);
    ip[6] = PROTO_ICMPV6;
    ip[7] = 255;
    memcpy(ip + 8, source, 16);
    ip[24] = 0xff;
    ip[25] = 2;
    ip[35] = 1;
    ip[36] = 0xff;
    memcpy(ip + 37, address + 13, 3);
    nd[0] = ND_SOLICIT;
    memcpy(nd + 8, address, 16);
    nd[ND_SIZE] = ND_OPTION_SLL;
    nd[ND_SIZE + 1] = 1;
    memcpy(nd + ND_SIZE + 2, mac, 6);
    const uint8_t tail[8] = { 0, 0, 0, (uint8_t) payload_size, 0, 0, 0, PROTO_ICMPV6 };
    uint32_t sum = checksum_add(checksum_add(0, tail, sizeof tail), ip + 8, 32);
    put_raw16(nd + 2, (uint16_t) ~checksum_fold(checksum_add(sum, nd, payload_size)));
}

void
solicitation_make(struct solicitation *solicitation, const uint8_t mac[6], const uint8_t source[16],
                  const uint8_t address[16])
{
    static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
    if (!memcmp(address, mapped, sizeof mapped)) {
        make_arp(solicitation, mac, source + 12, address + 12);
    } else {
        make_nd(solicitation, mac, source, address);
    }
}

void
solicitation_xlate(struct pipeline *pipeline, const struct solicitation *solicitation, uint64_t now_ms,
                   struct xlate_out *out)
{
    const struct sluice_action_output action = {
        .opcode = SLUICE_ACTION_OUTPUT,
        .size = sizeof action,
        .port = PORT_TABLE,
    };
    struct packet packet;
    struct flow_key key;
    packet_wrap(&packet, (void *) solicitation->frame, solicitation->size, 0, solicitation->size);
    packet_parse(&packet, 0, &key);
    const struct xlate_in in = {
        .key = &key,
        .now_ms = now_ms,
        .learn = true,
        .bridge = solicitation->bridge,
        .in_port = solicitation->in_port,
        .actions = &action,
        .actions_size = sizeof action,
    };
    xlate(pipeline, &in, out);
}
