#include "port/link.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_link.h>
#include <linux/mii.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_SIZE 32768

/* A request to change or get links: header, ifinfomsg and room for attributes. */
struct link_request {
    struct nlmsghdr header;
    struct ifinfomsg info;
    uint8_t attributes[128];
};

static void
request_init(struct link_request *request, uint16_t type, uint16_t flags)
{
    memset(request, 0, sizeof *request);
    request->header.nlmsg_len = NLMSG_LENGTH(sizeof request->info);
    request->header.nlmsg_type = type;
    request->header.nlmsg_flags = NLM_F_REQUEST | flags;
    request->header.nlmsg_seq = 1;
    request->info.ifi_family = AF_UNSPEC;
}

static void
request_add(struct link_request *request, uint16_t type, const void *data, size_t size)
{
    struct rtattr *attribute = (struct rtattr *) ((uint8_t *) request + NLMSG_ALIGN(request->header.nlmsg_len));

    attribute->rta_type = type;
    attribute->rta_len = (uint16_t) RTA_LENGTH(size);
    memcpy(RTA_DATA(attribute), data, size);
    request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_ALIGN(attribute->rta_len);
}

static int
netlink_open(uint32_t groups, int flags)
{
    struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = groups };
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | flags, NETLINK_ROUTE);

    if (fd >= 0 && bind(fd, (struct sockaddr *) &address, sizeof address) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* The bytes of an attribute copied to 'to', as far as both reach. */
static void
attribute_copy(const struct rtattr *attribute, void *to, size_t size)
{
    size_t n = RTA_PAYLOAD(attribute);

    memcpy(to, RTA_DATA(attribute), n < size ? n : size);
}

static void
parse_kind(const struct rtattr *info, struct link *link)
{
    int left = (int) RTA_PAYLOAD(info);

    for (const struct rtattr *a = RTA_DATA(info); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == IFLA_INFO_KIND) {
            attribute_copy(a, link->kind, sizeof link->kind - 1);
        }
    }
}

static void
parse_stats(const struct rtattr *attribute, struct sluice_link_info *info)
{
    struct rtnl_link_stats64 stats;

    memset(&stats, 0, sizeof stats);
    attribute_copy(attribute, &stats, sizeof stats);
    info->rx_packets = stats.rx_packets;
    info->rx_bytes = stats.rx_bytes;
    info->rx_errors = stats.rx_errors;
    info->rx_dropped = stats.rx_dropped;
    info->tx_packets = stats.tx_packets;
    info->tx_bytes = stats.tx_bytes;
    info->tx_errors = stats.tx_errors;
    info->tx_dropped = stats.tx_dropped;
    info->multicast = stats.multicast;
    info->collisions = stats.collisions;
    info->rx_over_errors = stats.rx_over_errors;
    info->rx_crc_errors = stats.rx_crc_errors;
    info->rx_frame_errors = stats.rx_frame_errors;
    info->rx_missed_errors = stats.rx_missed_errors;
}

/* Fills 'link' from an RTM_NEWLINK message.  False if it is none. */
static _Bool
parse_link(const struct nlmsghdr *header, struct link *link)
{
    const struct ifinfomsg *message = NLMSG_DATA(header);

    memset(link, 0, sizeof *link);
    if ((header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK)
        || header->nlmsg_len < NLMSG_LENGTH(sizeof *message)) {
        return 0;
    }
    int left = (int) IFLA_PAYLOAD(header);
    link->info.ifindex = (uint32_t) message->ifi_index;
    link->info.link_flags = message->ifi_flags;
    link->info.duplex = DUPLEX_UNKNOWN;
    for (const struct rtattr *a = IFLA_RTA(message); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        switch (a->rta_type) {
        case IFLA_IFNAME:
            attribute_copy(a, link->name, sizeof link->name - 1);
            break;
        case IFLA_ADDRESS:
            attribute_copy(a, link->info.mac, 6);
            break;
        case IFLA_MTU:
            attribute_copy(a, &link->info.mtu, sizeof link->info.mtu);
            break;
        case IFLA_CARRIER_CHANGES:
            attribute_copy(a, &link->info.carrier_changes, sizeof link->info.carrier_changes);
            break;
        case IFLA_STATS64:
            parse_stats(a, &link->info);
            break;
        case IFLA_LINKINFO:
            parse_kind(a, link);
            break;
        default:
            break;
        }
    }
    return link->name[0] != '\0';
}

/* What the driver says of itself.  Devices without a driver's words leave what is there. */
static void
get_driver(int fd, struct link *link)
{
    struct ethtool_drvinfo driver = { .cmd = ETHTOOL_GDRVINFO };
    struct ifreq request;

    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, link->name, sizeof request.ifr_name);
    request.ifr_data = (char *) &driver;
    if (ioctl(fd, SIOCETHTOOL, &request) == 0) {
        memcpy(link->info.driver_name, driver.driver, sizeof link->info.driver_name);
        memcpy(link->info.driver_version, driver.version, sizeof link->info.driver_version);
        memcpy(link->info.firmware_version, driver.fw_version, sizeof link->info.firmware_version);
    }
}

