/* The addon's entry point.  It keeps no state of its own, so it may be loaded in several worker threads. */
#include <napi.h>

#include "addon/datapath.h"
#if __has_include("addon/process.h")
#include "addon/process.h"
#endif

static Napi::Object
init(Napi::Env env, Napi::Object exports)
{
    init_datapath(env, exports);
#if __has_include("addon/process.h")
    init_process(env, exports);
#endif
    return exports;
}

NODE_API_MODULE(sluice, init)
