/* Prints the flow key of each frame of a pcap file: one line a frame, each member as NAME=HEX.  With "compose", prints
 * instead the bytes of the frame that is composed of that key.
 * Used by the tests in test/packet, which compare it with what Open vSwitch says. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet/compose.h"
#include "packet/parse.h"

/* clang-format off */
#define MEMBERS(X) \
    X(eth_dst) \
    X(eth_src) \
    X(eth_type) \
    X(vlan0_tpid) \
    X(vlan0_tci) \
    X(vlan1_tpid) X(vlan1_tci) X(mpls0_lse) X(mpls1_lse) X(mpls2_lse) X(ipv6_src) X(ipv6_dst) X(ip_src) X(ip_dst) \
        X(ipv6_label) X(ip_frag) X(ip_tos) X(ip_ttl) X(ip_proto) X(nd_target) X(arp_sha) X(arp_tha) X(tcp_flags) \
            X(nsh_flags) X(nsh_ttl) X(nsh_mdtype) X(nsh_np) X(nsh_path_hdr) X(nsh_c1) X(nsh_c2) X(nsh_c3) X(nsh_c4) \
                X(tp_src) X(tp_dst) X(nd_reserved) X(nd_options_type) X(igmp_group)
/* clang-format on */

static void
print_member(const char *name, const void *member, size_t size)
{
    const uint8_t *bytes = member;
    printf("%s=", name);
    for (size_t i = 0; i < size; i++) {
        printf("%02x", bytes[i]);
    }
    putchar(' ');
}

static void
print_key(const struct flow_key *key)
{
#define PRINT(NAME) print_member(#NAME, &key->NAME, sizeof key->NAME);
    MEMBERS(PRINT)
    putchar('\n');
}

static void
print_composed(const struct flow_key *key)
{
    static uint8_t buffer[PACKET_COMPOSE_SIZE_MAX];
    struct packet packet;
    packet_wrap(&packet, buffer, sizeof buffer, 0, 0);
    packet_compose(&packet, key);
    for (uint32_t i = 0; i < packet.size; i++) {
        printf("%02x", packet.data[i]);
    }
    putchar('\n');
}

int
main(int argc, char **argv)
{
    FILE *file = argc >= 2 ? fopen(argv[1], "rb") : NULL;
    uint8_t header[24];
    if (!file || fread(header, sizeof header, 1, file) != 1) {
        fprintf(stderr, "usage: parse_pcap FILE [compose]\n");
        return 1;
    }

    uint32_t record[4];
    while (fread(record, sizeof record, 1, file) == 1) {
        /* A buffer of exactly the frame's size, so that a sanitizer sees every read behind its end. */
        uint8_t *frame = malloc(record[2] ? record[2] : 1);
        if (!frame || fread(frame, 1, record[2], file) != record[2]) {
            return 1;
        }
        struct packet packet;
        struct flow_key key;
        packet_wrap(&packet, frame, record[2], 0, record[2]);
        packet_parse(&packet, 2, &key);
        if (argc == 3 && !strcmp(argv[2], "compose")) {
            print_composed(&key);
        } else {
            print_key(&key);
        }
        free(frame);
    }
    fclose(file);
    return 0;
}
