/* How long a translation takes: one table and ten, plain outputs and NORMAL.  Prints JSON lines. */
#include <time.h>

#include "pipeline/test/pipeline_rig.h"

#define N 300000u

static double
seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double) now.tv_sec + (double) now.tv_nsec * 1e-9;
}

static void
measure(struct rig *rig, const char *what, bool learn)
{
    struct xlate_out out;
    struct flow_key key = tcp_key(1);
    const struct xlate_in in = { .key = &key, .now_ms = rig->now_ms, .learn = learn };
    xlate_out_init(&out);
    double start = seconds();
    for (uint32_t i = 0; i < N; i++) {
        key.tp_src = be16((uint16_t) i);
        key.ip_src = be32(i);
        xlate(rig->pipeline, &in, &out);
        epoch_quiesce(rig->reader);
    }
    printf("{\"bench\":\"xlate\",\"case\":\"%s\",\"ns\":%.0f}\n", what, (seconds() - start) * 1e9 / N);
    xlate_out_uninit(&out);
}

int
main(void)
{
    static struct rig rig;
    struct actions a = { .size = 0 };
    rig_init(&rig);
    rig_bridge(&rig, 1);
    for (uint32_t port = 1; port <= 4; port++) {
        rig_port(&rig, 1, port, port, 0);
        rig_bundle(&rig, 1, port, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
    }
    add_output(&a, 2);
    rig_only(&rig, 1, &a);
    measure(&rig, "1 table, output", false);

    rig_clear(&rig, 1);
    for (uint8_t table = 0; table < 10; table++) {
        struct flow_key value;
        struct flow_key mask;
        memset(&value, 0, sizeof value);
        memset(&mask, 0, sizeof mask);
        value.eth_type = be16(ETH_TYPE_IPV4);
        mask.eth_type = UINT16_MAX;
        mask.ip_dst = UINT32_MAX;
        pipeline_begin(rig.pipeline, true);
        for (uint32_t i = 0; i < 1000; i++) {
            a.size = 0;
            add_set_field(&a, SLUICE_FIELD_REG0, table, field_ones(32));
            if (table < 9) {
                ADD_ACTION(&a, GOTO_TABLE, goto_table, .table = table + 1u);
            } else {
                add_output(&a, 2);
            }
            value.ip_dst = be32(0x0a000000 + i);
            CHECK(!rig_flow_command(&rig, 1, table, 1, &value, &mask, &a));
        }
        rig_commit(&rig);
    }
    measure(&rig, "10 tables of 1000 rules, output", false);

    a.size = 0;
    add_output(&a, PORT_NORMAL);
    rig_only(&rig, 1, &a);
    measure(&rig, "NORMAL, flooding", true);
    rig_uninit(&rig);
    return 0;
}
