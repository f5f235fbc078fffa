#include "dpdk/ask.h"

#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_version.h>
#include <rte_vhost.h>

#include "dpdk/device.h"

typedef int answer_func(const char *const *words, FILE *answer);

static int
log_list(const char *const *words, FILE *answer)
{
    (void) words;
    rte_log_dump(answer);
    return 0;
}

static int
lcore_list(const char *const *words, FILE *answer)
{
    (void) words;
    rte_lcore_dump(answer);
    return 0;
}

static int
malloc_stats(const char *const *words, FILE *answer)
{
    (void) words;
    rte_malloc_dump_stats(answer, NULL);
    return 0;
}

/* The level of a name; -1 if there is none. */
static int
log_level(const char *name)
{
    static const char *const names[] = {
        [RTE_LOG_EMERG] = "emergency", [RTE_LOG_ALERT] = "alert",     [RTE_LOG_CRIT] = "critical",
        [RTE_LOG_ERR] = "error",       [RTE_LOG_WARNING] = "warning", [RTE_LOG_NOTICE] = "notice",
        [RTE_LOG_INFO] = "info",       [RTE_LOG_DEBUG] = "debug",
    };

    for (int level = RTE_LOG_EMERG; level <= (int) RTE_LOG_DEBUG; level++) {
        if (strcmp(name, names[level]) == 0) {
            return level;
        }
    }
    return -1;
}

static int
log_set(const char *const *words, FILE *answer)
{
    char pattern[256] = "*";
    const char *colon = strchr(words[0], ':');
    const char *name = colon == NULL ? words[0] : colon + 1;
    int level = log_level(name);

    if (colon != NULL && (size_t) (colon - words[0]) < sizeof pattern) {
        memcpy(pattern, words[0], (size_t) (colon - words[0]));
        pattern[colon - words[0]] = '\0';
    }
    if (level < 0) {
        fprintf(answer, "invalid log level: '%s'", name);
        return EINVAL;
    }
    if (rte_log_set_level_pattern(pattern, (uint32_t) level) < 0) {
        fprintf(answer, "cannot set log level for '%s'", words[0]);
        return EINVAL;
    }
    return 0;
}

static int
mempools(const char *const *words, FILE *answer)
{
    (void) words;
    rte_mempool_list_dump(answer);
    return 0;
}

static int
mempool(const char *const *words, FILE *answer)
{
    const struct dpdk_port *dpdk = device_find(words[0]);

    if (dpdk == NULL) {
        return ENOENT;
    }
    rte_mempool_dump(answer, dpdk->pool);
    fprintf(answer, "    count: avail (%u), in use (%u)\n", rte_mempool_avail_count(dpdk->pool),
            rte_mempool_in_use_count(dpdk->pool));
    return 0;
}

static const char *
speed_name(uint32_t mbps)
{
    static const struct {
        uint32_t mbps;
        const char *name;
    } speeds[] = {
        { RTE_ETH_SPEED_NUM_10M, "10Mbps" },   { RTE_ETH_SPEED_NUM_100M, "100Mbps" },
        { RTE_ETH_SPEED_NUM_1G, "1Gbps" },     { RTE_ETH_SPEED_NUM_2_5G, "2.5Gbps" },
        { RTE_ETH_SPEED_NUM_5G, "5Gbps" },     { RTE_ETH_SPEED_NUM_10G, "10Gbps" },
        { RTE_ETH_SPEED_NUM_20G, "20Gbps" },   { RTE_ETH_SPEED_NUM_25G, "25Gbps" },
        { RTE_ETH_SPEED_NUM_40G, "40Gbps" },   { RTE_ETH_SPEED_NUM_50G, "50Gbps" },
        { RTE_ETH_SPEED_NUM_56G, "56Gbps" },   { RTE_ETH_SPEED_NUM_100G, "100Gbps" },
        { RTE_ETH_SPEED_NUM_200G, "200Gbps" },
    };

    for (size_t i = 0; i < sizeof speeds / sizeof speeds[0]; i++) {
        if (speeds[i].mbps == mbps) {
            return speeds[i].name;
        }
    }
    return "Not Defined";
}

/* dl_iterate_phdr(): finds the driver of vhost devices.  DPDK loads its drivers itself, so they are not linked. */
static int
find_driver(struct dl_phdr_info *info, size_t size, void *aux)
{
    (void) size;
    if (strstr(info->dlpi_name, "librte_net_vhost.so") == NULL) {
        return 0;
    }
    *(const char **) aux = info->dlpi_name;
    return 1;
}

/* The vhost library's number of a device's connection; -1 if it has none. */
static int
vhost_id(uint16_t id)
{
    const char *path = NULL;
    int (*find)(uint16_t) = NULL;

    dl_iterate_phdr(find_driver, &path);
    void *driver = path == NULL ? NULL : dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (driver != NULL) {
        *(void **) &find = dlsym(driver, "rte_eth_vhost_get_vid_from_port_id");
        dlclose(driver);
    }
    return find == NULL ? -1 : find(id);
}

