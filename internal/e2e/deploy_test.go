package e2e

import (
	"encoding/json"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// The kernel of these tests is not one of the ext4 case: they write to ext4.
const deployRelease = CorpusRelease

// machine builds livepatches on the host and runs klpforge in VMs.
type machine struct {
	t *testing.T
	e *Env
	c *cli
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	e := env(t)
	return &machine{t: t, e: e, c: newCLI(t, e, deployRelease)}
}

// build makes a livepatch of edits and returns its path.
func (m *machine) build(name string, edits []edit, args ...string) string {
	m.t.Helper()
	ko := filepath.Join(m.t.TempDir(), name+".ko")
	m.c.run(m.t, append([]string{"build", "-k", m.c.release, "-o", ko, m.c.patch(m.t, edits...)}, args...)...).want(m.t, exitDone)
	return ko
}

// release makes a release of the cumulative series "demo".
func (m *machine) release(version, mark string, more ...edit) string {
	m.t.Helper()
	edits := append([]edit{{"fs/proc/cmdline.c", "\tseq_putc(m, '\\n');\n", "\tseq_puts(m, \" " + mark + "\\n\");\n"}}, more...)
	return m.build("livepatch_demo_"+version, edits, "--series", "demo", "--vendor", "example", "--module-version", version)
}

// foreign makes a module that another program could have made: it has no manifest.
func (m *machine) foreign(ko string) string {
	m.t.Helper()
	text := string(readFile(m.t, ko))
	if n := strings.Count(text, ".note.klpforge\x00"); n != 1 {
		m.t.Fatalf("%s names its note %d times", ko, n)
	}
	out := strings.TrimSuffix(ko, ".ko") + "_foreign.ko"
	writeFile(m.t, out, strings.Replace(text, ".note.klpforge\x00", ".note.stranger\x00", 1))
	return out
}

// oomReaper is a kernel thread that sleeps in the function that this changes,
// and that neither a signal nor a wake-up gets out of it.
var oomReaper = edit{"mm/oom_kill.c", "\tset_freezable();\n\n\twhile (true) {\n\t\tstruct task_struct *tsk = NULL;\n",
	"\tset_freezable();\n\n\twhile (true) {\n\t\tstruct task_struct *tsk = NULL;\n\n\t\tcond_resched();\n"}

// compress packs a module with a program of the host, and returns the path.
func (m *machine) compress(ko, suffix string, argv ...string) string {
	m.t.Helper()
	out := ko + suffix
	cmd := exec.CommandContext(m.t.Context(), argv[0], append(argv[1:], ko)...)
	data, err := cmd.Output()
	if err != nil {
		m.t.Fatalf("%v: %v", cmd.Args, err)
	}
	writeFile(m.t, out, string(data))
	return out
}

// session is the script of one boot under construction.
type session struct {
	vm.Script
	want map[string]int // label of a klpforge run -> exit code
}

// session starts a script with klpforge and module files, which the guest has
// under their names in /m.
func (m *machine) session(kos ...string) *session {
	s := &session{want: map[string]int{}}
	s.Files = append(s.Files, vm.File{Name: "/klpforge", Host: m.c.bin, Mode: 0o755})
	for _, ko := range kos {
		s.Files = append(s.Files, vm.File{Name: path.Join("/m", filepath.Base(ko)), Data: readFile(m.t, ko)})
	}
	return s
}

func (s *session) add(steps ...guest.Step) { s.Script = s.Add(steps...) }

// run adds a run of klpforge that has to end with a code.
func (s *session) run(label string, code int, args ...string) {
	s.want[label] = code
	s.add(guest.Exec("/klpforge", args...).Labelled(label).Optional())
}

// boot runs the script and checks exit codes. The result's steps are found by label.
func (m *machine) boot(s *session, disks ...vm.Disk) *vm.Result {
	m.t.Helper()
	o, err := m.e.VM(m.t.Context(), deployRelease)
	if err != nil {
		m.t.Fatal(err)
	}
	o.Disks = disks
	r, err := vm.Run(m.t.Context(), o, s.Script)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Logf("boot %v, total %v", r.Boot, r.Total)
	for label, code := range s.want {
		st := r.Step(label)
		if st == nil {
			continue // the machine ended before; the test says whether it should
		}
		want := ""
		if code != 0 {
			want = "exit status " + string(rune('0'+code))
		}
		if st.OK != (code == 0) || !strings.HasSuffix(st.Err, want) {
			m.t.Errorf("%s: %q, want exit code %d\n%s", label, st.Err, code, st.Out)
		}
	}
	return r
}

// says checks what a run of klpforge printed.
func says(t *testing.T, r *vm.Result, label string, want ...string) {
	t.Helper()
	st := r.Step(label)
	if st == nil {
		t.Fatalf("%s did not run", label)
	}
	for _, w := range want {
		if !strings.Contains(st.Out, w) {
			t.Errorf("%s: no %q in\n%s", label, w, st.Out)
		}
	}
	t.Logf("%s:\n%s", label, st.Out)
}

// statusDoc is klpforge.status/v1 as a script reads it.
type statusDoc struct {
	Schema      string
	Release     string
	Livepatches []struct {
		Name, State, Version, Vendor, Series string
		Replace                              *bool
		Objects                              []struct {
			Name      string
			Functions []struct{ Name string }
		}
	}
	Transition *struct {
		Module, State string
		Tasks, Left   int
		Blocking      []struct {
			Name   string
			Kernel bool `json:"kernel_thread"`
			Stack  []struct{ Function, Patched string }
		}
	}
}

func status(t *testing.T, r *vm.Result, label string) (doc statusDoc) {
	t.Helper()
	st := r.Step(label)
	if st == nil {
		t.Fatalf("%s did not run", label)
	}
	if err := json.Unmarshal([]byte(st.Out), &doc); err != nil {
		t.Fatalf("%s: %v in\n%s", label, err, st.Out)
	}
	if doc.Schema != "klpforge.status/v1" || doc.Release != deployRelease {
		t.Errorf("%s: %s for %s", label, doc.Schema, doc.Release)
	}
	return doc
}

// states lists "name state" in the order of loading.
func (d statusDoc) states() []string {
	var out []string
	for _, l := range d.Livepatches {
		out = append(out, l.Name+" "+l.State)
	}
	return out
}

func want[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got)\n%s", what, d)
	}
}

