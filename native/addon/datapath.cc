/* NativeDatapath: one object per datapath.  Plain Node-API on the calls that are made for each batch.
 *
 * Thread: an object belongs to the JavaScript thread that made it.  Workers reach JavaScript only through a
 * thread-safe function of queue size 1, which is unreferenced so that a datapath alone keeps no process alive. */
#include "addon/datapath.h"

#include <cerrno>
#include <cstring>

#include "sluice/datapath.h"

namespace {

class NativeDatapath : public Napi::ObjectWrap<NativeDatapath> {
  public:
    explicit NativeDatapath(const Napi::CallbackInfo &info);
    ~NativeDatapath() override
    {
        close();
    }
    static Napi::Function define(Napi::Env env);

  private:
    Napi::Value submit(const Napi::CallbackInfo &info);
    Napi::Value query(const Napi::CallbackInfo &info);
    Napi::Value run(const Napi::CallbackInfo &info);
    Napi::Value now(const Napi::CallbackInfo &info);
    Napi::Value destroy(const Napi::CallbackInfo &info);
    Napi::Value reference(const Napi::CallbackInfo &info);
    Napi::Value unreference(const Napi::CallbackInfo &info);

    static void wake(void *aux);
    static void call_js(napi_env env, napi_value callback, void *context, void *data);
    static void env_closing(void *aux);
    void close();

