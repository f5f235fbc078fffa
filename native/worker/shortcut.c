#include "worker/shortcut.h"

#include <stddef.h>

#include "actions/execute.h"
#include "classifier/flow_cache.h"
#include "packet/packet.h"
#include "packet/parse.h"
#include "pipeline/pipeline.h"
#include "worker/state.h"
#include "worker/worker.h"

_Bool
shortcut_take(struct worker *worker, struct shortcut *shortcut, struct packet_batch *batch, uint64_t now_ms)
{
    struct megaflow *megaflow = shortcut->megaflow;
    uint64_t n_bytes = 0;
    uint16_t tcp_flags = 0;

    if (megaflow == NULL
        || !packet_burst_is_alike(batch->packets, batch->n, shortcut->eth_type, &n_bytes, &tcp_flags)) {
        return 0;
    }
    if (!flow_cache_find_again(worker->cache, megaflow, shortcut->seen_serial, batch->n,
                               pipeline_change(worker->datapath->pipeline))) {
        *shortcut = (struct shortcut){ .megaflow = NULL };
        return 0;
    }
    const struct action_sink sink = worker_sink(worker);
    megaflow_hit(megaflow, batch->n, n_bytes, tcp_flags, now_ms);
    actions_execute(&sink, batch->packets, batch->n, megaflow_actions(megaflow), megaflow_actions_size(megaflow));
    return 1;
}

/* Whether the actions need nothing that parsing tells of a packet. */
static _Bool
has_plain_actions(const struct megaflow *megaflow)
{
    const uint8_t *actions = megaflow_actions(megaflow);
    uint32_t size = megaflow_actions_size(megaflow);

    for (uint32_t at = 0; at < size;) {
        const struct sluice_dp_action_output *action = (const void *) (actions + at);
        if (action->opcode != SLUICE_DP_ACTION_OUTPUT) {
            return 0;
        }
        at += action->size;
    }
    return 1;
}

void
shortcut_consider(struct shortcut *shortcut, struct megaflow *megaflow, const struct flow_key *key)
{
    uint64_t serial = megaflow_serial(megaflow);

    if (shortcut->seen_serial == serial) {
        return;
    }
    shortcut->seen_serial = serial;
    shortcut->eth_type = key->eth_type;
    shortcut->megaflow =
        megaflow_is_wide(megaflow) && has_plain_actions(megaflow) && key->vlan0_tci == 0 && key->ip_frag == 0 ? megaflow
                                                                                                              : NULL;
}
