package guest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// testInterp is an interpreter over a directory instead of sysfs, without a
// kernel log; events go to the returned buffer.
func testInterp(t *testing.T) (*interp, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	return &interp{
		out: &emitter{w: &out}, klp: t.TempDir(), loaded: map[string]bool{},
		tainted: func() (uint64, error) { return TaintAllowed | 1<<9, nil },
	}, &out
}

func events(t *testing.T, out *bytes.Buffer) []Event {
	t.Helper()
	var evs []Event
	for l := range strings.Lines(out.String()) {
		j, ok := strings.CutPrefix(l, Prefix)
		if !ok {
			t.Fatalf("line %q", l)
		}
		var ev Event
		if err := json.Unmarshal([]byte(j), &ev); err != nil {
			t.Fatal(err)
		}
		evs = append(evs, ev)
	}
	return evs
}

// ends gives "id op ok" of each step that ended.
func ends(t *testing.T, out *bytes.Buffer) (list []string) {
	t.Helper()
	for _, ev := range events(t, out) {
		if ev.Kind == EvEnd {
			list = append(list, fmt.Sprintf("%s %s %v", ev.ID, ev.Step.Op, ev.Step.OK))
		}
	}
	return list
}

func TestRunScript(t *testing.T) {
	dir := t.TempDir()
	f, g := filepath.Join(dir, "f"), filepath.Join(dir, "g")
	in, out := testInterp(t)
	ok := in.runScript(Script{Steps: []Step{
		WriteFile(f, 100_001, 7),
		VerifyFile(f, 100_001, 7),
		VerifyFile(f, 100_001, 8).Optional(),
		Copy(f, g),
		VerifyFile(g, 100_001, 7),
		Repeat(2, Write(g, "klp"), Expect(g, MatchContains, "klp")),
		Read(filepath.Join(dir, "none")).Fails("ENOENT"),
		Read(f).Fails("ENOENT").Optional(),
		Read(dir).Fails("ENOENT").Optional(),
		Remove(g),
		Background(3, "getpid", "pipe"),
		Background(1).Optional(),
		StopBackground(),
		StopBackground(),
		Probe(MatchExact, "ENOENT", "stat", g),
		Probe(MatchRegexp, `^ok 100\d+ 100001$`, "stat", f),
		Probe("", "", "stat").Optional(),
		CheckTaint(TaintAllowed).Optional(),
		CheckTaint(TaintAllowed | 1<<9),
		CheckDmesg(),
		Exec("/bin/sh", "-c", "echo out; exit 3").Optional(),
		Step{Op: "no such thing"}.Optional(),
		Poweroff(),
		Sleep(time.Hour),
	}})
	if !ok {
		t.Error("the script failed")
	}
	want := []string{
		"0 write-file true", "1 verify-file true", "2 verify-file false", "3 copy true", "4 verify-file true",
		"5.0.0 write true", "5.0.1 expect true", "5.1.0 write true", "5.1.1 expect true", "5 repeat true",
		"6 read true", "7 read false", "8 read false", "9 remove true",
		"10 background true", "11 background false", "12 stop-background true", "13 stop-background true",
		"14 probe true", "15 probe true", "16 probe false", "17 check-taint false", "18 check-taint true", "19 check-dmesg true",
		"20 exec false", "21 no such thing false", "22 poweroff true",
	}
	if d := cmp.Diff(want, ends(t, out)); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
}

func TestRunScriptStops(t *testing.T) {
	in, out := testInterp(t)
	if in.runScript(Script{Steps: []Step{Repeat(2, Read("/no/such/file"), Sync()), Sleep(time.Hour)}}) {
		t.Error("the script succeeded")
	}
	if d := cmp.Diff([]string{"0.0.0 read false", "0 repeat false"}, ends(t, out)); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
	for _, ev := range events(t, out) {
		if ev.ID == "0.0.0" && ev.Kind == EvEnd && ev.Step.Errno != "ENOENT" {
			t.Errorf("errno %q", ev.Step.Errno)
		}
	}
}

