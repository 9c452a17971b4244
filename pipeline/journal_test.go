package pipeline

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze"
	"github.com/klpforge/klpforge/analyze/join"
	"github.com/klpforge/klpforge/elfdiff"
	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/kimage"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/plan"
)

func texts(list []finding.Finding) []string {
	var out []string
	for _, f := range list {
		out = append(out, strings.TrimSpace(string(f.ID)+" "+f.Severity.String()+" "+f.Symbol+" "+f.Unit))
	}
	return out
}

// A finding is told once; an error that was accepted does not stop, a warning never does.
func TestJournal(t *testing.T) {
	stages := ""
	say := &journal{res: &Result{}, allow: map[finding.ID]string{"KLP103": "the callback sets it", "KLP104": "a warning"}, progress: func(stage string, done, total int) {
		stages += stage + " "
		if done != 0 || total != 0 {
			t.Errorf("%s begins at %d of %d", stage, done, total)
		}
	}}
	say.enter("one")
	say.enter("two")
	say.enter("")
	say.enter("three")
	say.enter("")
	var timed []string
	for _, s := range say.res.Stages {
		timed = append(timed, s.Name)
		if s.Seconds < 0 || s.Seconds > 60 {
			t.Errorf("%s took %g s", s.Name, s.Seconds)
		}
	}
	if stages != "one two three " || !slices.Equal(timed, []string{"one", "two", "three"}) {
		t.Errorf("stages %q, timed %q", stages, timed)
	}

	warning := finding.Finding{ID: "KLP104", Severity: finding.Warning, Symbol: "w"}
	accepted := finding.Finding{ID: "KLP103", Severity: finding.Error, Symbol: "a"}
	say.found(warning, accepted, warning)
	if err := say.verdict(); !errors.Is(err, ErrNothing) || len(say.errors()) > 0 || say.forbidden("KLP103", "KLP104") {
		t.Errorf("verdict %v, errors %v", err, say.errors())
	}
	if f := say.res.Problems; len(f) != 2 || f[0].Allowed != "" || f[1].Allowed != "the callback sets it" {
		t.Errorf("problems %+v", f)
	}
	say.res.Plan.Objects = []plan.Object{{Name: plan.Vmlinux}}
	if err := say.verdict(); err != nil {
		t.Errorf("verdict %v", err)
	}
	unit := &analyze.Unit{Object: "dir/x.o", Owner: "mod"}
	say.about(unit, finding.Finding{ID: "KLP105", Severity: finding.Error, Symbol: "e"}, finding.Finding{ID: "KLP102", Severity: finding.Error, Symbol: "e"}, finding.Finding{ID: "KLP105", Severity: finding.Error, Symbol: "b"})
	if f := say.res.Problems[2]; f.Object != "mod" || f.Unit != "dir/x.o" {
		t.Errorf("about a unit: %+v", f)
	}
	var refusal *Refusal
	if err := say.verdict(); !errors.As(err, &refusal) || len(refusal.Problems) != 3 || strings.Count(err.Error(), "\n") != 3 || !strings.Contains(err.Error(), "3 error(s)") {
		t.Errorf("verdict %v", err)
	}
	if !say.forbidden("KLP101", "KLP102") || say.forbidden("KLP101") {
		t.Error("forbidden")
	}
	say.sort()
	want := []string{"KLP102 error e dir/x.o", "KLP103 error a", "KLP105 error b dir/x.o", "KLP105 error e dir/x.o", "KLP104 warning w"}
	if d := cmp.Diff(want, texts(say.res.Problems)); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// What the check of the finished module finds stops it, unless it is accepted, and is
// among the findings; a call through a pointer that was told of the object is not told again.
func TestVerified(t *testing.T) {
	say := quiet()
	say.allow = map[finding.ID]string{finding.IDTables: "I know"}
	say.found(finding.Finding{ID: finding.IDIndirect, Severity: finding.Error, Symbol: "f", Unit: "x.o"})
	early := len(say.res.Problems)
	err := say.verified([]finding.Finding{
		{ID: finding.IDIndirect, Severity: finding.Error, Symbol: "f"},
		{ID: finding.IDTables, Severity: finding.Error, Symbol: "f"},
		{ID: finding.IDNotTraceable, Severity: finding.Warning, Symbol: "f"},
	})
	if err != nil {
		t.Error(err)
	}
	if d := cmp.Diff([]string{"KLP124 error f", "KLP101 warning f"}, texts(say.res.Problems[early:])); d != "" || say.res.Problems[early].Allowed != "I know" {
		t.Errorf("problems (-want +got)\n%s", d)
	}
	if len(say.res.Findings) != 2 || say.res.Findings[0].ID != "KLP124" || say.res.Findings[0].Allowed != "I know" {
		t.Errorf("findings %+v", say.res.Findings)
	}
	err = say.verified([]finding.Finding{{ID: finding.IDIndirect, Severity: finding.Error, Symbol: "g"}, {ID: finding.IDVermagic, Severity: finding.Error}, {ID: finding.IDTypes, Severity: finding.Note}})
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		t.Fatalf("error %v", err)
	}
	if d := cmp.Diff([]string{"KLP119 error g", "KLP121 error"}, texts(refusal.Problems)); d != "" {
		t.Errorf("refused for (-want +got)\n%s", d)
	}
}

