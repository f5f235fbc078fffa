#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "actions/execute.h"
#include "tunnel/header.h"
#include "packet/bytes.h"
#include "packet/checksum.h"
#include "packet/compose.h"
#include "packet/headers.h"
#include "packet/match.h"
#include "packet/parse.h"
#include "packet/test/claim.h"

/* A list of actions under construction. */
struct list {
    union {
        uint8_t bytes[4096];
        uint64_t align;
    };
    uint16_t size;
};

/* What happened, in order. */
struct happening {
    char kind; /* o: output, c: controller, p: protocol, m: meter, d: drop */
    uint32_t number;
    uint32_t n;
    uint32_t size;        /* Of the first packet. */
    uint16_t bytes_12;    /* Raw bytes behind the addresses of the first packet. */
    uint8_t eth_dst_last; /* Last byte of its destination. */
    const struct packet *packet;
};

static struct happening happenings[16];
static uint32_t n_happenings;
static struct packet_pool *pool;

/* Packets that were output, dropped or recirculated. */
static uint64_t n_gone;
static struct action_counts counts;

static void
happen(char kind, uint32_t number, struct packet *const *packets, uint32_t n)
{
    CHECK(n_happenings < 16);
    happenings[n_happenings++] = (struct happening){
        .kind = kind,
        .number = number,
        .n = n,
        .size = packets ? packets[0]->size : 0,
        .bytes_12 = packets ? get_be16(packets[0]->data + 12) : 0,
        .eth_dst_last = packets ? packets[0]->data[5] : 0,
        .packet = packets ? packets[0] : NULL,
    };
}

static void
on_output(void *aux, uint32_t dp_port, struct packet *const *packets, uint32_t n)
{
    CHECK(aux == &pool);
    happen('o', dp_port, packets, n);
    n_gone += n;
    packet_release_burst(packets, n);
}

static void
on_controller(void *aux, const struct sluice_dp_action_controller *action, struct packet *const *packets, uint32_t n)
{
    (void) aux;
    happen('c', action->controller_id, packets, n);
}

static void
on_protocol(void *aux, const struct sluice_dp_action_protocol *action, struct packet *const *packets, uint32_t n)
{
    (void) aux;
    happen('p', action->protocol, packets, n);
}

static void
on_report(void *aux, const struct sluice_dp_action_report *action, struct packet *const *packets, uint32_t n)
{
    (void) aux;
    happen('s', action->collector_set_id, packets, n);
}

/* The dp_hash of each packet, and of all of them the recirculation id. */
static uint32_t hashes[PACKET_BATCH_MAX];

static void
on_recirc(void *aux, struct packet *const *packets, uint32_t n)
{
    (void) aux;
    happen('r', packets[0]->metadata.recirc_id, packets, n);
    n_gone += n;
    for (uint32_t i = 0; i < n; i++) {
        CHECK(packets[i]->flags & PACKET_METADATA && packets[i]->metadata.recirc_id == packets[0]->metadata.recirc_id);
        hashes[i] = packets[i]->metadata.dp_hash;
    }
    packet_release_burst(packets, n);
}

static void
on_drop(void *aux, uint32_t reason, uint32_t n)
{
    (void) aux;
    happen('d', reason, NULL, n);
    n_gone += n;
}

static void
on_lb_output(void *aux, const struct sluice_dp_action_lb_output *action, struct packet *const *packets, uint32_t n)
{
    on_output(aux, action->bond_id, packets, n);
}

/* A meter that drops the packets that 'meter' has a bit for. */
static void
on_meter(void *aux, uint32_t meter, struct packet **packets, uint32_t *n)
{
    uint32_t n_left = 0;

    (void) aux;
    happen('m', meter, packets, *n);
    for (uint32_t i = 0; i < *n; i++) {
        if (meter >> i & 1) {
            packet_release(packets[i]);
        } else {
            packets[n_left++] = packets[i];
        }
    }
    n_gone += *n - n_left;
    *n = n_left;
}

static _Atomic uint32_t sequences[TUNNEL_SEQUENCES];

static struct action_sink
make_sink(void)
{
    return (struct action_sink){
        .output = on_output,
        .controller = on_controller,
        .protocol = on_protocol,
        .report = on_report,
        .recirc = on_recirc,
        .lb_output = on_lb_output,
        .meter = on_meter,
        .drop = on_drop,
        .counts = &counts,
        .sequences = sequences,
        .aux = &pool,
        .pool = pool,
    };
}

