package resp

import (
	"bufio"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

func TestReplyReader(t *testing.T) {
	read := func(text string) (Reply, error) {
		return NewReplyReader(bufio.NewReader(strings.NewReader(text)), ReplyLimits{Bulk: 100, Elements: 10, Depth: 2}).Read()
	}
	if r, err := read("*3\r\n$2\r\nab\r\n:-5\r\n$-1\r\n"); err != nil || string(r.Elements[0].Text) != "ab" || r.Elements[1].Int != -5 || !r.Elements[2].Null {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := read("-BUSYKEY x\r\n"); err != nil || r.Err() != Error("BUSYKEY x") {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err := read("|1\r\n+a\r\n+b\r\n+c\r\n"); err != nil || string(r.Text) != "c" {
		t.Errorf("attribute: %+v, %v", r, err)
	}
	for _, bad := range []string{"\r\n", "?x\r\n", "$101\r\n", "$-2\r\n", "$x\r\n", "*11\r\n", "*-2\r\n", "%6\r\n", "*1\r\n*1\r\n*1\r\n:1\r\n", "$1\r\nabc", "+" + strings.Repeat("x", 5000) + "\r\n"} {
		if _, err := read(bad); !errors.Is(err, ErrBadReply) {
			t.Errorf("%.30q: %v", bad, err)
		}
	}
	for _, short := range []string{"+OK", "$5\r\nab", "*2\r\n:1\r\n", "$2\r\nab"} {
		if _, err := read(short); err != io.ErrUnexpectedEOF {
			t.Errorf("%q: %v", short, err)
		}
	}
	if _, err := read(""); err != io.EOF {
		t.Errorf("end: %v", err)
	}
}

// The texts are those of printf("%.17g").
func TestFormatDouble(t *testing.T) {
	for f, want := range map[float64]string{
		0: "0", 3: "3", 0.1: "0.10000000000000001", 1e16: "10000000000000000", 1e17: "1e+17", 1e-5: "1.0000000000000001e-05",
		-2.5: "-2.5", 123456.5: "123456.5", 1e300: "1.0000000000000001e+300", 0.0001: "0.0001", math.Inf(1): "inf", math.Inf(-1): "-inf", 3.141: "3.141",
	} {
		if got := FormatDouble(f); got != want {
			t.Errorf("%v: %s, want %s", f, got, want)
		}
	}
	if got := FormatDouble(math.Copysign(0, -1)); got != "-0" {
		t.Errorf("negative zero: %s", got)
	}
}

func TestTextIsVerbatim(t *testing.T) {
	for _, proto := range []int{0, 2, 3} {
		for _, text := range []string{"", "a", strings.Repeat("b", 9), strings.Repeat("c", 95), strings.Repeat("d", 96), strings.Repeat("e", 123456)} {
			want, got := Writer{Proto: proto, Buf: []byte("+OK\r\n")}, Writer{Proto: proto, Buf: []byte("+OK\r\n")}
			want.Verbatim("txt", text)
			got.Text(func(dst []byte) []byte { return append(dst, text...) })
			if string(got.Buf) != string(want.Buf) {
				t.Errorf("%d bytes by protocol %d: %.40q, want %.40q", len(text), proto, got.Buf, want.Buf)
			}
		}
	}
}

func TestSimpleAndErrorStayOnALine(t *testing.T) {
	var w Writer
	w.Simple("a\r\nb")
	w.Error("ERR \n")
	w.Simple("")
	if got, want := string(w.Buf), "+a  b\r\n-ERR  \r\n+\r\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestIntegers(t *testing.T) {
	check := func(n int64) {
		t.Helper()
		var w Writer
		w.Int(n)
		if want := ":" + strconv.FormatInt(n, 10) + "\r\n"; string(w.Buf) != want {
			t.Fatalf("%q, want %q", w.Buf, want)
		}
	}
	for _, n := range []int64{0, math.MinInt64, math.MaxInt64} {
		check(n)
	}
	// Both sides of every change of length, and of digits in every place.
	for power := int64(1); power <= 1e18; power *= 10 {
		for digit := int64(1); digit <= 10 && power*digit > 0; digit++ {
			for n := power*digit - 2; n <= power*digit+2; n++ {
				check(n)
				check(-n)
			}
		}
	}
	for n := int64(0); n < 2e8; n += 997 {
		check(n)
	}
}
