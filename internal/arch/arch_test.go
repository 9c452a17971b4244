package arch

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/analyze/machine"
	"github.com/klpforge/klpforge/kernel/karch"
)

// source is a parsed file that is no test.
type source struct {
	path    string // relative to the module
	pkg     string // relative to the module
	file    *ast.File
	imports []string
}

func sources(t *testing.T) []source {
	t.Helper()
	const root = "../.."
	var out []source
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); p != root && (name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")) {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(p, ".go") || strings.HasSuffix(p, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), p, nil, 0)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		s := source{path: rel, pkg: filepath.ToSlash(filepath.Dir(rel)), file: f}
		for _, imp := range f.Imports {
			name, err := strconv.Unquote(imp.Path.Value)
			if err != nil {
				return err
			}
			s.imports = append(s.imports, name)
		}
		out = append(out, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestImports(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		seen[s.pkg] = true
		for _, v := range Violations(s.pkg, s.imports) {
			t.Errorf("%s: %s", s.path, v)
		}
	}
	for _, pkg := range []string{"cmd/klpforge", "elfdiff", "elfobj", "generate", "kbuild", "kernel", "locate", "patchset", "plan", "pipeline", "templates"} {
		if !seen[pkg] {
			t.Errorf("package %s was not found; is the walk right?", pkg)
		}
	}
}

// TestOnlyKbuildBuilds looks for names of build tools in files that can run
// programs.
func TestOnlyKbuildBuilds(t *testing.T) {
	for _, s := range sources(t) {
		// The benchmark of the differ links objects into large ones to measure on;
		// kernels of one's own are compiled as their owners do; asmtest assembles for tests.
		if slices.Contains([]string{"kbuild", "internal/differbench", "internal/ownkernel", "internal/asmtest"}, s.pkg) ||
			!slices.Contains(s.imports, "os/exec") {
			continue
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			if text, err := strconv.Unquote(lit.Value); err == nil && BuildTool(text) {
				t.Errorf("%s: runs programs and names %q: only kbuild may run compilers and make", s.path, text)
			}
			return true
		})
	}
}

// archAsked lists the places outside of archKnow that name an architecture, "file: what they name",
// with the reason. Nothing is to be added: what differs between architectures is for elfobj.Arch,
// analyze/machine.Arch or kernel/karch to say.
var archAsked = map[string]string{
	"elfdiff/sections.go: arch/":             "files of the kernel, for people: who reads a section",
	"kbuild/sandbox.go: GOARCH":              "the host's: numbers of its system calls",
	"kbuild/sandbox.go: name":                "GOARCH of hosts: numbers of their system calls",
	"kbuild/variant.go: arch/":               "a header of one architecture, edited where a tree has it",
	"kbuild/config.go: CONFIG_X86":           "an option of the kernel, set or not",
	"kbuild/dropped.go: CONFIG_X86":          "an option of the kernel, set or not",
	"kernel/kerneltest/fake.go: EM_X86_64":   "kernels for tests",
	"kernel/kerneltest/module.go: EM_X86_64": "kernels for tests",
	"kernel/kerneltest/module.go: R_X86_64":  "kernels for tests",
	// The engines know the convention of calls of one architecture. While they do, machine.For
	// must refuse all others: TestOneMachine.
	"analyze/code/regs.go: machine.X86":         "the engine's convention of calls",
	"analyze/equiv/state.go: machine.X86":       "the engine's convention of calls",
	"analyze/fields/walk.go: machine.X86":       "the engine's convention of calls",
	"analyze/locks/live.go: machine.X86":        "the engine's registers",
	"analyze/locks/prims.go: machine.X86":       "the engine's convention of calls",
	"analyze/registered/tables.go: machine.X86": "the engine's convention of calls",
	"analyze/sleeps/flags.go: machine.X86":      "the engine's convention of calls",
	"analyze/stacks/waits.go: machine.X86":      "the engine's convention of calls",
	"analyze/typecheck/proof.go: machine.X86":   "the engine's convention of calls",
}

