#include "worker/dump.h"

#include <errno.h>
#include <string.h>

int
dump_begin(struct dump *dump, const struct sluice_record *query, uint8_t *reply, size_t reply_size)
{
    const struct sluice_dump_query *ask = (const struct sluice_dump_query *) query;

    if (query->size != sizeof *ask) {
        return EINVAL;
    }
    if (reply_size < sizeof(struct sluice_dump_reply)) {
        return ENOSPC;
    }
    *dump = (struct dump){
        .reply = reply, .size = reply_size, .used = sizeof(struct sluice_dump_reply), .skip = ask->cursor
    };
    return 0;
}

void *
dump_add(struct dump *dump, size_t size)
{
    if (dump->is_full) {
        return NULL;
    }
    if (dump->cursor < dump->skip) {
        dump->cursor++;
        return NULL;
    }
    if (dump->size - dump->used < size) {
        dump->is_full = 1;
        return NULL;
    }
    uint8_t *record = dump->reply + dump->used;
    memset(record, 0, size);
    dump->used += size;
    dump->n++;
    dump->cursor++;
    return record;
}

int
dump_end(struct dump *dump, size_t *used)
{
    struct sluice_dump_reply reply = { .cursor = dump->is_full ? dump->cursor : 0, .n_records = dump->n };

    if (dump->is_full && dump->n == 0) {
        return ENOSPC;
    }
    memcpy(dump->reply, &reply, sizeof reply);
    *used = dump->used;
    return 0;
}
