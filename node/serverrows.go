package node

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"

	"slotmesh/node/command"
)

// serverRows are the commands about the server that fit nowhere else.
func (n *Node) serverRows() []command.Spec {
	return []command.Spec{
		{
			Name: "time", Arity: 1, Flags: command.Loading | command.Stale | command.Fast,
			Group: "server", Since: "2.6.0", Complexity: "O(1)", Summary: "Returns the server's time.",
			Tips: []string{"nondeterministic_output"}, Run: n.time,
		},
		{
			Name: "lolwut", Syntax: "[VERSION version]", Arity: -1, Flags: command.ReadOnly | command.Fast,
			Group: "server", Since: "5.0.0", Summary: "Returns the server's version, and a picture.", Run: lolwut(),
		},
		n.shutdownRow(),
		moduleRow(), n.memoryRow(), aclRow(n),
	}
}

// time answers in seconds and microseconds of its own clock: a call's frozen
// time has only milliseconds.
func (n *Node) time(c *command.Call) error {
	now := time.Now()
	c.Reply.Array(2)
	c.Reply.BulkString(strconv.FormatInt(now.Unix(), 10))
	c.Reply.BulkString(strconv.FormatInt(int64(now.Nanosecond()/1000), 10))
	return nil
}

// lolwut returns LOLWUT, whose picture is always the same.
func lolwut() func(*command.Call) error {
	picture := strings.TrimRight(strings.Join(logo("any", 0, 0)[1:4], "\n"), " ")
	text := picture + "\nSlotmesh ver. " + Version + ", Redis ver. " + ReportedVersion + "\n"
	return func(c *command.Call) error {
		c.Reply.Verbatim("txt", text)
		return nil
	}
}

// moduleRow is MODULE, which has none to list.
func moduleRow() command.Spec {
	return command.Spec{
		Name: "module", Arity: -2, Group: "server", Since: "4.0.0", Complexity: "Depends on subcommand.",
		Summary: "Lists modules; there are none.",
		Sub: []command.Spec{
			{
				Name: "list", Arity: 2, Flags: command.Admin | command.NoScript, Group: "server", Since: "4.0.0",
				Complexity: "O(N) where N is the number of loaded modules.", Summary: "Lists the modules, of which there are none.",
				Tips: []string{"nondeterministic_output_order"},
				Run: func(c *command.Call) error {
					c.Reply.Array(0)
					return nil
				},
			},
			{
				Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: "server", Since: "5.0.0", Complexity: "O(1)",
				Summary: "Lists the subcommands.",
				Run: func(c *command.Call) error {
					command.Help(c.Reply, "MODULE", "LIST", "    Return the modules: none, they are not supported.")
					return nil
				},
			},
		},
	}
}

// aclRow is the part of ACL that tells about the one user there is.
func aclRow(n *Node) command.Spec {
	admin := command.Admin | command.NoScript | command.Loading | command.Stale
	return command.Spec{
		Name: "acl", Arity: -2, Group: "server", Since: "6.0.0", Complexity: "Depends on subcommand.",
		Summary: "Tells about users; there is one.",
		Sub: []command.Spec{
			{
				Name: "whoami", Arity: 2, Flags: command.NoScript | command.Loading | command.Stale, Group: "server", Since: "6.0.0",
				Complexity: "O(1)", Summary: "Returns the user of the connection.",
				Run: func(c *command.Call) error {
					c.Reply.BulkString("default")
					return nil
				},
			},
			{
				Name: "users", Arity: 2, Flags: admin, Group: "server", Since: "6.0.0",
				Complexity: "O(N). Where N is the number of configured users.", Summary: "Lists the users.",
				Run: func(c *command.Call) error {
					c.Reply.Array(1)
					c.Reply.BulkString("default")
					return nil
				},
			},
			{
				Name: "list", Arity: 2, Flags: admin, Group: "server", Since: "6.0.0",
				Complexity: "O(N). Where N is the number of configured users.", Summary: "Lists the users with what they may do.",
				Run: func(c *command.Call) error {
					c.Reply.Array(1)
					c.Reply.BulkString(n.defaultUser())
					return nil
				},
			},
			{
				Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: "server", Since: "6.0.0", Complexity: "O(1)",
				Summary: "Lists the subcommands.",
				Run: func(c *command.Call) error {
					command.Help(c.Reply, "ACL",
						"LIST", "    Return the users with what they may do: one, default, with requirepass.",
						"USERS", "    Return the names of the users.",
						"WHOAMI", "    Return the user of this connection.")
					return nil
				},
			},
		},
	}
}

// defaultUser is the one user as ACL LIST writes it. Its password is shown as a
// SHA-256, like the reference's.
func (n *Node) defaultUser() string {
	password := "nopass"
	if secret := n.cfg.Text("requirepass").Load(); secret != "" {
		sum := sha256.Sum256([]byte(secret))
		password = "#" + hex.EncodeToString(sum[:])
	}
	return "user default on " + password + " ~* &* +@all"
}