// archKnow are the packages that say what differs between architectures.
var archKnow = []string{"elfobj", "analyze/machine", "kernel/karch"}

var (
	machineNameRE = regexp.MustCompile(`^(x86|x86_64|x86-64|amd64|i386|arm64|aarch64|powerpc|ppc64|ppc64le|ppc64el|s390|s390x|loongarch|loongarch64|loong64|riscv|riscv64|X86|X86_64|ARM64|PPC|PPC64|S390|LOONGARCH)$`)
	archPathRE    = regexp.MustCompile(`\barch/(x86|arm64|powerpc|s390|loongarch|riscv)\b`)
	archOptionRE  = regexp.MustCompile(`\bCONFIG_(X86|ARM64|PPC|S390|LOONGARCH)(_|\b)`)
	relocNameRE   = regexp.MustCompile(`^R_(X86_64|AARCH64|PPC64|390|LARCH)_`)
)

// asksArch names what in an expression asks which architecture it is; "" when nothing does.
func asksArch(n ast.Node) string {
	switch n := n.(type) {
	case *ast.SelectorExpr:
		x, ok := n.X.(*ast.Ident)
		if !ok {
			return ""
		}
		switch {
		case x.Name == "elf" && strings.HasPrefix(n.Sel.Name, "EM_"):
			return n.Sel.Name
		case x.Name == "elf" && strings.HasPrefix(n.Sel.Name, "R_"):
			if m := relocNameRE.FindString(n.Sel.Name); m != "" {
				return strings.TrimSuffix(m, "_")
			}
			return n.Sel.Name
		case x.Name == "runtime" && n.Sel.Name == "GOARCH":
			return "GOARCH"
		case x.Name == "machine" && n.Sel.Name == "X86":
			return "machine.X86"
		}
	case *ast.BasicLit:
		text, err := strconv.Unquote(n.Value)
		if n.Kind != token.STRING || err != nil {
			return ""
		}
		switch {
		case machineNameRE.MatchString(text):
			return "name"
		case archPathRE.MatchString(text):
			return "arch/"
		case archOptionRE.MatchString(text):
			return "CONFIG_" + archOptionRE.FindStringSubmatch(text)[1]
		}
	}
	return ""
}

// TestNobodyAsksTheArchitecture: from the patch to the report, what differs between architectures is
// said in three packages. Nobody else names a machine, a relocation type, a decoder or an architecture.
func TestNobodyAsksTheArchitecture(t *testing.T) {
	seen, looked := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if slices.Contains(archKnow, s.pkg) || strings.HasPrefix(s.pkg, "internal/") {
			continue
		}
		looked[s.pkg] = true
		ast.Inspect(s.file, func(n ast.Node) bool {
			if what := asksArch(n); what != "" {
				at := s.path + ": " + what
				if seen[at] = true; archAsked[at] == "" {
					t.Errorf("%s: ask elfobj.Arch, machine.Arch or karch instead", at)
				}
			}
			return true
		})
	}
	for at := range archAsked {
		if !seen[at] {
			t.Errorf("%s: it does not any more; take it off the list", at)
		}
	}
	for _, pkg := range []string{"analyze/locks", "cmd/klpforge", "deploy", "elfdiff", "generate", "kbuild", "kernel", "kernel/kimage", "locate", "module",
		"pipeline", "report"} {
		if !looked[pkg] {
			t.Errorf("no source of %s was looked at", pkg)
		}
	}
}

