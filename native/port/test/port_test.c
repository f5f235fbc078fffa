/* Ports that need no privilege: memory, dummy, pcap and null; configuration strings; offloads in software. */
#undef NDEBUG
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "port/link.h"
#include "port/port.h"

static struct packet_pool *pool;
static struct port_counters port_counters;
static uint32_t n_frames, frame_bytes, n_changed, n_readable;

static _Bool
on_frame(void *aux, uint32_t dp_port, const uint8_t *frame, uint32_t size)
{
    (void) aux, (void) dp_port, (void) frame;
    n_frames++;
    frame_bytes += size;
    return 1;
}

static void
on_changed(void *aux, uint32_t dp_port, int error)
{
    (void) aux, (void) dp_port, (void) error;
    n_changed++;
}

static void
on_readable(void *aux, uint32_t dp_port)
{
    (void) aux, (void) dp_port;
    n_readable++;
}

static const struct port_host host = { on_frame, on_changed, on_readable, NULL, &port_counters };

static uint32_t n_threads = 1;

static int
open_port(uint32_t class, uint32_t number, const char *config, size_t config_size, struct port **port)
{
    const struct port_options options = {
        .dp_port = number,
        .name = "p",
        .config = config,
        .config_size = config_size,
        .n_threads = n_threads,
        .host = &host,
    };

    return port_open(class, &options, port);
}

/* A UDP frame of 'size' bytes over IPv4. */
static void
make_frame(uint8_t *frame, uint32_t size)
{
    static const uint8_t head[38] = {
        2, 0, 0, 0,  0,  2, 2, 0,  0, 0, 0, 1,  8, 0, 0x45, 0, 0, 0, 0,
        0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,    0, 1, 0, 2,
    };

    memset(frame, 0, size);
    memcpy(frame, head, sizeof head);
    put_be16(frame + 16, (uint16_t) (size - 14));
    put_be16(frame + 38, (uint16_t) (size - 34));
}

static void
test_config(void)
{
    static const char good[] = "a=1\0bc=two\0mtu=1400";
    uint64_t value;

    assert(port_config_check(good, sizeof good));
    assert(!port_config_check(good, sizeof good - 1));
    assert(!port_config_check("abc", 4));
    assert(!port_config_check("=x", 3));
    assert(port_config_check(good, 0));
    assert(strcmp(port_config_get(good, sizeof good, "bc"), "two") == 0);
    assert(port_config_get(good, sizeof good, "b") == NULL);
    assert(port_config_number(good, sizeof good, "mtu", 0, 9000, 1, &value) && value == 1400);
    assert(port_config_number(good, sizeof good, "none", 0, 9000, 7, &value) && value == 7);
    assert(!port_config_number(good, sizeof good, "bc", 0, 9000, 7, &value));
    assert(!port_config_number(good, sizeof good, "mtu", 0, 1000, 7, &value));
    puts("ok - configuration strings are judged and read");
}

static void
test_memory(void)
{
    struct packet_batch batch;
    struct sluice_port_info info;
    struct port *port;
    uint8_t frame[200];

    make_frame(frame, sizeof frame);
    assert(open_port(SLUICE_PORT_CLASS_MEMORY, 7, "mtu=300", 8, &port) == 0);
    assert(port_wait_fd(port, 0) == PORT_WAIT_NEVER);
    for (int i = 0; i < 40; i++) {
        assert(port_inject(port, 0, frame, sizeof frame) == 0);
    }
    assert(port_inject(port, 1, frame, sizeof frame) == EINVAL);
    assert(n_readable == 40 && port_wait_fd(port, 0) == PORT_WAIT_BUSY);
    port_rx(port, 0, pool, &batch);
    assert(batch.n == PACKET_BATCH_MAX && batch.packets[3]->in_port == 7 && batch.packets[3]->size == 200);
    port_tx(port, 0, pool, &batch);
    assert(batch.n == 0 && n_frames == 32 && frame_bytes == 6400);
    puts("ok - a memory port gives what was injected, and tells what was transmitted");
    port_rx(port, 0, pool, &batch);
    assert(batch.n == 8);
    batch.packets[0]->size = 14 + 301;
    port_tx(port, 0, pool, &batch);
    assert(n_frames == 39 && port_n_dropped(port, SLUICE_PORT_DROP_TX_TOO_LONG) == 1);
    assert(port_set(port, "up=0", 5) == 0 && n_changed == 1);
    assert(port_set(port, "up=2", 5) == EINVAL);
    assert(port_inject(port, 0, frame, sizeof frame) == 0);
    port_rx(port, 0, pool, &batch);
    assert(batch.n == 0 && port_n_dropped(port, SLUICE_PORT_DROP_RX_DOWN) == 1);
    port_stats(port, &info);
    assert(info.rx_packets == 40 && info.tx_packets == 39 && info.tx_dropped == 1 && info.rx_dropped == 1);
    puts("ok - frames over the MTU, and those of a port that is down, are dropped and counted");
    assert(port_inject(port, 0, frame, sizeof frame) == 0);
    port_close(port);
}