static void *
put(struct list *list, uint16_t opcode, uint16_t size)
{
    uint8_t *action = list->bytes + list->size;
    CHECK(list->size + size <= sizeof list->bytes);
    memset(action, 0, size);
    put_raw16(action, opcode);
    put_raw16(action + 2, size);
    list->size = (uint16_t) (list->size + size);
    return action;
}

static void
put_trunc(struct list *list, uint32_t max_len)
{
    struct sluice_dp_action_trunc *trunc = put(list, SLUICE_DP_ACTION_TRUNC, sizeof *trunc);
    trunc->max_len = max_len;
}

static void
put_output(struct list *list, uint32_t port, uint32_t max_len)
{
    if (max_len) {
        put_trunc(list, max_len);
    }
    struct sluice_dp_action_output *output = put(list, SLUICE_DP_ACTION_OUTPUT, sizeof *output);
    output->dp_port = port;
}

static void
put_push_vlan(struct list *list, uint16_t tpid, uint16_t tci)
{
    struct sluice_dp_action_push_vlan *push = put(list, SLUICE_DP_ACTION_PUSH_VLAN, sizeof *push);
    push->tpid = tpid;
    push->tci = tci;
}

static void
put_set(struct list *list, const struct flow_key *value, const struct flow_key *mask)
{
    struct match_buffer buffer;
    size_t size = match_compress(value, mask, &buffer.match, sizeof buffer);
    struct sluice_dp_action_set *set = put(list, SLUICE_DP_ACTION_SET, (uint16_t) (sizeof *set + size));
    set->match_size = (uint32_t) size;
    memcpy(set + 1, &buffer, size);
}

static void
put_set_eth_dst_last(struct list *list, uint8_t value)
{
    struct flow_key keys[2];
    memset(keys, 0, sizeof keys);
    keys[0].eth_dst[5] = value;
    keys[1].eth_dst[5] = 0xff;
    put_set(list, &keys[0], &keys[1]);
}

static void
put_clone(struct list *list, const struct list *nested)
{
    struct sluice_dp_action_clone *clone = put(list, SLUICE_DP_ACTION_CLONE, (uint16_t) (sizeof *clone + nested->size));
    clone->actions_size = nested->size;
    memcpy(clone + 1, nested->bytes, nested->size);
}

/* UDP frames, 106 bytes each. */
static void
make_packets(struct packet **packets, uint32_t n)
{
    struct flow_key key;
    memset(&key, 0, sizeof key);
    key.eth_type = be16(ETH_TYPE_IPV4);
    key.ip_proto = PROTO_UDP;
    for (uint32_t i = 0; i < n; i++) {
        packets[i] = packet_alloc(pool, PACKET_SMALL_SIZE);
        packet_compose(packets[i], &key);
    }
}

/* Runs the list on 'n' packets and makes sure that none leaks, and that each is accounted for. */
static void
run(const struct list *list, uint32_t n)
{
    const struct action_sink sink = make_sink();
    struct packet *packets[PACKET_BATCH_MAX];
    struct packet_pool_stats before, after;
    packet_pool_get_stats(pool, &before);
    CHECK(!actions_check(list->bytes, list->size));
    n_happenings = 0;
    n_gone = 0;
    counts = (struct action_counts){ 0 };
    make_packets(packets, n);
    actions_execute(&sink, packets, n, list->bytes, list->size);
    CHECK(n + counts.n_copied == n_gone + counts.n_consumed);
    packet_pool_get_stats(pool, &after);
    CHECK(before.n_small_free == after.n_small_free && before.n_large_free == after.n_large_free);
}

