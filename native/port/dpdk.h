/* DPDK: in a shared object of its own, sluice_dpdk.so, which lies beside the addon where libdpdk was there when it was
 * built.  It is loaded when DPDK is first wanted, so that a host without DPDK needs nothing of it.
 *
 * sluice/dpdk.h has what starts it.  All functions but the port class' are the control thread's. */
#ifndef PORT_DPDK_H
#define PORT_DPDK_H 1

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct port_class;

/* What the shared object exports under the name DPDK_DRIVER_SYMBOL. */
struct dpdk_driver {
    /* Sizes of the structures that both sides use: a shared object of another build is refused. */
    uint32_t port_size;
    uint32_t packet_size;
    const struct port_class *ports;
    const char *(*version)(void); /* As "DPDK 22.11.11". */

    /* Starts DPDK's environment with 'argv', whose first entry is a program name.  The calling thread's affinity and
     * the process' signal handlers stay what they were.  0 or a positive errno value; it cannot be tried again. */
    int (*start)(int argc, char **argv);

    /* Moves what DPDK logged into 'text', at most 'size' bytes, and returns how many.  What comes while nobody takes
     * any is lost beyond 64 KiB; how much of it is told. */
    size_t (*take_log)(char *text, size_t size);

    /* Answers a question of 'n' words by text: sluice/dpdk.h lists them. */
    int (*ask)(int n, const char *const *words, FILE *answer);
};

#define DPDK_DRIVER_SYMBOL "sluice_dpdk_driver"

/* The class of DPDK's ports, or null as long as DPDK has not been started. */
const struct port_class *dpdk_class(void);

#endif
