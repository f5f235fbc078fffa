/* pcap ports: frames in from one file, out to another.  No privilege, no device.
 *
 * Configuration: rx_pcap (read once, from its beginning, as fast as the port is polled), tx_pcap (appended to), and
 * infinite_rx=1 (the file is read into memory when the port opens, and its frames are received over and over). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "packet/packet.h"
#include "port/pcap_file.h"
#include "port/port.h"

/* Frames that are received over and over. */
struct pcap_loop {
    uint32_t n_frames; /* 0: the file is read as it goes. */
    uint32_t next;
    uint32_t capacity;
    struct pcap_frame {
        uint8_t *bytes; /* Owned. */
        uint32_t size;
    } * frames;
};

struct pcap_port {
    struct port port;
    struct pcap_file in;  /* The receiving thread's. */
    struct pcap_file out; /* Under the transmit queue's lock. */
    _Atomic uint32_t at_end;
    struct pcap_loop loop; /* The receiving thread's. */
    uint8_t frame[PACKET_LARGE_SIZE];
};

static void
free_loop(struct pcap_loop *loop)
{
    for (uint32_t i = 0; i < loop->n_frames; i++) {
        free(loop->frames[i].bytes);
    }
    free(loop->frames);
    *loop = (struct pcap_loop){ .n_frames = 0 };
}

static int
add_frame(struct pcap_loop *loop, const uint8_t *bytes, uint32_t size)
{
    if (loop->n_frames == loop->capacity) {
        uint32_t capacity = loop->capacity != 0 ? 2 * loop->capacity : 64;
        struct pcap_frame *frames = realloc(loop->frames, capacity * sizeof *frames);
        if (frames == NULL) {
            return ENOMEM;
        }
        loop->frames = frames;
        loop->capacity = capacity;
    }
    struct pcap_frame *frame = &loop->frames[loop->n_frames];
    frame->bytes = malloc(size != 0 ? size : 1);
    if (frame->bytes == NULL) {
        return ENOMEM;
    }
    memcpy(frame->bytes, bytes, size);
    frame->size = size;
    loop->n_frames++;
    return 0;
}

/* Reads the whole file.  EPROTO if there is no frame in it. */
static int
read_loop(struct pcap_port *pcap)
{
    uint32_t size;
    int error;

    do {
        error = pcap_file_read(&pcap->in, pcap->frame, sizeof pcap->frame, &size);
        if (error == 0) {
            error = add_frame(&pcap->loop, pcap->frame, size);
        } else if (error == EMSGSIZE) {
            error = 0;
        }
    } while (error == 0);
    if (error == EOF) {
        return pcap->loop.n_frames != 0 ? 0 : EPROTO;
    }
    return error;
}

static void
pcap_close(struct port *port)
{
    struct pcap_port *pcap = (struct pcap_port *) port;

    free_loop(&pcap->loop);

    pcap_file_close(&pcap->in);
    pcap_file_close(&pcap->out);
}

static int
pcap_open(struct port *port, const struct port_options *options)
{
    struct pcap_port *pcap = (struct pcap_port *) port;
    const char *in = port_config_get(options->config, options->config_size, "rx_pcap");
    const char *out = port_config_get(options->config, options->config_size, "tx_pcap");
    uint64_t repeats;
    int error = 0;

    if (!port_config_number(options->config, options->config_size, "infinite_rx", 0, 1, 0, &repeats)
        || (repeats != 0 && in == NULL)) {
        return EINVAL;
    }
    if (in != NULL) {
        error = pcap_file_open_read(&pcap->in, in);
    }
    if (repeats != 0 && error == 0) {
        error = read_loop(pcap);
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

/* Receives the next frames of those in memory. */
static void
receive_loop(struct pcap_port *pcap, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct pcap_loop *loop = &pcap->loop;

    while (batch->n < PACKET_BATCH_MAX) {
        const struct pcap_frame *frame = &loop->frames[loop->next];
        struct packet *packet = packet_alloc(pool, frame->size);
        if (packet == NULL) {
            port_count_drop(&pcap->port.rx[queue], SLUICE_PORT_DROP_RX_NO_BUFFER, PACKET_BATCH_MAX - batch->n);
            break;
        }
        memcpy(packet->data, frame->bytes, frame->size);
        batch->packets[batch->n++] = packet;
        loop->next = loop->next + 1 < loop->n_frames ? loop->next + 1 : 0;
    }
}

static void
pcap_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct pcap_port *pcap = (struct pcap_port *) port;

    if (pcap->loop.n_frames != 0) {
        receive_loop(pcap, queue, pool, batch);
        return;
    }
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
