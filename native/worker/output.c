/* Where the actions of a megaflow lead: to ports, and as events to the control thread. */
#include <string.h>

#include "actions/execute.h"
#include "meter/meter_table.h"
#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "pipeline/pipeline.h"
#include "port/port.h"
#include "worker/state.h"

void
worker_count_drop(struct worker *worker, uint32_t reason, uint32_t n)
{
    if (worker->drops != NULL && reason < DROP_REASONS) {
        /* Several workers may receive from one port. */
        atomic_fetch_add_explicit(&worker->drops->n[reason], n, memory_order_relaxed);
    } else {
        pipeline_count_drop(worker->datapath->pipeline, reason, n);
    }
}

static void
sink_drop(void *aux, uint32_t reason, uint32_t n)
{
    worker_count_drop(aux, reason, n);
}

/* Packets of which the control thread was to be told, and was not: what is dropped is a copy for it. */
static void
count_untold(struct worker *worker, uint32_t reason, uint32_t n)
{
    if (n != 0) {
        atomic_fetch_add_explicit(&worker->counts.n_copied, n, memory_order_relaxed);
        worker_count_drop(worker, reason, n);
    }
}

static void
send_output(struct worker *worker, struct worker_output *output)
{
    struct port *port = port_table_get(worker->datapath, output->dp_port);

    if (port != NULL) {
        worker_count(&worker->counters.n_tx_batches, 1);
        worker_count(&worker->counters.n_tx_packets, output->batch.n);
        port_tx(port, worker->index, worker->pool, &output->batch);
    } else {
        worker_count_drop(worker, SLUICE_DROP_REASON_NO_DEVICE, output->batch.n);
        packet_release_burst(output->batch.packets, output->batch.n);
    }
    output->batch.n = 0;
}

void
worker_flush(struct worker *worker)
{
    for (uint32_t i = 0; i < worker->n_outputs; i++) {
        if (worker->outputs[i].batch.n != 0) {
            send_output(worker, &worker->outputs[i]);
        }
    }
    worker->n_outputs = 0;
}

/* The collected packets of a port; sends those of all others when there are too many ports. */
static struct worker_output *
find_output(struct worker *worker, uint32_t dp_port)
{
    for (uint32_t i = 0; i < worker->n_outputs; i++) {
        if (worker->outputs[i].dp_port == dp_port) {
            return &worker->outputs[i];
        }
    }
    if (worker->n_outputs == WORKER_OUTPUTS_MAX) {
        worker_flush(worker);
    }
    struct worker_output *output = &worker->outputs[worker->n_outputs++];
    output->dp_port = dp_port;
    output->batch.n = 0;
    return output;
}

static void
sink_output(void *aux, uint32_t dp_port, struct packet *const *packets, uint32_t n)
{
    struct worker *worker = aux;
    struct worker_output *output = find_output(worker, dp_port);

    if (output->batch.n + n > PACKET_BATCH_MAX) {
        send_output(worker, output);
    }
    memcpy(&output->batch.packets[output->batch.n], packets, n * sizeof packets[0]);
    output->batch.n += n;
}

static size_t
pad8(size_t size)
{
    return (size + 7) & ~(size_t) 7;
}

/* Bytes of a packet that leave room for the rest of an OpenFlow message, which has at most 65535 bytes.  An action's
 * max_len is for switches that keep the packet in a buffer; one that does not sends the controller all of it. */
#define PACKET_IN_SIZE_MAX 65000

/* Bytes of what a paused packet goes on with: it is in the message with the packet.  A packet with more is dropped. */
#define CONTINUATION_SIZE_MAX 32768

static void
sink_controller(void *aux, const struct sluice_dp_action_controller *action, struct packet *const *packets, uint32_t n)
{
    struct worker *worker = aux;
    const uint8_t *match = (const uint8_t *) (action + 1);
    const uint8_t *userdata = match + pad8(action->match_size);
    const struct sluice_continuation *continuation = NULL;
    size_t continuation_size = 0;

    if (action->recirc_id) {
        continuation = pipeline_frozen(worker->datapath->pipeline, action->recirc_id, &continuation_size);
        if (continuation == NULL || continuation_size > CONTINUATION_SIZE_MAX) {
            count_untold(worker, SLUICE_DROP_REASON_NO_RECIRCULATION, n);
            return;
        }
    }
    uint32_t n_untold = 0;
    uint32_t packet_size_max = PACKET_IN_SIZE_MAX - (uint32_t) continuation_size;
    for (uint32_t i = 0; i < n; i++) {
        struct packet *packet = packets[i];
        packet_checksum_complete(packet);
        struct sluice_event_packet_in event = {
            .type = SLUICE_EVENT_PACKET_IN,
            .bridge = action->bridge,
            .in_port = action->in_port,
            .table = action->table,
            .reason = action->reason,
            .controller_id = action->controller_id,
            .max_len = action->max_len,
            .cookie = action->cookie,
            .total_size = packet->size,
            .packet_size = packet->size < packet_size_max ? packet->size : packet_size_max,
            .userdata_size = action->userdata_size,
            .match_size = action->match_size,
            .meter_id = action->meter_id,
            .continuation_size = (uint32_t) continuation_size,
            .dp_port = packet->in_port,
        };
        const struct ring_part parts[] = {
            { &event, sizeof event },
            { match, action->match_size },
            { userdata, action->userdata_size },
            { continuation, continuation_size },
            { packet->data, event.packet_size },
        };
        /* Source 0 is for events of state, so the control thread's packets are of port 65536. */
        uint32_t source = packet->in_port != 0 ? packet->in_port : DATAPATH_PORTS_MAX;
        n_untold += !ring_put(&worker->datapath->ring, source, (struct sluice_record *) &event, parts, 5);
    }
    count_untold(worker, SLUICE_DROP_REASON_CONTROL_QUEUE_FULL, n_untold);
}

