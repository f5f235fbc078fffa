/* Rule tables against a plain list of rules. */
#include "classifier/rule_table.h"

#include "classifier/test/random_rules.h"

#define N_RULES_MAX 300
#define VERSION 5

struct fixture {
    struct epoch *epoch;
    struct limbo limbo;
    struct rule_table *table;
    struct rule *rules[N_RULES_MAX];
    struct match_buffer matches[N_RULES_MAX];
    uint32_t n;
    uint64_t random;
};

static void
open_fixture(struct fixture *fixture, uint64_t seed, uint32_t prefixes)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->epoch = epoch_create();
    limbo_init(&fixture->limbo, fixture->epoch);
    fixture->table = rule_table_create(&fixture->limbo, prefixes);
    fixture->random = seed;
}

static void
close_fixture(struct fixture *fixture)
{
    rule_table_destroy(fixture->table);
    limbo_uninit(&fixture->limbo);
    epoch_destroy(fixture->epoch);
}

static void
complete_rule(struct rule *rule, uint32_t priority, uint64_t version)
{
    rule->priority = priority;
    rule->add_version = version;
    rule->stats = rule_stats_create(0, 0);
}

static void
add_random_rule(struct fixture *fixture)
{
    struct flow_key key, mask;
    struct match_buffer *match = &fixture->matches[fixture->n];

    random_key(&fixture->random, &key);
    random_mask(&fixture->random, &mask);
    match_compress(&key, &mask, &match->match, sizeof *match);
    uint32_t priority = random_below(&fixture->random, 60);
    if (rule_table_find(fixture->table, VERSION, &match->match, priority) != NULL) {
        return;
    }
    struct rule *rule = rule_table_new_rule(fixture->table, &match->match);
    complete_rule(rule, priority, random_below(&fixture->random, 8) == 0 ? VERSION + 1 : VERSION);
    CHECK(rule_table_insert(fixture->table, rule) == 0);
    fixture->rules[fixture->n++] = rule;
}

static void
remove_rule(struct fixture *fixture, uint32_t i)
{
    rule_table_remove(fixture->table, fixture->rules[i]);
    fixture->rules[i] = fixture->rules[--fixture->n];
    fixture->matches[i] = fixture->matches[fixture->n];
    limbo_reclaim(&fixture->limbo);
}

/* The reference: the greatest priority among the visible rules that have the key. */
static int64_t
expected_priority(const struct fixture *fixture, const struct flow_key *key, uint64_t version)
{
    int64_t best = -1;

    for (uint32_t i = 0; i < fixture->n; i++) {
        if (rule_is_visible(fixture->rules[i], version) && match_covers(&fixture->matches[i].match, key)
            && fixture->rules[i]->priority > best) {
            best = fixture->rules[i]->priority;
        }
    }
    return best;
}

static int64_t
looked_up(const struct fixture *fixture, const struct flow_key *key, uint64_t version, struct flow_key *read_mask)
{
    const struct rule *rule = rule_table_lookup(fixture->table, version, key, read_mask);

    if (rule != NULL) {
        struct match_buffer match;
        rule_put_match(rule, &match.match);
        CHECK(match_covers(&match.match, key));
        CHECK(rule_is_visible(rule, version));
    }
    return rule != NULL ? (int64_t) rule->priority : -1;
}

/* Any key that differs only in bits that were not read must get the same answer. */
static void
check_lookup(struct fixture *fixture)
{
    struct flow_key key, other, read_mask;

    random_key(&fixture->random, &key);
    memset(&read_mask, 0, sizeof read_mask);
    int64_t expected = expected_priority(fixture, &key, VERSION);
    CHECK(looked_up(fixture, &key, VERSION, NULL) == expected);
    CHECK(looked_up(fixture, &key, VERSION, &read_mask) == expected);
    CHECK(looked_up(fixture, &key, VERSION + 1, NULL) == expected_priority(fixture, &key, VERSION + 1));
    for (int i = 0; i < 8; i++) {
        random_key(&fixture->random, &other);
        for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
            uint64_t noise = i & 1 ? random_next(&fixture->random) : other.words[word];
            other.words[word] = (key.words[word] & read_mask.words[word]) | (noise & ~read_mask.words[word]);
        }
        CHECK(expected_priority(fixture, &other, VERSION) == expected);
    }
}

static void
test_random_tables(uint64_t seed)
{
    for (uint32_t round = 0; round < 60; round++) {
        struct fixture fixture;
        open_fixture(&fixture, seed + round, round % 4 == 3 ? 0 : RULE_TABLE_PREFIX_DEFAULT);
        uint32_t wanted = 1 + random_below(&fixture.random, round % 2 ? N_RULES_MAX : 20);
        for (uint32_t i = 0; i < wanted; i++) {
            add_random_rule(&fixture);
        }
        for (int i = 0; i < 200; i++) {
            check_lookup(&fixture);
            if (fixture.n > 0 && random_below(&fixture.random, 3) == 0) {
                remove_rule(&fixture, random_below(&fixture.random, fixture.n));
            }
            if (fixture.n < N_RULES_MAX && random_below(&fixture.random, 3) == 0) {
                add_random_rule(&fixture);
            }
        }
        while (fixture.n > 0) {
            remove_rule(&fixture, 0);
        }
        struct rule_table_size size;
        rule_table_measure(fixture.table, &size);
        CHECK(size.n_rules == 0 && size.n_subtables == 0);
        close_fixture(&fixture);
    }
    printf("ok - lookups find what a linear search finds, at each version (seed %llu)\n", (unsigned long long) seed);
    printf("ok - keys equal in the bits read get the same rule\n");
}