static void
test_segments(void)
{
    struct packet_batch batch = { .n = 1 };
    struct flow_key key;
    struct port *port;
    const uint32_t size = 42 + 4000;

    assert(open_port(SLUICE_PORT_CLASS_MEMORY, 8, NULL, 0, &port) == 0);
    batch.packets[0] = packet_alloc(pool, size);
    make_frame(batch.packets[0]->data, size);
    packet_parse(batch.packets[0], 1, &key);
    batch.packets[0]->gso_type = PACKET_GSO_UDP_L4;
    batch.packets[0]->gso_size = 1000;
    batch.packets[0]->flags = PACKET_CSUM_PARTIAL;
    batch.packets[0]->csum_start = 34;
    batch.packets[0]->csum_offset = 6;
    n_frames = 0;
    frame_bytes = 0;
    port_tx(port, 0, pool, &batch);
    assert(n_frames == 4 && frame_bytes == 4 * 1042);
    puts("ok - a port without offloads gets segments");
    port_close(port);
}

/* Sends a super-frame of 4,000 bytes of payload, to be cut for a greater MTU than the port's. */
static void
send_for_greater_mtu(struct port *port, _Bool is_tcp)
{
    const uint32_t header_size = is_tcp ? 54 : 42;
    struct packet_batch batch = { .n = 1 };
    struct packet *packet = packet_alloc(pool, header_size + 4000);
    struct flow_key key;

    make_frame(packet->data, packet->size);
    if (is_tcp) {
        packet->data[23] = 6;
        packet->data[46] = 0x50;
    }
    packet_parse(packet, 1, &key);
    packet->gso_type = is_tcp ? PACKET_GSO_TCPV4 : PACKET_GSO_UDP_L4;
    packet->gso_size = 1000;
    packet->flags = PACKET_CSUM_PARTIAL;
    packet->csum_start = 34;
    packet->csum_offset = is_tcp ? 16 : 6;
    batch.packets[0] = packet;
    n_frames = 0;
    frame_bytes = 0;
    port_tx(port, 0, pool, &batch);
}

static void
test_smaller_mtu(void)
{
    struct port *port;

    assert(open_port(SLUICE_PORT_CLASS_MEMORY, 8, "mtu=540", 8, &port) == 0);
    send_for_greater_mtu(port, 1);
    assert(n_frames == 8 && frame_bytes == 4000 + 8 * 54);
    send_for_greater_mtu(port, 0);
    assert(n_frames == 0 && port_n_dropped(port, SLUICE_PORT_DROP_TX_TOO_LONG) == 1);
    puts("ok - TCP that was to be cut for a greater MTU is cut for the port's; datagrams of it are dropped");
    port_close(port);
}

static void
test_dummy(void)
{
    struct packet_batch batch;
    struct port *ports[2];
    uint8_t frame[60];

    make_frame(frame, sizeof frame);
    for (int i = 0; i < 2; i++) {
        static const uint8_t mac[4] = { 0xaa, 0x55, 0xaa, 0x55 };
        assert(open_port(SLUICE_PORT_CLASS_DUMMY, (uint32_t) i + 1, NULL, 0, &ports[i]) == 0);
        assert(memcmp(ports[i]->mac, mac, 4) == 0 && ports[i]->mac[5] == i);
    }
    puts("ok - dummy ports count their addresses up from aa:55:aa:55:00:00");
    for (int i = 0; i < 105; i++) {
        assert(port_inject(ports[0], 0, frame, sizeof frame) == 0);
    }
    assert(port_n_dropped(ports[0], SLUICE_PORT_DROP_RX_QUEUE_FULL) == 5);
    uint32_t n = 0;
    do {
        port_rx(ports[0], 0, pool, &batch);
        n += batch.n;
        packet_release_burst(batch.packets, batch.n);
    } while (batch.n != 0);
    assert(n == 100);
    puts("ok - a dummy port's receive queue holds 100 frames");
    batch.n = 2;
    for (int i = 0; i < 2; i++) {
        batch.packets[i] = packet_alloc(pool, 1515 + 3 * (uint32_t) i);
        make_frame(batch.packets[i]->data, batch.packets[i]->size);
    }
    put_be16(batch.packets[1]->data + 12, 0x8100);
    port_tx(ports[0], 0, pool, &batch);
    struct sluice_port_info info;
    port_stats(ports[0], &info);
    assert(info.tx_packets == 1 && info.tx_bytes == 1518 && info.tx_dropped == 1 && info.mtu == 1500);
    puts("ok - a VLAN tag does not count for the MTU");
    assert(port_set(ports[0], "up=0", 5) == 0);
    batch.n = 1;
    batch.packets[0] = packet_alloc(pool, 60);
    make_frame(batch.packets[0]->data, 60);
    port_tx(ports[0], 0, pool, &batch);
    port_stats(ports[0], &info);
    assert(info.up == 0 && info.carrier == 0 && info.tx_packets == 2);
    puts("ok - a dummy port that is down says so, and frames pass it as they do in Open vSwitch");
    port_close(ports[0]);
    port_close(ports[1]);
}

