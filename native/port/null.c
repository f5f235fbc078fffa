/* Null ports make frames as fast as they are polled and swallow all: the two ends of a bench.
 *
 * A null port makes 64-byte UDP frames over IPv4 (60 bytes and the frame check sequence that is not there).
 * Configuration:
 *   flows=N      distinct flows, 0 (makes nothing) to 2^24; the default is 0
 *   pattern=P    what differs between flows: "src" (10.a.b.c, the default), "src-dst-port" (UDP source port and source
 *                address), "mac" (Ethernet source)
 *   masks=N      the source address' upper byte takes N values in turn, so that flow tables with one mask for each
 *                value can be laid over them; the default is 1
 *   order=O      "sequential" (the default) or "random" (a permutation by a fixed multiplier)
 *   polled=N     1: the port must be polled even if it makes nothing, as a device without a descriptor; the default is 0
 *   size=N       frame bytes without frame check sequence, 60 to 1514 */
#include <errno.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/packet.h"
#include "port/port.h"

enum null_pattern {
    PATTERN_SRC,
    PATTERN_SRC_PORT,
    PATTERN_MAC,
    PATTERN_PREFIXES,
};

struct null_port {
    struct port port;
    uint32_t n_flows;
    uint32_t n_masks;
    uint32_t size;
    uint32_t is_polled;
    uint32_t step;       /* From one flow's number to the next's, odd. */
    uint32_t header_sum; /* Of the IPv4 header without the source address; not folded. */
    enum null_pattern pattern;
    _Alignas(64) uint32_t next[PORT_QUEUES_MAX];
    uint8_t frame[1514];
};

static void
make_template(struct null_port *null)
{
    static const uint8_t headers[42] = {
        0x02, 0,    0,    0,    0, 2, 0x02, 0, 0,  0,  0, 1, 0x08, 0x00,                      /* Ethernet */
        0x45, 0,    0,    0,    0, 0, 0x40, 0, 64, 17, 0, 0, 10,   0,    0, 0, 10, 255, 0, 1, /* IPv4 */
        0x10, 0x00, 0x20, 0x00, 0, 0, 0,    0, /* UDP without a checksum */
    };

    memcpy(null->frame, headers, sizeof headers);
    put_be16(null->frame + 16, (uint16_t) (null->size - 14));
    put_be16(null->frame + 38, (uint16_t) (null->size - 34));
    put_raw16(null->frame + 24, checksum(null->frame + 14, 20));
    for (uint32_t at = 14; at < 34; at += 2) {
        null->header_sum += at == 24 || at == 26 || at == 28 ? 0 : get_be16(null->frame + at);
    }
}

static int
null_open(struct port *port, const struct port_options *options)
{
    struct null_port *null = (struct null_port *) port;
    const char *config = options->config;
    const char *pattern = port_config_get(config, options->config_size, "pattern");
    const char *order = port_config_get(config, options->config_size, "order");
    uint64_t n_flows, n_masks, size, n_rxq, polled;

    if (!port_config_number(config, options->config_size, "flows", 0, 1 << 24, 0, &n_flows)
        || !port_config_number(config, options->config_size, "masks", 1, 128, 1, &n_masks)
        || !port_config_number(config, options->config_size, "polled", 0, 1, 0, &polled)
        || !port_config_number(config, options->config_size, "size", 60, 1514, 60, &size)
        || !port_config_number(config, options->config_size, "n_rxq", 1, PORT_QUEUES_MAX, 1, &n_rxq)) {
        return EINVAL;
    }
    if (pattern != NULL && strcmp(pattern, "src-dst-port") == 0) {
        null->pattern = PATTERN_SRC_PORT;
    } else if (pattern != NULL && strcmp(pattern, "mac") == 0) {
        null->pattern = PATTERN_MAC;
    } else if (pattern != NULL && strcmp(pattern, "prefixes") == 0) {
        null->pattern = PATTERN_PREFIXES;
    } else if (pattern != NULL && strcmp(pattern, "src") != 0) {
        return EINVAL;
    }
    null->step = order != NULL && strcmp(order, "random") == 0 ? 2654435761u : 1;
    null->n_flows = (uint32_t) n_flows;
    null->n_masks = (uint32_t) n_masks;
    null->size = (uint32_t) size;
    null->is_polled = (uint32_t) polled;
    port->n_rxq = (uint32_t) n_rxq;
    port->n_txq = options->n_threads < PORT_QUEUES_MAX ? options->n_threads : PORT_QUEUES_MAX;
    port->offloads = PORT_OFFLOAD_CHECKSUM | PORT_OFFLOAD_SEGMENT;
    port->mac[0] = 0x02;
    port->mac[5] = (uint8_t) port->dp_port;
    make_template(null);
    return 0;
}

