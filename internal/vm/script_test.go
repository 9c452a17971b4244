package vm

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// TestScriptRoundTrip sends a script with every field set through the file
// that the guest reads.
func TestScriptRoundTrip(t *testing.T) {
	s := guest.Script{Steps: []guest.Step{{
		Op: guest.OpBatch, Label: "l", MayFail: true, WantErrno: "EINVAL", Path: "p", To: "t", FS: "f", Data: "d", Module: "m",
		Files: []guest.ModFile{{Name: "n", Path: "p", Optional: true}}, Match: guest.MatchRegexp, Want: "w", Size: 1, Seed: 2, Count: 3, Millis: 4,
		Mask: 1 << 63, Allow: []string{"a"}, Args: []string{"b"}, Steps: []guest.Step{guest.Sync()},
		Batch: []guest.BatchModule{{Label: "l", Name: "n", Path: "p", Params: "x=1", Before: []guest.ModFile{{Name: "b", Path: "q"}}, After: []guest.ModFile{{Name: "c", Path: "r"}}}},
	}}}
	v := reflect.ValueOf(s.Steps[0])
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Errorf("field %s is not tested", v.Type().Field(i).Name)
		}
	}
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var got guest.Script
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(s, got); d != "" {
		t.Errorf("script (-sent +received):\n%s", d)
	}
}

func TestResolve(t *testing.T) {
	tree := fakeTree(t, ext4Files)
	open := func() (*ModuleTree, error) { return tree, nil }
	own := guest.ModFile{Name: "own", Path: "/ko/own.ko"}
	s := Script{Files: []File{{Name: "/ko/own.ko", Data: []byte("x")}}}.Add(
		guest.Modprobe("loop"),
		guest.Repeat(2, guest.Modprobe("jbd2")),
		guest.Batch(0, nil, guest.BatchModule{Label: "a", Before: []guest.ModFile{{Name: "loop"}, own}, After: []guest.ModFile{{Name: "built-in"}}}),
	)
	gs, files, err := resolve(s, open)
	if err != nil {
		t.Fatal(err)
	}
	loop := guest.ModFile{Name: "loop", Path: "/lib/modules/loop.ko"}
	if d := cmp.Diff([]guest.ModFile{loop}, gs.Steps[0].Files); d != "" {
		t.Errorf("modprobe (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]guest.ModFile{loop, own}, gs.Steps[2].Batch[0].Before); d != "" {
		t.Errorf("batch before (-want +got):\n%s", d)
	}
	if a := gs.Steps[2].Batch[0].After; a != nil {
		t.Errorf("batch after: %v", a)
	}
	if f := s.Steps[0].Files; f != nil {
		t.Error("the caller's script was changed")
	}
	var got []string
	for _, f := range files {
		got = append(got, f.Name)
	}
	want := []string{"/ko/own.ko", "/lib/modules/loop.ko", "/lib/modules/crc32c_generic.ko", "/lib/modules/helper.ko",
		"/lib/modules/crc32c_intel.ko", "/lib/modules/jbd2.ko", guest.ScriptPath}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("files (-want +got):\n%s", d)
	}
	if n := len(gs.Steps[1].Steps[0].Files); n != 4 {
		t.Errorf("modprobe inside a repetition has %d files, want 4", n)
	}
	var sent guest.Script
	if err := json.Unmarshal(files[len(files)-1].Data, &sent); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(gs, sent); d != "" {
		t.Errorf("script in the initramfs (-want +got):\n%s", d)
	}
}

func TestPatience(t *testing.T) {
	tests := []struct {
		name  string
		steps []guest.Step
		want  time.Duration
	}{
		{"nothing", nil, time.Minute},
		{"short", []guest.Step{guest.Sleep(time.Second)}, time.Minute},
		{"nested", []guest.Step{guest.Repeat(2, guest.Sync(), guest.Sleep(time.Hour))}, time.Hour},
		{"batch", []guest.Step{guest.Batch(0, nil)}, 4 * guest.DefaultWait},
		{"quick batch", []guest.Step{guest.Batch(30*time.Second, nil)}, 2 * time.Minute},
	}
	for _, tt := range tests {
		if got := patience(tt.steps); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestResolveErrors(t *testing.T) {
	tree := fakeTree(t, ext4Files)
	open := func() (*ModuleTree, error) { return tree, nil }
	for _, s := range []guest.Step{
		guest.Modprobe("nowhere"),
		guest.Repeat(1, guest.Modprobe("nowhere")),
		guest.Batch(0, nil, guest.BatchModule{Before: []guest.ModFile{{Name: "nowhere"}}}),
	} {
		if _, _, err := resolve(Script{Steps: []guest.Step{s}}, open); !errors.Is(err, ErrNoModule) {
			t.Errorf("%s: %v", s.Op, err)
		}
	}
	bad := errors.New("no tree")
	none := func() (*ModuleTree, error) { return nil, bad }
	if _, _, err := resolve(Script{Steps: []guest.Step{guest.Modprobe("loop")}}, none); !errors.Is(err, bad) {
		t.Errorf("got %v", err)
	}
	// Without modules, no tree is wanted.
	if _, _, err := resolve(minimal(), none); err != nil {
		t.Errorf("script without modules: %v", err)
	}
}
