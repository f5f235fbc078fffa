#include "pipeline/trace.h"

#include <string.h>

#include "classifier/rule.h"
#include "packet/match.h"

void
trace_put(struct trace_sink *sink, const struct trace_step *step)
{
    if (!sink || sink->overflow) {
        return;
    }
    struct match_buffer match = { .room = { 0 } };
    size_t match_bytes = 0;
    if (step->rule) {
        rule_put_match(step->rule, &match.match);
        match_bytes = match_size(&match.match);
    } else if (step->value) {
        match_bytes = match_compress(step->value, step->mask, &match.match, sizeof match);
    }

    size_t actions_size = step->actions ? step->record.actions_size : 0;
    size_t size = sizeof step->record + match_bytes + actions_size;
    if (size > sink->room - sink->used) {
        sink->overflow = true;
        return;
    }
    uint8_t *bytes = sink->bytes + sink->used;
    struct sluice_trace_step record = step->record;
    record.type = SLUICE_QUERY_TRACE;
    record.size = (uint32_t) size;
    record.match_size = (uint32_t) match_bytes;
    record.actions_size = (uint32_t) actions_size;
    memcpy(bytes, &record, sizeof record);
    memcpy(bytes + sizeof record, &match, match_bytes);
    if (actions_size) {
        memcpy(bytes + sizeof record + match_bytes, step->actions, actions_size);
    }
    sink->used += size;
    sink->n++;
}
