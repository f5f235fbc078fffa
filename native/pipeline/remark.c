#include "pipeline/remark.h"

#include <stdatomic.h>

#include "packet/match.h"
#include "pipeline/pipeline_state.h"

/* Whether one more remark may be told: the count of the second stands below its number.  Threads that race may tell one
 * too many. */
static bool
may_tell(_Atomic uint64_t *told, uint64_t now_ms)
{
    uint64_t second = (now_ms / 1000) << 8;
    uint64_t old = atomic_load_explicit(told, memory_order_relaxed);
    uint64_t n = (old & ~UINT64_C(0xff)) == second ? (old & 0xff) : 0;
    if (n >= REMARKS_PER_SECOND) {
        return false;
    }
    atomic_store_explicit(told, second | (n + 1), memory_order_relaxed);
    return true;
}

/* Writes the key as a match.  Returns its size, or 0 without a key. */
static uint32_t
put_key(const struct flow_key *key, struct match_buffer *buffer)
{
    struct flow_key mask;
    if (!key) {
        return 0;
    }
    for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
        mask.words[word] = key->words[word] ? UINT64_MAX : 0;
    }
    return (uint32_t) match_compress(key, &mask, &buffer->match, sizeof *buffer);
}

void
remark_tell(struct pipeline *pipeline, const struct remark *remark, uint64_t now_ms)
{
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    struct match_buffer key;
    struct match_buffer first_key;
    if (!hooks->remark || !may_tell(&pipeline->remarks[remark->code % PIPELINE_REMARKS], now_ms)) {
        return;
    }
    struct sluice_event_remark event = {
        .type = SLUICE_EVENT_REMARK,
        .bridge = remark->bridge,
        .code = remark->code,
        .a = remark->a,
        .b = remark->b,
        .c = remark->c,
        .key_size = put_key(remark->key, &key),
        .first_key_size = put_key(remark->first_key, &first_key),
        .first_bridge = remark->first_bridge,
    };
    hooks->remark(hooks->aux, &event, &key, &first_key);
}