// TestAsksArch: what the rule above sees.
func TestAsksArch(t *testing.T) {
	for text, want := range map[string]string{"elf.EM_PPC64": "EM_PPC64", "elf.R_390_64": "R_390", "runtime.GOARCH": "GOARCH",
		"machine.X86": "machine.X86", `"s390x"`: "name", `"arch/x86/boot/bzImage"`: "arch/", `"CONFIG_X86_KERNEL_IBT"`: "CONFIG_X86",
		"elf.SHT_NOBITS": "", `"x86 only"`: "", `"search/x86"`: "", "machine.Arch": "", `"CONFIG_PPCX"`: ""} {
		e, err := parser.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := asksArch(e); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

// TestOneMachine: as long as an engine of the analysis knows the convention of calls of x86-64
// alone, no program of another architecture reaches it.
func TestOneMachine(t *testing.T) {
	engines := 0
	for at := range archAsked {
		if strings.HasSuffix(at, "machine.X86") {
			engines++
		}
	}
	for _, a := range karch.All() {
		got, err := machine.For(a.Machine)
		switch {
		case err == nil && got != machine.X86 && engines > 0:
			t.Errorf("machine.For models %s, and %d files take the convention of x86-64 for it", a.Name, engines)
		case err == nil && !a.Builds:
			t.Errorf("%s: instructions are modelled, and no livepatch is built", a.Name)
		}
	}
}

// followers are the packages that follow instructions.
var followers = []string{"code", "fields", "flow", "lockdiff", "locks", "machine", "model", "registered", "sleeps", "stacks"}

// TestCodeChecksSaySo: a check that is made of what instructions do says so, and is unknown where
// that is not known (analyze.Analyzer.Code).
func TestCodeChecksSaySo(t *testing.T) {
	follows, says := map[string]bool{}, map[string]bool{}
	for _, s := range sources(t) {
		if !strings.HasPrefix(s.pkg, "analyze/passes/") {
			continue
		}
		for _, name := range followers {
			follows[s.pkg] = follows[s.pkg] || slices.Contains(s.imports, Module+"/analyze/"+name)
		}
		ast.Inspect(s.file, func(n ast.Node) bool {
			if field, ok := n.(*ast.KeyValueExpr); ok {
				key, isName := field.Key.(*ast.Ident)
				value, isBool := field.Value.(*ast.Ident)
				says[s.pkg] = says[s.pkg] || isName && isBool && key.Name == "Code" && value.Name == "true"
			}
			return true
		})
	}
	if len(follows) < 20 {
		t.Errorf("%d checks were looked at", len(follows))
	}
	for pkg, does := range follows {
		if does != says[pkg] {
			t.Errorf("%s follows instructions: %v, says so: %v", pkg, does, says[pkg])
		}
	}
}

// opTables are the tables by the decoder's operations outside of analyze/machine,
// with what they say. None says what an instruction reads or changes.
var opTables = map[string]string{
	"analyze/locks/arith.go: binOps": "arithmetic that values are followed through",
}

// TestEffectsAreMachines: which registers and memory an instruction reads and
// changes is said in analyze/machine alone. A table by operations anywhere else
// is listed above, with what it is for.
func TestEffectsAreMachines(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range sources(t) {
		if s.pkg == "analyze/machine" || !strings.HasPrefix(s.pkg, "analyze") {
			continue
		}
		for _, decl := range s.file.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				m, ok := n.(*ast.MapType)
				if !ok || !isOp(m.Key) {
					return true
				}
				at := s.path + ": " + declName(decl, m)
				seen[at] = true
				if opTables[at] == "" {
					t.Errorf("%s is a table by operations: what instructions read and change is analyze/machine's to say", at)
				}
				return true
			})
		}
	}
	for at := range opTables {
		if !seen[at] {
			t.Errorf("%s: no such table any more; take it off the list", at)
		}
	}
}

// isOp reports whether a type is x86asm.Op or machine.Op.
func isOp(e ast.Expr) bool {
	sel, ok := e.(*ast.SelectorExpr)
	if !ok || sel.Sel.Name != "Op" {
		return false
	}
	x, ok := sel.X.(*ast.Ident)
	return ok && (x.Name == "x86asm" || x.Name == "machine")
}

