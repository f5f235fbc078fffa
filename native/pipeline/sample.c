/* Sampling for sFlow and IPFIX: report actions, by chance and behind a meter where that is asked for. */
#include <string.h>

#include "packet/bytes.h"
#include "pipeline/ofmeter.h"
#include "pipeline/tunnel.h"
#include "pipeline/xlate_ctx.h"

/* Bytes of a packet that an IPFIX sample tells of: headers up to L4, with room for tags and extension headers. */
#define IPFIX_HEADERS_MAX 256u

/* A report carries the actions of the whole flow only up to this size. */
#define REPORT_ACTIONS_MAX 16384u

/* Appends 'model', which is executed with a probability of 'probability' in UINT32_MAX.  Returns its offset, or UINT32_MAX
 * if there is none. */
static uint32_t
append_report(struct xlate_ctx *ctx, uint32_t probability, const struct sluice_dp_action_report *model)
{
    if (!probability) {
        return UINT32_MAX;
    }
    const struct ofmeter *limit = xlate_meter(ctx, SLUICE_METER_SLOWPATH);
    bool is_sample = probability < UINT32_MAX || limit;
    uint32_t begin = ctx->out->actions_size;
    if (is_sample) {
        commit_append(ctx, SLUICE_DP_ACTION_SAMPLE, sizeof(struct sluice_dp_action_sample));
    }
    if (limit) {
        commit_meter(ctx, limit->dp_meter);
    }
    uint32_t at = ctx->out->actions_size;
    struct sluice_dp_action_report *report = commit_append(ctx, SLUICE_DP_ACTION_REPORT, sizeof *report);
    if (!report || ctx->error) {
        return UINT32_MAX;
    }
    uint16_t size = report->size;
    *report = *model;
    report->opcode = SLUICE_DP_ACTION_REPORT;
    report->size = size;
    report->bridge = ctx->view->bridge->id;
    report->in_port = be32(ctx->flow.in_port);
    ctx->has_reports |= model->sample_kind != SLUICE_SAMPLE_KIND_SFLOW;
    if (is_sample) {
        struct sluice_dp_action_sample *sample = (void *) ((uint8_t *) ctx->out->actions + begin);
        sample->probability = probability;
        sample->size = (uint16_t) (ctx->out->actions_size - begin);
        sample->actions_size = sample->size - (uint32_t) sizeof *sample;
    }
    return at;
}

void
sample_input(struct xlate_ctx *ctx)
{
    const struct bridge_view *view = ctx->view;
    if (ctx->flow.in_port == be32(PORT_NONE)) {
        return;
    }
    if (view->sflow_probability) {
        const struct sluice_dp_action_report model = {
            .sample_kind = SLUICE_SAMPLE_KIND_SFLOW,
            .max_len = view->sflow_header,
        };
        ctx->sflow_report = append_report(ctx, view->sflow_probability, &model);
        /* The report says which tag the packet leaves with, which mostly is the one that it came with. */
        WILD_ALL(ctx, vlan0_tci);
    }
    if (view->flags & SLUICE_BRIDGE_FLAG_IPFIX_INPUT) {
        const struct sluice_dp_action_report model = {
            .sample_kind = SLUICE_SAMPLE_KIND_IPFIX,
            .max_len = IPFIX_HEADERS_MAX,
        };
        append_report(ctx, view->ipfix_probability, &model);
    }
}

void
sample_output(struct xlate_ctx *ctx, const struct ofport *port)
{
    if (!(ctx->view->flags & SLUICE_BRIDGE_FLAG_IPFIX_OUTPUT)) {
        return;
    }
    struct sluice_dp_action_report model = {
        .sample_kind = SLUICE_SAMPLE_KIND_IPFIX,
        .out_port = port->dp_port,
        .max_len = IPFIX_HEADERS_MAX,
    };
    if (port->is_tunnel && ctx->view->flags & SLUICE_BRIDGE_FLAG_IPFIX_TUNNELS) {
        model.tunnel_port = port->dp_port;
        memcpy(model.tunnel_out, &ctx->flow.words[SLUICE_KEY_TUNNEL_WORD], sizeof model.tunnel_out);
    }
    append_report(ctx, ctx->view->ipfix_probability, &model);
}

