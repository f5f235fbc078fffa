/* libFuzzer: batches and queries of untrusted bytes.
 *
 * The input is a sequence of parts, each a length (two bytes) and bytes.  A part is submitted as the commands of a
 * batch whose header is right, or as one command whose size is right, or asked as a query.  Ports that touch the host
 * are not opened.  Making a datapath takes milliseconds, so one serves INPUTS_PER_DATAPATH inputs; what an input leaves
 * behind is part of what is tested. */
#include "worker/test/abi_batch.h"

#define PART_SIZE_MAX 4096u
#define INPUTS_PER_DATAPATH 64u

static const uint8_t frame[64] = { 2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0, 0x45 };

/* What most fields that name something need to be, so that inputs get past the first look-up. */
static void
make_likely(uint8_t *bytes, size_t size)
{
    struct sluice_flow_mod *mod = (struct sluice_flow_mod *) bytes;

    mod->size = (uint32_t) size;
    mod->type = mod->type % 24;
    if (size >= 16) {
        mod->bridge = mod->bridge % 4;
    }
    if (mod->type == SLUICE_COMMAND_FLOW_MOD && size >= sizeof *mod + 16) {
        mod->match_size = 16;
        mod->actions_size = (uint32_t) (size - sizeof *mod - 16);
        mod->out_port = UINT32_MAX;
        mod->out_group = UINT32_MAX;
        memset(mod + 1, 0, 16);
    }
}

/* Whether the records hold a command that would reach outside of this process. */
static _Bool
is_harmless(const uint8_t *bytes, size_t size)
{
    for (size_t at = 0; at + sizeof(struct sluice_port_open) <= size;) {
        struct sluice_port_open open;
        memcpy(&open, bytes + at, sizeof open);
        if (open.type == SLUICE_COMMAND_LINK_SET
            || (open.type == SLUICE_COMMAND_PORT_OPEN && open.port_class != SLUICE_PORT_CLASS_MEMORY)) {
            return 0;
        }
        if (open.size < 8 || open.size > size - at) {
            break;
        }
        at += open.size;
    }
    return 1;
}

static void
submit(struct test_datapath *test, const uint8_t *bytes, size_t size, uint16_t flags)
{
    static struct abi_batch batch;
    struct sluice_batch *header = (struct sluice_batch *) batch.room;

    batch_begin(&batch, flags & SLUICE_BATCH_FLAG_INDEPENDENT);
    memcpy(header + 1, bytes, size);
    batch.size += size;
    for (size_t at = 0; at + sizeof(struct sluice_record) <= size; header->n_commands++) {
        struct sluice_record record;
        memcpy(&record, bytes + at, sizeof record);
        at += record.size < 8 ? 8 : record.size;
    }
    if (header->n_commands <= 256) {
        batch_submit(&batch, test->datapath);
    }
}

static void
ask(struct test_datapath *test, const uint8_t *bytes, size_t size)
{
    uint64_t query[PART_SIZE_MAX / 8];
    uint64_t reply[1024];
    size_t used;

    if (size < 8) {
        return;
    }
    memcpy(query, bytes, size);
    ((struct sluice_record *) query)->size = (uint32_t) size;
    sluice_datapath_query(test->datapath, query, size, reply, sizeof reply, &used);
    assert(used <= sizeof reply);
}

static void
begin(struct test_datapath *test)
{
    static struct abi_batch batch;

    test_create(test, 0);
    batch_begin(&batch, 0);
    batch_bridge(&batch, 1);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, 1, "a", NULL, 0);
    batch_open(&batch, SLUICE_PORT_CLASS_MEMORY, 2, "b", NULL, 0);
    batch_ofport(&batch, 1, 1);
    batch_ofport(&batch, 1, 2);
    batch_submit(&batch, test->datapath);
}

static void
pass_a_frame(struct test_datapath *test)
{
    static struct abi_batch batch;
    uint64_t n_packets;

    batch_begin(&batch, 0);
    batch_inject(&batch, 1, frame, sizeof frame);
    batch_submit(&batch, test->datapath);
    sluice_datapath_run(test->datapath, 16, &n_packets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct test_datapath test;
    static uint32_t n_inputs;
    static uint64_t room[PART_SIZE_MAX / 8];
    uint8_t *bytes = (uint8_t *) room;

    if (n_inputs++ % INPUTS_PER_DATAPATH == 0) {
        if (test.datapath != NULL) {
            test_destroy(&test);
        }
        begin(&test);
    }
    while (size > 2) {
        size_t part = ((data[0] | (size_t) data[1] << 8) & (PART_SIZE_MAX - 1)) & ~(size_t) 7;
        uint16_t kind = data[1] >> 6;
        data += 2;
        size -= 2;
        if (part > size) {
            part = size & ~(size_t) 7;
        }
        memcpy(bytes, data, part);
        if ((kind & 1) && part >= 8) {
            make_likely(bytes, part);
        }
        if (kind & 2) {
            ask(&test, bytes, part);
        } else if (is_harmless(bytes, part)) {
            submit(&test, bytes, part, kind);
            pass_a_frame(&test);
        }
        data += part;
        size -= part;
    }
    return 0;
}
