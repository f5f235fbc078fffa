#include "port/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/flow_hash.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "packet/segment.h"
#include "port/dpdk.h"

#define ETHERNET_SIZE 14u
#define VLAN_SIZE 4u

static const struct port_class *const classes[] = {
    &port_class_packet, &port_class_tap,  &port_class_afxdp, &port_class_dummy,
    &port_class_memory, &port_class_pcap, &port_class_null,
};

static void
add(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer at a time, so this need not be one atomic step. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static uint64_t
get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

int
port_open(uint32_t number, const struct port_options *options, struct port **port)
{
    const struct port_class *class = NULL;
    size_t name_size = strlen(options->name) + 1;

    *port = NULL;
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (classes[i]->number == number) {
            class = classes[i];
        }
    }
    if (number == SLUICE_PORT_CLASS_DPDK) {
        class = dpdk_class();
    }
    if (class == NULL) {
        return ENOTSUP;
    }
    if (name_size < 2 || name_size > PORT_NAME_SIZE || !port_config_check(options->config, options->config_size)) {
        return EINVAL;
    }
    struct port *new = aligned_alloc(64, (class->size + 63) & ~(size_t) 63);
    if (new == NULL) {
        return ENOMEM;
    }
    memset(new, 0, class->size);
    new->class = class;
    new->host = options->host;
    new->dp_port = options->dp_port;
    new->n_rxq = 1;
    new->n_txq = 1;
    atomic_init(&new->up, 1);
    memcpy(new->name, options->name, name_size);
    int error = class->open(new, options);
    if (error != 0) {
        free(new);
        return error;
    }
    *port = new;
    return 0;
}

void
port_close(struct port *port)
{
    if (port != NULL) {
        port->class->close(port);
        free(port);
    }
}

/* Takes 'tx-steering', which is of no driver's concern. */
static int
set_steering(struct port *port, const char *mode)
{
    _Bool by_flow = strcmp(mode, "hash") == 0;

    if (!by_flow && strcmp(mode, "thread") != 0) {
        return EINVAL;
    }
    atomic_store_explicit(&port->tx_by_flow, by_flow, memory_order_relaxed);
    return 0;
}

int
port_set(struct port *port, const char *config, size_t config_size)
{
    if (!port_config_check(config, config_size)) {
        return EINVAL;
    }
    const char *steering = port_config_get(config, config_size, "tx-steering");
    if (steering != NULL) {
        return set_steering(port, steering);
    }
    return port->class->set == NULL ? ENOTSUP : port->class->set(port, config, config_size);
}

int
port_inject(struct port *port, uint32_t queue, const uint8_t *frame, uint32_t size)
{
    if (port->class->inject == NULL) {
        return ENOTSUP;
    }
    return queue >= port->n_rxq ? EINVAL : port->class->inject(port, queue, frame, size);
}

int
port_wait_fd(struct port *port, uint32_t queue)
{
    return port->class->wait_fd(port, queue);
}

void
port_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct port_queue *counters = &port->rx[queue];
    uint64_t n_bytes = 0;

    batch->n = 0;
    port->class->rx(port, queue, pool, batch);
    if (batch->n == 0) {
        return;
    }
    for (uint32_t i = 0; i < batch->n; i++) {
        struct packet *packet = batch->packets[i];
        packet->in_port = port->dp_port;
        packet->rx_queue = (uint16_t) queue;
        n_bytes += packet->size;
    }
    add(&counters->n_packets, batch->n);
    add(&counters->n_bytes, n_bytes);
}

static void
release_dropped(struct port_queue *queue, uint32_t reason, struct packet *packet)
{
    port_count_drop(queue, reason, 1);
    packet_release(packet);
}

/* Whether the frame, without its first tag, fits the MTU, or the segments do that it will be cut into.  TCP that was to be
 * cut for a greater MTU is made to be cut for this one. */
static _Bool
fits(struct packet *packet, uint32_t mtu)
{
    uint32_t limit = mtu + ETHERNET_SIZE;

    if (mtu == 0 || packet->size <= limit) {
        return 1;
    }
    uint16_t type = get_be16(packet->data + 12);
    limit += type == 0x8100 || type == 0x88a8 ? VLAN_SIZE : 0;
    uint32_t size = packet_segment_size(packet);
    if (size <= limit || (packet->gso_type != PACKET_GSO_NONE && size == packet->size)) {
        /* What we could not cut is the device's to cut. */
        return 1;
    }
    _Bool is_tcp = packet->gso_type != PACKET_GSO_NONE && packet->gso_type != PACKET_GSO_UDP_L4;
    if (!is_tcp || packet->gso_size <= size - limit) {
        return 0;
    }
    packet->gso_size = (uint16_t) (packet->gso_size - (size - limit));
    return 1;
}

