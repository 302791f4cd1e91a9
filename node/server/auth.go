package server

import (
	"crypto/subtle"

	"slotmesh/node/command"
	"slotmesh/node/resp"
)

// auth decides who a connection is. There is one user, "default", whose
// password is requirepass; an empty one lets everybody in.
type auth struct{ password Text }

// required reports whether connections must authenticate.
func (a *auth) required() bool { return a.password.Load() != "" }

// check returns the error for a user name and a password, or "". named is false
// for AUTH with a password only.
func (a *auth) check(named bool, user, password []byte) resp.Error {
	want := a.password.Load()
	switch {
	case !named && want == "":
		return resp.ErrNoPassword
	case named && string(user) != defaultUser:
		return resp.ErrWrongPass
	case want == "", subtle.ConstantTimeCompare([]byte(want), password) == 1:
		return ""
	}
	return resp.ErrWrongPass
}

const defaultUser = "default"

// authenticated lifts what holds for strangers.
func (s *session) authenticated() {
	s.flags &^= flagUnauthenticated
	s.scan.Restricted = false
}

// protectedCommand returns why DEBUG or MODULE may not be used here, or "".
func (s *session) protectedCommand(r *row) string {
	name, setting, directive := "DEBUG", s.srv.set.DebugCommand, "enable-debug-command"
	root := r.spec
	if root.Parent() != nil {
		root = root.Parent()
	}
	if root.Name == "module" {
		name, setting, directive = "MODULE", s.srv.set.ModuleCommand, "enable-module-command"
	}
	switch setting.Load() {
	case "yes":
		return ""
	case "local":
		if s.flags&flagUnix != 0 || isLoopback(s.remote) {
			return ""
		}
	}
	return "ERR " + name + " command not allowed. If the " + directive + " option is set to \"local\", you can run it from a local connection, otherwise you need to set this option in the configuration file, and then restart the server."
}

// authRow is AUTH.
func (srv *Server) authRow() command.Spec {
	return command.Spec{
		Name: "auth", Syntax: "[username] password", Arity: -2,
		Flags: command.NoScript | command.Loading | command.Stale | command.Fast | command.NoAuth | command.AllowBusy,
		Group: "connection", Since: "1.0.0", Complexity: "O(N) where N is the number of passwords defined for the user",
		Summary: "Authenticates the connection.",
		Run: func(c *command.Call) error {
			if len(c.Args) > 3 {
				return resp.ErrSyntax
			}
			named := len(c.Args) == 3
			user, password := []byte(defaultUser), c.Args[len(c.Args)-1]
			if named {
				user = c.Args[1]
			}
			if err := srv.auth.check(named, user, password); err != "" {
				return err
			}
			sessionOf(c).authenticated()
			c.Reply.OK()
			return nil
		},
	}
}