static void
test_outputs(void)
{
    struct list list = { .size = 0 };
    run(&list, 5);
    CHECK(n_happenings == 1 && happenings[0].kind == 'd' && happenings[0].number == SLUICE_DROP_REASON_NO_OUTPUT);
    CHECK(happenings[0].n == 5 && counts.n_consumed == 0);
    put_output(&list, 1, 0);
    put_output(&list, 2, 0);
    run(&list, 32);
    CHECK(n_happenings == 2 && happenings[0].number == 1 && happenings[1].number == 2);
    CHECK(happenings[0].n == 32 && happenings[1].n == 32 && happenings[0].size == 106);
    CHECK(happenings[0].packet != happenings[1].packet);
    claim("each output gets the whole batch, and no actions drop it");

    struct packet *packets[1];
    const struct action_sink sink = make_sink();
    n_happenings = 0;
    make_packets(packets, 1);
    actions_execute(&sink, packets, 1, list.bytes, list.size);
    CHECK(happenings[1].packet == packets[0]);
    claim("the last output gives the packet itself away");
}

static void
test_truncation(void)
{
    struct list list = { .size = 0 };
    put_output(&list, 1, 60);
    put_output(&list, 2, 0);
    put_output(&list, 3, 64);
    run(&list, 2);
    CHECK(happenings[0].size == 60 && happenings[1].size == 106 && happenings[2].size == 64);
    claim("an output after trunc sends the first bytes, and others still the whole packet");

    list.size = 0;
    put_trunc(&list, 60);
    put_push_vlan(&list, ETH_TYPE_QINQ, 0x1005);
    put_output(&list, 1, 0);
    put_trunc(&list, 60);
    put(&list, SLUICE_DP_ACTION_POP_VLAN, sizeof(struct sluice_dp_action_pop_vlan));
    put_output(&list, 2, 0);
    run(&list, 2);
    CHECK(happenings[0].size == 64 && happenings[1].size == 56);
    claim("a header that comes or goes after trunc does not change how many bytes are cut off");
}

static void
test_order_of_changes(void)
{
    struct list list = { .size = 0 };
    put_output(&list, 1, 0);
    put_set_eth_dst_last(&list, 9);
    struct sluice_dp_action_controller *controller = put(&list, SLUICE_DP_ACTION_CONTROLLER, sizeof *controller + 8);
    controller->controller_id = 77;
    controller->userdata_size = 3;
    put_push_vlan(&list, ETH_TYPE_QINQ, 0x1005);
    put_output(&list, 2, 0);
    put(&list, SLUICE_DP_ACTION_POP_VLAN, sizeof(struct sluice_dp_action_pop_vlan));
    struct sluice_dp_action_protocol *protocol = put(&list, SLUICE_DP_ACTION_PROTOCOL, sizeof *protocol);
    protocol->protocol = 4;
    struct sluice_dp_action_drop *drop = put(&list, SLUICE_DP_ACTION_DROP, sizeof *drop);
    drop->reason = 5;
    run(&list, 3);
    CHECK(n_happenings == 5);
    CHECK(happenings[0].kind == 'o' && happenings[0].eth_dst_last == 0 && happenings[0].bytes_12 == 0x0800);
    CHECK(happenings[1].kind == 'c' && happenings[1].number == 77 && happenings[1].eth_dst_last == 9);
    CHECK(happenings[2].kind == 'o' && happenings[2].bytes_12 == 0x88a8 && happenings[2].size == 110);
    CHECK(happenings[3].kind == 'p' && happenings[3].number == 4 && happenings[3].bytes_12 == 0x0800);
    CHECK(happenings[4].kind == 'd' && happenings[4].number == 5 && happenings[4].n == 3);
    claim("each action sees the packet as the actions before it made it");
}

static void
test_clone(void)
{
    struct list list = { .size = 0 };
    struct list nested = { .size = 0 };
    struct list inner = { .size = 0 };
    put_set_eth_dst_last(&inner, 2);
    put_output(&inner, 2, 0);
    put_set_eth_dst_last(&nested, 1);
    put_clone(&nested, &inner);
    put_output(&nested, 1, 0);
    put_clone(&list, &nested);
    put_output(&list, 3, 0);
    put_clone(&list, &nested);
    run(&list, 4);
    CHECK(n_happenings == 5);
    CHECK(happenings[0].number == 2 && happenings[0].eth_dst_last == 2);
    CHECK(happenings[1].number == 1 && happenings[1].eth_dst_last == 1);
    CHECK(happenings[2].number == 3 && happenings[2].eth_dst_last == 0);
    CHECK(happenings[3].number == 2 && happenings[4].number == 1);
    claim("changes inside of a clone stay there");
}

