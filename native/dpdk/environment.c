#include "dpdk/environment.h"

#include <errno.h>
#include <pthread.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <stdio.h>
#include <string.h>

#define LOG_SIZE (64u * 1024u)

/* What DPDK logged and nobody took yet.  Any thread of DPDK's logs. */
static struct {
    pthread_mutex_t mutex;
    size_t n;
    size_t n_lost; /* Bytes that there was no room for. */
    char text[LOG_SIZE];
} log_buffer = { .mutex = PTHREAD_MUTEX_INITIALIZER };

static ssize_t
log_write(void *cookie, const char *text, size_t size)
{
    (void) cookie;
    pthread_mutex_lock(&log_buffer.mutex);
    size_t room = LOG_SIZE - log_buffer.n;
    size_t n = size < room ? size : room;
    memcpy(log_buffer.text + log_buffer.n, text, n);
    log_buffer.n += n;
    log_buffer.n_lost += size - n;
    pthread_mutex_unlock(&log_buffer.mutex);
    return (ssize_t) size;
}

size_t
environment_take_log(char *text, size_t size)
{
    pthread_mutex_lock(&log_buffer.mutex);
    size_t n = log_buffer.n < size ? log_buffer.n : size;
    memcpy(text, log_buffer.text, n);
    memmove(log_buffer.text, log_buffer.text + n, log_buffer.n - n);
    log_buffer.n -= n;
    if (log_buffer.n_lost != 0 && size - n > 64) {
        n += (size_t) snprintf(text + n, size - n, "\n%zu bytes of this log were lost\n", log_buffer.n_lost);
        log_buffer.n_lost = 0;
    }
    pthread_mutex_unlock(&log_buffer.mutex);
    return n;
}

struct start {
    int argc;
    char **argv;
    int error;
};

/* DPDK pins the thread that starts it and keeps it as its main one; that is a thread of our own, which then ends. */
static void *
start_thread(void *aux)
{
    struct start *start = aux;

    start->error = rte_eal_init(start->argc, start->argv) < 0 ? rte_errno : 0;
    if (start->error == 0 && !rte_mp_disable()) {
        start->error = EALREADY;
    }
    return NULL;
}

int
environment_start(int argc, char **argv)
{
    static const cookie_io_functions_t functions = { .write = log_write };
    struct start start = { argc, argv, 0 };
    pthread_t thread;
    FILE *stream = fopencookie(NULL, "w", functions);

    if (stream != NULL) {
        setbuf(stream, NULL);
        rte_openlog_stream(stream);
    }
    int error = pthread_create(&thread, NULL, start_thread, &start);
    if (error == 0) {
        error = pthread_join(thread, NULL);
    }
    return error != 0 ? error : start.error < 0 ? EINVAL : start.error;
}

static pthread_key_t joined_key;
static pthread_once_t joined_once = PTHREAD_ONCE_INIT;
static _Thread_local _Bool is_joined;

static void
leave(void *aux)
{
    (void) aux;
    rte_thread_unregister();
}

static void
make_key(void)
{
    pthread_key_create(&joined_key, leave);
}

void
environment_join(void)
{
    if (is_joined) {
        return;
    }
    /* A thread that DPDK has no number left for works without a cache. */
    is_joined = 1;
    pthread_once(&joined_once, make_key);
    if (rte_thread_register() == 0) {
        pthread_setspecific(joined_key, &is_joined);
    }
}