static void
test_dummy_arp(void)
{
    static const uint8_t request[42] = {
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0,  0, 0, 0, 9, 8, 6, 0, 1, 8, 0,  6, 4, 0,
        1,    2,    0,    0,    0,    0,    9, 10, 0, 0, 9, 0, 0, 0, 0, 0, 0, 10, 0, 0, 1,
    };
    struct packet_batch batch = { .n = 1 };
    struct port *port;

    assert(open_port(SLUICE_PORT_CLASS_DUMMY, 1, "ip4addr=10.0.0.1", 17, &port) == 0);
    batch.packets[0] = packet_alloc(pool, sizeof request);
    memcpy(batch.packets[0]->data, request, sizeof request);
    port_tx(port, 0, pool, &batch);
    port_rx(port, 0, pool, &batch);
    assert(batch.n == 1 && get_be16(batch.packets[0]->data + 20) == 2);
    assert(memcmp(batch.packets[0]->data, request + 6, 6) == 0);
    assert(memcmp(batch.packets[0]->data + 28, request + 38, 4) == 0);
    packet_release(batch.packets[0]);
    puts("ok - a dummy port answers ARP for its address");
    port_close(port);
}

static void
test_pcap(void)
{
    char path[] = "/tmp/sluice-port-XXXXXX";
    char config[128];
    struct packet_batch batch;
    struct port *port;
    uint8_t frame[100];

    close(mkstemp(path));
    make_frame(frame, sizeof frame);
    int n = snprintf(config, sizeof config, "tx_pcap=%s", path) + 1;
    assert(open_port(SLUICE_PORT_CLASS_PCAP, 1, config, (size_t) n, &port) == 0);
    batch.n = 3;
    for (int i = 0; i < 3; i++) {
        batch.packets[i] = packet_alloc(pool, sizeof frame);
        memcpy(batch.packets[i]->data, frame, sizeof frame);
    }
    port_tx(port, 0, pool, &batch);
    port_close(port);
    n = snprintf(config, sizeof config, "rx_pcap=%s", path) + 1;
    assert(open_port(SLUICE_PORT_CLASS_PCAP, 1, config, (size_t) n, &port) == 0);
    assert(port_wait_fd(port, 0) == PORT_WAIT_BUSY);
    port_rx(port, 0, pool, &batch);
    assert(batch.n == 3 && memcmp(batch.packets[2]->data, frame, sizeof frame) == 0);
    packet_release_burst(batch.packets, batch.n);
    assert(port_wait_fd(port, 0) == PORT_WAIT_NEVER);
    port_close(port);
    char again[160];
    int size = snprintf(again, sizeof again, "%s", config) + 1;
    size += snprintf(again + size, sizeof again - (size_t) size, "infinite_rx=1") + 1;
    assert(open_port(SLUICE_PORT_CLASS_PCAP, 1, again, (size_t) size, &port) == 0);
    for (int i = 0; i < 3; i++) {
        batch.n = 0;
        port_rx(port, 0, pool, &batch);
        assert(batch.n == PACKET_BATCH_MAX && memcmp(batch.packets[31]->data, frame, sizeof frame) == 0);
        packet_release_burst(batch.packets, batch.n);
        assert(port_wait_fd(port, 0) == PORT_WAIT_BUSY);
    }
    port_close(port);
    assert(open_port(SLUICE_PORT_CLASS_PCAP, 1, "infinite_rx=1", 14, &port) == EINVAL);
    FILE *bad = fopen(path, "w");
    fputs("this is no capture file at all", bad);
    fclose(bad);
    assert(open_port(SLUICE_PORT_CLASS_PCAP, 1, config, (size_t) n, &port) == EPROTO);
    unlink(path);
    assert(open_port(SLUICE_PORT_CLASS_PCAP, 1, config, (size_t) n, &port) == ENOENT);
    puts("ok - a pcap port reads what one wrote, once or over and over, and refuses other files");
}

