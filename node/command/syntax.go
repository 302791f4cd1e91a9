package command

import (
	"fmt"
	"strings"
)

// Arg is one node of a command's argument tree, as COMMAND DOCS shows it.
type Arg struct {
	Name string
	// Type is "string", "integer", "double", "key", "pattern", "unix-time",
	// "pure-token", "oneof" or "block".
	Type string
	// Token is the word that stands before the argument, or is it. HasToken is
	// true also for the empty word.
	Token    string
	HasToken bool

	Optional, Multiple bool
	// MultipleToken is true if the token is repeated with the argument.
	MultipleToken bool
	// KeySpec is the index of the key spec that finds this key, -1 if none.
	KeySpec int
	Args    []Arg
}

// argTypes are the types that names stand for in Syntax; a name that is not
// here is a string unless it says its type itself: "increment:double".
var argTypes = map[string]string{
	"key": "key", "key1": "key", "key2": "key", "newkey": "key", "source": "key", "destination": "key",
	"pattern":           "pattern",
	"unix-time-seconds": "unix-time", "unix-time-milliseconds": "unix-time",
	"seconds": "integer", "milliseconds": "integer", "decrement": "integer", "increment": "integer",
	"offset": "integer", "start": "integer", "end": "integer", "len": "integer", "ttl": "integer",
	"frequency": "integer", "db": "integer", "destination-db": "integer", "index1": "integer", "index2": "integer",
	"index": "integer", "cursor": "integer", "count": "integer", "timeout": "integer", "port": "integer",
	"numkeys": "integer", "numreplicas": "integer", "slot": "integer", "config-epoch": "integer",
	"start-slot": "integer", "end-slot": "integer", "bus-port": "integer", "cluster-bus-port": "integer",
	"protover": "integer", "client-id": "integer",
}

// parseSyntax reads the notation of Spec.Syntax: words in upper case are
// tokens, others name arguments; [a] is optional, a | b a choice, <a | b> one
// that must be made, "a [a ...]" a repetition.
func parseSyntax(text string) ([]Arg, error) {
	p := syntaxParser{words: splitSyntax(text)}
	args, err := p.sequence()
	if err != nil {
		return nil, fmt.Errorf("syntax %q: %w", text, err)
	}
	if p.pos < len(p.words) {
		return nil, fmt.Errorf("syntax %q: %q has no beginning", text, p.words[p.pos])
	}
	if name, ok := untyped(args); ok {
		return nil, fmt.Errorf("syntax %q: %s is of no type that redis-cli knows", text, name)
	}
	return args, nil
}

// untyped returns the name of an argument whose type there is not.
func untyped(args []Arg) (name string, found bool) {
	for i := range args {
		switch args[i].Type {
		case "string", "integer", "double", "key", "pattern", "unix-time", "pure-token", "oneof", "block":
		default:
			return args[i].Name, true
		}
		if name, found = untyped(args[i].Args); found {
			return name, true
		}
	}
	return "", false
}

// splitSyntax cuts text into words and brackets.
func splitSyntax(text string) []string {
	var words []string
	word := ""
	end := func() {
		if word != "" {
			words = append(words, word)
			word = ""
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ':
			end()
		case '[', ']', '<', '>', '|':
			end()
			words = append(words, string(c))
		default:
			word += string(c)
		}
	}
	end()
	return words
}

type syntaxParser struct {
	words []string
	pos   int
	depth int
}

// maxSyntaxDepth bounds nesting: a row is a line of text.
const maxSyntaxDepth = 16

func (p *syntaxParser) next() string {
	if p.pos == len(p.words) {
		return ""
	}
	return p.words[p.pos]
}

// sequence reads arguments up to a closing bracket, a bar or the end.
func (p *syntaxParser) sequence() ([]Arg, error) {
	var args []Arg
	for {
		switch word := p.next(); {
		case word == "" || word == "]" || word == ">" || word == "|":
			return foldToken(args), nil
		case word == "[" && p.repeats(args):
			args = p.repeat(args)
		case word == "[" || word == "<":
			arg, err := p.group(word)
			if err != nil {
				return nil, err
			}
			args = append(args, arg)
		case word == "...":
			// "[a ...]" stands for "[a [a ...]]".
			if len(args) == 0 {
				return nil, fmt.Errorf("nothing to repeat")
			}
			p.pos++
			args[len(args)-1].Multiple = true
		default:
			p.pos++
			args = append(args, newArg(word))
		}
	}
}

