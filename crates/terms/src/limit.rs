//! Every numeric bound that more than one crate or a test needs, each with its unit and its reason.

/// Longest SQL text that is parsed, in bytes: ten times the longest query an analyst writes by hand.
pub const SQL_BYTES_MAX: usize = 64 * 1024;

/// Most tokens in one SQL text. Counted before parsing: a flat chain of some hundred `OR` terms nests
/// a parsed tree deep enough to overflow a thread's stack.
pub const SQL_TOKENS_MAX: usize = 4_000;

/// Most expression nodes in one query, counted on the parsed tree before planning.
pub const SQL_EXPRESSIONS_MAX: usize = 1_000;

/// Deepest nesting of expressions and subqueries in one query.
pub const SQL_DEPTH_MAX: usize = 100;

/// Most cells (groups) that one release may have.
pub const GROUPS_MAX: usize = 100_000;

/// Most rows that one release may have. They leave while they are read, so that it is no measure of a node's memory: what has
/// more is rather copied than asked for.
pub const ROWS_MAX: usize = 50_000_000;

/// Rows of up to so many bytes are read to their end before the first leaves, and are recorded, signed and kept like cells; of
/// more than that, the first leave while others are read.
pub const WHOLE_ROWS_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Answers whose rows leave while they are read, at one node at the same time: each holds an open file and some batches, for as
/// long as its reader takes.
pub const ROW_STREAMS_AT_ONCE_MAX: usize = 64;

/// Memory for one query at a node, in bytes; less where the operator's control group allows the process less.
pub const QUERY_MEMORY_BYTES_MAX: usize = 1 << 30;

/// Longest run of one query at a node, in seconds.
pub const QUERY_SECONDS_MAX: u64 = 300;

/// Steps at which a node tells what went wrong after a query was decided, in milliseconds since the request came. When
/// an engine fails can depend on whom it read; at steps of several times a short query it says next to nothing.
pub const ERROR_GRID_MILLISECONDS: u64 = 50;

/// Queries that one node runs at the same time; the next ones wait.
pub const QUERIES_AT_ONCE_MAX: usize = 16;

/// Largest message on the wire, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Largest message of an answer that a client takes from a node, in bytes. Nodes send about two million at a time.
pub const ANSWER_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Largest message of a fit, in bytes: what a hundred nodes add to a step of a hundred parameters.
pub const FIT_MESSAGE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a node waits for the next step of a fit, in seconds.
pub const FIT_STEP_SECONDS_MAX: u64 = 60;

/// How long a node may say nothing before a fit goes on without it, in seconds. Shorter than the others wait.
pub const FIT_SILENCE_SECONDS_MAX: u64 = 40;

/// How long a fit may take, in seconds.
pub const FIT_SECONDS_MAX: u64 = 600;

/// Largest answer that a client takes from one node, in bytes: what the most rows need, with room for long texts.
pub const ANSWER_BYTES_MAX: usize = 1 << 30;

/// SQL texts that one node reads at the same time. Each takes a thread with a deep stack.
pub const READING_AT_ONCE_MAX: usize = 16;

/// How long a client waits for the broker's catalogue, in seconds.
pub const CATALOG_SECONDS_MAX: u64 = 30;

/// Largest signed document (a policy, a collection, the roster), in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1024 * 1024;

/// Most documents in one data space: ten thousand policies with what they refer to.
pub const DOCUMENTS_MAX: usize = 10_240;

/// Longest life of a person's credential, in seconds.
pub const CREDENTIAL_SECONDS_MAX: i64 = 24 * 3600;

/// Life of the proof that accompanies one query, in seconds.
pub const PROOF_SECONDS: i64 = 60;

/// Refusals of one person within the window after which a node reads nothing of theirs: several times those of somebody
/// who is learning, and too few to search with.
pub const LOCKOUT_REFUSALS_MAX: usize = 30;

/// The window in which refusals are counted, in seconds.
pub const LOCKOUT_WINDOW_SECONDS: i64 = 3600;

/// Clock difference that is tolerated between machines, in seconds.
pub const CLOCK_LEEWAY_SECONDS: i64 = 30;

/// Largest token text (credential or proof), in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// Longest TLS handshake, in seconds.
pub const HANDSHAKE_SECONDS_MAX: u64 = 10;

/// Streams on one connection.
pub const STREAMS_PER_CONNECTION_MAX: u32 = 100;

/// Header list on one call, in bytes.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * 1024;

/// Streams on one connection to a broker: the nodes that somebody reaches through it, and the calls that a node carries.
pub const RELAY_STREAMS_PER_CONNECTION_MAX: u32 = 1_024;

/// Bytes of one stream of a connection to a broker that may be on their way unread: what is said while a busy machine gets round to asking
/// for more.
pub const RELAY_STREAM_WINDOW_BYTES: u32 = 512 * 1024;

/// Bytes of all its streams that may be. As many as all people of one member may hold to a node, or slow readers would stop all others.
pub const RELAY_CONNECTION_WINDOW_BYTES: u32 = 64 * 1024 * 1024;

/// Longest frame of HTTP/2 on a connection to a broker, in bytes: a piece of what is carried is one frame.
pub const RELAY_FRAME_BYTES: u32 = 64 * 1024;

