/* Ports that are DPDK's Ethernet devices: PCI devices and its virtual ones.
 *
 * Configuration: dpdk-devargs (which device, as DPDK names it; it is attached if it is not there yet), n_rxq,
 * n_rxq_desc and n_txq_desc (descriptors of each queue, powers of two to 4096), dpdk-lsc-interrupt (0 or 1: the device tells of
 * its link), tx-retries-max (of a vhost device, 0 to 32), mtu, up, mac.  The last four can change while it is open.
 *
 * A received frame stays in the buffer that the device wrote it to: the buffer's private area, which lies before the
 * frame, holds the struct packet and room for headers.  A frame that goes out through another DPDK port goes in that
 * same buffer; what came from elsewhere is copied once. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_version.h>

#include "dpdk/ask.h"
#include "dpdk/device.h"
#include "dpdk/environment.h"
#include "packet/packet.h"
#include "port/dpdk.h"
#include "port/port.h"

#define DESCRIPTORS_DEFAULT 2048u
#define DESCRIPTORS_MAX 4096u
/* Buffers of a port besides those that lie in its rings: what is on its way through the switch, and in caches. */
#define BUFFERS_UNDERWAY 8192u
/* Of each thread's cache of free buffers.  What it holds is used again at once, so that it had better fit the CPU's. */
#define CACHE_SIZE 64u
/* Room for headers before the device's own. */
#define SPARE_HEADROOM 192u
#define PACKET_PART RTE_ALIGN(sizeof(struct packet), RTE_CACHE_LINE_SIZE)
#define PRIVATE_SIZE (PACKET_PART + SPARE_HEADROOM)
#define FRAME_OVERHEAD (RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN + 8u)
#define MTU_DEFAULT 1500u
#define MTU_MAX 9702u
/* Of transmission to a guest that takes a part of a burst. */
#define RETRIES_DEFAULT 8u
#define RETRIES_MAX 32u

static uint32_t
least(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

static struct dpdk_port *ports[RTE_MAX_ETHPORTS];

struct dpdk_port *
device_port(uint16_t id)
{
    return id < RTE_MAX_ETHPORTS ? ports[id] : NULL;
}

struct dpdk_port *
device_find(const char *name)
{
    for (uint16_t id = 0; id < RTE_MAX_ETHPORTS; id++) {
        if (ports[id] != NULL && strcmp(ports[id]->port.name, name) == 0) {
            return ports[id];
        }
    }
    return NULL;
}

static struct packet *
packet_of(struct rte_mbuf *mbuf)
{
    return rte_mbuf_to_priv(mbuf);
}

static struct rte_mbuf *
mbuf_of(struct packet *packet)
{
    return (struct rte_mbuf *) ((char *) packet - sizeof(struct rte_mbuf));
}

static void
release_mbufs(struct packet_owner *owner, struct packet *const *packets, uint32_t n)
{
    (void) owner;
    for (uint32_t i = 0; i < n; i++) {
        rte_pktmbuf_free(mbuf_of(packets[i]));
    }
}

static struct packet_owner mbuf_owner = { release_mbufs };

uint16_t
device_id(const char *devargs)
{
    struct rte_dev_iterator iterator;
    uint16_t id, found = RTE_MAX_ETHPORTS;

    RTE_ETH_FOREACH_MATCHING_DEV(id, devargs, &iterator)
    {
        found = id;
        rte_eth_iterator_cleanup(&iterator);
        break;
    }
    return found;
}

static int
attach(struct dpdk_port *dpdk, const char *devargs)
{
    uint16_t id = device_id(devargs);

    if (id == RTE_MAX_ETHPORTS) {
        if (rte_dev_probe(devargs) != 0) {
            return ENODEV;
        }
        id = device_id(devargs);
        dpdk->is_attached = 1;
    }
    if (id == RTE_MAX_ETHPORTS) {
        return ENODEV;
    }
    if (ports[id] != NULL) {
        return EADDRINUSE;
    }
    dpdk->id = id;
    ports[id] = dpdk;
    return 0;
}

static void
detach(struct dpdk_port *dpdk)
{
    struct rte_eth_dev_info info;

    ports[dpdk->id] = NULL;
    if (dpdk->is_attached && rte_eth_dev_info_get(dpdk->id, &info) == 0) {
        rte_eth_dev_close(dpdk->id);
        rte_dev_remove(info.device);
    }
}

/* Pools of ports that are closed, of which some buffers may still be on their way. */
static struct rte_mempool *leaving[RTE_MAX_ETHPORTS];

static void
free_pools(struct rte_mempool *another)
{
    for (size_t i = 0; i < RTE_MAX_ETHPORTS; i++) {
        if (leaving[i] == NULL) {
            leaving[i] = another;
            another = NULL;
        }
        if (leaving[i] != NULL && rte_mempool_full(leaving[i])) {
            rte_mempool_free(leaving[i]);
            leaving[i] = NULL;
        }
    }
}

/* What of a packet stays the same as long as its buffer lives. */
static void
prepare_buffer(struct rte_mempool *pool, void *aux, void *object, unsigned index)
{
    struct rte_mbuf *mbuf = object;
    struct packet *packet = packet_of(mbuf);

    (void) pool;
    (void) aux;
    (void) index;
    packet->base = (uint8_t *) mbuf->buf_addr - SPARE_HEADROOM;
    packet->capacity = mbuf->buf_len + SPARE_HEADROOM;
    packet->owner = &mbuf_owner;
}

/* Without huge pages DPDK puts no two buffers onto one page, so that their headers all meet in the same few sets of the
 * CPU's first cache.  It does so for devices that want what lies on two pages to be one piece for them as well, which
 * it is where they see the addresses that we see. */
static unsigned
pool_flags(void)
{
    return rte_eal_iova_mode() == RTE_IOVA_VA ? RTE_MEMPOOL_F_NO_IOVA_CONTIG : 0;
}

/* As rte_pktmbuf_pool_create(), which takes no flags. */
static struct rte_mempool *
create_pool(const char *name, uint32_t n, uint16_t room, int socket)
{
    struct rte_pktmbuf_pool_private private = { .mbuf_data_room_size = room, .mbuf_priv_size = PRIVATE_SIZE };
    struct rte_mempool *pool = rte_mempool_create_empty(name, n, sizeof(struct rte_mbuf) + PRIVATE_SIZE + room,
                                                        CACHE_SIZE, sizeof private, socket, pool_flags());

    if (pool == NULL) {
        return NULL;
    }
    if (rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), NULL) != 0) {
        rte_mempool_free(pool);
        return NULL;
    }
    rte_pktmbuf_pool_init(pool, &private);
    if (rte_mempool_populate_default(pool) < 0) {
        rte_mempool_free(pool);
        return NULL;
    }
    rte_mempool_obj_iter(pool, rte_pktmbuf_init, NULL);
    rte_mempool_obj_iter(pool, prepare_buffer, NULL);
    return pool;
}