/* Samples one packet in 'one_in', and has those pass 'meter' if it is not 0. */
static void
put_sample(struct list *list, uint32_t one_in, uint32_t meter)
{
    struct list nested = { .size = 0 };
    if (meter) {
        struct sluice_dp_action_meter *action = put(&nested, SLUICE_DP_ACTION_METER, sizeof *action);
        action->meter = meter;
    }
    struct sluice_dp_action_report *report = put(&nested, SLUICE_DP_ACTION_REPORT, sizeof *report);
    report->collector_set_id = 7;
    struct sluice_dp_action_sample *sample =
        put(list, SLUICE_DP_ACTION_SAMPLE, (uint16_t) (sizeof *sample + nested.size));
    sample->probability = UINT32_MAX / one_in;
    sample->actions_size = nested.size;
    memcpy(sample + 1, nested.bytes, nested.size);
}

static void
test_sample(void)
{
    struct list list = { .size = 0 };
    put_sample(&list, 1, 0);
    put_sample(&list, 1, 1);
    put_output(&list, 3, 0);
    run(&list, 4);
    CHECK(n_happenings == 4);
    CHECK(happenings[0].kind == 's' && happenings[0].number == 7 && happenings[0].n == 4);
    CHECK(happenings[1].kind == 'm' && happenings[2].kind == 's' && happenings[2].n == 3);
    CHECK(happenings[3].kind == 'o' && happenings[3].n == 4);
    claim("a meter within a sample drops samples, not packets");

    uint32_t state = 0x12345678;
    uint32_t n_sampled = 0;
    struct action_sink sink = make_sink();
    sink.random = &state;
    list.size = 0;
    put_sample(&list, 10, 0);
    for (uint32_t round = 0; round < 1000; round++) {
        struct packet *packets[10];
        make_packets(packets, 10);
        n_happenings = 0;
        actions_execute(&sink, packets, 10, list.bytes, list.size);
        n_sampled += happenings[0].kind == 's' ? happenings[0].n : 0;
    }
    CHECK(n_sampled > 850 && n_sampled < 1150);
    claim("one packet in ten is about one in ten");
}

static void
put_recirc(struct list *list, uint32_t id)
{
    struct sluice_dp_action_recirc *recirc = put(list, SLUICE_DP_ACTION_RECIRC, sizeof *recirc);
    recirc->recirc_id = id;
}

static void
put_hash(struct list *list, uint32_t algorithm, uint32_t basis)
{
    struct sluice_dp_action_hash *hash = put(list, SLUICE_DP_ACTION_HASH, sizeof *hash);
    hash->algorithm = algorithm;
    hash->basis = basis;
}

static void
test_lb_output(void)
{
    struct list list = { .size = 0 };
    for (uint32_t bond = 8; bond <= 9; bond++) {
        struct sluice_dp_action_lb_output *lb_output = put(&list, SLUICE_DP_ACTION_LB_OUTPUT, sizeof *lb_output);
        lb_output->bond_id = bond;
    }
    CHECK(!actions_check(list.bytes, list.size));
    run(&list, 3);
    CHECK(n_happenings == 2 && happenings[0].kind == 'o' && happenings[0].number == 8 && happenings[0].n == 3);
    CHECK(happenings[1].number == 9 && happenings[1].n == 3);
    claim("lb_output hands over copies, and as the last action the packets");
}

static void
test_recirc(void)
{
    struct list list = { .size = 0 };
    put_set_eth_dst_last(&list, 5);
    put_recirc(&list, 7);
    put_output(&list, 1, 0);
    put_recirc(&list, 8);
    run(&list, 3);
    CHECK(n_happenings == 3 && happenings[0].kind == 'r' && happenings[0].number == 7 && happenings[0].n == 3);
    CHECK(happenings[0].eth_dst_last == 5 && happenings[1].kind == 'o' && happenings[2].number == 8);
    CHECK(hashes[0] == 0);
    claim("recirc hands over copies, and as the last action the packets");

    list.size = 0;
    put_hash(&list, SLUICE_HASH_ALGORITHM_L4, 1);
    put_recirc(&list, 7);
    run(&list, 1);
    uint32_t first = hashes[0];
    run(&list, 1);
    CHECK(first != 0 && hashes[0] == first);
    list.size = 0;
    put_hash(&list, SLUICE_HASH_ALGORITHM_L4, 2);
    put_recirc(&list, 7);
    run(&list, 1);
    CHECK(hashes[0] != first);
    list.size = 0;
    put_hash(&list, 2, 0);
    CHECK(actions_check(list.bytes, list.size) == EINVAL);
    claim("a hash is of the flow and the basis, and goes with the packet");
}

