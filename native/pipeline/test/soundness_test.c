/* The property that megaflows stand on: a packet that is equal to another in all bits that its translation read is
 * translated to the same actions.  Random rules, random packets, random changes outside of the mask. */
#include "pipeline/test/random_pipeline.h"
#include "pipeline/trace.h"

#define N_ROUNDS 300
#define N_PACKETS 60
#define N_VARIANTS 12
#define TEXT_SIZE 65536

/* Prints the steps of a translation, for whoever looks into a failure. */
static void
print_steps(struct rig *rig, const struct flow_key *key)
{
    static uint64_t bytes[32768];
    struct trace_sink sink = { .bytes = (uint8_t *) bytes, .room = sizeof bytes };
    struct xlate_out out;
    const struct xlate_in in = { .key = key, .now_ms = rig->now_ms, .trace = &sink };
    xlate_out_init(&out);
    xlate(rig->pipeline, &in, &out);
    xlate_out_uninit(&out);
    for (size_t at = 0; at < sink.used;) {
        const struct sluice_trace_step *step = (const void *) (sink.bytes + at);
        const uint16_t *action = (const void *) ((const uint8_t *) (step + 1) + step->match_size);
        fprintf(stderr, "%*skind %u bridge %u table %u code %u priority %u opcode %u\n", 2 * step->depth, "",
                step->kind, step->bridge, step->table, step->code, step->priority, step->actions_size ? *action : 0);
        at += step->size;
    }
}

static void
translate(struct rig *rig, const struct flow_key *key, struct flow_key *mask, char text[TEXT_SIZE])
{
    struct xlate_out out;
    const struct xlate_in in = { .key = key, .now_ms = rig->now_ms };
    xlate_out_init(&out);
    xlate(rig->pipeline, &in, &out);
    rig_text(out.actions, out.actions_size, text, TEXT_SIZE);
    *mask = out.mask;
    xlate_out_uninit(&out);
    epoch_quiesce(rig->reader);
}

int
main(int argc, char *argv[])
{
    static struct rig rig;
    static char text[TEXT_SIZE];
    static char other[TEXT_SIZE];
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : UINT64_C(0x5eed);
    uint64_t n_variants = 0;
    random_rig_init(&rig);
    for (uint32_t round = 0; round < N_ROUNDS; round++) {
        uint64_t round_seed = seed;
        random_config(&rig, &seed, PRIORITIES_FEW);
        for (uint32_t i = 0; i < N_PACKETS; i++) {
            struct flow_key key;
            struct flow_key mask;
            random_packet(&seed, &key);
            if (random_next(&seed) % 2) {
                rig_xlate(&rig, &key, NULL);
            }
            translate(&rig, &key, &mask, text);
            for (uint32_t j = 0; j < N_VARIANTS; j++) {
                struct flow_key variant;
                struct flow_key variant_mask;
                vary(&seed, &key, &mask, &variant);
                if (!is_plausible(&variant)) {
                    continue;
                }
                n_variants++;
                translate(&rig, &variant, &variant_mask, other);
                if (strcmp(text, other)) {
                    fprintf(stderr, "round seed %#llx packet %u:\n  %s\n  %s\n", (unsigned long long) round_seed, i,
                            text, other);
                    for (uint32_t w = 0; w < SLUICE_KEY_WORDS; w++) {
                        if (key.words[w] != variant.words[w]) {
                            fprintf(stderr, "word %u: %016llx %016llx mask %016llx\n", w,
                                    (unsigned long long) be64(key.words[w]),
                                    (unsigned long long) be64(variant.words[w]),
                                    (unsigned long long) be64(mask.words[w]));
                        }
                    }
                    print_steps(&rig, &key);
                    print_steps(&rig, &variant);
                    return 1;
                }
            }
        }
    }
    printf("# %llu variants\n", (unsigned long long) n_variants);
    claim("packets that agree in what was read are translated alike");
    rig_uninit(&rig);
    return 0;
}
