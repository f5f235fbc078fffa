/* Dummy ports: Open vSwitch's device for tests.  Frames are injected (netdev-dummy/receive) and what is transmitted is
 * counted and goes to files.
 *
 * Configuration: mac, mtu (68 to 65535, default 1500), up, n_rxq, ip4addr (ARP requests for it are answered), ifindex,
 * pcap (both directions), tx_pcap, rxq_pcap, tell (1: what is transmitted is told as events too). */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/packet.h"
#include "port/frame_queue.h"
#include "port/pcap_file.h"
#include "port/port.h"

#define QUEUE_LIMIT 100u
#define ARP_FRAME_SIZE 42u

struct dummy_port {
    struct port port;
    struct frame_queue queues[PORT_QUEUES_MAX];
    atomic_flag file_lock; /* 'tx_file' and 'rx_file' may be one file. */
    struct pcap_file tx_file;
    struct pcap_file rx_file;
    _Atomic uint32_t admin_up; /* Only told: as with OVS's, frames pass a dummy port that is down. */
    _Atomic uint32_t is_telling;
    _Atomic uint32_t ip4addr;   /* Network byte order; 0: none. */
    struct frame_queue replies; /* ARP replies, from the transmitting to the receiving thread. */
};

static int
parse_mac(const char *text, uint8_t mac[6])
{
    uint8_t m[6];

    if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) {
        return EINVAL;
    }
    memcpy(mac, m, sizeof m);
    return 0;
}

static void
lock_files(struct dummy_port *dummy)
{
    while (atomic_flag_test_and_set_explicit(&dummy->file_lock, memory_order_acquire)) {
        continue;
    }
}

/* Opens the files that the configuration names, in place of those that were open. */
static int
open_files(struct dummy_port *dummy, const char *config, size_t size)
{
    const char *both = port_config_get(config, size, "pcap");
    const char *tx = both != NULL ? both : port_config_get(config, size, "tx_pcap");
    const char *rx = both != NULL ? both : port_config_get(config, size, "rxq_pcap");
    struct pcap_file tx_file = { 0 }, rx_file = { 0 };
    int error = tx == NULL ? 0 : pcap_file_open_append(&tx_file, tx);

    if (error == 0 && rx != NULL) {
        error = pcap_file_open_append(&rx_file, rx);
    }
    if (error != 0) {
        pcap_file_close(&tx_file);
        return error;
    }
    lock_files(dummy);
    if (tx != NULL) {
        pcap_file_close(&dummy->tx_file);
        dummy->tx_file = tx_file;
    }
    if (rx != NULL) {
        pcap_file_close(&dummy->rx_file);
        dummy->rx_file = rx_file;
    }
    atomic_flag_clear_explicit(&dummy->file_lock, memory_order_release);
    return 0;
}

static int
dummy_set(struct port *port, const char *config, size_t size)
{
    struct dummy_port *dummy = (struct dummy_port *) port;
    const char *mac = port_config_get(config, size, "mac");
    const char *address = port_config_get(config, size, "ip4addr");
    struct in_addr ip = { atomic_load(&dummy->ip4addr) };
    uint64_t mtu, up, ifindex, tell, n_rxq;

    if (!port_config_number(config, size, "mtu", 68, 65535, atomic_load(&port->mtu), &mtu)
        || !port_config_number(config, size, "up", 0, 1, atomic_load(&dummy->admin_up), &up)
        || !port_config_number(config, size, "tell", 0, 1, atomic_load(&dummy->is_telling), &tell)
        || !port_config_number(config, size, "ifindex", 0, INT32_MAX, port->ifindex, &ifindex)
        || !port_config_number(config, size, "n_rxq", 1, PORT_QUEUES_MAX, port->n_rxq, &n_rxq)
        || (mac != NULL && parse_mac(mac, port->mac) != 0)
        || (address != NULL && inet_pton(AF_INET, address, &ip) != 1)) {
        return EINVAL;
    }
    for (uint32_t i = port->n_rxq; i < n_rxq; i++) {
        frame_queue_clear(&dummy->queues[i]);
    }
    port->n_rxq = (uint32_t) n_rxq;
    atomic_store(&port->mtu, (uint32_t) mtu);
    atomic_store(&dummy->ip4addr, ip.s_addr);
    atomic_store(&dummy->is_telling, (uint32_t) tell);
    port->ifindex = (uint32_t) ifindex;
    int error = open_files(dummy, config, size);
    if (error == 0 && atomic_exchange(&dummy->admin_up, (uint32_t) up) != up) {
        port->host->changed(port->host->aux, port->dp_port, 0);
    }
    return error;
}

static void
dummy_close(struct port *port)
{
    struct dummy_port *dummy = (struct dummy_port *) port;

    for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++) {
        frame_queue_uninit(&dummy->queues[i]);
    }
    frame_queue_uninit(&dummy->replies);
    pcap_file_close(&dummy->tx_file);
    pcap_file_close(&dummy->rx_file);
}