    struct sluice_datapath *datapath_ = nullptr;
    napi_threadsafe_function wake_ = nullptr;
    Napi::Reference<Napi::Uint8Array> ring_;
};

struct bytes {
    uint8_t *data;
    size_t size;
};

/* A Uint8Array's memory.  False, with a TypeError pending, for anything else. */
bool
get_bytes(napi_env env, napi_value value, struct bytes *out)
{
    napi_typedarray_type type;
    void *data = nullptr;
    size_t length = 0;

    if (napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok
        || type != napi_uint8_array) {
        napi_throw_type_error(env, "SLUICE_ARGUMENT", "expected a Uint8Array");
        return false;
    }
    out->data = static_cast<uint8_t *>(data);
    out->size = length;
    return true;
}

uint32_t
get_number(const Napi::Object &options, const char *name)
{
    Napi::Value value = options.Get(name);
    return value.IsNumber() ? value.As<Napi::Number>().Uint32Value() : 0;
}

NativeDatapath::NativeDatapath(const Napi::CallbackInfo &info) : Napi::ObjectWrap<NativeDatapath>(info)
{
    Napi::Env env = info.Env();

    if (info.Length() < 2 || !info[0].IsObject() || !info[1].IsFunction()) {
        Napi::TypeError::New(env, "expected options and a wake function").ThrowAsJavaScriptException();
        return;
    }
    Napi::Object js = info[0].As<Napi::Object>();
    struct bytes ring;
    if (!get_bytes(env, js.Get("ring"), &ring)) {
        return;
    }
    napi_value name = Napi::String::New(env, "sluice wake");
    if (napi_create_threadsafe_function(env, info[1], nullptr, name, 1, 1, nullptr, nullptr, nullptr, call_js, &wake_)
        != napi_ok) {
        Napi::Error::New(env, "cannot make a thread-safe function").ThrowAsJavaScriptException();
        return;
    }
    napi_unref_threadsafe_function(env, wake_);

    struct sluice_datapath_options options;
    memset(&options, 0, sizeof options);
    options.size = sizeof options;
    options.version = SLUICE_ABI_VERSION;
    options.n_workers = get_number(js, "workers");
    options.flow_limit = get_number(js, "flowLimit");
    options.ring = ring.data;
    options.ring_size = ring.size;
    options.wake = wake;
    options.aux = this;
    int error = sluice_datapath_create(&options, &datapath_);
    if (error != 0) {
        datapath_ = nullptr;
        close();
        Napi::Error failure = Napi::Error::New(env, std::string("cannot create a datapath: ") + strerror(error));
        failure.Set("errno", Napi::Number::New(env, error));
        failure.ThrowAsJavaScriptException();
        return;
    }
    ring_ = Napi::Reference<Napi::Uint8Array>::New(js.Get("ring").As<Napi::Uint8Array>(), 1);
    napi_add_env_cleanup_hook(env, env_closing, this);
}

void
NativeDatapath::env_closing(void *aux)
{
    NativeDatapath *self = static_cast<NativeDatapath *>(aux);
    sluice_datapath_destroy(self->datapath_);
    self->datapath_ = nullptr;
    self->wake_ = nullptr;
}

/* Idempotent.  The datapath goes first: nothing calls 'wake' after that. */
void
NativeDatapath::close()
{
    if (datapath_ != nullptr) {
        sluice_datapath_destroy(datapath_);
        datapath_ = nullptr;
        napi_remove_env_cleanup_hook(Env(), env_closing, this);
    }
    if (wake_ != nullptr) {
        napi_release_threadsafe_function(wake_, napi_tsfn_abort);
        wake_ = nullptr;
    }
    ring_.Reset();
}

/* Any thread.  A full queue means that a call is already on its way. */
void
NativeDatapath::wake(void *aux)
{
    NativeDatapath *self = static_cast<NativeDatapath *>(aux);
    napi_call_threadsafe_function(self->wake_, nullptr, napi_tsfn_nonblocking);
}

void
NativeDatapath::call_js(napi_env env, napi_value callback, void *, void *)
{
    if (env == nullptr || callback == nullptr) {
        return;
    }
    napi_value undefined;
    napi_get_undefined(env, &undefined);
    napi_call_function(env, undefined, callback, 0, nullptr, nullptr);
}

/* submit(batch, results): 0 or an errno value; EBADF when closed. */
Napi::Value
NativeDatapath::submit(const Napi::CallbackInfo &info)
{
    struct bytes batch, results;
    if (datapath_ == nullptr) {
        return Napi::Number::New(info.Env(), EBADF);
    }
    if (!get_bytes(info.Env(), info[0], &batch) || !get_bytes(info.Env(), info[1], &results)) {
        return info.Env().Undefined();
    }
    if (reinterpret_cast<uintptr_t>(results.data) % alignof(struct sluice_result) != 0) {
        return Napi::Number::New(info.Env(), EINVAL);
    }
    int error = sluice_datapath_submit(datapath_, batch.data, batch.size,
                                       reinterpret_cast<struct sluice_result *>(results.data),
                                       results.size / sizeof(struct sluice_result));
    return Napi::Number::New(info.Env(), error);
}

/* query(query, reply): bytes used, or a negated errno value; -EBADF when closed. */
Napi::Value
NativeDatapath::query(const Napi::CallbackInfo &info)
{
    struct bytes asked, reply;
    if (datapath_ == nullptr) {
        return Napi::Number::New(info.Env(), -EBADF);
    }
    if (!get_bytes(info.Env(), info[0], &asked) || !get_bytes(info.Env(), info[1], &reply)) {
        return info.Env().Undefined();
    }
    size_t used = 0;
    int error = sluice_datapath_query(datapath_, asked.data, asked.size, reply.data, reply.size, &used);
    return Napi::Number::New(info.Env(), error != 0 ? -static_cast<double>(error) : static_cast<double>(used));
}

/* run(maxBursts): packets received, or a negated errno value; -EBADF when closed. */
Napi::Value
NativeDatapath::run(const Napi::CallbackInfo &info)
{
    if (datapath_ == nullptr) {
        return Napi::Number::New(info.Env(), -EBADF);
    }
    uint64_t n_packets = 0;
    uint32_t max_bursts = info[0].IsNumber() ? info[0].As<Napi::Number>().Uint32Value() : 0;
    int error = sluice_datapath_run(datapath_, max_bursts, &n_packets);
    return Napi::Number::New(info.Env(), error != 0 ? -static_cast<double>(error) : static_cast<double>(n_packets));
}

/* now(): milliseconds, or -EBADF when closed. */
Napi::Value
NativeDatapath::now(const Napi::CallbackInfo &info)
{
    double value = datapath_ == nullptr ? -EBADF : static_cast<double>(sluice_datapath_now(datapath_));
    return Napi::Number::New(info.Env(), value);
}

Napi::Value
NativeDatapath::destroy(const Napi::CallbackInfo &info)
{
    close();
    return info.Env().Undefined();
}

/* Whether a wake-up that may come keeps the process alive. */
Napi::Value
NativeDatapath::reference(const Napi::CallbackInfo &info)
{
    if (wake_ != nullptr) {
        napi_ref_threadsafe_function(info.Env(), wake_);
    }
    return info.Env().Undefined();
}

Napi::Value
NativeDatapath::unreference(const Napi::CallbackInfo &info)
{
    if (wake_ != nullptr) {
        napi_unref_threadsafe_function(info.Env(), wake_);
    }
    return info.Env().Undefined();
}

Napi::Function
NativeDatapath::define(Napi::Env env)
{
    return DefineClass(env, "NativeDatapath",
                       {
                           InstanceMethod<&NativeDatapath::submit>("submit"),
                           InstanceMethod<&NativeDatapath::query>("query"),
                           InstanceMethod<&NativeDatapath::run>("run"),
                           InstanceMethod<&NativeDatapath::now>("now"),
                           InstanceMethod<&NativeDatapath::destroy>("destroy"),
                           InstanceMethod<&NativeDatapath::reference>("ref"),
                           InstanceMethod<&NativeDatapath::unreference>("unref"),
                       });
}

} // namespace

void
init_datapath(Napi::Env env, Napi::Object exports)
{
    exports.Set("NativeDatapath", NativeDatapath::define(env));
}
