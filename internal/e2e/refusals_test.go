package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestRefusals gives klpforge patches that cannot become livepatches and
// environments that it cannot work in. Each is refused with its own message
// and the documented exit code, and leaves no module.
func TestRefusals(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	good := c.patch(t, cmdlineEdit)
	for _, test := range []struct {
		name  string
		patch func(t *testing.T) string
		args  []string
		code  int
		texts []string
	}{
		{
			name: "patch does not apply",
			patch: func(t *testing.T) string {
				return writeTemp(t, "stale.patch", `--- a/fs/proc/cmdline.c
+++ b/fs/proc/cmdline.c
@@ -6,7 +6,7 @@
 
 static int cmdline_proc_show(struct seq_file *m, void *v)
 {
-	seq_puts(m, boot_command_line);
+	seq_puts(m, "none");
 	seq_putc(m, '\n');
 	return 0;
 }
`)
			},
			code:  exitRefused,
			texts: []string{"patch stale.patch does not apply: fs/proc/cmdline.c: hunk 1 at line 6: ", "saved_command_line", "where the patch expects", "boot_command_line"},
		},
		{
			name: "patch is already applied",
			patch: func(t *testing.T) string {
				return c.reverse(t, edit{"fs/proc/cmdline.c", "\tseq_puts(m, saved_command_line);\n", "\tseq_puts(m, boot_command_line);\n"})
			},
			code:  exitRefused,
			texts: []string{"does not apply: fs/proc/cmdline.c: hunk 1", "it looks already applied"},
		},
		{
			name: "file is not in the source",
			patch: func(t *testing.T) string {
				return writeTemp(t, "other.patch", "--- a/fs/proc/nowhere.c\n+++ b/fs/proc/nowhere.c\n@@ -1 +1 @@\n-a\n+b\n")
			},
			code:  exitRefused,
			texts: []string{"fs/proc/nowhere.c", "file is not in the source tree"},
		},
		{
			name: "path leaves the tree",
			patch: func(t *testing.T) string {
				return writeTemp(t, "evil.patch", "--- a/../../../../etc/passwd\n+++ b/../../../../etc/passwd\n@@ -1 +1 @@\n-a\n+b\n")
			},
			code:  exitRefused,
			texts: []string{"evil.patch", "refuse path", "../../../../etc/passwd"},
		},
		{
			name: "path is absolute",
			patch: func(t *testing.T) string {
				return writeTemp(t, "evil.patch", "--- /etc/passwd\n+++ /etc/passwd\n@@ -1 +1 @@\n-a\n+b\n")
			},
			code:  exitRefused,
			texts: []string{"evil.patch", "refuse path", "/etc/passwd"},
		},
		{
			name:  "patch is empty",
			patch: func(t *testing.T) string { return writeTemp(t, "empty.patch", "") },
			code:  exitRefused,
			texts: []string{"empty.patch", "no unified diff"},
		},
		{
			name: "patch changes only a comment",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/proc/cmdline.c", "static int cmdline_proc_show(", "/* Shows the command line. */\nstatic int cmdline_proc_show("})
			},
			code:  exitRefused,
			texts: []string{"empty change: the patches alter no compiled code"},
		},
		{
			name: "patch does not compile",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\tseq_putc(m, nothing);\n"})
			},
			code:  exitRefused,
			texts: []string{"compile the patched source", "fs/proc/cmdline.c:", "nothing"},
		},
		{
			name: "function has no ftrace entry",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"arch/x86/kernel/dumpstack_64.c", "\tif (in_entry_stack(stack, info))\n\t\treturn true;\n\n\treturn false;\n", "\treturn in_entry_stack(stack, info) && stack;\n"})
			},
			code:  exitRefused,
			texts: []string{"KLP101 error: get_stack_info_noinstr (arch/x86/kernel/dumpstack_64.o)", "no ftrace entry", "remedy: change its traceable callers instead: get_stack_info"},
		},
		{
			name: "file is compiled without ftrace entries",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"arch/x86/kernel/pvclock.c", "\tvalid_flags = flags;\n", "\tvalid_flags = flags | 0x80;\n"})
			},
			code:  exitRefused,
			texts: []string{"KLP101 error: pvclock_set_flags", "no ftrace entry"},
		},
		{
			name: "function runs at boot only",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/proc/cmdline.c", `proc_create_single("cmdline", 0,`, `proc_create_single("cmdline", 0400,`})
			},
			code:  exitRefused,
			texts: []string{"KLP102 error: proc_cmdline_init (fs/proc/cmdline.o)", ".init.text", "remedy: "},
		},
		{
			name: "initial value of data changes",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/nls/nls_utf8.c", "\t.charset\t= \"utf8\",\n", "\t.charset\t= \"utf-8\",\n"})
			},
			code:  exitRefused,
			texts: []string{"KLP103 error: table (fs/nls/nls_utf8.o)", "initial value of existing data changed", "remedy: "},
		},
		{
			name: "new sysctl",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"kernel/utsname_sysctl.c", "\t{\n\t\t.procname\t= \"hostname\",\n", "\t{\n\t\t.procname\t= \"nodename\",\n\t\t.data\t\t= init_uts_ns.name.nodename,\n\t\t.maxlen\t\t= sizeof(init_uts_ns.name.nodename),\n\t\t.mode\t\t= 0444,\n\t\t.proc_handler\t= proc_do_uts_string,\n\t},\n\t{\n\t\t.procname\t= \"hostname\",\n"})
			},
			code:  exitRefused,
			texts: []string{"KLP103 error: uts_kern_table (kernel/utsname_sysctl.o)"},
		},
		{
			name: "assembly",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"arch/x86/lib/clear_page_64.S", "\tmovl $4096/8,%ecx\n", "\tmovl $4096/8, %ecx\n\tnop\n"})
			},
			code:  exitRefused,
			texts: []string{"KLP109 error: arch/x86/lib/clear_page_64.S: assembly cannot be livepatched", "remedy: "},
		},
		{
			name: "file that the configuration does not build",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/proc/nommu.c", "// SPDX-License-Identifier", "int unused;\n// SPDX-License-Identifier"})
			},
			code:  exitRefused,
			texts: []string{"fs/proc/nommu.c: not built by the target's configuration", "empty change"},
		},
		{
			name: "Kconfig",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/proc/Kconfig", "# SPDX-License-Identifier: GPL-2.0-only\n", "# SPDX-License-Identifier: GPL-2.0-only\n# Changed.\n"})
			},
			code:  exitRefused,
			texts: []string{"KLP109 warning: fs/proc/Kconfig", "empty change"},
		},
		{
			name: "documentation",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"MAINTAINERS", "List of maintainers", "The list of maintainers"})
			},
			code:  exitRefused,
			texts: []string{"MAINTAINERS: no rule of the kernel's build reads it; left out", "empty change"},
		},
		{
			name: "symbol that nothing provides",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\textern int klpforge_nowhere(void);\n\n\tseq_putc(m, klpforge_nowhere());\n"})
			},
			code:  exitRefused,
			texts: []string{"KLP409 error: klpforge_nowhere (fs/proc/cmdline.o)"},
		},
		{
			name: "vmlinux calls a module",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\textern void fat_detach(void *inode);\n\n\tfat_detach(m);\n"})
			},
			code:  exitRefused,
			texts: []string{"KLP409 error: fat_detach (fs/proc/cmdline.o): module fat exports it, on which vmlinux does not depend", "remedy: "},
		},
		{
			name: "module calls another that it does not depend on",
			patch: func(t *testing.T) string {
				return c.patch(t, edit{"fs/nls/nls_utf8.c", "\t\t*uni = 0x003f;\t/* ? */\n", "\t\textern void fat_detach(void *inode);\n\n\t\tfat_detach(uni);\n"})
			},
			code:  exitRefused,
			texts: []string{"KLP409 error: fat_detach (fs/nls/nls_utf8.o): module fat exports it, on which nls_utf8 does not depend"},
		},
		{
			name:  "unknown release",
			patch: func(*testing.T) string { return good },
			args:  []string{"-k", "6.1.0-0-cloud-amd64"},
			code:  exitEnv,
			texts: []string{"no kernel 6.1.0-0-cloud-amd64 found", "run `klpforge kernel fetch 6.1.0-0-cloud-amd64`"},
		},
		{
			name:  "compiler that is not there",
			patch: func(*testing.T) string { return good },
			args:  []string{"--cc", "gcc-99"},
			code:  exitEnv,
			texts: []string{"gcc-99 missing", "apt-get install gcc-99"},
		},
		{
			name:  "output directory that is not there",
			patch: func(*testing.T) string { return good },
			args:  []string{"-o", filepath.Join(e.Dir, "none", "x.ko")},
			code:  exitEnv,
			texts: []string{"write module: ", "none: no such file or directory"},
		},
		{
			name:  "output that cannot be written",
			patch: func(*testing.T) string { return good },
			args:  []string{"-o", "/proc/x.ko"},
			code:  exitEnv,
			texts: []string{"write module: ", "/proc/"},
		},
		{
			name:  "directory as output",
			patch: func(*testing.T) string { return good },
			args:  []string{"-o", e.Dir},
			code:  exitEnv,
			texts: []string{"write module: ", "is a directory"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c.build(t, test.code, test.texts, filepath.Join(t.TempDir(), "x.ko"), append(slices.Clone(test.args), test.patch(t))...)
		})
	}
}

