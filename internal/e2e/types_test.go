package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

// rlimEdit makes /proc/meminfo read struct signal_struct.rlim, which it did not.
var rlimEdit = edit{"fs/proc/meminfo.c", "\tsi_meminfo(&i);\n", "\tif (current->signal->rlim[RLIMIT_CORE].rlim_cur == 12345)\n\t\treturn -EAGAIN;\n\tsi_meminfo(&i);\n"}

// quietEdit changes it without a new member.
var quietEdit = edit{"fs/proc/meminfo.c", "\"MemTotal:       \"", "\"MemTotal;       \""}

// elsewhere is the cli with a cache of its own, where trees of other sources and
// configurations are prepared; the target is that of the shared cache.
func (c *cli) elsewhere(t *testing.T) (*cli, []string) {
	t.Helper()
	other := *c
	other.cache = cachedir.Dir(t.TempDir())
	return &other, []string{"--root", string(c.cache.TargetRoot(c.release)), "--source", sourceTarball(t, c)}
}

func sourceTarball(t *testing.T, c *cli) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(filepath.Dir(string(c.cache.TargetRoot(c.release))), "source", "*.tar.*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("the source of %s: %q, %v", c.release, found, err)
	}
	return found[0]
}

// TestTypesFit: the types of the right source are the kernel's; the module says so, and
// verify believes it for this kernel only.
func TestTypesFit(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	ko := filepath.Join(t.TempDir(), "fits.ko")
	c.build(t, exitDone, nil, ko, c.patch(t, rlimEdit))
	if out := c.run(t, "info", ko).want(t, exitDone).out; !strings.Contains(out, "compared with vmlinux's BTF, SHA-256 ") {
		t.Errorf("info does not tell of the comparison:\n%s", out)
	}
	if out := c.run(t, "verify", "-k", CloudRelease, ko).want(t, exitDone).out; strings.Contains(out, "KLP127") {
		t.Errorf("verify:\n%s", out)
	}
	text := string(readFile(t, ko))
	i := strings.Index(text, `"sha256":"`)
	for ; i >= 0; i = strings.Index(text, `"sha256":"`) { // those of types come with their source
		if strings.Contains(text[max(0, i-60):i], "BTF") {
			break
		}
		text = text[:i] + `"SHA256":"` + text[i+len(`"sha256":"`):]
	}
	if i < 0 {
		t.Fatal("the module has no digest of the kernel's types")
	}
	at := i + len(`"sha256":"`)
	flipped := byte('0')
	if text[at] == '0' {
		flipped = '1'
	}
	forged := filepath.Join(t.TempDir(), "forged.ko")
	writeFile(t, forged, string(readFile(t, ko))[:at]+string(flipped)+string(readFile(t, ko))[at+1:])
	if out := c.run(t, "verify", "-k", CloudRelease, forged).want(t, exitRefused).out; !strings.Contains(out, "KLP127") || !strings.Contains(out, "is not the one that the code's types were compared with") {
		t.Errorf("verify of another kernel's types:\n%s", out)
	}
}

// otherEdits make another kernel of the source: two members change places, and so do bit
// fields and enumerators, and a flag moves.
var otherEdits = []edit{
	{"include/net/sock.h", "sk_no_check_tx : 1,\n\t\t\t\tsk_no_check_rx : 1,", "sk_no_check_rx : 1,\n\t\t\t\tsk_no_check_tx : 1,"},
	{"include/linux/backing-dev-defs.h", "\tWB_REASON_VMSCAN,\n\tWB_REASON_SYNC,", "\tWB_REASON_SYNC,\n\tWB_REASON_VMSCAN,"},
	{"include/linux/fs.h", "#define FMODE_NEED_UNMOUNT\t((__force fmode_t)0x10000000)", "#define FMODE_NEED_UNMOUNT\t((__force fmode_t)0x40000000)"},
	{"include/linux/pipe_fs_i.h", "\treturn pipe_occupancy(head, tail) >= limit;", "\treturn pipe_occupancy(head, tail) > limit;"},
}

// otherUses read what otherEdits change, each in code that did not.
var otherUses = []struct {
	name, says string
	edit       edit
}{
	{"bit field", "KLP127 error: (net/core/sock.o): struct sock.sk_no_check_tx is at offset 512, bit 3 in the compiled object, 512, bit 2 in vmlinux's BTF",
		edit{"net/core/sock.c", "void sk_free(struct sock *sk)\n{\n", "void sk_free(struct sock *sk)\n{\n\tif (sk->sk_no_check_tx)\n\t\treturn;\n"}},
	{"enumerator", "KLP127 error: (fs/sync.o): enumerator WB_REASON_VMSCAN is 2 in the compiled object, 1 in vmlinux's BTF",
		edit{"fs/sync.c", "\tif (!file->f_op->fsync)\n\t\treturn -EINVAL;\n", "\tif (!file->f_op->fsync || datasync == WB_REASON_VMSCAN)\n\t\treturn -EINVAL;\n"}},
	{"macro", "KLP127 error: (fs/eventfd.o): headers of the source are not the target's: eventfd_write is compiled as `",
		edit{"fs/eventfd.c", "\tif (ucnt == ULLONG_MAX)\n", "\tif (ucnt == ULLONG_MAX || file->f_mode & FMODE_NEED_UNMOUNT)\n"}},
	{"inline function", "KLP127 error: (fs/fcntl.o): headers of the source are not the target's: pipe_full is compiled as `",
		edit{"fs/fcntl.c", "\tint who = arg, ret = 0;\n\n\ttype = PIDTYPE_TGID;\n",
			"\tint who = arg, ret = 0;\n\tstruct pipe_inode_info *pipe = filp->f_inode->i_pipe;\n\n" +
				"\tif (pipe && pipe_full(pipe->head, pipe->tail, pipe->max_usage))\n\t\treturn -EAGAIN;\n\ttype = PIDTYPE_TGID;\n"}},
}

