/* The datapath's functions for JavaScript: marshalling only, see sluice/datapath.h for what they mean. */
#ifndef ADDON_DATAPATH_H
#define ADDON_DATAPATH_H 1

#include <napi.h>

/* Adds the class NativeDatapath to 'exports'. */
void init_datapath(Napi::Env env, Napi::Object exports);

#endif
