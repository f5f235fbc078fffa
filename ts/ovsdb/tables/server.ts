/** The `_Server` database, in which a server describes the databases it serves. */
import type { DatabaseSpec } from "./column.js";
import { boolean, column, integer, oneOf, optional, string, uuid } from "./column.js";

export const server: DatabaseSpec = {
  name: "_Server",
  version: "1.2.0",
  about: "What a server serves; read-only for clients.",
  tables: {
    Database: {
      about: "One row for every database of this server.",
      isRoot: true,
      columns: {
        name: column(string, "Name of the database, as `list_dbs` gives it."),
        model: column(oneOf("standalone", "clustered", "relay"), "How the database is stored."),
        connected: column(boolean, "Whether the database is in contact with its storage or cluster."),
        leader: column(boolean, "Whether this server leads the cluster; always true when standalone."),
        schema: column(optional(string), "The schema as JSON text, empty while it is not known."),
        cid: column(optional(uuid), "The cluster's id."),
        sid: column(optional(uuid), "This server's id within the cluster."),
        index: column(optional(integer), "Number of the newest log entry of a clustered database."),
      },
    },
  },
};
