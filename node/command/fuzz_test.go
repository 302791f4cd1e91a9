package command

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// naiveMatch is Match by recursion, without a bound on its work.
func naiveMatch(pattern, text []byte) bool {
	if len(pattern) == 0 {
		return len(text) == 0
	}
	if pattern[0] == '*' {
		for i := range len(text) + 1 {
			if naiveMatch(pattern[1:], text[i:]) {
				return true
			}
		}
		return false
	}
	if len(text) == 0 {
		return false
	}
	width, ok := matchOne(pattern, text[0])
	return ok && naiveMatch(pattern[width:], text[1:])
}

func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{"", "*", "a*b?c", "[a-c]*[^x]", `\*\[`, "[", "[^", `[\]]`, "[z-a]", "**a**b**", `a\`} {
		f.Add([]byte(pattern), []byte("abc"))
	}
	f.Fuzz(func(t *testing.T, pattern, text []byte) {
		if len(pattern) > 12 || len(text) > 12 {
			Match(pattern, text)
			return
		}
		want := naiveMatch(pattern, text)
		if len(text) == 0 {
			want = len(pattern) == 0
		}
		if got := Match(pattern, text); got != want {
			t.Errorf("Match(%q, %q) = %v", pattern, text, got)
		}
		if g := newGlob(pattern); g.match(text) != want {
			t.Errorf("newGlob(%q).match(%q) = %v", pattern, text, !want)
		}
	})
}

// TestMatchAgrees compares patterns with the reference's KEYS.
func TestMatchAgrees(t *testing.T) {
	ref := startReference(t)
	texts := []string{"a", "ab", "abc", "b", "a*", "[a]", "]", "^", "-", "a-c", `\`, `a\`, "", "aXb", "a\x00b", "[", "[^"}
	patterns := []string{
		"*", "?", "a*", "*a", "[a]", "[^a]", "[a-c]", "[c-a]", "[^a-c]*", `\a`, `\*`, `a\*`, `\[a\]`, "[", "[^", "[a", "[a-",
		"[]]", `[\]]`, `[\-]`, "[-]", "[a-]", "[^]", "[]", `\`, `a\`, "a**", "*?*", "[[]", "a?b", "[^^]", "[a-c", "[-a]", "[a-c-e]", "**", "***a",
	}
	for _, text := range texts {
		ref.do("FLUSHALL")
		ref.do("SET", text, "1")
		for _, pattern := range patterns {
			want := len(decoded(ref.do("KEYS", pattern)).([]any)) == 1
			if pattern == "*" {
				want = text != "" // KEYS takes it for everything without matching
			}
			if got := Match([]byte(pattern), []byte(text)); got != want {
				t.Errorf("Match(%q, %q) = %v", pattern, text, got)
			}
			if g := newGlob([]byte(pattern)); g.match([]byte(text)) != want {
				t.Errorf("newGlob(%q).match(%q) = %v", pattern, text, !want)
			}
		}
	}
}

// TestMatchIsBounded gives the matcher what makes naive ones explode.
func TestMatchIsBounded(t *testing.T) {
	pattern := []byte(strings.Repeat("a*", 5000) + "b")
	text := []byte(strings.Repeat("a", 20000))
	start := time.Now()
	if Match(pattern, text) {
		t.Error("matched")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

func FuzzSyntax(f *testing.F) {
	for _, syntax := range []string{
		"key value [NX | XX] [GET] [EX seconds | PX milliseconds]", "key [key ...]", "[a [a ...]]", "<A | B b>", `host port <key | "">`,
		"[KEYS key [key ...]]", "[GET pattern [GET pattern ...]]", "STREAMS key [key ...] id [id ...]", "[", "]", "...", "[[[[", "a | b", "[]", "[a ...]",
	} {
		f.Add(syntax)
	}
	f.Fuzz(func(t *testing.T, syntax string) {
		args, err := parseSyntax(syntax)
		if err != nil {
			return
		}
		linkKeys(args, []KeySpec{{Begin: 1, Last: -1, Step: 1}}, 1)
		if minArgs(args) < 0 {
			t.Errorf("%q takes %d arguments", syntax, minArgs(args))
		}
		fixedArgs(args)
	})
}

// TestSyntax pins the trees of forms that no row of this package uses.
func TestSyntax(t *testing.T) {
	for syntax, want := range map[string]string{
		"[GET pattern [GET pattern ...]]":   `(pattern pattern "GET" optional multiple multiple_token)`,
		"STREAMS key [key ...] id [id ...]": `(key_id block "STREAMS"(key key multiple)(id string multiple))`,
		"[TO host port [FORCE]] [ABORT]": `(host_port_force block "TO" optional(host string)(port integer)` +
			`(force pure-token "FORCE" optional))(abort pure-token "ABORT" optional)`,
		"username [rule [rule ...]]":   `(username string)(rule string optional multiple)`,
		"[ADDR ip:port:string]":        `(ip:port string "ADDR" optional)`,
		"[arg ...]":                    `(arg string optional multiple)`,
		`host <key | ""> dest:integer`: `(host string)(key-or-empty_string oneof(key key)(empty_string pure-token ""))(dest integer)`,
		"[AUTH password | AUTH2 user pass]": `(password-or-user_pass oneof optional(password string "AUTH")` +
			`(user_pass block "AUTH2"(user string)(pass string)))`,
		"slot <IMPORTING node-id | STABLE>": `(slot integer)(node-id-or-stable oneof(node-id string "IMPORTING")(stable pure-token "STABLE"))`,
	} {
		args, err := parseSyntax(syntax)
		if got := show(args); err != nil || got != want {
			t.Errorf("%s\n got  %s %v\n want %s", syntax, got, err, want)
		}
	}
	for _, syntax := range []string{"[", "]", "[a", "a ]", "<a]", "[]", "...", "[a | ]", "ip:port", "[x <a | b:int>]", strings.Repeat("[", 100)} {
		if _, err := parseSyntax(syntax); err == nil {
			t.Errorf("%q was read", syntax)
		}
	}
}

func show(args []Arg) string {
	var b strings.Builder
	for _, a := range args {
		fmt.Fprintf(&b, "(%s %s", a.Name, a.Type)
		if a.HasToken {
			fmt.Fprintf(&b, " %q", a.Token)
		}
		for _, flag := range []struct {
			set  bool
			name string
		}{{a.Optional, "optional"}, {a.Multiple, "multiple"}, {a.MultipleToken, "multiple_token"}} {
			if flag.set {
				b.WriteString(" " + flag.name)
			}
		}
		b.WriteString(show(a.Args) + ")")
	}
	return b.String()
}
