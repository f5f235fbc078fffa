/* Answers about workers and queues.  With the control lock. */
#ifndef WORKER_QUERY_WORKER_H
#define WORKER_QUERY_WORKER_H 1

#include <stddef.h>
#include <stdint.h>

#include "sluice/records.h"

struct sluice_datapath;

int query_worker_stats(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                       size_t reply_size, size_t *used);
int query_queue_stats(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                      size_t reply_size, size_t *used);
int query_worker_histograms(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                            size_t reply_size, size_t *used);
int query_worker_history(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                         size_t reply_size, size_t *used);

#endif
