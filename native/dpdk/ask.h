/* Questions about DPDK that are answered by text.  The control thread's. */
#ifndef DPDK_ASK_H
#define DPDK_ASK_H 1

#include <stdio.h>

/* Answers the question of 'n' words on 'answer': sluice/dpdk.h lists them.  0 or a positive errno value; then the answer
 * may say more. */
int ask(int n, const char *const *words, FILE *answer);

#endif
