package vm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

func parseFile(t *testing.T, name string) *Result {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata/logs", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := ParseLog(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestParsePanic(t *testing.T) {
	tests := []struct{ file, kernel, module, step string }{
		{"ext4-panic-vmlinux.log", "6.1.0-55-cloud-amd64", "", "8"},
		{"ext4-panic-module.log", "6.1.0-55-amd64", "ext4", "8"},
	}
	for _, tt := range tests {
		t.Run(tt.file, func(t *testing.T) {
			r := parseFile(t, tt.file)
			p := r.Panic
			if p == nil {
				t.Fatal("no panic found")
			}
			if r.Kernel != tt.kernel || r.Done {
				t.Errorf("kernel %q, done %v", r.Kernel, r.Done)
			}
			if p.Function != Ext4PanicFunction || p.Module != tt.module || p.Reason != "Fatal exception" {
				t.Errorf("panic in %q [%q], reason %q", p.Function, p.Module, p.Reason)
			}
			if want := "BUG: kernel NULL pointer dereference, address: 0000000000000000"; p.Text != want {
				t.Errorf("text %q, want %q", p.Text, want)
			}
			want := []string{"ext4_mb_regular_allocator", "ext4_mb_new_blocks", "ext4_ext_map_blocks", "ext4_map_blocks", "ext4_writepages",
				"do_writepages", "__writeback_single_inode", "writeback_sb_inodes"}
			if d := cmp.Diff(want, p.Trace[:min(len(want), len(p.Trace))]); d != "" {
				t.Errorf("call trace (-want +got):\n%s", d)
			}
			if id, op, _ := r.OpenStep(); id != tt.step || op != guest.OpSync {
				t.Errorf("open step %q %s", id, op)
			}
			if err := r.ExpectPanic(Ext4PanicFunction); err != nil {
				t.Error(err)
			}
			if err := r.ExpectPanic("other"); err == nil {
				t.Error("a panic in another function is accepted")
			}
			var fe *FailedError
			if err := r.Err(); !errors.As(err, &fe) || !strings.Contains(err.Error(), "in ext4_mb_load_buddy_gfp") {
				t.Errorf("error %v", err)
			} else if long := fmt.Sprintf("%+v", err); !strings.Contains(long, "Call Trace") {
				t.Error("the long form does not have the log")
			}
		})
	}
}

func TestParseHang(t *testing.T) {
	r := parseFile(t, "hang.log")
	if r.Panic != nil || r.Done {
		t.Errorf("panic %v, done %v", r.Panic, r.Done)
	}
	if _, op, label := r.OpenStep(); op != guest.OpSleep || label != "forever" {
		t.Errorf("open step %s %q", op, label)
	}
	if err := r.Err(); err == nil || !strings.Contains(err.Error(), "ended early, during step 0 (sleep forever)") {
		t.Errorf("error %v", err)
	}
}

func TestParseLife(t *testing.T) {
	r := parseFile(t, "livepatch-life.log")
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if id, _, _ := r.OpenStep(); id != "" {
		t.Errorf("step %s is open", id)
	}
	if err := r.ExpectPanic("f"); err == nil {
		t.Error("a run without panic satisfies ExpectPanic")
	}
	lp := r.Step("tree").Livepatches
	if len(lp) != 1 || lp[0].Name != "klpvm_sample" || !lp[0].Enabled {
		t.Errorf("livepatches %+v", lp)
	}
	if r.Step("no such label") != nil {
		t.Error("found a step that does not exist")
	}
}

func TestParseBatchCrash(t *testing.T) {
	r := parseFile(t, "batch-crash.log")
	var got []string
	for _, m := range r.Modules {
		got = append(got, fmt.Sprintf("%s %s %v", m.Label, m.Stage, m.OK))
	}
	want := []string{"sample done true", "warn log false", "sample again done true"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("modules (-want +got):\n%s", d)
	}
	if r.OpenModule != "crash" {
		t.Errorf("open module %q", r.OpenModule)
	}
	// The warning before it is no panic.
	if r.Panic == nil || r.Panic.Function != "klpvm_crash_now" || r.Panic.Module != "klpvm_crash" {
		t.Errorf("panic %v", r.Panic)
	}
}