static int
make_pool(const struct dpdk_port *dpdk, uint32_t mtu, struct rte_mempool **pool)
{
    static unsigned n_pools;
    char name[RTE_MEMPOOL_NAMESIZE];
    const struct port *port = &dpdk->port;
    int socket = rte_eth_dev_socket_id(dpdk->id);
    uint32_t n = port->n_rxq * dpdk->n_rx_descriptors + port->n_txq * dpdk->n_tx_descriptors + BUFFERS_UNDERWAY;
    uint32_t frame_size = mtu + (uint32_t) FRAME_OVERHEAD;
    uint32_t room =
        RTE_PKTMBUF_HEADROOM + (frame_size > PACKET_SMALL_SIZE ? RTE_ALIGN(frame_size, 1024u) : PACKET_SMALL_SIZE);

    snprintf(name, sizeof name, "sluice%u", n_pools++);
    *pool = create_pool(name, n, (uint16_t) room, socket < 0 ? SOCKET_ID_ANY : socket);
    return *pool == NULL ? ENOMEM : 0;
}

/* Configures the device for the queues that the port has. */
static int
configure(struct dpdk_port *dpdk, const struct rte_eth_dev_info *info, uint32_t mtu)
{
    const struct port *port = &dpdk->port;
    struct rte_eth_conf conf = { .rxmode.mtu = mtu, .intr_conf.lsc = dpdk->wants_interrupt };

    if (port->n_rxq > 1 && info->flow_type_rss_offloads != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf =
            info->flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_TCP);
    }
    int error = rte_eth_dev_configure(dpdk->id, (uint16_t) port->n_rxq, (uint16_t) port->n_txq, &conf);
    if (error == 0) {
        error = rte_eth_dev_adjust_nb_rx_tx_desc(dpdk->id, &dpdk->n_rx_descriptors, &dpdk->n_tx_descriptors);
    }
    return -error;
}

