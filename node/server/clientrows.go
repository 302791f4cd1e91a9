package server

import (
	"slices"
	"time"

	"slotmesh/node/command"
	"slotmesh/node/resp"
)

// clientRow is CLIENT with its subcommands.
func (srv *Server) clientRow() command.Spec {
	const adminFlags = command.Admin | command.NoScript | command.Loading | command.Stale
	row := func(name, syntax string, arity int, flags command.Flags, since, complexity, summary string, run func(*command.Call) error) command.Spec {
		return command.Spec{
			Name: name, Syntax: syntax, Arity: arity, Flags: flags, Group: "connection", Since: since,
			Complexity: complexity, Summary: summary, Categories: []string{"connection"}, Run: run,
		}
	}
	quick := command.NoScript | command.Loading | command.Stale
	kill := row("kill", "<ip:port:string | <[ID client-id] | [TYPE <NORMAL | MASTER | SLAVE | REPLICA | PUBSUB>] | [USER username] | [ADDR ip:port:string] | [LADDR ip:port:string] | [SKIPME <YES | NO>]>>",
		-3, adminFlags, "2.4.0", "O(N) where N is the number of client connections", "Terminates open connections.", srv.clientKill)
	list := row("list", "[TYPE <NORMAL | MASTER | REPLICA | PUBSUB>] [ID client-id [client-id ...]]", -2, adminFlags, "2.4.0",
		"O(N) where N is the number of client connections", "Lists open connections.", srv.clientList)
	list.Tips, list.Heavy = []string{"nondeterministic_output"}, srv.longList
	info := row("info", "", 2, quick, "6.2.0", "O(1)", "Returns information about the connection.", srv.clientInfo)
	info.Tips = []string{"nondeterministic_output"}
	return command.Spec{
		Name: "client", Arity: -2, Group: "connection", Since: "2.4.0", Complexity: "Depends on subcommand.",
		Summary: "A container for client connection commands.",
		Sub: []command.Spec{
			row("caching", "<YES | NO>", 3, quick, "6.0.0", "O(1)", "Instructs the server whether to track the keys in the next request.", clientCaching),
			row("getname", "", 2, quick, "2.6.9", "O(1)", "Returns the name of the connection.", clientGetName),
			row("getredir", "", 2, quick, "6.0.0", "O(1)", "Returns the client ID to which the connection's tracking notifications are redirected.",
				func(c *command.Call) error { c.Reply.Int(-1); return nil }),
			row("help", "", 2, command.Loading|command.Stale, "5.0.0", "O(1)", "Returns helpful text about the different subcommands.", clientHelp),
			row("id", "", 2, quick, "5.0.0", "O(1)", "Returns the unique client ID of the connection.",
				func(c *command.Call) error { c.Reply.Int(int64(c.Conn.ID())); return nil }),
			info, kill, list,
			row("no-evict", "<ON | OFF>", 3, adminFlags, "7.0.0", "O(1)", "Sets the client eviction mode of the connection.", clientSwitch(flagNoEvict)),
			row("no-touch", "<ON | OFF>", 3, quick, "7.2.0", "O(1)", "Controls whether commands sent by the client affect the LRU/LFU of accessed keys.", clientSwitch(flagNoTouch)),
			row("pause", "timeout [WRITE | ALL]", -3, adminFlags, "2.9.50", "O(1)", "Suspends commands processing.", srv.clientPause),
			row("reply", "<ON | OFF | SKIP>", 3, quick, "3.2.0", "O(1)", "Instructs the server whether to reply to commands.", clientReply),
			row("setinfo", "<LIB-NAME libname | LIB-VER libver>", 4, quick, "7.2.0", "O(1)", "Sets information specific to the client or connection.", clientSetInfo),
			row("setname", "connection-name", 3, quick, "2.6.9", "O(1)", "Sets the connection name.", clientSetName),
			row("tracking", "<ON | OFF> [REDIRECT client-id] [PREFIX prefix [PREFIX prefix ...]] [BCAST] [OPTIN] [OPTOUT] [NOLOOP]", -3, quick, "6.0.0",
				"O(1). Some options may introduce additional complexity.", "Controls server-assisted client-side caching for the connection.", clientTracking),
			row("trackinginfo", "", 2, quick, "6.2.0", "O(1)", "Returns information about server-assisted client-side caching for the connection.", clientTrackingInfo),
			row("unblock", "client-id [TIMEOUT | ERROR]", -3, adminFlags, "5.0.0", "O(log N) where N is the number of client connections",
				"Unblocks a client blocked by a blocking command from a different connection.", srv.clientUnblock),
			row("unpause", "", 2, adminFlags, "6.2.0", "O(N) Where N is the number of paused clients", "Resumes processing commands from paused clients.",
				func(c *command.Call) error {
					srv.UnpauseClients(PauseByClient)
					c.Reply.OK()
					return nil
				}),
		},
	}
}

