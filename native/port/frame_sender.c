#include "port/frame_sender.h"

#include <errno.h>
#include <string.h>

#include "port/device.h"

/* Queues that a discipline with classes has at most. */
#define QUEUES_MAX 0xf000u

void
frame_sender_init(struct frame_sender *sender, int fd)
{
    memset(sender, 0, sizeof *sender);
    sender->fd = fd;
}

/* Lays out 'joined' packets as one message behind its virtio-net header.  Returns the parts used. */
static uint32_t
lay_out_joined(struct sent_frame *frame, struct iovec *parts, struct packet *const *packets, struct coalesced *joined)
{
    frame->header = (struct virtio_net_hdr){
        .flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
        .gso_type = joined->gso_type,
        .hdr_len = (uint16_t) joined->header_size,
        .gso_size = joined->gso_size,
        .csum_start = joined->csum_start,
        .csum_offset = joined->csum_offset,
    };
    parts[0] = (struct iovec){ joined->header, joined->header_size };
    for (uint32_t i = 0; i < joined->n; i++) {
        struct packet *packet = packets[i];
        parts[1 + i] = (struct iovec){ packet->data + joined->header_size, packet->size - joined->header_size };
    }
    return 1 + joined->n;
}

/* Lays out the batch as messages; returns how many.  Those that cannot be told are counted. */
static uint32_t
lay_out(struct frame_sender *sender, struct port *port, uint32_t queue, struct packet *const *packets, uint32_t n)
{
    struct iovec *parts = sender->parts;
    uint32_t n_messages = 0, n_joined = 0;

    for (uint32_t i = 0, step; i < n; i += step) {
        struct sent_frame *frame = &sender->frames[n_messages];
        struct coalesced *joined = &sender->joined[n_joined];
        uint32_t n_parts = 1;
        coalesce(packets + i, n - i, joined);
        step = joined->n;
        if (step > 1) {
            n_parts += lay_out_joined(frame, parts + 1, packets + i, joined);
            n_joined++;
        } else if (device_give_header(packets[i], &frame->header)) {
            parts[n_parts++] = (struct iovec){ packets[i]->data, packets[i]->size };
        } else {
            port_count_drop(&port->tx[queue], SLUICE_PORT_DROP_TX_UNSUPPORTED, 1);
            continue;
        }
        parts[0] = (struct iovec){ &frame->header, sizeof frame->header };
        frame->n_packets = step;
        frame->n_bytes = 0;
        for (uint32_t j = 0; j < step; j++) {
            frame->n_bytes += packets[i + j]->size;
        }
        sender->messages[n_messages++].msg_hdr = (struct msghdr){ .msg_iov = parts, .msg_iovlen = n_parts };
        parts += n_parts;
    }
    return n_messages;
}

static uint32_t
packets_of(const struct frame_sender *sender, uint32_t from, uint32_t to)
{
    uint32_t n = 0;

    for (uint32_t i = from; i < to; i++) {
        n += sender->frames[i].n_packets;
    }
    return n;
}

/* Queue n of OpenFlow is class 1:n+1 of the device's discipline.  Queue 0 is the default class, as no queue is. */
static uint32_t
class_of(const struct packet *packet)
{
    uint32_t queue = packet->skb_priority;

    return queue == 0 || queue >= QUEUES_MAX ? 0 : UINT32_C(0x10000) | (queue + 1);
}

/* Packets from 'packets' on that are of one class, which is then the socket's. */
static uint32_t
take_class(struct frame_sender *sender, struct packet *const *packets, uint32_t n)
{
    uint32_t class = class_of(packets[0]);
    uint32_t same = 1;

    while (same < n && class_of(packets[same]) == class) {
        same++;
    }
    if (class != sender->class && setsockopt(sender->fd, SOL_SOCKET, SO_PRIORITY, &class, sizeof class) == 0) {
        sender->class = class;
    }
    return same;
}

/* As frame_sender_send(), packets of one class. */
static uint32_t
send_class(struct frame_sender *sender, struct port *port, uint32_t queue, struct packet *const *packets, uint32_t n,
           uint64_t *n_bytes)
{
    uint32_t n_messages = lay_out(sender, port, queue, packets, n);
    uint32_t n_sent = 0;
    uint32_t at = 0;

    while (at < n_messages) {
        int sent = sendmmsg(sender->fd, sender->messages + at, n_messages - at, MSG_DONTWAIT);
        if (sent > 0) {
            for (uint32_t i = at; i < at + (uint32_t) sent; i++) {
                *n_bytes += sender->frames[i].n_bytes;
                n_sent += sender->frames[i].n_packets;
            }
            at += (uint32_t) sent;
            continue;
        }
        if (errno == EINTR) {
            continue;
        }
        /* A full queue refuses all that follow; other errors are of this frame. */
        _Bool all = errno == EAGAIN || errno == ENOBUFS || errno == ENETDOWN || errno == ENXIO;
        uint32_t end = all ? n_messages : at + 1;
        device_tx_error(port, queue, errno, packets_of(sender, at, end));
        at = end;
    }
    return n_sent;
}

uint32_t
frame_sender_send(struct frame_sender *sender, struct port *port, uint32_t queue, struct packet *const *packets,
                  uint32_t n, uint64_t *n_bytes)
{
    uint32_t n_sent = 0;

    for (uint32_t i = 0, same; i < n; i += same) {
        same = take_class(sender, packets + i, n - i);
        n_sent += send_class(sender, port, queue, packets + i, same, n_bytes);
    }
    return n_sent;
}
