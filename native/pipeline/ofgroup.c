#include "pipeline/ofgroup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "classifier/flow_store.h"
#include "pipeline/action_check.h"
#include "pipeline/action_set.h"
#include "pipeline/field.h"
#include "pipeline/pipeline_state.h"

#define GROUP_ID_MAX 0xffffff00u
#define GROUP_ALL 0xfffffffcu

/* Buckets of one group at most: what fits into a message, and into hash_map. */
#define BUCKETS_MAX 8192u

void
group_stats_ref(struct group_stats *stats)
{
    atomic_fetch_add_explicit(&stats->refs, 1, memory_order_relaxed);
}

void
group_stats_unref(struct group_stats *stats)
{
    if (stats != NULL && atomic_fetch_sub_explicit(&stats->refs, 1, memory_order_acq_rel) == 1) {
        free(stats);
    }
}

static void
count(struct group_counter *counter, uint64_t n_packets, uint64_t n_bytes)
{
    atomic_fetch_add_explicit(&counter->n_packets, n_packets, memory_order_relaxed);
    atomic_fetch_add_explicit(&counter->n_bytes, n_bytes, memory_order_relaxed);
}

void
group_stats_credit(struct group_stats *stats, uint32_t bucket, uint64_t n_packets, uint64_t n_bytes)
{
    count(&stats->total, n_packets, n_bytes);
    for (uint32_t i = 0; i < stats->n_buckets; i++) {
        if (bucket == i || bucket == UINT32_MAX) {
            count(&stats->buckets[i], n_packets, n_bytes);
        }
    }
}

static void
destroy(struct ofgroup *group)
{
    for (uint32_t i = 0; i < group->n_buckets; i++) {
        free(group->buckets[i].actions);
        free(group->buckets[i].ordered);
    }
    group_stats_unref(group->stats);
    free(group->fields);
    free(group->hash_map);
    free(group);
}

void
ofgroup_free(void *pipeline, struct versioned *group)
{
    (void) pipeline;
    destroy((struct ofgroup *) group);
}

const struct ofgroup *
ofgroup_find(const struct bridge *bridge, uint32_t id, uint64_t version)
{
    return (const struct ofgroup *) version_map_find(bridge->groups, id, version);
}

/* A bucket of a command or of a group, not owned. */
struct bucket_source {
    uint32_t id;
    uint16_t weight;
    uint32_t watch_port;
    uint32_t watch_group;
    const uint8_t *actions;
    uint32_t actions_size;
    uint64_t n_packets, n_bytes; /* A bucket that stays keeps what it has counted, though its group begins anew. */
};

/* Buckets that a group is to have, in order. */
struct bucket_list {
    uint32_t n;
    uint32_t capacity;
    struct bucket_source *elements;
};

static uint32_t
append(struct bucket_list *list, const struct bucket_source *source)
{
    if (list->n >= BUCKETS_MAX) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    if (list->n == list->capacity) {
        uint32_t capacity = list->capacity != 0 ? 2 * list->capacity : 16;
        struct bucket_source *elements = realloc(list->elements, capacity * sizeof *elements);
        if (elements == NULL) {
            return SLUICE_ERROR_NO_MEMORY;
        }
        list->elements = elements;
        list->capacity = capacity;
    }
    list->elements[list->n++] = *source;
    return 0;
}

static uint32_t
append_old(struct bucket_list *list, const struct ofgroup *old, uint32_t position)
{
    const struct ofbucket *bucket = &old->buckets[position];
    struct group_counter *counter = &old->stats->buckets[position];

    return append(list, &(struct bucket_source){
                            .id = bucket->id,
                            .weight = bucket->weight,
                            .watch_port = bucket->watch_port,
                            .watch_group = bucket->watch_group,
                            .actions = bucket->actions,
                            .actions_size = bucket->actions_size,
                            .n_packets = atomic_load_explicit(&counter->n_packets, memory_order_relaxed),
                            .n_bytes = atomic_load_explicit(&counter->n_bytes, memory_order_relaxed),
                        });
}