static int
set_up_queues(struct dpdk_port *dpdk)
{
    const struct port *port = &dpdk->port;
    unsigned socket = (unsigned) rte_eth_dev_socket_id(dpdk->id);
    int error = 0;

    for (uint16_t i = 0; i < port->n_rxq && error == 0; i++) {
        error = rte_eth_rx_queue_setup(dpdk->id, i, dpdk->n_rx_descriptors, socket, NULL, dpdk->pool);
    }
    for (uint16_t i = 0; i < port->n_txq && error == 0; i++) {
        error = rte_eth_tx_queue_setup(dpdk->id, i, dpdk->n_tx_descriptors, socket, NULL);
    }
    return -error;
}

/* Called by a thread of DPDK's. */
static int
link_changed(uint16_t id, enum rte_eth_event_type event, void *aux, void *result)
{
    struct port *port = aux;

    (void) id;
    (void) event;
    (void) result;
    port->host->changed(port->host->aux, port->dp_port, 0);
    return 0;
}

static int
start_device(struct dpdk_port *dpdk)
{
    struct rte_ether_addr mac;
    int error = rte_eth_dev_start(dpdk->id);

    if (error != 0) {
        return -error;
    }
    /* Devices without filters cannot be told, and need not be. */
    rte_eth_promiscuous_enable(dpdk->id);
    rte_eth_allmulticast_enable(dpdk->id);
    if (rte_eth_macaddr_get(dpdk->id, &mac) == 0) {
        memcpy(dpdk->port.mac, mac.addr_bytes, sizeof dpdk->port.mac);
    }
    return 0;
}

static void
take_mtu(struct dpdk_port *dpdk, uint32_t mtu)
{
    atomic_store(&dpdk->port.mtu, mtu);
    dpdk->max_packet_size = mtu + RTE_ETHER_HDR_LEN + RTE_ETHER_CRC_LEN;
}

/* Whether each queue that we send by is a queue that the other end receives by, so that it must expect as many: who asks
 * for a number of receive queues means that of both directions. */
static bool
has_queue_pairs(const struct rte_eth_dev_info *info)
{
    static const char *const drivers[] = { "net_memif", "net_ring" };

    for (size_t i = 0; i < sizeof drivers / sizeof *drivers; i++) {
        if (!strcmp(info->driver_name, drivers[i])) {
            return true;
        }
    }
    return false;
}

static int
open_device(struct dpdk_port *dpdk, const struct port_options *options, uint32_t n_rxq, uint32_t mtu)
{
    struct port *port = &dpdk->port;
    struct rte_eth_dev_info info;
    int error = rte_eth_dev_info_get(dpdk->id, &info);

    if (error != 0) {
        return -error;
    }
    port->n_rxq = least(n_rxq, info.max_rx_queues);
    port->n_txq = has_queue_pairs(&info) ? port->n_rxq : least(options->n_threads, PORT_QUEUES_MAX);
    port->n_txq = least(port->n_txq, info.max_tx_queues);
    if (port->n_rxq == 0 || port->n_txq == 0) {
        return ENOTSUP;
    }
    error = configure(dpdk, &info, mtu);
    if (error != 0 && port->n_txq != port->n_rxq) {
        /* Some devices have as many queues in both directions. */
        port->n_txq = port->n_rxq;
        error = configure(dpdk, &info, mtu);
    }
    if (error == 0) {
        error = make_pool(dpdk, mtu, &dpdk->pool);
    }
    if (error == 0) {
        error = set_up_queues(dpdk);
    }
    if (error == 0) {
        error = -rte_eth_dev_callback_register(dpdk->id, RTE_ETH_EVENT_INTR_LSC, link_changed, port);
    }
    if (error == 0) {
        error = start_device(dpdk);
        if (error != 0) {
            rte_eth_dev_callback_unregister(dpdk->id, RTE_ETH_EVENT_INTR_LSC, link_changed, port);
        }
    }
    return error;
}