// TestOtherSource names sources and compilers that are not the target's. None
// is prepared before it is found out.
func TestOtherSource(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	patch := c.patch(t, cmdlineEdit)
	makefile := string(readFile(t, filepath.Join(c.tree, "Makefile")))
	head := strings.SplitN(makefile, "\n", 7)[:6]
	other := ""
	for _, l := range head {
		if strings.HasPrefix(l, "SUBLEVEL") {
			l = "SUBLEVEL = 12345"
		}
		other += l + "\n"
	}
	dir := filepath.Join(t.TempDir(), "linux")
	writeFile(t, filepath.Join(dir, "Makefile"), other)
	tarball := filepath.Join(t.TempDir(), "linux.tar.gz")
	if out, err := exec.CommandContext(t.Context(), "tar", "-C", filepath.Dir(dir), "-czf", tarball, "linux").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ko := filepath.Join(t.TempDir(), "x.ko")
	t.Run("directory", func(t *testing.T) {
		c.build(t, exitEnv, []string{"12345", "6.1.192", "--source"}, ko, "--source", dir, patch)
	})
	t.Run("tarball", func(t *testing.T) {
		c.build(t, exitEnv, []string{"12345", "6.1.192", "--source"}, ko, "--source", tarball, patch)
	})
	t.Run("no source", func(t *testing.T) {
		c.build(t, exitEnv, []string{"Makefile"}, ko, "--source", t.TempDir(), patch)
	})
	t.Run("no tarball", func(t *testing.T) {
		c.build(t, exitEnv, []string{"fix.patch"}, ko, "--source", patch, patch)
	})
	t.Run("compiler of another version", func(t *testing.T) {
		cc := wrapper(t, "gcc-12", `if [ "$1" = --version ]; then echo "gcc-12 (Debian 12.9.9-1) 12.9.9"; else exec gcc-12 "$@"; fi`)
		c.build(t, exitEnv, []string{"check compiler: the kernel was built by", "12.2.0", "12.9.9", "--cc"}, ko, "--cc", cc, patch)
	})
	t.Run("no compiler", func(t *testing.T) {
		bin := t.TempDir()
		for _, tool := range []string{"make", "flex", "bison", "bc", "perl", "python3", "ld", "as", "pahole", "xz", "sh", "sed"} {
			p, err := exec.LookPath(tool)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(p, filepath.Join(bin, tool)); err != nil {
				t.Fatal(err)
			}
		}
		without := *c
		without.path = bin
		without.build(t, exitEnv, []string{"gcc-12 missing", "apt-get install gcc-12"}, ko, patch)
	})
	t.Run("headers of another release", func(t *testing.T) {
		headers, err := filepath.Glob(filepath.Join(string(e.Cache.TargetRoot(ModuleRelease)), "usr/src/linux-headers-"+ModuleRelease))
		if err != nil || len(headers) != 1 {
			t.Skipf("%s is not in the cache", ModuleRelease)
		}
		c.build(t, exitEnv, []string{"do not belong together", ModuleRelease}, ko, "--headers", headers[0], patch)
	})
}