static void
sink_protocol(void *aux, const struct sluice_dp_action_protocol *action, struct packet *const *packets, uint32_t n)
{
    struct worker *worker = aux;
    struct keepalive_table *keepalives = worker->datapath->keepalive.table;
    const struct keepalive_key session = { action->bridge, action->ofp_port, action->protocol };
    uint32_t n_untold = 0;

    for (uint32_t i = 0; i < n; i++) {
        struct packet *packet = packets[i];
        packet_checksum_complete(packet);
        if (keepalive_hear(keepalives, &session, packet->data, packet->size, worker->now_ms)) {
            continue;
        }
        struct sluice_event_protocol_packet event = {
            .type = SLUICE_EVENT_PROTOCOL_PACKET,
            .bridge = action->bridge,
            .ofp_port = action->ofp_port,
            .protocol = action->protocol,
            .packet_size = packet->size,
            .arrived_ms = worker->now_ms,
        };
        const struct ring_part parts[] = { { &event, sizeof event }, { packet->data, packet->size } };
        uint32_t source = packet->in_port != 0 ? packet->in_port : DATAPATH_PORTS_MAX;
        n_untold += !ring_put(&worker->datapath->ring, source, (struct sluice_record *) &event, parts, 2);
    }
    count_untold(worker, SLUICE_DROP_REASON_CONTROL_QUEUE_FULL, n_untold);
}

static void
sink_report(void *aux, const struct sluice_dp_action_report *action, struct packet *const *packets, uint32_t n)
{
    struct worker *worker = aux;

    for (uint32_t i = 0; i < n; i++) {
        struct packet *packet = packets[i];
        packet_checksum_complete(packet);
        struct sluice_event_sample event = {
            .type = SLUICE_EVENT_SAMPLE,
            .bridge = action->bridge,
            .sample_kind = action->sample_kind,
            .direction = action->direction,
            .in_port = action->in_port,
            .out_port = action->out_port,
            .n_outputs = action->n_outputs,
            .vlan_tci = action->vlan_tci,
            .probability = action->probability,
            .collector_set_id = action->collector_set_id,
            .obs_domain_id = action->obs_domain_id,
            .obs_point_id = action->obs_point_id,
            .total_size = packet->size,
            .packet_size = packet->size < action->max_len ? packet->size : action->max_len,
            .actions_size = action->actions_size,
            .packet_type = packet_type(packet),
            .tunnel_port = action->tunnel_port,
        };
        memcpy(event.tunnel_out, action->tunnel_out, sizeof event.tunnel_out);
        if (packet->metadata.is_tunneled) {
            memcpy(event.tunnel, packet->metadata.tunnel, sizeof event.tunnel);
        }
        const struct ring_part parts[] = {
            { &event, sizeof event },
            { packet->data, event.packet_size },
            { action + 1, action->actions_size },
        };
        uint32_t source = packet->in_port != 0 ? packet->in_port : DATAPATH_PORTS_MAX;
        ring_put(&worker->datapath->ring, source, (struct sluice_record *) &event, parts, 3);
    }
}

/* Packets of one port stay in order, and go there together. */
static void
sink_lb_output(void *aux, const struct sluice_dp_action_lb_output *action, struct packet *const *packets, uint32_t n)
{
    struct worker *worker = aux;
    struct pipeline_hashed hashed[PACKET_BATCH_MAX];
    uint32_t ports[PACKET_BATCH_MAX];
    uint32_t left = n < 32 ? (UINT32_C(1) << n) - 1 : UINT32_MAX;

    for (uint32_t i = 0; i < n; i++) {
        hashed[i] = (struct pipeline_hashed){ packets[i]->metadata.dp_hash, packets[i]->size };
    }
    pipeline_spread(worker->datapath->pipeline, action->bridge, action->bundle, hashed, n, ports);
    while (left != 0) {
        struct packet *same[PACKET_BATCH_MAX];
        uint32_t n_same = 0;
        uint32_t port = ports[__builtin_ctz(left)];
        for (uint32_t rest = left; rest != 0; rest &= rest - 1) {
            uint32_t i = (uint32_t) __builtin_ctz(rest);
            if (ports[i] == port) {
                same[n_same++] = packets[i];
                left &= ~(UINT32_C(1) << i);
            }
        }
        if (port != 0) {
            sink_output(worker, port, same, n_same);
        } else {
            sink_drop(worker, SLUICE_DROP_REASON_BOND, n_same);
            packet_release_burst(same, n_same);
        }
    }
}

