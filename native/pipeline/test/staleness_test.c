/* What a megaflow outlives.  After random changes of rules, one that is found current is what a translation would make,
 * for the packet that it was made for and for others that it covers; and one that no change concerns is kept. */
#include "classifier/flow_cache.h"
#include "pipeline/test/random_pipeline.h"

#define N_ROUNDS 60
#define N_PACKETS 40
#define N_CHANGES 12
#define N_VARIANTS 4
#define TEXT_SIZE 65536

struct origin {
    uint64_t n_stamps;
    struct xlate_stamp stamps[XLATE_STAMPS_MAX];
};

static bool
is_stale(void *rig_, const struct megaflow *megaflow, uint64_t *change)
{
    struct origin *origin = megaflow_data(megaflow);

    return xlate_is_stale(((struct rig *) rig_)->pipeline, change, origin->stamps, (uint32_t) origin->n_stamps,
                          megaflow);
}

static struct flow_cache *
create_cache(struct rig *rig)
{
    return flow_cache_create(&(struct flow_cache_options){
        .epoch = rig->epoch, .hooks = { .aux = rig, .is_stale = is_stale }, .hash_seed = 1 });
}

static struct megaflow *
find(struct rig *rig, struct flow_cache *cache, const struct flow_key *key)
{
    struct megaflow *megaflow;

    flow_cache_lookup(cache, &key, 1, pipeline_change(rig->pipeline), &megaflow);
    return megaflow;
}

/* Translates, and puts the result into 'cache' unless that is null. */
static void
translate(struct rig *rig, struct flow_cache *cache, const struct flow_key *key, char text[TEXT_SIZE])
{
    const struct xlate_in in = { .key = key, .now_ms = rig->now_ms };
    struct xlate_out out;
    struct megaflow *megaflow;
    bool replaced;

    xlate_out_init(&out);
    xlate(rig->pipeline, &in, &out);
    rig_text(out.actions, out.actions_size, text, TEXT_SIZE);
    if (cache != NULL && out.cacheable && out.n_stamps <= XLATE_STAMPS_MAX) {
        struct origin origin = { .n_stamps = out.n_stamps };
        memcpy(origin.stamps, out.stamps, out.n_stamps * sizeof out.stamps[0]);
        const struct flow_cache_insertion insertion = {
            .key = key,
            .mask = &out.mask,
            .actions = out.actions,
            .actions_size = out.actions_size,
            .data_size = sizeof origin,
            .data = &origin,
            .change = out.change,
        };
        CHECK(flow_cache_insert(cache, &insertion, &megaflow, &replaced) == 0);
    }
    xlate_out_uninit(&out);
}

/* One transaction of a few rules that come, go, or get other actions. */
static void
change_rules(struct rig *rig, uint64_t *seed)
{
    pipeline_begin(rig->pipeline, true);
    for (uint64_t n = 1 + random_next(seed) % (random_next(seed) % 8 == 0 ? 100 : 2); n; n--) {
        uint32_t bridge = 1 + random_next(seed) % 2;
        if (random_next(seed) % 2) {
            random_flow(rig, seed, bridge, PRIORITIES_DISTINCT);
        } else {
            rig_delete_command(rig, bridge, (uint8_t) (random_next(seed) % 4), (uint32_t) (random_next(seed) % 12));
        }
    }
    rig_commit(rig);
}

/* Whether what is found for 'key' is what a translation makes. */
static bool
is_right(struct rig *rig, struct flow_cache *cache, const struct flow_key *key, bool *was_found)
{
    static char found[TEXT_SIZE];
    static char fresh[TEXT_SIZE];
    const struct megaflow *megaflow = find(rig, cache, key);

    *was_found = megaflow != NULL;
    if (megaflow == NULL) {
        return true;
    }
    rig_text(megaflow_actions(megaflow), megaflow_actions_size(megaflow), found, sizeof found);
    translate(rig, NULL, key, fresh);
    if (strcmp(found, fresh) != 0) {
        fprintf(stderr, "found %s\nfresh %s\n", found, fresh);
    }
    return strcmp(found, fresh) == 0;
}

