#include "classifier/rule_table.h"
#include "pipeline/bond.h"
#include "pipeline/chore.h"
#include "pipeline/config.h"
#include "pipeline/frozen.h"
#include "pipeline/learn.h"
#include "pipeline/mac_table.h"
#include "pipeline/netflow.h"
#include "pipeline/pipeline_state.h"
#include "pipeline/ofgroup.h"
#include "pipeline/xlate.h"
#include "tunnel/neighbor.h"

/* Puts a chore, once it is known that there was traffic. */
static void
ask(struct pipeline *pipeline, const struct chore *chore)
{
    chore_put(pipeline, chore);
    if (pipeline->options.hooks.chore_waits) {
        pipeline->options.hooks.chore_waits(pipeline->options.hooks.aux);
    }
}

static void
credit_port(struct port_counters *port, enum xlate_credit_kind kind, const struct xlate_traffic *traffic)
{
    bool rx = kind == XLATE_CREDIT_PORT_RX;
    atomic_fetch_add_explicit(rx ? &port->rx_packets : &port->tx_packets, traffic->n_packets, memory_order_relaxed);
    atomic_fetch_add_explicit(rx ? &port->rx_bytes : &port->tx_bytes, traffic->n_bytes, memory_order_relaxed);
}

/* What nobody counts but has effects. */
static void
credit_effect(struct pipeline *pipeline, const struct xlate_credit *credit, const struct xlate_traffic *traffic)
{
    if (!traffic->n_packets) {
        return;
    }
    if (credit->kind == XLATE_CREDIT_LEARN) {
        /* Whoever pushes statistics holds the control lock, or pushes those of its own megaflows: times go forward. */
        atomic_store_explicit(&credit->learned->used_ms, traffic->used_ms, memory_order_relaxed);
        ask(pipeline, &(struct chore){ .learned = credit->learned });
    } else if (credit->kind == XLATE_CREDIT_MAC) {
        mac_table_refresh(credit->macs, (uint16_t) (credit->mac >> 48), credit->mac & UINT64_C(0xffffffffffff),
                          credit->bundle, traffic->used_ms);
    } else if (traffic->tcp_flags & (TCP_FIN | TCP_RST)) {
        ask(pipeline, &(struct chore){
                          .rule = credit->rule,
                          .bridge = credit->bundle,
                          .idle_s = (uint16_t) credit->mac,
                          .hard_s = (uint16_t) (credit->mac >> 16),
                      });
    }
}

static void
tally_match(struct credit_tally *tally, const struct rule *rule, uint64_t n_packets)
{
    uint32_t slot = rule->table % CREDIT_TALLY_TABLES;
    struct table_counters *counters = rule->mask->counters;
    if (tally->tables[slot] != counters) {
        if (tally->tables[slot]) {
            table_counters_credit_match(tally->tables[slot], tally->n_matches[slot]);
        }
        tally->tables[slot] = counters;
        tally->n_matches[slot] = 0;
    }
    tally->n_matches[slot] += n_packets;
}

/* Counts what the tally has for one rule. */
static void
tally_settle(struct credit_tally *tally, const struct credit_tally_rule *slot)
{
    rule_stats_credit(slot->rule->stats, slot->n_packets, slot->n_bytes, tally->used_ms);
    tally_match(tally, slot->rule, slot->n_packets);
}

static void
tally_rule(struct credit_tally *tally, const struct rule *rule, const struct xlate_traffic *traffic)
{
    uint64_t hash = ((uint64_t) (uintptr_t) rule >> 4) * UINT64_C(0x9e3779b97f4a7c15);
    struct credit_tally_rule *slot = &tally->rules[(hash >> 32) % CREDIT_TALLY_RULES];
    if (slot->rule != rule) {
        if (slot->rule) {
            tally_settle(tally, slot);
        } else {
            tally->used[tally->n_used++] = (uint8_t) (slot - tally->rules);
        }
        *slot = (struct credit_tally_rule){ .rule = rule };
    }
    slot->n_packets += traffic->n_packets;
    slot->n_bytes += traffic->n_bytes;
    tally->used_ms = traffic->used_ms;
}

void
credit_tally_flush(struct credit_tally *tally)
{
    for (uint32_t i = 0; i < tally->n_used; i++) {
        struct credit_tally_rule *slot = &tally->rules[tally->used[i]];
        tally_settle(tally, slot);
        slot->rule = NULL;
    }
    tally->n_used = 0;
    for (uint32_t i = 0; i < CREDIT_TALLY_TABLES; i++) {
        if (tally->tables[i]) {
            table_counters_credit_match(tally->tables[i], tally->n_matches[i]);
            tally->tables[i] = NULL;
        }
    }
}

