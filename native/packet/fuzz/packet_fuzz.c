/* Any bytes as a frame, parsed with any limit, then rewritten, tagged, completed and segmented.  The input begins with
 * a few bytes that choose; a random match follows from a seed. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/parse.h"
#include "packet/rewrite.h"
#include "packet/segment.h"

#define CHOICE_SIZE 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Both ways of parsing must agree, and the map must say exactly which words are set. */
static void
check_parse(struct packet *packet, uint32_t vlan_limit)
{
    static struct flow_key burst_key;
    static uint64_t map;
    struct flow_key key;
    packet_parse(packet, vlan_limit, &key);
    packet_parse_burst(&packet, 1, vlan_limit, &burst_key, &map);
    if (memcmp(&key, &burst_key, sizeof key)) {
        abort();
    }
    for (uint32_t word = 0; word < PACKET_KEY_WORDS; word++) {
        if ((map >> word & 1) != (key.words[word] != 0)) {
            abort();
        }
    }
}

static void
random_match(uint64_t seed, struct match_buffer *buffer)
{
    struct flow_key keys[2];
    for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
        seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
        keys[0].words[word] = seed >> 7;
        keys[1].words[word] = seed >> 33 & 1 ? seed * 31 : 0;
    }
    match_compress(&keys[0], &keys[1], &buffer->match, sizeof *buffer);
}

static void
segment_all(struct packet_pool *pool, struct packet *packet)
{
    struct packet_segmenter segmenter;
    struct packet *segments[PACKET_BATCH_MAX];
    uint32_t n;
    packet_segment_begin(&segmenter, pool, packet);
    while ((n = packet_segment_next(&segmenter, segments, PACKET_BATCH_MAX)) > 0) {
        packet_release_burst(segments, n);
    }
    packet_segment_end(&segmenter);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct packet_pool *pool;
    if (!pool) {
        const struct packet_pool_options options = { .n_small = 64, .n_large = 4 };
        packet_pool_create(&options, &pool);
    }
    if (size < CHOICE_SIZE || size - CHOICE_SIZE > PACKET_SMALL_SIZE) {
        return 0;
    }
    const uint8_t *choice = data;
    data += CHOICE_SIZE;
    size -= CHOICE_SIZE;

    /* First in memory of exactly the frame's size, where any step too far is seen. */
    struct match_buffer match;
    struct packet packet;
    struct packet *packets[1] = { &packet };
    uint8_t *frame = malloc(size + 1);
    memcpy(frame, data, size);
    packet_wrap(&packet, frame, (uint32_t) size, 0, (uint32_t) size);
    check_parse(&packet, choice[0] % 3);
    random_match(get_raw64(choice + 8), &match);
    packet_rewrite(packets, 1, &match.match);
    packet_checksum_ok(&packet);
    packet_checksum_fill(&packet);
    packet_pop_vlan(&packet);
    free(frame);

    struct packet *pooled = packet_alloc(pool, (uint32_t) size);
    memcpy(pooled->data, data, size);
    check_parse(pooled, choice[0] % 3);
    pooled->flags |= choice[1] & 1 ? PACKET_CSUM_PARTIAL : 0;
    pooled->csum_start = choice[2];
    pooled->csum_offset = choice[3] % 32;
    pooled->gso_type = choice[4];
    pooled->gso_size = get_raw16(choice + 5);
    packet_push_vlan(pooled, 0x0081, 0x0110);
    packet_rewrite(&pooled, 1, &match.match);
    if (choice[1] & 2) {
        struct packet *cut = packet_clone(pool, pooled, choice[7]);
        packet_rewrite(&cut, 1, &match.match);
        packet_release(cut);
    }
    segment_all(pool, pooled);
    return 0;
}
