package repl

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"slotmesh/node/resp"
)

// link is one connection to the primary. Its goroutine reads; writes may come
// from others and are serialized.
type link struct {
	r    *Replica
	conn net.Conn
	in   *bufio.Reader

	writing sync.Mutex

	// lasting receives when more is on the disk that was asked for; awaiting is
	// true while that is being waited for, and forget ends it.
	lasting  chan struct{}
	awaiting atomic.Bool
	forget   func() bool
}

func newLink(r *Replica, conn net.Conn) *link {
	l := &link{r: r, conn: conn, lasting: make(chan struct{}, 1)}
	l.in = bufio.NewReaderSize(hearing{l}, 64<<10)
	return l
}

// hearing reads from the primary, notes that it was heard and gives up on one
// that is silent for repl-timeout.
type hearing struct{ l *link }

func (h hearing) Read(b []byte) (int, error) {
	if timeout := h.l.r.o.Settings().Timeout; timeout > 0 {
		h.l.conn.SetReadDeadline(time.Now().Add(timeout))
	}
	n, err := h.l.conn.Read(b)
	if n > 0 {
		h.l.r.heardAt.Store(time.Now().UnixNano())
	}
	return n, err
}

func (l *link) send(words ...string) error {
	return l.sendRaw(resp.AppendCommand(nil, words...))
}

func (l *link) sendRaw(b []byte) error {
	l.writing.Lock()
	defer l.writing.Unlock()
	if timeout := l.r.o.Settings().Timeout; timeout > 0 {
		l.conn.SetWriteDeadline(time.Now().Add(timeout))
	}
	_, err := l.conn.Write(b)
	return err
}

// line reads an answer of one line. Line feeds before it keep the link alive
// and mean nothing.
func (l *link) line() (string, error) {
	const longest = 4 << 10
	for {
		b, err := l.in.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		if len(b) > longest {
			return "", errors.New("repl: an answer of the primary is too long")
		}
		if text := strings.TrimRight(string(b), "\r\n"); text != "" {
			return text, nil
		}
	}
}

// ask sends words and returns the answer.
func (l *link) ask(words ...string) (string, error) {
	if err := l.send(words...); err != nil {
		return "", err
	}
	return l.line()
}

// answer is what the primary said to PSYNC.
type answer struct {
	full   bool
	id     string // "" for +CONTINUE without one
	offset int64
}

// handshake agrees with the primary on what it will send. Source: the
// reference's syncWithMaster.
func (l *link) handshake() (answer, error) {
	settings := l.r.o.Settings()
	pong, err := l.ask("PING")
	if err != nil {
		return answer{}, err
	}
	// Without authentication PING may be refused; anything else is no primary.
	if !strings.HasPrefix(pong, "+") && !strings.HasPrefix(pong, "-NOAUTH") &&
		!strings.HasPrefix(pong, "-NOPERM") && !strings.HasPrefix(pong, "-ERR operation not permitted") {
		return answer{}, fmt.Errorf("repl: error reply to PING from master: %q", pong)
	}
	l.r.o.Log.Info("Master replied to PING, replication can continue...")
	if settings.Password != "" {
		auth := []string{"AUTH", settings.Password}
		if settings.User != "" {
			auth = []string{"AUTH", settings.User, settings.Password}
		}
		if text, err := l.ask(auth...); err != nil {
			return answer{}, err
		} else if strings.HasPrefix(text, "-") {
			return answer{}, fmt.Errorf("repl: unable to AUTH to MASTER: %s", text)
		}
	}
	told := [][]string{{"REPLCONF", "listening-port", strconv.Itoa(settings.AnnouncePort)}}
	if settings.AnnounceIP != "" {
		told = append(told, []string{"REPLCONF", "ip-address", settings.AnnounceIP})
	}
	told = append(told, []string{"REPLCONF", "capa", "eof", "capa", "psync2"})
	for _, words := range told {
		// A refusal is not fatal: old servers do not know some of them.
		if text, err := l.ask(words...); err != nil {
			return answer{}, err
		} else if strings.HasPrefix(text, "-") {
			l.r.o.Log.Info("Master does not understand REPLCONF " + words[1] + ": " + text)
		}
	}
	return l.psync()
}

// psync offers what this node has and reads what the primary makes of it.
func (l *link) psync() (answer, error) {
	id, from := "?", int64(-1)
	if j := l.r.o.Journal; j.Active() {
		id, _, _ = j.IDs()
		from = j.Offset() + 1
		l.r.o.Log.Info(fmt.Sprintf("Trying a partial resynchronization (request %s:%d).", id, from))
	} else {
		l.r.o.Log.Info("Partial resynchronization not possible (no cached master)")
	}
	request := []string{"PSYNC", id, strconv.FormatInt(from, 10)}
	asking := l.r.o.TakeOver != nil && !l.r.tookOver
	if asking {
		request = append(request, "FAILOVER")
	}
	text, err := l.ask(request...)
	if err != nil {
		return answer{}, err
	}
	if asking {
		l.r.tookOver = true
		if strings.HasPrefix(text, "+") {
			l.r.o.TakeOver(nil)
		} else {
			l.r.o.TakeOver(errors.New(text))
		}
	}
	words := strings.Fields(text)
	switch {
	case len(words) == 3 && words[0] == "+FULLRESYNC" && len(words[1]) == 40:
		offset, err := strconv.ParseInt(words[2], 10, 64)
		if err != nil || offset < 0 {
			return answer{}, fmt.Errorf("repl: malformed answer %q to PSYNC", text)
		}
		l.r.o.Log.Info("Full resync from master: " + words[1] + ":" + words[2])
		return answer{full: true, id: words[1], offset: offset}, nil
	case len(words) == 1 && words[0] == "+CONTINUE" && id != "?":
		return answer{}, nil
	case len(words) == 2 && words[0] == "+CONTINUE" && id != "?" && len(words[1]) == 40:
		return answer{id: words[1]}, nil
	}
	return answer{}, fmt.Errorf("repl: unexpected answer to PSYNC from master: %q", text)
}