void
sample_action(struct xlate_ctx *ctx, const struct sluice_action_sample *action)
{
    if (!(ctx->view->flags & SLUICE_BRIDGE_FLAG_FLOW_SAMPLING)) {
        return;
    }
    struct sluice_dp_action_report model = {
        .sample_kind = SLUICE_SAMPLE_KIND_FLOW,
        .direction = action->direction,
        .probability = action->probability,
        .collector_set_id = action->collector_set_id,
        .obs_domain_id = action->obs_domain_id,
        .obs_point_id = action->obs_point_id,
        .max_len = IPFIX_HEADERS_MAX,
    };
    uint32_t number = port_normalize(action->sampling_port);
    const struct ofport *port = NULL;
    if (number != PORT_NONE && number != be32(ctx->flow.in_port)) {
        port = bridge_view_find_port(ctx->view, number);
        if (!port || !port->dp_port) {
            trace_note(ctx, SLUICE_TRACE_NOTE_PORT_MISSING, number, 0, 0);
            return;
        }
        model.out_port = port->dp_port;
    }
    commit_actions(ctx);
    if (port && port->is_tunnel && ctx->view->flags & SLUICE_BRIDGE_FLAG_FLOW_SAMPLING_TUNNELS) {
        model.tunnel_port = port->dp_port;
        tunnel_prepare(ctx, port, model.tunnel_out);
    }
    append_report(ctx, (uint32_t) action->probability << 16 | action->probability, &model);
}

/* Bytes before the actions that an action is made of; 0: it has none. */
static uint32_t
nested_at(uint16_t opcode)
{
    switch (opcode) {
    case SLUICE_DP_ACTION_SAMPLE:
        return sizeof(struct sluice_dp_action_sample);
    case SLUICE_DP_ACTION_CLONE:
        return sizeof(struct sluice_dp_action_clone);
    case SLUICE_DP_ACTION_CHECK_PKT_LEN:
        return sizeof(struct sluice_dp_action_check_pkt_len);
    default:
        return 0;
    }
}

/* Tells the reports among the actions, but sFlow's, by how many ports the packet goes out. */
static void
tell_outputs(uint8_t *actions, uint32_t size, uint32_t n_outputs)
{
    for (uint32_t at = 0; at < size;) {
        struct sluice_dp_action_report *report = (void *) (actions + at);
        if (report->opcode == SLUICE_DP_ACTION_REPORT && report->sample_kind != SLUICE_SAMPLE_KIND_SFLOW) {
            report->n_outputs = n_outputs;
        }
        uint32_t head = nested_at(report->opcode);
        if (head != 0) {
            tell_outputs(actions + at + head, report->size - head, n_outputs);
        }
        at += report->size;
    }
}

void
sample_finish(struct xlate_ctx *ctx)
{
    struct xlate_out *out = ctx->out;
    if (ctx->has_reports && !ctx->error) {
        tell_outputs((uint8_t *) out->actions, out->actions_size, ctx->n_outputs);
    }
    if (ctx->sflow_report == UINT32_MAX || ctx->error) {
        return;
    }
    /* It is in the first action, alone or within a sample.  Its copy of the actions that follow goes right behind it. */
    uint8_t *bytes = (uint8_t *) out->actions;
    const struct sluice_dp_action_sample *first = (const void *) bytes;
    uint32_t rest = first->size;
    uint32_t size = out->actions_size - rest;
    size = size <= REPORT_ACTIONS_MAX ? size : 0;
    if (size
        && !xlate_reserve(&out->actions, out->actions_size, &out->actions_capacity, size, XLATE_ACTIONS_SIZE_MAX)) {
        size = 0;
    }
    bytes = (uint8_t *) out->actions;
    memmove(bytes + rest + size, bytes + rest, out->actions_size - rest);
    memcpy(bytes + rest, bytes + rest + size, size);
    out->actions_size += size;
    struct sluice_dp_action_report *report = (void *) (bytes + ctx->sflow_report);
    report->size = (uint16_t) (report->size + size);
    report->actions_size = size;
    report->out_port = ctx->output;
    report->n_outputs = ctx->n_outputs;
    report->vlan_tci = ctx->base.vlan0_tci;
    if (ctx->sflow_report) {
        struct sluice_dp_action_sample *sample = (void *) bytes;
        sample->size = (uint16_t) (sample->size + size);
        sample->actions_size += size;
    }
}
