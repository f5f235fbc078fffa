/** OpenFlow errors.  Each row is one error: the name that tools print, how each version of the protocol says it on the
 *  wire, and one sentence.  A wire form is `versions=type,code`; `nx:` marks Nicira's experimenter errors (type and
 *  code before OpenFlow 1.2, one number from it on), `onf:` the Open Networking Foundation's.  A version that no form
 *  names cannot say the error: it says NXBRC_UNENCODABLE_ERROR instead. */
type Row = readonly [name: string, wire: string, doc: string];

const rows = [
  ["OFPHFC_INCOMPATIBLE", "1.0+=0,0", "Hello failed: the two sides have no version in common."],
  ["OFPHFC_EPERM", "1.0+=0,1", "Hello failed: not permitted."],
  ["OFPBRC_BAD_VERSION", "1.0+=1,0", "Bad request: bad version."],
  ["OFPBRC_BAD_TYPE", "1.0+=1,1", "Bad request: bad type."],
  ["OFPBRC_BAD_STAT", "1.0+=1,2", "Bad request: bad statistics type."],
  ["OFPBRC_BAD_VENDOR", "1.0+=1,3", "Bad request: bad vendor."],
  ["OFPBRC_BAD_SUBTYPE", "1.0+=1,4", "Bad request: bad subtype."],
  ["OFPBRC_EPERM", "1.0+=1,5", "Bad request: not permitted."],
  ["OFPBRC_BAD_LEN", "1.0+=1,6", "Bad request: the message or a part of it has a length that cannot be."],
  ["OFPBRC_BUFFER_EMPTY", "1.0+=1,7", "Bad request: buffer empty."],
  ["OFPBRC_BUFFER_UNKNOWN", "1.0+=1,8", "Bad request: the packet buffer does not exist."],
  ["OFPBRC_BAD_TABLE_ID", "1.0=nx:1,512 1.1+=1,9", "Bad request: bad table identifier."],
  ["OFPBRC_BAD_PORT", "1.0-1.1=nx:1,514 1.2+=1,11", "Bad request: bad port."],
  ["OFPBRC_IS_SECONDARY", "1.2+=1,10", "Bad request: a secondary controller asked for what only a primary may do."],
  ["OFPBRC_BAD_PACKET", "1.2+=1,12", "Bad request: bad packet."],
  ["OFPBRC_MULTIPART_BUFFER_OVERFLOW", "1.3+=1,13", "Bad request: multipart buffer overflow."],
  ["OFPBRC_MULTIPART_REQUEST_TIMEOUT", "1.3=onf:2640 1.4+=1,14", "Bad request: multipart request timeout."],
  ["OFPBRC_MULTIPART_REPLY_TIMEOUT", "1.3=onf:2641 1.4+=1,15", "Bad request: multipart reply timeout."],
  ["OFPBRC_MULTIPART_BAD_SCHED", "1.5+=1,16", "Bad request: multipart bad schedule."],
  ["OFPBRC_PIPELINE_FIELDS_ONLY", "1.5+=1,17", "Bad request: pipeline fields only."],
  ["OFPBRC_UNKNOWN", "1.5+=1,18", "Bad request: unknown."],
  ["OFPBAC_BAD_TYPE", "1.0+=2,0", "Bad action: the action is unknown or not supported."],
  ["OFPBAC_BAD_LEN", "1.0+=2,1", "Bad action: bad length."],
  ["OFPBAC_BAD_VENDOR", "1.0+=2,2", "Bad action: bad vendor."],
  ["OFPBAC_BAD_VENDOR_TYPE", "1.0+=2,3", "Bad action: bad vendor type."],
  ["OFPBAC_BAD_OUT_PORT", "1.0+=2,4", "Bad action: the output port cannot be."],
  ["OFPBAC_BAD_ARGUMENT", "1.0+=2,5", "Bad action: bad argument."],
  ["OFPBAC_EPERM", "1.0+=2,6", "Bad action: not permitted."],
  ["OFPBAC_TOO_MANY", "1.0+=2,7", "Bad action: too many."],
  ["OFPBAC_BAD_QUEUE", "1.0+=2,8", "Bad action: bad queue."],
  [
    "OFPBAC_MATCH_INCONSISTENT",
    "1.0=nx:1,522 1.1+=2,10",
    "Bad action: the action cannot be used with the flow's match.",
  ],
  ["OFPBAC_BAD_SET_TYPE", "1.0-1.1=nx:1,523 1.2+=2,13", "Bad action: bad set type."],
  ["OFPBAC_BAD_SET_LEN", "1.0-1.1=nx:1,524 1.2+=2,14", "Bad action: bad set length."],
  ["OFPBAC_BAD_SET_ARGUMENT", "1.0-1.1=nx:1,525 1.2+=2,15", "Bad action: bad set argument."],
  ["OFPBAC_BAD_OUT_GROUP", "1.0=nx:2,9 1.1+=2,9", "Bad action: the group does not exist."],
  ["OFPBAC_UNSUPPORTED_ORDER", "1.1+=2,11", "Bad action: unsupported order."],
  ["OFPBAC_BAD_TAG", "1.1+=2,12", "Bad action: bad tag."],
  ["OFPBAC_BAD_SET_MASK", "1.3-1.4=onf:4250 1.5+=2,16", "Bad action: bad set mask."],
  ["OFPBAC_BAD_METER", "1.5+=2,17", "Bad action: bad meter."],
  ["OFPBIC_UNSUP_INST", "1.0=nx:2,257 1.1+=3,1", "Bad instruction: instruction not supported."],
  ["OFPBIC_UNKNOWN_INST", "1.1+=3,0", "Bad instruction: unknown instruction."],
  ["OFPBIC_BAD_TABLE_ID", "1.1+=3,2", "Bad instruction: bad table identifier."],
  ["OFPBIC_UNSUP_METADATA", "1.1+=3,3", "Bad instruction: metadata not supported."],
  ["OFPBIC_UNSUP_METADATA_MASK", "1.1+=3,4", "Bad instruction: metadata mask not supported."],
  ["OFPBIC_BAD_EXPERIMENTER", "1.1+=3,5", "Bad instruction: bad experimenter."],
  ["OFPBIC_DUP_INST", "1.1=nx:3,256 1.2-1.3=onf:2600 1.4+=3,9", "Bad instruction: duplicate instruction."],
  ["OFPBIC_BAD_EXP_TYPE", "1.2+=3,6", "Bad instruction: bad experimenter type."],
  ["OFPBIC_BAD_LEN", "1.2+=3,7", "Bad instruction: bad length."],
  ["OFPBIC_EPERM", "1.2+=3,8", "Bad instruction: not permitted."],
  ["OFPBMC_BAD_FIELD", "1.0=nx:0,263 1.1+=4,6", "Bad match: bad field."],
  ["OFPBMC_BAD_VALUE", "1.0=nx:1,258 1.1+=4,7", "Bad match: bad value."],
  ["OFPBMC_BAD_MASK", "1.0-1.1=nx:1,259 1.2+=4,8", "Bad match: bad mask."],
  ["OFPBMC_BAD_PREREQ", "1.0-1.1=nx:1,260 1.2+=4,9", "Bad match: a field is used without the fields that it needs."],
  ["OFPBMC_DUP_FIELD", "1.0-1.1=nx:1,261 1.2+=4,10", "Bad match: a field occurs twice."],
  ["OFPBMC_BAD_WILDCARDS", "1.0=nx:1,262 1.1+=4,5", "Bad match: bad wildcards."],
  ["OFPBMC_BAD_TYPE", "1.1+=4,0", "Bad match: bad type."],
  ["OFPBMC_BAD_LEN", "1.1+=4,1", "Bad match: bad length."],
  ["OFPBMC_BAD_TAG", "1.1+=4,2", "Bad match: bad tag."],
  ["OFPBMC_BAD_DL_ADDR_MASK", "1.1+=4,3", "Bad match: bad Ethernet address mask."],
  ["OFPBMC_BAD_NW_ADDR_MASK", "1.1+=4,4", "Bad match: bad network address mask."],
  ["OFPBMC_EPERM", "1.2+=4,11", "Bad match: not permitted."],
  ["OFPFMFC_TABLE_FULL", "1.0=3,0 1.1+=5,1", "Flow mod failed: the table is full."],
  ["OFPFMFC_OVERLAP", "1.0=3,1 1.1+=5,3", "Flow mod failed: the flow overlaps another of the same priority."],
  ["OFPFMFC_EPERM", "1.0=3,2 1.1+=5,4", "Flow mod failed: not permitted."],
  ["OFPFMFC_BAD_EMERG_TIMEOUT", "1.0=3,3", "Flow mod failed: bad emerg timeout."],
  ["OFPFMFC_BAD_COMMAND", "1.0=3,4 1.1+=5,6", "Flow mod failed: bad command."],
  ["OFPFMFC_UNSUPPORTED", "1.0=3,5", "Flow mod failed: unsupported."],
  ["OFPFMFC_BAD_FLAGS", "1.0=nx:3,258 1.1=nx:5,258 1.2+=5,7", "Flow mod failed: bad flags."],
  ["OFPFMFC_UNKNOWN", "1.1+=5,0", "Flow mod failed: unknown."],
  ["OFPFMFC_BAD_TABLE_ID", "1.1+=5,2", "Flow mod failed: bad table identifier."],
  ["OFPFMFC_BAD_TIMEOUT", "1.1+=5,5", "Flow mod failed: bad timeout."],
  ["OFPFMFC_BAD_PRIORITY", "1.3=onf:2360 1.4+=5,9", "Flow mod failed: bad priority."],
  ["OFPFMFC_CANT_SYNC", "1.4+=5,8", "Flow mod failed: cant synchronised table."],
  ["OFPFMFC_IS_SYNC", "1.4+=5,10", "Flow mod failed: is synchronised table."],
  ["OFPGMFC_GROUP_EXISTS", "1.0=nx:6,0 1.1+=6,0", "Group mod failed: group exists."],
  ["OFPGMFC_INVALID_GROUP", "1.0=nx:6,1 1.1+=6,1", "Group mod failed: invalid group."],
  ["OFPGMFC_WEIGHT_UNSUPPORTED", "1.0=nx:6,2 1.1+=6,2", "Group mod failed: weight unsupported."],
  ["OFPGMFC_OUT_OF_GROUPS", "1.0=nx:6,3 1.1+=6,3", "Group mod failed: out of groups."],
  ["OFPGMFC_OUT_OF_BUCKETS", "1.0=nx:6,4 1.1+=6,4", "Group mod failed: output of buckets."],
  ["OFPGMFC_CHAINING_UNSUPPORTED", "1.0=nx:6,5 1.1+=6,5", "Group mod failed: chaining unsupported."],
  ["OFPGMFC_WATCH_UNSUPPORTED", "1.0=nx:6,6 1.1+=6,6", "Group mod failed: watch unsupported."],
  ["OFPGMFC_LOOP", "1.0=nx:6,7 1.1+=6,7", "Group mod failed: loop."],
  ["OFPGMFC_UNKNOWN_GROUP", "1.0=nx:6,8 1.1+=6,8", "Group mod failed: unknown group."],
  ["OFPGMFC_CHAINED_GROUP", "1.0=nx:6,9 1.2+=6,9", "Group mod failed: chained group."],
  ["OFPGMFC_BAD_TYPE", "1.0=nx:6,10 1.2+=6,10", "Group mod failed: bad type."],
  ["OFPGMFC_BAD_COMMAND", "1.0=nx:6,11 1.2+=6,11", "Group mod failed: bad command."],
  ["OFPGMFC_BAD_BUCKET", "1.0=nx:6,12 1.2+=6,12", "Group mod failed: bad bucket."],
  ["OFPGMFC_BAD_WATCH", "1.0=nx:6,13 1.2+=6,13", "Group mod failed: bad watch."],
  ["OFPGMFC_EPERM", "1.0=nx:6,14 1.2+=6,14", "Group mod failed: not permitted."],
  ["OFPGMFC_UNKNOWN_BUCKET", "1.0=nx:6,15 1.5+=6,15", "Group mod failed: unknown bucket."],
  ["OFPGMFC_BUCKET_EXISTS", "1.0=nx:6,16 1.5+=6,16", "Group mod failed: bucket exists."],
  ["OFPPMFC_BAD_PORT", "1.0=4,0 1.1+=7,0", "Port mod failed: bad port."],
  ["OFPPMFC_BAD_HW_ADDR", "1.0=4,1 1.1+=7,1", "Port mod failed: bad hardware address."],
  ["OFPPMFC_BAD_CONFIG", "1.1+=7,2", "Port mod failed: bad config."],
  ["OFPPMFC_BAD_ADVERTISE", "1.1+=7,3", "Port mod failed: bad advertise."],
  ["OFPPMFC_EPERM", "1.2+=7,4", "Port mod failed: not permitted."],
  ["OFPTMFC_BAD_TABLE", "1.1+=8,0", "Table mod failed: bad table."],
  ["OFPTMFC_BAD_CONFIG", "1.1+=8,1", "Table mod failed: bad config."],
  ["OFPTMFC_EPERM", "1.2+=8,2", "Table mod failed: not permitted."],
  ["OFPQOFC_BAD_PORT", "1.0=5,0 1.1+=9,0", "Queue operation failed: bad port."],
  ["OFPQOFC_BAD_QUEUE", "1.0=5,1 1.1+=9,1", "Queue operation failed: bad queue."],
  ["OFPQOFC_EPERM", "1.0=5,2 1.1+=9,2", "Queue operation failed: not permitted."],
  ["OFPSCFC_BAD_FLAGS", "1.1+=10,0", "Switch config failed: bad flags."],
  ["OFPSCFC_BAD_LEN", "1.1+=10,1", "Switch config failed: bad length."],
  ["OFPSCFC_EPERM", "1.2+=10,2", "Switch config failed: not permitted."],
  ["OFPRRFC_BAD_ROLE", "1.0-1.1=nx:1,513 1.2+=11,2", "Role request failed: bad role."],
  ["OFPRRFC_STALE", "1.2+=11,0", "Role request failed: the generation id is older than one already seen."],
  ["OFPRRFC_UNSUP", "1.2+=11,1", "Role request failed: not supported."],
  ["OFPRRFC_ID_UNSUP", "1.5+=11,3", "Role request failed: identifier change not supported."],
  ["OFPRRFC_ID_IN_USE", "1.5+=11,4", "Role request failed: identifier in use."],
  ["OFPMMFC_UNKNOWN", "1.3+=12,0", "Meter mod failed: unknown."],
  ["OFPMMFC_METER_EXISTS", "1.3+=12,1", "Meter mod failed: meter exists."],
  ["OFPMMFC_INVALID_METER", "1.3+=12,2", "Meter mod failed: the meter does not exist."],
  ["OFPMMFC_UNKNOWN_METER", "1.3+=12,3", "Meter mod failed: unknown meter."],
  ["OFPMMFC_BAD_COMMAND", "1.3+=12,4", "Meter mod failed: bad command."],
  ["OFPMMFC_BAD_FLAGS", "1.3+=12,5", "Meter mod failed: bad flags."],
  ["OFPMMFC_BAD_RATE", "1.3+=12,6", "Meter mod failed: bad rate."],
  ["OFPMMFC_BAD_BURST", "1.3+=12,7", "Meter mod failed: bad burst."],
  ["OFPMMFC_BAD_BAND", "1.3+=12,8", "Meter mod failed: bad band."],
  ["OFPMMFC_BAD_BAND_VALUE", "1.3+=12,9", "Meter mod failed: bad band value."],
  ["OFPMMFC_OUT_OF_METERS", "1.3+=12,10", "Meter mod failed: output of meters."],
  ["OFPMMFC_OUT_OF_BANDS", "1.3+=12,11", "Meter mod failed: output of bands."],
  ["OFPTFFC_BAD_TABLE", "1.3+=13,0", "Table features failed: bad table."],
  ["OFPTFFC_BAD_METADATA", "1.3+=13,1", "Table features failed: bad metadata."],
  ["OFPTFFC_EPERM", "1.3+=13,5", "Table features failed: not permitted."],
  ["OFPTFFC_BAD_CAPA", "1.5+=13,6", "Table features failed: bad capability."],
  ["OFPTFFC_BAD_MAX_ENT", "1.5+=13,7", "Table features failed: bad maximum entries."],
  ["OFPTFFC_BAD_FEATURES", "1.5+=13,8", "Table features failed: bad features."],
  ["OFPTFFC_BAD_COMMAND", "1.5+=13,9", "Table features failed: bad command."],
  ["OFPTFFC_TOO_MANY", "1.5+=13,10", "Table features failed: too many."],
  ["OFPBPC_BAD_TYPE", "1.0-1.1=nx:13,2 1.2=nx:25 1.3=13,2 1.4+=14,0", "Bad property: bad type."],
  ["OFPBPC_BAD_LEN", "1.0-1.1=nx:13,3 1.2=nx:26 1.3=13,3 1.4+=14,1", "Bad property: bad length."],
  ["OFPBPC_BAD_VALUE", "1.0-1.1=nx:13,4 1.2=nx:27 1.3=13,4 1.4+=14,2", "Bad property: bad value."],
  ["OFPBPC_TOO_MANY", "1.0-1.1=nx:14,3 1.2=nx:28 1.4+=14,3", "Bad property: too many."],
  ["OFPBPC_DUP_TYPE", "1.0-1.1=nx:14,4 1.2=nx:29 1.4+=14,4", "Bad property: duplicate type."],
  ["OFPBPC_BAD_EXPERIMENTER", "1.0-1.1=nx:14,5 1.2=nx:30 1.4+=14,5", "Bad property: bad experimenter."],
  ["OFPBPC_BAD_EXP_TYPE", "1.0-1.1=nx:14,6 1.2=nx:31 1.4+=14,6", "Bad property: bad experimenter type."],
  ["OFPBPC_BAD_EXP_VALUE", "1.0-1.1=nx:14,7 1.2=nx:32 1.4+=14,7", "Bad property: bad experimenter value."],
  ["OFPBPC_EPERM", "1.0-1.1=nx:14,8 1.2=nx:33 1.4+=14,8", "Bad property: not permitted."],
  ["OFPACFC_INVALID", "1.3=onf:2370 1.4+=15,0", "Async config failed: invalid."],
  ["OFPACFC_UNSUPPORTED", "1.3=onf:2371 1.4+=15,1", "Async config failed: unsupported."],
  ["OFPACFC_EPERM", "1.3=onf:2372 1.4+=15,2", "Async config failed: not permitted."],
  ["OFPMOFC_MONITOR_EXISTS", "1.0-1.1=nx:1,517 1.2-1.3=nx:6 1.4+=16,1", "Flow monitor failed: monitor exists."],
  ["OFPMOFC_BAD_FLAGS", "1.0-1.1=nx:1,518 1.2-1.3=nx:7 1.4+=16,5", "Flow monitor failed: bad flags."],
  ["OFPMOFC_UNKNOWN_MONITOR", "1.0-1.1=nx:1,519 1.2-1.3=nx:8 1.4+=16,3", "Flow monitor failed: unknown monitor."],
  ["OFPMOFC_UNKNOWN", "1.4+=16,0", "Flow monitor failed: unknown."],
  ["OFPMOFC_INVALID_MONITOR", "1.4+=16,2", "Flow monitor failed: invalid monitor."],
  ["OFPMOFC_BAD_COMMAND", "1.4+=16,4", "Flow monitor failed: bad command."],
  ["OFPMOFC_BAD_TABLE_ID", "1.4+=16,6", "Flow monitor failed: bad table identifier."],
  ["OFPMOFC_BAD_OUT", "1.4+=16,7", "Flow monitor failed: bad output."],
  ["OFPBFC_UNKNOWN", "1.3=onf:2300 1.4+=17,0", "Bundle failed: unknown."],
  ["OFPBFC_EPERM", "1.3=onf:2301 1.4+=17,1", "Bundle failed: not permitted."],
  ["OFPBFC_BAD_ID", "1.3=onf:2302 1.4+=17,2", "Bundle failed: bad identifier."],
  ["OFPBFC_BUNDLE_EXIST", "1.3=onf:2303 1.4+=17,3", "Bundle failed: bundle exist."],
  ["OFPBFC_BUNDLE_CLOSED", "1.3=onf:2304 1.4+=17,4", "Bundle failed: bundle closed."],
  ["OFPBFC_OUT_OF_BUNDLES", "1.3=onf:2305 1.4+=17,5", "Bundle failed: output of bundles."],
  ["OFPBFC_BAD_TYPE", "1.3=onf:2306 1.4+=17,6", "Bundle failed: bad type."],
  ["OFPBFC_BAD_FLAGS", "1.3=onf:2307 1.4+=17,7", "Bundle failed: bad flags."],
  ["OFPBFC_MSG_BAD_LEN", "1.3=onf:2308 1.4+=17,8", "Bundle failed: message bad length."],
  ["OFPBFC_MSG_BAD_XID", "1.3=onf:2309 1.4+=17,9", "Bundle failed: message bad transaction id."],
  ["OFPBFC_MSG_UNSUP", "1.3=onf:2310 1.4+=17,10", "Bundle failed: message not supported."],
  ["OFPBFC_MSG_CONFLICT", "1.3=onf:2311 1.4+=17,11", "Bundle failed: message conflict."],
  ["OFPBFC_MSG_TOO_MANY", "1.3=onf:2312 1.4+=17,12", "Bundle failed: message too many."],
  ["OFPBFC_MSG_FAILED", "1.3=onf:2313 1.4+=17,13", "Bundle failed: message failed."],
  ["OFPBFC_TIMEOUT", "1.3=onf:2314 1.4+=17,14", "Bundle failed: timeout."],
  ["OFPBFC_BUNDLE_IN_PROGRESS", "1.3=onf:2315 1.4+=17,15", "Bundle failed: bundle in progress."],
  ["OFPBFC_BAD_VERSION", "1.4+=nx:22", "Bundle failed: bad version."],
  ["OFPBFC_SCHED_NOT_SUPPORTED", "1.5+=17,16", "Bundle failed: schedule not supported."],
  ["OFPBFC_SCHED_FUTURE", "1.5+=17,17", "Bundle failed: schedule future."],
  ["OFPBFC_SCHED_PAST", "1.5+=17,18", "Bundle failed: schedule past."],
  ["NXBRC_NXM_INVALID", "1.0-1.1=nx:1,256 1.2+=nx:2", "Bad request: the NXM or OXM match is malformed."],
  ["NXBRC_NXM_BAD_TYPE", "1.0-1.1=nx:1,257 1.2+=nx:3", "Bad request: NXM bad type."],
  ["NXBRC_MUST_BE_ZERO", "1.0-1.1=nx:1,515 1.2+=nx:4", "Bad request: padding or a reserved field is not zero."],
  ["NXBRC_BAD_REASON", "1.0-1.1=nx:1,516 1.2+=nx:5", "Bad request: bad reason."],
  ["NXBRC_FM_BAD_EVENT", "1.0-1.1=nx:1,520 1.2+=nx:9", "Bad request: flow monitor bad event."],
  ["NXBRC_UNENCODABLE_ERROR", "1.0-1.1=nx:1,521 1.2+=nx:10", "Bad request: unencodable error."],
  ["NXBAC_CT_DATAPATH_SUPPORT", "1.0-1.1=nx:1,265 1.2+=nx:42", "Bad action: connection tracking datapath support."],
  ["NXBAC_MUST_BE_ZERO", "1.0-1.1=nx:2,256 1.2+=nx:11", "Bad action: padding or a reserved field is not zero."],
  ["NXBAC_BAD_CONJUNCTION", "1.0-1.1=nx:2,526 1.2+=nx:15", "Bad action: bad conjunction."],
  ["NXBAC_BAD_HEADER_TYPE", "1.3+=nx:39", "Bad action: bad header type."],
  ["NXBAC_UNKNOWN_ED_PROP", "1.3+=nx:40", "Bad action: unknown encap or decap property."],
  ["NXBAC_BAD_ED_PROP", "1.3+=nx:41", "Bad action: bad encap or decap property."],
  ["NXFMFC_INVALID_TLV_FIELD", "1.0-1.1=nx:1,536 1.2+=nx:37", "Flow mod failed: invalid TLV field."],
  ["NXFMFC_HARDWARE", "1.0-1.1=nx:5,256 1.2+=nx:12", "Flow mod failed: hardware."],
  ["NXFMFC_BAD_TABLE_ID", "1.0-1.1=nx:5,257 1.2+=nx:13", "Flow mod failed: bad table identifier."],
  ["NXBMC_CT_DATAPATH_SUPPORT", "1.0-1.1=nx:1,264 1.2+=nx:43", "Bad match: connection tracking datapath support."],
  ["NXTTMFC_BAD_COMMAND", "1.0-1.1=nx:1,527 1.2+=nx:16", "TLV table mod failed: bad command."],
  ["NXTTMFC_BAD_OPT_LEN", "1.0-1.1=nx:1,528 1.2+=nx:17", "TLV table mod failed: bad option length."],
  ["NXTTMFC_BAD_FIELD_IDX", "1.0-1.1=nx:1,529 1.2+=nx:18", "TLV table mod failed: bad field index."],
  ["NXTTMFC_TABLE_FULL", "1.0-1.1=nx:1,530 1.2+=nx:19", "TLV table mod failed: table full."],
  ["NXTTMFC_ALREADY_MAPPED", "1.0-1.1=nx:1,531 1.2+=nx:20", "TLV table mod failed: already mapped."],
  ["NXTTMFC_DUP_ENTRY", "1.0-1.1=nx:1,532 1.2+=nx:21", "TLV table mod failed: duplicate entry."],
  ["NXTTMFC_INVALID_TLV_DEL", "1.0-1.1=nx:1,537 1.2+=nx:38", "TLV table mod failed: invalid TLV del."],
  ["NXR_NOT_SUPPORTED", "1.0-1.1=nx:1,533 1.2+=nx:34", "Resume failed: not supported."],
  ["NXR_STALE", "1.0-1.1=nx:1,534 1.2+=nx:35", "Resume failed: stale."],
  ["NXST_NOT_CONFIGURED", "1.0-1.1=nx:1,535 1.2+=nx:36", "Statistics request failed: not configured."],
  ["NXTFFC_DUP_TABLE", "1.3+=nx:44", "Table features failed: duplicate table."],
  ["NXQOFC_QUEUE_ERROR", "1.4+=nx:23", "Queue operation failed: queue error."],
] as const satisfies readonly Row[];

