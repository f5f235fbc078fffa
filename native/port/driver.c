/* What every driver uses, also one in a shared object of its own: it depends on nothing else of the datapath. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "port/port.h"

_Bool
port_config_check(const char *config, size_t config_size)
{
    size_t at = 0;

    if (config_size != 0 && config[config_size - 1] != '\0') {
        return 0;
    }
    while (at < config_size) {
        const char *equals = strchr(config + at, '=');
        if (equals == NULL || equals == config + at) {
            return 0;
        }
        at += strlen(config + at) + 1;
    }
    return 1;
}

const char *
port_config_get(const char *config, size_t config_size, const char *key)
{
    size_t length = strlen(key);

    for (size_t at = 0; at < config_size; at += strlen(config + at) + 1) {
        if (strncmp(config + at, key, length) == 0 && config[at + length] == '=') {
            return config + at + length + 1;
        }
    }
    return NULL;
}

_Bool
port_config_number(const char *config, size_t config_size, const char *key, uint64_t min, uint64_t max,
                   uint64_t fallback, uint64_t *value)
{
    const char *text = port_config_get(config, config_size, key);
    char *end;

    *value = fallback;
    if (text == NULL) {
        return 1;
    }
    errno = 0;
    *value = strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0' && text[0] != '-' && *value >= min && *value <= max;
}

void
port_count_drop(struct port_queue *queue, uint32_t reason, uint64_t n)
{
    _Atomic uint64_t *counter = &queue->n_dropped[reason & 15];

    /* One writer at a time, so this need not be one atomic step. */
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
