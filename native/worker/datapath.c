/* Entry points of the flow-table ABI. */
#include "sluice/datapath.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

struct sluice_datapath {
    uint32_t n_workers;
};

int
sluice_datapath_create(const struct sluice_datapath_options *options, struct sluice_datapath **datapath)
{
    if (options->size != sizeof *options || options->version != SLUICE_ABI_VERSION) {
        return EINVAL;
    }
    *datapath = calloc(1, sizeof **datapath);
    if (*datapath == NULL) {
        return ENOMEM;
    }
    (*datapath)->n_workers = options->n_workers;
    return 0;
}

void
sluice_datapath_destroy(struct sluice_datapath *datapath)
{
    free(datapath);
}

int
sluice_datapath_submit(struct sluice_datapath *datapath, const void *batch, size_t size,
                       struct sluice_result *results, size_t n_results)
{
    (void) datapath, (void) batch, (void) size, (void) results, (void) n_results;
    return ENOTSUP;
}

int
sluice_datapath_query(struct sluice_datapath *datapath, const void *query, size_t size,
                      void *reply, size_t reply_size, size_t *used)
{
    (void) datapath, (void) query, (void) size, (void) reply, (void) reply_size;
    *used = 0;
    return ENOTSUP;
}

int
sluice_datapath_run(struct sluice_datapath *datapath, uint32_t max_bursts, uint64_t *n_packets)
{
    (void) max_bursts;
    *n_packets = 0;
    return datapath->n_workers != 0 ? EBUSY : 0;
}

uint64_t
sluice_datapath_now(const struct sluice_datapath *datapath)
{
    struct timespec now;

    (void) datapath;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t) now.tv_sec * 1000 + (uint64_t) now.tv_nsec / 1000000;
}
