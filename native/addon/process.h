/* What a daemon needs of the operating system and Node does not offer.  Marshal only: no state is kept here.
 *
 * Every function runs on JavaScript's main thread and returns a number: 0 or a positive value for success, a negative
 * errno for failure.  Nothing throws but for arguments of a wrong type.
 *
 *   lockFile(path, mode) -> descriptor | -errno
 *       Opens (creating it with `mode`) and takes a POSIX record lock on the whole file, as ovs-appctl and ovsdb-tool
 *       look for.  -EAGAIN when another process holds it; ask lockHolder.  The lock lasts until the process ends or
 *       closes ANY descriptor of that file, so nobody here may open a locked file again.
 *   lockHolder(path) -> pid | 0 when nobody holds it | -errno
 *       Must not be asked of a file that this process has locked: looking opens it, and closing that drops the lock.
 *   unlockFile(descriptor) -> 0 | -errno
 *   lockMemory() -> 0 | -errno          mlockall of what is there and of what will be.
 *   becomeUser(uid, gid, groups: number[], capabilities: bigint) -> 0 | -errno
 *       Drops root but keeps, in this thread and in those it creates from now on, the capabilities of the mask.
 *   sendDatagram(path, bytes) -> 0 | -errno
 *       To a Unix datagram socket, for syslog and NOTIFY_SOCKET; a leading '@' names an abstract one.  Never blocks.
 *   discardStandardStreams() -> 0 | -errno     Points descriptors 0, 1 and 2 at /dev/null.
 *   setDscp(descriptor, dscp) -> 0 | -errno
 *       Marks what a TCP socket sends, IPv4 or IPv6, with a differentiated services code point of 0 to 63.
 *   setAddress(device, address, mask) -> 0 | -errno     Gives a device its IPv4 address.
 *   addGateway(address) -> 0 | -errno                   Adds the default route; -EEXIST when there is one. */
#ifndef SLUICE_ADDON_PROCESS_H
#define SLUICE_ADDON_PROCESS_H 1

#include <napi.h>

void init_process(Napi::Env env, Napi::Object exports);

#endif