struct visited {
    const struct rule *rules[N_RULES_MAX];
    uint32_t n;
};

static bool
note_visit(struct rule *rule, void *visited_)
{
    struct visited *visited = visited_;

    visited->rules[visited->n++] = rule;
    return true;
}

static void
test_visit_and_overlap(uint64_t seed)
{
    struct fixture fixture;

    open_fixture(&fixture, seed, RULE_TABLE_PREFIX_DEFAULT);
    while (fixture.n < 200) {
        add_random_rule(&fixture);
    }
    for (int i = 0; i < 300; i++) {
        struct flow_key key, mask;
        struct match_buffer match;
        struct visited visited = { .n = 0 };
        bool overlaps = false;
        uint32_t n_expected = 0, priority = random_below(&fixture.random, 60);

        random_key(&fixture.random, &key);
        random_mask(&fixture.random, &mask);
        match_compress(&key, &mask, &match.match, sizeof match);
        rule_table_visit(fixture.table, VERSION, &match.match, note_visit, &visited);
        for (uint32_t k = 0; k < fixture.n; k++) {
            const struct rule *rule = fixture.rules[k];
            if (rule_is_visible(rule, VERSION)) {
                n_expected += match_contains(&match.match, &fixture.matches[k].match);
                overlaps |= rule->priority == priority && match_overlaps(&match.match, &fixture.matches[k].match);
            }
        }
        CHECK(visited.n == n_expected);
        CHECK(rule_table_overlaps(fixture.table, VERSION, &match.match, priority) == overlaps);
    }
    close_fixture(&fixture);
    printf("ok - loose visits and overlap checks find what a linear search finds\n");
}

/* A match on one field. */
static const struct match *
match_of(struct match_buffer *buffer, const struct flow_key *key, const struct flow_key *mask)
{
    match_compress(key, mask, &buffer->match, sizeof *buffer);
    return &buffer->match;
}

static void
add_ip_dst(struct fixture *fixture, uint32_t address, uint32_t length, uint32_t priority)
{
    struct flow_key key = { .eth_type = be16(0x0800), .ip_dst = be32(address) };
    struct flow_key mask = { .eth_type = UINT16_MAX, .ip_dst = prefix_mask(length) };
    struct match_buffer match;
    struct rule *rule = rule_table_new_rule(fixture->table, match_of(&match, &key, &mask));

    complete_rule(rule, priority, VERSION);
    CHECK(rule_table_insert(fixture->table, rule) == 0);
}

static void
add_tp_dst(struct fixture *fixture, uint16_t port, uint32_t priority)
{
    struct flow_key key = { .eth_type = be16(0x0800), .ip_proto = 6, .tp_dst = be16(port) };
    struct flow_key mask = { .eth_type = UINT16_MAX, .ip_proto = 0xff, .tp_dst = UINT16_MAX };
    struct match_buffer match;
    struct rule *rule = rule_table_new_rule(fixture->table, match_of(&match, &key, &mask));

    complete_rule(rule, priority, VERSION);
    CHECK(rule_table_insert(fixture->table, rule) == 0);
}

static void
test_wide_megaflows(void)
{
    struct fixture fixture;
    struct flow_key key = { .eth_type = be16(0x0800),
                            .ip_proto = 6,
                            .ip_dst = be32(0x14000001),
                            .tp_src = be16(1000),
                            .tp_dst = be16(0x8050) };
    struct flow_key read = { .in_port = 0 };

    open_fixture(&fixture, 1, RULE_TABLE_PREFIX_DEFAULT);
    add_ip_dst(&fixture, 0x0a000001, 32, 10);
    add_ip_dst(&fixture, 0x0a010000, 16, 9);
    CHECK(rule_table_lookup(fixture.table, VERSION, &key, &read) == NULL);
    CHECK(read.eth_type == UINT16_MAX);
    CHECK(read.ip_dst == prefix_mask(4)); /* 20.0.0.1 differs from 10.0.0.0/15 in the fourth bit. */
    printf("ok - the prefixes in use tell a miss by the first bits that differ\n");

    struct flow_key arp = { .eth_type = be16(0x0806) };
    read = (struct flow_key){ .in_port = 0 };
    CHECK(rule_table_lookup(fixture.table, VERSION, &arp, &read) == NULL);
    CHECK(read.eth_type == UINT16_MAX && read.ip_dst == 0);
    printf("ok - a stage that proves a miss is the last that is read\n");
    close_fixture(&fixture);

    open_fixture(&fixture, 1, RULE_TABLE_PREFIX_DEFAULT);
    add_tp_dst(&fixture, 80, 10);
    add_tp_dst(&fixture, 443, 10);
    read = (struct flow_key){ .in_port = 0 };
    CHECK(rule_table_lookup(fixture.table, VERSION, &key, &read) == NULL);
    CHECK(read.tp_dst == be16(0x8000) && read.tp_src == 0 && read.ip_proto == 0xff);
    printf("ok - the ports in use tell a miss by the first bits that differ\n");
    close_fixture(&fixture);
}

int
main(int argc, char *argv[])
{
    uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 20240;

    test_random_tables(seed);
    test_visit_and_overlap(seed);
    test_wide_megaflows();
    return 0;
}