export type ErrorName = (typeof rows)[number][0];

export interface ErrorWire {
  /** First and last wire version (1 is OpenFlow 1.0, 6 is 1.5). */
  readonly from: number;
  readonly to: number;
  /** 0, or the experimenter that owns the number. */
  readonly vendor: number;
  readonly type: number;
  readonly code: number;
}

export interface ErrorRow {
  readonly name: ErrorName;
  readonly wire: readonly ErrorWire[];
  readonly doc: string;
}

export const niciraVendor = 0x00002320;
export const onfVendor = 0x4f4e4600;

function wireForm(text: string): ErrorWire {
  const [versions = "", numbers = ""] = text.split("=");
  const vendor = numbers.startsWith("nx:") ? niciraVendor : numbers.startsWith("onf:") ? onfVendor : 0;
  const [type = 0, code = 0] = numbers
    .slice(numbers.indexOf(":") + 1)
    .split(",")
    .map(Number);
  const minor = (version: string): number => Number(version.slice(2)) + 1;
  if (versions.endsWith("+")) return { from: minor(versions.slice(0, -1)), to: 6, vendor, type, code };
  const [from = "", to = from] = versions.split("-");
  return { from: minor(from), to: minor(to), vendor, type, code };
}

export const errors: readonly ErrorRow[] = rows.map(([name, wire, doc]) => ({
  name,
  wire: wire.split(" ").map(wireForm),
  doc,
}));

const byName = new Map<string, ErrorRow>(errors.map((row) => [row.name, row]));

/** The row of that name. */
export function errorRow(name: ErrorName): ErrorRow {
  const row = byName.get(name);
  if (row === undefined) throw new Error(`${name} is not a row of the error table`);
  return row;
}

/** How `version` says the error, or undefined when it cannot. */
export function errorWire(name: ErrorName, version: number): ErrorWire | undefined {
  return errorRow(name).wire.find((form) => form.from <= version && version <= form.to);
}

/** The error that `version` means by these numbers, or undefined. */
export function errorByWire(version: number, vendor: number, type: number, code: number): ErrorRow | undefined {
  return errors.find((row) =>
    row.wire.some(
      (form) =>
        form.from <= version &&
        version <= form.to &&
        form.vendor === vendor &&
        form.type === type &&
        form.code === code,
    ),
  );
}