/* Checks the fields to hash. */
static uint32_t
check_fields(const struct sluice_group_mod *command)
{
    const struct sluice_selection_field *fields = (const struct sluice_selection_field *) (command + 1);

    for (uint32_t i = 0; i < command->n_fields; i++) {
        if (fields[i].field >= SLUICE_N_FIELDS || !field_is_plain(fields[i].field)
            || fields[i].value_size != field_spans[fields[i].field].value_size
            || fields[i].value_size > sizeof fields[i].mask) {
            return SLUICE_ERROR_BAD_ARGUMENT;
        }
    }
    return 0;
}

/* Takes the command's buckets apart into 'list'. */
static uint32_t
parse(const struct bridge *bridge, const struct sluice_group_mod *command, struct bucket_list *list)
{
    uint64_t at = sizeof *command + command->n_fields * sizeof(struct sluice_selection_field);

    if (command->n_fields > SLUICE_N_FIELDS || at > command->size) {
        return SLUICE_ERROR_INVALID_RECORD;
    }
    uint32_t error = check_fields(command);
    for (uint32_t i = 0; i < command->n_buckets && error == 0; i++) {
        const struct sluice_group_bucket *bucket = (const void *) ((const uint8_t *) command + at);
        if (command->size - at < sizeof *bucket || bucket->actions_size > command->size - at - sizeof *bucket) {
            return SLUICE_ERROR_INVALID_RECORD;
        }
        error = action_check(bucket + 1, bucket->actions_size, 255, bridge->n_tables);
        if (error == 0) {
            error = append(list, &(struct bucket_source){
                                     .id = bucket->bucket,
                                     .weight = (uint16_t) bucket->weight,
                                     .watch_port = port_normalize(bucket->watch_port),
                                     .watch_group = bucket->watch_group,
                                     .actions = (const uint8_t *) (bucket + 1),
                                     .actions_size = bucket->actions_size,
                                 });
        }
        at += sizeof *bucket + bucket->actions_size;
    }
    return error != 0 ? error : at == command->size ? 0 : SLUICE_ERROR_INVALID_RECORD;
}

static const struct ofbucket *
find_bucket(const struct ofgroup *group, uint32_t id)
{
    for (uint32_t i = 0; i < group->n_buckets; i++) {
        if (group->buckets[i].id == id) {
            return &group->buckets[i];
        }
    }
    return NULL;
}

/* The old group's buckets with those of 'added' first, last, or after bucket 'place'. */
static uint32_t
insert_buckets(const struct ofgroup *old, const struct bucket_list *added, uint32_t place, struct bucket_list *list)
{
    uint32_t error = 0;

    if (place <= BUCKET_ID_MAX && find_bucket(old, place) == NULL) {
        return SLUICE_ERROR_NO_SUCH_BUCKET;
    }
    for (uint32_t i = 0; i < added->n; i++) {
        if (find_bucket(old, added->elements[i].id) != NULL) {
            return SLUICE_ERROR_BUCKET_EXISTS;
        }
    }
    /* Position 0 is before the first, i + 1 after the i-th. */
    for (uint32_t i = 0; i <= old->n_buckets && error == 0; i++) {
        bool here = place == BUCKET_FIRST  ? i == 0
                    : place == BUCKET_LAST ? i == old->n_buckets
                                           : i != 0 && old->buckets[i - 1].id == place;
        for (uint32_t j = 0; here && j < added->n && error == 0; j++) {
            error = append(list, &added->elements[j]);
        }
        if (i < old->n_buckets && error == 0) {
            error = append_old(list, old, i);
        }
    }
    return error;
}

static uint32_t
remove_buckets(const struct ofgroup *old, uint32_t which, struct bucket_list *list)
{
    uint32_t error = 0;

    if (which == BUCKET_ALL) {
        return 0;
    }
    if (which <= BUCKET_ID_MAX && find_bucket(old, which) == NULL) {
        return SLUICE_ERROR_NO_SUCH_BUCKET;
    }
    for (uint32_t i = 0; i < old->n_buckets && error == 0; i++) {
        bool gone = which == BUCKET_FIRST  ? i == 0
                    : which == BUCKET_LAST ? i + 1 == old->n_buckets
                                           : old->buckets[i].id == which;
        error = gone ? 0 : append_old(list, old, i);
    }
    return error;
}

