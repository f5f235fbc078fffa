/* NetFlow: the IPv4 flows of one bridge, by addresses, protocol, ports, type of service and port of arrival, and the records
 * of those that ended or have gone on for long.
 *
 * Translation makes the megaflows of such a bridge exact in those fields and adds a credit, so that a flow's packets are
 * counted whenever its megaflow's are.  A record tells of a flow when its output changes, when a megaflow of it goes, and each
 * time that the active timeout passes; one without packets is not worth a record.  Records wait here until
 * netflow_deliver() tells them; beyond NETFLOW_RECORDS_MAX they are lost, and counted.
 *
 * Threads.  Any may count and end flows; configuring, expiring and delivering are for the holder of the control lock. */
#ifndef SLUICE_PIPELINE_NETFLOW_H
#define SLUICE_PIPELINE_NETFLOW_H 1

#include <stdbool.h>
#include <stdint.h>

struct pipeline;
struct xlate_ctx;
struct xlate_traffic;

#define NETFLOW_FLOWS_MAX (1u << 20)
#define NETFLOW_RECORDS_MAX 65536u

/* What the record says of the output, where it is not one port. */
#define NETFLOW_OUTPUT_FLOOD 0xffffu
#define NETFLOW_OUTPUT_MANY 0xfffeu
#define NETFLOW_OUTPUT_DROP 0xfffdu

struct netflow;

/* Which flow a translation's packets belong to. */
struct netflow_path;

/* An idle one, with one reference.  Null without memory. */
struct netflow *netflow_create(struct pipeline *pipeline, uint32_t bridge, uint64_t random_seed);
void netflow_unref(struct netflow *netflow);

/* 'active_timeout_s' 0: NetFlow is off, and what is known is forgotten.  When it goes on, times begin at 'now_ms'. */
void netflow_configure(struct netflow *netflow, uint32_t active_timeout_s, uint64_t now_ms);

/* Makes records of the flows whose time is up, of which each second is soon enough, and forgets those that were idle. */
void netflow_expire(struct netflow *netflow, uint64_t now_ms);

/* Tells what waits.  Stops when nobody takes it, to go on another time. */
void netflow_deliver(struct netflow *netflow, uint64_t now_ms);

/* Un-wildcards what tells flows apart, if the packet's bridge wants to know. */
void netflow_unwildcard(struct xlate_ctx *ctx);

/* Adds the credit, when the outputs are known. */
void netflow_finish(struct xlate_ctx *ctx);

/* Counts packets that took the path. */
void netflow_count(const struct netflow_path *path, uint32_t output, const struct xlate_traffic *traffic);

/* A megaflow of the flow goes. */
void netflow_end(const struct netflow_path *path);

/* Null is fine. */
void netflow_path_free(struct netflow_path *path);

#endif