// What no patch may accept, the command line may not either, and says so; a comment in a
// patch is an error.
func TestUnacceptable(t *testing.T) {
	say := quiet()
	allow, err := acceptedFindings(&Options{Allow: map[finding.ID]string{finding.IDOutsideFile: "x", finding.IDBuildRules: "y", "KLP103": "z"}, AllowFrom: "livepatch.yaml"}, &patchset.Series{}, say)
	if err != nil || len(allow) != 1 || allow["KLP103"] != "z" {
		t.Errorf("%v, %v", allow, err)
	}
	if d := cmp.Diff([]Suppression{{"KLP103", "z", "livepatch.yaml"}}, say.res.Suppressions); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if n := say.res.Notes; len(n) != 2 || !strings.HasPrefix(n[0].Text, string(finding.IDOutsideFile)+" cannot be accepted") || !strings.HasPrefix(n[1].Text, string(finding.IDBuildRules)+" cannot") {
		t.Errorf("notes %q", n)
	}
	patch := filepath.Join(t.TempDir(), "a.patch")
	for text, want := range map[string]string{
		"klpforge: allow " + string(finding.IDOutsideFile) + " please\r\n": "a.patch:1: " + string(finding.IDOutsideFile) + " cannot be accepted",
		"x\nKlpforge: allow KLP103 a\r\n":                                  "",
		"#klpforge: allow KLP103 a\n":                                      "",
		" klpforge: allow KLP10\n":                                         "",
		"klpforge: allow KLP10 a\n":                                        "a.patch:1: want an id and a reason",
		"klpforge: allow KLP1034 a\n":                                      "a.patch:1: want an id and a reason",
		"klpforge: allows KLP10 a\n":                                       "",
	} {
		if err := os.WriteFile(patch, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := acceptedFindings(&Options{Patches: []string{patch}}, &patchset.Series{}, quiet())
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !errors.As(err, new(*PatchError))) {
			t.Errorf("%q: %v", text, err)
		}
	}
	// From a repository the text before the diff counts, and it alone.
	say = quiet()
	series := &patchset.Series{Patches: []*patchset.Patch{{ID: "0123", Log: "klpforge: allow KLP204 ok\n"}}}
	if allow, err := acceptedFindings(&Options{GitRange: "a..b"}, series, say); err != nil || allow["KLP204"] != "ok" || say.res.Suppressions[0].From != "0123:1" {
		t.Errorf("%v, %v", allow, err)
	}
}

