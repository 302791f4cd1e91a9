package clients

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
)

// child is a client library in a program of its own: an order as one line of
// JSON on its standard input, the answer as one line on its standard output.
type child struct {
	in  io.WriteCloser
	out *bufio.Reader
}

type order struct {
	Do     string   `json:"do"` // fill, readReplicas, startWrites, stopWrites
	Keys   []string `json:"keys,omitempty"`
	Pair   []string `json:"pair,omitempty"`
	Prefix string   `json:"prefix,omitempty"`
}

type answer struct {
	// Error is empty when all went well.
	Error  string `json:"error"`
	Record record `json:"record"`
}

// startChild starts cmd, whose standard error the caller has set.
func startChild(cmd *exec.Cmd, start func(*exec.Cmd) error) (*child, error) {
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := start(cmd); err != nil {
		return nil, err
	}
	return &child{in: in, out: bufio.NewReader(out)}, nil
}

func (c *child) ask(o order) (answer, error) {
	line, err := json.Marshal(o)
	if err != nil {
		return answer{}, err
	}
	if _, err := c.in.Write(append(line, '\n')); err != nil {
		return answer{}, fmt.Errorf("%s: the client's program has ended: %w", o.Do, err)
	}
	line, err = c.out.ReadBytes('\n')
	if err != nil {
		return answer{}, fmt.Errorf("%s: the client's program has ended: %w", o.Do, err)
	}
	var a answer
	if err := json.Unmarshal(line, &a); err != nil {
		return answer{}, fmt.Errorf("%s: answer %q: %w", o.Do, line, err)
	}
	if a.Error != "" {
		return answer{}, errors.New(a.Error)
	}
	return a, nil
}

func (c *child) fill(keys []string, pair [2]string) error {
	_, err := c.ask(order{Do: "fill", Keys: keys, Pair: pair[:]})
	return err
}

func (c *child) readReplicas(keys []string) error {
	_, err := c.ask(order{Do: "readReplicas", Keys: keys})
	return err
}

func (c *child) startWrites(prefix string) error {
	_, err := c.ask(order{Do: "startWrites", Prefix: prefix})
	return err
}

func (c *child) stopWrites() (record, error) {
	a, err := c.ask(order{Do: "stopWrites"})
	return a.Record, err
}

// close ends the program, which reads to the end of its input.
func (c *child) close() { c.in.Close() }
