package vm

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/internal/vm/guest"
)

// e2eLivepatches builds testdata/livepatches for the cloud kernel with plain
// kbuild and returns the directory of the .ko files. The source is prepared
// once, below the cache.
func e2eLivepatches(t *testing.T) string {
	t.Helper()
	cache := e2eCache(t)
	e2eBuild.Do(func() { e2eBuildDir, e2eBuildErr = buildLivepatches(cache) })
	if errors.Is(e2eBuildErr, os.ErrNotExist) {
		e2eMissing(t, "cannot build test livepatches: %v", e2eBuildErr)
	}
	if e2eBuildErr != nil {
		t.Fatal(e2eBuildErr)
	}
	return e2eBuildDir
}

var (
	e2eBuild    sync.Once
	e2eBuildDir string
	e2eBuildErr error
)

func buildLivepatches(cache string) (string, error) {
	target := filepath.Join(cache, "targets", cloudRelease)
	symvers, err := os.ReadFile(filepath.Join(target, "root/usr/src/linux-headers-"+cloudRelease, "Module.symvers"))
	if err != nil {
		return "", err
	}
	config, err := os.ReadFile(filepath.Join(target, "root/boot/config-"+cloudRelease))
	if err != nil {
		return "", err
	}
	tarballs, err := filepath.Glob(filepath.Join(target, "source/linux-source-*.tar.*"))
	if err != nil {
		return "", err
	}
	tree := filepath.Join(cache, "vm-tree-"+cloudRelease)
	if _, err := os.Stat(filepath.Join(tree, "prepared")); err != nil {
		if len(tarballs) == 0 {
			return "", &os.PathError{Op: "find", Path: filepath.Join(target, "source/linux-source-*.tar.*"), Err: os.ErrNotExist}
		}
		if err := errors.Join(os.RemoveAll(tree), os.MkdirAll(tree, 0o755)); err != nil {
			return "", err
		}
		if err := sh(tree, "tar", "-xf", tarballs[0], "--strip-components=1"); err != nil {
			return "", err
		}
		if err := os.WriteFile(filepath.Join(tree, ".config"), config, 0o644); err != nil {
			return "", err
		}
		for _, target := range []string{"olddefconfig", "modules_prepare"} {
			if err := sh(tree, "make", "-s", "-j2", "CC=gcc-12", "HOSTCC=gcc-12", target); err != nil {
				return "", err
			}
		}
		// The source calls itself by its upstream version.
		for name, text := range map[string]string{
			"include/generated/utsrelease.h": "#define UTS_RELEASE \"" + cloudRelease + "\"\n",
			"include/config/kernel.release":  cloudRelease + "\n",
			"Module.symvers":                 string(symvers),
			"prepared":                       "",
		} {
			if err := os.WriteFile(filepath.Join(tree, name), []byte(text), 0o644); err != nil {
				return "", err
			}
		}
	}
	dir := filepath.Join(cache, "vm-livepatches")
	if err := errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS("testdata/livepatches"))); err != nil {
		return "", err
	}
	return dir, sh(tree, "make", "-s", "CC=gcc-12", "M="+dir, "modules")
}

// sh runs a command in dir; its output is part of the error.
func sh(dir, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	if b, err := cmd.CombinedOutput(); err != nil {
		return errors.New(cmd.String() + ": " + err.Error() + ": " + string(b))
	}
	return nil
}

