#include "addon/process.h"

#include <arpa/inet.h>
#include <cstddef>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/in.h>
#include <string.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <vector>

static Napi::Value
number(const Napi::CallbackInfo &info, int value)
{
    return Napi::Number::New(info.Env(), value);
}

static Napi::Value
refuse(const Napi::CallbackInfo &info, const char *expected)
{
    Napi::TypeError::New(info.Env(), expected).ThrowAsJavaScriptException();
    return info.Env().Undefined();
}

/* A lock on all of a file, as far as it may ever grow. */
static struct flock
whole_file(void)
{
    struct flock lock;

    memset(&lock, 0, sizeof lock);
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    return lock;
}

static Napi::Value
lock_file(const Napi::CallbackInfo &info)
{
    if (info.Length() < 2 || !info[0].IsString() || !info[1].IsNumber()) {
        return refuse(info, "lockFile takes a path and a mode");
    }
    std::string path = info[0].As<Napi::String>();
    int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, info[1].As<Napi::Number>().Uint32Value() & 0777);
    if (fd < 0) {
        return number(info, -errno);
    }
    struct flock lock = whole_file();
    int status;
    do {
        status = fcntl(fd, F_SETLK, &lock);
    } while (status < 0 && errno == EINTR);
    if (status < 0) {
        int error = errno == EACCES ? EAGAIN : errno;
        close(fd);
        return number(info, -error);
    }
    return number(info, fd);
}

static Napi::Value
lock_holder(const Napi::CallbackInfo &info)
{
    if (info.Length() < 1 || !info[0].IsString()) {
        return refuse(info, "lockHolder takes a path");
    }
    std::string path = info[0].As<Napi::String>();
    int fd = open(path.c_str(), O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return number(info, -errno);
    }
    struct flock lock = whole_file();
    int status;
    do {
        status = fcntl(fd, F_GETLK, &lock);
    } while (status < 0 && errno == EINTR);
    int error = errno;
    close(fd);
    if (status < 0) {
        return number(info, -error);
    }
    return number(info, lock.l_type == F_UNLCK ? 0 : lock.l_pid);
}

static Napi::Value
unlock_file(const Napi::CallbackInfo &info)
{
    if (info.Length() < 1 || !info[0].IsNumber()) {
        return refuse(info, "unlockFile takes a descriptor");
    }
    return number(info, close(info[0].As<Napi::Number>().Int32Value()) < 0 ? -errno : 0);
}

static Napi::Value
lock_memory(const Napi::CallbackInfo &info)
{
    return number(info, mlockall(MCL_CURRENT | MCL_FUTURE) < 0 ? -errno : 0);
}

/* Gives this thread the capabilities of 'mask', and nothing else. */
static int
set_capabilities(uint64_t mask)
{
    struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
    struct __user_cap_data_struct data[2];

    memset(data, 0, sizeof data);
    data[0].effective = data[0].permitted = (uint32_t) mask;
    data[1].effective = data[1].permitted = (uint32_t) (mask >> 32);
    return syscall(SYS_capset, &header, data) < 0 ? errno : 0;
}

static Napi::Value
become_user(const Napi::CallbackInfo &info)
{
    if (info.Length() < 4 || !info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsArray() || !info[3].IsBigInt()) {
        return refuse(info, "becomeUser takes a user id, a group id, groups and a mask of capabilities");
    }
    uid_t uid = info[0].As<Napi::Number>().Uint32Value();
    gid_t gid = info[1].As<Napi::Number>().Uint32Value();
    Napi::Array list = info[2].As<Napi::Array>();
    std::vector<gid_t> groups;
    for (uint32_t i = 0; i < list.Length(); i++) {
        groups.push_back(list.Get(i).ToNumber().Uint32Value());
    }
    bool lossless = false;
    uint64_t mask = info[3].As<Napi::BigInt>().Uint64Value(&lossless);

    /* glibc changes the ids of all threads, but the capabilities are this thread's: those it makes later inherit
     * them, which is what the datapath's workers need, and those that exist lose them. */
    if (setgroups(groups.size(), groups.data()) < 0 || setresgid(gid, gid, gid) < 0 || prctl(PR_SET_KEEPCAPS, 1) < 0
        || setresuid(uid, uid, uid) < 0) {
        return number(info, -errno);
    }
    int error = set_capabilities(mask);
    return number(info, -error);
}

static Napi::Value
send_datagram(const Napi::CallbackInfo &info)
{
    if (info.Length() < 2 || !info[0].IsString() || !info[1].IsTypedArray()) {
        return refuse(info, "sendDatagram takes a path and bytes");
    }
    std::string path = info[0].As<Napi::String>();
    Napi::Uint8Array bytes = info[1].As<Napi::Uint8Array>();
    struct sockaddr_un address;
    memset(&address, 0, sizeof address);
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path) {
        return number(info, -ENAMETOOLONG);
    }
    memcpy(address.sun_path, path.data(), path.size());
    if (path[0] == '@') {
        address.sun_path[0] = '\0';
    }
    /* One for all: the log sends a datagram a line. */
    static thread_local int fd = -1;
    if (fd < 0) {
        fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    }
    if (fd < 0) {
        return number(info, -errno);
    }
    socklen_t length = (socklen_t) (offsetof(struct sockaddr_un, sun_path) + path.size());
    ssize_t sent = sendto(fd, bytes.Data(), bytes.ByteLength(), MSG_NOSIGNAL, (struct sockaddr *) &address, length);
    return number(info, sent < 0 ? -errno : 0);
}

