/* Translation in several threads beside changes of everything that it reads. */
#include <pthread.h>

#include "pipeline/test/pipeline_rig.h"

#define N_THREADS 3
#define N_CHANGES 30000

static struct rig rig;
static _Atomic bool done;
static _Atomic uint64_t n_translated;

/* Output to 2 and 3 or to 3 and 2, which ports 2 and 3 of the snapshot agree with, or nothing; never a mixture. */
static bool
is_allowed(const char *text)
{
    return !strcmp(text, "2,3") || !strcmp(text, "13,12") || !strcmp(text, "drop");
}

static void *
worker(void *aux)
{
    struct epoch_reader *reader = epoch_register(rig.epoch);
    uint64_t seed = 1 + (uint64_t) (uintptr_t) aux;
    struct xlate_out kept;
    uint64_t n = 0;
    xlate_out_init(&kept);
    while (!atomic_load(&done)) {
        char text[4096];
        struct flow_key key = tcp_key((uint32_t) (1 + random_next(&seed) % 2));
        if (key.in_port == be32(2)) {
            key.in_port = be32(21);
        }
        key.eth_src[4] = (uint8_t) random_next(&seed);
        key.eth_dst[4] = (uint8_t) random_next(&seed);
        const struct xlate_in in = { .key = &key, .now_ms = 1000 + n, .learn = true };
        xlate(rig.pipeline, &in, &kept);
        if (key.in_port == be32(1)) {
            rig_text(kept.actions, kept.actions_size, text, sizeof text);
            if (!is_allowed(text)) {
                fprintf(stderr, "saw a mixture: %s\n", text);
                exit(1);
            }
        }
        xlate_credit(rig.pipeline, kept.credits, kept.n_credits, &(struct xlate_traffic){ 1, 60, in.now_ms, 0, NULL });
        xlate_is_stale(rig.pipeline, &kept.change, kept.stamps, kept.n_stamps, NULL);
        epoch_quiesce(reader);
        n++;
    }
    xlate_out_uninit(&kept);
    epoch_unregister(reader);
    atomic_fetch_add(&n_translated, n);
    return NULL;
}

/* Ports 2 and 3 and the order of outputs change together. */
static void
change(uint32_t i)
{
    struct actions a = { .size = 0 };
    uint32_t offset = i % 2 ? 10 : 0;
    struct sluice_ofport_set ports[2] = { { .bridge = 1, .ofp_port = 2, .dp_port = 2 + offset },
                                          { .bridge = 1, .ofp_port = 3, .dp_port = 3 + offset } };
    add_output(&a, offset ? 3 : 2);
    add_output(&a, offset ? 2 : 3);
    pipeline_begin(rig.pipeline, false);
    CHECK(!rig_command(&rig, &ports[0], SLUICE_COMMAND_OFPORT_SET, sizeof ports[0]));
    CHECK(!rig_flow_command(&rig, 1, 0, 1, NULL, NULL, &a));
    CHECK(!rig_command(&rig, &ports[1], SLUICE_COMMAND_OFPORT_SET, sizeof ports[1]));
    rig_commit(&rig);
}

int
main(void)
{
    pthread_t threads[N_THREADS];
    struct actions normal = { .size = 0 };
    rig_init(&rig);
    rig_bridge(&rig, 1);
    rig_port(&rig, 1, 1, 1, 0);
    change(0);
    rig_bridge(&rig, 2);
    for (uint32_t port = 1; port <= 3; port++) {
        rig_port(&rig, 2, port, 20 + port, 0);
        rig_bundle(&rig, 2, port, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
    }
    add_output(&normal, PORT_NORMAL);
    rig_only(&rig, 2, &normal);

    for (uintptr_t i = 0; i < N_THREADS; i++) {
        CHECK(!pthread_create(&threads[i], NULL, worker, (void *) i));
    }
    for (uint32_t i = 0; i < N_CHANGES; i++) {
        change(i);
        if (i % 64 == 0) {
            struct sluice_fdb_flush flush = { .bridge = 2, .ofp_port = UINT32_MAX };
            CHECK(!rig_do(&rig, &flush, SLUICE_COMMAND_FDB_FLUSH, sizeof flush));
            rig_bundle(&rig, 2, 3, SLUICE_VLAN_MODE_TRUNK, 0, (uint16_t) (i / 64 % 2), 0);
            pipeline_maintain(rig.pipeline, rig.now_ms += 100);
        }
        if (i % 500 == 499) {
            struct sluice_bridge_del del = { .bridge = 2 };
            CHECK(!rig_do(&rig, &del, SLUICE_COMMAND_BRIDGE_DEL, sizeof del));
            rig_bridge(&rig, 2);
            rig_port(&rig, 2, 1, 21, 0);
            rig_bundle(&rig, 2, 1, SLUICE_VLAN_MODE_TRUNK, 0, 0, 0);
            rig_only(&rig, 2, &normal);
        }
    }
    atomic_store(&done, true);
    for (uint32_t i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("# %llu translations beside %u changes\n", (unsigned long long) n_translated, N_CHANGES);
    claim("a translation sees all of a transaction or none, and nothing that it uses is freed under it");
    rig_uninit(&rig);
    return 0;
}
