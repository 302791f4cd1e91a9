package resp

// Error is an error of the client protocol: the exact text that follows the
// '-' on the wire, its prefix word included. Handlers return one instead of
// writing a reply; tools and clients compare the texts.
type Error string

// Error returns the text.
func (e Error) Error() string { return string(e) }

// Prefix returns the first word, by which statistics and clients tell errors
// apart: "WRONGTYPE", "MOVED", "ERR".
func (e Error) Prefix() string { return ErrorPrefix(string(e)) }

// ErrorPrefix returns what stands before the first blank of an error text.
func ErrorPrefix(text string) string {
	for i := range len(text) {
		if text[i] == ' ' {
			return text[:i]
		}
	}
	return text
}

// Errf builds an Error out of parts; it is fmt-free so that the hot paths that
// produce MOVED and ASK stay cheap.
func Errf(parts ...string) Error {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	text := make([]byte, 0, n)
	for _, p := range parts {
		text = append(text, p...)
	}
	return Error(text)
}

// Errors that any command may answer.
const (
	ErrSyntax        Error = "ERR syntax error"
	ErrWrongType     Error = "WRONGTYPE Operation against a key holding the wrong kind of value"
	ErrNotInteger    Error = "ERR value is not an integer or out of range"
	ErrNotFloat      Error = "ERR value is not a valid float"
	ErrOutOfRange    Error = "ERR value is out of range"
	ErrNotPositive   Error = "ERR value is out of range, must be positive"
	ErrNoSuchKey     Error = "ERR no such key"
	ErrIndexRange    Error = "ERR index out of range"
	ErrOffsetRange   Error = "ERR offset is out of range"
	ErrOverflow      Error = "ERR increment or decrement would overflow"
	ErrNaNOrInfinity Error = "ERR increment would produce NaN or Infinity"
	ErrStringTooLong Error = "ERR string exceeds maximum allowed size (proto-max-bulk-len)"
	ErrSameObject    Error = "ERR source and destination objects are the same"
	ErrInvalidCursor Error = "ERR invalid cursor"
	ErrNotInt32      Error = "ERR value is out of range, value must between -2147483648 and 2147483647"
	ErrDBIndex       Error = "ERR DB index is out of range"
	ErrBusyKey       Error = "BUSYKEY Target key name already exists."
	ErrBadDump       Error = "ERR DUMP payload version or checksum are wrong"
	ErrBadDataFormat Error = "ERR Bad data format"
)

// Errors of the gates that stand before every command.
const (
	ErrNoAuth         Error = "NOAUTH Authentication required."
	ErrWrongPass      Error = "WRONGPASS invalid username-password pair or user is disabled."
	ErrNoPassword     Error = "ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?"
	ErrHelloNoAuth    Error = "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time"
	ErrNoProto        Error = "NOPROTO unsupported protocol version"
	ErrProtoVersion   Error = "ERR Protocol version is not an integer or out of range"
	ErrLoading        Error = "LOADING Redis is loading the dataset in memory"
	ErrMasterDown     Error = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'."
	ErrReadOnly       Error = "READONLY You can't write against a read only replica."
	ErrShuttingDown   Error = "ERR The server is shutting down, and the last snapshot would not have this write"
	ErrNoReplicas     Error = "NOREPLICAS Not enough good replicas to write."
	ErrMisconf        Error = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error."
	ErrOOM            Error = "OOM command not allowed when used memory > 'maxmemory'."
	ErrMaxClients     Error = "ERR max number of clients reached"
	ErrInsideMulti    Error = "ERR Command not allowed inside a transaction"
	ErrProtected      Error = "DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Setup a an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside."
	ErrNoClusterMode  Error = "ERR This instance has cluster support disabled"
	ErrSelectCluster  Error = "ERR SELECT is not allowed in cluster mode"
	ErrBadClientName  Error = "ERR Client names cannot contain spaces, newlines or special characters."
	ErrNoSuchClient   Error = "ERR No such client"
	ErrClientID       Error = "ERR client-id should be greater than 0"
	ErrInvalidID      Error = "ERR Invalid client ID"
	ErrNotTracking    Error = "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled"
	ErrUnblockReason  Error = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
	ErrPauseMode      Error = "ERR CLIENT PAUSE mode must be WRITE or ALL"
	ErrTimeoutInteger Error = "ERR timeout is not an integer or out of range"
	ErrTimeoutNeg     Error = "ERR timeout is negative"
	ErrTimeoutFloat   Error = "ERR timeout is not a float or out of range"
	ErrRoleChanged    Error = "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)"
	ErrUnblocked      Error = "UNBLOCKED client unblocked via CLIENT UNBLOCK"
)

// Errors of transactions.
const (
	ErrExecAbort      Error = "EXECABORT Transaction discarded because of previous errors."
	ErrNestedMulti    Error = "ERR MULTI calls can not be nested"
	ErrExecNoMulti    Error = "ERR EXEC without MULTI"
	ErrDiscardNoMulti Error = "ERR DISCARD without MULTI"
	ErrWatchInMulti   Error = "ERR WATCH inside MULTI is not allowed"
)

// Errors of slot routing; MOVED and ASK carry their slot and endpoint.
const (
	ErrCrossSlot    Error = "CROSSSLOT Keys in request don't hash to the same slot"
	ErrTryAgain     Error = "TRYAGAIN Multiple keys request during rehashing of slot"
	ErrClusterDown  Error = "CLUSTERDOWN The cluster is down"
	ErrDownReads    Error = "CLUSTERDOWN The cluster is down and only accepts read commands"
	ErrSlotUnserved Error = "CLUSTERDOWN Hash slot not served"
)

// Errors of the request scanner. Each ends the connection after it is sent.
const (
	ErrUnauthMultibulk Error = "ERR Protocol error: unauthenticated multibulk length"
	ErrUnauthBulk      Error = "ERR Protocol error: unauthenticated bulk length"
	ErrMultibulkLen    Error = "ERR Protocol error: invalid multibulk length"
	ErrBulkLen         Error = "ERR Protocol error: invalid bulk length"
	ErrBigInline       Error = "ERR Protocol error: too big inline request"
	ErrBigMultibulk    Error = "ERR Protocol error: too big mbulk count string"
	ErrBigBulk         Error = "ERR Protocol error: too big bulk count string"
	ErrUnbalanced      Error = "ERR Protocol error: unbalanced quotes in request"
)

// WrongArity is the error for a call of name with too few or too many
// arguments. The name of a subcommand is written "config|get".
func WrongArity(name string) Error {
	return Errf("ERR wrong number of arguments for '", name, "' command")
}