/* Speed and duplex.  Devices without them leave what is there. */
static void
get_speed(int fd, struct link *link)
{
    union {
        struct ethtool_link_settings settings;
        uint32_t room[sizeof(struct ethtool_link_settings) / 4 + 3 * 127]; /* The masks follow the settings. */
    } ask = { .settings = { .cmd = ETHTOOL_GLINKSETTINGS } };
    struct ifreq request;

    memset(&request, 0, sizeof request);
    memcpy(request.ifr_name, link->name, sizeof request.ifr_name);
    request.ifr_data = (char *) &ask;
    /* The first call tells how many mask words the kernel has, as a negative number. */
    if (ioctl(fd, SIOCETHTOOL, &request) != 0 || ask.settings.link_mode_masks_nwords >= 0) {
        return;
    }
    ask.settings.link_mode_masks_nwords = (int8_t) -ask.settings.link_mode_masks_nwords;
    ask.settings.cmd = ETHTOOL_GLINKSETTINGS;
    if (ioctl(fd, SIOCETHTOOL, &request) != 0) {
        return;
    }
    if (ask.settings.speed != 0 && ask.settings.speed != (uint32_t) SPEED_UNKNOWN) {
        link->info.link_speed_mbps = ask.settings.speed;
    }
    link->info.duplex = ask.settings.duplex;
}

/* Bit of MII's basic status register. */
#define MII_STATUS 1u
#define MII_STATUS_LINK 0x0004u

/* By MII: 0 or an errno value. */
static int
ask_mii(int fd, struct ifreq *request, _Bool *up)
{
    struct mii_ioctl_data *mii = (void *) &request->ifr_data;

    if (ioctl(fd, SIOCGMIIPHY, request) != 0) {
        return errno;
    }
    mii->reg_num = MII_STATUS;
    if (ioctl(fd, SIOCGMIIREG, request) != 0) {
        return errno;
    }
    *up = (mii->val_out & MII_STATUS_LINK) != 0;
    return 0;
}

_Bool
link_asks_device(const char *name)
{
    struct ethtool_value value = { .cmd = ETHTOOL_GLINK };
    struct ifreq request;
    _Bool up = 0;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return 0;
    }
    memset(&request, 0, sizeof request);
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    if (ask_mii(fd, &request, &up) != 0) {
        request.ifr_data = (char *) &value;
        up = ioctl(fd, SIOCETHTOOL, &request) == 0 && value.data != 0;
    }
    close(fd);
    return up;
}

/* Receives replies and hands each message to 'each' until it returns false, an error, or the end of the dump. */
static int
receive_all(int fd, _Bool (*each)(void *aux, const struct nlmsghdr *header), void *aux, _Bool is_dump)
{
    uint8_t buffer[REPLY_SIZE] __attribute__((aligned(8)));

    for (;;) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return errno;
        }
        size_t left = (size_t) n;
        for (const struct nlmsghdr *h = (void *) buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_ERROR) {
                return -((const struct nlmsgerr *) NLMSG_DATA(h))->error;
            }
            if (h->nlmsg_type == NLMSG_DONE || !each(aux, h)) {
                return 0;
            }
        }
        if (!is_dump) {
            return 0;
        }
    }
}

static _Bool
take_one(void *aux, const struct nlmsghdr *header)
{
    parse_link(header, aux);
    return 0;
}

int
link_get(const char *name, struct link *link)
{
    struct link_request request;
    size_t length = strlen(name);

    memset(link, 0, sizeof *link);
    if (length == 0 || length >= IFNAMSIZ) {
        return ENODEV;
    }
    int fd = netlink_open(0, 0);
    if (fd < 0) {
        return errno;
    }
    request_init(&request, RTM_GETLINK, 0);
    request_add(&request, IFLA_IFNAME, name, length + 1);
    int error = send(fd, &request, request.header.nlmsg_len, 0) < 0 ? errno : receive_all(fd, take_one, link, 0);
    if (error == 0 && link->name[0] == '\0') {
        error = ENODEV;
    }
    if (error == 0) {
        get_speed(fd, link);
        get_driver(fd, link);
    }
    close(fd);
    return error;
}

struct list_state {
    _Bool (*each)(void *aux, const struct link *link);
    void *aux;
    int ioctl_fd;
};

static _Bool
take_each(void *aux, const struct nlmsghdr *header)
{
    struct list_state *state = aux;
    struct link link;

    if (!parse_link(header, &link)) {
        return 1;
    }
    get_speed(state->ioctl_fd, &link);
    get_driver(state->ioctl_fd, &link);
    return state->each(state->aux, &link);
}

