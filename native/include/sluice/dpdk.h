/* DPDK in this process.  All functions are the control thread's. */
#ifndef SLUICE_DPDK_H
#define SLUICE_DPDK_H 1

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Loads DPDK's driver, sluice_dpdk.so beside the addon, and starts DPDK's environment with 'argv', whose first entry is a
 * program name and which must stay as long as the process.  Once in a process: 0, ENOENT (there is no driver), ELIBBAD (it
 * is not of this build, or its libraries are not there), EALREADY, or what DPDK said, for good. */
int sluice_dpdk_start(int argc, char **argv);

/* As "DPDK 22.11.11"; "" as long as there is no driver. */
const char *sluice_dpdk_version(void);

/* Moves what DPDK has logged into 'text', at most 'size' bytes, and returns how many. */
size_t sluice_dpdk_take_log(char *text, size_t size);

/* Answers a question of 'n' words by text in '*answer', which the caller frees; null only on ENOSYS (DPDK does not run) and
 * ENOMEM.  Names are those of ports.  What a name of no port, or a device of another kind, comes to is ENOENT; EINVAL is an
 * unknown question; what else DPDK says.
 *
 *   log-list, lcore-list, malloc-stats, mempools     DPDK's own listings
 *   log-set [PATTERN:]LEVEL                          sets log levels; a text comes with an error
 *   mempool NAME                                     the buffers of a port
 *   status NAME, statistics NAME                     lines "key=value" of Interface.status and .statistics
 *   flow-control NAME RX TX AUTONEG                  each 0 or 1; ENOTSUP: the device has none
 *   user DEVICE                                      the name of the port that has a device
 *   detach DEVICE                                    gives up a device that no port uses; a text comes, whatever becomes of it */
int sluice_dpdk_ask(int n, const char *const *words, char **answer);

#ifdef __cplusplus
}
#endif

#endif