// TestFullDisk fills each place that klpforge writes to.
func TestFullDisk(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	patch := c.patch(t, cmdlineEdit)
	const full = "no space left on device"
	t.Run("output", func(t *testing.T) {
		c.build(t, exitEnv, []string{"write module: ", full}, filepath.Join(smallDisk(t, "8k"), "x.ko"), patch)
	})
	t.Run("emitted sources", func(t *testing.T) {
		dir := filepath.Join(smallDisk(t, "8k"), "src")
		c.build(t, exitEnv, []string{"keep the generated sources: ", full}, filepath.Join(t.TempDir(), "x.ko"), "--emit", dir, patch)
	})
	t.Run("temporary files", func(t *testing.T) {
		// The object before the patch is in the cache: the compiler fails on the one after.
		c.build(t, exitDone, nil, filepath.Join(t.TempDir(), "x.ko"), patch)
		small := *c
		small.tmp = smallDisk(t, "8k")
		fill(t, small.tmp)
		small.build(t, exitEnv, []string{"No space left on device"}, filepath.Join(t.TempDir(), "x.ko"), "--sandbox", "off", patch)
		// Confined programs have a place of their own, in the cache.
		small.build(t, exitDone, nil, filepath.Join(t.TempDir(), "x.ko"), patch)
	})
	t.Run("cache", func(t *testing.T) {
		small := *c
		small.cache = ownCache(t, e, smallDisk(t, "48m"))
		ko := filepath.Join(t.TempDir(), "x.ko")
		r := small.run(t, "build", "-k", c.release, "-o", ko, patch)
		r.want(t, exitEnv)
		if !strings.Contains(strings.ToLower(r.err), full) {
			t.Errorf("standard error does not say %q:\n%s", full, r.err)
		}
		if _, err := os.Stat(ko); err == nil {
			t.Error("a failed build left a module")
		}
		if left := entries(t, filepath.Join(string(small.cache), "work")); len(left) > 0 {
			t.Errorf("a failed build left %q", left)
		}
		if metas, _ := filepath.Glob(filepath.Join(string(small.cache), "trees/*/meta.json")); len(metas) > 0 {
			t.Errorf("half a tree counts as prepared: %q", metas)
		}
		if trees, _ := filepath.Glob(filepath.Join(string(small.cache), "trees/*/linux")); len(trees) > 0 {
			t.Errorf("half a tree was left: %q", trees)
		}
	})
}

