/* Memory by the page, for what is large and will be written all over.
 *
 * The first touch of a page costs an exception: a microsecond on bare metal, ten times that under some hypervisors, where
 * it is as much as translating fifty packets.  So large memory is of huge pages where the kernel has them, and
 * is populated in one system call.  Any thread. */
#ifndef CLASSIFIER_PAGES_H
#define CLASSIFIER_PAGES_H 1

#include <stddef.h>

/* Bytes from which on it is worth a system call. */
#define PAGES_SIZE_MIN ((size_t) 128 << 10)

/* Alignment of what is so large, and of what has at least the size of a huge page. */
#define PAGES_ALIGNMENT ((size_t) 64 << 10)
#define PAGES_HUGE_SIZE ((size_t) 2 << 20)

/* Zeroed memory; from PAGES_SIZE_MIN bytes on populated and aligned to PAGES_ALIGNMENT or PAGES_HUGE_SIZE.  Null when
 * out of memory. */
void *pages_alloc(size_t size);

/* Gives back memory of pages_alloc(), of the same size.  Null is fine. */
void pages_free(void *memory, size_t size);

#endif
