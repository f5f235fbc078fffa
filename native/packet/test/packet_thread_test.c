#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "packet/packet.h"
#include "packet/test/claim.h"

static struct packet_pool *
make_pool(uint32_t n_small, uint32_t n_large)
{
    struct packet_pool *pool;
    const struct packet_pool_options options = { .n_small = n_small, .n_large = n_large };
    CHECK(!packet_pool_create(&options, &pool));
    return pool;
}

static void
test_pool_is_bounded(void)
{
    struct packet_pool *pool = make_pool(4, 2);
    struct packet *packets[8];
    struct packet_pool_stats stats;
    CHECK(packet_alloc_burst(pool, 100, packets, 8) == 4);
    CHECK(packet_alloc(pool, 100) == NULL);
    packet_pool_get_stats(pool, &stats);
    CHECK(stats.n_exhausted == 2 && stats.n_small_free == 0 && stats.n_large_free == 2);
    struct packet *large = packet_alloc(pool, PACKET_LARGE_SIZE);
    CHECK(large && packet_headroom(large) == PACKET_HEADROOM && packet_tailroom(large) == 0);
    memset(large->data, 0xaa, large->size);
    CHECK(packet_alloc(pool, PACKET_LARGE_SIZE + 1) == NULL);
    packet_release(large);
    packet_release_burst(packets, 4);
    packet_pool_get_stats(pool, &stats);
    CHECK(stats.n_small_free == 4 && stats.n_large_free == 2);
    packet_pool_destroy(pool);
    packet_pool_destroy(NULL);
    claim("a pool gives what it was made with, counts what it could not give, and takes all back");
}

static void
test_clone(void)
{
    struct packet_pool *pool = make_pool(4, 2);
    struct packet *packet = packet_alloc(pool, 3000);
    for (uint32_t i = 0; i < packet->size; i++) {
        packet->data[i] = (uint8_t) i;
    }
    packet->in_port = 7;
    packet->flags = PACKET_CSUM_PARTIAL;
    packet->csum_start = 34;
    packet->gso_type = PACKET_GSO_TCPV4;
    packet->pkt_mark = 9;
    packet->l3_ofs = 14;
    struct packet *whole = packet_clone(pool, packet, UINT32_MAX);
    CHECK(whole->size == 3000 && !memcmp(whole->data, packet->data, 3000));
    CHECK(whole->in_port == 7 && whole->flags == PACKET_CSUM_PARTIAL && whole->gso_type == PACKET_GSO_TCPV4);
    CHECK(whole->csum_start == 34 && whole->pkt_mark == 9 && whole->l3_ofs == 14);
    struct packet *cut = packet_clone(pool, packet, 60);
    CHECK(cut->size == 60 && !memcmp(cut->data, packet->data, 60) && cut->capacity < whole->capacity);
    CHECK(!cut->flags && !cut->gso_type && cut->in_port == 7);
    packet_release(packet);
    packet_release(whole);
    packet_release(cut);
    packet_pool_destroy(pool);
    claim("a clone knows what its original knows, and a shorter one has no offloads");
}

static void
test_gaps(void)
{
    uint8_t buffer[64];
    struct packet packet;
    packet_wrap(&packet, buffer, sizeof buffer, 4, 30);
    for (uint32_t i = 0; i < 30; i++) {
        packet.data[i] = (uint8_t) i;
    }
    packet.l3_ofs = 14;
    packet.flags = PACKET_CSUM_PARTIAL;
    packet.csum_start = 20;
    CHECK(packet_open_gap(&packet, 12, 4));
    CHECK(packet.size == 34 && packet.data[11] == 11 && packet.data[16] == 12 && packet.l3_ofs == 18);
    CHECK(packet.csum_start == 24 && packet.l4_ofs == PACKET_NO_OFFSET);
    CHECK(!packet_open_gap(&packet, 12, 4));
    packet_close_gap(&packet, 12, 4);
    for (uint32_t i = 0; i < 30; i++) {
        CHECK(packet.data[i] == i);
    }
    CHECK(packet.size == 30 && packet.l3_ofs == 14 && packet.csum_start == 20);
    claim("a gap moves the offsets behind it, and closing it restores the frame");
}

static void *
release_all(void *packets_)
{
    struct packet **packets = packets_;
    for (uint32_t i = 0; i < 64; i++) {
        packet_release_remote(packets[i]);
    }
    return NULL;
}

static void
test_remote_release(void)
{
    struct packet_pool *pool = make_pool(128, 1);
    for (uint32_t round = 0; round < 50; round++) {
        struct packet *packets[128];
        pthread_t threads[2];
        uint32_t n = packet_alloc_burst(pool, 64, packets, 128);
        CHECK(n == 128);
        for (uint32_t i = 0; i < 2; i++) {
            CHECK(!pthread_create(&threads[i], NULL, release_all, packets + 64 * i));
        }
        for (uint32_t i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
        }
    }
    packet_pool_destroy(pool);
    claim("packets that other threads release come back to the pool");
}

int
main(void)
{
    test_pool_is_bounded();
    test_clone();
    test_gaps();
    test_remote_release();
    return 0;
}