func TestE2ELivepatchLife(t *testing.T) {
	dir := e2eLivepatches(t)
	o := e2eOptions(t, cloudRelease)
	ko := ModuleFile(filepath.Join(dir, "klpvm_sample.ko"))
	s := Script{Files: []File{ko}, Steps: []guest.Step{
		guest.Background(6),
		guest.Expect("/proc/cmdline", guest.MatchContains, "console=ttyS0"),
		guest.Repeat(2,
			guest.Insmod(ko.Name, ""),
			guest.Insmod(ko.Name, "").Fails("EEXIST"),
			guest.WaitTransition("klpvm_sample", 0).Labelled("transition"),
			guest.ExpectEnabled("klpvm_sample"),
			guest.Livepatches().Labelled("tree"),
			guest.Expect("/proc/cmdline", guest.MatchExact, "klpvm sample"),
			guest.Rmmod("klpvm_sample").Fails("EAGAIN"),
			guest.Disable("klpvm_sample", 0),
			guest.Rmmod("klpvm_sample"),
			guest.Expect("/proc/cmdline", guest.MatchContains, "console=ttyS0"),
		),
		guest.StopBackground(),
		guest.CheckDmesg(),
		guest.CheckTaint(guest.TaintAllowed),
		guest.CheckTaint(guest.TaintOutOfTree | guest.TaintUnsigned).Optional().Labelled("taint K"),
	}}
	r := e2eRun(t, o, s)
	if err := r.Err(); err != nil {
		t.Fatalf("%+v", err)
	}
	want := []guest.Livepatch{{
		Name: "klpvm_sample", Enabled: true,
		Objects: []guest.LPObject{{Name: "vmlinux", Patched: "1", Funcs: []string{"cmdline_proc_show,1"}}},
	}}
	if d := cmp.Diff(want, r.Step("tree").Livepatches); d != "" {
		t.Errorf("livepatch tree (-want +got):\n%s", d)
	}
	if k := r.Step("taint K"); k.OK || !strings.Contains(k.Err, "K (bit 15)") {
		t.Errorf("taint by a livepatch was not noticed: %+v", k)
	}
	t.Logf("transition took %d ms", r.Step("transition").Millis)
}

// TestE2ELateModule patches a module that loads after the livepatch.
func TestE2ELateModule(t *testing.T) {
	dir := e2eLivepatches(t)
	ko := ModuleFile(filepath.Join(dir, "klpvm_late.ko"))
	const attr = "/sys/block/loop0/loop/autoclear"
	img := File{Name: "/img", Data: make([]byte, 1<<20)}
	r := e2eRun(t, e2eOptions(t, cloudRelease), Script{Files: []File{ko, img}, Steps: []guest.Step{
		guest.Insmod(ko.Name, ""),
		guest.WaitTransition("klpvm_late", 0),
		guest.Modprobe("loop"),
		guest.LoopAttach("/dev/loop0", img.Name),
		guest.Expect(attr, guest.MatchExact, "9"),
		guest.Livepatches().Labelled("tree"),
		guest.Disable("klpvm_late", 0),
		guest.Expect(attr, guest.MatchExact, "0"),
		guest.Rmmod("klpvm_late"),
		guest.LoopDetach("/dev/loop0"),
		guest.Rmmod("loop"),
		guest.CheckDmesg(),
	}})
	if err := r.Err(); err != nil {
		t.Fatalf("%+v", err)
	}
	if got := r.Step("tree").Livepatches[0].Objects; len(got) != 1 || got[0].Name != "loop" || got[0].Patched != "1" {
		t.Errorf("objects %+v", got)
	}
}

