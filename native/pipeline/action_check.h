/* Checks OpenFlow actions in the ABI's form before they are stored or executed. */
#ifndef SLUICE_PIPELINE_ACTION_CHECK_H
#define SLUICE_PIPELINE_ACTION_CHECK_H 1

#include <stddef.h>
#include <stdint.h>

struct bridge;

/* Deepest nesting of clone and write_actions. */
#define ACTION_DEPTH_MAX 8

/* Checks 'size' bytes of actions from an untrusted peer: opcodes, sizes, nesting, field numbers, bit ranges, ports and
 * table numbers.  'table' is the table of the rule they belong to (goto_table must go up), or 255 for a packet-out.
 * 'n_tables' is the number of tables of the bridge.  'actions' is 8-byte aligned.
 * Returns 0 or an enum sluice_error: invalid_record, bad_action, unsupported_action, bad_table.  Any thread.
 *
 * Actions that passed may be walked without further checks. */
uint32_t action_check(const void *actions, size_t size, uint8_t table, uint32_t n_tables);

/* Likewise actions that were frozen, among which others may say whose the next ones are. */
uint32_t action_check_frozen(const void *actions, size_t size, uint32_t n_tables);

/* Checks that the bridge, as the open transaction has it, has what actions that passed name.  0, no_such_meter or no_such_group.  Under
 * the control lock. */
uint32_t action_check_references(const struct bridge *bridge, const void *actions, size_t size);

#endif