/// Longest frame of an answer of a node, in bytes: with its head of nine bytes it fills three TLS records of 16 KiB, and these, carried, are
/// one piece.
pub const ANSWER_FRAME_BYTES: u32 = 3 * 16 * 1024 - 9;

/// After how long without a word the other end of a connection that is held open is made to say something, in seconds: well under the
/// idle times of middle boxes.
pub const HELD_KEEP_ALIVE_SECONDS: u64 = 15;

/// How long it may take to, in seconds. With the time before, a connection that is dead is noticed within 30 s.
pub const HELD_KEEP_ALIVE_ANSWER_SECONDS_MAX: u64 = 10;

/// Tunnels of one member at a broker; one more ends the oldest.
pub const TUNNELS_PER_MEMBER_MAX: usize = 8;

/// Connections through tunnels that a node holds at the same time, beside those that it accepts.
pub const CARRIED_CONNECTIONS_MAX: usize = 1_024;

/// Calls that one tunnel carries at the same time.
pub const CALLS_PER_TUNNEL_MAX: usize = 256;

/// Calls of one person to one node through a broker at the same time: several times what a program needs.
pub const CALLS_PER_CALLER_MAX: usize = 16;

/// Calls of all people of one member to one node through a broker at the same time. Who its people are, a member says alone.
pub const CALLS_PER_MEMBER_MAX: usize = 128;

/// How long a node may take to take up a call, in seconds.
pub const CALL_SECONDS_MAX: u64 = 10;

/// How long bytes may wait at a broker for a reader who does not take them, in seconds.
pub const CARRIED_REST_SECONDS_MAX: u64 = 20;

/// Connections to a broker at the same time that come by short requests, where networks let nothing else pass. Each holds up to half a
/// megabyte of what was said and not yet heard.
pub const POLL_SESSIONS_MAX: usize = 512;

/// The same from one address: the nodes and people behind one proxy.
pub const POLL_SESSIONS_PER_PEER_MAX: usize = 64;

/// Open connections at one server.
pub const CONNECTIONS_MAX: usize = 4_096;

/// Those from one address: so few that a handful of addresses cannot take them all, and as many as the programs and some dozen nodes of an
/// institution need, which all come from one address.
pub const CONNECTIONS_PER_ADDRESS_MAX: usize = 256;

/// How long a client waits for one node's answer to one part of a question, in seconds, unless whoever asks says otherwise: the
/// longest run of a query, and what comes around it.
pub const NODE_ANSWER_SECONDS_MAX: u64 = 330;

/// How long a client waits for one node to say whether it would answer, in seconds: it reads a text and writes one entry.
pub const NODE_DRY_RUN_SECONDS_MAX: u64 = 30;
/// Longest time that whoever asks may give the nodes for a question, in seconds: that of several parts that run as long as a node lets
/// them.
pub const TIMEOUT_SECONDS_MAX: u64 = 3600;

/// How long the other end of a connection may say nothing while it is asked something, in seconds, until the same is asked on another
/// connection too: a few times the pause after which it is made to say something.
pub const SILENCE_SECONDS_MAX: u64 = 4;

/// After how long without a word the other end of a connection is made to say something while a call is open, in seconds.
pub const KEEP_ALIVE_SECONDS: u64 = 1;

/// How long a client waits for a connection to a node, in seconds.
pub const CONNECT_SECONDS_MAX: u64 = 10;

/// Bytes that must be free on the disk of a node's ledger before a query is looked at: more than all that run at the same time can still
/// record, so that none of them is worked for in vain.
pub const LEDGER_ROOM_BYTES_MIN: u64 = 64 * 1024 * 1024;

/// Most released values that a node keeps to compare later ones with: some hundred bytes each.
pub const KEPT_VALUES_MAX: u64 = 2_000_000;

/// Connections that a gateway holds at the same time: the programs of one person on one machine.
pub const GATEWAY_CONNECTIONS_MAX: usize = 64;

/// Questions that a gateway asks at the same time; more are refused. Each holds the answers of all nodes in memory.
pub const GATEWAY_QUESTIONS_MAX: usize = 8;

/// Prepared statements of one connection to a gateway: several times what programs hold open.
pub const GATEWAY_PREPARED_MAX: usize = 64;

/// Questions that wait on one connection to a gateway until their answers are fetched.
pub const GATEWAY_TICKETS_MAX: usize = 64;

/// How long such a question waits, in seconds.
pub const GATEWAY_TICKET_SECONDS_MAX: u64 = 300;

/// Memory of all answers that a gateway delivers, in bytes.
pub const GATEWAY_ANSWERS_BYTES_MAX: usize = 2 << 30;

/// Longest text about an answer in its schema, in bytes, so that the schema fits a message of the smallest client; what is longer is
/// read as a table.
pub const GATEWAY_METADATA_BYTES_MAX: usize = 512 * 1024;

/// How old documents, catalogue and credential may be when a gateway asks, in seconds.
pub const GATEWAY_RENEWED_SECONDS: u64 = 60;

/// Most nodes in one masked sum. What they say to each other grows with the square of it: at the most, a megabyte to each.
pub const MASKED_SUM_NODES_MAX: usize = 100;

/// Most numbers in one masked sum: a vector of a megabyte.
pub const MASKED_SUM_ENTRIES_MAX: usize = 65_536;
