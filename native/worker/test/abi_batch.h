/* Builds batches of the ABI for tests, and reads the event ring as the control thread would. */
#ifndef WORKER_TEST_ABI_BATCH_H
#define WORKER_TEST_ABI_BATCH_H 1

#undef NDEBUG
#include <assert.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sluice/datapath.h"

struct abi_batch {
    uint64_t room[8192];
    size_t size;
    struct sluice_result results[256];
};

static inline void
batch_begin(struct abi_batch *batch, uint16_t flags)
{
    struct sluice_batch *header = (struct sluice_batch *) batch->room;

    *header = (struct sluice_batch){ .version = SLUICE_ABI_VERSION, .flags = flags };
    batch->size = sizeof *header;
}

/* Appends a record of 'fixed' bytes of type 'type' with two tails, each padded. */
static inline void *
batch_add(struct abi_batch *batch, uint16_t type, size_t fixed, const void *a, size_t a_size, const void *b,
          size_t b_size)
{
    uint8_t *at = (uint8_t *) batch->room + batch->size;
    size_t a_room = (a_size + 7) & ~(size_t) 7;
    size_t size = fixed + a_room + ((b_size + 7) & ~(size_t) 7);
    struct sluice_record *record = (struct sluice_record *) at;

    assert(batch->size + size <= sizeof batch->room);
    memset(at, 0, size);
    if (a_size != 0) {
        memcpy(at + fixed, a, a_size);
    }
    if (b_size != 0) {
        memcpy(at + fixed + a_room, b, b_size);
    }
    record->type = type;
    record->size = (uint32_t) size;
    batch->size += size;
    ((struct sluice_batch *) batch->room)->n_commands++;
    return at;
}

static inline int
batch_submit(struct abi_batch *batch, struct sluice_datapath *datapath)
{
    ((struct sluice_batch *) batch->room)->size = (uint32_t) batch->size;
    return sluice_datapath_submit(datapath, batch->room, batch->size, batch->results, 256);
}

static inline void
batch_open(struct abi_batch *batch, uint32_t class, uint32_t number, const char *name, const char *config,
           size_t config_size)
{
    struct sluice_port_open *open =
        batch_add(batch, SLUICE_COMMAND_PORT_OPEN, sizeof *open, name, strlen(name), config, config_size);

    open->dp_port = number;
    open->port_class = class;
    open->name_size = (uint32_t) strlen(name);
    open->config_size = (uint32_t) config_size;
}

static inline void
batch_bridge(struct abi_batch *batch, uint32_t bridge)
{
    struct sluice_bridge_add *add = batch_add(batch, SLUICE_COMMAND_BRIDGE_ADD, sizeof *add, NULL, 0, NULL, 0);

    add->bridge = bridge;
    add->n_tables = 254;
}

static inline void
batch_ofport(struct abi_batch *batch, uint32_t bridge, uint32_t number)
{
    struct sluice_ofport_set *set = batch_add(batch, SLUICE_COMMAND_OFPORT_SET, sizeof *set, NULL, 0, NULL, 0);

    set->bridge = bridge;
    set->ofp_port = number;
    set->dp_port = number;
}

/* Adds a rule that matches all and outputs to 'port'; or to no port if that is 0. */
static inline struct sluice_flow_mod *
batch_flow(struct abi_batch *batch, uint32_t bridge, uint32_t priority, uint32_t port)
{
    struct sluice_match match = { { 0, 0 } };
    struct sluice_action_output output = { .opcode = SLUICE_ACTION_OUTPUT, .size = sizeof output, .port = port };
    size_t actions_size = port == 0 ? 0 : sizeof output;
    struct sluice_flow_mod *mod =
        batch_add(batch, SLUICE_COMMAND_FLOW_MOD, sizeof *mod, &match, sizeof match, &output, actions_size);

    mod->bridge = bridge;
    mod->command = SLUICE_FLOW_COMMAND_ADD;
    mod->priority = priority;
    mod->out_port = UINT32_MAX;
    mod->out_group = UINT32_MAX;
    mod->match_size = sizeof match;
    mod->actions_size = (uint32_t) actions_size;
    return mod;
}

static inline void
batch_inject(struct abi_batch *batch, uint32_t port, const void *frame, uint32_t size)
{
    struct sluice_port_inject *inject =
        batch_add(batch, SLUICE_COMMAND_PORT_INJECT, sizeof *inject, frame, size, NULL, 0);

    inject->dp_port = port;
    inject->frame_size = size;
}

/* A datapath with its ring. */
struct test_datapath {
    struct sluice_datapath *datapath;
    struct sluice_ring *ring;
    atomic_int n_wakes;
};

static inline void
test_wake(void *aux)
{
    struct test_datapath *test = aux;

    atomic_fetch_add(&test->n_wakes, 1);
}

static inline void
test_create(struct test_datapath *test, uint32_t n_workers)
{
    size_t size = 1 << 21;

    test->ring = aligned_alloc(64, size);
    memset(test->ring, 0, size);
    atomic_init(&test->n_wakes, 0);
    const struct sluice_datapath_options options = {
        .size = sizeof options,
        .version = SLUICE_ABI_VERSION,
        .n_workers = n_workers,
        .ring = test->ring,
        .ring_size = size,
        .wake = test_wake,
        .aux = test,
    };
    assert(sluice_datapath_create(&options, &test->datapath) == 0);
}

static inline void
test_destroy(struct test_datapath *test)
{
    sluice_datapath_destroy(test->datapath);
    free(test->ring);
}

/* The next event, or null; it is valid until the next call. */
static inline const struct sluice_record *
test_event(struct test_datapath *test)
{
    _Atomic uint64_t *head = (_Atomic uint64_t *) &test->ring->head;
    uint64_t at = atomic_load(head);

    while (at != atomic_load((_Atomic uint64_t *) &test->ring->tail)) {
        const struct sluice_record *record =
            (const struct sluice_record *) (test->ring->data + (at & (test->ring->size - 1)));
        at += record->size;
        atomic_store(head, at);
        if (record->type != 0) {
            return record;
        }
    }
    return NULL;
}

/* The next event of 'type', passing over others. */
static inline const struct sluice_record *
test_event_of(struct test_datapath *test, uint16_t type)
{
    const struct sluice_record *record;

    do {
        record = test_event(test);
    } while (record != NULL && record->type != type);
    return record;
}

#endif
