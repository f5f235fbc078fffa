#include "worker/megaflow.h"

#include <string.h>

#include "packet/bytes.h"
#include "packet/match.h"
#include "packet/packet.h"
#include "pipeline/field.h"
#include "pipeline/pipeline.h"
#include "pipeline/xlate.h"
#include "worker/state.h"

/* Stamps, then credits. */
struct megaflow_origin {
    uint32_t n_stamps;
    uint32_t n_credits;
    struct xlate_stamp stamps[];
};

static struct xlate_credit *
origin_credits(struct megaflow_origin *origin)
{
    uint32_t n = origin->n_stamps < XLATE_STAMPS_MAX ? origin->n_stamps : XLATE_STAMPS_MAX;

    return (struct xlate_credit *) (origin->stamps + n);
}

static bool
is_stale(void *aux, const struct megaflow *megaflow, uint64_t *change)
{
    const struct sluice_datapath *datapath = aux;
    struct megaflow_origin *origin = megaflow_data(megaflow);

    return xlate_is_stale(datapath->pipeline, change, origin->stamps, origin->n_stamps, megaflow);
}

static void
credit(void *aux, void *data, uint64_t n_packets, uint64_t n_bytes, uint64_t used_ms, uint16_t tcp_flags)
{
    struct sluice_datapath *datapath = aux;
    struct megaflow_origin *origin = data;

    const struct xlate_traffic traffic = { n_packets, n_bytes, used_ms, tcp_flags, NULL };
    xlate_credit(datapath->pipeline, origin_credits(origin), origin->n_credits, &traffic);
}

void
megaflow_credit(struct sluice_datapath *datapath, const struct megaflow *megaflow, const struct xlate_traffic *traffic)
{
    struct megaflow_origin *origin = megaflow_data(megaflow);

    xlate_credit(datapath->pipeline, origin_credits(origin), origin->n_credits, traffic);
}

static void
release(void *aux, void *data)
{
    struct megaflow_origin *origin = data;

    (void) aux;
    xlate_credits_release(origin_credits(origin), origin->n_credits, false);
}

void
megaflow_each_rule(void *data, void (*each)(void *aux, const struct rule *rule), void *aux)
{
    struct megaflow_origin *origin = data;
    const struct xlate_credit *credits = origin_credits(origin);

    for (uint32_t i = 0; i < origin->n_credits; i++) {
        if (credits[i].kind == XLATE_CREDIT_RULE) {
            each(aux, credits[i].rule);
        }
    }
}

static uint32_t
settings_flags(const struct sluice_datapath *datapath)
{
    return atomic_load_explicit(&datapath->settings_flags, memory_order_relaxed);
}

/* Every header that a packet may have, but those of a tunnel for packets that came through none. */
static void
read_all(const struct flow_key *key, struct flow_key *mask)
{
    uint64_t tunnel = 0;

    for (uint32_t word = SLUICE_KEY_TUNNEL_WORD; word < SLUICE_KEY_L2_WORD; word++) {
        tunnel |= key->words[word];
    }
    for (uint32_t word = 0; word < SLUICE_KEY_PIPELINE_WORD; word++) {
        bool is_tunnel = word >= SLUICE_KEY_TUNNEL_WORD && word < SLUICE_KEY_L2_WORD;
        bool is_option = word >= SLUICE_KEY_OPTIONS_WORD;
        if (key->words[word] != 0 || (is_tunnel ? tunnel != 0 : !is_option)) {
            mask->words[word] = UINT64_MAX;
        }
    }
    /* Of the state of a connection there are so many bits. */
    mask->ct_state = be32(0xff);
}

_Bool
megaflow_insertion(struct sluice_datapath *datapath, struct xlate_out *out, uint64_t room[MEGAFLOW_ORIGIN_WORDS],
                   struct flow_cache_insertion *insertion)
{
    uint32_t n_stamps = out->n_stamps < XLATE_STAMPS_MAX ? out->n_stamps : XLATE_STAMPS_MAX;
    size_t size =
        sizeof(struct megaflow_origin) + n_stamps * sizeof out->stamps[0] + out->n_credits * sizeof out->credits[0];