// TestEmitRefusesForeignDirectories protects what lies in the directory.
func TestEmitRefusesForeignDirectories(t *testing.T) {
	c := newCLI(t, env(t), CloudRelease)
	patch := c.patch(t, cmdlineEdit)
	dir := t.TempDir()
	makefile := filepath.Join(dir, "Makefile")
	writeFile(t, makefile, "all:\n")
	c.build(t, exitEnv, []string{dir, "not empty"}, filepath.Join(t.TempDir(), "x.ko"), "--emit", dir, patch)
	if got := string(readFile(t, makefile)); got != "all:\n" {
		t.Errorf("the Makefile there is now %q", got)
	}
}

// buildDoc is what scripts read of "build --format json".
type buildDoc struct {
	Schema    string `json:"schema"`
	Release   string `json:"release"`
	Module    string `json:"module"`
	Exit      int    `json:"exit"`
	Error     string `json:"error"`
	Functions []struct {
		Object  string   `json:"object"`
		Name    string   `json:"name"`
		Reasons []string `json:"reasons"`
	} `json:"functions"`
	NewFunctions []string `json:"newFunctions"`
	NewData      []string `json:"newData"`
	Problems     []struct {
		ID       string `json:"id"`
		Severity string `json:"severity"`
		Symbol   string `json:"symbol"`
		Message  string `json:"message"`
	} `json:"problems"`
}

// buildJSON builds with --format json and returns the document.
func (c *cli) buildJSON(t *testing.T, code int, ko string, args ...string) buildDoc {
	t.Helper()
	r := c.run(t, append([]string{"build", "--format", "json", "-k", c.release, "-o", ko}, args...)...)
	if r.code != code {
		t.Fatalf("exit code %d, want %d\n%s%s", r.code, code, r.out, r.err)
	}
	var d buildDoc
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	if d.Schema != "klpforge.build/v1" || d.Exit != code || d.Release != c.release {
		t.Errorf("the document says %q, exit %d, release %q", d.Schema, d.Exit, d.Release)
	}
	return d
}

func (d buildDoc) functions() []string {
	out := []string{}
	for _, f := range d.Functions {
		out = append(out, f.Object+":"+f.Name)
	}
	slices.Sort(out)
	return out
}