// declName names the variable or function of the package that a node lies in.
func declName(decl ast.Decl, n ast.Node) string {
	switch d := decl.(type) {
	case *ast.FuncDecl:
		return d.Name.Name
	case *ast.GenDecl:
		for _, spec := range d.Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && v.Pos() <= n.Pos() && n.End() <= v.End() {
				return v.Names[0].Name
			}
		}
	}
	return "?"
}

// TestRulesAreReached: no rule stands behind one that matches all that it does. The
// first that matches holds, so a second row for a package would never be read.
func TestRulesAreReached(t *testing.T) {
	for i, r := range rules {
		for _, before := range rules[:i] {
			if before.pattern == r.pattern || match(before.pattern, strings.TrimSuffix(r.pattern, "/...")) {
				t.Errorf("the rule for %s is not reached: the one for %s stands before it", r.pattern, before.pattern)
			}
		}
	}
}

func TestViolations(t *testing.T) {
	own := func(p string) string { return Module + "/" + p }
	for _, c := range []struct {
		pkg, imp string
		bad      bool
	}{
		{"patchset", own("kernel"), true},
		{"patchset", own("elfobj"), true},
		{"patchset", "debug/elf", true},
		{"patchset", "os", false},
		{"elfobj", own("elfdiff"), true},
		{"elfobj", "debug/elf", false},
		{"elfdiff", own("elfobj"), false},
		{"elfdiff", own("kernel"), true},
		{"elfdiff", own("plan"), true},
		{"elfdiff", "os", true},
		{"elfdiff", "time", true},
		{"elfdiff", "os/exec", true},
		{"locate", own("elfdiff"), false},
		{"locate", own("generate"), true},
		{"generate", own("templates"), false},
		{"generate", own("kernel"), true},
		{"generate", own("elfdiff"), true},
		{"generate", own("analyze"), true},
		{"kbuild", own("elfobj"), true},
		{"kbuild", own("kernel"), true},
		{"kbuild", "os/exec", false},
		{"kbuild", "debug/elf", true},
		{"kernel", own("kbuild"), true},
		{"kernel", own("patchset"), true},
		{"plan", own("elfobj"), true},
		{"plan", "math/rand/v2", true},
		{"templates", own("plan"), true},
		{"analyze/model", own("analyze/locks"), true},
		{"analyze/model", "os", true},
		{"analyze/passes/a", own("analyze/model"), false},
		{"analyze/passes/a", own("analyze/passes/b"), true},
		{"pipeline", own("cmd/klpforge"), true},
		{"pipeline", own("kbuild"), false},
		{"pipeline", own("internal/vm"), true},
		{"pipeline", "os/exec", true},
		{"generate", own("pipeline"), true},
		{"cmd/klpforge", own("pipeline"), false},
		{"cmd/klpforge", "os/exec", true},
		{"pipeline", "github.com/spf13/cobra", true},
		{"kernel", "github.com/go-git/go-git/v5", true},
		{"analyze/machine", "golang.org/x/arch/x86/x86asm", false},
		{"analyze/code", "golang.org/x/arch/x86/x86asm", true},
		{"analyze/sleeps", "golang.org/x/arch/x86/x86asm", true},
		{"analyze/passes/a", "golang.org/x/arch/x86/x86asm", true},
		{"analyze/machine", own("analyze/model"), true},
		{"analyze/machine", own("analyze/kfuncs"), false},
		{"analyze/kfuncs", own("analyze/machine"), true},
		{"analyze/machine", "os", true},
		{"misc", "fmt", true},
	} {
		if got := Violations(c.pkg, []string{c.imp}); (len(got) > 0) != c.bad {
			t.Errorf("%s imports %s: %q", c.pkg, c.imp, got)
		}
	}
	for text, want := range map[string]bool{"make": true, "/usr/bin/gcc-12": true, "gcc": true, "make modules": true, "make a directory: %w": false, "apt-get": false, "makefile": false, "asm": false} {
		if BuildTool(text) != want {
			t.Errorf("BuildTool(%q) = %v", text, !want)
		}
	}
}