// TestE2EBatch has good livepatches, one that makes the kernel warn, one that
// kills it, one that is refused, and something that is no livepatch.
func TestE2EBatch(t *testing.T) {
	dir := e2eLivepatches(t)
	o := e2eOptions(t, cloudRelease)
	file := func(n string) string { return filepath.Join(dir, n+".ko") }
	var progress []string
	res, err := Batch(t.Context(), o, []Livepatch{
		{Label: "sample", Path: file("klpvm_sample")},
		{Label: "warn", Path: file("klpvm_warn")},
		{Label: "sample again", Path: file("klpvm_sample")},
		{Label: "crash", Path: file("klpvm_crash")},
		{Label: "refuse", Path: file("klpvm_crash"), Params: "refuse=1"},
		{Label: "no livepatch", Path: filepath.Join(o.withDefaults().Root, "lib/modules", cloudRelease, "kernel/lib/crc7.ko")},
		{Label: "owner later", Path: file("klpvm_late"), After: []string{"loop", "ext4"}},
		{Label: "owner first", Path: file("klpvm_late"), Before: []string{"loop"}},
	}, BatchOptions{Wait: 30 * time.Second, Load: 4, Progress: func(it BatchItem) {
		progress = append(progress, it.Livepatch.Label)
	}})
	if err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		Label string
		OK    bool
		Stage guest.Stage
		Errno string
		Dead  string
	}
	var got []outcome
	for _, it := range res.Items {
		oc := outcome{Label: it.Livepatch.Label, OK: it.OK, Stage: it.Result.Stage, Errno: it.Result.Errno}
		if it.Death != nil {
			oc.Dead = it.Death.Panic.Function
		}
		got = append(got, oc)
		t.Logf("%s: load %d ms, transition %d ms, disable %d ms, %s %v", oc.Label, it.Result.LoadMs, it.Result.TransitionMs, it.Result.DisableMs, it.Result.Err, it.Result.DepErrs)
	}
	want := []outcome{
		{Label: "sample", OK: true, Stage: guest.StageDone},
		{Label: "warn", Stage: guest.StageLog},
		{Label: "sample again", OK: true, Stage: guest.StageDone},
		{Label: "crash", Dead: "klpvm_crash_now"},
		{Label: "refuse", Stage: guest.StageLoad, Errno: "EPROTO"},
		{Label: "no livepatch", Stage: guest.StageTransition},
		{Label: "owner later", OK: true, Stage: guest.StageDone},
		{Label: "owner first", OK: true, Stage: guest.StageDone},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("outcomes (-want +got):\n%s", d)
	}
	if res.Boots != 3 { // up to the crash, the crash alone, the rest
		t.Errorf("%d boots, want 3", res.Boots)
	}
	if len(res.Unexplained) != 0 {
		t.Errorf("unexplained: %+v", res.Unexplained)
	}
	if w := res.Items[1].Result; !slices.ContainsFunc(w.Log, func(l string) bool { return strings.Contains(l, "klpvm warns") }) {
		t.Errorf("the warning is not in the log: %q", w.Log)
	}
}

// TestE2EExt4Unrelated runs the ext4 case with a livepatch that has nothing to
// do with it, which cures nothing.
func TestE2EExt4Unrelated(t *testing.T) {
	ko := filepath.Join(e2eLivepatches(t), "klpvm_sample.ko")
	for _, order := range []Ext4Order{Ext4First, LivepatchFirst} {
		eo := Ext4Options{Image: e2eImage(t), Livepatch: ko, Order: order, Unload: true}
		s, err := Ext4Steps(eo)
		if err != nil {
			t.Fatal(err)
		}
		r := e2eRun(t, e2eOptions(t, cloudRelease), s)
		if err := r.ExpectPanic(Ext4PanicFunction); err != nil {
			t.Fatalf("%+v", err)
		}
		if st := r.Step(Ext4LoadedLabel); st == nil || !st.OK {
			t.Error("the livepatch was not in force")
		}
		if err := CheckExt4(r, eo); err == nil {
			t.Error("CheckExt4 takes an unrelated livepatch for a cure")
		} else {
			t.Log(err)
		}
	}
}

// TestE2EHang is a guest that stops talking.
func TestE2EHang(t *testing.T) {
	o := e2eOptions(t, cloudRelease)
	o.Stall = 8 * time.Second
	r := e2eRun(t, o, Script{Steps: []guest.Step{guest.Sleep(time.Hour).Labelled("forever")}})
	if r.TimedOut == "" || r.Total > 10*time.Minute {
		t.Errorf("timed out %q after %v", r.TimedOut, r.Total)
	}
	if _, op, label := r.OpenStep(); op != guest.OpSleep || label != "forever" {
		t.Errorf("open step is %s %q", op, label)
	}
	t.Log(r.Err())
}

// TestE2EAccel tries the KVM probe, whose outcome depends on the machine: the
// script runs either way.
func TestE2EAccel(t *testing.T) {
	t.Setenv(KVMEnv, "1")
	r := e2eRun(t, e2eOptions(t, cloudRelease), minimal())
	if err := r.Err(); err != nil {
		t.Fatalf("%+v", err)
	}
	t.Log(r.Command)
}