// The files behind an argument: itself, or those that a series names.
func TestPatchFiles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.patch": "", "b.patch": "", "series": "a.patch -p1\n\n # c\n#b.patch\nb.patch\nsub\nnone.patch\n", "series.conf": "b.patch\n", "my.series": "a.patch\n", "series.txt": "a.patch\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "sub", "series"), 0o755); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string][]string{
		"a.patch": {"a.patch"}, "": {"series", "a.patch", "b.patch"}, "series": {"series", "a.patch", "b.patch"}, "series.conf": {"series.conf", "b.patch"},
		"my.series": {"my.series", "a.patch"}, "series.txt": {"series.txt"}, "absent": nil,
	} {
		got, err := patchFiles(filepath.Join(dir, arg))
		for i := range got {
			got[i], _ = filepath.Rel(dir, got[i])
		}
		if d := cmp.Diff(want, got); d != "" || err != nil {
			t.Errorf("%q: %v (-want +got)\n%s", arg, err, d)
		}
	}
	if got, err := patchFiles("-"); got != nil || err != nil {
		t.Errorf("standard input: %q, %v", got, err)
	}
	if _, err := patchFiles(filepath.Join(dir, "sub")); err == nil {
		t.Error("a directory without a series is read")
	}
}

// Shares are disjoint, complete and even.
func TestShare(t *testing.T) {
	names := []string{"a", "b", "c", "d", "e", "f", "g"}
	for of := 1; of <= 9; of++ {
		var all []string
		for number := 1; number <= of; number++ {
			part := Part{number, of}.share(names)
			if len(part) < len(names)/of || len(part) > (len(names)+of-1)/of {
				t.Errorf("share %d of %d is %q", number, of, part)
			}
			all = append(all, part...)
		}
		slices.Sort(all)
		if !slices.Equal(all, names) {
			t.Errorf("%d shares: %q", of, all)
		}
	}
}