int
link_list(_Bool (*each)(void *aux, const struct link *link), void *aux)
{
    struct link_request request;
    int fd = netlink_open(0, 0);

    if (fd < 0) {
        return errno;
    }
    struct list_state state = { each, aux, fd };
    request_init(&request, RTM_GETLINK, NLM_F_DUMP);
    int error = send(fd, &request, request.header.nlmsg_len, 0) < 0 ? errno : receive_all(fd, take_each, &state, 1);
    close(fd);
    return error;
}

static _Bool
take_none(void *aux, const struct nlmsghdr *header)
{
    (void) aux;
    (void) header;
    return 0;
}

int
link_set(const char *name, const struct sluice_link_set *set)
{
    struct link_request request;
    unsigned int ifindex = if_nametoindex(name);

    if (ifindex == 0) {
        return ENODEV;
    }
    request_init(&request, RTM_NEWLINK, NLM_F_ACK);
    request.info.ifi_index = (int) ifindex;
    if (set->what & 1) {
        request_add(&request, IFLA_MTU, &set->mtu, sizeof set->mtu);
    }
    if (set->what & 2) {
        request_add(&request, IFLA_ADDRESS, set->mac, 6);
    }
    if (set->what & 4) {
        request.info.ifi_flags = set->flags_on;
        request.info.ifi_change = set->flags_on | set->flags_off;
    }
    int fd = netlink_open(0, 0);
    if (fd < 0) {
        return errno;
    }
    int error = send(fd, &request, request.header.nlmsg_len, 0) < 0 ? errno : receive_all(fd, take_none, NULL, 0);
    close(fd);
    return error;
}

struct tc_answer {
    uint8_t *to;
    size_t room;
    size_t used;
    int error;
};

static _Bool
take_answer(void *aux, const struct nlmsghdr *header)
{
    struct tc_answer *answer = aux;
    size_t size = NLMSG_ALIGN(header->nlmsg_len);

    if (size > answer->room - answer->used) {
        answer->error = ENOSPC;
        return 0;
    }
    memcpy(answer->to + answer->used, header, header->nlmsg_len);
    answer->used += size;
    return 1;
}

int
link_tc(const void *message, size_t size, void *reply, size_t reply_size, size_t *used)
{
    const struct nlmsghdr *header = message;
    struct tc_answer answer = { .to = reply, .room = reply_size };

    *used = 0;
    if (size < NLMSG_LENGTH(sizeof(struct tcmsg)) || header->nlmsg_len != size || header->nlmsg_type < RTM_NEWQDISC
        || header->nlmsg_type > RTM_GETTFILTER || !(header->nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP))) {
        /* Without one of those flags there is no last answer to wait for. */
        return EINVAL;
    }
    memset(reply, 0, reply_size);
    int fd = netlink_open(0, 0);
    if (fd < 0) {
        return errno;
    }
    /* An acknowledgement ends what is not a dump. */
    int error = send(fd, message, size, 0) < 0 ? errno : receive_all(fd, take_answer, &answer, 1);
    close(fd);
    *used = answer.used;
    return answer.error != 0 ? answer.error : error;
}

int
link_monitor_open(struct link_monitor *monitor)
{
    int room = 1 << 20;

    monitor->fd = netlink_open(
        RTMGRP_LINK | RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR | RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE, SOCK_NONBLOCK);
    if (monitor->fd < 0) {
        return errno;
    }
    setsockopt(monitor->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    return 0;
}

void
link_monitor_close(struct link_monitor *monitor)
{
    if (monitor->fd >= 0) {
        close(monitor->fd);
        monitor->fd = -1;
    }
}

static void
tell(const struct nlmsghdr *header, const struct link_listener *listener)
{
    struct link link;

    switch (header->nlmsg_type) {
    case RTM_NEWLINK:
    case RTM_DELLINK:
        if (parse_link(header, &link)) {
            listener->link(listener->aux, link.info.ifindex, link.name, header->nlmsg_type == RTM_DELLINK);
        }
        break;
    case RTM_NEWADDR:
    case RTM_DELADDR:
        if (header->nlmsg_len >= NLMSG_LENGTH(sizeof(struct ifaddrmsg))) {
            listener->address(listener->aux, ((const struct ifaddrmsg *) NLMSG_DATA(header))->ifa_index);
        }
        break;
    case RTM_NEWROUTE:
    case RTM_DELROUTE:
        listener->address(listener->aux, 0);
        break;
    default:
        break;
    }
}

void
link_monitor_run(struct link_monitor *monitor, const struct link_listener *listener)
{
    uint8_t buffer[REPLY_SIZE] __attribute__((aligned(8)));

    for (int i = 0; i < 1000; i++) {
        ssize_t n = recv(monitor->fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (n < 0 && errno == ENOBUFS) {
            listener->link(listener->aux, 0, NULL, 0);
            continue;
        }
        if (n <= 0) {
            return;
        }
        size_t left = (size_t) n;
        for (const struct nlmsghdr *h = (void *) buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            tell(h, listener);
        }
    }
}
