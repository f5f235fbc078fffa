/* How tunnels' packets reach the other ends: routes and local addresses, as the control plane told them.
 *
 * A table is immutable; a new one replaces it as a whole, and the epoch frees the old one. */
#ifndef SLUICE_PIPELINE_ROUTE_TABLE_H
#define SLUICE_PIPELINE_ROUTE_TABLE_H 1

#include <stdbool.h>
#include <stdint.h>

#include "sluice/records.h"

struct route_table {
    uint16_t port_min; /* Range of UDP source ports. */
    uint16_t port_max;
    bool is_routed; /* Some address is one that tunnels listen on. */
    uint32_t n_routes;
    uint32_t n_addresses;
    const struct sluice_tunnel_route *routes; /* Behind the struct, and the addresses behind them. */
    const struct sluice_tunnel_address *addresses;
};

/* The table of a command, whose size was checked.  Null when out of memory.  free() ends it. */
struct route_table *route_table_create(const struct sluice_tunnel_routes *command);

/* The route to 'address' for packets of 'mark', or null.  With a 'source' that is not all zero, only if that is an
 * address of the host. */
const struct sluice_tunnel_route *route_table_lookup(const struct route_table *table, uint32_t mark,
                                                     const uint8_t address[16], const uint8_t source[16]);

/* The local address of the port that is on the network of 'address', or null. */
const struct sluice_tunnel_address *route_table_source(const struct route_table *table, uint32_t bridge,
                                                       uint32_t ofp_port, const uint8_t address[16]);

#endif