static void
null_close(struct port *port)
{
    (void) port;
}

/* An address that has the first 'bit' bits of 'address', not the next one, and then those of 'rest'. */
static uint32_t
differ(uint32_t address, uint32_t bit, uint32_t rest)
{
    uint32_t first = UINT32_C(0x80000000) >> bit;

    return address ^ first ^ (rest & (first - 1));
}

/* Gives the frame of 'flow' its difference. */
static void
vary(const struct null_port *null, uint8_t *frame, uint32_t flow)
{
    switch (null->pattern) {
    case PATTERN_MAC:
        frame[8] = (uint8_t) (flow >> 16);
        put_be16(frame + 9, (uint16_t) flow);
        break;
    case PATTERN_SRC_PORT:
        put_be16(frame + 34, (uint16_t) (flow % 50000 + 1024));
        flow /= 50000;
        /* fall through */
    case PATTERN_SRC: {
        uint32_t source = 0x0a000000u + ((flow % null->n_masks) << 24) + (flow & 0xffffff);
        uint32_t sum = null->header_sum + (source >> 16) + (source & 0xffff);
        sum = (sum >> 16) + (sum & 0xffff);
        put_be32(frame + 26, source);
        put_be16(frame + 24, (uint16_t) ~(sum + (sum >> 16)));
        break;
    }
    case PATTERN_PREFIXES:
        put_be32(frame + 26, differ(0x0a00000a, flow % 32, flow * 2654435761u));
        put_be32(frame + 30, differ(0x0b00000b, flow / 32 % 32, flow * 2246822519u));
        put_raw16(frame + 24, 0);
        put_raw16(frame + 24, checksum(frame + 14, 20));
        break;
    default:
        break;
    }
}

static void
null_rx(struct port *port, uint32_t queue, struct packet_pool *pool, struct packet_batch *batch)
{
    struct null_port *null = (struct null_port *) port;

    if (null->n_flows == 0) {
        return;
    }
    batch->n = packet_alloc_burst(pool, null->size, batch->packets, PACKET_BATCH_MAX);
    if (batch->n < PACKET_BATCH_MAX) {
        port_count_drop(&port->rx[queue], SLUICE_PORT_DROP_RX_NO_BUFFER, PACKET_BATCH_MAX - batch->n);
    }
    for (uint32_t i = 0; i < batch->n; i++) {
        uint32_t flow = null->next[queue]++;
        uint8_t *data = batch->packets[i]->data;
        memcpy(data, null->frame, null->size);
        vary(null, data, (flow * null->step) % null->n_flows);
    }
}

static uint32_t
null_tx(struct port *port, uint32_t queue, struct packet_batch *batch, uint64_t *n_bytes)
{
    (void) port;
    (void) queue;
    for (uint32_t i = 0; i < batch->n; i++) {
        *n_bytes += batch->packets[i]->size;
    }
    packet_release_burst(batch->packets, batch->n);
    return batch->n;
}

static int
null_wait_fd(struct port *port, uint32_t queue)
{
    const struct null_port *null = (const struct null_port *) port;

    (void) queue;
    return null->n_flows == 0 && !null->is_polled ? PORT_WAIT_NEVER : PORT_WAIT_BUSY;
}

const struct port_class port_class_null = {
    .number = SLUICE_PORT_CLASS_NULL,
    .name = "null",
    .size = sizeof(struct null_port),
    .open = null_open,
    .close = null_close,
    .rx = null_rx,
    .tx = null_tx,
    .wait_fd = null_wait_fd,
};
