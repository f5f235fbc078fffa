/* Inside of DPDK's driver: the devices that are ports now.  The control thread's. */
#ifndef DPDK_DEVICE_H
#define DPDK_DEVICE_H 1

#include <stdint.h>

#include "port/port.h"

struct rte_mempool;

struct dpdk_port {
    struct port port;
    uint16_t id;
    _Bool is_attached; /* We attached it, so we detach it. */
    _Bool is_vhost;
    uint16_t n_rx_descriptors;
    uint16_t n_tx_descriptors;
    _Bool wants_interrupt;           /* Of a change of the link. */
    uint32_t max_packet_size;        /* Of a frame, with its check sequence. */
    _Atomic uint32_t tx_retries_max; /* Of a vhost device. */
    _Atomic uint64_t n_tx_retries;
    _Atomic uint64_t n_failed; /* Frames that the device did not take. */
    struct rte_mempool *pool;
};

/* The port of a device, or null. */
struct dpdk_port *device_port(uint16_t id);

/* The port of a name, or null. */
struct dpdk_port *device_find(const char *name);

/* The Ethernet device that 'devargs' names, or RTE_MAX_ETHPORTS. */
uint16_t device_id(const char *devargs);

#endif
