/* The addon's entry point.  It keeps no state of its own, so it may be loaded in several worker threads. */
#include <napi.h>

#include "addon/datapath.h"
#include "addon/dpdk.h"
#include "addon/process.h"

static Napi::Object
init(Napi::Env env, Napi::Object exports)
{
    init_datapath(env, exports);
    init_process(env, exports);
    init_dpdk(env, exports);
    return exports;
}

NODE_API_MODULE(sluice, init)