static void
test_random_changes(struct rig *rig, uint64_t seed)
{
    static struct flow_key keys[N_PACKETS];
    static struct flow_key masks[N_PACKETS];
    static char text[TEXT_SIZE];
    uint64_t n_kept = 0, n_stale = 0;

    for (uint32_t round = 0; round < N_ROUNDS; round++) {
        uint64_t round_seed = seed;
        struct flow_cache *cache = create_cache(rig);
        random_config(rig, &seed, PRIORITIES_DISTINCT);
        for (uint32_t i = 0; i < N_PACKETS; i++) {
            random_packet(&seed, &keys[i]);
        }
        for (uint32_t step = 0; step < N_CHANGES; step++) {
            for (uint32_t i = 0; i < N_PACKETS; i++) {
                if (find(rig, cache, &keys[i]) == NULL) {
                    rig_xlate(rig, &keys[i], &masks[i]);
                    translate(rig, cache, &keys[i], text);
                }
            }
            change_rules(rig, &seed);
            for (uint32_t i = 0; i < N_PACKETS * N_VARIANTS; i++) {
                struct flow_key variant = keys[i / N_VARIANTS];
                bool was_found;
                if (i % N_VARIANTS != 0) {
                    vary(&seed, &keys[i / N_VARIANTS], &masks[i / N_VARIANTS], &variant);
                }
                if (!is_plausible(&variant)) {
                    continue;
                }
                if (!is_right(rig, cache, &variant, &was_found)) {
                    fprintf(stderr, "round seed %#llx step %u packet %u\n", (unsigned long long) round_seed, step, i);
                    exit(1);
                }
                n_kept += was_found;
                n_stale += !was_found;
            }
            epoch_quiesce(rig->reader);
        }
        flow_cache_destroy(cache);
    }
    printf("# %llu times found current, %llu times not\n", (unsigned long long) n_kept, (unsigned long long) n_stale);
    CHECK(n_kept > n_stale / 4);
    claim("a megaflow that is found current after changes of rules is what a translation makes");
}

/* A rule for packets to 'dst', which output them to port 2. */
static void
add_destination(struct rig *rig, uint8_t table, uint32_t dst)
{
    struct flow_key value, mask;
    struct actions a = { .size = 0 };

    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    value.eth_type = be16(ETH_TYPE_IPV4);
    mask.eth_type = UINT16_MAX;
    value.ip_dst = be32(dst);
    mask.ip_dst = UINT32_MAX;
    add_output(&a, 2);
    CHECK(rig_flow(rig, 1, table, 5, &value, &mask, &a) == 0);
}

static void
test_what_is_kept(struct rig *rig)
{
    static char text[TEXT_SIZE];
    struct flow_cache *cache = create_cache(rig);
    struct flow_key key = tcp_key(1);

    rig_clear(rig, 1);
    rig_bridge_flags(rig, 1, 0, 0);
    add_destination(rig, 0, 0x0a000002);
    translate(rig, cache, &key, text);
    CHECK(find(rig, cache, &key) != NULL);
    for (uint32_t i = 0; i < 1000; i++) {
        add_destination(rig, 0, 0x0b000000 + i);
        CHECK(find(rig, cache, &key) != NULL);
    }
    claim("a thousand rules for others leave a megaflow current");

    for (uint32_t i = 0; i < 1000; i++) {
        add_destination(rig, 0, 0x0c000000 + i);
    }
    CHECK(find(rig, cache, &key) == NULL);
    claim("after more changes than are looked at it is stale");

    translate(rig, cache, &key, text);
    CHECK(find(rig, cache, &key) != NULL);
    add_destination(rig, 0, 0x0a000002);
    CHECK(find(rig, cache, &key) == NULL);
    claim("a rule for its packets makes it stale");
    flow_cache_destroy(cache);
}

/* The packet comes to table 1 with another destination than it arrived with. */
static void
test_changed_headers(struct rig *rig)
{
    static char text[TEXT_SIZE];
    struct flow_cache *cache = create_cache(rig);
    struct flow_key key = tcp_key(1);
    struct actions a = { .size = 0 };

    rig_clear(rig, 1);
    add_set_field(&a, SLUICE_FIELD_IP_DST, 0x0a000063, field_ones(32));
    ADD_ACTION(&a, RESUBMIT, resubmit, .in_port = PORT_IN_PORT, .table = 1);
    CHECK(!rig_flow(rig, 1, 0, 1, NULL, NULL, &a));
    translate(rig, cache, &key, text);
    CHECK(find(rig, cache, &key) != NULL);
    add_destination(rig, 1, 0x0a000063);
    CHECK(find(rig, cache, &key) == NULL);
    claim("a rule that matches what a packet was changed into makes its megaflow stale");
    flow_cache_destroy(cache);
}

int
main(int argc, char *argv[])
{
    static struct rig rig;

    random_rig_init(&rig);
    test_what_is_kept(&rig);
    test_changed_headers(&rig);
    test_random_changes(&rig, argc > 1 ? strtoull(argv[1], NULL, 0) : UINT64_C(0x57a1e));
    rig_uninit(&rig);
    return 0;
}
