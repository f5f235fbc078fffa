/* pcap ports: frames in from one file, out to another.  No privilege, no device.
 *
 * Configuration: rx_pcap (read once, from its beginning, as fast as the port is polled), tx_pcap (appended to). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/packet.h"
#include "port/pcap_file.h"
#include "port/port.h"

struct pcap_port {
    struct port port;
    struct pcap_file in;  /* The receiving thread's. */
    struct pcap_file out; /* Under the transmit queue's lock. */
    _Atomic uint32_t at_end;
    uint8_t frame[PACKET_LARGE_SIZE];
};

static void
pcap_close(struct port *port)
{
    struct pcap_port *pcap = (struct pcap_port *) port;

    pcap_file_close(&pcap->in);
    pcap_file_close(&pcap->out);
}

static int
pcap_open(struct port *port, const struct port_options *options)
{
    struct pcap_port *pcap = (struct pcap_port *) port;
    const char *in = port_config_get(options->config, options->config_size, "rx_pcap");
    const char *out = port_config_get(options->config, options->config_size, "tx_pcap");
    int error = 0;

    if (in != NULL) {
        error = pcap_file_open_read(&pcap->in, in);
    }
    if (out != NULL && error == 0) {
        error = pcap_file_open_append(&pcap->out, out);
    }
    atomic_init(&pcap->at_end, in == NULL);
    port->mac[0] = 0x02;
    port->mac[4] = (uint8_t) (port->dp_port >> 8);
    port->mac[5] = (uint8_t) port->dp_port;
    if (error != 0) {
        pcap_close(port);
    }
    return error;
}

static void
pcap_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct pcap_port *pcap = (struct pcap_port *) port;

    while (batch->n < PACKET_BATCH_MAX && atomic_load_explicit(&pcap->at_end, memory_order_relaxed) == 0) {
        uint32_t size;
        int error = pcap_file_read(&pcap->in, pcap->frame, sizeof pcap->frame, &size);
        if (error == EMSGSIZE) {
            port_count_drop(&port->rx[queue], SLUICE_PORT_DROP_RX_INVALID, 1);
            continue;
        }
        if (error != 0) {
            atomic_store_explicit(&pcap->at_end, 1, memory_order_relaxed);
            if (error != EOF) {
                port->host->changed(port->host->aux, port->dp_port, error);
            }
            break;
        }
        struct packet *packet = packet_alloc(pool, size);
        if (packet == NULL) {
            port_count_drop(&port->rx[queue], SLUICE_PORT_DROP_RX_NO_BUFFER, 1);
            continue;
        }
        memcpy(packet->data, pcap->frame, size);
        batch->packets[batch->n++] = packet;
    }
}

static uint32_t
pcap_tx(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes)
{
    struct pcap_port *pcap = (struct pcap_port *) port;

    (void) queue;
    for (uint32_t i = 0; i < batch->n; i++) {
        *n_bytes += batch->packets[i]->size;
        if (pcap->out.stream != NULL) {
            pcap_file_write(&pcap->out, batch->packets[i]->data, batch->packets[i]->size);
        }
    }
    packet_release_burst(batch->packets, batch->n);
    return batch->n;
}

static int
pcap_wait_fd(struct port *port, uint32_t queue)
{
    const struct pcap_port *pcap = (const struct pcap_port *) port;

    (void) queue;
    return atomic_load_explicit(&pcap->at_end, memory_order_relaxed) != 0 ? PORT_WAIT_NEVER : PORT_WAIT_BUSY;
}

const struct port_class port_class_pcap = {
    .number = SLUICE_PORT_CLASS_PCAP,
    .name = "pcap",
    .size = sizeof(struct pcap_port),
    .open = pcap_open,
    .close = pcap_close,
    .rx = pcap_rx,
    .tx = pcap_tx,
    .wait_fd = pcap_wait_fd,
};