func TestParseSmall(t *testing.T) {
	const start = guest.Prefix + `{"ev":"start","kernel":"k"}` + "\n"
	const done = guest.Prefix + `{"ev":"done","ok":true}` + "\n"
	tests := []struct {
		name, log string
		panic     string // as Panic.String; empty for none
		err       string // part of Err; empty for none
	}{
		{"nothing", "", "", "did not come up"},
		{"firmware only", "SeaBIOS\r\n", "", "did not come up: SeaBIOS"},
		{"well", start + done, "", ""},
		{"guest failed", start + guest.Prefix + `{"ev":"done","err":"mount /proc: no"}`, "", "guest program failed: mount /proc: no"},
		{"panic without oops", start + "[    1.0] Kernel panic - not syncing: VFS: Unable to mount root fs\n",
			"Kernel panic - not syncing: VFS: Unable to mount root fs", "panic"},
		{"oops and silence", start + "[    1.000001] Oops: 0000 [#1]\n[    1.000002] RIP: 0010:f.cold+0x1/0x2 [m]\n", "Oops: 0000 [#1] in f.cold [m]", "panic"},
		{"oops survived", start + "[    1.000001] Oops: 0000 [#1]\n" + done, "", ""},
		{"jump to nowhere", start + "BUG: kernel NULL pointer dereference, address: 0\nRIP: 0010:0x0\nCall Trace:\n <TASK>\n ? guess+0x1/0x2\n caller+0x1/0x2 [m]\n </TASK>\n outside+0x1/0x2\nKernel panic - not syncing: Fatal exception\n",
			"BUG: kernel NULL pointer dereference, address: 0 (Fatal exception)", "panic"},
		{"caller stamps", start + "[    1.000001][  T12] Kernel panic - not syncing: x\n", "Kernel panic - not syncing: x", "panic"},
		{"user space address", start + "[    1.0] general protection fault: 0000\n[ 1.0] RIP: 0033:0x12\n[  1.0] Kernel panic - not syncing: y\n", "general protection fault: 0000 (y)", "panic"},
		{"failed step", start + guest.Prefix + `{"ev":"end","id":"0.1.0","step":{"id":"0.1.0","op":"insmod","ok":false,"err":"load x: exec format error","log":["[ 1.0] x: version magic"]}}` + "\n" +
			guest.Prefix + `{"ev":"end","id":"0","step":{"id":"0","op":"repeat","ok":false,"err":"repetition 2 of 2 failed"}}` + "\n" + guest.Prefix + `{"ev":"done"}`,
			"", "step 0.1.0 (insmod) failed: load x: exec format error\n    [ 1.0] x: version magic"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseLog(strings.NewReader(tt.log))
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if r.Panic != nil {
				got = r.Panic.String()
			}
			if got != tt.panic {
				t.Errorf("panic %q, want %q", got, tt.panic)
			}
			err = r.Err()
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("error %v, want %q", err, tt.err)
			}
			if tt.name == "jump to nowhere" {
				if d := cmp.Diff([]string{"caller"}, r.Panic.Trace); d != "" {
					t.Errorf("trace (-want +got):\n%s", d)
				}
			}
		})
	}
	if _, err := ParseLog(strings.NewReader(guest.Prefix + "{broken\n")); err == nil {
		t.Error("a broken result line is accepted")
	}
}

func FuzzParseLog(f *testing.F) {
	// Short seeds: minimizing a whole log would take all the time there is.
	for _, s := range []string{
		guest.Prefix + `{"ev":"start","kernel":"k"}` + "\n" + guest.Prefix + `{"ev":"begin","id":"0","op":"sync"}`,
		guest.Prefix + `{"ev":"end","id":"0","step":{"id":"0","op":"repeat"}}` + "\n" + guest.Prefix + `{"ev":"done","ok":true}`,
		guest.Prefix + `{"ev":"module","label":"a","module":{"ok":true}}` + "\n" + guest.Prefix + `{"ev":"done"}`,
		"[    1.0] Oops: 0\nRIP: 0010:f+0x1/0x2 [m]\nCall Trace:\n g+0x1/0x2\nKernel panic - not syncing: x\n",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, _ := ParseLog(strings.NewReader(s))
		if r == nil {
			t.Fatal("no result")
		}
		if err := r.Err(); err == nil && (!r.Done || r.Panic != nil) {
			t.Errorf("no error, but done %v and panic %v", r.Done, r.Panic)
		}
	})
}