/* What is given to be opened; false if something of it is wrong. */
static _Bool
read_config(struct dpdk_port *dpdk, const struct port_options *options, uint32_t *n_rxq, uint32_t *mtu)
{
    const char *config = options->config;
    size_t size = options->config_size;
    uint64_t rxq, n_rx, n_tx, bytes, interrupt, retries;

    if (!port_config_number(config, size, "n_rxq", 1, PORT_QUEUES_MAX, 1, &rxq)
        || !port_config_number(config, size, "n_rxq_desc", 1, DESCRIPTORS_MAX, DESCRIPTORS_DEFAULT, &n_rx)
        || !port_config_number(config, size, "n_txq_desc", 1, DESCRIPTORS_MAX, DESCRIPTORS_DEFAULT, &n_tx)
        || !port_config_number(config, size, "mtu", 68, MTU_MAX, MTU_DEFAULT, &bytes)
        || !port_config_number(config, size, "dpdk-lsc-interrupt", 0, 1, 0, &interrupt)
        || !port_config_number(config, size, "tx-retries-max", 0, RETRIES_MAX, RETRIES_DEFAULT, &retries)) {
        return 0;
    }
    dpdk->n_rx_descriptors = (uint16_t) n_rx;
    dpdk->n_tx_descriptors = (uint16_t) n_tx;
    dpdk->wants_interrupt = interrupt != 0;
    atomic_store(&dpdk->tx_retries_max, (uint32_t) retries);
    *n_rxq = (uint32_t) rxq;
    *mtu = (uint32_t) bytes;
    return 1;
}

static int
dpdk_open(struct port *port, const struct port_options *options)
{
    struct dpdk_port *dpdk = (struct dpdk_port *) port;
    const char *devargs = port_config_get(options->config, options->config_size, "dpdk-devargs");
    uint32_t n_rxq, mtu;

    if (devargs == NULL || !read_config(dpdk, options, &n_rxq, &mtu)) {
        return EINVAL;
    }
    dpdk->is_vhost = strncmp(devargs, "net_vhost", strlen("net_vhost")) == 0;
    int error = attach(dpdk, devargs);
    if (error != 0) {
        return error;
    }
    error = open_device(dpdk, options, n_rxq, mtu);
    if (error != 0) {
        detach(dpdk);
        free_pools(dpdk->pool);
    } else {
        take_mtu(dpdk, mtu);
    }
    return error;
}

static void
dpdk_close(struct port *port)
{
    struct dpdk_port *dpdk = (struct dpdk_port *) port;

    rte_eth_dev_callback_unregister(dpdk->id, RTE_ETH_EVENT_INTR_LSC, link_changed, port);
    rte_eth_dev_stop(dpdk->id);
    detach(dpdk);
    free_pools(dpdk->pool);
}

/* Keeps every thread out of the device, or lets them in again. */
static void
lock_queues(struct port *port, _Bool lock)
{
    for (uint32_t i = 0; i < port->n_rxq + port->n_txq; i++) {
        struct port_queue *queue = i < port->n_rxq ? &port->rx[i] : &port->tx[i - port->n_rxq];
        while (lock && atomic_flag_test_and_set_explicit(&queue->lock, memory_order_acquire)) {
            rte_pause();
        }
        if (!lock) {
            atomic_flag_clear_explicit(&queue->lock, memory_order_release);
        }
    }
}

/* Stops the device, gives it buffers for another MTU and starts it again; as it was, if that cannot be. */
static int
change_mtu(struct dpdk_port *dpdk, uint32_t mtu)
{
    struct rte_mempool *old = dpdk->pool, *pool;
    struct rte_eth_dev_info info;

    free_pools(NULL);
    int error = make_pool(dpdk, mtu, &pool);
    if (error == 0) {
        error = -rte_eth_dev_info_get(dpdk->id, &info);
    }
    if (error != 0) {
        return error;
    }
    lock_queues(&dpdk->port, 1);
    rte_eth_dev_stop(dpdk->id);
    dpdk->pool = pool;
    error = configure(dpdk, &info, mtu);
    if (error == 0) {
        error = set_up_queues(dpdk);
    }
    if (error != 0) {
        dpdk->pool = old;
        old = pool;
        if (configure(dpdk, &info, atomic_load(&dpdk->port.mtu)) == 0) {
            set_up_queues(dpdk);
        }
    }
    int start_error = start_device(dpdk);
    lock_queues(&dpdk->port, 0);
    free_pools(old);
    if (error == 0) {
        take_mtu(dpdk, mtu);
    }
    return error != 0 ? error : start_error;
}

/* What a device is opened with: other values need it to be opened anew. */
static _Bool
is_of_opening(const char *config, size_t size)
{
    static const char *const keys[] = { "dpdk-devargs", "n_rxq", "n_rxq_desc", "n_txq_desc", "dpdk-lsc-interrupt" };

    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (port_config_get(config, size, keys[i]) != NULL) {
            return 1;
        }
    }
    return 0;
}