// TestTypesSwapped: the source is another one than the target's. Code that reads what
// differs is refused; code that does not is built.
func TestTypesSwapped(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	other, _ := c.elsewhere(t)
	src := filepath.Join(t.TempDir(), "source")
	if err := os.MkdirAll(src, 0o755); err != nil {
		t.Fatal(err)
	}
	unpack := exec.CommandContext(t.Context(), "tar", "-C", src, "--strip-components=1", "-xf", sourceTarball(t, c))
	if out, err := unpack.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	header := filepath.Join(src, "include/linux/sched/signal.h")
	const rlim, stats = "\tstruct rlimit rlim[RLIM_NLIMITS];\n", "#ifdef CONFIG_TASKSTATS\n\tstruct taskstats *stats;\n#endif\n"
	text := string(readFile(t, header))
	if strings.Count(text, rlim) != 1 || strings.Count(text, stats) != 1 {
		t.Fatal("struct signal_struct is not as expected")
	}
	writeFile(t, header, strings.NewReplacer(rlim, stats, stats, rlim).Replace(text))

	for _, e := range otherEdits {
		text := string(readFile(t, filepath.Join(src, e.file)))
		if strings.Count(text, e.old) != 1 {
			t.Fatalf("%s is not as expected", e.file)
		}
		writeFile(t, filepath.Join(src, e.file), strings.Replace(text, e.old, e.new, 1))
	}

	args := []string{"--root", string(c.cache.TargetRoot(c.release)), "--source", src}
	dir := t.TempDir()
	for _, u := range otherUses {
		other.build(t, exitRefused, []string{u.says}, filepath.Join(dir, "use.ko"), append(args, c.patch(t, u.edit))...)
	}
	other.build(t, exitRefused, []string{"KLP127 error: (fs/proc/meminfo.o): struct signal_struct.rlim is at offset 752 in the compiled object, 688 in vmlinux's BTF", "remedy: build from the source"},
		filepath.Join(dir, "swapped.ko"), append(args, c.patch(t, rlimEdit))...)
	other.build(t, exitDone, nil, filepath.Join(dir, "quiet.ko"), append(args, c.patch(t, quietEdit))...)
	r := other.run(t, append([]string{"lint", "-k", c.release}, append(args, c.patch(t, quietEdit))...)...)
	if !strings.Contains(r.out, "KLP127") || !strings.Contains(strings.Join(strings.Fields(r.out), " "), "in parts that the patched code does not use") {
		t.Errorf("lint does not mention that types differ (exit %d):\n%s%s", r.code, r.out, r.err)
	}
}

// TestTypesConfig: an option that shifts a structure is named, with what it shifts.
func TestTypesConfig(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	other, args := c.elsewhere(t)
	const option = "CONFIG_SCHED_AUTOGROUP=y\n"
	text := string(readFile(t, filepath.Join(string(c.cache.TargetRoot(c.release)), "boot", "config-"+c.release)))
	if !strings.Contains(text, option) {
		t.Fatalf("the target has no %s", option)
	}
	config := writeTemp(t, "config", strings.Replace(text, option, "# CONFIG_SCHED_AUTOGROUP is not set\n", 1))
	other.build(t, exitRefused, []string{
		"KLP127 error: (fs/proc/meminfo.o): struct signal_struct.rlim is at offset 680 in the compiled object, 688 in vmlinux's BTF",
		"KLP128 error: (fs/proc/meminfo.o): CONFIG_SCHED_AUTOGROUP is not set, in the target y",
	}, filepath.Join(t.TempDir(), "shifted.ko"), append(args, "--config", config, c.patch(t, rlimEdit))...)
}

// TestTypesMissing: a kernel without BTF is patched, and a note tells what is proved
// without.
func TestTypesMissing(t *testing.T) {
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	k, err := kernel.Open(kernel.Options{Release: c.release, Root: string(c.cache.TargetRoot(c.release)), Cache: c.cache})
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	im, err := k.Image()
	if err != nil {
		t.Fatal(err)
	}
	from := im.Cached
	if from == "" {
		from = im.Path
	}
	bare := filepath.Join(t.TempDir(), "vmlinux")
	if out, err := exec.CommandContext(t.Context(), "objcopy", "--rename-section", ".BTF=.none", from, bare).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ko := filepath.Join(t.TempDir(), "bare.ko")
	patch := c.patch(t, rlimEdit)
	c.build(t, exitDone, nil, ko, "--vmlinux", bare, patch)
	r := c.run(t, "lint", "-k", c.release, "--vmlinux", bare, patch)
	for _, text := range []string{"KLP127", "the target has neither BTF nor DWARF", "not proved: ", "struct signal_struct.rlim"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("lint does not say %q:\n%s%s", text, r.out, r.err)
		}
	}
	if out := c.run(t, "info", ko).want(t, exitDone).out; !strings.Contains(out, "not compared, the kernel tells none") {
		t.Errorf("info:\n%s", out)
	}
	if out := c.run(t, "verify", "-k", c.release, ko).want(t, exitDone).out; !strings.Contains(out, "note KLP127") {
		t.Errorf("verify:\n%s", out)
	}
}