static bool
copy_bucket(struct ofbucket *bucket, const struct bucket_source *source)
{
    *bucket = (struct ofbucket){
        .id = source->id,
        .weight = source->weight,
        .watch_port = source->watch_port,
        .watch_group = source->watch_group,
        .actions_size = source->actions_size,
        .actions = malloc(source->actions_size + 1),
        .ordered = malloc(source->actions_size + 8),
    };
    if (bucket->actions == NULL || bucket->ordered == NULL) {
        return false;
    }
    if (source->actions_size != 0) {
        memcpy(bucket->actions, source->actions, source->actions_size);
    }
    bucket->ordered_size = action_set_order(bucket->actions, bucket->actions_size, bucket->ordered);
    return true;
}

/* The group of these buckets; what else it is it has from the command, or of 'old' for commands about buckets. */
static struct ofgroup *
create(const struct pipeline *pipeline, const struct sluice_group_mod *command, const struct ofgroup *old,
       const struct bucket_list *list)
{
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    bool keeps = command->command == SLUICE_GROUP_COMMAND_INSERT_BUCKET
                 || command->command == SLUICE_GROUP_COMMAND_REMOVE_BUCKET;
    struct ofgroup *group = calloc(1, sizeof *group + list->n * sizeof group->buckets[0]);

    if (group == NULL) {
        return NULL;
    }
    group->versioned.id = command->group;
    group->created_ms = old != NULL ? old->created_ms : hooks->now(hooks->aux);
    group->type = keeps ? old->type : command->group_type;
    group->given_method = keeps ? old->given_method : command->selection_method;
    group->param = keeps ? old->param : command->selection_param;
    group->n_fields = keeps ? old->n_fields : command->n_fields;
    group->fields = calloc(group->n_fields + 1, sizeof *group->fields);
    group->stats = calloc(1, sizeof *group->stats + list->n * sizeof group->stats->buckets[0]);
    bool complete = group->fields != NULL && group->stats != NULL;
    if (complete) {
        atomic_init(&group->stats->refs, 1);
        group->stats->n_buckets = list->n;
        memcpy(group->fields, keeps ? (const void *) old->fields : (const void *) (command + 1),
               group->n_fields * sizeof *group->fields);
    }
    for (uint32_t i = 0; i < list->n && complete; i++) {
        group->n_buckets++;
        complete = copy_bucket(&group->buckets[i], &list->elements[i]);
        count(&group->stats->buckets[i], list->elements[i].n_packets, list->elements[i].n_bytes);
    }
    if (!complete || ofgroup_set_method(group) != 0) {
        destroy(group);
        return NULL;
    }
    return group;
}

/* Puts a group of these buckets in the place of 'old' if that is not null. */
static uint32_t
put(struct pipeline *pipeline, struct version_map *groups, const struct sluice_group_mod *command,
    const struct ofgroup *old, const struct bucket_list *list)
{
    uint32_t mark = version_map_mark(groups);
    struct ofgroup *group = create(pipeline, command, old, list);

    if (group == NULL) {
        return SLUICE_ERROR_NO_MEMORY;
    }
    if ((old != NULL && version_map_remove(groups, command->group) != 0)
        || version_map_add(groups, &group->versioned) != 0) {
        version_map_undo(groups, mark);
        destroy(group);
        return SLUICE_ERROR_NO_MEMORY;
    }
    return 0;
}