static int
dummy_open(struct port *port, const struct port_options *options)
{
    struct dummy_port *dummy = (struct dummy_port *) port;
    uint32_t number = 0xaa550000u + atomic_fetch_add(&options->host->counters->n_dummies, 1);

    atomic_init(&port->mtu, 1500);
    atomic_init(&dummy->admin_up, 1);
    atomic_flag_clear(&dummy->file_lock);
    port->mac[0] = 0xaa;
    port->mac[1] = 0x55;
    put_be32(port->mac + 2, number);
    frame_queue_init(&dummy->replies, QUEUE_LIMIT);
    for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++) {
        frame_queue_init(&dummy->queues[i], QUEUE_LIMIT);
    }
    int error = dummy_set(port, options->config, options->config_size);
    if (error != 0) {
        dummy_close(port);
    }
    return error;
}

static int
dummy_inject(struct port *port, uint32_t queue, const uint8_t *frame, uint32_t size)
{
    struct dummy_port *dummy = (struct dummy_port *) port;

    if (size > PACKET_LARGE_SIZE) {
        return EMSGSIZE;
    }
    int error = frame_queue_put(&dummy->queues[queue], frame, size);
    if (error == ENOBUFS) {
        /* As a device whose receive queue overflows: the frame is lost, and nobody hears of it but the counter. */
        atomic_fetch_add(&port->rx[queue].n_dropped[SLUICE_PORT_DROP_RX_QUEUE_FULL], 1);
        return 0;
    }
    lock_files(dummy);
    if (dummy->rx_file.stream != NULL) {
        pcap_file_write(&dummy->rx_file, frame, size);
    }
    atomic_flag_clear_explicit(&dummy->file_lock, memory_order_release);
    port->host->readable(port->host->aux, port->dp_port);
    return error;
}

static void
dummy_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct dummy_port *dummy = (struct dummy_port *) port;

    frame_queue_take(&dummy->queues[queue], pool, batch, &port->rx[queue]);
    if (queue == 0) {
        frame_queue_take(&dummy->replies, pool, batch, &port->rx[queue]);
    }
}

/* Answers an ARP request for the port's own address: the reply is received on the port. */
static void
answer_arp(struct dummy_port *dummy, const struct packet *packet)
{
    uint32_t own = atomic_load_explicit(&dummy->ip4addr, memory_order_relaxed);
    const uint8_t *request = packet->data;
    uint8_t reply[ARP_FRAME_SIZE];

    if (own == 0 || packet->size < ARP_FRAME_SIZE || get_be16(request + 12) != 0x0806 || get_be16(request + 20) != 1
        || get_raw32(request + 38) != own) {
        return;
    }
    memcpy(reply, request + 6, 6);
    memcpy(reply + 6, dummy->port.mac, 6);
    memcpy(reply + 12, request + 12, 8);
    put_be16(reply + 20, 2);
    memcpy(reply + 22, dummy->port.mac, 6);
    put_raw32(reply + 28, own);
    memcpy(reply + 32, request + 22, 10);
    if (frame_queue_put(&dummy->replies, reply, sizeof reply) == 0) {
        dummy->port.host->readable(dummy->port.host->aux, dummy->port.dp_port);
    }
}

static uint32_t
dummy_tx(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes)
{
    struct dummy_port *dummy = (struct dummy_port *) port;

    (void) queue;
    for (uint32_t i = 0; i < batch->n; i++) {
        struct packet *packet = batch->packets[i];
        *n_bytes += packet->size;
        answer_arp(dummy, packet);
        if (atomic_load_explicit(&dummy->is_telling, memory_order_relaxed) != 0) {
            port->host->frame(port->host->aux, port->dp_port, packet->data, packet->size);
        }
        lock_files(dummy);
        if (dummy->tx_file.stream != NULL) {
            pcap_file_write(&dummy->tx_file, packet->data, packet->size);
        }
        atomic_flag_clear_explicit(&dummy->file_lock, memory_order_release);
    }
    packet_release_burst(batch->packets, batch->n);
    return batch->n;
}

static int
dummy_wait_fd(struct port *port, uint32_t queue)
{
    const struct dummy_port *dummy = (const struct dummy_port *) port;
    _Bool has = frame_queue_has(&dummy->queues[queue]) || (queue == 0 && frame_queue_has(&dummy->replies));

    return has ? PORT_WAIT_BUSY : PORT_WAIT_NEVER;
}

static void
dummy_stats(struct port *port, struct sluice_port_info *info)
{
    const struct dummy_port *dummy = (const struct dummy_port *) port;

    info->up = atomic_load_explicit(&dummy->admin_up, memory_order_relaxed);
    info->carrier = info->up;
}

const struct port_class port_class_dummy = {
    .number = SLUICE_PORT_CLASS_DUMMY,
    .name = "dummy",
    .size = sizeof(struct dummy_port),
    .open = dummy_open,
    .close = dummy_close,
    .set = dummy_set,
    .inject = dummy_inject,
    .rx = dummy_rx,
    .tx = dummy_tx,
    .wait_fd = dummy_wait_fd,
    .stats = dummy_stats,
};
