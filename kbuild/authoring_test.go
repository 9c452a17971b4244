package kbuild

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestAuthorHeaders: the headers come when a text asks for one, beside those
// that the tree has.
func TestAuthorHeaders(t *testing.T) {
	const helpers = "include/linux/livepatch_helpers.h"
	tree := mustPrepare(t, fakeOptions(t))
	for _, c := range []struct {
		name, text string
		own        bool // the tree has the kernel's header
		want       bool
	}{
		{name: "none asked for", text: "#include <linux/module.h>\n/* \"kpatch-macros.h\" */\n"},
		{name: "ours are no author's", text: "#include \"klpforge-marks.h\"\n"},
		{name: "macros", text: "int x;\n#include \"kpatch-macros.h\"\n", want: true},
		{name: "syscalls", text: "#  include <kpatch-syscall.h>\n", want: true},
		{name: "mainline's name", text: "#include <linux/livepatch_helpers.h>\n", want: true},
		{name: "beside the kernel's", text: "#include <linux/livepatch_helpers.h>\n", own: true, want: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := mustWork(t, tree)
			kernels := []byte("/* the kernel's */\n")
			if c.own {
				if err := w.Write(helpers, kernels); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.ProvideAuthorHeaders([][]byte{[]byte("int y;\n"), []byte(c.text)}); err != nil {
				t.Fatal(err)
			}
			names, err := authorHeaderNames()
			if err != nil || len(names) < 5 {
				t.Fatalf("headers %q, %v", names, err)
			}
			for _, name := range names {
				got, err := os.ReadFile(filepath.Join(w.Dir, "include", name))
				if c.want != (err == nil) {
					t.Errorf("%s: %v", name, err)
				}
				if "include/"+name == helpers && c.own != bytes.Equal(got, kernels) {
					t.Errorf("%s is %q", helpers, got)
				}
				if _, err := os.Stat(filepath.Join(tree.Dir, "include", name)); err == nil {
					t.Errorf("the prepared tree has got %s", name)
				}
			}
		})
	}
}