// group reads what stands in brackets: a choice, a block or one argument.
func (p *syntaxParser) group(open string) (Arg, error) {
	if p.depth++; p.depth > maxSyntaxDepth {
		return Arg{}, fmt.Errorf("nested too deep")
	}
	defer func() { p.depth-- }()
	p.pos++
	closing := map[string]string{"[": "]", "<": ">"}[open]
	var choices []Arg
	for {
		args, err := p.sequence()
		if err != nil {
			return Arg{}, err
		}
		if len(args) == 0 {
			return Arg{}, fmt.Errorf("empty brackets")
		}
		choices = append(choices, block(args))
		word := p.next()
		p.pos++
		if word == "|" {
			continue
		}
		if word != closing {
			return Arg{}, fmt.Errorf("%q is not closed", open)
		}
		break
	}
	arg := choices[0]
	if len(choices) > 1 {
		arg = Arg{Name: joinNames(choices, "-or-"), Type: "oneof", KeySpec: -1, Args: choices}
	}
	arg.Optional = arg.Optional || open == "["
	return arg, nil
}

// block makes one argument of several.
func block(args []Arg) Arg {
	if len(args) == 1 {
		return args[0]
	}
	return Arg{Name: joinNames(args, "_"), Type: "block", KeySpec: -1, Args: args}
}

func joinNames(args []Arg, separator string) string {
	names := make([]string, len(args))
	for i, a := range args {
		names[i] = a.Name
	}
	return strings.Join(names, separator)
}

// repeats reports whether a bracket opens a repetition of what was just read.
func (p *syntaxParser) repeats(args []Arg) bool {
	words := p.repeated()
	if len(words) == 0 || len(words) > len(args) {
		return false
	}
	for i, word := range words {
		if a := args[len(args)-len(words)+i]; a.word() != word || a.Optional || a.Multiple {
			return false
		}
	}
	return true
}

// repeated returns the words of "[words ...]" at the parser's place.
func (p *syntaxParser) repeated() []string {
	for i := p.pos + 1; i+1 < len(p.words); i++ {
		switch p.words[i] {
		case "...":
			if p.words[i+1] != "]" {
				return nil
			}
			return p.words[p.pos+1 : i]
		case "[", "]", "<", ">", "|":
			return nil
		}
	}
	return nil
}

// repeat marks what is repeated.
func (p *syntaxParser) repeat(args []Arg) []Arg {
	words := p.repeated()
	p.pos += len(words) + 3
	from := len(args) - len(words)
	last := append([]Arg(nil), args[from:]...)
	if len(last) > 1 && last[0].Type == "pure-token" {
		arg := block(last[1:])
		arg.Token, arg.HasToken = last[0].Token, true
		arg.Multiple, arg.MultipleToken = true, true
		return append(args[:from], arg)
	}
	arg := block(last)
	arg.Multiple = true
	return append(args[:from], arg)
}

// foldToken joins a token at the beginning of args with what follows it.
func foldToken(args []Arg) []Arg {
	if len(args) < 2 {
		return args
	}
	for i, a := range args {
		if a.Type != "pure-token" || a.Optional || i+1 == len(args) {
			continue
		}
		arg := block(append([]Arg(nil), args[i+1:]...))
		if arg.HasToken || arg.Optional {
			arg = Arg{Name: strings.ToLower(a.Token), Type: "block", KeySpec: -1, Args: append([]Arg(nil), args[i+1:]...)}
		}
		arg.Token, arg.HasToken = a.Token, true
		return append(args[:i:i], arg)
	}
	return args
}

// newArg reads one word. A type may end in the number of a key spec, where the
// place of the argument does not tell: "destination:key#2".
func newArg(word string) Arg {
	if isToken(word) {
		token := strings.Trim(word, `"`)
		name := strings.ToLower(token)
		if name == "" {
			name = "empty_string"
		}
		return Arg{Name: name, Type: "pure-token", Token: token, HasToken: true, KeySpec: -1}
	}
	name, kind := word, ""
	if i := strings.LastIndexByte(word, ':'); i >= 0 {
		name, kind = word[:i], word[i+1:]
	}
	keySpec := -1
	if of, number, given := strings.Cut(kind, "#"); given && len(number) == 1 && '0' <= number[0] && number[0] <= '9' {
		kind, keySpec = of, int(number[0]-'0')
	}
	if kind == "" {
		kind = argTypes[name]
		if kind == "" {
			kind = "string"
		}
	}
	return Arg{Name: name, Type: kind, KeySpec: keySpec}
}

