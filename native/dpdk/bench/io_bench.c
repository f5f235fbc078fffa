/* What DPDK's devices cost without a switch between them: takes bursts from device 0 and gives them to device 1.
 *
 * usage: io_bench EAL-ARGUMENTS -- packed|pages SECONDS
 *
 * "pages" makes the buffers by rte_pktmbuf_pool_create(), which without huge pages puts no two of them onto one page;
 * "packed" as native/dpdk/port.c does.  Prints a line of JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>

#define N_BUFFERS 16383u
#define CACHE_SIZE 64u
#define N_DESCRIPTORS 2048
#define BURST 32

static struct rte_mempool *
make_pool(int packed)
{
    struct rte_pktmbuf_pool_private private = { .mbuf_data_room_size = RTE_MBUF_DEFAULT_BUF_SIZE };
    struct rte_mempool *pool;

    if (!packed) {
        return rte_pktmbuf_pool_create("io", N_BUFFERS, CACHE_SIZE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    }
    pool = rte_mempool_create_empty("io", N_BUFFERS, sizeof(struct rte_mbuf) + RTE_MBUF_DEFAULT_BUF_SIZE, CACHE_SIZE,
                                    sizeof private, SOCKET_ID_ANY, RTE_MEMPOOL_F_NO_IOVA_CONTIG);
    if (pool == NULL || rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) != 0) {
        return NULL;
    }
    rte_pktmbuf_pool_init(pool, &private);
    if (rte_mempool_populate_default(pool) < 0) {
        return NULL;
    }
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    return pool;
}

static int
start(uint16_t device, struct rte_mempool *pool)
{
    struct rte_eth_conf conf;
    int error;

    memset(&conf, 0, sizeof conf);
    error = rte_eth_dev_configure(device, 1, 1, &conf);
    if (error == 0) {
        error = rte_eth_rx_queue_setup(device, 0, N_DESCRIPTORS, SOCKET_ID_ANY, NULL, pool);
    }
    if (error == 0) {
        error = rte_eth_tx_queue_setup(device, 0, N_DESCRIPTORS, SOCKET_ID_ANY, NULL);
    }
    return error == 0 ? rte_eth_dev_start(device) : error;
}

/* Carries bursts for 'n_cycles' of the time-stamp counter.  Returns the packets, and in '*n_cycles' how long it took. */
static uint64_t
carry(uint64_t *n_cycles)
{
    uint64_t begin = rte_rdtsc(), n_packets = 0, now;

    do {
        for (int i = 0; i < 1000; i++) {
            struct rte_mbuf *mbufs[BURST];
            uint16_t n = rte_eth_rx_burst(0, 0, mbufs, BURST);
            uint16_t n_sent = rte_eth_tx_burst(1, 0, mbufs, n);
            n_packets += n;
            while (n_sent < n) {
                rte_pktmbuf_free(mbufs[n_sent++]);
            }
        }
        now = rte_rdtsc();
    } while (now - begin < *n_cycles);
    *n_cycles = now - begin;
    return n_packets;
}

int
main(int argc, char **argv)
{
    int n_eal = rte_eal_init(argc, argv);
    struct rte_mempool *pool;

    if (n_eal < 0 || argc - n_eal != 3) {
        fprintf(stderr, "usage: io_bench EAL-ARGUMENTS -- packed|pages SECONDS\n");
        return 2;
    }
    pool = make_pool(strcmp(argv[n_eal + 1], "packed") == 0);
    if (pool == NULL || start(0, pool) != 0 || start(1, pool) != 0) {
        fprintf(stderr, "io_bench: the devices do not start\n");
        return 1;
    }
    double seconds = atof(argv[n_eal + 2]);
    uint64_t n_cycles = (uint64_t) (0.2 * (double) rte_get_tsc_hz());
    carry(&n_cycles); /* To warm up. */
    n_cycles = (uint64_t) (seconds * (double) rte_get_tsc_hz());
    uint64_t n_packets = carry(&n_cycles);
    printf("{\"packetsPerSecond\":%.0f,\"cyclesPerPacket\":%.2f}\n",
           (double) n_packets * (double) rte_get_tsc_hz() / (double) n_cycles, (double) n_cycles / (double) n_packets);
    return 0;
}