// TestDeploy builds releases of a series and runs klpforge on the machines that
// load them.
func TestDeploy(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	m := newMachine(t)
	v1, v2 := m.release("1", "release 1"), m.release("2", "release 2")
	t.Run("life", func(t *testing.T) {
		m.t = t
		m.life(v1, v2)
	})
	t.Run("boot", func(t *testing.T) {
		m.t = t
		m.atBoot(v1)
	})
}

// life is that of a series on one machine: load, upgrade by replace, downgrade,
// stacking, a transition that a kernel thread holds up, and unloading.
func (m *machine) life(v1, v2 string) {
	t := m.t
	v3 := m.release("3", "release 3", oomReaper)
	side := m.build("livepatch_side", []edit{{"fs/proc/version.c", "\t\tutsname()->version);\n\treturn 0;", "\t\tutsname()->version);\n\tseq_puts(m, \"aside\\n\");\n\treturn 0;"}}, "--no-replace")
	v2 = m.compress(v2, ".xz", "xz", "-c", "--check=crc32")
	v3 = m.compress(v3, ".gz", "gzip", "-c")

	foreign := m.foreign(side)

	s := m.session(v1, v2, v3, side, foreign)
	cmdline := func(mark string) { s.add(guest.Expect("/proc/cmdline", guest.MatchContains, mark)) }

	s.run("plan 1", 0, "plan", "/m/livepatch_demo_1.ko")
	s.run("load 1", 0, "load", "/m/livepatch_demo_1.ko")
	cmdline("release 1")
	s.run("load 1 again", 0, "load", "/m/livepatch_demo_1.ko")
	s.run("status", 0, "status")

	// An upgrade is one transition, and takes the old module away.
	s.run("plan 2", 0, "plan", "/m/livepatch_demo_2.ko.xz")
	s.run("load 2", 0, "load", "/m/livepatch_demo_2.ko.xz")
	cmdline("release 2")
	s.add(guest.Expect("/proc/modules", guest.MatchAbsent, "livepatch_demo_1 "))

	// A livepatch beside it, which a cumulative one does not tolerate.
	s.run("side replaces", 1, "load", "--policy", "replace", "/m/livepatch_side.ko")
	s.run("load side", 0, "load", "/m/livepatch_side.ko")
	s.add(guest.Expect("/proc/version", guest.MatchContains, "aside"))
	s.run("status beside", 0, "status", "--format", "json")

	// A downgrade disables first.
	s.run("plan 1 from 2", 0, "plan", "--policy", "cumulative", "/m/livepatch_demo_1.ko")
	s.run("load 1 from 2", 0, "load", "--policy", "cumulative", "/m/livepatch_demo_1.ko")
	cmdline("release 1")
	s.add(guest.Expect("/proc/version", guest.MatchAbsent, "aside"))
	s.run("status 1", 0, "status", "--format", "json")

	// A kernel thread sleeps in what release 3 changes.
	s.run("leave 3", 1, "load", "--timeout", "6s", "--on-timeout", "leave", "/m/livepatch_demo_3.ko.gz")
	s.run("status during", 0, "status", "--format", "json")
	s.run("load 2 meanwhile", 1, "load", "--timeout", "1s", "/m/livepatch_demo_2.ko.xz")
	s.run("load 3", 1, "load", "--timeout", "1s", "/m/livepatch_demo_3.ko.gz")
	cmdline("release 1")
	s.run("status after reversal", 0, "status", "--format", "json")
	s.run("unload 1", 0, "unload", "livepatch_demo_1")
	s.run("leave 3 alone", 1, "load", "--timeout", "1s", "--on-timeout", "leave", "/m/livepatch_demo_3.ko.gz")
	s.run("unload 3 in mid transition", 0, "unload", "livepatch_demo_3")
	s.run("status after unload", 0, "status")
	s.add(guest.CheckDmesg())

	// Forcing needs its words.
	s.run("force without words", 1, "load", "--on-timeout", "force", "/m/livepatch_demo_3.ko.gz")
	s.run("force", 0, "load", "--timeout", "1s", "--on-timeout", "force", "--force", "give up consistency for livepatch_demo_3", "/m/livepatch_demo_3.ko.gz")
	cmdline("release 3")
	s.run("unload all", 0, "unload", "--all")
	s.run("unload nothing", 0, "unload", "livepatch_demo_1")

	// A module that says nothing of itself is known by its build id.
	s.run("load foreign", 0, "load", "/m/livepatch_side_foreign.ko")
	s.run("load foreign again", 0, "load", "/m/livepatch_side_foreign.ko")
	s.run("plan upon foreign", 0, "plan", "/m/livepatch_demo_1.ko")
	s.run("status foreign", 0, "status", "--format", "json")
	s.add(guest.CheckDmesg("livepatch: forcing remaining tasks"), guest.CheckTaint(guest.TaintAllowed))

	r := m.boot(s)
	if err := r.Err(); err != nil {
		t.Fatalf("%+v", err)
	}
	says(t, r, "plan 1", "1. load", "no other livepatch is in force")
	says(t, r, "load 1", "livepatch_demo_1 is in force, after")
	says(t, r, "load 1 again", "in force already")
	says(t, r, "status", "livepatch_demo_1  enabled  1", "example/demo", "vmlinux: cmdline_proc_show")
	says(t, r, "plan 2", "load (replace)", "replaces livepatch_demo_1", "2. remove", "livepatch_demo_1")
	says(t, r, "side replaces", "does not replace other livepatches")
	want(t, "two beside each other", status(t, r, "status beside").states(), []string{"livepatch_demo_2 enabled", "livepatch_side enabled"})
	says(t, r, "plan 1 from 2", "1. disable", "it is not cumulative", "3. disable", "a downgrade from 2 to 1", "5. load")
	says(t, r, "load 1 from 2", "remove livepatch_side", "remove livepatch_demo_2", "livepatch_demo_1 is in force")
	want(t, "after the downgrade", status(t, r, "status 1").states(), []string{"livepatch_demo_1 enabled"})

	says(t, r, "leave 3", "did not end within 6s: 1 task has not switched; it goes on",
		"oom_reaper", "kernel thread", "is in vmlinux:oom_reaper", "> oom_reaper+0x")
	during := status(t, r, "status during")
	want(t, "during the transition", during.states(), []string{"livepatch_demo_1 enabled", "livepatch_demo_3 enabling"})
	if tr := during.Transition; tr == nil || tr.Module != "livepatch_demo_3" || tr.Left != 1 || len(tr.Blocking) != 1 || tr.Tasks < 20 ||
		tr.Blocking[0].Name != "oom_reaper" || !tr.Blocking[0].Kernel {
		t.Errorf("transition %+v", tr)
	} else if st := tr.Blocking[0].Stack; !slices.ContainsFunc(st, func(f struct{ Function, Patched string }) bool {
		return f.Function == "oom_reaper" && f.Patched == "vmlinux:oom_reaper"
	}) {
		t.Errorf("stack %+v", st)
	}
	says(t, r, "load 2 meanwhile", "bringing livepatch_demo_3 into force did not end within 1s", "livepatch_demo_2 was not loaded")
	says(t, r, "load 3", "wait livepatch_demo_3: it is loaded", "it was reversed and unloaded")
	want(t, "after the reversal", status(t, r, "status after reversal").states(), []string{"livepatch_demo_1 enabled"})
	says(t, r, "unload 3 in mid transition", "livepatch_demo_3 is unloaded")
	says(t, r, "status after unload", "0 livepatch(es)")
	says(t, r, "force without words", "give up consistency for livepatch_demo_3", "KLP402")
	says(t, r, "force", "livepatch_demo_3 is in force")
	says(t, r, "unload all", "livepatch_demo_3 is unloaded")
	says(t, r, "unload nothing", "livepatch_demo_1 is not loaded")
	says(t, r, "load foreign again", "in force already")
	says(t, r, "plan upon foreign", "1. disable", "it is not known to be cumulative", "3. load")
	if d := status(t, r, "status foreign"); len(d.Livepatches) != 1 || d.Livepatches[0].Replace != nil {
		t.Errorf("a foreign livepatch: %+v", d.Livepatches)
	}
}

