/* How long does parsing take?  Prints one JSON line for each kind of frame: nanoseconds and, where the machine has a
 * time-stamp counter, cycles of it per packet, best of several rounds.
 * cc -std=gnu11 -D_GNU_SOURCE -O2 -Inative -Inative/include \
 *     native/packet/{bench/parse_bench,packet,parse,compose,checksum}.c */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "packet/bytes.h"
#include "packet/compose.h"
#include "packet/headers.h"
#include "packet/parse.h"

#if __x86_64__
#include <x86intrin.h>
#define CYCLES() __rdtsc()
#else
#define CYCLES() UINT64_C(0)
#endif

#define N_ROUNDS 20
#define N_BURSTS 20000

static uint64_t
now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t) time.tv_sec * 1000000000u + (uint64_t) time.tv_nsec;
}

static void
bench(const char *name, struct packet_pool *pool, const struct flow_key *key, uint32_t size)
{
    static struct flow_key keys[PACKET_BATCH_MAX];
    static uint64_t maps[PACKET_BATCH_MAX];
    struct packet *packets[PACKET_BATCH_MAX];
    memset(keys, 0, sizeof keys);
    memset(maps, 0, sizeof maps);
    for (uint32_t i = 0; i < PACKET_BATCH_MAX; i++) {
        packets[i] = packet_alloc(pool, PACKET_SMALL_SIZE);
        packet_compose(packets[i], key);
        packets[i]->data[packets[i]->l4_ofs + 1] = (uint8_t) i;
        if (size) {
            packets[i]->size = size;
            put_be16(packets[i]->data + packets[i]->l3_ofs + 2, (uint16_t) (size - packets[i]->l3_ofs));
        }
    }
    double best_ns = 1e9, best_cycles = 1e9;
    for (uint32_t round = 0; round < N_ROUNDS; round++) {
        uint64_t ns = now_ns();
        uint64_t cycles = CYCLES();
        for (uint32_t i = 0; i < N_BURSTS; i++) {
            packet_parse_burst(packets, PACKET_BATCH_MAX, 1, keys, maps);
            __asm__ volatile("" ::: "memory");
        }
        double n = (double) N_BURSTS * PACKET_BATCH_MAX;
        double round_cycles = (double) (CYCLES() - cycles) / n;
        double round_ns = (double) (now_ns() - ns) / n;
        best_cycles = round_cycles < best_cycles ? round_cycles : best_cycles;
        best_ns = round_ns < best_ns ? round_ns : best_ns;
    }
    printf("{\"bench\":\"parse\",\"frame\":\"%s\",\"ns\":%.2f,\"cycles\":%.1f}\n", name, best_ns, best_cycles);
    packet_release_burst(packets, PACKET_BATCH_MAX);
}

int
main(void)
{
    struct packet_pool *pool;
    struct flow_key key;
    if (packet_pool_create(NULL, &pool)) {
        return 1;
    }
    memset(&key, 0, sizeof key);
    key.eth_dst[5] = 1;
    key.eth_type = be16(ETH_TYPE_IPV4);
    key.ip_ttl = 64;
    key.ip_src = be32(0x0a000001);
    key.ip_dst = be32(0x0a000002);
    key.ip_proto = PROTO_UDP;
    bench("udp 60", pool, &key, 60);
    key.ip_proto = PROTO_TCP;
    key.tcp_flags = be16(0x10);
    bench("tcp", pool, &key, 0);
    key.vlan0_tpid = be16(ETH_TYPE_VLAN);
    key.vlan0_tci = be16(0x1005);
    bench("tcp in a vlan", pool, &key, 0);
    key.eth_type = be16(ETH_TYPE_IPV6);
    key.vlan0_tpid = key.vlan0_tci = 0;
    bench("tcp over ipv6", pool, &key, 0);
    packet_pool_destroy(pool);
    return 0;
}
