/* DPDK's environment in a process that is not its own.  All functions are the control thread's, but
 * environment_join(). */
#ifndef DPDK_ENVIRONMENT_H
#define DPDK_ENVIRONMENT_H 1

#include <stddef.h>

int environment_start(int argc, char **argv);
size_t environment_take_log(char *text, size_t size);

/* Makes the calling thread known to DPDK, once for each thread: buffer pools have a cache for each thread that they
 * know.  The thread is forgotten when it ends. */
void environment_join(void);

#endif
