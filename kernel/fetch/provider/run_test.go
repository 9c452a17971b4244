package provider

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestCause(t *testing.T) {
	for output, want := range map[string]string{
		"": "", "one\ntwo\n": "two",
		"W: unsandboxed\nE: Failed to fetch x 404\nE: Failed to fetch some archives.\n": "E: Failed to fetch x 404",
	} {
		if got := cause(output); got != want {
			t.Errorf("%q: %q", output, got)
		}
	}
}

func TestRun(t *testing.T) {
	out, err := RunEnv(t.Context(), "/", []string{"A=b"}, "sh", "-c", `echo "$A $PWD $LC_ALL"`)
	if err != nil || string(out) != "b / C\n" {
		t.Errorf("%q, %v", out, err)
	}
	var failed *CommandError
	if _, err := Run(t.Context(), "", "sh", "-c", "echo why >&2; exit 3"); !errors.As(err, &failed) || failed.Output != "why\n" {
		t.Errorf("%v", err)
	}
	if _, err := Run(t.Context(), "", "no-such-program"); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("%v", err)
	}
}

func TestPipe(t *testing.T) {
	dir := t.TempDir()
	if err := Pipe(t.Context(), dir, []string{"echo", "text"}, []string{"sh", "-c", "cat >out"}); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(dir, "out")); err != nil || string(b) != "text\n" {
		t.Errorf("%q, %v", b, err)
	}
	for name, c := range map[string]struct {
		from, to []string
		want     string
	}{
		"the first fails":         {[]string{"sh", "-c", "echo broken >&2; exit 1"}, []string{"cat"}, "broken"},
		"the second fails":        {[]string{"yes"}, []string{"sh", "-c", "echo full >&2; exit 1"}, "yes"},
		"the second alone fails":  {[]string{"true"}, []string{"sh", "-c", "echo full >&2; exit 1"}, "full"},
		"the first is not there":  {[]string{"no-such-program"}, []string{"cat"}, "no-such-program"},
		"the second is not there": {[]string{"yes"}, []string{"no-such-program"}, ""},
	} {
		if err := Pipe(t.Context(), dir, c.from, c.to); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