static uint32_t
set(struct pipeline *pipeline, struct version_map *groups, const struct sluice_group_mod *command,
    const struct bucket_list *given)
{
    const struct ofgroup *old = (const struct ofgroup *) version_map_newest(groups, command->group);
    struct bucket_list list = { 0 };
    uint32_t error;

    if (command->command == SLUICE_GROUP_COMMAND_ADD && old != NULL) {
        return SLUICE_ERROR_EXISTS;
    }
    if (command->command != SLUICE_GROUP_COMMAND_ADD && command->command != SLUICE_GROUP_COMMAND_ADD_OR_MODIFY
        && old == NULL) {
        return SLUICE_ERROR_NO_SUCH_GROUP;
    }
    switch (command->command) {
    case SLUICE_GROUP_COMMAND_INSERT_BUCKET:
        error = insert_buckets(old, given, command->command_bucket, &list);
        break;
    case SLUICE_GROUP_COMMAND_REMOVE_BUCKET:
        error = remove_buckets(old, command->command_bucket, &list);
        break;
    default:
        return put(pipeline, groups, command, old, given);
    }
    error = error != 0 ? error : put(pipeline, groups, command, old, &list);
    free(list.elements);
    return error;
}

/* Removes a group with the rules that use it. */
static uint32_t
delete_one(struct pipeline *pipeline, struct version_map *groups, uint32_t bridge, uint32_t id)
{
    const struct pipeline_hooks *hooks = &pipeline->options.hooks;
    uint32_t error;
    struct flow_store *flows = transaction_flows(pipeline, bridge, &error);

    if (flows != NULL) {
        error = flow_store_delete_references(flows, ACTION_REFERENCE_GROUP, id, SLUICE_REMOVED_REASON_GROUP_DELETE,
                                             hooks->now(hooks->aux));
    }
    return error == 0 && version_map_remove(groups, id) != 0 ? SLUICE_ERROR_NO_MEMORY : error;
}

static uint32_t
delete_all(struct pipeline *pipeline, struct version_map *groups, uint32_t bridge)
{
    uint32_t error = 0;

    while (error == 0 && version_map_count(groups) != 0) {
        error = delete_one(pipeline, groups, bridge, version_map_at(groups, version_map_count(groups) - 1)->id);
    }
    return error;
}

uint32_t
ofgroup_mod(struct pipeline *pipeline, const struct sluice_group_mod *command)
{
    uint32_t error;
    struct version_map *groups = transaction_groups(pipeline, command->bridge, &error);
    struct bucket_list list = { 0 };

    if (groups == NULL) {
        return error;
    }
    if (command->command == SLUICE_GROUP_COMMAND_DELETE) {
        return command->group == GROUP_ALL ? delete_all(pipeline, groups, command->bridge)
               : version_map_newest(groups, command->group) != NULL
                   ? delete_one(pipeline, groups, command->bridge, command->group)
                   : 0;
    }
    if (command->group > GROUP_ID_MAX || command->group_type > SLUICE_GROUP_TYPE_FF
        || command->selection_method > SLUICE_SELECTION_METHOD_DP_HASH) {
        return SLUICE_ERROR_BAD_ARGUMENT;
    }
    error = parse(pipeline_view(pipeline, command->bridge)->bridge, command, &list);
    error = error != 0 ? error : set(pipeline, groups, command, &list);
    free(list.elements);
    return error;
}

uint32_t
ofgroup_flush(struct pipeline *pipeline, uint32_t bridge)
{
    uint32_t error;
    struct version_map *groups = transaction_groups(pipeline, bridge, &error);

    return groups != NULL ? delete_all(pipeline, groups, bridge) : error;
}

static void
touch_cell(void *bridge_, struct versioned *versioned)
{
    const struct bridge *bridge = bridge_;
    struct pipeline *pipeline = bridge->pipeline;
    uint64_t version = atomic_load_explicit(&pipeline->config, memory_order_relaxed)->version;

    pipeline_set_cell(pipeline, pipeline_cell(CELL_GROUP, bridge->id, versioned->id), version);
}

void
ofgroup_commit(struct bridge *bridge)
{
    version_map_commit(bridge->groups, touch_cell, touch_cell, bridge);
}

