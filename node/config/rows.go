package config

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"syscall"
)

// rows is the table of all directives.
func rows() []Row {
	var all []Row
	for _, group := range [][]Row{
		networkRows(), generalRows(), loggingRows(), memoryRows(), encodingRows(),
		persistenceRows(), replicationRows(), clusterRows(), tlsRows(), ownRows(),
	} {
		all = append(all, group...)
	}
	return all
}

const (
	maxInt  = math.MaxInt32
	maxLong = math.MaxInt64
	minInt  = math.MinInt32
	maxPort = 65535
)

// The shapes of rows, so that a table reads as name, default, limits.

func number(name, standard string, low, high int64) Row {
	return Row{Name: name, Kind: integer{min: low, max: high}, Default: []string{standard}}
}

func size(name, standard string, low int64) Row {
	return Row{Name: name, Kind: memory{min: low}, Default: []string{standard}}
}

func yes(name string) Row { return Row{Name: name, Kind: boolean{}, Default: []string{"yes"}} }

func no(name string) Row { return Row{Name: name, Kind: boolean{}, Default: []string{"no"}} }

func word(name, standard string) Row {
	return Row{Name: name, Kind: text{}, Default: []string{standard}}
}

func oneOf(name, standard string, words ...string) Row {
	return Row{Name: name, Kind: choice(words...), Default: []string{standard}}
}

// also gives the row further names.
func (r Row) also(aliases ...string) Row {
	r.Aliases = aliases
	return r
}

// startOnly makes the row immutable.
func (r Row) startOnly() Row {
	r.Immutable = true
	return r
}

// inert tells why the row does nothing.
func (r Row) inert(reason string) Row {
	r.Inert = reason
	return r
}

// hidden keeps the row out of CONFIG GET with a pattern.
func (r Row) hidden() Row {
	r.Hidden = true
	return r
}

// signalOptions are those of shutdown-on-sigint and shutdown-on-sigterm.
func signalOptions() enum {
	const save, nosave = 1, 2
	return enum{
		set:     true,
		options: []option{{"default", 0}, {"save", save}, {"nosave", nosave}, {"now", 4}, {"force", 8}},
		conflict: func(bits int64) error {
			if bits&save != 0 && bits&nosave != 0 {
				return Refusal("shutdown options SAVE and NOSAVE can't be used simultaneously")
			}
			return nil
		},
	}
}

// resolveDir makes dir absolute and wants it to be a directory. The reference
// changes into it at once; here the process does so when it has read all.
func resolveDir(path string) (string, error) {
	if path == "" {
		return "", syscallText(syscall.ENOENT)
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", syscallText(err)
	}
	if !info.IsDir() {
		return "", syscallText(syscall.ENOTDIR)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", syscallText(err)
	}
	return abs, nil
}

// syscallText is an error with the text that C programs print for it.
func syscallText(err error) error {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return err
	}
	msg := []byte(number.Error())
	if msg[0] >= 'a' && msg[0] <= 'z' {
		msg[0] -= 'a' - 'A'
	}
	return Refusal(string(msg))
}