static void
sink_recirc(void *aux, struct packet *const *packets, uint32_t n)
{
    worker_recirculate(aux, packets, n);
}

static void
sink_meter(void *aux, uint32_t id, struct packet **packets, uint32_t *n)
{
    struct worker *worker = aux;
    struct meter *meter = meter_table_get(pipeline_meters(worker->datapath->pipeline), id);
    uint32_t sizes[PACKET_BATCH_MAX];
    uint32_t n_left = 0;

    if (meter == NULL) {
        return;
    }
    for (uint32_t i = 0; i < *n; i++) {
        sizes[i] = packets[i]->size;
    }
    uint32_t over = meter_run(meter, sizes, *n, worker->now_us);
    if (over == 0) {
        return;
    }
    for (uint32_t i = 0; i < *n; i++) {
        if ((over >> i & 1) != 0) {
            packet_release(packets[i]);
        } else {
            packets[n_left++] = packets[i];
        }
    }
    sink_drop(worker, SLUICE_DROP_REASON_METER, *n - n_left);
    *n = n_left;
}

struct action_sink
worker_sink(struct worker *worker)
{
    return (struct action_sink){
        .output = sink_output,
        .controller = sink_controller,
        .protocol = sink_protocol,
        .report = sink_report,
        .recirc = sink_recirc,
        .lb_output = sink_lb_output,
        .meter = sink_meter,
        .drop = sink_drop,
        .sequences = worker->datapath->sequences,
        .aux = worker,
        .counts = &worker->counts,
        .pool = worker->pool,
        .random = &worker->random,
    };
}

/* Executes 'actions' on a frame in 'sink'. */
static void
execute_on_frame(struct worker *worker, const struct action_sink *sink, const struct flow_key *key,
                 const uint8_t *frame, size_t frame_size, const void *actions, size_t actions_size)
{
    struct packet *packet = frame_size <= PACKET_LARGE_SIZE ? packet_alloc(worker->pool, (uint32_t) frame_size) : NULL;

    atomic_fetch_add_explicit(&worker->n_injected, 1, memory_order_relaxed);
    if (packet == NULL) {
        worker_count_drop(worker, SLUICE_DROP_REASON_NO_BUFFER, 1);
        return;
    }
    memcpy(packet->data, frame, frame_size);
    worker->now_us = datapath_now_us(worker->datapath);
    worker->now_ms = worker->now_us / 1000;
    packet->in_port = be32(key->in_port);
    packet->bare_type = be32(key->packet_type) >> 16 == 1 ? (uint16_t) be32(key->packet_type) : 0;
    packet_parse_burst(&packet, 1, pipeline_vlan_limit(worker->datapath->pipeline), worker->levels[0].keys,
                       worker->levels[0].maps);
    actions_execute(sink, &packet, 1, actions, actions_size);
}

void
worker_execute(struct worker *worker, const struct flow_key *key, const uint8_t *frame, size_t frame_size,
               const void *actions, size_t actions_size)
{
    struct action_sink sink = worker_sink(worker);

    execute_on_frame(worker, &sink, key, frame, frame_size, actions, actions_size);
    worker_flush(worker);
}

static void
swallow_output(void *aux, uint32_t dp_port, struct packet *const *packets, uint32_t n)
{
    struct worker *worker = aux;

    (void) dp_port;
    atomic_fetch_add_explicit(&worker->counts.n_consumed, n, memory_order_relaxed);
    packet_release_burst(packets, n);
}

static void
swallow_lb_output(void *aux, const struct sluice_dp_action_lb_output *action, struct packet *const *packets, uint32_t n)
{
    (void) action;
    swallow_output(aux, 0, packets, n);
}

static void
swallow_recirc(void *aux, struct packet *const *packets, uint32_t n)
{
    swallow_output(aux, 0, packets, n);
}

void
worker_execute_telling(struct worker *worker, const struct flow_key *key, const uint8_t *frame, size_t frame_size,
                       const void *actions, size_t actions_size)
{
    struct action_sink sink = worker_sink(worker);

    sink.output = swallow_output;
    sink.recirc = swallow_recirc;
    sink.lb_output = swallow_lb_output;
    execute_on_frame(worker, &sink, key, frame, frame_size, actions, actions_size);
}
