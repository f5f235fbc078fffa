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

#ifdef __cplusplus
}
#endif

#endif
