#include "port/dpdk.h"

#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "packet/packet.h"
#include "port/port.h"
#include "sluice/dpdk.h"

static const struct dpdk_driver *loaded;
static int started = -1; /* What starting came to; -1: not tried. */

/* The path of the driver: in the directory of the object that holds this function. */
static int
driver_path(char *path, size_t size)
{
    Dl_info info;

    if (dladdr((const void *) sluice_dpdk_start, &info) == 0 || info.dli_fname == NULL) {
        return ENOENT;
    }
    const char *slash = strrchr(info.dli_fname, '/');
    int directory = slash == NULL ? 0 : (int) (slash - info.dli_fname + 1);
    int length = snprintf(path, size, "%.*ssluice_dpdk.so", directory, info.dli_fname);
    return length < 0 || (size_t) length >= size ? ENAMETOOLONG : 0;
}

static int
load(void)
{
    char path[PATH_MAX];
    int error = driver_path(path, sizeof path);

    if (error != 0) {
        return error;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return ENOENT;
    }
    fclose(file);
    /* Never unloaded: DPDK has threads. */
    void *object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    const struct dpdk_driver *driver = object == NULL ? NULL : dlsym(object, DPDK_DRIVER_SYMBOL);
    if (driver == NULL || driver->port_size != sizeof(struct port) || driver->packet_size != sizeof(struct packet)) {
        return ELIBBAD;
    }
    loaded = driver;
    return 0;
}

int
sluice_dpdk_start(int argc, char **argv)
{
    if (started >= 0) {
        return started == 0 ? EALREADY : started;
    }
    int error = loaded == NULL ? load() : 0;
    if (error == 0) {
        started = error = loaded->start(argc, argv);
    }
    return error;
}

const char *
sluice_dpdk_version(void)
{
    return loaded == NULL ? "" : loaded->version();
}

size_t
sluice_dpdk_take_log(char *text, size_t size)
{
    return loaded == NULL ? 0 : loaded->take_log(text, size);
}

int
sluice_dpdk_ask(int n, const char *const *words, char **answer)
{
    size_t size;

    *answer = NULL;
    if (started != 0) {
        return ENOSYS;
    }
    FILE *stream = open_memstream(answer, &size);
    if (stream == NULL) {
        return errno;
    }
    int error = loaded->ask(n, words, stream);
    fclose(stream);
    return *answer == NULL ? ENOMEM : error;
}

const struct port_class *
dpdk_class(void)
{
    return started == 0 ? loaded->ports : NULL;
}
