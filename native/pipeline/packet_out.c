#include <errno.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/match.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pipeline/action_check.h"
#include "pipeline/field.h"
#include "pipeline/pipeline_state.h"
#include "pipeline/xlate.h"

#define FRAME_SIZE_MIN 14u

/* The parts behind the command; asserts nothing: packet_out_check() has. */
struct parts {
    const struct match *match;
    const uint8_t *actions;
    const uint8_t *frame;
};

static uint64_t
padded(uint32_t size)
{
    return ((uint64_t) size + 7) & ~(uint64_t) 7;
}

static struct parts
get_parts(const struct sluice_packet_out *command)
{
    const uint8_t *bytes = (const uint8_t *) (command + 1);
    struct parts parts;
    parts.match = command->match_size ? (const struct match *) bytes : NULL;
    parts.actions = bytes + padded(command->match_size);
    parts.frame = parts.actions + padded(command->actions_size);
    return parts;
}

/* The Ethernet type of a packet without Ethernet header, or 0: a match says which. */
static uint16_t
bare_type(const struct parts *parts)
{
    if (!parts->match) {
        return 0;
    }
    struct flow_key value;
    struct flow_key mask;
    match_expand(parts->match, &value, &mask);
    return be32(value.packet_type) >> 16 == 1 ? (uint16_t) be32(value.packet_type) : 0;
}

uint32_t
packet_out_check(const struct pipeline *pipeline, const struct sluice_packet_out *command)
{
    uint64_t size =
        sizeof *command + padded(command->match_size) + padded(command->actions_size) + padded(command->packet_size);
    if (size != command->size) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    const struct bridge_view *view = pipeline_view(pipeline, command->bridge);
    if (!view) {
        return SLUICE_ERROR_NO_SUCH_BRIDGE;
    }
    struct parts parts = get_parts(command);
    if (parts.match && match_check_exact(parts.match, command->match_size, SLUICE_KEY_WORDS)) {
        return SLUICE_ERROR_BAD_MATCH;
    }
    uint32_t size_min = bare_type(&parts) ? 1 : FRAME_SIZE_MIN;
    if (command->packet_size < size_min || command->packet_size > PACKET_LARGE_SIZE) {
        return SLUICE_ERROR_BAD_PACKET;
    }
    uint32_t port = port_normalize(command->in_port);
    if (!port || (port >= PORT_MAX && port < PORT_IN_PORT)) {
        return SLUICE_ERROR_NO_SUCH_PORT;
    }
    uint32_t error = action_check(parts.actions, command->actions_size, 255, view->bridge->n_tables);
    return error ? error : action_check_references(view->bridge, parts.actions, command->actions_size);
}

/* Sends the requests for neighbours that a translation wants sent. */
static void
send_solicitations(struct pipeline *pipeline, struct xlate_out *out, uint64_t now_ms)
{
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    const struct solicitations solicitations = out->solicitations;
    for (uint32_t i = 0; i < solicitations.n && hooks->execute; i++) {
        const struct solicitation *one = &solicitations.all[i];
        const struct flow_key key = { .in_port = 0 };
        solicitation_xlate(pipeline, one, now_ms, out);
        hooks->execute(hooks->aux, &key, one->frame, one->size, out->actions, out->actions_size);
    }
}

void
packet_out_run(struct pipeline *pipeline, const struct sluice_packet_out *command)
{
    const struct bridge_view *view = pipeline_view(pipeline, command->bridge);
    if (!view) {
        return;
    }
    struct parts parts = get_parts(command);
    struct packet packet;
    struct flow_key key;
    packet_wrap(&packet, (void *) parts.frame, command->packet_size, 0, command->packet_size);
    packet.bare_type = bare_type(&parts);
    packet_parse(&packet, pipeline_vlan_limit(pipeline), &key);
    if (parts.match) {
        struct flow_key value;
        struct flow_key mask;
        match_expand(parts.match, &value, &mask);
        for (uint32_t i = 0; i < SLUICE_KEY_WORDS; i++) {
            bool settable = i < SLUICE_KEY_L2_WORD || i >= SLUICE_KEY_OPTIONS_WORD;
            key.words[i] = settable ? (key.words[i] & ~mask.words[i]) | value.words[i] : key.words[i];
        }
    }
    const struct ofport *port = bridge_view_find_port(view, port_normalize(command->in_port));
    key.in_port = port ? be32(port->dp_port) : 0;

    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    const struct xlate_in in = {
        .key = &key,
        .now_ms = hooks->now(hooks->aux),
        .learn = true,
        .has_control = true,
        .bridge = command->bridge,
        .in_port = command->in_port,
        .actions = parts.actions,
        .actions_size = command->actions_size,
    };
    struct xlate_out out;
    xlate_out_init(&out);
    epoch_online(pipeline->reader);
    pipeline_cover(pipeline, SLUICE_COVERAGE_OFPROTO_PACKET_OUT);
    xlate(pipeline, &in, &out);
    const struct xlate_traffic traffic = { 1, command->packet_size, in.now_ms, key_tcp_flags(&key) };
    xlate_credit(pipeline, out.credits, out.n_credits, &traffic);
    if (hooks->execute) {
        hooks->execute(hooks->aux, &key, parts.frame, command->packet_size, out.actions, out.actions_size);
    }
    send_solicitations(pipeline, &out, in.now_ms);
    epoch_offline(pipeline->reader);
    xlate_out_uninit(&out);
}
