/* Conjunctive matches against their definition. */
#include "classifier/rule_table.h"

#include "classifier/test/random_rules.h"

#define N_RULES_MAX 120
#define N_IDS 6
#define N_PRIORITIES 8
#define VERSION 5

struct fixture {
    struct epoch *epoch;
    struct limbo limbo;
    struct action_lists *lists;
    struct rule_table *table;
    struct rule *rules[N_RULES_MAX];
    struct match_buffer matches[N_RULES_MAX];
    uint32_t n;
    uint64_t random;
};

static void
open_fixture(struct fixture *fixture, uint64_t seed)
{
    memset(fixture, 0, sizeof *fixture);
    fixture->epoch = epoch_create();
    limbo_init(&fixture->limbo, fixture->epoch);
    fixture->table = rule_table_create(&fixture->limbo, RULE_TABLE_PREFIX_DEFAULT);
    fixture->lists = action_lists_create();
    fixture->random = seed;
}

static void
close_fixture(struct fixture *fixture)
{
    rule_table_destroy(fixture->table);
    limbo_uninit(&fixture->limbo);
    action_lists_destroy(fixture->lists);
    epoch_destroy(fixture->epoch);
}

/* Adds a rule with 'n' clauses, none for one that matches alone; false if there is one of its match and priority. */
static bool
add_rule(struct fixture *fixture, const struct flow_key *key, const struct flow_key *mask, uint32_t priority,
         const struct sluice_action_conjunction *clauses, uint32_t n)
{
    struct match_buffer *match = &fixture->matches[fixture->n];

    match_compress(key, mask, &match->match, sizeof *match);
    if (rule_table_find(fixture->table, VERSION, &match->match, priority) != NULL) {
        return false;
    }
    struct rule *rule = rule_table_new_rule(fixture->table, &match->match);
    rule->priority = priority;
    rule->add_version = VERSION;
    rule->stats = rule_stats_create(0, 0);
    rule->actions = action_lists_get(fixture->lists, clauses, n * sizeof *clauses);
    CHECK(rule->actions->n_conjunctions == n);
    rule->flags = n != 0 ? RULE_FLAG_SOFT : 0;
    CHECK(rule_table_insert(fixture->table, rule) == 0);
    fixture->rules[fixture->n++] = rule;
    return true;
}

/* How many clauses a conjunction has follows from its id. */
static uint16_t
clauses_of(uint32_t id)
{
    return (uint16_t) (2 + id % 3);
}

static void
add_random_rule(struct fixture *fixture)
{
    struct sluice_action_conjunction clauses[3];
    struct flow_key key, mask;
    uint32_t n = random_below(&fixture->random, 4);

    random_key(&fixture->random, &key);
    random_mask(&fixture->random, &mask);
    memset(clauses, 0, sizeof clauses);
    /* One rule is one clause of a conjunction at most. */
    for (uint32_t i = 0; i < n; i++) {
        uint32_t id = 1 + i + 3 * random_below(&fixture->random, N_IDS / 3);
        clauses[i] = (struct sluice_action_conjunction){
            .opcode = SLUICE_ACTION_CONJUNCTION,
            .size = sizeof clauses[i],
            .id = id,
            .n_clauses = clauses_of(id),
            .clause = (uint16_t) random_below(&fixture->random, clauses_of(id)),
        };
    }
    add_rule(fixture, &key, &mask, random_below(&fixture->random, N_PRIORITIES), clauses, n);
}

/* What each conjunction leads to. */
static void
add_conjunctions(struct fixture *fixture)
{
    for (uint32_t id = 1; id <= N_IDS; id++) {
        struct flow_key key = { .conj_id = be32(id) }, mask = { .conj_id = UINT32_MAX };
        CHECK(add_rule(fixture, &key, &mask, random_below(&fixture->random, N_PRIORITIES), NULL, 0));
    }
}

/* Whether a soft rule of the same match has a greater priority. */
static bool
is_hidden(const struct fixture *fixture, uint32_t i)
{
    for (uint32_t k = 0; k < fixture->n; k++) {
        if (rule_is_soft(fixture->rules[k]) && fixture->rules[k]->priority > fixture->rules[i]->priority
            && match_contains(&fixture->matches[k].match, &fixture->matches[i].match)
            && match_contains(&fixture->matches[i].match, &fixture->matches[k].match)) {
            return true;
        }
    }
    return false;
}

/* The best rule that matches alone.  The lookup with an id passes over those that a soft rule hides. */
static const struct rule *
best_hard(const struct fixture *fixture, const struct flow_key *key)
{
    const struct rule *best = NULL;

    for (uint32_t i = 0; i < fixture->n; i++) {
        const struct rule *rule = fixture->rules[i];
        if (!rule_is_soft(rule) && match_covers(&fixture->matches[i].match, key)
            && !(key->conj_id != 0 && is_hidden(fixture, i)) && (best == NULL || rule->priority > best->priority)) {
            best = rule;
        }
    }
    return best;
}