    if (!out->cacheable || size > MEGAFLOW_ORIGIN_WORDS * sizeof room[0]) {
        return 0;
    }
    struct megaflow_origin *origin = (struct megaflow_origin *) room;
    origin->n_stamps = out->n_stamps;
    origin->n_credits = out->n_credits;
    memcpy(origin->stamps, out->stamps, n_stamps * sizeof out->stamps[0]);
    if (out->n_credits != 0) {
        memcpy(origin_credits(origin), out->credits, out->n_credits * sizeof out->credits[0]);
    }
    /* As in OVS the megaflow of a packet with a VLAN is that VLAN's: who reads dumps expects to see which it is. */
    if (insertion->key->vlan0_tci & be16(VLAN_CFI) && !out->mask.vlan0_tci) {
        out->mask.vlan0_tci = be16(VLAN_VID_MASK | VLAN_CFI);
    }
    if (settings_flags(datapath) & SLUICE_SETTINGS_FLAG_EXACT_MEGAFLOWS) {
        read_all(insertion->key, &out->mask);
    }
    insertion->mask = &out->mask;
    insertion->actions = out->actions;
    insertion->actions_size = out->actions_size;
    insertion->data_size = (uint32_t) size;
    insertion->data = origin;
    insertion->change = out->change;
    return 1;
}

/* With the control lock: sweeps have it. */
static bool
revalidate(void *aux, const struct flow_key *key, bool may_learn, struct flow_cache_insertion *insertion)
{
    struct sluice_datapath *datapath = aux;
    struct worker *control = datapath->control_worker;
    const struct xlate_in in = {
        .key = key, .now_ms = datapath_now(datapath), .learn = may_learn, .has_control = true
    };

    /* Nobody has the control worker process packets: they would be behind the control lock too. */
    struct xlate_out *out = &control->levels[0].xlate;

    xlate(datapath->pipeline, &in, out);
    insertion->key = key;
    if (!megaflow_insertion(datapath, out, control->origin, insertion)) {
        return false;
    }
    xlate_out_steal_credits(out);
    return true;
}

static void
tell(void *aux, const struct megaflow *megaflow, uint32_t change)
{
    struct sluice_datapath *datapath = aux;
    uint64_t record[8192];
    size_t size = megaflow_put_record(megaflow, 0, (uint8_t *) record, sizeof record);
    struct sluice_megaflow_info *info = (struct sluice_megaflow_info *) record;
    const struct ring_part part = { record, size };

    if (size != 0) {
        info->type = SLUICE_EVENT_MEGAFLOW;
        info->change = change;
        ring_put(&datapath->ring, DATAPATH_PORTS_MAX, (struct sluice_record *) info, &part, 1);
    }
}

void
megaflow_tell_miss(struct sluice_datapath *datapath, const struct packet *packet, const struct flow_key *key)
{
    struct flow_key mask;
    struct match_buffer match;

    if (!(settings_flags(datapath) & SLUICE_SETTINGS_FLAG_TELL_MEGAFLOWS)) {
        return;
    }
    for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
        mask.words[word] = key->words[word] != 0 ? UINT64_MAX : 0;
    }
    size_t match_bytes = match_compress(key, &mask, &match.match, sizeof match);
    struct sluice_event_miss event = {
        .type = SLUICE_EVENT_MISS,
        .dp_port = packet->in_port,
        .key_size = (uint32_t) match_bytes,
        .packet_size = packet->size,
    };
    const struct ring_part parts[] = {
        { &event, sizeof event },
        { &match, match_bytes },
        { packet->data, packet->size },
    };
    ring_put(&datapath->ring, packet->in_port != 0 ? packet->in_port : DATAPATH_PORTS_MAX,
             (struct sluice_record *) &event, parts, 3);
}

struct flow_cache_hooks
megaflow_hooks(struct sluice_datapath *datapath)
{
    return (struct flow_cache_hooks){
        .aux = datapath,
        .is_stale = is_stale,
        .credit = credit,
        .release = release,
        .revalidate = revalidate,
        .tell = tell,
    };
}
