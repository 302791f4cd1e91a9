package arch

import (
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "slotmesh"

// below lists, for each package of the module, the packages of the module that
// it may import. An entry ending in "/" allows everything below it. A package
// that is missing here may import nothing of the module, so a new one has to be
// entered on purpose.
var below = map[string][]string{
	"cmd/slotmesh": {"node", "node/config", "node/persist"},
	// It turns the entries of files into what RESTORE takes; the store's packages
	// are where their values lie meanwhile.
	"cmd/slotctl": {"slots", "node/resp", "node/rdb", "node/store/arena", "node/store/tree"},

	"node": {
		"node/server", "node/repl", "node/config", "node/crew", "node/persist", "node/command", "node/store",
		"node/store/arena", "node/store/list", "node/store/value",
		"node/journal", "node/rdb", "node/acl", "node/resp", "migrate", "gossip", "gossip/bus", "slots",
	},
	"node/server": {"node/command", "node/config", "node/acl", "node/resp", "slots"},
	"node/script": {"node/command"},
	"node/command": {
		"node/store", "node/store/arena", "node/store/tree", "node/store/value", "node/store/listpack", "node/store/hash", "node/store/hll", "node/store/list", "node/store/set", "node/store/stream", "node/store/zset",
		"node/journal", "node/rdb", "node/acl", "node/resp", "slots",
	},
	"node/persist/memfs": {"node/persist"},
	// A base of commands is written from the values themselves.
	"node/persist": {
		"node/crew", "node/journal", "node/rdb", "node/resp",
		"node/store", "node/store/value", "node/store/hash", "node/store/list", "node/store/set", "node/store/stream", "node/store/zset", "slots",
	},
	"node/repl": {"node/crew", "node/journal", "node/rdb", "node/resp", "node/store", "node/store/value", "slots"},
	"node/rdb": {
		"node/crew", "node/store", "node/store/value", "node/store/tree", "node/store/listpack", "node/store/hash", "node/store/list", "node/store/set", "node/store/stream", "node/store/zset",
		"slots",
	},
	"node/crew":    {},
	"node/journal": {"node/resp", "slots"},
	"node/store": {
		"node/store/arena", "node/store/tree", "node/store/value",
		"slots",
	},
	"node/store/arena":    {},
	"node/store/tree":     {"node/store/arena"},
	"node/store/listpack": {},
	"node/store/value":    {"node/store/arena", "node/store/listpack", "node/store/tree"},
	// The types of values, each on top of what all of them are made of.
	"node/store/": {"node/store/arena", "node/store/tree", "node/store/listpack", "node/store/value"},
	"node/config": {},
	"node/acl":    {},
	"node/resp":   {},

	"migrate":    {"slots", "node/store", "node/rdb", "node/journal", "node/resp"},
	"gossip":     {"slots"},
	"gossip/bus": {"gossip", "slots"},
	"slots":      {},

	// What only tests and operators start.
	"gossip/sim":       {"gossip", "slots"},
	"node/e2e":         {},
	"node/e2e/harness": {"slots"},
	"node/e2e/drill":   {"node/e2e/harness", "slots"},
	"node/e2e/":        {"node/e2e/harness", "node/e2e/drill", "slots"},
	"scripts/":         {"node/e2e/harness", "node/e2e/drill", "slots"},
}

// onlyIn names, for modules of others, the packages that may import them.
var onlyIn = map[string][]string{
	"github.com/hashicorp/memberlist": {"gossip/bus"},
	"github.com/tidwall/redcon":       {"node/resp", "node/server"},
	"github.com/sigurn/crc16":         {"slots"},
	"github.com/redis/go-redis/v9":    {"cmd/slotctl", "node/e2e/clients"},
	"github.com/redis/rueidis":        {"node/e2e/clients"},
	"github.com/schollz/progressbar":  {"cmd/slotctl"},
	"golang.org/x/term":               {"cmd/slotctl"},
}

// pure packages take time and randomness from their callers and touch neither
// network nor disk. The exceptions are of single files, with the reason.
var pure = []string{"slots", "gossip", "node/store", "node/command", "migrate"}

var forbiddenInPure = []string{"net", "os", "syscall", "golang.org/x/sys/unix"}

var pureExceptions = map[string][]string{
	// It names the type net.Conn, because a command may take a client's socket
	// over (Hijack); it opens and reads none.
	"node/command/conn.go": {"net"},
	// It is the shell around the planner: the connection that MIGRATE sends on.
	"migrate/sender.go": {"net", "time"},
}

type goPackage struct {
	ImportPath                         string
	Dir                                string
	Name                               string
	GoFiles, TestGoFiles, XTestGoFiles []string
	Imports, TestImports, XTestImports []string
}

// short returns the path within the module.
func (p goPackage) short() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	list := exec.Command("go", "list", "-pgo=off", "-e", "-json=ImportPath,Dir,Name,GoFiles,TestGoFiles,XTestGoFiles,Imports,TestImports,XTestImports", module+"/...")
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	decoder := json.NewDecoder(bytes.NewReader(out))
	for {
		var p goPackage
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("go list: %v", err)
		}
		all = append(all, p)
	}
}

// allowed returns the imports that the table allows a package.
func allowed(name string) []string {
	if list, ok := below[name]; ok {
		return list
	}
	for parent := name; ; {
		slash := strings.LastIndexByte(parent, '/')
		if slash < 0 {
			return nil
		}
		parent = parent[:slash]
		if list, ok := below[parent+"/"]; ok {
			return list
		}
	}
}