// Where no module can be put is told before the work, and a file is whole or not there.
func TestOutput(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := writeFile(file, []byte("one")); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(file, []byte("two")); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(file)
	if text, _ := os.ReadFile(file); err != nil || string(text) != "two" || info.Mode().Perm() != 0o644 {
		t.Errorf("%q, %v, %v", text, info.Mode(), err)
	}
	for path, ok := range map[string]bool{file: true, filepath.Join(dir, "new"): true, dir: false, filepath.Join(dir, "none", "new"): false, filepath.Join(file, "new"): false} {
		err := checkOutput(&Options{Output: path})
		if (err == nil) != ok || err != nil && (!strings.HasPrefix(err.Error(), "write module: ") || !errors.As(err, new(*fs.PathError))) {
			t.Errorf("%s: %v", path, err)
		}
		if err := checkOutput(&Options{Output: path, DiffOnly: true}); err != nil {
			t.Errorf("a review: %v", err)
		}
		if ok {
			continue
		}
		if err := writeFile(path, []byte("x")); err == nil {
			t.Errorf("%s is written", path)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "taken"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := writeFile(filepath.Join(dir, "taken"), []byte("x")); err == nil {
		t.Error("a directory is overwritten")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}

// Names for modules, and what is said of them.
func TestNameNotes(t *testing.T) {
	one := &patchset.Series{Patches: []*patchset.Patch{{ID: "dir/fix.patch"}}}
	for _, c := range []struct {
		opt        Options
		name, note string
	}{
		{Options{Name: "a-b", NameFrom: "a+b"}, "a_b", "the module is called a-b, which others may be too: a+b cannot be a module's name"},
		{Options{Name: "ab"}, "ab", ""},
		{Options{Output: "dir/x-y.ko"}, "x_y", ""},
		{Options{}, "livepatch_fix", ""},
	} {
		if name, note := nameOf(&c.opt, one); name != c.name || note != c.note {
			t.Errorf("%+v: %q, %q", c.opt, name, note)
		}
	}
	two := &patchset.Series{Patches: []*patchset.Patch{{ID: "a.patch"}, {ID: "b.patch"}}}
	if _, note := nameOf(&Options{}, two); note != "the module is called livepatch_a, after the first of 2 patches; --name gives another" {
		t.Error(note)
	}
	if _, note := nameOf(&Options{}, &patchset.Series{Patches: []*patchset.Patch{{ID: "a+b.patch"}, {ID: "c"}}}); !strings.HasSuffix(note, ": livepatch_a+b cannot be a module's name") {
		t.Error(note)
	}
	say := quiet()
	if r, err := readRequest(&Options{Series: two}, say); err != nil || r.name != "livepatch_a" || len(say.res.Notes) != 1 || r.series != two {
		t.Errorf("%+v, %v, %q", r, err, say.res.Notes)
	}
	say = quiet()
	if _, err := readRequest(&Options{Series: two, DiffOnly: true}, say); err != nil || len(say.res.Notes) != 0 {
		t.Errorf("a review: %v, %q", err, say.res.Notes)
	}
	var bad *plan.NameError
	if _, err := readRequest(&Options{Series: two, Output: ".ko"}, quiet()); !errors.As(err, &bad) {
		t.Errorf("no name: %v", err)
	}
	if _, err := readRequest(&Options{Series: two, Name: "a b"}, quiet()); err == nil {
		t.Error("a name with a blank")
	}
	if _, err := readRequest(&Options{Patches: []string{filepath.Join(t.TempDir(), "none.patch")}}, quiet()); err == nil || errors.As(err, new(*PatchError)) {
		t.Errorf("a file that is not there is the patch's fault: %v", err)
	}
	for _, fault := range []error{&patchset.ParseError{}, &patchset.PathError{}, &patchset.UnsupportedError{}, &patchset.ApplyError{}, patchset.ErrEmpty} {
		if err := patchFault(fault); !errors.As(err, new(*PatchError)) || !errors.Is(err, fault) {
			t.Errorf("%T: %v", fault, err)
		}
	}
}

// A problem is told by a check when all that names it is the same.
func TestSays(t *testing.T) {
	f := finding.Finding{ID: "KLP101", Symbol: "s", Message: "m", Object: "o", Unit: "u", Severity: finding.Error}
	same := f
	same.Severity, same.Remedy = finding.Note, "r"
	if !says(&f, &same) {
		t.Error("the same is another")
	}
	for i, change := range []func(*finding.Finding){func(p *finding.Finding) { p.ID = "KLP102" }, func(p *finding.Finding) { p.Symbol = "t" }, func(p *finding.Finding) { p.Message = "n" },
		func(p *finding.Finding) { p.Object = "p" }, func(p *finding.Finding) { p.Unit = "v" }} {
		other := f
		if change(&other); says(&f, &other) {
			t.Errorf("%d: another is the same", i)
		}
	}
}

// New globals travel with a unit when others use them, and nothing else does.
func TestKeepNew(t *testing.T) {
	d := &elfdiff.Result{Patched: &elfdiff.Object{File: &elfobj.File{Symbols: []elfobj.Symbol{{}, {Name: "local"}, {Name: "global", Bind: 1}}}, Atoms: []elfdiff.Atom{{Sym: 1, Name: "local"}, {Sym: 2, Name: "global"}}}}
	change := func(name string, kind elfdiff.ChangeKind, atom elfdiff.AtomID, init bool) elfdiff.Change {
		return elfdiff.Change{Name: name, Kind: kind, Patched: atom, Init: init}
	}
	var opt elfdiff.ExtractOptions
	got := keepNew(&opt, &analyze.Unit{Diff: d}, []elfdiff.Change{change("global", elfdiff.New, 1, false), change("global", elfdiff.Changed, 1, false), change("global", elfdiff.New, 1, true),
		change("unused", elfdiff.New, 1, false), change("local", elfdiff.New, 0, false)}, map[string]bool{"global": true, "local": true})
	if !slices.Equal(got, []string{"global"}) || !slices.Equal(opt.Keep, []elfdiff.AtomID{1}) {
		t.Errorf("%q, %v", got, opt.Keep)
	}
}

// A decision about callers is written into its units.
func TestApplyDecision(t *testing.T) {
	u := &analyze.Unit{Object: "x.o"}
	say := quiet()
	(&Target{K: &kernel.Target{}, trace: &kimage.Trace{}}).apply(&join.Decision{Gone: []join.Gone{{Caller: "setup", Callee: "f"}}, Outside: map[join.Func]analyze.Outside{
		{Unit: u, Orig: 3}: {Complete: true}, {Unit: u, Orig: 4}: {Unpatched: []string{"g"}}}}, say)
	if d := cmp.Diff(map[elfdiff.AtomID]analyze.Outside{3: {Complete: true}, 4: {Unpatched: []string{"g"}}}, u.Outside); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if n := say.res.Notes; len(n) != 1 || !strings.HasPrefix(n[0].Text, "setup calls f, but only while booting") {
		t.Errorf("notes %q", n)
	}
}
