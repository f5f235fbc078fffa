#include "worker/policer.h"

#include <errno.h>
#include <stdlib.h>

#include "meter/meter.h"
#include "packet/packet.h"
#include "port/port.h"

struct policer {
    struct meter *meters[2]; /* Of kilobits and of packets; null: no limit. */
};

static struct meter *
create_meter(uint32_t flags, uint32_t rate, uint32_t burst, uint64_t now_us, int *error)
{
    const struct sluice_meter_band band = { .rate = rate, .burst_size = burst };

    if (rate == 0) {
        return NULL;
    }
    struct meter *meter = meter_create(flags, &band, 1, now_us);
    if (meter == NULL) {
        *error = ENOMEM;
    }
    return meter;
}

int
policer_create(const struct sluice_port_police *command, uint64_t now_us, struct policer **policerp)
{
    int error = 0;

    *policerp = NULL;
    if (command->kbps == 0 && command->pktps == 0) {
        return 0;
    }
    struct policer *policer = calloc(1, sizeof *policer);
    if (policer == NULL) {
        return ENOMEM;
    }
    policer->meters[0] = create_meter(SLUICE_METER_FLAG_KBPS, command->kbps, command->burst_kb, now_us, &error);
    policer->meters[1] = create_meter(SLUICE_METER_FLAG_PKTPS, command->pktps, command->burst_packets, now_us, &error);
    if (error != 0) {
        policer_destroy(policer);
        return error;
    }
    *policerp = policer;
    return 0;
}

void
policer_destroy(void *policer_)
{
    struct policer *policer = policer_;

    if (policer != NULL) {
        free(policer->meters[0]);
        free(policer->meters[1]);
        free(policer);
    }
}

static void
run_meter(struct meter *meter, struct packet_batch *batch, uint64_t now_us)
{
    uint32_t sizes[PACKET_BATCH_MAX];
    uint32_t n_left = 0;

    for (uint32_t i = 0; i < batch->n; i++) {
        sizes[i] = batch->packets[i]->size;
    }
    uint32_t over = meter_run(meter, sizes, batch->n, now_us);
    for (uint32_t i = 0; over != 0 && i < batch->n; i++) {
        if ((over >> i & 1) != 0) {
            packet_release(batch->packets[i]);
        } else {
            batch->packets[n_left++] = batch->packets[i];
        }
    }
    batch->n = over != 0 ? n_left : batch->n;
}

void
policer_run(struct policer *policer, struct port_queue *queue, struct packet_batch *batch, uint64_t now_us)
{
    uint32_t before = batch->n;

    for (uint32_t i = 0; i < 2 && batch->n != 0; i++) {
        if (policer->meters[i] != NULL) {
            run_meter(policer->meters[i], batch, now_us);
        }
    }
    if (batch->n < before) {
        port_count_drop(queue, SLUICE_PORT_DROP_RX_POLICED, before - batch->n);
    }
}