func clientSetName(c *command.Call) error {
	if !validName(c.Args[2]) {
		return resp.ErrBadClientName
	}
	sessionOf(c).setName(string(c.Args[2]))
	c.Reply.OK()
	return nil
}

func clientGetName(c *command.Call) error {
	v := sessionOf(c).snapshot()
	if v.name == "" {
		c.Reply.Null()
		return nil
	}
	c.Reply.BulkString(v.name)
	return nil
}

func clientSetInfo(c *command.Call) error {
	s := sessionOf(c)
	attribute, value := c.Args[2], c.Args[3]
	if !command.IsWord(attribute, "lib-name") && !command.IsWord(attribute, "lib-ver") {
		return resp.Errf("ERR Unrecognized option '", string(attribute), "'")
	}
	if !validName(value) {
		return resp.Errf("ERR ", string(attribute), " cannot contain spaces, newlines or special characters.")
	}
	s.bench.mu.Lock()
	if command.IsWord(attribute, "lib-name") {
		s.view.libName = string(value)
	} else {
		s.view.libVersion = string(value)
	}
	s.bench.mu.Unlock()
	c.Reply.OK()
	return nil
}

// clientSwitch is a subcommand that turns one fact of the connection on or off.
func clientSwitch(flag sessionFlags) func(*command.Call) error {
	return func(c *command.Call) error {
		s := sessionOf(c)
		switch {
		case command.IsWord(c.Args[2], "on"):
			s.flags |= flag
		case command.IsWord(c.Args[2], "off"):
			s.flags &^= flag
		default:
			return resp.ErrSyntax
		}
		c.Reply.OK()
		return nil
	}
}

func clientReply(c *command.Call) error {
	s := sessionOf(c)
	switch {
	case command.IsWord(c.Args[2], "on"):
		s.flags &^= flagReplyOff | flagReplySkip | flagReplySkipNext
		c.Reply.OK()
	case command.IsWord(c.Args[2], "off"):
		s.flags |= flagReplyOff
	case command.IsWord(c.Args[2], "skip"):
		if s.flags&flagReplyOff == 0 {
			s.flags |= flagReplySkipNext
		}
	default:
		return resp.ErrSyntax
	}
	return nil
}

// clientTracking accepts OFF; keys are not tracked for clients.
func clientTracking(c *command.Call) error {
	switch {
	case command.IsWord(c.Args[2], "off") && len(c.Args) == 3:
		c.Reply.OK()
		return nil
	case command.IsWord(c.Args[2], "on"):
		return resp.Error("ERR Client tracking is not supported by this server")
	}
	return resp.ErrSyntax
}

func clientTrackingInfo(c *command.Call) error {
	w := c.Reply
	w.Map(3)
	w.BulkString("flags")
	w.Set(1)
	w.BulkString("off")
	w.BulkString("redirect")
	w.Int(-1)
	w.BulkString("prefixes")
	w.Array(0)
	return nil
}

func clientCaching(c *command.Call) error {
	if !command.IsWord(c.Args[2], "yes") && !command.IsWord(c.Args[2], "no") {
		return resp.ErrSyntax
	}
	return resp.ErrNotTracking
}

func (srv *Server) clientInfo(c *command.Call) error {
	s := sessionOf(c)
	v := s.ownView(c)
	c.Reply.Text(func(text []byte) []byte { return s.appendLine(text, &v, srv.clock()) })
	return nil
}

