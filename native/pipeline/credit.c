#include <string.h>

#include "classifier/rule_table.h"
#include "pipeline/config.h"
#include "pipeline/mac_table.h"
#include "pipeline/xlate.h"

void
xlate_credit(const struct xlate_credit *credits, uint32_t n_credits, uint64_t n_packets, uint64_t n_bytes,
             uint64_t used_ms)
{
    for (uint32_t i = 0; i < n_credits; i++) {
        const struct xlate_credit *credit = &credits[i];
        switch ((enum xlate_credit_kind) credit->kind) {
        case XLATE_CREDIT_RULE:
            rule_credit(credit->rule, n_packets, n_bytes, used_ms);
            break;
        case XLATE_CREDIT_MISS:
            table_counters_credit_miss(credit->counters, n_packets);
            break;
        case XLATE_CREDIT_PATCH_RX:
            atomic_fetch_add_explicit(&credit->port->rx_packets, n_packets, memory_order_relaxed);
            atomic_fetch_add_explicit(&credit->port->rx_bytes, n_bytes, memory_order_relaxed);
            break;
        case XLATE_CREDIT_PATCH_TX:
            atomic_fetch_add_explicit(&credit->port->tx_packets, n_packets, memory_order_relaxed);
            atomic_fetch_add_explicit(&credit->port->tx_bytes, n_bytes, memory_order_relaxed);
            break;
        case XLATE_CREDIT_MAC:
            if (n_packets) {
                mac_table_refresh(credit->macs, (uint16_t) (credit->mac >> 48), credit->mac & UINT64_C(0xffffffffffff),
                                  credit->bundle, used_ms);
            }
            break;
        }
    }
}

void
xlate_credits_release(struct xlate_credit *credits, uint32_t n_credits)
{
    for (uint32_t i = 0; i < n_credits; i++) {
        switch ((enum xlate_credit_kind) credits[i].kind) {
        case XLATE_CREDIT_RULE:
            rule_unref(credits[i].rule);
            break;
        case XLATE_CREDIT_MISS:
            table_counters_unref(credits[i].counters);
            break;
        case XLATE_CREDIT_PATCH_RX:
        case XLATE_CREDIT_PATCH_TX:
            port_counters_unref(credits[i].port);
            break;
        case XLATE_CREDIT_MAC:
            mac_table_unref(credits[i].macs);
            break;
        }
    }
}

uint32_t
xlate_data_size(const struct xlate_out *out)
{
    uint32_t n_stamps = out->n_stamps > XLATE_STAMPS_MAX ? 0 : out->n_stamps;
    return (uint32_t) (sizeof(struct xlate_data) + out->n_credits * sizeof *out->credits
                       + n_stamps * sizeof *out->stamps);
}

void
xlate_data_put(const struct xlate_out *out, void *data_)
{
    struct xlate_data *data = data_;
    uint8_t *rest = (uint8_t *) data->rest;
    data->n_stamps = out->n_stamps;
    data->n_credits = out->n_credits;
    if (out->n_credits) {
        memcpy(rest, out->credits, out->n_credits * sizeof *out->credits);
    }
    if (out->n_stamps <= XLATE_STAMPS_MAX) {
        memcpy(rest + out->n_credits * sizeof *out->credits, out->stamps, out->n_stamps * sizeof *out->stamps);
    }
}

void
xlate_data_taken(struct xlate_out *out)
{
    out->n_credits = 0;
}

static struct xlate_credit *
data_credits(const void *data)
{
    return (struct xlate_credit *) ((struct xlate_data *) data)->rest;
}

bool
xlate_data_is_stale(const struct pipeline *pipeline, const void *data_, uint64_t *change)
{
    const struct xlate_data *data = data_;
    return xlate_is_stale(pipeline, change, (const struct xlate_stamp *) (data_credits(data) + data->n_credits),
                          data->n_stamps);
}

void
xlate_data_credit(const void *data, uint64_t n_packets, uint64_t n_bytes, uint64_t used_ms)
{
    xlate_credit(data_credits(data), ((const struct xlate_data *) data)->n_credits, n_packets, n_bytes, used_ms);
}

void
xlate_data_release(void *data)
{
    xlate_credits_release(data_credits(data), ((const struct xlate_data *) data)->n_credits);
}
