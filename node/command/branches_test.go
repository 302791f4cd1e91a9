package command

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/printer"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// unreached are the errors that no script can bring about, as "function:
// statement", and why.
var unreached = map[string]string{
	"Wait: err = resp.ErrRoleChanged":      "the role changes between a command's start and its sleep",
	"refusal: return resp.ErrReadOnly":     "the role changes between a command's start and the gate",
	"refusal: return resp.ErrShuttingDown": "the last snapshot begins between a command's start and the gate",

	"parseSetEx: return o, errFieldsWord":  "of six words and more, which it has, one is FIELDS or an option too many",
	"positions: return at, errInvalidKeys": "the arity of every row leaves room for its number of keys",
	"runPFMerge: return err":               "the target has been read as a source by then",
	"runPFMerge: return errHLLCorrupt":     "the target has been read as a source by then",

	"runPFSelfTest: return errHLLCorrupt": "the self test finds an error in this program",
	`runPFSelfTest: return resp.Error(fmt.Sprintf("ERR TESTFAILED %s: %d elements, %d counted", what, n, estimate))`: "the self test finds an error in this program",

	"runLCS: return errLCSLong":                   "a string of 4 GiB",
	"addEntry: return id, done, errEntryTooLarge": "an entry of 1 GiB",
	"addToCut: return id, done, errEntryTooLarge": "an entry of 1 GiB",

	"sequence: return nil, err": "reads a row, not a request",
	"group: return Arg{}, err":  "reads a row, not a request",
	"add: return err":           "reads a row, not a request",
	"runOne: return err":        "what the owner of a connection has against a command",
}

// TestScriptsReachEveryError runs the scripts and counts, as go test -cover does,
// which statements ran. Every statement of this package that answers an error is
// one that a script reaches, or stands in unreached.
func TestScriptsReachEveryError(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: builds the package anew to count what runs; not in -short")
	}
	startReference(t) // or skip
	// One protocol is enough: none of them has errors of its own.
	reached := coverage(t, "^(TestScripts|TestStaged)$/./^RESP2$|^TestBeyond$")
	answers := errorStatements(t)
	missing := 0
	excused := make(map[string]bool)
	for _, s := range answers {
		switch {
		case reached.at(s.position):
		case unreached[s.name] != "":
			excused[s.name] = true
		default:
			missing++
			t.Errorf("%s: no script reaches %s", s.position, s.name)
		}
	}
	for name := range unreached {
		if !excused[name] {
			t.Errorf("a script reaches %s, or it is not there any more", name)
		}
	}
	t.Logf("%d statements answer an error; %d are not reached by a script, nor are %d that no client reaches", len(answers), missing, len(excused))
	if len(answers) < 500 {
		t.Error("there are more")
	}
}

// statement is one that answers an error.
type statement struct {
	position token.Position
	// name is "function: source".
	name string
}

// errorStatements finds the statements that return or write an error. ErrLong is
// none: it has the call run again.
func errorStatements(t *testing.T) []statement {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	positions := token.NewFileSet()
	var functions []*ast.FuncDecl
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(positions, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Body != nil {
				functions = append(functions, f)
			}
		}
	}
	// One that makes errors may return what another makes.
	makers := make(map[string]bool)
	for known := -1; known < len(makers); {
		known = len(makers)
		for _, f := range functions {
			if f.Recv == nil && makesError(f, makers) {
				makers[f.Name.Name] = true
			}
		}
	}
	var found []statement
	for _, f := range functions {
		ast.Inspect(f.Body, func(n ast.Node) bool {
			if answersError(n, makers) {
				var source strings.Builder
				if err := printer.Fprint(&source, positions, n); err != nil {
					t.Fatal(err)
				}
				text := strings.Join(strings.Fields(source.String()), " ")
				found = append(found, statement{positions.Position(n.Pos()), f.Name.Name + ": " + text})
			}
			return true
		})
	}
	return found
}

// makesError reports whether f returns an error and nothing else, and never none.
func makesError(f *ast.FuncDecl, makers map[string]bool) bool {
	results := f.Type.Results
	if results == nil || len(results.List) != 1 {
		return false
	}
	made, other := 0, 0
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			return false
		case *ast.ReturnStmt:
			if len(n.Results) == 0 {
				other++
			} else if _, named := n.Results[0].(*ast.Ident); named || !isError(n.Results[0], makers) {
				other++
			} else {
				made++
			}
		}
		return true
	})
	return made > 0 && other == 0
}

func answersError(n ast.Node, makers map[string]bool) bool {
	switch n := n.(type) {
	case *ast.ReturnStmt:
		return len(n.Results) > 0 && isError(n.Results[len(n.Results)-1], makers)
	case *ast.AssignStmt:
		_, named := n.Rhs[len(n.Rhs)-1].(*ast.Ident)
		return n.Tok == token.ASSIGN && !named && isError(n.Rhs[len(n.Rhs)-1], makers)
	case *ast.ExprStmt:
		call, ok := n.X.(*ast.CallExpr)
		if !ok {
			return false
		}
		s, ok := call.Fun.(*ast.SelectorExpr)
		return ok && s.Sel.Name == "Error"
	}
	return false
}

// isError reports whether e is an error: a variable or constant that is called
// one, or what is made here.
func isError(e ast.Expr, makers map[string]bool) bool {
	ofResp := func(s *ast.SelectorExpr) bool {
		x, ok := s.X.(*ast.Ident)
		return ok && x.Name == "resp"
	}
	switch e := e.(type) {
	case *ast.Ident:
		return e.Name != "ErrLong" && strings.HasPrefix(strings.ToLower(e.Name), "err")
	case *ast.SelectorExpr:
		return ofResp(e) && strings.HasPrefix(e.Sel.Name, "Err")
	case *ast.CallExpr:
		switch f := e.Fun.(type) {
		case *ast.Ident:
			return makers[f.Name]
		case *ast.SelectorExpr:
			return ofResp(f) && (f.Sel.Name == "Error" || f.Sel.Name == "Errf" || f.Sel.Name == "WrongArity")
		}
	}
	return false
}

// ran is what ran of each file.
type ran map[string][]stretch

// stretch is a run of statements, from and up to a line and a column.
type stretch struct {
	fromLine, fromColumn, toLine, toColumn int
}

func (r ran) at(p token.Position) bool {
	for _, b := range r[p.Filename] {
		after := p.Line > b.fromLine || p.Line == b.fromLine && p.Column >= b.fromColumn
		before := p.Line < b.toLine || p.Line == b.toLine && p.Column < b.toColumn
		if after && before {
			return true
		}
	}
	return false
}

// coverage runs tests of this package and returns what they ran of it.
func coverage(t *testing.T, tests string) ran {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	run := exec.Command("go", "test", "-count=1", "-run", tests, "-coverprofile", profile, ".")
	if out, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", run.Args, err, out)
	}
	file, err := os.Open(profile)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	found := make(ran)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		// slotmesh/node/command/apply.go:29.3,30.4 statements count
		path, rest, ok := strings.Cut(lines.Text(), ".go:")
		if !ok {
			continue
		}
		var b stretch
		var statements, count int
		if _, err := fmt.Sscanf(rest, "%d.%d,%d.%d %d %d", &b.fromLine, &b.fromColumn, &b.toLine, &b.toColumn, &statements, &count); err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		if count > 0 {
			name := filepath.Base(path) + ".go"
			found[name] = append(found[name], b)
		}
	}
	return found
}
