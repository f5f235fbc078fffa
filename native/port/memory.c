/* Memory ports: frames in by injection, frames out by event.  What tests and embedding programs use.
 *
 * Configuration: n_rxq (1 to 16), mtu (0: any length), mac, up. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "packet/packet.h"
#include "port/frame_queue.h"
#include "port/port.h"

#define QUEUE_LIMIT 4096u

struct memory_port {
    struct port port;
    struct frame_queue queues[PORT_QUEUES_MAX];
};

static int
memory_set(struct port *port, const char *config, size_t config_size)
{
    uint64_t mtu, up;
    const char *mac = port_config_get(config, config_size, "mac");
    uint8_t *m = port->mac;

    if (!port_config_number(config, config_size, "mtu", 0, 65535, atomic_load(&port->mtu), &mtu)
        || !port_config_number(config, config_size, "up", 0, 1, atomic_load(&port->up), &up)) {
        return EINVAL;
    }
    if (mac != NULL && sscanf(mac, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", m, m + 1, m + 2, m + 3, m + 4, m + 5) != 6) {
        return EINVAL;
    }
    atomic_store(&port->mtu, (uint32_t) mtu);
    if (atomic_exchange(&port->up, (uint32_t) up) != up) {
        port->host->changed(port->host->aux, port->dp_port, 0);
    }
    return 0;
}

static void
memory_close(struct port *port)
{
    struct memory_port *memory = (struct memory_port *) port;

    for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++) {
        frame_queue_uninit(&memory->queues[i]);
    }
}

static int
memory_open(struct port *port, const struct port_options *options)
{
    struct memory_port *memory = (struct memory_port *) port;
    uint64_t n_rxq;

    if (!port_config_number(options->config, options->config_size, "n_rxq", 1, PORT_QUEUES_MAX, 1, &n_rxq)) {
        return EINVAL;
    }
    port->n_rxq = (uint32_t) n_rxq;
    port->mac[0] = 0x02;
    port->mac[4] = (uint8_t) (port->dp_port >> 8);
    port->mac[5] = (uint8_t) port->dp_port;
    for (uint32_t i = 0; i < port->n_rxq; i++) {
        frame_queue_init(&memory->queues[i], QUEUE_LIMIT);
    }
    int error = memory_set(port, options->config, options->config_size);
    if (error != 0) {
        memory_close(port);
    }
    return error;
}

static int
memory_inject(struct port *port, uint32_t queue, const uint8_t *frame, uint32_t size)
{
    struct memory_port *memory = (struct memory_port *) port;

    if (size > PACKET_LARGE_SIZE) {
        return EMSGSIZE;
    }
    int error = frame_queue_put(&memory->queues[queue], frame, size);
    if (error == 0) {
        port->host->readable(port->host->aux, port->dp_port);
    }
    return error;
}

static void
memory_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct memory_port *memory = (struct memory_port *) port;

    frame_queue_take(&memory->queues[queue], pool, batch, &port->rx[queue]);
    if (atomic_load_explicit(&port->up, memory_order_relaxed) == 0 && batch->n != 0) {
        port_count_drop(&port->rx[queue], SLUICE_PORT_DROP_RX_DOWN, batch->n);
        packet_release_burst(batch->packets, batch->n);
        batch->n = 0;
    }
}

static uint32_t
memory_tx(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes)
{
    uint32_t n_sent = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        struct packet *packet = batch->packets[i];
        if (port->host->frame(port->host->aux, port->dp_port, packet->data, packet->size)) {
            *n_bytes += packet->size;
            n_sent++;
        }
    }
    port_count_drop(&port->tx[queue], SLUICE_PORT_DROP_TX_QUEUE_FULL, batch->n - n_sent);
    packet_release_burst(batch->packets, batch->n);
    return n_sent;
}

static int
memory_wait_fd(struct port *port, uint32_t queue)
{
    const struct memory_port *memory = (const struct memory_port *) port;

    return frame_queue_has(&memory->queues[queue]) ? PORT_WAIT_BUSY : PORT_WAIT_NEVER;
}

const struct port_class port_class_memory = {
    .number = SLUICE_PORT_CLASS_MEMORY,
    .name = "memory",
    .size = sizeof(struct memory_port),
    .open = memory_open,
    .close = memory_close,
    .set = memory_set,
    .inject = memory_inject,
    .rx = memory_rx,
    .tx = memory_tx,
    .wait_fd = memory_wait_fd,
};