/* The clauses of conjunction 'id' that rules of 'priority' which match 'key' have, a bit each. */
static uint64_t
clauses_seen(const struct fixture *fixture, const struct flow_key *key, uint32_t priority, uint32_t id)
{
    uint64_t seen = 0;

    for (uint32_t i = 0; i < fixture->n; i++) {
        const struct rule *rule = fixture->rules[i];
        const struct sluice_action_conjunction *clauses = (const void *) rule->actions->bytes;
        if (rule->priority != priority || !rule_is_soft(rule) || !match_covers(&fixture->matches[i].match, key)) {
            continue;
        }
        for (uint32_t k = 0; k < rule->actions->n_conjunctions; k++) {
            seen |= clauses[k].id == id ? UINT64_C(1) << clauses[k].clause : 0;
        }
    }
    return seen;
}

/* Whether 'found' is a right answer: by definition priorities are gone through from above, and at each a rule that
 * matches alone wins, else any conjunction that is complete. */
static bool
is_right(const struct fixture *fixture, const struct flow_key *key, const struct rule *found)
{
    const struct rule *hard = best_hard(fixture, key);

    for (int64_t priority = N_PRIORITIES - 1; priority >= 0; priority--) {
        bool complete = false;
        if (hard != NULL && hard->priority == priority) {
            return found != NULL && found->priority == priority && !rule_is_soft(found);
        }
        for (uint32_t id = 1; id <= N_IDS; id++) {
            if (clauses_seen(fixture, key, (uint32_t) priority, id) == (UINT64_C(1) << clauses_of(id)) - 1) {
                struct flow_key with_id = *key;
                with_id.conj_id = be32(id);
                complete = true;
                if (found != NULL && found->priority == best_hard(fixture, &with_id)->priority) {
                    return true;
                }
            }
        }
        if (complete) {
            return false;
        }
    }
    return found == NULL;
}

static void
check_lookup(struct fixture *fixture)
{
    struct flow_key key, other, read_mask;

    random_key(&fixture->random, &key);
    memset(&read_mask, 0, sizeof read_mask);
    const struct rule *found = rule_table_lookup(fixture->table, VERSION, &key, &read_mask);
    CHECK(is_right(fixture, &key, found));
    CHECK(rule_table_lookup(fixture->table, VERSION, &key, NULL) == found);
    for (int i = 0; i < 8; i++) {
        random_key(&fixture->random, &other);
        for (uint32_t word = 0; word < SLUICE_KEY_WORDS; word++) {
            other.words[word] =
                (key.words[word] & read_mask.words[word]) | (other.words[word] & ~read_mask.words[word]);
        }
        CHECK(rule_table_lookup(fixture->table, VERSION, &other, NULL) == found);
    }
}

static void
test_random_tables(uint64_t seed)
{
    for (uint32_t round = 0; round < 100; round++) {
        struct fixture fixture;
        open_fixture(&fixture, seed + round);
        add_conjunctions(&fixture);
        while (fixture.n < 10 + round) {
            add_random_rule(&fixture);
        }
        for (int i = 0; i < 300; i++) {
            check_lookup(&fixture);
        }
        close_fixture(&fixture);
    }
    printf("ok - a conjunction matches when a rule of each clause does (seed %llu)\n", (unsigned long long) seed);
    printf("ok - keys equal in the bits read find the same conjunction\n");
}

/* 1000 sources times 1000 destinations. */
static void
test_product(void)
{
    struct fixture *fixture = malloc(sizeof *fixture);
    const struct flow_key src_mask = { .eth_type = UINT16_MAX, .ip_src = UINT32_MAX };
    const struct flow_key dst_mask = { .eth_type = UINT16_MAX, .ip_dst = UINT32_MAX };
    struct sluice_action_conjunction clause = {
        .opcode = SLUICE_ACTION_CONJUNCTION,
        .size = sizeof clause,
        .id = 7,
        .n_clauses = 2,
    };

    open_fixture(fixture, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        struct flow_key src = { .eth_type = be16(0x0800), .ip_src = be32(0x0a000000 + i) };
        struct flow_key dst = { .eth_type = be16(0x0800), .ip_dst = be32(0x0b000000 + i) };
        fixture->n = 0;
        clause.clause = 0;
        CHECK(add_rule(fixture, &src, &src_mask, 10, &clause, 1));
        clause.clause = 1;
        CHECK(add_rule(fixture, &dst, &dst_mask, 10, &clause, 1));
    }
    const struct flow_key id = { .conj_id = be32(7) }, id_mask = { .conj_id = UINT32_MAX };
    CHECK(add_rule(fixture, &id, &id_mask, 1, NULL, 0));
    const struct rule *product = fixture->rules[fixture->n - 1];
    for (uint32_t i = 0; i < 1010; i++) {
        for (uint32_t k = 0; k < 1010; k += 101) {
            struct flow_key key = { .eth_type = be16(0x0800),
                                    .ip_src = be32(0x0a000000 + i),
                                    .ip_dst = be32(0x0b000000 + k) };
            const struct rule *found = rule_table_lookup(fixture->table, VERSION, &key, NULL);
            CHECK(found == (i < 1000 && k < 1000 ? product : NULL));
        }
    }
    struct rule_table_size size;
    rule_table_measure(fixture->table, &size);
    CHECK(size.n_rules == 2001 && size.n_subtables == 3);
    close_fixture(fixture);
    free(fixture);
    printf("ok - 1000 x 1000 addresses take 2001 rules\n");
}

int
main(int argc, char *argv[])
{
    test_random_tables(argc > 1 ? strtoull(argv[1], NULL, 0) : 7);
    test_product();
    return 0;
}