static void
vhost_status(const struct dpdk_port *dpdk, FILE *answer)
{
    struct rte_eth_link link = { 0 };
    char socket[PATH_MAX];
    struct rte_vhost_vring vring;
    int vid =
        rte_eth_link_get_nowait(dpdk->id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP ? vhost_id(dpdk->id) : -1;

    fprintf(answer, "status=%s\n", vid < 0 ? "disconnected" : "connected");
    if (vid < 0) {
        return;
    }
    if (rte_vhost_get_ifname(vid, socket, sizeof socket) == 0) {
        fprintf(answer, "socket=%s\n", socket);
    }
    int numa = rte_vhost_get_numa_node(vid);
    if (numa >= 0) {
        fprintf(answer, "numa=%d\n", numa);
    }
    uint16_t n_vrings = rte_vhost_get_vring_num(vid);
    if (n_vrings != 0) {
        fprintf(answer, "num_of_vrings=%u\n", n_vrings);
    }
    for (uint16_t i = 0; i < n_vrings; i++) {
        if (rte_vhost_get_vhost_vring(vid, i, &vring) == 0) {
            fprintf(answer, "vring_%u_size=%u\n", i, vring.size);
        }
    }
}

/* Lines 'key=value' of Interface.status. */
static int
status(const char *const *words, FILE *answer)
{
    const struct dpdk_port *dpdk = device_find(words[0]);
    struct rte_eth_dev_info info;
    struct rte_eth_link link = { 0 };

    if (dpdk == NULL || rte_eth_dev_info_get(dpdk->id, &info) != 0) {
        return ENOENT;
    }
    if (dpdk->is_vhost) {
        vhost_status(dpdk, answer);
        return 0;
    }
    const char *bus = rte_dev_bus_info(info.device);
    rte_eth_link_get_nowait(dpdk->id, &link);
    fprintf(answer, "port_no=%u\nnuma_id=%d\ndriver_name=%s\n", dpdk->id, rte_eth_dev_socket_id(dpdk->id),
            info.driver_name);
    fprintf(answer, "min_rx_bufsize=%u\nmax_rx_pktlen=%u\n", info.min_rx_bufsize, dpdk->max_packet_size);
    fprintf(answer, "max_rx_queues=%u\nmax_tx_queues=%u\n", info.max_rx_queues, info.max_tx_queues);
    fprintf(answer, "max_mac_addrs=%u\nmax_hash_mac_addrs=%u\n", info.max_mac_addrs, info.max_hash_mac_addrs);
    fprintf(answer, "max_vfs=%u\nmax_vmdq_pools=%u\n", info.max_vfs, info.max_vmdq_pools);
    fprintf(answer, "if_type=6\nif_descr=%s %s\n", rte_version(), info.driver_name);
    fprintf(answer, "bus_info=bus_name=%s%s%s\n", rte_bus_name(rte_dev_bus(info.device)), bus == NULL ? "" : ", ",
            bus == NULL ? "" : bus);
    fprintf(answer, "link_speed=%s\n", speed_name(link.link_speed));
    return 0;
}

static _Bool
ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);

    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

/* Whether a name is "rx_q0_packets" or the like. */
static _Bool
is_of_queue(const char *name)
{
    if ((name[0] != 'r' && name[0] != 't') || strncmp(name + 1, "x_q", 3) != 0 || !isdigit((unsigned char) name[4])) {
        return 0;
    }
    const char *rest = name + 4 + strspn(name + 4, "0123456789");
    return strcmp(rest, "_packets") == 0 || strcmp(rest, "_bytes") == 0;
}

/* What the device counts besides what every port counts, as Open vSwitch chooses of it. */
static _Bool
is_told(const char *name)
{
    return is_of_queue(name) || ends_with(name, "_errors") || ends_with(name, "_dropped")
           || strstr(name, "_management_") != NULL;
}

static void
device_statistics(uint16_t id, FILE *answer)
{
    int n = rte_eth_xstats_get_names(id, NULL, 0);

    if (n <= 0) {
        return;
    }
    struct rte_eth_xstat_name *names = calloc((size_t) n, sizeof *names);
    struct rte_eth_xstat *values = calloc((size_t) n, sizeof *values);
    if (names != NULL && values != NULL && rte_eth_xstats_get_names(id, names, (unsigned) n) == n
        && rte_eth_xstats_get(id, values, (unsigned) n) == n) {
        for (int i = 0; i < n; i++) {
            const char *name = names[values[i].id].name;
            if (is_told(name)) {
                fprintf(answer, "%s=%" PRIu64 "\n", name, values[i].value);
            }
        }
    }
    free(names);
    free(values);
}

