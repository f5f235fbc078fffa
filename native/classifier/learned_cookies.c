#include "classifier/learned_cookies.h"

#include <errno.h>
#include <stdlib.h>

#include "classifier/hash.h"
#include "sluice/records.h"

#define BUCKETS_MIN 16u

struct learned_place {
    struct learned_place *next;        /* In its bucket. */
    struct learned_place *next_orphan; /* In the list of orphans. */
    uint64_t cookie;
    uint32_t n_rules;
    uint8_t table;
    bool is_orphan; /* In the list, even if it got rules again. */
};

static struct learned_place **
bucket_of(struct learned_place **buckets, uint32_t n_buckets, uint64_t cookie, uint8_t table)
{
    return &buckets[hash_finish(hash_word(table, cookie)) & (n_buckets - 1)];
}

static int
grow(struct learned_cookies *cookies)
{
    uint32_t n_buckets = cookies->n_buckets != 0 ? 2 * cookies->n_buckets : BUCKETS_MIN;
    struct learned_place **buckets = calloc(n_buckets, sizeof *buckets);

    if (buckets == NULL) {
        /* Longer chains until there is memory. */
        return cookies->buckets != NULL ? 0 : ENOMEM;
    }
    for (uint32_t i = 0; i < cookies->n_buckets; i++) {
        for (struct learned_place *place = cookies->buckets[i], *next; place != NULL; place = next) {
            struct learned_place **bucket = bucket_of(buckets, n_buckets, place->cookie, place->table);
            next = place->next;
            place->next = *bucket;
            *bucket = place;
        }
    }
    free(cookies->buckets);
    cookies->buckets = buckets;
    cookies->n_buckets = n_buckets;
    return 0;
}

static struct learned_place *
find(const struct learned_cookies *cookies, uint64_t cookie, uint8_t table)
{
    struct learned_place *place =
        cookies->buckets != NULL ? *bucket_of(cookies->buckets, cookies->n_buckets, cookie, table) : NULL;

    while (place != NULL && (place->cookie != cookie || place->table != table)) {
        place = place->next;
    }
    return place;
}

static struct learned_place *
find_or_make(struct learned_cookies *cookies, uint64_t cookie, uint8_t table)
{
    struct learned_place *place = find(cookies, cookie, table);

    if (place != NULL) {
        return place;
    }
    if (cookies->n_places >= cookies->n_buckets && grow(cookies) != 0) {
        return NULL;
    }
    place = calloc(1, sizeof *place);
    if (place == NULL) {
        return NULL;
    }
    struct learned_place **bucket = bucket_of(cookies->buckets, cookies->n_buckets, cookie, table);
    place->cookie = cookie;
    place->table = table;
    place->next = *bucket;
    *bucket = place;
    cookies->n_places++;
    cookies->n_empty++;
    return place;
}

static void
leave(struct learned_cookies *cookies, const struct sluice_action_learn *learn)
{
    struct learned_place *place = find(cookies, learn->cookie, learn->table);

    if (--place->n_rules == 0) {
        cookies->n_empty++;
        if (!place->is_orphan) {
            place->is_orphan = true;
            place->next_orphan = cookies->orphans;
            cookies->orphans = place;
        }
    }
}

void
learned_cookies_remove(struct learned_cookies *cookies, const struct action_list *actions)
{
    const struct sluice_action_learn *learn = NULL;

    while (actions->n_cookie_owners != 0 && (learn = action_list_next_owner(actions, learn)) != NULL) {
        leave(cookies, learn);
    }
}

int
learned_cookies_add(struct learned_cookies *cookies, const struct action_list *actions)
{
    const struct sluice_action_learn *learn = NULL;
    uint32_t n = 0;

    while (actions->n_cookie_owners != 0 && (learn = action_list_next_owner(actions, learn)) != NULL) {
        struct learned_place *place = find_or_make(cookies, learn->cookie, learn->table);
        if (place == NULL) {
            break;
        }
        cookies->n_empty -= place->n_rules++ == 0;
        n++;
    }
    if (n == actions->n_cookie_owners) {
        return 0;
    }
    for (learn = NULL; n > 0; n--) {
        learn = action_list_next_owner(actions, learn);
        leave(cookies, learn);
    }
    return ENOMEM;
}

bool
learned_cookies_take_orphan(struct learned_cookies *cookies, uint64_t *cookie, uint8_t *table)
{
    while (cookies->orphans != NULL) {
        struct learned_place *place = cookies->orphans;

        cookies->orphans = place->next_orphan;
        place->is_orphan = false;
        if (place->n_rules == 0) {
            *cookie = place->cookie;
            *table = place->table;
            return true;
        }
    }
    return false;
}

void
learned_cookies_forget_orphans(struct learned_cookies *cookies)
{
    uint64_t cookie;
    uint8_t table;

    while (learned_cookies_take_orphan(cookies, &cookie, &table)) {
        continue;
    }
}

void
learned_cookies_tidy(struct learned_cookies *cookies)
{
    learned_cookies_forget_orphans(cookies);
    for (uint32_t i = 0; cookies->n_empty != 0 && i < cookies->n_buckets; i++) {
        struct learned_place **link = &cookies->buckets[i];
        while (*link != NULL) {
            struct learned_place *place = *link;
            if (place->n_rules != 0) {
                link = &place->next;
                continue;
            }
            *link = place->next;
            free(place);
            cookies->n_places--;
            cookies->n_empty--;
        }
    }
}

void
learned_cookies_clear(struct learned_cookies *cookies)
{
    for (uint32_t i = 0; i < cookies->n_buckets; i++) {
        for (struct learned_place *place = cookies->buckets[i], *next; place != NULL; place = next) {
            next = place->next;
            free(place);
        }
    }
    free(cookies->buckets);
    *cookies = (struct learned_cookies){ .n_buckets = 0 };
}
