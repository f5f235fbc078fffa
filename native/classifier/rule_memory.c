#include "classifier/rule_memory.h"

#include <pthread.h>
#include <string.h>

#include "classifier/slab.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct slab slab; /* With 'mutex'. */

void *
rule_memory_alloc(size_t size)
{
    pthread_mutex_lock(&mutex);
    void *memory = slab_alloc(&slab, size);
    pthread_mutex_unlock(&mutex);
    return memory != NULL ? memset(memory, 0, size) : NULL;
}

void
rule_memory_free(void *memory, size_t size)
{
    pthread_mutex_lock(&mutex);
    slab_free(&slab, memory, size);
    pthread_mutex_unlock(&mutex);
}
