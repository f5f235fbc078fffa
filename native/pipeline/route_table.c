#include "pipeline/route_table.h"

#include <stdlib.h>
#include <string.h>

struct route_table *
route_table_create(const struct sluice_tunnel_routes *command)
{
    size_t size = command->size - sizeof *command;
    struct route_table *table = calloc(1, sizeof *table + size);
    if (!table) {
        return NULL;
    }
    memcpy(table + 1, command + 1, size);
    table->port_min = command->port_min;
    table->port_max = command->port_max;
    table->n_routes = command->n_routes;
    table->n_addresses = command->n_addresses;
    table->routes = (const void *) (table + 1);
    table->addresses = (const void *) (table->routes + table->n_routes);
    for (uint32_t i = 0; i < table->n_addresses; i++) {
        table->is_routed |= table->addresses[i].is_routed != 0;
    }
    return table;
}

/* Whether the first 'n' bits are the same. */
static bool
has_prefix(const uint8_t a[16], const uint8_t b[16], uint32_t n)
{
    uint32_t bytes = n / 8 < 16 ? n / 8 : 16;
    if (memcmp(a, b, bytes)) {
        return false;
    }
    return bytes == 16 || !((a[bytes] ^ b[bytes]) & (0xff00 >> n % 8) & 0xff);
}

static const struct sluice_tunnel_route *
find(const struct route_table *table, uint32_t mark, const uint8_t address[16])
{
    for (uint32_t i = 0; i < table->n_routes; i++) {
        const struct sluice_tunnel_route *route = &table->routes[i];
        if (route->mark == mark && has_prefix(address, route->prefix, route->prefix_len)) {
            return route;
        }
    }
    return NULL;
}

const struct sluice_tunnel_route *
route_table_lookup(const struct route_table *table, uint32_t mark, const uint8_t address[16], const uint8_t source[16])
{
    static const uint8_t none[16];
    if (memcmp(source, none, sizeof none)) {
        const struct sluice_tunnel_route *own = find(table, mark, source);
        if (!own || !own->is_local) {
            return NULL;
        }
    }
    return find(table, mark, address);
}

const struct sluice_tunnel_address *
route_table_source(const struct route_table *table, uint32_t bridge, uint32_t ofp_port, const uint8_t address[16])
{
    const struct sluice_tunnel_address *best = NULL;
    for (uint32_t i = 0; i < table->n_addresses; i++) {
        const struct sluice_tunnel_address *own = &table->addresses[i];
        if (own->bridge == bridge && own->ofp_port == ofp_port && has_prefix(address, own->address, own->prefix_len)
            && (!best || own->prefix_len > best->prefix_len)) {
            best = own;
        }
    }
    return best;
}
