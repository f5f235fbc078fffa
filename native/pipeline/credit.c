#include "classifier/rule_table.h"
#include "pipeline/config.h"
#include "pipeline/frozen.h"
#include "pipeline/mac_table.h"
#include "pipeline/xlate.h"

void
xlate_credit(struct pipeline *pipeline, const struct xlate_credit *credits, uint32_t n_credits, uint64_t n_packets,
             uint64_t n_bytes, uint64_t used_ms)
{
    (void) pipeline;
    for (uint32_t i = 0; i < n_credits; i++) {
        const struct xlate_credit *credit = &credits[i];
        switch ((enum xlate_credit_kind) credit->kind) {
        case XLATE_CREDIT_RULE:
            rule_credit(credit->rule, n_packets, n_bytes, used_ms);
            break;
        case XLATE_CREDIT_MISS:
            table_counters_credit_miss(credit->counters, n_packets);
            break;
        case XLATE_CREDIT_PORT_RX:
            atomic_fetch_add_explicit(&credit->port->rx_packets, n_packets, memory_order_relaxed);
            atomic_fetch_add_explicit(&credit->port->rx_bytes, n_bytes, memory_order_relaxed);
            break;
        case XLATE_CREDIT_PORT_TX:
            atomic_fetch_add_explicit(&credit->port->tx_packets, n_packets, memory_order_relaxed);
            atomic_fetch_add_explicit(&credit->port->tx_bytes, n_bytes, memory_order_relaxed);
            break;
        case XLATE_CREDIT_MAC:
            if (n_packets) {
                mac_table_refresh(credit->macs, (uint16_t) (credit->mac >> 48), credit->mac & UINT64_C(0xffffffffffff),
                                  credit->bundle, used_ms);
            }
            break;
        case XLATE_CREDIT_FROZEN:
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
        case XLATE_CREDIT_PORT_RX:
        case XLATE_CREDIT_PORT_TX:
            port_counters_unref(credits[i].port);
            break;
        case XLATE_CREDIT_MAC:
            mac_table_unref(credits[i].macs);
            break;
        case XLATE_CREDIT_FROZEN:
            frozen_unref(credits[i].frozen);
            break;
        }
    }
}