static Napi::Value
discard_standard_streams(const Napi::CallbackInfo &info)
{
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        return number(info, -errno);
    }
    int error = 0;
    for (int stream = 0; stream < 3; stream++) {
        if (dup2(fd, stream) < 0) {
            error = errno;
        }
    }
    if (fd > 2) {
        close(fd);
    }
    return number(info, -error);
}

static Napi::Value
set_dscp(const Napi::CallbackInfo &info)
{
    if (info.Length() < 2 || !info[0].IsNumber() || !info[1].IsNumber()) {
        return refuse(info, "setDscp takes a descriptor and a code point");
    }
    int fd = info[0].As<Napi::Number>().Int32Value();
    int tos = (int) (info[1].As<Napi::Number>().Uint32Value() << 2);
    struct sockaddr_storage address;
    socklen_t length = sizeof address;

    if (getsockname(fd, (struct sockaddr *) &address, &length) < 0) {
        return number(info, -errno);
    }
    /* An IPv6 socket may carry IPv4, too, so it gets both. */
    if (address.ss_family == AF_INET6 && setsockopt(fd, IPPROTO_IPV6, IPV6_TCLASS, &tos, sizeof tos) < 0) {
        return number(info, -errno);
    }
    if (setsockopt(fd, IPPROTO_IP, IP_TOS, &tos, sizeof tos) < 0 && address.ss_family == AF_INET) {
        return number(info, -errno);
    }
    return number(info, 0);
}

/* Fills 'address' with the IPv4 address that 'text' is. */
static bool
inet_address(struct sockaddr *address, const std::string &text)
{
    struct sockaddr_in in;

    memset(&in, 0, sizeof in);
    in.sin_family = AF_INET;
    if (inet_pton(AF_INET, text.c_str(), &in.sin_addr) != 1) {
        return false;
    }
    memcpy(address, &in, sizeof in);
    return true;
}

static Napi::Value
set_address(const Napi::CallbackInfo &info)
{
    if (info.Length() < 3 || !info[0].IsString() || !info[1].IsString() || !info[2].IsString()) {
        return refuse(info, "setAddress takes a device, an address and a mask");
    }
    std::string name = info[0].As<Napi::String>();
    struct ifreq request;
    memset(&request, 0, sizeof request);
    if (name.empty() || name.size() >= sizeof request.ifr_name) {
        return number(info, -ENODEV);
    }
    memcpy(request.ifr_name, name.data(), name.size());
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return number(info, -errno);
    }
    int error = 0;
    if (!inet_address(&request.ifr_addr, info[1].As<Napi::String>())) {
        error = EINVAL;
    } else if (ioctl(fd, SIOCSIFADDR, &request) < 0) {
        error = errno;
    } else if (!inet_address(&request.ifr_netmask, info[2].As<Napi::String>())) {
        error = EINVAL;
    } else if (ioctl(fd, SIOCSIFNETMASK, &request) < 0) {
        error = errno;
    }
    close(fd);
    return number(info, -error);
}

static Napi::Value
add_gateway(const Napi::CallbackInfo &info)
{
    if (info.Length() < 1 || !info[0].IsString()) {
        return refuse(info, "addGateway takes an address");
    }
    struct rtentry route;
    memset(&route, 0, sizeof route);
    route.rt_flags = RTF_UP | RTF_GATEWAY;
    if (!inet_address(&route.rt_gateway, info[0].As<Napi::String>())) {
        return number(info, -EINVAL);
    }
    inet_address(&route.rt_dst, "0.0.0.0");
    inet_address(&route.rt_genmask, "0.0.0.0");
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return number(info, -errno);
    }
    int error = ioctl(fd, SIOCADDRT, &route) < 0 ? errno : 0;
    close(fd);
    return number(info, -error);
}

void
init_process(Napi::Env env, Napi::Object exports)
{
    exports.Set("lockFile", Napi::Function::New(env, lock_file));
    exports.Set("lockHolder", Napi::Function::New(env, lock_holder));
    exports.Set("unlockFile", Napi::Function::New(env, unlock_file));
    exports.Set("lockMemory", Napi::Function::New(env, lock_memory));
    exports.Set("becomeUser", Napi::Function::New(env, become_user));
    exports.Set("sendDatagram", Napi::Function::New(env, send_datagram));
    exports.Set("discardStandardStreams", Napi::Function::New(env, discard_standard_streams));
    exports.Set("setDscp", Napi::Function::New(env, set_dscp));
    exports.Set("setAddress", Napi::Function::New(env, set_address));
    exports.Set("addGateway", Napi::Function::New(env, add_gateway));
}
