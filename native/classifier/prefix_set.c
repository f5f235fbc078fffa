#include "classifier/prefix_set.h"

#include <stdlib.h>
#include <string.h>

/* A prefix is one word if values have 32 bits, else three: the value, and in the last word's lower half the length and
 * the number of rules. */
#define WORDS_MAX 3
#define COUNT_BITS 24
#define COUNT_MASK ((UINT64_C(1) << COUNT_BITS) - 1)

#define PAGE_PREFIXES_MIN 4u
#define PAGE_PREFIXES_MAX 512u

/* Times that a reader tries to read a page that the writer is at. */
#define TRIES_MAX 4

struct prefix_page {
    _Atomic uint32_t sequence; /* Odd while the writer changes the page. */
    _Atomic uint32_t n;
    uint32_t capacity;
    uint32_t pad;
    _Atomic uint64_t words[];
};

/* Pages in order.  Prefixes from 'low' on are in the page, up to the next page's; those below the first page's too are
 * in the first.  Immutable. */
struct prefix_directory {
    uint32_t n;
    struct prefix_place {
        uint64_t low[WORDS_MAX];
        struct prefix_page *page;
    } places[];
};

struct prefix {
    uint64_t words[WORDS_MAX];
};

static uint32_t
words_of(const struct prefix_set *set)
{
    return set->n_bits <= 32 ? 1 : WORDS_MAX;
}

void
prefix_set_init(struct prefix_set *set, uint32_t n_bits)
{
    *set = (struct prefix_set){ .n_bits = (uint8_t) n_bits };
}

/* The prefix of 'length' bits of a value, with count 0. */
static struct prefix
prefix_of(const struct prefix_set *set, const uint32_t *value, uint32_t length)
{
    uint32_t cut[PREFIX_VALUE_WORDS] = { 0 };

    for (uint32_t i = 0; 32 * i < length; i++) {
        uint32_t n_left = length - 32 * i;
        cut[i] = n_left >= 32 ? value[i] : value[i] & ~(UINT32_MAX >> n_left);
    }
    if (words_of(set) == 1) {
        return (struct prefix){ { (uint64_t) cut[0] << 32 | length << COUNT_BITS } };
    }
    return (struct prefix){ { (uint64_t) cut[0] << 32 | cut[1], (uint64_t) cut[2] << 32 | cut[3],
                              (uint64_t) length << COUNT_BITS } };
}

static uint32_t
prefix_length(const struct prefix *prefix, uint32_t n_words)
{
    return (uint32_t) prefix->words[n_words - 1] >> COUNT_BITS;
}