// atBoot has on a disk what a machine loads at boot: a good release and a newer
// one that takes the kernel down while it is loaded. After two boots it is set
// aside, and the good one is loaded.
func (m *machine) atBoot(v1 string) {
	t := m.t
	v2 := m.release("9", "release 9", edit{"kernel/module/procfs.c", "\t/* We always ignore unformed modules. */\n", "\tBUG();\n"})
	dir := t.TempDir()
	modules := filepath.Join("modules", deployRelease)
	writeFile(t, filepath.Join(dir, modules, "demo-1.ko"), string(readFile(t, v1)))
	writeFile(t, filepath.Join(dir, modules, "demo-9.ko"), string(readFile(t, v2)))
	disk := filepath.Join(t.TempDir(), "var.img")
	cmd := exec.CommandContext(t.Context(), "/usr/sbin/mke2fs", "-q", "-F", "-t", "ext4", "-d", dir, disk, "24M")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	start := func() *session {
		s := m.session()
		s.add(guest.Modprobe("virtio_pci"), guest.Modprobe("virtio_blk"), guest.Mount("/dev/vda", "/var/lib/klpforge", "ext4", ""))
		s.run("boot", 1, "load", "--boot")
		return s
	}
	for n := range 2 {
		r := m.boot(start(), vm.Disk{Path: disk})
		if r.Panic == nil || !strings.Contains(r.Panic.Function, "m_show") {
			t.Fatalf("boot %d: panic %v; %+v", n+1, r.Panic, r.Err())
		}
	}
	s := start()
	s.add(guest.Expect("/proc/cmdline", guest.MatchContains, "release 1"))
	s.run("boot again", 1, "load", "--boot")
	s.run("boot elsewhere", 0, "load", "--boot", "--modules-dir", "/elsewhere")
	s.run("status", 0, "status")
	s.add(guest.Umount("/var/lib/klpforge"), guest.CheckDmesg())
	r := m.boot(s, vm.Disk{Path: disk})
	if err := r.Err(); err != nil {
		t.Fatalf("%+v", err)
	}
	says(t, r, "boot", "demo-1.ko  loaded", "demo-9.ko  set aside", "it failed at 2 boots", "ended while it was being loaded",
		"klpforge: 1 of 2 not brought into force: demo-9.ko")
	says(t, r, "boot elsewhere", "no livepatch is installed for this kernel: /elsewhere/"+deployRelease)
	says(t, r, "boot again", "demo-1.ko  in force", "demo-9.ko  set aside")
	says(t, r, "status", "livepatch_demo_1  enabled", "At boot:", "demo-9.ko  set aside")
}