// TestFileNames: a file that is named for an architecture is compiled only there.
// What it is about is the target's; the program runs anywhere.
func TestFileNames(t *testing.T) {
	for _, s := range sources(t) {
		words := strings.Split(strings.TrimSuffix(filepath.Base(s.path), ".go"), "_")
		last := words[len(words)-1]
		if len(words) > 1 && slices.Contains([]string{"386", "amd64", "arm", "arm64", "loong64", "mips64", "ppc64", "ppc64le", "riscv64", "s390x"}, last) {
			t.Errorf("%s is compiled only on %s hosts", s.path, last)
		}
	}
}

// readers are the functions of strings, bytes and regexp that look into a text.
var readers = map[string]bool{"Contains": true, "ContainsAny": true, "HasPrefix": true, "HasSuffix": true, "EqualFold": true, "Index": true,
	"LastIndex": true, "Cut": true, "CutPrefix": true, "CutSuffix": true, "MatchString": true, "FindString": true,
	"FindStringSubmatch": true, "FindAllString": true, "FindAllStringSubmatch": true}

// textReaders are functions that look into a message of others, with what they need
// it for: none chooses an id, a kind or a heading by it.
var textReaders = map[string]string{
	"patchset: FollowUps":   "a commit's message says which commit it repairs or reverts",
	"patchset: commitPatch": "a commit's message has the subject in its first line",
	"internal/matrix: run":  "shows the first line of an error in the table",
	// Names that a compiler quotes say what to try first; whether it was that, compiling says.
	"internal/klpbuild: load": "shows the first line of an error",
}

// TestNoDecisionByText: what a message is, its kind says, or its error's type. The text of
// a finding, a remark or an error is for people, and may be put otherwise at any time.
func TestNoDecisionByText(t *testing.T) {
	used := map[string]bool{}
	for _, s := range sources(t) {
		for _, decl := range s.file.Decls {
			fn, ok := decl.(*ast.FuncDecl)
			if !ok || fn.Body == nil {
				continue
			}
			where := s.pkg + ": " + fn.Name.Name
			ast.Inspect(fn.Body, func(n ast.Node) bool {
				call, ok := n.(*ast.CallExpr)
				if !ok {
					return true
				}
				sel, ok := call.Fun.(*ast.SelectorExpr)
				if !ok || !readers[sel.Sel.Name] || !slices.ContainsFunc(call.Args, isMessage) {
					return true
				}
				used[where] = true
				if textReaders[where] == "" {
					t.Errorf("%s: %s looks into the text of a message", s.path, fn.Name.Name)
				}
				return true
			})
		}
	}
	for where := range textReaders {
		if !used[where] {
			t.Errorf("%s is listed, and looks into no message", where)
		}
	}
}

// isMessage reports whether an expression has the text of an error, a finding or a remark in it.
func isMessage(e ast.Expr) bool {
	found := false
	ast.Inspect(e, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			sel, ok := n.Fun.(*ast.SelectorExpr)
			found = found || ok && sel.Sel.Name == "Error" && len(n.Args) == 0
		case *ast.SelectorExpr:
			found = found || n.Sel.Name == "Message" || n.Sel.Name == "Remedy"
		}
		return !found
	})
	return found
}

// TestIsMessage: what the rule above sees.
func TestIsMessage(t *testing.T) {
	for text, want := range map[string]bool{"err.Error()": true, "found.Message": true, "strings.ToLower(f.Remedy)": true, "rows[i].Message[1:]": true,
		"err": false, "f.ID": false, "t.Error(1)": false, "f.Name": false} {
		e, err := parser.ParseExpr(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := isMessage(e); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
