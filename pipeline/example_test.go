package pipeline_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klpforge/klpforge/elfobj"
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/module/note"
	"github.com/klpforge/klpforge/pipeline"
)

// A livepatch of a kernel of a few dozen lines (testdata/tiny), from a patch file to the
// module, by public packages alone.
func Example() {
	fix, target, cleanup, err := exampleKernel()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cleanup()

	res, err := pipeline.Run(context.Background(), pipeline.Options{
		Kernel:  target,
		Patches: []string{fix},
		Output:  filepath.Join(filepath.Dir(fix), "fix.ko"),
	})
	var refusal *pipeline.Refusal
	switch {
	case errors.As(err, &refusal):
		for _, f := range refusal.Problems {
			fmt.Println("refused:", f.Line())
		}
		return
	case err != nil:
		fmt.Println(err)
		return
	}
	for _, f := range res.Problems {
		if f.Severity >= finding.Warning {
			fmt.Println(f.Line())
		}
	}

	// The module says itself what it replaces.
	file, err := elfobj.ReadFile(res.Module)
	if err != nil {
		fmt.Println(err)
		return
	}
	made, err := note.Read(file)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, o := range made.Objects {
		for _, f := range o.Funcs {
			fmt.Printf("%s for %s replaces %s of %s\n", made.Name, made.Release, f.Name, o.Name)
		}
	}
	// Output:
	// fix for 6.1.0-tiny replaces clamp_value of vmlinux
}

// exampleKernel builds the kernel and writes a patch of it.
func exampleKernel() (fix string, target kernel.Options, cleanup func(), err error) {
	dir, err := os.MkdirTemp("", "example-")
	if err != nil {
		return "", kernel.Options{}, nil, err
	}
	cleanup = func() { os.RemoveAll(dir) }
	if err = buildTiny(dir, nil); err == nil {
		fix = filepath.Join(dir, "fix.patch")
		err = os.WriteFile(fix, []byte(examplePatch), 0o644)
	}
	if err != nil {
		cleanup()
	}
	return fix, optionsAt(dir), cleanup, err
}

const examplePatch = `Subject: core: count both ends

--- a/kernel/core.c
+++ b/kernel/core.c
@@ -5,7 +5,7 @@
 
 static noinline int clamp_value(int v)
 {
-	seen++;
+	seen += 2;
 	return v > core_limit ? core_limit : v;
 }
 
`