/* Writes the record of a group.  Returns its size, or 0 if it does not fit. */
static size_t
put_group(const struct bridge *bridge, const struct ofgroup *group, uint64_t now_ms, uint8_t *record, size_t room)
{
    size_t fields_size = group->n_fields * sizeof *group->fields;
    size_t size = sizeof(struct sluice_group_info) + fields_size;

    for (uint32_t i = 0; i < group->n_buckets; i++) {
        size += sizeof(struct sluice_group_bucket_info) + group->buckets[i].actions_size;
    }
    if (size > room) {
        return 0;
    }
    const struct sluice_group_info info = {
        .type = SLUICE_QUERY_GROUP_DUMP,
        .size = (uint32_t) size,
        .bridge = bridge->id,
        .group = group->versioned.id,
        .group_type = group->type,
        .selection_method = group->given_method,
        .used_method = group->method,
        .n_hash_values = group->hash_map != NULL ? group->hash_mask + 1 : 0,
        .selection_param = group->param,
        .n_fields = group->n_fields,
        .n_buckets = group->n_buckets,
        .n_flows = (uint32_t) flow_store_count_references(bridge->flows, ACTION_REFERENCE_GROUP, group->versioned.id),
        .n_packets = atomic_load_explicit(&group->stats->total.n_packets, memory_order_relaxed),
        .n_bytes = atomic_load_explicit(&group->stats->total.n_bytes, memory_order_relaxed),
        .created_ms = group->created_ms,
        .now_ms = now_ms,
    };
    memcpy(record, &info, sizeof info);
    memcpy(record + sizeof info, group->fields, fields_size);
    uint8_t *at = record + sizeof info + fields_size;
    for (uint32_t i = 0; i < group->n_buckets; i++) {
        const struct ofbucket *bucket = &group->buckets[i];
        const struct sluice_group_bucket_info bucket_info = {
            .bucket = bucket->id,
            .weight = bucket->weight,
            .watch_port = bucket->watch_port,
            .watch_group = bucket->watch_group,
            .actions_size = bucket->actions_size,
            .n_hash_values = bucket->n_hash_values,
            .n_packets = atomic_load_explicit(&group->stats->buckets[i].n_packets, memory_order_relaxed),
            .n_bytes = atomic_load_explicit(&group->stats->buckets[i].n_bytes, memory_order_relaxed),
        };
        memcpy(at, &bucket_info, sizeof bucket_info);
        memcpy(at + sizeof bucket_info, bucket->actions, bucket->actions_size);
        at += sizeof bucket_info + bucket->actions_size;
    }
    return size;
}

int
ofgroup_dump(const struct pipeline *pipeline, const struct sluice_object_query *query, uint64_t now_ms, uint8_t *reply,
             size_t room, size_t *used)
{
    const struct bridge_view *view = pipeline_view(pipeline, query->bridge);
    struct sluice_dump_reply head = { 0, 0, 0 };
    size_t at = sizeof head;
    bool all = query->id == UINT32_MAX;

    if (view == NULL) {
        return ENOENT;
    }
    if (room < at || query->cursor > UINT32_MAX) {
        return ENOSPC;
    }
    /* A cursor is the number to go on from, and one more, since there may be a group 0. */
    const struct version_map *groups = view->bridge->groups;
    uint32_t first = query->cursor != 0 ? (uint32_t) (query->cursor - 1) : 0;
    for (uint32_t i = version_map_position(groups, all ? first : query->id); i < version_map_count(groups); i++) {
        const struct ofgroup *group = (const struct ofgroup *) version_map_at(groups, i);
        if (!all && group->versioned.id != query->id) {
            break;
        }
        size_t size = put_group(view->bridge, group, now_ms, reply + at, room - at);
        if (size == 0) {
            head.cursor = (uint64_t) group->versioned.id + 1;
            break;
        }
        at += size;
        head.n_records++;
    }
    if (head.cursor != 0 && head.n_records == 0) {
        return ENOSPC;
    }
    memcpy(reply, &head, sizeof head);
    *used = at;
    return 0;
}