static int
dpdk_set(struct port *port, const char *config, size_t size)
{
    struct dpdk_port *dpdk = (struct dpdk_port *) port;
    const char *mac = port_config_get(config, size, "mac");
    struct rte_ether_addr address;
    uint64_t mtu, up, retries;

    if (!port_config_number(config, size, "tx-retries-max", 0, RETRIES_MAX, atomic_load(&dpdk->tx_retries_max),
                            &retries)
        || !port_config_number(config, size, "mtu", 68, MTU_MAX, atomic_load(&port->mtu), &mtu)
        || !port_config_number(config, size, "up", 0, 1, atomic_load(&port->up), &up)
        || (mac != NULL && rte_ether_unformat_addr(mac, &address) != 0)) {
        return EINVAL;
    }
    if (is_of_opening(config, size)) {
        return ENOTSUP;
    }
    atomic_store(&dpdk->tx_retries_max, (uint32_t) retries);
    int error = mtu != atomic_load(&port->mtu) ? change_mtu(dpdk, (uint32_t) mtu) : 0;
    if (error != 0) {
        return error;
    }
    if (mac != NULL) {
        error = rte_eth_dev_default_mac_addr_set(dpdk->id, &address);
        if (error != 0) {
            return -error;
        }
        memcpy(port->mac, address.addr_bytes, sizeof port->mac);
    }
    if (atomic_exchange(&port->up, (uint32_t) up) != up) {
        /* Devices that cannot turn their link off are off for us alone. */
        (void) (up ? rte_eth_dev_set_link_up(dpdk->id) : rte_eth_dev_set_link_down(dpdk->id));
        port->host->changed(port->host->aux, port->dp_port, 0);
    }
    return 0;
}

/* Makes the packet of a received buffer, in that buffer. */
static struct packet *
take(struct rte_mbuf *mbuf)
{
    struct packet *packet = packet_of(mbuf);

    packet->data = rte_pktmbuf_mtod(mbuf, uint8_t *);
    packet->size = mbuf->data_len;
    packet_reset(packet);
    return packet;
}

static void
dpdk_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct dpdk_port *dpdk = (struct dpdk_port *) port;
    struct rte_mbuf *mbufs[PACKET_BATCH_MAX];

    (void) pool;
    if (atomic_flag_test_and_set_explicit(&port->rx[queue].lock, memory_order_acquire)) {
        return; /* The device is being changed. */
    }
    environment_join();
    uint16_t n = rte_eth_rx_burst(dpdk->id, (uint16_t) queue, mbufs, PACKET_BATCH_MAX);
    atomic_flag_clear_explicit(&port->rx[queue].lock, memory_order_release);
    for (uint16_t i = 0; i < n; i++) {
        rte_prefetch0(packet_of(mbufs[i]));
        rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
    }
    if (!atomic_load_explicit(&port->up, memory_order_relaxed)) {
        rte_pktmbuf_free_bulk(mbufs, n);
        port_count_drop(&port->rx[queue], SLUICE_PORT_DROP_RX_DOWN, n);
        return;
    }
    for (uint16_t i = 0; i < n; i++) {
        /* No device is asked to scatter, but a virtual one may. */
        if (mbufs[i]->nb_segs > 1 && rte_pktmbuf_linearize(mbufs[i]) != 0) {
            rte_pktmbuf_free(mbufs[i]);
            port_count_drop(&port->rx[queue], SLUICE_PORT_DROP_RX_DEVICE, 1);
            continue;
        }
        batch->packets[batch->n++] = take(mbufs[i]);
    }
}

/* The buffer to transmit for a packet, which it takes; null, and counted, if there is none. */
static struct rte_mbuf *
give(struct dpdk_port *dpdk, uint32_t queue, struct packet *packet)
{
    struct rte_mbuf *mbuf = packet->owner == &mbuf_owner ? mbuf_of(packet) : NULL;

    if (mbuf != NULL && packet->data >= (uint8_t *) mbuf->buf_addr) {
        mbuf->data_off = (uint16_t) (packet->data - (uint8_t *) mbuf->buf_addr);
        mbuf->data_len = (uint16_t) packet->size;
        mbuf->pkt_len = packet->size;
        mbuf->ol_flags = 0;
        return mbuf;
    }
    mbuf = rte_pktmbuf_alloc(dpdk->pool);
    if (mbuf == NULL) {
        port_count_drop(&dpdk->port.tx[queue], SLUICE_PORT_DROP_TX_NO_BUFFER, 1);
    } else if (packet->size > rte_pktmbuf_tailroom(mbuf)) {
        /* A segment of a sender with a greater MTU. */
        port_count_drop(&dpdk->port.tx[queue], SLUICE_PORT_DROP_TX_TOO_LONG, 1);
        rte_pktmbuf_free(mbuf);
        mbuf = NULL;
    } else {
        memcpy(rte_pktmbuf_append(mbuf, (uint16_t) packet->size), packet->data, packet->size);
    }
    packet_release(packet);
    return mbuf;
}

