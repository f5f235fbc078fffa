/* Action sets: the order in which what was written to one is executed. */
#ifndef SLUICE_PIPELINE_ACTION_SET_H
#define SLUICE_PIPELINE_ACTION_SET_H 1

#include <stdint.h>

/* Puts the actions of a set, in the order of writing, in that of execution.  'ordered' has room for 'size' bytes.
 * Returns the bytes that are executed: none if nothing of it outputs. */
uint32_t action_set_order(const void *set, uint32_t size, uint8_t *ordered);

#endif