// word is how an argument of one word was written, without its type.
func (a *Arg) word() string {
	if a.Type == "pure-token" {
		return a.Token
	}
	return a.Name
}

// isToken reports whether a word stands for itself: it has no lower-case
// letter.
func isToken(word string) bool {
	return strings.ToUpper(word) == word && (word != "..." || word == `""`)
}

// Args returns the argument tree of s, parsed from its Syntax.
func (s *Spec) Args() []Arg { return s.args }

// linkKeys finds the key spec of every argument that is a key. position is the
// place of the first argument in the command.
func linkKeys(args []Arg, keys []KeySpec, position int) int {
	for i := range args {
		a := &args[i]
		if a.Optional && position > 0 && (a.HasToken || a.Multiple) {
			linkArg(a, keys, -1)
			continue
		}
		position = linkArg(a, keys, position)
	}
	return position
}

// linkArg links one argument and returns the place after it, -1 once places
// are not fixed.
func linkArg(a *Arg, keys []KeySpec, position int) int {
	if a.HasToken && a.Type != "pure-token" && position > 0 {
		position++
	}
	next := position
	switch a.Type {
	case "key":
		if a.KeySpec < 0 {
			a.KeySpec = findKeySpec(keys, a, position)
		}
		next++
	case "oneof":
		for i := range a.Args {
			linkArg(&a.Args[i], keys, position)
		}
		next++
	case "block":
		next = linkKeys(a.Args, keys, position)
		linkBehindToken(a, keys)
	default:
		next++
	}
	if position < 0 || a.Multiple {
		return -1
	}
	return next
}

// linkBehindToken links the first argument of a block, if it is a key, to the
// spec that finds keys behind the block's token: STREAMS key [key ...] id [id ...].
func linkBehindToken(a *Arg, keys []KeySpec) {
	if !a.HasToken || a.Args[0].Type != "key" {
		return
	}
	for i, k := range keys {
		if k.Keyword != "" && strings.EqualFold(k.Keyword, a.Token) {
			a.Args[0].KeySpec = i
		}
	}
}

// findKeySpec returns the index of the spec that finds a key at position, or
// behind the token of a.
func findKeySpec(keys []KeySpec, a *Arg, position int) int {
	for i, k := range keys {
		switch {
		case k.Keyword != "":
			if a.HasToken && strings.EqualFold(k.Keyword, a.Token) {
				return i
			}
		case position < 0:
		case k.KeyNum:
			if position == k.Begin+k.FirstKey {
				return i
			}
		case position >= k.Begin && (k.Last < 0 || position <= k.Begin+k.Last):
			return i
		}
	}
	return -1
}

// minArgs is the least number of words that args take.
func minArgs(args []Arg) int {
	n := 0
	for _, a := range args {
		if a.Optional {
			continue
		}
		if a.HasToken && a.Type != "pure-token" {
			n++
		}
		switch a.Type {
		case "block":
			n += minArgs(a.Args)
		case "oneof":
			least := 1 << 30
			for i := range a.Args {
				choice := a.Args[i]
				choice.Optional = false
				least = min(least, minArgs([]Arg{choice}))
			}
			n += least
		default:
			n++
		}
	}
	return n
}

// fixedArgs reports whether args always take the same number of words.
func fixedArgs(args []Arg) bool {
	for _, a := range args {
		if a.Optional || a.Multiple || a.Type == "block" && !fixedArgs(a.Args) {
			return false
		}
		if a.Type != "oneof" {
			continue
		}
		size := minArgs(a.Args[:1])
		for i := range a.Args {
			if !fixedArgs(a.Args[i:i+1]) || minArgs(a.Args[i:i+1]) != size {
				return false
			}
		}
	}
	return true
}

// checkSyntax proves that syntax, arity and key specs of a row agree.
func (s *Spec) checkSyntax() error {
	words := 1
	if s.parent != nil {
		words = 2
	}
	if len(s.Sub) > 0 {
		return nil
	}
	want := words + minArgs(s.args)
	if !fixedArgs(s.args) {
		want = -want
	}
	if want != s.Arity {
		return fmt.Errorf("%s: syntax %q means arity %d, the row says %d", s.fullName, s.Syntax, want, s.Arity)
	}
	return nil
}