void
xlate_credit(struct pipeline *pipeline, const struct xlate_credit *credits, uint32_t n_credits,
             const struct xlate_traffic *all)
{
    struct xlate_traffic traffic = *all;
    for (uint32_t i = 0; i < n_credits; i++) {
        const struct xlate_credit *credit = &credits[i];
        switch ((enum xlate_credit_kind) credit->kind) {
        case XLATE_CREDIT_RULE:
            if (traffic.tally) {
                tally_rule(traffic.tally, credit->rule, &traffic);
            } else {
                rule_credit(credit->rule, traffic.n_packets, traffic.n_bytes, traffic.used_ms);
            }
            break;
        case XLATE_CREDIT_MISS:
            table_counters_credit_miss(credit->counters, traffic.n_packets);
            break;
        case XLATE_CREDIT_PORT_RX:
        case XLATE_CREDIT_PORT_TX:
            credit_port(credit->port, credit->kind, &traffic);
            break;
        case XLATE_CREDIT_GROUP:
            group_stats_credit(credit->group, credit->bundle, traffic.n_packets, traffic.n_bytes);
            break;
        case XLATE_CREDIT_LEARN:
        case XLATE_CREDIT_FIN:
        case XLATE_CREDIT_MAC:
            credit_effect(pipeline, credit, &traffic);
            break;
        case XLATE_CREDIT_NEIGHBOR:
            if (traffic.n_packets) {
                neighbor_use(credit->neighbor, traffic.used_ms);
            }
            break;
        case XLATE_CREDIT_NETFLOW:
            netflow_count(credit->path, credit->bundle, all);
            break;
        case XLATE_CREDIT_BOND:
            bond_load_credit(credit->load, credit->bundle, traffic.n_packets, traffic.n_bytes);
            break;
        case XLATE_CREDIT_HEADER:
            traffic.n_bytes += traffic.n_packets * (uint64_t) (int32_t) credit->bundle;
            break;
        case XLATE_CREDIT_FROZEN:
            break;
        }
    }
}

static void
release(const struct xlate_credit *credit, bool lingers)
{
    switch ((enum xlate_credit_kind) credit->kind) {
    case XLATE_CREDIT_RULE:
    case XLATE_CREDIT_FIN:
        rule_unref(credit->rule);
        break;
    case XLATE_CREDIT_LEARN:
        learned_unref(credit->learned);
        break;
    case XLATE_CREDIT_MISS:
        table_counters_unref(credit->counters);
        break;
    case XLATE_CREDIT_PORT_RX:
    case XLATE_CREDIT_PORT_TX:
        port_counters_unref(credit->port);
        break;
    case XLATE_CREDIT_GROUP:
        group_stats_unref(credit->group);
        break;
    case XLATE_CREDIT_MAC:
        mac_table_unref(credit->macs);
        break;
    case XLATE_CREDIT_NEIGHBOR:
        neighbor_unref(credit->neighbor);
        break;
    case XLATE_CREDIT_NETFLOW:
        netflow_path_free(credit->path);
        break;
    case XLATE_CREDIT_BOND:
        bond_load_unref(credit->load);
        break;
    case XLATE_CREDIT_HEADER:
        break;
    case XLATE_CREDIT_FROZEN:
        frozen_unref(credit->frozen, lingers);
        break;
    }
}

void
xlate_credits_release(struct xlate_credit *credits, uint32_t n_credits, bool lingers)
{
    for (uint32_t i = 0; i < n_credits; i++) {
        if (credits[i].kind == XLATE_CREDIT_NETFLOW) {
            netflow_end(credits[i].path);
        }
        release(&credits[i], lingers);
    }
}

void
xlate_out_drop_credits(struct xlate_out *out, bool lingers)
{
    for (uint32_t i = 0; i < out->n_credits; i++) {
        const struct xlate_credit *credit = &out->credits[i];
        if (credit->kind != XLATE_CREDIT_RULE && credit->kind != XLATE_CREDIT_MISS) {
            release(credit, lingers);
        }
    }
    out->n_credits = 0;
}

void
xlate_out_steal_credits(struct xlate_out *out)
{
    for (uint32_t i = 0; i < out->n_credits; i++) {
        const struct xlate_credit *credit = &out->credits[i];
        if (credit->kind == XLATE_CREDIT_RULE) {
            rule_ref(credit->rule);
        } else if (credit->kind == XLATE_CREDIT_MISS) {
            table_counters_ref(credit->counters);
        }
    }
    out->n_credits = 0;
}