func TestImportsRunDownward(t *testing.T) {
	for _, p := range packages(t) {
		list := allowed(p.short())
		for _, path := range p.Imports {
			inside, ok := strings.CutPrefix(path, module+"/")
			if ok && !slices.Contains(list, inside) {
				t.Errorf("%s imports %s; it may import %v", p.short(), inside, list)
			}
		}
	}
}

func TestModulesOfOthersStayWhereTheyBelong(t *testing.T) {
	for _, p := range packages(t) {
		for _, path := range p.Imports {
			for other, owners := range onlyIn {
				if (path == other || strings.HasPrefix(path, other+"/")) && !slices.Contains(owners, p.short()) {
					t.Errorf("%s imports %s, which belongs in %v", p.short(), path, owners)
				}
			}
		}
	}
}

// TestPurePackages looks at each file: imports, reading the clock, and the
// global random source.
func TestPurePackages(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, p.short()) {
			continue
		}
		for _, name := range p.GoFiles {
			file := parse(t, filepath.Join(p.Dir, name))
			where := p.short() + "/" + name
			for _, spec := range file.Imports {
				path, err := strconv.Unquote(spec.Path.Value)
				if err != nil {
					t.Fatal(err)
				}
				if slices.Contains(forbiddenInPure, path) && !slices.Contains(pureExceptions[where], path) {
					t.Errorf("%s imports %s: the package is pure", where, path)
				}
			}
			ast.Inspect(file, func(n ast.Node) bool {
				selector, ok := n.(*ast.SelectorExpr)
				if !ok {
					return true
				}
				of, ok := selector.X.(*ast.Ident)
				if !ok || of.Obj != nil { // a local name, not a package
					return true
				}
				switch {
				case of.Name == "time" && !slices.Contains(pureExceptions[where], "time") && slices.Contains([]string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTimer", "NewTicker"}, selector.Sel.Name):
					t.Errorf("%s uses time.%s: the package is given its time", where, selector.Sel.Name)
				case of.Name == "rand" && !slices.Contains([]string{"Rand", "New", "NewPCG", "NewChaCha8", "PCG", "ChaCha8", "Source", "Zipf", "NewZipf"}, selector.Sel.Name):
					t.Errorf("%s uses rand.%s: the package is given its source of randomness", where, selector.Sel.Name)
				}
				return true
			})
		}
	}
}

// TestNoHiddenStart wants every package to do nothing until it is called, and
// panics to be caught where a connection ends only.
func TestNoHiddenStart(t *testing.T) {
	for _, p := range packages(t) {
		for _, name := range p.GoFiles {
			file := parse(t, filepath.Join(p.Dir, name))
			for _, spec := range file.Imports {
				if spec.Name != nil && spec.Name.Name == "_" && spec.Path.Value != `"embed"` {
					t.Errorf("%s/%s imports %s for its side effects", p.short(), name, spec.Path.Value)
				}
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.FuncDecl:
					if n.Recv == nil && n.Name.Name == "init" {
						t.Errorf("%s/%s has an init function", p.short(), name)
					}
				case *ast.CallExpr:
					if of, ok := n.Fun.(*ast.Ident); ok && of.Name == "recover" && of.Obj == nil && p.short() != "node/server" {
						t.Errorf("%s/%s recovers from panics", p.short(), name)
					}
				}
				return true
			})
		}
	}
}

func TestEveryPackageExplainsItself(t *testing.T) {
	for _, p := range packages(t) {
		if p.Name == "main" || len(p.GoFiles)+len(p.TestGoFiles) == 0 {
			continue
		}
		path := filepath.Join(p.Dir, "doc.go")
		if _, err := os.Stat(path); err != nil {
			t.Errorf("%s has no doc.go", p.short())
			continue
		}
		if file := parse(t, path); file.Doc == nil || !strings.HasPrefix(file.Doc.Text(), "Package "+p.Name+" ") {
			t.Errorf("%s/doc.go does not begin with \"Package %s\"", p.short(), p.Name)
		}
	}
}

// TestTopLevel keeps the root small enough to be read.
func TestTopLevel(t *testing.T) {
	want := []string{"LICENSE", "Makefile", "README.md", "cmd", "go.mod", "go.sum", "gossip", "migrate", "node", "scripts", "slots"}
	for _, path := range tracked(t) {
		top, _, _ := strings.Cut(path, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(want, top) {
			t.Errorf("%s stands at the top level", top)
		}
	}
}

// TestNothingOfThisMachine wants no committed file to name a directory of the
// machine that it was written on, or a host that packages are fetched from.
func TestNothingOfThisMachine(t *testing.T) {
	// Split, so that this file does not name them either.
	forbidden := []string{"/wo" + "rk/main", "/wo" + "rk/shared", "/ro" + "ot/", "registry.npm" + "js", "proxy.go" + "lang.org"}
	root := root(t)
	for _, path := range tracked(t) {
		content, err := os.ReadFile(filepath.Join(root, path))
		if errors.Is(err, os.ErrNotExist) {
			continue // removed, not committed yet
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range forbidden {
			if bytes.Contains(content, []byte(text)) {
				t.Errorf("%s holds %q", path, text)
			}
		}
	}
}

func parse(t *testing.T, path string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func root(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("go list -m: %v", err)
	}
	return strings.TrimSpace(string(out))
}

// tracked returns the files that git knows; without git there is nothing to
// look at, as in a release's archive.
func tracked(t *testing.T) []string {
	t.Helper()
	list := exec.Command("git", "ls-files", "-z")
	list.Dir = root(t)
	out, err := list.Output()
	if err != nil {
		t.Skipf("needs git and its checkout: %v", err)
	}
	return strings.FieldsFunc(string(out), func(r rune) bool { return r == 0 })
}