static void
test_null(void)
{
    struct packet_batch batch;
    struct flow_key key;
    struct port *port;
    uint32_t seen[5] = { 0 };

    assert(open_port(SLUICE_PORT_CLASS_NULL, 1, "flows=5", 8, &port) == 0);
    for (int burst = 0; burst < 5; burst++) {
        port_rx(port, 0, pool, &batch);
        assert(batch.n == PACKET_BATCH_MAX);
        for (uint32_t i = 0; i < batch.n; i++) {
            packet_parse(batch.packets[i], 1, &key);
            assert(key.ip_proto == 17 && batch.packets[i]->l4_type == PACKET_L4_UDP);
            assert(checksum(batch.packets[i]->data + 14, 20) == 0);
            seen[be32(key.ip_src) - 0x0a000000u]++;
        }
        port_tx(port, 0, pool, &batch);
    }
    for (int i = 0; i < 5; i++) {
        assert(seen[i] == 32);
    }
    puts("ok - a null port makes so many flows and swallows all");
    port_close(port);
}

/* A flow stays on one of four transmit queues, wherever it is sent from; flows are spread; nothing is lost. */
static void
test_steering(void)
{
    static const char hash[] = "tx-steering=hash", thread[] = "tx-steering=thread", wrong[] = "tx-steering=odd";
    struct packet_batch batch;
    struct port *port;
    uint64_t before[4], after[4];
    uint32_t used = 0;

    n_threads = 4;
    assert(open_port(SLUICE_PORT_CLASS_NULL, 1, "flows=64", 9, &port) == 0 && port->n_txq == 4);
    n_threads = 1;
    assert(port_set(port, wrong, sizeof wrong) == EINVAL && port_set(port, hash, sizeof hash) == 0);
    for (uint32_t round = 0; round < 4; round++) {
        for (int burst = 0; burst < 2; burst++) {
            port_rx(port, 0, pool, &batch);
            port_tx(port, round, pool, &batch);
        }
        for (uint32_t i = 0; i < 4; i++) {
            after[i] = atomic_load(&port->tx[i].n_packets);
            assert(round == 0 || after[i] == before[i] / round * (round + 1));
            used += after[i] != 0;
        }
        memcpy(before, after, sizeof before);
    }
    assert(used == 16 && after[0] + after[1] + after[2] + after[3] == 256);
    assert(port_set(port, thread, sizeof thread) == 0);
    port_rx(port, 0, pool, &batch);
    port_tx(port, 2, pool, &batch);
    assert(atomic_load(&port->tx[2].n_packets) == after[2] + 32);
    puts("ok - packets are spread over transmit queues by flow, or go by the queue of their thread");
    port_close(port);
}

static void
test_classes(void)
{
    struct port *port;
    struct link link;

    assert(open_port(99, 1, NULL, 0, &port) == ENOTSUP && port == NULL);
    assert(open_port(SLUICE_PORT_CLASS_MEMORY, 1, "n_rxq=17", 9, &port) == EINVAL);
    const struct port_options options = { .dp_port = 1, .name = "slp-none", .host = &host };
    assert(port_open(SLUICE_PORT_CLASS_PACKET, &options, &port) == ENODEV);
    assert(port_open(SLUICE_PORT_CLASS_AFXDP, &options, &port) == ENODEV);
    puts("ok - what cannot be opened says why");
    assert(link_get("lo", &link) == 0 && link.info.ifindex == 1 && link.info.link_flags & IFF_LOOPBACK);
    assert(link_get("slp-none", &link) == ENODEV);
    assert(link_get("a-name-longer-than-the-kernel-takes", &link) == ENODEV);
    puts("ok - a link is found by its name");
}

int
main(void)
{
    const struct packet_pool_options options = { .n_small = 256, .n_large = 8 };
    struct packet_pool_stats stats;

    assert(packet_pool_create(&options, &pool) == 0);
    test_config();
    test_memory();
    test_segments();
    test_smaller_mtu();
    test_dummy_arp();
    atomic_store(&port_counters.n_dummies, 0);
    test_dummy();
    test_pcap();
    test_null();
    test_steering();
    test_classes();
    packet_pool_get_stats(pool, &stats);
    assert(stats.n_small_free == 256 && stats.n_large_free == 8);
    packet_pool_destroy(pool);
    puts("ok - every packet went back to its pool");
    return 0;
}