static void
test_mpls(void)
{
    struct list list = { .size = 0 };
    for (uint32_t i = 0; i < 2; i++) {
        struct sluice_dp_action_push_mpls *push = put(&list, SLUICE_DP_ACTION_PUSH_MPLS, sizeof *push);
        push->ethertype = ETH_TYPE_MPLS;
        push->lse = 10u << 12 | (i ? 0 : MPLS_BOS) | 64;
        put_output(&list, 1 + i, 0);
    }
    for (uint32_t i = 0; i < 2; i++) {
        struct sluice_dp_action_pop_mpls *pop = put(&list, SLUICE_DP_ACTION_POP_MPLS, sizeof *pop);
        pop->ethertype = i ? ETH_TYPE_IPV4 : ETH_TYPE_MPLS;
        put_output(&list, 3 + i, 0);
    }
    run(&list, 2);
    CHECK(n_happenings == 4 && happenings[0].bytes_12 == ETH_TYPE_MPLS && happenings[0].size == 110);
    CHECK(happenings[1].size == 114 && happenings[2].size == 110 && happenings[2].bytes_12 == ETH_TYPE_MPLS);
    CHECK(happenings[3].size == 106 && happenings[3].bytes_12 == ETH_TYPE_IPV4);
    claim("labels are pushed and popped between the Ethernet header and the rest");
}

static void
test_check_pkt_len(void)
{
    struct list greater = { .size = 0 }, less_equal = { .size = 0 };
    put_output(&greater, 1, 0);
    put_output(&less_equal, 2, 0);
    for (uint32_t limit = 105; limit <= 106; limit++) {
        struct list list = { .size = 0 };
        struct sluice_dp_action_check_pkt_len *check =
            put(&list, SLUICE_DP_ACTION_CHECK_PKT_LEN, (uint16_t) (sizeof *check + greater.size + less_equal.size));
        check->pkt_len = limit;
        check->greater_size = greater.size;
        check->less_equal_size = less_equal.size;
        memcpy(check + 1, greater.bytes, greater.size);
        memcpy((uint8_t *) (check + 1) + greater.size, less_equal.bytes, less_equal.size);
        put_output(&list, 3, 0);
        run(&list, 2);
        CHECK(n_happenings == 2 && happenings[0].number == (limit == 105 ? 1 : 2) && happenings[0].n == 2);
        CHECK(happenings[1].number == 3);
        check->greater_size += 8;
        CHECK(actions_check(list.bytes, list.size) == EINVAL);
    }
    claim("a packet takes the branch of its length, and goes on after it");
}

static void
test_dry_pool(void)
{
    struct packet *held[64];
    uint32_t n = packet_alloc_burst(pool, 64, held, 64);
    packet_release(held[--n]);
    packet_release(held[--n]);
    packet_release(held[--n]);
    struct list list = { .size = 0 };
    put_output(&list, 1, 0);
    put_output(&list, 2, 0);
    run(&list, 2);
    CHECK(n_happenings == 3 && happenings[0].kind == 'd' && happenings[0].n == 1);
    CHECK(happenings[0].number == SLUICE_DROP_REASON_NO_BUFFER);
    CHECK(happenings[1].number == 1 && happenings[1].n == 1 && happenings[2].number == 2 && happenings[2].n == 2);
    packet_release_burst(held, n);
    claim("copies that the pool cannot give are counted, and the packet itself is still sent");
}

static void
test_headroom(void)
{
    struct list list = { .size = 0 };
    for (uint32_t i = 0; i <= PACKET_HEADROOM / 4; i++) {
        put_push_vlan(&list, ETH_TYPE_VLAN, 0x1001);
    }
    put_output(&list, 1, 0);
    run(&list, 2);
    CHECK(n_happenings == 1 && happenings[0].kind == 'd' && happenings[0].n == 2);
    CHECK(happenings[0].number == SLUICE_DROP_REASON_NO_HEADROOM);
    claim("packets whose headroom is used up by tags are counted and released");
}