// loopClients is how many clients may be listed on a loop.
const loopClients = 400

// longList reports whether CLIENT LIST tells of more.
func (srv *Server) longList(c *command.Call) bool {
	if len(c.Args) > 3 && command.IsWord(c.Args[2], "id") {
		return len(c.Args)-3 > loopClients
	}
	srv.mu.Lock()
	defer srv.mu.Unlock()
	return len(srv.clients) > loopClients
}

func (srv *Server) clientList(c *command.Call) error {
	var filter ClientFilter
	args := c.Args
	switch {
	case len(args) == 2:
	case len(args) == 4 && command.IsWord(args[2], "type"):
		kind, err := clientType(args[3])
		if err != "" {
			return err
		}
		filter.Type = kind
	case len(args) > 3 && command.IsWord(args[2], "id"):
		for _, arg := range args[3:] {
			id, ok := parseID(arg)
			if !ok {
				return resp.ErrInvalidID
			}
			filter.IDs = append(filter.IDs, id)
		}
	default:
		return resp.ErrSyntax
	}
	self, now := sessionOf(c), srv.clock()
	c.Reply.Text(func(text []byte) []byte {
		for _, s := range srv.chosen(filter) {
			if s == self {
				v := s.ownView(c)
				text = s.appendLine(text, &v, now)
				continue
			}
			s.bench.mu.Lock()
			text = s.appendLine(text, &s.view, now)
			s.bench.mu.Unlock()
		}
		return text
	})
	return nil
}

// clientType reads the type of CLIENT LIST and KILL.
func clientType(arg []byte) (string, resp.Error) {
	for _, name := range []string{"normal", "master", "replica", "pubsub"} {
		if command.IsWord(arg, name) {
			return name, ""
		}
	}
	if command.IsWord(arg, "slave") {
		return "replica", ""
	}
	return "", resp.Errf("ERR Unknown client type '", string(arg), "'")
}

// clientKill is both forms: an address alone, or options with values.
func (srv *Server) clientKill(c *command.Call) error {
	self := sessionOf(c)
	if len(c.Args) == 3 {
		sessions := srv.chosen(ClientFilter{Addr: string(c.Args[2])})
		if len(sessions) == 0 {
			return resp.ErrNoSuchClient
		}
		srv.killFrom(self, sessions[:1])
		c.Reply.OK()
		return nil
	}
	filter := ClientFilter{Skip: self.id}
	var one [1]uint64
	for at := 2; at < len(c.Args); at += 2 {
		if at+1 == len(c.Args) {
			return resp.ErrSyntax
		}
		option, value := c.Args[at], c.Args[at+1]
		switch {
		case command.IsWord(option, "id"):
			id, ok := parseID(value)
			if !ok {
				return resp.ErrClientID
			}
			filter.IDs = append(one[:0], id)
		case command.IsWord(option, "type"):
			kind, err := clientType(value)
			if err != "" {
				return err
			}
			filter.Type = kind
		case command.IsWord(option, "addr"):
			filter.Addr = string(value)
		case command.IsWord(option, "laddr"):
			filter.LocalAddr = string(value)
		case command.IsWord(option, "user"):
			if string(value) != defaultUser {
				return resp.Errf("ERR No such user '", string(value), "'")
			}
			filter.User = defaultUser
		case command.IsWord(option, "skipme") && command.IsWord(value, "yes"):
			filter.Skip = self.id
		case command.IsWord(option, "skipme") && command.IsWord(value, "no"):
			filter.Skip = 0
		default:
			return resp.ErrSyntax
		}
	}
	sessions := srv.chosen(filter)
	srv.killFrom(self, sessions)
	c.Reply.Int(int64(len(sessions)))
	return nil
}

// killFrom kills sessions for self, which, when it is one of them, gets its
// reply first.
func (srv *Server) killFrom(self *session, sessions []*session) {
	for _, s := range sessions {
		if s == self {
			s.CloseAfterReply()
			continue
		}
		srv.kill(s)
	}
}

