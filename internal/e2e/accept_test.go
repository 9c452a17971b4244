package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAccepted builds patches of each kind that a livepatch can carry, and
// checks what the module will patch. Each module is verified once more.
func TestAccepted(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	helper := edit{"fs/proc/cmdline.c", "static int cmdline_proc_show(", `static unsigned long shown;

static noinline unsigned long count_shown(void)
{
	return ++shown;
}

static int cmdline_proc_show(`}
	useHelper := edit{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\tseq_printf(m, \" #%lu\\n\", count_shown());\n"}
	for _, test := range []struct {
		name      string
		edits     []edit
		functions []string // object:name
		newFuncs  []string
		newData   []string
		warnings  []string // id symbol
	}{
		{
			name:      "function of vmlinux",
			edits:     []edit{cmdlineEdit},
			functions: []string{"vmlinux:cmdline_proc_show"},
		},
		{
			name:      "function of a module",
			edits:     []edit{utf8Edit},
			functions: []string{"nls_utf8:char2uni"},
		},
		{
			name:      "vmlinux and a module at once",
			edits:     []edit{cmdlineEdit, utf8Edit},
			functions: []string{"nls_utf8:char2uni", "vmlinux:cmdline_proc_show"},
		},
		{
			name:      "new function and new data",
			edits:     []edit{helper, useHelper},
			functions: []string{"vmlinux:cmdline_proc_show"},
			newFuncs:  []string{"count_shown"},
			newData:   []string{"shown"},
		},
		{
			name:      "comment that moves line numbers",
			edits:     []edit{{"fs/proc/consoles.c", "static int show_console_dev(", "/*\n * Shows\n * a console.\n */\nstatic int show_console_dev("}, {"fs/proc/consoles.c", "\treturn con->next;\n", "\treturn con ? con->next : NULL;\n"}},
			functions: []string{"vmlinux:c_next"},
		},
		{
			name:      "module that uses what vmlinux does not export",
			edits:     []edit{{"fs/nls/nls_utf8.c", "\t\t*uni = 0x003f;\t/* ? */\n", "\t\textern int core_kernel_text(unsigned long addr);\n\n\t\t*uni = core_kernel_text((unsigned long)rawstring) ? 0xfffd : 0x003f;\n"}},
			functions: []string{"nls_utf8:char2uni"},
		},
		{
			name:      "module that uses an export of one it depends on",
			edits:     []edit{{"fs/fat/namei_msdos.c", "\t\terr = fat_flush_inodes(sb, old_dir, new_dir);\n", "\t\terr = fat_flush_inodes(sb, old_dir, new_dir);\n\tif (err == -EXDEV)\n\t\tfat_detach(new_dir);\n"}},
			functions: []string{"msdos:msdos_rename"},
		},
		{
			name: "static inline of a header",
			edits: []edit{{"fs/fat/fat.h", "static inline void fat_set_start(struct msdos_dir_entry *de, int cluster)\n{\n",
				"static inline void fat_set_start(struct msdos_dir_entry *de, int cluster)\n{\n\tif (cluster < 0)\n\t\tcluster = 0;\n"}},
			functions: []string{"fat:__fat_write_inode", "fat:fat_alloc_new_dir", "msdos:do_msdos_rename.isra.0", "msdos:msdos_add_entry",
				"vfat:vfat_add_entry", "vfat:vfat_rename", "vfat:vfat_rename2"},
		},
		{
			name: "new source file",
			edits: []edit{
				{"fs/proc/Makefile", "proc-y\t+= cmdline.o\n", "proc-y\t+= cmdline.o\nproc-y\t+= klpforge_new.o\n"},
				{file: "fs/proc/klpforge_new.c", new: "// SPDX-License-Identifier: GPL-2.0\nint klpforge_new(int n);\n\nint klpforge_new(int n)\n{\n\treturn n * n;\n}\n"},
				{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\textern int klpforge_new(int n);\n\n\tseq_printf(m, \" %d\\n\", klpforge_new(m->count));\n"},
			},
			functions: []string{"vmlinux:cmdline_proc_show"},
			newFuncs:  []string{"klpforge_new"},
			warnings:  []string{"KLP109 fs/proc/Makefile"},
		},
		{
			name: "new initcall",
			edits: []edit{cmdlineEdit, {"fs/proc/cmdline.c", "fs_initcall(proc_cmdline_init);\n", `fs_initcall(proc_cmdline_init);

static int __init proc_cmdline_late(void)
{
	pr_info("late\n");
	return 0;
}
late_initcall(proc_cmdline_late);
`}},
			functions: []string{"vmlinux:cmdline_proc_show"},
			warnings:  []string{"KLP110 proc_cmdline_late"},
		},
		{
			name: "new module parameter",
			edits: []edit{{"fs/nls/nls_utf8.c", "static unsigned char identity[256];\n", "static unsigned char identity[256];\nstatic int unknown = 0x3f;\nmodule_param(unknown, int, 0644);\n"},
				{"fs/nls/nls_utf8.c", "\t\t*uni = 0x003f;\t/* ? */\n", "\t\t*uni = unknown;\n"}},
			functions: []string{"nls_utf8:char2uni"},
			newData:   []string{"unknown"},
			warnings:  []string{"KLP110 unknown"},
		},
		{
			name:      "function that boots beside one that runs",
			edits:     []edit{cmdlineEdit, {"fs/proc/cmdline.c", `proc_create_single("cmdline", 0,`, `proc_create_single("cmdline", 0400,`}},
			functions: []string{"vmlinux:cmdline_proc_show"},
			warnings:  []string{"KLP102 proc_cmdline_init"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			ko := filepath.Join(t.TempDir(), "x.ko")
			d := c.buildJSON(t, exitDone, ko, c.patch(t, test.edits...))
			if diff := cmp.Diff(test.functions, d.functions()); diff != "" {
				t.Errorf("functions (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.newFuncs, d.NewFunctions); diff != "" {
				t.Errorf("new functions (-want +got)\n%s", diff)
			}
			if diff := cmp.Diff(test.newData, d.NewData); diff != "" {
				t.Errorf("new data (-want +got)\n%s", diff)
			}
			var warnings []string
			for _, p := range d.Problems {
				if p.Severity == "warning" {
					warnings = append(warnings, p.ID+" "+p.Symbol)
				}
			}
			for _, w := range test.warnings {
				if !slices.ContainsFunc(warnings, func(have string) bool { return strings.HasPrefix(have, w) }) {
					t.Errorf("no warning %q, but %q", w, warnings)
				}
			}
			if len(warnings) != len(test.warnings) {
				t.Errorf("warnings %q, want %q", warnings, test.warnings)
			}
			c.run(t, "verify", "-k", c.release, ko).want(t, exitDone)
		})
	}
}

// TestVerify checks a good module against its kernel, and against another.
func TestVerify(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	ko := filepath.Join(t.TempDir(), "x.ko")
	c.build(t, exitDone, nil, ko, c.patch(t, cmdlineEdit, utf8Edit))
	if r := c.run(t, "verify", "-k", c.release, ko).want(t, exitDone); !strings.Contains(r.out, "x.ko fits "+c.release) {
		t.Errorf("the result is %q", r.out)
	}
	r := c.run(t, "verify", "-k", c.release, "--format", "json", ko).want(t, exitDone)
	for _, text := range []string{`"schema": "klpforge.verify/v1"`, `"ok": true`, `"problems": [`} {
		if !strings.Contains(r.out, text) {
			t.Errorf("the document does not hold %s:\n%s", text, r.out)
		}
	}
	r = c.run(t, "info", ko).want(t, exitDone)
	for _, text := range []string{"vmlinux: cmdline_proc_show", "nls_utf8: char2uni", c.release} {
		if !strings.Contains(r.out, text) {
			t.Errorf("the note does not hold %s:\n%s", text, r.out)
		}
	}

	other := ModuleRelease
	if _, err := os.Stat(string(e.Cache.TargetRoot(other))); err != nil {
		if err := e.Fetch(t.Context(), other); err != nil {
			t.Fatal(err)
		}
	}
	r = c.run(t, "verify", "-k", other, ko).want(t, exitRefused)
	if !strings.Contains(r.out, "vermagic") || !strings.Contains(r.out, "cmdline_proc_show") {
		t.Errorf("the findings are\n%s", r.out)
	}

	// A module that has lost its end is no finding: nothing can be said of it.
	data := readFile(t, ko)
	cut := writeTemp(t, "cut.ko", string(data[:len(data)/2]))
	c.run(t, "verify", "-k", c.release, cut).want(t, exitEnv, "cut.ko")
}

// TestGitRange takes the patches from a repository.
func TestGitRange(t *testing.T) {
	c := newCLI(t, env(t), CloudRelease)
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-c", "user.name=A B", "-c", "user.email=a@b.example", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %q: %v: %s", args, err, out)
		}
	}
	git("init", "-q")
	for _, ed := range []edit{cmdlineEdit, utf8Edit} {
		writeFile(t, filepath.Join(dir, ed.file), string(readFile(t, filepath.Join(c.tree, ed.file))))
	}
	git("add", ".")
	git("commit", "-qm", "base")
	git("tag", "base")
	for _, ed := range []edit{cmdlineEdit, utf8Edit} {
		text := string(readFile(t, filepath.Join(dir, ed.file)))
		writeFile(t, filepath.Join(dir, ed.file), strings.Replace(text, ed.old, ed.new, 1))
		git("commit", "-qam", "change "+ed.file)
	}
	ko := filepath.Join(t.TempDir(), "x.ko")
	d := c.buildJSON(t, exitDone, ko, "--git", dir, "--range", "base..HEAD")
	if diff := cmp.Diff([]string{"nls_utf8:char2uni", "vmlinux:cmdline_proc_show"}, d.functions()); diff != "" {
		t.Errorf("functions (-want +got)\n%s", diff)
	}
	d = c.buildJSON(t, exitDone, ko, "--git", dir, "--range", "base..HEAD~1")
	if diff := cmp.Diff([]string{"vmlinux:cmdline_proc_show"}, d.functions()); diff != "" {
		t.Errorf("functions (-want +got)\n%s", diff)
	}
	none := filepath.Join(t.TempDir(), "y.ko")
	c.build(t, exitRefused, []string{"HEAD..HEAD", "no commit in it changes a file"}, none, "--git", dir, "--range", "HEAD..HEAD")
	c.build(t, exitEnv, []string{"nowhere"}, none, "--git", dir, "--range", "nowhere..HEAD")
	c.build(t, exitEnv, []string{"open git repository"}, none, "--git", t.TempDir(), "--range", "A..B")
}