/* Removes what may not be sent from the batch. */
static void
filter(struct port *port, struct port_queue *queue, struct packet_batch *batch)
{
    uint32_t mtu = atomic_load_explicit(&port->mtu, memory_order_relaxed);
    _Bool up = atomic_load_explicit(&port->up, memory_order_relaxed) != 0;
    uint32_t n = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        struct packet *packet = batch->packets[i];
        if (!up) {
            release_dropped(queue, SLUICE_PORT_DROP_TX_DOWN, packet);
        } else if (packet->size < ETHERNET_SIZE) {
            release_dropped(queue, SLUICE_PORT_DROP_TX_TOO_SHORT, packet);
        } else if (!fits(packet, mtu)) {
            release_dropped(queue, SLUICE_PORT_DROP_TX_TOO_LONG, packet);
        } else {
            batch->packets[n++] = packet;
        }
    }
    batch->n = n;
}

static void
send_batch(struct port *port, uint32_t queue_index, struct packet_batch *batch)
{
    struct port_queue *queue = &port->tx[queue_index];
    struct port_gate *gate = atomic_load_explicit(&port->gate, memory_order_acquire);
    uint64_t n_bytes = 0;

    if (gate != NULL) {
        gate->run(gate, queue, batch);
    }
    if (batch->n != 0) {
        uint32_t n = port->class->tx(port, queue_index, batch, &n_bytes);
        add(&queue->n_packets, n);
        add(&queue->n_bytes, n_bytes);
        batch->n = 0;
    }
}

/* A device that segments wants a partial checksum; frames that were merged on receipt (GRO) have a whole one. */
static void
make_partial(struct packet *packet)
{
    if (packet->gso_type == PACKET_GSO_NONE || packet->flags & PACKET_CSUM_PARTIAL
        || packet->l4_ofs == PACKET_NO_OFFSET) {
        return;
    }
    _Bool tcp = packet->l4_type == PACKET_L4_TCP;
    if (tcp || packet->l4_type == PACKET_L4_UDP) {
        packet->csum_start = packet->l4_ofs;
        packet->csum_offset = tcp ? 16 : 6;
        put_raw16(packet->data + packet->csum_start + packet->csum_offset,
                  checksum_fold(checksum_pseudo(packet, tcp ? 6 : 17, packet->l4_size)));
        packet->flags |= PACKET_CSUM_PARTIAL;
    }
}

/* Sends what 'packet' becomes without the offloads that the port lacks. */
static void
send_segments(struct port *port, uint32_t queue_index, struct packet_pool *pool, struct packet *packet,
              struct packet_batch *out)
{
    struct packet_segmenter segmenter;
    uint64_t n = 0;

    send_batch(port, queue_index, out);
    packet_segment_begin(&segmenter, pool, packet);
    for (;;) {
        out->n = packet_segment_next(&segmenter, out->packets, PACKET_BATCH_MAX);
        if (out->n == 0) {
            break;
        }
        n += out->n;
        send_batch(port, queue_index, out);
    }
    _Bool whole = packet_segment_done(&segmenter);
    add(&port->tx[queue_index].n_segments, whole ? n - 1 : n);
    if (!whole) {
        port_count_drop(&port->tx[queue_index], SLUICE_PORT_DROP_TX_NO_BUFFER, 1);
    }
    packet_segment_end(&segmenter);
}

/* Completes in software what the port lacks, and sends. */
static void
send_completed(struct port *port, uint32_t queue_index, struct packet_pool *pool, struct packet_batch *batch)
{
    struct packet_batch out = { .n = 0 };

    for (uint32_t i = 0; i < batch->n; i++) {
        struct packet *packet = batch->packets[i];
        if (packet->gso_type != PACKET_GSO_NONE
            && (!(port->offloads & PORT_OFFLOAD_SEGMENT) || packet_has_inner_offload(packet))) {
            send_segments(port, queue_index, pool, packet, &out);
            continue;
        }
        if (packet->gso_type != PACKET_GSO_NONE) {
            make_partial(packet);
        } else if (!(port->offloads & PORT_OFFLOAD_CHECKSUM)) {
            packet_checksum_complete(packet);
        }
        out.packets[out.n++] = packet;
    }
    send_batch(port, queue_index, &out);
    batch->n = 0;
}

