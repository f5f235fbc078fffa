/* What happens by the clock: expiry, ageing, sweeps of the caches, news of the host's devices. */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "classifier/flow_cache.h"
#include "pipeline/pipeline.h"
#include "worker/flood.h"
#include "worker/state.h"

#define SWEEP_MS 500u

/* Idle time of megaflows while there are more of them than wanted. */
#define IDLE_OVER_MS 100u

/* Megaflows translated again in one sweep of a cache, a microsecond or so each: the rest are translated when a packet
 * comes. */
#define REVALIDATIONS_MAX 20000u

void
maintain_push_caches(struct sluice_datapath *datapath)
{
    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        flow_cache_push(datapath->workers[i]->cache);
    }
}

void
maintain_push(struct sluice_datapath *datapath)
{
    maintain_push_caches(datapath);
    pipeline_do_chores(datapath->pipeline, datapath_now(datapath));
}

void
maintain_tell_reports(struct sluice_datapath *datapath)
{
    struct sluice_record event = { .type = SLUICE_EVENT_FLOWS_CHANGED };
    const struct ring_part part = { &event, sizeof event };

    if (!datapath->reports_wait || datapath->reports_unsaid) {
        datapath->reports_wait = 1;
        datapath->reports_unsaid = !ring_put(&datapath->ring, 0, &event, &part, 1);
    }
}

static void
tell_port(struct sluice_datapath *datapath, uint16_t type, uint32_t dp_port, uint32_t ifindex, int error)
{
    struct sluice_event_port event = {
        .type = type,
        .dp_port = dp_port,
        .ifindex = ifindex,
        .system_error = (uint32_t) error,
    };
    const struct ring_part part = { &event, sizeof event };

    ring_put(&datapath->ring, 0, (struct sluice_record *) &event, &part, 1);
}

static void
link_changed(void *aux, uint32_t ifindex, const char *name, _Bool is_gone)
{
    struct sluice_datapath *datapath = aux;
    uint32_t dp_port = ifindex == 0 ? 0 : port_table_find_ifindex(datapath, ifindex);
    struct port *port = port_table_get(datapath, dp_port);
    struct link link;

    if (port != NULL && !is_gone && link_get(name, &link) == 0) {
        atomic_store_explicit(&port->mtu, link.info.mtu, memory_order_relaxed);
    }
    tell_port(datapath, SLUICE_EVENT_LINK_CHANGED, dp_port, ifindex, is_gone ? ENODEV : 0);
    if (dp_port != 0) {
        tell_port(datapath, SLUICE_EVENT_PORT_CHANGED, dp_port, ifindex, is_gone ? ENODEV : 0);
    }
}

static void
address_changed(void *aux, uint32_t ifindex)
{
    struct sluice_datapath *datapath = aux;

    tell_port(datapath, SLUICE_EVENT_ADDRESS_CHANGED, ifindex == 0 ? 0 : port_table_find_ifindex(datapath, ifindex),
              ifindex, 0);
}

void
maintain_sweep(struct sluice_datapath *datapath)
{
    uint64_t now = datapath_now(datapath);
    const struct flow_cache_sweep how = {
        .now_ms = now,
        .change = pipeline_change(datapath->pipeline),
        .idle_ms = datapath->max_idle_ms,
        .idle_over_ms = IDLE_OVER_MS,
        .flows_wanted = datapath->flow_limit,
        .n_revalidations_max = REVALIDATIONS_MAX,
    };

    for (uint32_t i = 0; i < datapath->n_workers; i++) {
        flow_cache_sweep(datapath->workers[i]->cache, &how);
    }
    flood_watch(datapath, now);
    pipeline_do_chores(datapath->pipeline, now);
    datapath->next_sweep_ms = now + SWEEP_MS;
}

void
maintain(struct sluice_datapath *datapath, _Bool now_due)
{
    const struct link_listener listener = { link_changed, address_changed, datapath };
    uint64_t now = datapath_now(datapath);

    if (datapath->monitor.fd >= 0) {
        link_monitor_run(&datapath->monitor, &listener);
    }
    if (datapath->reports_unsaid) {
        maintain_tell_reports(datapath);
    }
    if (now_due || now >= datapath->next_sweep_ms) {
        maintain_sweep(datapath);
    } else if (now >= datapath->next_maintenance_ms) {
        maintain_push(datapath);
    }
    if (now_due || now >= datapath->next_maintenance_ms) {
        datapath->next_maintenance_ms = pipeline_maintain(datapath->pipeline, now);
    }
    limbo_reclaim(&datapath->ports.limbo);
}

/* Milliseconds that the maintenance thread may wait. */
static int
time_to_wait(const struct sluice_datapath *datapath)
{
    uint64_t now = datapath_now(datapath);
    uint64_t due = datapath->next_sweep_ms < datapath->next_maintenance_ms ? datapath->next_sweep_ms
                                                                           : datapath->next_maintenance_ms;

    /* A frozen clock moves only by command, which looks at the timers itself. */
    if (atomic_load(&datapath->clock.is_frozen) || due >= now + SWEEP_MS) {
        return (int) SWEEP_MS;
    }
    /* At least a millisecond, so that a timer that is due at once cannot make the thread spin. */
    return due <= now ? 1 : (int) (due - now);
}

static void *
maintenance_main(void *aux)
{
    struct sluice_datapath *datapath = aux;
    struct pollfd descriptors[2] = {
        { .fd = datapath->stop_fd, .events = POLLIN },
        { .fd = datapath->monitor.fd, .events = POLLIN },
    };

    while (!atomic_load(&datapath->is_stopping)) {
        datapath_lock(datapath);
        maintain(datapath, 0);
        int wait_ms = time_to_wait(datapath);
        datapath_unlock(datapath);
        poll(descriptors, datapath->monitor.fd >= 0 ? 2 : 1, wait_ms);
        if (descriptors[0].revents != 0) {
            uint64_t value;
            if (read(datapath->stop_fd, &value, sizeof value) < 0 && errno != EAGAIN) {
                break;
            }
        }
    }
    return NULL;
}

int
maintain_start(struct sluice_datapath *datapath)
{
    datapath->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (datapath->stop_fd < 0) {
        return errno;
    }
    int error = pthread_create(&datapath->maintenance, NULL, maintenance_main, datapath);
    datapath->has_maintenance = error == 0;
    return error;
}

void
maintain_stop(struct sluice_datapath *datapath)
{
    uint64_t one = 1;

    if (datapath->has_maintenance) {
        atomic_store(&datapath->is_stopping, 1);
        while (write(datapath->stop_fd, &one, sizeof one) < 0 && errno == EINTR) {
            continue;
        }
        pthread_join(datapath->maintenance, NULL);
        datapath->has_maintenance = 0;
    }
    if (datapath->stop_fd >= 0) {
        close(datapath->stop_fd);
        datapath->stop_fd = -1;
    }
}
