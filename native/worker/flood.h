/* Who floods: ports whose packets no cache knows, and the rules that make it so.
 *
 * After each sweep the maintenance thread looks at what each port's misses came to since the last.  A port that was held
 * back for them while others waited, or that has filled the megaflows or the masks of a cache, is told of by an event, once
 * in some seconds.  Which rules its megaflows come from is looked for when somebody asks. */
#ifndef WORKER_FLOOD_H
#define WORKER_FLOOD_H 1

#include <stddef.h>
#include <stdint.h>

#include "sluice/records.h"

struct sluice_datapath;

/* Looks at every port, 'now_ms' by the datapath's clock.  With the control lock. */
void flood_watch(struct sluice_datapath *datapath, uint64_t now_ms);

/* Answer miss_stats and miss_rules.  With the control lock. */
int flood_answer_ports(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                       size_t reply_size, size_t *used);
int flood_answer_rules(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                       size_t reply_size, size_t *used);

#endif
