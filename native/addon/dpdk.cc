#include "addon/dpdk.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "sluice/dpdk.h"

/* Bytes of DPDK's log that are taken at once: all that is kept, and a remark. */
static const size_t log_size = 65 * 1024;

static Napi::Value
start(const Napi::CallbackInfo &info)
{
    if (info.Length() < 1 || !info[0].IsArray()) {
        Napi::TypeError::New(info.Env(), "dpdkStart takes an array of arguments").ThrowAsJavaScriptException();
        return info.Env().Undefined();
    }
    Napi::Array args = info[0].As<Napi::Array>();
    /* DPDK keeps pointers to its arguments, so they are never freed: a process starts it once. */
    char **argv = static_cast<char **>(calloc(args.Length() + 1, sizeof *argv));
    for (uint32_t i = 0; argv != nullptr && i < args.Length(); i++) {
        std::string arg = args.Get(i).ToString();
        argv[i] = strdup(arg.c_str());
    }
    int error = argv == nullptr ? ENOMEM : sluice_dpdk_start(static_cast<int>(args.Length()), argv);
    return Napi::Number::New(info.Env(), -error);
}

static Napi::Value
version(const Napi::CallbackInfo &info)
{
    return Napi::String::New(info.Env(), sluice_dpdk_version());
}

static Napi::Value
take_log(const Napi::CallbackInfo &info)
{
    std::vector<char> text(log_size);
    size_t n = sluice_dpdk_take_log(text.data(), text.size());

    return Napi::String::New(info.Env(), text.data(), n);
}

/* dpdkAsk(words): the answer as { error, text }, the error an errno value or 0. */
static Napi::Value
ask(const Napi::CallbackInfo &info)
{
    if (info.Length() < 1 || !info[0].IsArray()) {
        Napi::TypeError::New(info.Env(), "dpdkAsk takes an array of words").ThrowAsJavaScriptException();
        return info.Env().Undefined();
    }
    Napi::Array words = info[0].As<Napi::Array>();
    std::vector<std::string> strings;
    std::vector<const char *> pointers;
    for (uint32_t i = 0; i < words.Length(); i++) {
        strings.push_back(words.Get(i).ToString());
    }
    for (const std::string &string : strings) {
        pointers.push_back(string.c_str());
    }
    char *text = nullptr;
    int error = sluice_dpdk_ask(static_cast<int>(pointers.size()), pointers.data(), &text);
    Napi::Object answer = Napi::Object::New(info.Env());
    answer.Set("error", Napi::Number::New(info.Env(), error));
    answer.Set("text", Napi::String::New(info.Env(), text == nullptr ? "" : text));
    free(text);
    return answer;
}

void
init_dpdk(Napi::Env env, Napi::Object exports)
{
    exports.Set("dpdkStart", Napi::Function::New(env, start));
    exports.Set("dpdkVersion", Napi::Function::New(env, version));
    exports.Set("dpdkAsk", Napi::Function::New(env, ask));
    exports.Set("dpdkLog", Napi::Function::New(env, take_log));
}
