package e2e

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/internal/vm"
)

// ext4Crash is the reproducer of the ext4 fault: what dropping caches throws away is
// allocated from again.
const ext4Crash = `#!/bin/sh
mkdir -p /mnt && mount -o loop /disk.img /mnt || exit 0
for i in 1 2 3 4; do dd if=/dev/zero of=/mnt/$i bs=64k count=16 && sync && echo 3 > /proc/sys/vm/drop_caches; done
umount /mnt
`

// TestTry: the command that boots a livepatch's kernel and tries it there, on modules
// that do what they should and on such that do not.
func TestTry(t *testing.T) {
	t.Parallel()
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	dir := t.TempDir()
	try := func(args ...string) *result { return c.run(t, append([]string{"try", "-k", c.release}, args...)...) }
	says := func(t *testing.T, r *result, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if !strings.Contains(r.out, text) {
				t.Errorf("the report does not say %q:\n%s", text, r.out)
			}
		}
	}

	t.Run("reproducer", func(t *testing.T) {
		patch, err := e.Ext4Patch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ko, crash, disk := filepath.Join(dir, "ext4_fix.ko"), filepath.Join(dir, "crash.sh"), filepath.Join(dir, "disk.img")
		c.build(t, exitDone, nil, ko, patch)
		if err := vm.MakeExt4Image(t.Context(), disk); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(crash, []byte(ext4Crash), 0o755); err != nil {
			t.Fatal(err)
		}
		r := try("--modprobe", "loop", "--reproducer", crash, "--add", disk+":/disk.img", ko).want(t, exitDone)
		const died = "the kernel died: BUG: kernel NULL pointer dereference, address: 0000000000000000 in ext4_mb_load_buddy_gfp"
		says(t, r, "fails as it should: "+died, "passed  reproducer with", "disabled in ", "fails again: "+died, "it passed")

		// A reproducer that shows nothing proves nothing.
		if err := os.WriteFile(crash, []byte("#!/bin/sh\nexit 0\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		r = try("--no-load", "--reproducer", crash, ko).want(t, exitRefused)
		says(t, r, "failed  reproducer without", "failed  reproducer after", "it failed")
	})

	t.Run("upgrade and downgrade", func(t *testing.T) {
		old, ko := filepath.Join(dir, "first.ko"), filepath.Join(dir, "second.ko")
		c.build(t, exitDone, nil, old, c.patch(t, cmdlineEdit))
		c.build(t, exitDone, nil, ko, c.patch(t, cmdlineEdit, utf8Edit))
		console := filepath.Join(dir, "console")
		r := try("--upgrade", old, "--downgrade", "--console", console, "--format", "junit", ko).want(t, exitDone)
		var suite struct {
			Tests    int `xml:"tests,attr"`
			Failures int `xml:"failures,attr"`
			Cases    []struct {
				Name string `xml:"name,attr"`
			} `xml:"testcase"`
		}
		if err := xml.Unmarshal([]byte(r.out), &suite); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, tc := range suite.Cases {
			names = append(names, tc.Name)
		}
		for _, want := range []string{"older livepatch", "load", "transition", "older livepatch unloaded", "module nls_utf8", "downgrade", "newer livepatch unloaded", "transition again"} {
			if !strings.Contains(strings.Join(names, "\n")+"\n", want+"\n") {
				t.Errorf("no test case %q among %q", want, names)
			}
		}
		if suite.Tests != len(suite.Cases) || suite.Failures != 0 {
			t.Errorf("%d tests, %d failures, %d cases", suite.Tests, suite.Failures, len(suite.Cases))
		}
		if text := string(readFile(t, console)); !strings.Contains(text, "\"second\"") {
			t.Errorf("the console was not kept:\n%.400s", text)
		}
	})

	t.Run("stalls", func(t *testing.T) {
		ko := filepath.Join(dir, "stalls.ko")
		c.build(t, exitDone, nil, ko, c.patch(t, edit{"kernel/workqueue.c", "\t/* tell the scheduler that this is a workqueue worker */\n", "\tif (!worker)\n\t\treturn -EINVAL;\n"}))
		r := try("--transition", "10s", ko).want(t, exitRefused)
		says(t, r, "failed  transition", "it did not end within 10s", "it is in worker_thread, as predicted: worker_thread waits", "it failed")
	})

	t.Run("oopses", func(t *testing.T) {
		ko := filepath.Join(dir, "oopses.ko")
		c.build(t, exitDone, nil, ko, c.patch(t, edit{"fs/proc/cmdline.c", "\tseq_puts(m, saved_command_line);\n", "\t*(volatile int *)8 = 1;\n\tseq_puts(m, saved_command_line);\n"}))
		r := try(ko).want(t, exitRefused)
		says(t, r, "the kernel died: BUG: kernel NULL pointer dereference, address: 0000000000000008 in cmdline_proc_show [oopses]", "it failed")
	})

	t.Run("cannot be made", func(t *testing.T) {
		ko := filepath.Join(dir, "oopses.ko")
		try("--append", "rdinit=/none init=/none", ko).want(t, exitEnv, "the kernel does not boot in the VM: ")
		try("--downgrade", ko).want(t, exitUsage, "--upgrade")
		try("--add", filepath.Join(dir, "none"), ko).want(t, exitUsage, "no such file")
		bare := *c
		bare.path = t.TempDir()
		bare.run(t, "try", "-k", c.release, ko).want(t, exitEnv, "qemu-system-x86_64 is not installed: apt-get install qemu-system-x86")
	})
}
