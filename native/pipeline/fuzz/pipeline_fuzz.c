/* Any bytes as commands and queries for a pipeline with two bridges, then packets through whatever they made.  The
 * input is a sequence of records with random contents; what rules and actions it manages to install must never lead
 * translation astray. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline/action_check.h"
#include "pipeline/test/pipeline_rig.h"

#define INPUT_SIZE_MAX 8192

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
start(struct rig *rig)
{
    rig_init(rig);
    for (uint32_t bridge = 1; bridge <= 2; bridge++) {
        rig_bridge(rig, bridge);
        for (uint32_t port = 1; port <= 3; port++) {
            rig_port(rig, bridge, port, 10 * (bridge - 1) + port, 0);
            rig_bundle(rig, bridge, port, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
        }
        rig_patch(rig, bridge, 5, 3 - bridge, 5);
    }
}

/* Records of any type; sizes are made to fit, all else is as it comes. */
static void
run_records(struct rig *rig, uint8_t *bytes, size_t size, bool independent)
{
    static uint64_t reply[4096];
    size_t used;
    pipeline_begin(rig->pipeline, independent);
    for (size_t at = 0; size - at >= sizeof(struct sluice_record);) {
        struct sluice_record *record = (void *) (bytes + at);
        size_t left = (size - at) & ~(size_t) 7;
        record->type %= 32;
        record->size = (record->size & ~7u) % 1024;
        if (record->size < sizeof *record || record->size > left) {
            record->size = (uint32_t) left;
        }
        struct sluice_result result;
        pipeline_command(rig->pipeline, record, &result);
        if (result.error && !independent) {
            pipeline_rollback(rig->pipeline);
            pipeline_begin(rig->pipeline, false);
        }
        at += record->size;
    }
    rig_commit(rig);
    for (size_t at = 0; size - at >= sizeof(struct sluice_record);) {
        struct sluice_record *record = (void *) (bytes + at);
        pipeline_query(rig->pipeline, record, (uint8_t *) reply, sizeof reply, &used);
        at += record->size;
    }
}

/* The input as actions of a rule in each of two tables, as far as they are accepted. */
static void
run_actions(struct rig *rig, const uint8_t *data, size_t size)
{
    struct actions a = { .size = (uint32_t) (size < sizeof a.words ? size & ~(size_t) 7 : sizeof a.words) };
    memcpy(a.words, data, a.size);
    if (!action_check(a.words, a.size, 0, 254)) {
        rig_flow(rig, 1, 0, 1, NULL, NULL, &a);
        rig_flow(rig, 2, 0, 1, NULL, NULL, &a);
    }
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rig rig;
    if (size < 8 || size > INPUT_SIZE_MAX) {
        return 0;
    }
    uint8_t choice = data[0];
    uint64_t *copy = malloc(size);
    memcpy(copy, data + 8, size - 8);
    start(&rig);
    if (choice & 1) {
        run_actions(&rig, (const uint8_t *) copy, size - 8);
    } else {
        run_records(&rig, (uint8_t *) copy, size - 8, choice & 2);
    }
    for (uint32_t i = 0; i < 4; i++) {
        struct flow_key key = tcp_key(i == 3 ? 11 : 1);
        key.ip_ttl = (uint8_t) (64 - 63 * (i & 1));
        if (i & 2) {
            key_set_vlan(&key, 3, 5);
        }
        rig_xlate(&rig, &key, NULL);
    }
    rig.now_ms += 100000;
    pipeline_maintain(rig.pipeline, rig.now_ms);
    rig_uninit(&rig);
    free(copy);
    return 0;
}