/* Hands buffers to the device as long as it takes some; a guest may be slow for a moment, so that its device is tried as
 * often as its port's options say.  Returns how many it took. */
static uint16_t
transmit(struct dpdk_port *dpdk, uint16_t queue, struct rte_mbuf **mbufs, uint16_t n)
{
    uint32_t n_retries = 0;
    uint16_t n_sent = 0;

    while (n_sent < n) {
        uint16_t n_taken = rte_eth_tx_burst(dpdk->id, queue, mbufs + n_sent, (uint16_t) (n - n_sent));
        n_sent = (uint16_t) (n_sent + n_taken);
        if (n_taken == 0 || n_sent == n || (dpdk->is_vhost && n_retries == atomic_load(&dpdk->tx_retries_max))) {
            break;
        }
        n_retries++;
    }
    if (n_retries != 0) {
        atomic_fetch_add(&dpdk->n_tx_retries, n_retries);
    }
    return n_sent;
}

static uint32_t
dpdk_tx(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes)
{
    struct dpdk_port *dpdk = (struct dpdk_port *) port;
    struct rte_mbuf *mbufs[PACKET_BATCH_MAX];
    uint16_t n = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        uint32_t size = batch->packets[i]->size;
        mbufs[n] = give(dpdk, queue, batch->packets[i]);
        if (mbufs[n] != NULL) {
            *n_bytes += size;
            n++;
        }
    }
    uint16_t n_sent = transmit(dpdk, (uint16_t) queue, mbufs, n);
    for (uint16_t i = n_sent; i < n; i++) {
        *n_bytes -= mbufs[i]->pkt_len;
        rte_pktmbuf_free(mbufs[i]);
    }
    if (n_sent < n) {
        port_count_drop(&port->tx[queue], SLUICE_PORT_DROP_TX_QUEUE_FULL, (uint64_t) (n - n_sent));
        atomic_fetch_add(&dpdk->n_failed, (uint64_t) (n - n_sent));
    }
    return n_sent;
}

static int
dpdk_wait_fd(struct port *port, uint32_t queue)
{
    (void) port;
    (void) queue;
    return PORT_WAIT_BUSY;
}

static void
dpdk_stats(struct port *port, struct sluice_port_info *info)
{
    struct dpdk_port *dpdk = (struct dpdk_port *) port;
    struct rte_eth_stats stats;
    struct rte_eth_link link;

    if (rte_eth_stats_get(dpdk->id, &stats) == 0) {
        info->rx_missed_errors = stats.imissed;
        info->rx_errors += stats.ierrors;
        info->tx_errors += stats.oerrors;
        info->rx_dropped += stats.imissed + stats.rx_nombuf;
    }
    if (rte_eth_link_get_nowait(dpdk->id, &link) == 0) {
        info->carrier = info->up && link.link_status == RTE_ETH_LINK_UP;
        /* A guest has no speed. */
        info->link_speed_mbps = dpdk->is_vhost || link.link_speed == RTE_ETH_SPEED_NUM_UNKNOWN ? 0 : link.link_speed;
        info->full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
    }
}

static const struct port_class port_class_dpdk = {
    .number = SLUICE_PORT_CLASS_DPDK,
    .name = "dpdk",
    .size = sizeof(struct dpdk_port),
    .open = dpdk_open,
    .close = dpdk_close,
    .set = dpdk_set,
    .rx = dpdk_rx,
    .tx = dpdk_tx,
    .wait_fd = dpdk_wait_fd,
    .stats = dpdk_stats,
};

extern const struct dpdk_driver sluice_dpdk_driver;
__attribute__((visibility("default"))) const struct dpdk_driver sluice_dpdk_driver = {
    .port_size = sizeof(struct port),
    .packet_size = sizeof(struct packet),
    .ports = &port_class_dpdk,
    .version = rte_version,
    .start = environment_start,
    .take_log = environment_take_log,
    .ask = ask,
};