func TestCopySparse(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	data := make([]byte, 1<<20+5)
	data[300_000], data[len(data)-1] = 1, 2
	if err := os.WriteFile(from, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(from, to); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(data, got) {
		t.Error("the copy differs")
	}
	// A file that ends in zeros keeps its length.
	if err := errors.Join(os.Truncate(from, 0), os.Truncate(from, 3<<20), copySparse(from, to)); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(to); err != nil || st.Size() != 3<<20 {
		t.Errorf("size of the copy: %v, %v", st, err)
	}
}

func TestVerifyPatternFindsDamage(t *testing.T) {
	f := filepath.Join(t.TempDir(), "f")
	if err := writePattern(f, 200_000, 1); err != nil {
		t.Fatal(err)
	}
	if err := verifyPattern(f, 200_001, 1); err == nil {
		t.Error("another size is accepted")
	}
	b, err := os.ReadFile(f)
	if err != nil {
		t.Fatal(err)
	}
	b[150_000] ^= 1
	if err := os.WriteFile(f, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := verifyPattern(f, 200_000, 1); err == nil || !strings.Contains(err.Error(), "block at 131072") {
		t.Errorf("one flipped bit: %v", err)
	}
}

// put writes files below the fake /sys/kernel/livepatch; a name that ends in
// a slash is a directory.
func put(t *testing.T, in *interp, files map[string]string) {
	t.Helper()
	for name, data := range files {
		p := filepath.Join(in.klp, name)
		if strings.HasSuffix(name, "/") {
			if err := os.MkdirAll(p, 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestLivepatches(t *testing.T) {
	in, _ := testInterp(t)
	put(t, in, map[string]string{
		"b/enabled": "1\n", "b/transition": "1\n", "b/replace": "0\n",
		"b/vmlinux/patched": "1\n", "b/vmlinux/g,1/": "", "b/vmlinux/f,2/": "",
		"b/ext4/h,1/": "",
		"a/enabled":   "0\n", "a/transition": "0\n",
	})
	got, err := livepatches(in.klp)
	if err != nil {
		t.Fatal(err)
	}
	want := []Livepatch{
		{Name: "a"},
		{Name: "b", Enabled: true, Transition: true, Attrs: [][2]string{{"replace", "0"}}, Objects: []LPObject{
			{Name: "ext4", Funcs: []string{"h,1"}},
			{Name: "vmlinux", Patched: "1", Funcs: []string{"f,2", "g,1"}},
		}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("livepatches (-want +got):\n%s", d)
	}
}

func TestTransition(t *testing.T) {
	in, _ := testInterp(t)
	put(t, in, map[string]string{"x/enabled": "1\n", "x/transition": "1\n"})
	if _, err := in.waitTransition("x", 30*time.Millisecond); !errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("transition that does not end: %v", err)
	}
	if err := in.expectEnabled("x"); err == nil || !strings.Contains(err.Error(), "transition=1") {
		t.Errorf("enabled during a transition: %v", err)
	}
	put(t, in, map[string]string{"x/transition": "0\n"})
	_, werr := in.waitTransition("x", time.Second)
	if err := errors.Join(werr, in.expectEnabled("x")); err != nil {
		t.Error(err)
	}
	// Before 5.1 the directory stays.
	if err := in.disable("x", time.Second); err != nil {
		t.Error(err)
	}
	if err := in.expectEnabled("x"); err == nil || !strings.Contains(err.Error(), "enabled=0") {
		t.Errorf("disabled livepatch: %v", err)
	}
	// Since 5.1 it goes.
	put(t, in, map[string]string{"y/enabled": "1\n", "y/transition": "1\n"})
	gone := time.AfterFunc(50*time.Millisecond, func() { os.RemoveAll(filepath.Join(in.klp, "y")) })
	defer gone.Stop()
	if err := in.disable("y", 5*time.Second); err != nil {
		t.Error(err)
	}
	_, werr = in.waitTransition("y", time.Second)
	for _, err := range []error{werr, in.expectEnabled("y"), in.disable("y", time.Second)} {
		if err == nil {
			t.Error("a livepatch that is not loaded is accepted")
		}
	}
}

func TestUntil(t *testing.T) {
	in, _ := testInterp(t)
	put(t, in, map[string]string{"n": "1\n"})
	expect := Expect(filepath.Join(in.klp, "n"), MatchExact, "2")
	for _, s := range []Step{expect, expect.Within(30 * time.Millisecond)} {
		if err := in.do("0", s, new(StepResult)); err == nil || !strings.Contains(err.Error(), `has "1`) {
			t.Errorf("a file that never matches: %v", err)
		}
	}
	later := time.AfterFunc(50*time.Millisecond, func() { put(t, in, map[string]string{"n": "2\n"}) })
	defer later.Stop()
	r := new(StepResult)
	if err := in.do("0", expect.Within(time.Minute), r); err != nil || strings.TrimSpace(r.Out) != "2" {
		t.Errorf("a file that matches later: %v, %q", err, r.Out)
	}
	in.log = nil
	if err := in.do("0", ExpectLog("anything", time.Millisecond), r); err == nil {
		t.Error("an empty log has anything")
	}
}

func TestBatchFailures(t *testing.T) {
	in, out := testInterp(t)
	err := in.batch(Batch(time.Second, nil,
		BatchModule{Label: "a", Name: "klpvm_none_a", Path: "/no/such/a.ko", Before: []ModFile{{Name: "d", Path: "/no/such/d.ko"}, {Name: "o", Path: "/no/such/o.ko", Optional: true}}},
		BatchModule{Label: "b", Name: "klpvm_none_b", Path: "/no/such/b.ko"},
	))
	if err == nil || err.Error() != "2 of 2 modules failed" {
		t.Errorf("got %v", err)
	}
	evs := events(t, out)
	if len(evs) != 4 || evs[0].Kind != EvModuleBegin || evs[1].Kind != EvModule || evs[3].Label != "b" {
		t.Fatalf("events %+v", evs)
	}
	m := evs[1].Module
	if m.OK || m.Stage != StageLoad || m.Errno != "ENOENT" || m.Stuck || len(m.DepErrs) != 1 {
		t.Errorf("result %+v", m)
	}
	if err := in.batch(Batch(0, []string{"("})); err == nil {
		t.Error("a broken expression is accepted")
	}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		got  string
		m    Match
		want string
		ok   bool
	}{
		{"a\n", MatchExact, "a", true}, {"a", "", "b", false},
		{"abc", MatchContains, "b", true}, {"abc", MatchContains, "x", false},
		{"abc", MatchAbsent, "x", true}, {"abc", MatchAbsent, "b", false},
		{"abc", MatchRegexp, "^a.c$", true}, {"abc", MatchRegexp, "^b", false}, {"abc", MatchRegexp, "(", false},
		{"abc", "unheard-of", "abc", false},
	}
	for _, tt := range tests {
		if err := match("x", tt.got, tt.m, tt.want); (err == nil) != tt.ok {
			t.Errorf("%q %s %q: %v", tt.got, tt.m, tt.want, err)
		}
	}
}

func TestProbes(t *testing.T) {
	f := filepath.Join(t.TempDir(), "f")
	tests := []struct {
		name string
		args []string
		want string
	}{
		{"open", []string{f, "0"}, "ENOENT"},
		{"open", []string{f, "0x42"}, "ok"}, // O_CREAT|O_RDWR
		{"getxattr", []string{f, "user.none"}, "E"},
		{"socket", []string{"1", "2", "0"}, "ok"},
		{"socket", []string{"9999", "1", "0"}, "E"},
		{"syscall", []string{"39"}, fmt.Sprintf("ok %d", os.Getpid())},
		{"statfs", []string{"/proc"}, "ok 9fa0"},
		{"listxattr", []string{"/no/such"}, "ENOENT"},
	}
	for _, tt := range tests {
		got, err := probe(tt.name, tt.args)
		if err != nil || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s %q: %q, %v", tt.name, tt.args, got, err)
		}
	}
	for _, bad := range [][]string{{"none"}, {"socket", "1"}, {"socket", "x", "1", "1"}, {"syscall"}} {
		if out, err := probe(bad[0], bad[1:]); err == nil {
			t.Errorf("%q gives %q", bad, out)
		}
	}
	if len(ProbeNames()) != len(probes) || len(LoadNames()) != len(loads) {
		t.Error("not all names are listed")
	}
}

func TestDrainLRU(t *testing.T) {
	if err := drainLRU(); err != nil {
		t.Fatal(err)
	}
}

func TestClip(t *testing.T) {
	if got := clip([]string{"a"}); len(got) != 1 {
		t.Errorf("short log: %q", got)
	}
	got := clip(make([]string, MaxLog+50))
	if len(got) != MaxLog+1 || got[MaxLog/2] != "(50 messages left out)" {
		t.Errorf("long log has %d lines, middle %q", len(got), got[MaxLog/2])
	}
}

// TestAttrGoes: the directory of a livepatch may outlast its attributes for a moment; one that stays
// without the attribute has none.
func TestAttrGoes(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "own")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, gone, err := attr(dir, "transition"); gone || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a directory that stays: gone %v, %v", gone, err)
	}
	time.AfterFunc(goneWithin/5, func() { _ = os.Remove(dir) })
	if _, gone, err := attr(dir, "transition"); !gone || err != nil {
		t.Errorf("a directory that goes: gone %v, %v", gone, err)
	}
	if _, gone, err := attr(dir, "transition"); !gone || err != nil {
		t.Errorf("no directory: gone %v, %v", gone, err)
	}
}
