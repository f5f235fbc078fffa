#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/match.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pipeline/action_check.h"
#include "pipeline/field.h"
#include "pipeline/frozen.h"
#include "pipeline/learn.h"
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

/* The Ethernet type of a packet without Ethernet header, or 0: a match says which.  'match' may be null. */
static uint16_t
bare_type(const struct match *match)
{
    if (!match) {
        return 0;
    }
    struct flow_key value;
    struct flow_key mask;
    match_expand(match, &value, &mask);
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
    if (command->packet_size > PACKET_LARGE_SIZE) {
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
send_solicitations(struct pipeline *pipeline, const struct solicitations *solicitations, uint64_t now_ms)
{
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    for (uint32_t i = 0; i < solicitations->n && hooks->execute; i++) {
        const struct solicitation *one = &solicitations->all[i];
        const struct flow_key key = { .in_port = 0 };
        struct xlate_out out;
        xlate_out_init(&out);
        solicitation_xlate(pipeline, one, now_ms, &out);
        hooks->execute(hooks->aux, &key, one->frame, one->size, out.actions, out.actions_size);
        xlate_out_uninit(&out);
    }
}

/* Has the transaction learn what a translation says is to be learned.  0 or an enum sluice_error. */
static uint32_t
learn(struct pipeline *pipeline, struct xlate_credit *credits, uint32_t *n_credits, uint64_t now_ms)
{
    uint32_t error = 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < *n_credits; i++) {
        struct xlate_credit *credit = &credits[i];
        if (credit->kind != XLATE_CREDIT_LEARN) {
            credits[kept++] = *credit;
            continue;
        }
        /* Once: a later command of the transaction may take the rule away again. */
        error = error ? error : learned_add(pipeline, credit->learned, now_ms);
        learned_unref(credit->learned);
    }
    *n_credits = kept;
    return error;
}

/* Translates one packet. */
static uint32_t
translate(struct pipeline *pipeline, const struct xlate_in *in, struct packet_job *job)
{
    struct xlate_out out;
    xlate_out_init(&out);
    epoch_online(pipeline->reader);
    xlate(pipeline, in, &out);
    uint32_t n_credits = out.n_credits;
    xlate_out_steal_credits(&out);
    epoch_offline(pipeline->reader);
    uint32_t error = out.failed ? SLUICE_ERROR_NOT_TRANSLATED : learn(pipeline, out.credits, &n_credits, in->now_ms);
    if (error) {
        xlate_credits_release(out.credits, n_credits, false);
        xlate_out_uninit(&out);
        return error;
    }
    job->now_ms = in->now_ms;
    job->in_port = in->key->in_port;
    job->packet_type = in->key->packet_type;
    job->tcp_flags = key_tcp_flags(in->key);
    job->actions = out.actions;
    job->actions_size = out.actions_size;
    job->credits = out.credits;
    job->n_credits = n_credits;
    job->solicitations = out.solicitations;
    return 0;
}

/* The key of a frame with the metadata that 'match', if not null, says. */
static void
get_key(const struct pipeline *pipeline, const uint8_t *frame, uint32_t size, const struct match *match,
        struct flow_key *key)
{
    struct packet packet;
    packet_wrap(&packet, (void *) frame, size, 0, size);
    packet.bare_type = bare_type(match);
    packet_parse(&packet, pipeline_vlan_limit(pipeline), key);
    if (match) {
        struct flow_key value;
        struct flow_key mask;
        match_expand(match, &value, &mask);
        for (uint32_t i = 0; i < SLUICE_KEY_WORDS; i++) {
            bool settable = i < SLUICE_KEY_L2_WORD || i >= SLUICE_KEY_OPTIONS_WORD;
            key->words[i] = settable ? (key->words[i] & ~mask.words[i]) | value.words[i] : key->words[i];
        }
    }
}

static uint32_t
packet_out_translate(struct pipeline *pipeline, const struct sluice_packet_out *command, const struct config *draft,
                     struct packet_job *job)
{
    struct parts parts = get_parts(command);
    /* Open vSwitch refuses no packet for being short: what is no frame is accepted, and goes nowhere. */
    if (command->packet_size < (bare_type(parts.match) ? 1 : FRAME_SIZE_MIN)) {
        pipeline_count_drop(pipeline, SLUICE_DROP_REASON_BAD_PACKET, 1);
        job->is_void = true;
        return 0;
    }
    struct flow_key key;
    get_key(pipeline, parts.frame, command->packet_size, parts.match, &key);
    const struct bridge_view *view = pipeline_view(pipeline, command->bridge);
    const struct ofport *port = bridge_view_find_port(view, port_normalize(command->in_port));
    key.in_port = port ? be32(port->dp_port) : 0;

    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    const struct xlate_in in = {
        .key = &key,
        .now_ms = hooks->now(hooks->aux),
        .learn = true,
        .has_control = true,
        .draft = draft,
        .bridge = command->bridge,
        .in_port = command->in_port,
        .actions = parts.actions,
        .actions_size = command->actions_size,
    };
    pipeline_cover(pipeline, SLUICE_COVERAGE_OFPROTO_PACKET_OUT);
    return translate(pipeline, &in, job);
}

/* Whether values that were pushed follow one another without a rest. */
static bool
stack_is_whole(const uint8_t *stack, uint32_t size)
{
    while (size) {
        uint32_t value_size = stack[size - 1];
        if (value_size >= size || !value_size || value_size > FIELD_BITS_MAX / 8) {
            return false;
        }
        size -= value_size + 1;
    }
    return true;
}

static uint32_t
check_continuation(const struct pipeline *pipeline, const struct sluice_continuation *content, uint64_t size)
{
    if (sizeof *content + padded(content->match_size) + padded(content->stack_size) + padded(content->action_set_size)
            + padded(content->actions_size)
        != size) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    const struct bridge_view *view = pipeline_view(pipeline, content->bridge);
    if (!view) {
        return SLUICE_ERROR_NO_SUCH_BRIDGE;
    }
    if (match_check_exact(frozen_match(content), content->match_size, SLUICE_KEY_WORDS)) {
        return SLUICE_ERROR_BAD_MATCH;
    }
    if (content->stack_size > XLATE_STACK_SIZE_MAX || !stack_is_whole(frozen_stack(content), content->stack_size)) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    uint32_t n_tables = view->bridge->n_tables;
    uint32_t error = action_check(frozen_action_set(content), content->action_set_size, 255, n_tables);
    /* What actions name may have gone since they were frozen: then they do nothing. */
    return error ? error : action_check_frozen(frozen_actions(content), content->actions_size, n_tables);
}

uint32_t
resume_check(const struct pipeline *pipeline, const struct sluice_resume *command)
{
    const struct sluice_continuation *content = (const void *) (command + 1);
    uint64_t size = sizeof *command + (uint64_t) command->continuation_size + padded(command->packet_size);
    if (size != command->size || command->continuation_size < sizeof *content || command->continuation_size % 8) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    uint32_t error = check_continuation(pipeline, content, command->continuation_size);
    if (error) {
        return error;
    }
    uint32_t size_min = bare_type(frozen_match(content)) ? 1 : FRAME_SIZE_MIN;
    return command->packet_size < size_min || command->packet_size > PACKET_LARGE_SIZE ? SLUICE_ERROR_BAD_PACKET : 0;
}

static const uint8_t *
resume_frame(const struct sluice_resume *command)
{
    return (const uint8_t *) (command + 1) + command->continuation_size;
}

static uint32_t
resume_translate(struct pipeline *pipeline, const struct sluice_resume *command, const struct config *draft,
                 struct packet_job *job)
{
    const struct sluice_continuation *content = (const void *) (command + 1);
    struct flow_key key;
    get_key(pipeline, resume_frame(command), command->packet_size, frozen_match(content), &key);
    key.in_port = be32(command->dp_port);
    key.recirc_id = 0;

    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    const struct xlate_in in = {
        .key = &key,
        .now_ms = hooks->now(hooks->aux),
        .learn = true,
        .has_control = true,
        .draft = draft,
        .resume = content,
    };
    return translate(pipeline, &in, job);
}

uint32_t
packet_translate(struct pipeline *pipeline, const struct sluice_record *command, const struct config *draft,
                 struct packet_job *job)
{
    *job = (struct packet_job){ .command = command };
    return command->type == SLUICE_COMMAND_RESUME ? resume_translate(pipeline, (const void *) command, draft, job)
                                                  : packet_out_translate(pipeline, (const void *) command, draft, job);
}

void
packet_do(struct pipeline *pipeline, const struct packet_job *job)
{
    if (job->is_void) {
        return;
    }
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    const struct sluice_resume *resume = (const void *) job->command;
    const struct sluice_packet_out *packet_out = (const void *) job->command;
    bool resumes = job->command->type == SLUICE_COMMAND_RESUME;
    const uint8_t *frame = resumes ? resume_frame(resume) : get_parts(packet_out).frame;
    uint32_t size = resumes ? resume->packet_size : packet_out->packet_size;
    const struct flow_key key = { .in_port = job->in_port, .packet_type = job->packet_type };
    const struct xlate_traffic traffic = { 1, size, job->now_ms, job->tcp_flags, NULL };

    epoch_online(pipeline->reader);
    xlate_credit(pipeline, job->credits, job->n_credits, &traffic);
    if (hooks->execute) {
        hooks->execute(hooks->aux, &key, frame, size, job->actions, job->actions_size);
    }
    send_solicitations(pipeline, &job->solicitations, job->now_ms);
    epoch_offline(pipeline->reader);
}

void
packet_job_free(struct packet_job *job)
{
    xlate_credits_release(job->credits, job->n_credits, false);
    free(job->credits);
    free(job->actions);
    *job = (struct packet_job){ .command = NULL };
}
