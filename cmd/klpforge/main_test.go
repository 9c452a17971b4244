package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"klpforge": main, kpatchBuild: main})
}

// fixtures are the pairs of small objects that the differ is tested with.
const fixtures = "../../testdata/fixtures"

// TestScripts runs testdata/script. Beside testscript's own commands there are
//
//	exits CODE PROGRAM ARGS...   run a program and want that exit code
//	$LAYOUTS                     objects with debug information
//	pair NAME                    copy a pair of objects to before.o and after.o
func TestScripts(t *testing.T) {
	dir, err := filepath.Abs(fixtures)
	if err != nil {
		t.Fatal(err)
	}
	layouts, err := filepath.Abs("../../analyze/passes/layout/testdata")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			e.Setenv("KLPFORGE_CACHE", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("LAYOUTS", layouts)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits,
			"pair": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 1 {
					ts.Fatalf("usage: pair NAME")
				}
				for _, f := range []string{"before.o", "after.o"} {
					data, err := os.ReadFile(filepath.Join(dir, args[0], f))
					ts.Check(err)
					ts.Check(os.WriteFile(ts.MkAbs(f), data, 0o666))
				}
			},
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}
