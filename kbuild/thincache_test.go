package kbuild

import (
	"context"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestThinRemembers: with a memory of texts, Thin says of each set of changes what it says
// without one, in whatever order they come; and what it knows it does not preprocess again.
func TestThinRemembers(t *testing.T) {
	ctx := context.Background()
	tree := mustPrepare(t, fakeOptions(t))
	objs := []string{"fs/demo/inode.o", "fs/demo/super.o", "init/main.o", "kernel/core.o", "lib/str.o"}
	thin := func(files map[string]string, keep bool) []string {
		t.Helper()
		w, err := tree.Work(ctx, WorkOptions{KeepAfter: keep})
		if err != nil {
			t.Fatal(err)
		}
		defer w.Close()
		for name, text := range files {
			if text == "" {
				err = w.Remove(name)
			} else {
				err = w.Write(name, []byte(text))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		out, err := w.Thin(ctx, objs)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	kept := func() (n int) {
		filepath.WalkDir(filepath.Join(tree.cache, "objects"), func(name string, _ fs.DirEntry, err error) error {
			if err == nil && filepath.Ext(name) == ".reach" {
				n++
			}
			return nil
		})
		return n
	}

	source := func(name string) string { return string(mustRead(t, filepath.Join(tree.Dir, name))) }
	value, demo, main, core := source("include/linux/value.h"), source("fs/demo/demo.h"), source("init/main.c"), source("kernel/core.c")
	const nothing, something = "/* nothing */\n", "static int something = 1;\n"
	includesMore := "#include <linux/more.h>\n"
	// Each kind twice: by what is added, objects differ or do not.
	var sets []map[string]string
	for _, added := range []string{nothing, something} {
		sets = append(sets,
			map[string]string{"kernel/core.c": core + added},
			map[string]string{"include/linux/value.h": value + added},
			map[string]string{"include/linux/value.h": value + "/* more */\n", "kernel/core.c": core + added},
			// A new header: nobody includes it, one changed file does, one that they all include does.
			map[string]string{"include/linux/more.h": added},
			map[string]string{"include/linux/more.h": added, "init/main.c": includesMore + main},
			map[string]string{"include/linux/more.h": added, "include/linux/value.h": includesMore + value},
			// A changed file begins to include another that is changed, by a third that is not.
			map[string]string{"fs/demo/demo.h": demo + added, "kernel/core.c": "#include \"../fs/demo/demo.h\"\n" + core},
			map[string]string{"fs/demo/demo.h": demo + added, "init/main.c": "#include \"../drivers/unused/unused.h\"\n" + main,
				"include/linux/value.h": "#include \"../../fs/demo/demo.h\"\n" + value},
			// A header that an include line of an unchanged source had no file for.
			map[string]string{"fs/demo/late.h": added},
			// A source that another includes.
			map[string]string{"init/main.c": "#include \"../kernel/extra.c\"\n" + main, "kernel/extra.c": added},
			map[string]string{"fs/demo/impl.c": source("fs/demo/impl.c") + added})
	}
	sets = append(sets, map[string]string{"fs/demo/demo.h": ""})
	for round := range 2 {
		before := kept()
		for i := range sets {
			if round == 1 {
				i = len(sets) - 1 - i
			}
			if diff := cmp.Diff(thin(sets[i], false), thin(sets[i], true)); diff != "" {
				t.Errorf("round %d, set %d (-without memory +with):\n%s", round, i, diff)
			}
		}
		if now := kept(); (round == 0) != (now > before) {
			t.Errorf("round %d: %d digests, then %d", round, before, now)
		}
	}

	// What does not read the change is taken from the cache.
	before := kept()
	thin(map[string]string{"kernel/core.c": core + "int another;\n"}, true)
	if now := kept(); now != before+1 {
		t.Errorf("a change of one source: %d digests, then %d", before, now)
	}
}