static void
put_meter(struct list *list, uint32_t number)
{
    struct sluice_dp_action_meter *meter = put(list, SLUICE_DP_ACTION_METER, sizeof *meter);
    meter->meter = number;
}

static void
test_meter(void)
{
    struct list list = { .size = 0 };
    struct list nested = { .size = 0 };
    put_meter(&nested, 0x7);
    put_output(&nested, 1, 0);
    put_clone(&list, &nested);
    put_meter(&list, 0x2);
    put_output(&list, 2, 0);
    run(&list, 3);
    CHECK(n_happenings == 3 && happenings[0].kind == 'm' && happenings[1].kind == 'm' && happenings[1].n == 3);
    CHECK(happenings[2].kind == 'o' && happenings[2].number == 2 && happenings[2].n == 2);
    claim("what a meter drops goes no further, and what a clone's drops goes on outside of it");
}

static void
test_check(void)
{
    struct flow_key value, mask;
    struct list list = { .size = 0 };
    CHECK(!actions_check(list.bytes, 0));
    put_output(&list, 1, 0);
    put_hash(&list, SLUICE_HASH_ALGORITHM_L4, 0);
    CHECK(!actions_check(list.bytes, list.size) && actions_check(list.bytes, list.size - 8) == EINVAL);
    CHECK(actions_check(list.bytes + 4, 8) == EINVAL);
    put_push_vlan(&list, 0x0800, 0x1001);
    CHECK(actions_check(list.bytes, list.size) == EINVAL);
    list.size = 0;
    put_push_vlan(&list, ETH_TYPE_VLAN, 0x0001);
    CHECK(actions_check(list.bytes, list.size) == EINVAL);
    list.size = 0;
    put(&list, 99, 8);
    CHECK(actions_check(list.bytes, list.size) == EINVAL);
    list.size = 0;
    memset(&value, 0, sizeof value);
    memset(&mask, 0, sizeof mask);
    mask.eth_type = UINT16_MAX;
    put_set(&list, &value, &mask);
    CHECK(actions_check(list.bytes, list.size) == EOPNOTSUPP);
    for (uint32_t depth = 0; depth <= ACTIONS_DEPTH_MAX; depth++) {
        struct list outer = { .size = 0 };
        list.size = depth ? list.size : 0;
        put_clone(&outer, &list);
        list = outer;
        CHECK(actions_check(list.bytes, list.size) == (depth < ACTIONS_DEPTH_MAX ? 0 : EINVAL));
    }
    claim("malformed actions, what cannot be set, and clones that nest too deep are refused");
}

static void
test_random_bytes(void)
{
    /* Whatever the check accepts can be executed. */
    uint64_t state = 9;
    uint32_t n_accepted = 0;
    for (uint32_t i = 0; i < 200000; i++) {
        static struct list list;
        list.size = 0;
        put_output(&list, 1, 0);
        put_set_eth_dst_last(&list, 3);
        put_push_vlan(&list, ETH_TYPE_VLAN, 0x1001);
        put_meter(&list, 0);
        struct list nested = { .size = 0 };
        put_output(&nested, 2, 0);
        put_clone(&list, &nested);
        for (uint32_t n = random_next(&state) % 3; n > 0; n--) {
            list.bytes[random_next(&state) % list.size] = (uint8_t) random_next(&state);
        }
        list.size = (uint16_t) (random_next(&state) % 4 ? list.size : random_next(&state) % list.size);
        if (!actions_check(list.bytes, list.size)) {
            run(&list, 1);
            n_accepted++;
        }
    }
    CHECK(n_accepted > 1000);
    claim("what the check accepts can be executed, whatever its bytes");
}

int
main(void)
{
    const struct packet_pool_options options = { .n_small = 64, .n_large = 1 };
    CHECK(!packet_pool_create(&options, &pool));
    test_outputs();
    test_truncation();
    test_order_of_changes();
    test_clone();
    test_sample();
    struct packet *large = packet_alloc(pool, PACKET_LARGE_SIZE);
    test_recirc();
    test_lb_output();
    test_mpls();
    test_check_pkt_len();
    test_dry_pool();
    packet_release(large);
    test_headroom();
    test_meter();
    test_check();
    test_random_bytes();
    packet_pool_destroy(pool);
    return 0;
}
