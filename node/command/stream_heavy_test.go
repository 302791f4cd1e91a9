package command

import (
	"fmt"
	"strings"
	"testing"
)

// TestRepeatedTrimIsNotHeavy asks which XADDs leave the loop: those whose trim
// has much to do, not those that keep a long stream as long as it is.
func TestRepeatedTrimIsNotHeavy(t *testing.T) {
	n := newNode(t)
	n.do("XADD", "s", "1-1", "f", "v")
	length := 100*heavyEntries + 50
	for i := range length {
		n.do("XADD", "s", fmt.Sprint(i+2, "-1"), "f", "v")
	}
	for line, want := range map[string]bool{
		"XADD s * f v": false,
		fmt.Sprint("XADD s MAXLEN ~ ", length, " * f v"):            false,
		fmt.Sprint("XADD s MAXLEN ", length, " * f v"):              false,
		fmt.Sprint("XADD s NOMKSTREAM MAXLEN = ", length, " * f v"): false,
		"XADD s MAXLEN ~ 10 * f v":                                  true,
		"XADD s NOMKSTREAM MAXLEN 10 * f v":                         true,
		"XADD s MAXLEN ~ x * f v":                                   true,
		"XADD none MAXLEN ~ 10 * f v":                               false,
	} {
		c := &n.call
		c.Args = nil
		for _, arg := range strings.Fields(line) {
			c.Args = append(c.Args, []byte(arg))
		}
		c.engine = n.engine
		if got := heavyXAdd(c); got != want {
			t.Errorf("%s: heavy %v, want %v", line, got, want)
		}
	}
}