/* Frames that were to be sent and were dropped for 'reason'. */
static uint64_t
n_dropped(const struct port *port, uint32_t reason)
{
    uint64_t n = 0;

    for (uint32_t i = 0; i < PORT_QUEUES_MAX; i++) {
        n += atomic_load_explicit(&port->tx[i].n_dropped[reason], memory_order_relaxed);
    }
    return n;
}

static int
statistics(const char *const *words, FILE *answer)
{
    const struct dpdk_port *dpdk = device_find(words[0]);

    if (dpdk == NULL) {
        return ENOENT;
    }
    if (dpdk->is_vhost) {
        fprintf(answer, "ovs_tx_retries=%" PRIu64 "\n", atomic_load(&dpdk->n_tx_retries));
    } else {
        device_statistics(dpdk->id, answer);
    }
    fprintf(answer, "ovs_tx_failure_drops=%" PRIu64 "\n", atomic_load(&dpdk->n_failed));
    fprintf(answer, "ovs_tx_mtu_exceeded_drops=%" PRIu64 "\n", n_dropped(&dpdk->port, SLUICE_PORT_DROP_TX_TOO_LONG));
    fprintf(answer, "ovs_tx_invalid_hwol_drops=%" PRIu64 "\n", n_dropped(&dpdk->port, SLUICE_PORT_DROP_TX_UNSUPPORTED));
    return 0;
}

/* Gives up a device that no port uses. */
static int
detach(const char *const *words, FILE *answer)
{
    struct rte_eth_dev_info info;
    uint16_t id = device_id(words[0]), sibling;
    _Bool is_used = 0;

    if (id == RTE_MAX_ETHPORTS || rte_eth_dev_info_get(id, &info) != 0) {
        fprintf(answer, "Device '%s' not found in DPDK", words[0]);
        return ENODEV;
    }
    RTE_ETH_FOREACH_DEV_SIBLING(sibling, id)
    {
        const struct dpdk_port *dpdk = device_port(sibling);
        if (dpdk != NULL) {
            fprintf(answer, is_used ? " %s" : "Device '%s' is being used by the following interfaces: %s",
                    is_used ? dpdk->port.name : words[0], dpdk->port.name);
            is_used = 1;
        }
    }
    if (is_used) {
        fprintf(answer, ". Remove them before detaching.");
        return EBUSY;
    }
    rte_eth_dev_close(id);
    if (rte_dev_remove(info.device) < 0) {
        fprintf(answer, "Device '%s' can not be detached", words[0]);
        return EIO;
    }
    fprintf(answer, "All devices shared with device '%s' have been detached", words[0]);
    return 0;
}

/* The name of the port that has a device. */
static int
user(const char *const *words, FILE *answer)
{
    const struct dpdk_port *dpdk = device_port(device_id(words[0]));

    if (dpdk == NULL) {
        return ENOENT;
    }
    fputs(dpdk->port.name, answer);
    return 0;
}

/* Flow control of a device: its name, then rx, tx and autoneg as 0 or 1.  The answer is ENOTSUP where there is none. */
static int
flow_control(const char *const *words, FILE *answer)
{
    static const enum rte_eth_fc_mode modes[2][2] = { { RTE_ETH_FC_NONE, RTE_ETH_FC_TX_PAUSE },
                                                      { RTE_ETH_FC_RX_PAUSE, RTE_ETH_FC_FULL } };
    const struct dpdk_port *dpdk = device_find(words[0]);
    struct rte_eth_fc_conf conf = { 0 };

    (void) answer;
    if (dpdk == NULL) {
        return ENOENT;
    }
    int error = rte_eth_dev_flow_ctrl_get(dpdk->id, &conf);
    enum rte_eth_fc_mode mode = modes[words[1][0] == '1'][words[2][0] == '1'];
    uint8_t autoneg = words[3][0] == '1';
    if (error == 0 && (conf.mode != mode || conf.autoneg != autoneg)) {
        conf.mode = mode;
        conf.autoneg = autoneg;
        error = rte_eth_dev_flow_ctrl_set(dpdk->id, &conf);
    }
    return -error;
}

int
ask(int n, const char *const *words, FILE *answer)
{
    static const struct {
        const char *question;
        int n_words; /* Besides. */
        answer_func *answer;
    } rows[] = {
        { "log-list", 0, log_list },
        { "log-set", 1, log_set },
        { "lcore-list", 0, lcore_list },
        { "malloc-stats", 0, malloc_stats },
        { "mempools", 0, mempools },
        { "mempool", 1, mempool },
        { "status", 1, status },
        { "statistics", 1, statistics },
        { "detach", 1, detach },
        { "flow-control", 4, flow_control },
        { "user", 1, user },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (n > 0 && strcmp(words[0], rows[i].question) == 0) {
            return n - 1 == rows[i].n_words ? rows[i].answer(words + 1, answer) : EINVAL;
        }
    }
    return EINVAL;
}