static void
tx_by_queue(struct port *port, uint32_t queue_index, struct packet_pool *pool, struct packet_batch *batch)
{
    struct port_queue *queue = &port->tx[queue_index];
    _Bool offloads = 0;

    while (atomic_flag_test_and_set_explicit(&queue->lock, memory_order_acquire)) {
        continue;
    }
    filter(port, queue, batch);
    for (uint32_t i = 0; i < batch->n; i++) {
        offloads |= packet_has_offload(batch->packets[i]);
    }
    if (offloads) {
        send_completed(port, queue_index, pool, batch);
    } else {
        send_batch(port, queue_index, batch);
    }
    atomic_flag_clear_explicit(&queue->lock, memory_order_release);
}

/* Spreads the packets over all queues, those of one flow to the same one. */
static void
tx_by_flow(struct port *port, struct packet_pool *pool, struct packet_batch *batch)
{
    uint8_t queues[PACKET_BATCH_MAX];
    struct packet_batch out = { .n = 0 };
    uint32_t used = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        struct flow_key key;
        struct packet *packet = batch->packets[i];
        /* Bursts that take the way of the one before have not been parsed. */
        uint32_t hash = packet->flags & PACKET_HASH_VALID ? packet->hash : 0;
        if (!(packet->flags & PACKET_HASH_VALID)) {
            packet_parse(packet, 2, &key);
            hash = packet_hash_five_tuple(packet);
        }
        queues[i] = (uint8_t) (hash % port->n_txq);
        used |= 1u << queues[i];
    }
    for (; used != 0; used &= used - 1) {
        uint32_t queue = (uint32_t) __builtin_ctz(used);
        for (uint32_t i = 0; i < batch->n; i++) {
            if (queues[i] == queue) {
                out.packets[out.n++] = batch->packets[i];
            }
        }
        tx_by_queue(port, queue, pool, &out);
        out.n = 0;
    }
    batch->n = 0;
}

void
port_tx(struct port *port, uint32_t thread, struct packet_pool *pool, struct packet_batch *batch)
{
    if (port->n_txq > 1 && atomic_load_explicit(&port->tx_by_flow, memory_order_relaxed)) {
        tx_by_flow(port, pool, batch);
    } else {
        tx_by_queue(port, port->n_txq == 1 ? 0 : thread % port->n_txq, pool, batch);
    }
}

uint64_t
port_n_dropped(const struct port *port, uint32_t reason)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++) {
        n += get(&port->rx[i].n_dropped[reason & 15]) + get(&port->tx[i].n_dropped[reason & 15]);
    }
    return n;
}

uint64_t
port_n_segments(const struct port *port)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++) {
        n += get(&port->tx[i].n_segments);
    }
    return n;
}

static uint64_t
dropped_between(const struct port *port, uint32_t first, uint32_t last)
{
    uint64_t n = 0;

    for (uint32_t reason = first; reason <= last; reason++) {
        n += port_n_dropped(port, reason);
    }
    return n;
}

void
port_stats(struct port *port, struct sluice_port_info *info)
{
    memset(info, 0, sizeof *info);
    info->size = sizeof *info;
    info->dp_port = port->dp_port;
    info->port_class = port->class->number;
    for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++) {
        info->rx_packets += get(&port->rx[i].n_packets);
        info->rx_bytes += get(&port->rx[i].n_bytes);
        info->rx_errors += get(&port->rx[i].n_errors);
        info->tx_packets += get(&port->tx[i].n_packets);
        info->tx_bytes += get(&port->tx[i].n_bytes);
        info->tx_errors += get(&port->tx[i].n_errors);
    }
    info->rx_dropped = dropped_between(port, SLUICE_PORT_DROP_RX_NO_BUFFER, SLUICE_PORT_DROP_RX_POLICED);
    info->tx_dropped = dropped_between(port, SLUICE_PORT_DROP_TX_DOWN, SLUICE_PORT_DROP_TX_UNSUPPORTED);
    memcpy(info->mac, port->mac, sizeof port->mac);
    info->ifindex = port->ifindex;
    info->mtu = atomic_load_explicit(&port->mtu, memory_order_relaxed);
    info->up = atomic_load_explicit(&port->up, memory_order_relaxed);
    info->carrier = info->up;
    info->n_rxq = port->n_rxq;
    info->n_txq = port->n_txq;
    info->full_duplex = 1;
    if (port->class->stats != NULL) {
        port->class->stats(port, info);
    }
}
