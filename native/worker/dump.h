/* Dumps: a dump_reply, then as many records as fit. */
#ifndef WORKER_DUMP_H
#define WORKER_DUMP_H 1

#include <stddef.h>
#include <stdint.h>

#include "sluice/records.h"

/* A dump being written: a dump_reply, then records. */
struct dump {
    uint8_t *reply;
    size_t size;
    size_t used;
    uint32_t n;
    uint64_t skip;   /* Records still to be passed over. */
    uint64_t cursor; /* Of the next record. */
    _Bool is_full;
};

/* Begins the answer of a dump_query.  EINVAL, or ENOSPC without room for the reply's header. */
int dump_begin(struct dump *dump, const struct sluice_record *query, uint8_t *reply, size_t reply_size);

/* Room for a record of 'size' bytes, zeroed, or null when it is to be passed over or the reply is full. */
void *dump_add(struct dump *dump, size_t size);

/* Ends the answer.  ENOSPC when not even one record fit. */
int dump_end(struct dump *dump, size_t *used);

#endif
