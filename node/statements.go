package node

import (
	"log/slog"
	"slices"
	"strings"

	"slotmesh/node/command"
	"slotmesh/node/config"
)

// renameCommands applies rename-command: a command gets another name, or none
// and is gone.
func renameCommands(renames []config.Statement, families ...[]command.Spec) ([][]command.Spec, error) {
	at := func(name string) (family, row int, ok bool) {
		for f := range families {
			for r := range families[f] {
				if families[f][r].Name == name {
					return f, r, true
				}
			}
		}
		return 0, 0, false
	}
	for _, s := range renames {
		old, name := strings.ToLower(s.Args[0]), strings.ToLower(s.Args[1])
		f, r, ok := at(old)
		if !ok {
			return nil, s.Fail("No such command in rename-command")
		}
		if name == "" {
			families[f] = slices.Delete(families[f], r, r+1)
			continue
		}
		if _, _, taken := at(name); taken {
			return nil, s.Fail("Target command name already exists")
		}
		families[f][r].Name = name
	}
	return families, nil
}

// applyStatements does what can be done with user and loadmodule lines, and
// says what cannot: there is one user and there are no modules.
func applyStatements(cfg *config.Config, log *slog.Logger) {
	for _, s := range cfg.Statements("loadmodule") {
		log.Warn("loadmodule has no effect: modules are not supported", "module", s.Args[0])
	}
	for _, s := range cfg.Statements("user") {
		password, understood := userPassword(s.Args)
		if !understood {
			log.Warn("user has no effect: there is one user, default, who may do everything and whose password is requirepass", "user", s.Args[0])
			continue
		}
		if password != "" {
			if err := cfg.Assign("requirepass", password); err != nil {
				log.Warn(err.Error())
			}
		}
	}
}

// userPassword understands the one kind of user line that has a meaning here:
// the default user, who is on, may do everything, and has at most one password.
func userPassword(words []string) (password string, understood bool) {
	if words[0] != "default" {
		return "", false
	}
	for _, word := range words[1:] {
		switch {
		case word == "on", word == "nopass", word == "sanitize-payload", word == "+@all", word == "allcommands",
			word == "~*", word == "allkeys", word == "&*", word == "allchannels":
		case strings.HasPrefix(word, ">") && len(word) > 1 && password == "":
			password = word[1:]
		default:
			return "", false
		}
	}
	return password, true
}
