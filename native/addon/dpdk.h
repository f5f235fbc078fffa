/* DPDK from JavaScript's main thread.
 *
 *   dpdkStart(args: string[]) -> 0 | -errno
 *       Starts DPDK's environment, once in a process; -ENOENT where Sluice was built without DPDK.
 *   dpdkVersion() -> string       "" before dpdkStart has found DPDK.
 *   dpdkLog() -> string           What DPDK has logged since the last call, in whole or broken lines. */
#ifndef SLUICE_ADDON_DPDK_H
#define SLUICE_ADDON_DPDK_H 1

#include <napi.h>

void init_dpdk(Napi::Env env, Napi::Object exports);

#endif
