#include "pipeline/pipeline.h"

#include <errno.h>
#include <stdlib.h>

#include "classifier/flow_store.h"
#include "classifier/version_map.h"
#include "meter/meter_table.h"
#include "pipeline/mac_table.h"
#include "pipeline/mcast_table.h"
#include "pipeline/netflow.h"
#include "pipeline/pipeline_state.h"
#include "tunnel/neighbor.h"

/* Called again at the latest after this time, for what has no deadline. */
#define MAINTAIN_INTERVAL_MS 1000u

/* Most rules that one call removes for their age, so that nobody waits long for the control lock. */
#define EXPIRE_MAX 65536u

static const struct config *
empty_config(void)
{
    struct config *config = malloc(sizeof *config);
    struct topology *topology = topology_create(NULL, 0);
    if (!config || !topology) {
        free(config);
        topology_destroy(topology);
        return NULL;
    }
    config->version = 1;
    config->topology = topology;
    return config;
}

static void
neighbor_changed(void *pipeline_, uint32_t device, const uint8_t address[16])
{
    struct pipeline *pipeline = pipeline_;
    pipeline_count_cell(pipeline, pipeline_neighbor_cell(device, address));
}

int
pipeline_create(const struct pipeline_options *options, struct pipeline **pipelinep)
{
    struct pipeline *pipeline = calloc(1, sizeof *pipeline);
    const struct config *config = empty_config();
    struct epoch_reader *reader = epoch_register(options->epoch);
    struct frozen_table *frozen = frozen_table_create(options->epoch);
    struct meter_table *meters = meter_table_create();
    struct neighbor_table *neighbors = pipeline ? neighbor_table_create(neighbor_changed, pipeline) : NULL;
    if (!pipeline || !config || !reader || !frozen || !meters || !neighbors || chores_init(&pipeline->chores)) {
        if (config) {
            topology_destroy((void *) config->topology);
            free((void *) config);
        }
        epoch_unregister(reader);
        frozen_table_destroy(frozen);
        meter_table_destroy(meters);
        neighbor_table_destroy(neighbors);
        free(pipeline);
        return ENOMEM;
    }
    epoch_offline(reader);
    pipeline->options = *options;
    pipeline->reader = reader;
    pipeline->frozen = frozen;
    pipeline->meters = meters;
    pipeline->neighbors = neighbors;
    pipeline->random = options->random_seed;
    atomic_init(&pipeline->config, config);
    atomic_init(&pipeline->change, 1);
    atomic_init(&pipeline->vlan_limit, 2);
    limbo_init(&pipeline->limbo, options->epoch);
    *pipelinep = pipeline;
    return 0;
}

void
pipeline_destroy(struct pipeline *pipeline)
{
    if (!pipeline) {
        return;
    }
    if (pipeline->transaction.open) {
        pipeline_rollback(pipeline);
    }
    chores_uninit(&pipeline->chores);
    for (uint32_t id = 0; id < pipeline->n_slots; id++) {
        struct bridge_view *view = pipeline->slots[id].view;
        if (view) {
            mac_table_retire(view->bridge->macs);
            bridge_destroy(view->bridge);
            bridge_view_destroy(view);
        }
    }
    limbo_uninit(&pipeline->limbo);
    const struct config *config = atomic_load_explicit(&pipeline->config, memory_order_relaxed);
    topology_destroy((void *) config->topology);
    free((void *) config);
    epoch_unregister(pipeline->reader);
    frozen_table_destroy(pipeline->frozen);
    meter_table_destroy(pipeline->meters);
    neighbor_table_destroy(pipeline->neighbors);
    free((void *) atomic_load_explicit(&pipeline->routes, memory_order_relaxed));
    free(pipeline->slots);
    free(pipeline->transaction.touched);
    free(pipeline->transaction.mac_edits);
    free(pipeline->transaction.packets);
    free(pipeline);
}

/* Removes the rules of all bridges whose time is up.  Returns when the next are due. */
static uint64_t
expire_rules(struct pipeline *pipeline, uint64_t now_ms)
{
    uint64_t next = UINT64_MAX;
    pipeline_begin(pipeline, true);
    for (uint32_t id = 0; id < pipeline->n_slots; id++) {
        const struct bridge_view *view = pipeline->slots[id].view;
        if (!view) {
            continue;
        }
        uint32_t error;
        if (flow_store_next_expiry(view->bridge->flows) <= now_ms) {
            struct flow_store *flows = transaction_flows(pipeline, id, &error);
            if (flows) {
                flow_store_expire(flows, now_ms, EXPIRE_MAX);
            }
        }
        uint64_t due = flow_store_next_expiry(view->bridge->flows);
        next = due < next ? due : next;
    }
    if (pipeline->transaction.n_touched) {
        pipeline_commit(pipeline);
    } else {
        pipeline_rollback(pipeline);
    }
    return next;
}

uint64_t
pipeline_maintain(struct pipeline *pipeline, uint64_t now_ms)
{
    uint64_t next = pipeline->holds_rules ? UINT64_MAX : expire_rules(pipeline, now_ms);
    for (uint32_t id = 0; id < pipeline->n_slots; id++) {
        const struct bridge_view *view = pipeline->slots[id].view;
        if (view) {
            uint64_t due = mac_table_expire(view->bridge->macs, now_ms);
            next = due < next ? due : next;
            due = mcast_table_expire(view->bridge->mcast, now_ms);
            next = due < next ? due : next;
            flow_store_collect(view->bridge->flows);
            if (view->netflow_timeout_s) {
                netflow_expire(view->bridge->netflow, now_ms);
                netflow_deliver(view->bridge->netflow, now_ms);
            }
            version_map_collect(view->bridge->meters);
            version_map_collect(view->bridge->groups);
        }
    }
    limbo_reclaim(&pipeline->limbo);
    frozen_maintain(pipeline->frozen, now_ms);
    neighbor_expire(pipeline->neighbors, now_ms);
    return next < now_ms + MAINTAIN_INTERVAL_MS ? next : now_ms + MAINTAIN_INTERVAL_MS;
}

uint64_t
pipeline_change(const struct pipeline *pipeline)
{
    return atomic_load_explicit(&pipeline->change, memory_order_acquire);
}

void
pipeline_count_drop(struct pipeline *pipeline, uint32_t reason, uint64_t n)
{
    if (reason < PIPELINE_DROP_REASONS) {
        atomic_fetch_add_explicit(&pipeline->drops[reason], n, memory_order_relaxed);
    }
}

const struct sluice_continuation *
pipeline_frozen(const struct pipeline *pipeline, uint32_t recirc_id, size_t *size)
{
    const struct frozen_state *state = frozen_find(pipeline->frozen, recirc_id);
    *size = state ? state->size : 0;
    return state ? &state->content : NULL;
}

const struct meter_table *
pipeline_meters(const struct pipeline *pipeline)
{
    return pipeline->meters;
}

uint32_t
pipeline_vlan_limit(const struct pipeline *pipeline)
{
    return atomic_load_explicit(&pipeline->vlan_limit, memory_order_relaxed);
}
