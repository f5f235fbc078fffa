/* The thread that sends keep-alives and tells of those that stay away, and the way to it from the ABI. */
#ifndef WORKER_KEEPALIVE_SENDER_H
#define WORKER_KEEPALIVE_SENDER_H 1

#include <pthread.h>
#include <stdint.h>

#include "keepalive/keepalive.h"
#include "sluice/records.h"

struct sluice_datapath;
struct worker;

struct keepalive_sender {
    struct keepalive_table *table;
    struct worker *worker; /* Translates and executes what is sent.  The thread's. */
    pthread_t thread;      /* Runs once there is a session to run for. */
    _Bool has_thread;      /* With the control lock. */
    _Bool has_lock;        /* 'lock' and 'changed' are there. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    _Bool is_changed;  /* As the next, with 'lock'. */
    _Bool is_stopping; /* The thread ends. */
};

/* The parts but the thread; 0 or ENOMEM. */
int keepalive_sender_init(struct sluice_datapath *datapath);

/* Ends the thread.  Before anything goes that translation needs.  Fine when it was not begun. */
void keepalive_sender_stop(struct sluice_datapath *datapath);
void keepalive_sender_uninit(struct sluice_datapath *datapath);

/* The commands about sessions.  With the control lock.  A datapath without threads has nobody to send, and refuses. */
void keepalive_do_set(struct sluice_datapath *datapath, const struct sluice_record *record,
                      struct sluice_result *result);
void keepalive_do_del(struct sluice_datapath *datapath, const struct sluice_record *record,
                      struct sluice_result *result);

/* The query about one.  With the control lock.  An errno value. */
int keepalive_answer(struct sluice_datapath *datapath, const struct sluice_record *query, uint8_t *reply,
                     size_t reply_size, size_t *used);

#endif