static int
compare_words(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int
compare(const struct prefix *a, const struct prefix *b, uint32_t n_words)
{
    for (uint32_t i = 0; i + 1 < n_words; i++) {
        if (a->words[i] != b->words[i]) {
            return compare_words(a->words[i], b->words[i]);
        }
    }
    return compare_words(a->words[n_words - 1] & ~COUNT_MASK, b->words[n_words - 1] & ~COUNT_MASK);
}

static struct prefix
page_load(const struct prefix_page *page, uint32_t n_words, uint32_t i)
{
    struct prefix prefix;

    for (uint32_t k = 0; k < n_words; k++) {
        prefix.words[k] = atomic_load_explicit(&page->words[i * n_words + k], memory_order_relaxed);
    }
    return prefix;
}

static void
page_store(struct prefix_page *page, uint32_t n_words, uint32_t i, const struct prefix *prefix)
{
    for (uint32_t k = 0; k < n_words; k++) {
        atomic_store_explicit(&page->words[i * n_words + k], prefix->words[k], memory_order_relaxed);
    }
}

static uint32_t
page_n(const struct prefix_page *page)
{
    uint32_t n = atomic_load_explicit(&page->n, memory_order_relaxed);

    return n <= page->capacity ? n : page->capacity;
}

/* The number of prefixes in the page that are not greater than 'key'. */
static uint32_t
page_position(const struct prefix_page *page, uint32_t n_words, const struct prefix *key)
{
    uint32_t low = 0, high = page_n(page);

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        struct prefix prefix = page_load(page, n_words, middle);
        if (compare(&prefix, key, n_words) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* The place of the page that 'key' belongs to; the directory has some. */
static uint32_t
directory_position(const struct prefix_directory *directory, uint32_t n_words, const struct prefix *key)
{
    uint32_t low = 1, high = directory->n;

    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (compare((const struct prefix *) (const void *) directory->places[middle].low, key, n_words) <= 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low - 1;
}

/* What a reader learns from a page. */
struct neighbours {
    struct prefix below, above; /* The greatest that is not above the key, and the least that is. */
    bool has_below, has_above;
};

/* Reads a page as it was at one moment.  False if the writer is at it. */
static bool
read_page(const struct prefix_page *page, uint32_t n_words, const struct prefix *key, struct neighbours *result)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        uint32_t sequence = atomic_load_explicit(&page->sequence, memory_order_acquire);
        if (sequence & 1) {
            continue;
        }
        uint32_t i = page_position(page, n_words, key);
        result->has_below = i > 0;
        result->has_above = i < page_n(page);
        if (i > 0) {
            result->below = page_load(page, n_words, i - 1);
        }
        if (result->has_above) {
            result->above = page_load(page, n_words, i);
        }
        atomic_thread_fence(memory_order_acquire);
        if (atomic_load_explicit(&page->sequence, memory_order_relaxed) == sequence) {
            return true;
        }
    }
    return false;
}

/* Finds the neighbours of 'key', in other pages if need be.  False if nothing can be said. */
static bool
find_neighbours(const struct prefix_directory *directory, uint32_t n_words, const struct prefix *key,
                struct neighbours *found)
{
    uint32_t i = directory_position(directory, n_words, key);
    struct neighbours other;

    if (!read_page(directory->places[i].page, n_words, key, found)) {
        return false;
    }
    for (uint32_t k = i; !found->has_below && k-- > 0;) {
        if (!read_page(directory->places[k].page, n_words, key, &other)) {
            return false;
        }
        found->has_below = other.has_below;
        found->below = other.below;
    }
    for (uint32_t k = i + 1; !found->has_above && k < directory->n; k++) {
        if (!read_page(directory->places[k].page, n_words, key, &other)) {
            return false;
        }
        found->has_above = other.has_above;
        found->above = other.above;
    }
    return true;
}

/* The number of first bits in which a value and a prefix's value are equal. */
static uint32_t
common_bits(const struct prefix *a, const struct prefix *b, uint32_t n_words)
{
    if (n_words == 1) {
        uint64_t differing = (a->words[0] ^ b->words[0]) >> 32;
        return differing != 0 ? (uint32_t) __builtin_clzll(differing) - 32 : 32;
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (a->words[i] != b->words[i]) {
            return 64 * i + (uint32_t) __builtin_clzll(a->words[i] ^ b->words[i]);
        }
    }
    return 128;
}

/* Takes a neighbour into account: '*n_common' is how many bits the value has in common with a prefix at most, and
 * '*longer' whether some prefix that has so many goes on after them. */
static void
consider(const struct prefix *value, const struct prefix *prefix, uint32_t n_words, uint32_t *n_common, bool *longer)
{
    uint32_t length = prefix_length(prefix, n_words);
    uint32_t n = common_bits(value, prefix, n_words);

    n = n < length ? n : length;
    if (n > *n_common) {
        *n_common = n;
        *longer = length > n;
    } else if (n == *n_common) {
        *longer |= length > n;
    }
}

bool
prefix_set_excludes(const struct prefix_set *set, const uint32_t *value, uint32_t length, uint32_t *n_bits)
{
    const struct prefix_directory *directory = atomic_load_explicit(&set->directory, memory_order_acquire);
    uint32_t n_words = words_of(set);
    struct neighbours found;

    *n_bits = 0;
    if (atomic_load_explicit(&set->broken, memory_order_relaxed)) {
        return false;
    }
    if (directory == NULL) {
        return true;
    }
    struct prefix exact = prefix_of(set, value, length), whole = prefix_of(set, value, set->n_bits);
    if (!find_neighbours(directory, n_words, &exact, &found)
        || (found.has_below && compare(&found.below, &exact, n_words) == 0)
        || !find_neighbours(directory, n_words, &whole, &found)) {
        return false;
    }
    uint32_t n_common = 0;
    bool longer = false;
    if (found.has_below) {
        consider(&whole, &found.below, n_words, &n_common, &longer);
    }
    if (found.has_above) {
        consider(&whole, &found.above, n_words, &n_common, &longer);
    }
    *n_bits = n_common + longer;
    return true;
}

/* The writer. */

static struct prefix_page *
create_page(uint32_t capacity, uint32_t n_words)
{
    struct prefix_page *page = calloc(1, sizeof *page + (size_t) capacity * n_words * sizeof page->words[0]);

    if (page != NULL) {
        page->capacity = capacity;
    }
    return page;
}

static void
copy_prefixes(struct prefix_page *to, const struct prefix_page *from, uint32_t n_words, uint32_t begin, uint32_t end)
{
    for (uint32_t i = begin; i < end; i++) {
        struct prefix prefix = page_load(from, n_words, i);
        page_store(to, n_words, i - begin, &prefix);
    }
    atomic_store_explicit(&to->n, end - begin, memory_order_relaxed);
}

/* Readers see the page as odd before any of the changes, and as even again after all of them. */
static void
begin_change(struct prefix_page *page)
{
    uint32_t sequence = atomic_load_explicit(&page->sequence, memory_order_relaxed);

    atomic_store_explicit(&page->sequence, sequence + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release);
}

static void
end_change(struct prefix_page *page)
{
    uint32_t sequence = atomic_load_explicit(&page->sequence, memory_order_relaxed);

    atomic_store_explicit(&page->sequence, sequence + 1, memory_order_release);
}

static void
move_word(struct prefix_page *page, uint32_t from, uint32_t to)
{
    uint64_t word = atomic_load_explicit(&page->words[from], memory_order_relaxed);

    atomic_store_explicit(&page->words[to], word, memory_order_relaxed);
}

static void
insert_into_page(struct prefix_page *page, uint32_t n_words, uint32_t position, const struct prefix *prefix)
{
    uint32_t n = page_n(page);

    begin_change(page);
    for (uint32_t i = n * n_words; i-- > position * n_words;) {
        move_word(page, i, i + n_words);
    }
    page_store(page, n_words, position, prefix);
    atomic_store_explicit(&page->n, n + 1, memory_order_relaxed);
    end_change(page);
}

static void
remove_from_page(struct prefix_page *page, uint32_t n_words, uint32_t position)
{
    uint32_t n = page_n(page);

    begin_change(page);
    for (uint32_t i = (position + 1) * n_words; i < n * n_words; i++) {
        move_word(page, i, i - n_words);
    }
    atomic_store_explicit(&page->n, n - 1, memory_order_relaxed);
    end_change(page);
}

static void
publish(struct prefix_set *set, struct limbo *limbo, struct prefix_directory *directory)
{
    struct prefix_directory *old = atomic_load_explicit(&set->directory, memory_order_relaxed);

    atomic_store_explicit(&set->directory, directory, memory_order_release);
    if (old != NULL) {
        limbo_put(limbo, free, old);
    }
}

/* A directory like 'old' with the pages given in the place of the i-th, whose range they divide. */
static struct prefix_directory *
replace_page(const struct prefix_directory *old, uint32_t i, struct prefix_page *const pages[], uint32_t n_pages,
             uint32_t n_words)
{
    struct prefix_directory *directory = malloc(sizeof *directory + (old->n + n_pages) * sizeof directory->places[0]);

    if (directory == NULL) {
        return NULL;
    }
    directory->n = old->n - 1 + n_pages;
    memcpy(directory->places, old->places, i * sizeof old->places[0]);
    memcpy(&directory->places[i + n_pages], &old->places[i + 1], (old->n - i - 1) * sizeof old->places[0]);
    for (uint32_t k = 0; k < n_pages; k++) {
        struct prefix_place *place = &directory->places[i + k];
        struct prefix low = page_load(pages[k], n_words, 0);
        low.words[n_words - 1] &= ~COUNT_MASK;
        memcpy(place->low, k == 0 ? old->places[i].low : low.words, sizeof place->low);
        place->page = pages[k];
    }
    return directory;
}

/* Makes room in the i-th page, which is full, for a prefix at 'position' and puts it in.  A page that has not its
 * greatest size grows; else it is divided in halves, or, when prefixes come in ascending order, left full. */
static bool
insert_with_more_room(struct prefix_set *set, struct limbo *limbo, uint32_t i, uint32_t position,
                      const struct prefix *prefix)
{
    const struct prefix_directory *old = atomic_load_explicit(&set->directory, memory_order_relaxed);
    struct prefix_page *page = old->places[i].page, *pages[2] = { NULL, NULL };
    uint32_t n_words = words_of(set), n = page_n(page);
    bool grow = page->capacity < PAGE_PREFIXES_MAX;
    uint32_t first = grow ? n : position == n ? n : n / 2;

    pages[0] = create_page(grow && old->n == 1 ? 2 * page->capacity : PAGE_PREFIXES_MAX, n_words);
    pages[1] = grow ? NULL : create_page(PAGE_PREFIXES_MAX, n_words);
    if (pages[0] == NULL || (!grow && pages[1] == NULL)) {
        free(pages[0]);
        free(pages[1]);
        return false;
    }
    copy_prefixes(pages[0], page, n_words, 0, first);
    if (pages[1] != NULL) {
        copy_prefixes(pages[1], page, n_words, first, n);
    }
    if (pages[1] != NULL && position >= first) {
        insert_into_page(pages[1], n_words, position - first, prefix);
    } else {
        insert_into_page(pages[0], n_words, position, prefix);
    }
    struct prefix_directory *directory = replace_page(old, i, pages, grow ? 1 : 2, n_words);
    if (directory == NULL) {
        free(pages[0]);
        free(pages[1]);
        return false;
    }
    publish(set, limbo, directory);
    limbo_put(limbo, free, page);
    return true;
}

static bool
insert_first(struct prefix_set *set, struct limbo *limbo, const struct prefix *prefix)
{
    struct prefix_directory *directory = calloc(1, sizeof *directory + sizeof directory->places[0]);
    struct prefix_page *page = create_page(PAGE_PREFIXES_MIN, words_of(set));

    if (directory == NULL || page == NULL) {
        free(directory);
        free(page);
        return false;
    }
    insert_into_page(page, words_of(set), 0, prefix);
    directory->n = 1;
    directory->places[0].page = page;
    publish(set, limbo, directory);
    return true;
}

/* The last word of a prefix that is in the page at 'position' - 1, or null if that one is another. */
static _Atomic uint64_t *
find_count(struct prefix_page *page, uint32_t n_words, uint32_t position, const struct prefix *key)
{
    if (position == 0) {
        return NULL;
    }
    struct prefix prefix = page_load(page, n_words, position - 1);
    return compare(&prefix, key, n_words) == 0 ? &page->words[position * n_words - 1] : NULL;
}

void
prefix_set_insert(struct prefix_set *set, struct limbo *limbo, const uint32_t *value, uint32_t length)
{
    const struct prefix_directory *directory = atomic_load_explicit(&set->directory, memory_order_relaxed);
    struct prefix prefix = prefix_of(set, value, length);
    uint32_t n_words = words_of(set);
    bool done = true;

    prefix.words[n_words - 1]++;
    if (atomic_load_explicit(&set->broken, memory_order_relaxed)) {
        return;
    }
    if (directory == NULL) {
        done = insert_first(set, limbo, &prefix);
    } else {
        uint32_t i = directory_position(directory, n_words, &prefix);
        struct prefix_page *page = directory->places[i].page;
        uint32_t position = page_position(page, n_words, &prefix);
        _Atomic uint64_t *count = find_count(page, n_words, position, &prefix);
        uint64_t word = count != NULL ? atomic_load_explicit(count, memory_order_relaxed) : 0;
        if (count != NULL) {
            done = (word & COUNT_MASK) != COUNT_MASK;
            atomic_store_explicit(count, word + done, memory_order_relaxed);
        } else if (page_n(page) < page->capacity) {
            insert_into_page(page, n_words, position, &prefix);
        } else {
            done = insert_with_more_room(set, limbo, i, position, &prefix);
        }
    }
    if (!done) {
        atomic_store(&set->broken, true);
    }
}

/* Lets go of an empty page.  When there is no memory for that it stays. */
static void
drop_page(struct prefix_set *set, struct limbo *limbo, uint32_t i)
{
    const struct prefix_directory *old = atomic_load_explicit(&set->directory, memory_order_relaxed);
    struct prefix_page *page = old->places[i].page;
    struct prefix_directory *directory = old->n > 1 ? replace_page(old, i, NULL, 0, words_of(set)) : NULL;

    if (directory != NULL || old->n == 1) {
        publish(set, limbo, directory);
        limbo_put(limbo, free, page);
    }
}

void
prefix_set_remove(struct prefix_set *set, struct limbo *limbo, const uint32_t *value, uint32_t length)
{
    const struct prefix_directory *directory = atomic_load_explicit(&set->directory, memory_order_relaxed);
    struct prefix prefix = prefix_of(set, value, length);
    uint32_t n_words = words_of(set);

    if (directory == NULL || atomic_load_explicit(&set->broken, memory_order_relaxed)) {
        return;
    }
    uint32_t i = directory_position(directory, n_words, &prefix);
    struct prefix_page *page = directory->places[i].page;
    uint32_t position = page_position(page, n_words, &prefix);
    _Atomic uint64_t *count = find_count(page, n_words, position, &prefix);
    if (count == NULL) {
        return;
    }
    uint64_t word = atomic_load_explicit(count, memory_order_relaxed);
    if ((word & COUNT_MASK) > 1) {
        atomic_store_explicit(count, word - 1, memory_order_relaxed);
        return;
    }
    remove_from_page(page, n_words, position - 1);
    if (page_n(page) == 0) {
        drop_page(set, limbo, i);
    }
}

void
prefix_set_empty(struct prefix_set *set, struct limbo *limbo)
{
    struct prefix_directory *directory = atomic_load_explicit(&set->directory, memory_order_relaxed);

    for (uint32_t i = 0; directory != NULL && i < directory->n; i++) {
        limbo_put(limbo, free, directory->places[i].page);
    }
    publish(set, limbo, NULL);
}

void
prefix_set_clear(struct prefix_set *set)
{
    struct prefix_directory *directory = atomic_load_explicit(&set->directory, memory_order_relaxed);

    for (uint32_t i = 0; directory != NULL && i < directory->n; i++) {
        free(directory->places[i].page);
    }
    free(directory);
    atomic_store_explicit(&set->directory, NULL, memory_order_relaxed);
}

uint64_t
prefix_set_size(const struct prefix_set *set)
{
    const struct prefix_directory *directory = atomic_load_explicit(&set->directory, memory_order_relaxed);
    uint64_t size = 0;

    for (uint32_t i = 0; directory != NULL && i < directory->n; i++) {
        const struct prefix_page *page = directory->places[i].page;
        size += sizeof *page + page->capacity * words_of(set) * sizeof page->words[0] + sizeof directory->places[0];
    }
    return size;
}