func (srv *Server) clientPause(c *command.Call) error {
	mode := PauseAll
	if len(c.Args) == 4 {
		switch {
		case command.IsWord(c.Args[3], "write"):
			mode = PauseWrites
		case !command.IsWord(c.Args[3], "all"):
			return resp.ErrPauseMode
		}
	} else if len(c.Args) > 4 {
		return resp.ErrSyntax
	}
	ms, ok := resp.ParseInt(c.Args[2])
	switch {
	case !ok || ms > int64(1<<62)/int64(time.Millisecond):
		return resp.ErrTimeoutInteger
	case ms < 0:
		return resp.ErrTimeoutNeg
	}
	srv.PauseClients(PauseByClient, mode, time.Duration(ms)*time.Millisecond)
	c.Reply.OK()
	return nil
}

func (srv *Server) clientUnblock(c *command.Call) error {
	withError := false
	if len(c.Args) == 4 {
		switch {
		case command.IsWord(c.Args[3], "error"):
			withError = true
		case !command.IsWord(c.Args[3], "timeout"):
			return resp.ErrUnblockReason
		}
	} else if len(c.Args) > 4 {
		return resp.Errf("ERR unknown subcommand or wrong number of arguments for '", string(c.Args[1]), "'. Try CLIENT HELP.")
	}
	n, ok := resp.ParseInt(c.Args[2])
	if !ok {
		return resp.ErrNotInteger
	}
	srv.mu.Lock()
	s := srv.clients[uint64(n)]
	srv.mu.Unlock()
	if s != nil {
		if v := s.snapshot(); v.blocked != nil && v.blocked.unblock(withError) {
			c.Reply.Int(1)
			return nil
		}
	}
	c.Reply.Int(0)
	return nil
}

// clientHelp answers in the reference's form.
func clientHelp(c *command.Call) error {
	c.Reply.Array(len(clientHelpLines))
	for _, line := range clientHelpLines {
		c.Reply.Simple(line)
	}
	return nil
}

var clientHelpLines = slices.Clip([]string{
	"CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
	"CACHING (YES|NO)",
	"    For tracking with OPTIN or OPTOUT: whether the next command's keys are tracked.",
	"GETREDIR",
	"    The client id that tracking messages are sent to, -1 for none.",
	"GETNAME",
	"    The name of this connection.",
	"ID",
	"    The id of this connection.",
	"INFO",
	"    What CLIENT LIST shows of this connection.",
	"KILL <ip:port>",
	"    Close the connection from <ip:port>.",
	"KILL <option> <value> [<option> <value> [...]]",
	"    Close connections. Options are:",
	"    * ADDR (<ip:port>|<unixsocket>:0)",
	"      Those made from this address.",
	"    * LADDR (<ip:port>|<unixsocket>:0)",
	"      Those made to this local address.",
	"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
	"      Those of this type.",
	"    * USER <username>",
	"      Those authenticated as <username>.",
	"    * ID <client-id>",
	"      The one with this id.",
	"    * SKIPME (YES|NO)",
	"      Whether the connection that asks is spared (default: yes).",
	"LIST [options ...]",
	"    One line for each connection. Options:",
	"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
	"      Those of this type.",
	"    * ID <client-id> [...]",
	"      Those with these ids.",
	"NO-EVICT (ON|OFF)",
	"    Spare this connection when clients use too much memory.",
	"NO-TOUCH (ON|OFF)",
	"    Leave the LRU and LFU marks of keys alone.",
	"PAUSE <timeout> [WRITE|ALL]",
	"    Hold back commands, or only those that write, for <timeout> milliseconds.",
	"REPLY (ON|OFF|SKIP)",
	"    Whether this connection gets replies.",
	"SETINFO <option> <value>",
	"    Tell what library is used. Options are:",
	"    * LIB-NAME: its name.",
	"    * LIB-VER: its version.",
	"SETNAME <name>",
	"    Give this connection a name.",
	"TRACKING (ON|OFF) [...]",
	"    Server-assisted client-side caching.",
	"TRACKINGINFO",
	"    Whether and how this connection's keys are tracked.",
	"UNBLOCK <clientid> [TIMEOUT|ERROR]",
	"    End the blocking command of a client.",
	"UNPAUSE",
	"    End CLIENT PAUSE.",
	"HELP",
	"    This text.",
})
