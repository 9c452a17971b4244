package e2e

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/internal/vm"
	"github.com/klpforge/klpforge/internal/vm/guest"
)

// The story is the life of a series of cumulative releases, from manifests to
// a machine that goes up and down between them. One table of beats is told by
// the demo and checked by a test.
//
// Release 1 is the ext4 fix. Release 2 adds a state and two fixes of the
// stable update from 6.12.115 to 6.12.117 that 6.1.192 lacks: Debian has no
// newer 6.1, and its update to 6.1.192-2 is the ext4 fix alone. Release 3
// forgets the state.

//go:embed testdata/story
var storyFiles embed.FS

// StoryKernels are the targets of release 2. Only CloudRelease and the one
// after it have the ext4 mistake, and the latter's source has the fix.
var StoryKernels = []string{"6.1.0-54-cloud-amd64", CloudRelease, "6.1.0-56-cloud-amd64"}

// StoryState are the arguments by which klpforge writes the callbacks of the
// state that release 2 adds.
var StoryState = []string{"release", "new-state", "--id", "1001", "--meaning", "unprivileged pipes hold at most 256 KiB",
	"--variable", "pipe_max_size", "--value", "262144", "pipe_limit"}

// StoryManifest is the manifest of a release of the story, from 1 to 3.
func StoryManifest(dir string, n int) string {
	return filepath.Join(dir, fmt.Sprintf("release-%d.yaml", n))
}

// StoryModule is the module that release build makes below out.
func StoryModule(out, kernel string, n int) string {
	return filepath.Join(out, kernel, fmt.Sprintf("livepatch_fixes_%d.ko", n))
}

// Story writes manifests and patches into dir. callbacks is what StoryState
// printed.
func (e *Env) Story(ctx context.Context, dir, callbacks string) error {
	const root = "testdata/story"
	err := fs.WalkDir(storyFiles, root, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		to := filepath.Join(dir, strings.TrimPrefix(p, root))
		if d.IsDir() {
			return os.MkdirAll(to, 0o755)
		}
		b, err := storyFiles.ReadFile(p)
		if err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	})
	if err != nil {
		return err
	}
	fix, err := e.Ext4Patch(ctx)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(fix)
	if err != nil {
		return err
	}
	const subject = "Subject: ext4: fix NULL folio dereference in mballoc\n\nIn Debian's " + FixedSource + " (closes #1154101).\n\n---\n"
	if err := os.WriteFile(filepath.Join(dir, "patches/ext4.patch"), append([]byte(subject), text...), 0o644); err != nil {
		return err
	}
	return e.pipeLimit(ctx, filepath.Join(dir, "patches/pipe-limit.patch"), callbacks)
}

// pipeLimit writes the patch that puts callbacks at the end of fs/pipe.c.
func (e *Env) pipeLimit(ctx context.Context, to, callbacks string) error {
	const file = "fs/pipe.c"
	tree, err := e.prepared(ctx, CloudRelease)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(tree.Dir, file))
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(e.Dir, "story-")
	if err != nil {
		return err
	}
	for side, text := range map[string]string{"a": string(text), "b": string(text) + "\n" + callbacks} {
		p := filepath.Join(dir, side, file)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			return err
		}
	}
	out := filepath.Join(dir, "patch")
	if err := diffDirs(ctx, dir, file, out); err != nil {
		return err
	}
	patch, err := os.ReadFile(out)
	if err != nil {
		return err
	}
	return os.WriteFile(to, append([]byte("Subject: pipe: let unprivileged pipes hold at most 256 KiB\n\n---\n"), patch...), 0o644)
}

// Beat is one thing that happens on the machine of the story: a run of
// klpforge, or steps.
type Beat struct {
	Say  string   // what a person is told
	Args []string // of klpforge; none for Steps
	Code int      // exit code of klpforge
	Want []string // what its output says
	// Steps that must succeed; the content of the last is shown to a person.
	Steps []guest.Step
}

// label is unique in the story.
func (b Beat) label(i int) string { return fmt.Sprintf("%02d %s", i, b.Say) }

const (
	storyPipes = "/proc/sys/fs/pipe-max-size"
	storyMount = "/mnt"
)

func storyPath(n int) string { return fmt.Sprintf("/root/livepatch_fixes_%d.ko", n) }

// StoryBeats are all that happens on the machine, in order.
func StoryBeats() []Beat {
	round := int64(0)
	write := func(say string) Beat {
		round++
		return Beat{Say: say, Steps: vm.Ext4Round(storyMount, round)}
	}
	// Bounds of an ext4 file of 4 KiB blocks: 16 TiB. Nothing is to be copied.
	copyRange := func(want string) guest.Step {
		return guest.Probe(guest.MatchExact, want, "copy-file-range", storyMount+"/empty", storyMount+"/target", "0x4000000000000", "1")
	}
	pipes := func(want string) guest.Step { return guest.Expect(storyPipes, guest.MatchExact, want) }
	const (
		broken, fixed    = "EFBIG", "ok 0"
		original, lowest = "1048576", "262144"
	)
	return []Beat{
		{Say: "the machine boots, and its unit loads what is installed",
			Args: []string{"load", "--boot"}, Want: []string{"livepatch_fixes_1.ko", "loaded"}},
		{Say: "an ext4 file system is mounted", Steps: []guest.Step{
			guest.Modprobe("loop"), guest.LoopAttach("/dev/loop0", "/ext4.img"), guest.Mount("/dev/loop0", storyMount, "ext4", ""),
			guest.WriteFile(storyMount+"/empty", 0, 0), guest.WriteFile(storyMount+"/target", 0, 0)}},
		write("writing after caches were dropped, which is fatal without release 1"),
		{Say: "copying nothing to beyond the largest file still fails: that is fixed in release 2", Steps: []guest.Step{copyRange(broken)}},
		{Say: "pipes of users hold at most, in bytes", Steps: []guest.Step{pipes(original)}},

		{Say: "release 2 comes: what would happen", Args: []string{"plan", storyPath(2)},
			Want: []string{"1. load (replace)", "livepatch_fixes_2", "replaces livepatch_fixes_1", "2. remove"}},
		{Say: "it takes the place of release 1 in one transition", Args: []string{"load", storyPath(2)},
			Want: []string{"livepatch_fixes_2 is in force, after"}},
		{Say: "status", Args: []string{"status"},
			Want: []string{"livepatch_fixes_2  enabled  2", "Example/fixes", "ext4_mb_load_buddy_gfp", "vfs_copy_file_range", "get_cpu_itimer",
				"livepatch_fixes_2: state 1001 version 1: unprivileged pipes hold at most 256 KiB"}},
		{Say: "copying nothing succeeds", Steps: []guest.Step{copyRange(fixed)}},
		{Say: "pipes of users hold at most, in bytes", Steps: []guest.Step{pipes(lowest)}},
		write("writing after caches were dropped: release 2 has the fix of release 1, too"),
		{Say: "the unit runs again: what is in force is newer, and stays",
			Args: []string{"load", "--boot"}, Want: []string{"livepatch_fixes_1.ko  skipped", "livepatch_fixes_2) is in force"}},

		{Say: "back to release 1: what would happen", Args: []string{"plan", "--policy", "cumulative", storyPath(1)},
			Want: []string{"1. disable", "livepatch_fixes_2", "a downgrade from 2 to 1", "2. remove", "3. load"}},
		{Say: "release 2 goes first, and its callbacks undo what they did; then release 1 comes", Args: []string{"load", "--policy", "cumulative", storyPath(1)},
			Want: []string{"livepatch_fixes_1 is in force, after"}},
		{Say: "pipes of users hold at most, in bytes", Steps: []guest.Step{pipes(original)}},
		{Say: "copying nothing fails again", Steps: []guest.Step{copyRange(broken)}},
		write("writing after caches were dropped: release 1 is in force"),

		{Say: "up to release 2 again", Args: []string{"load", storyPath(2)}, Want: []string{"livepatch_fixes_2 is in force, after"}},
		{Say: "pipes of users hold at most, in bytes", Steps: []guest.Step{pipes(lowest)}},
		{Say: "release 3 forgets the state of release 2: nothing would undo it after a replace", Args: []string{"load", "--policy", "replace", storyPath(3)}, Code: exitRefusal,
			Want: []string{"livepatch_fixes_3 does not know state 1001", string(finding.IDStates), "remedy: --policy cumulative"}},
		{Say: "the kernel says the same to insmod", Steps: []guest.Step{guest.Insmod(storyPath(3), "").Fails("EINVAL")}},
		{Say: "release 2 is untouched", Args: []string{"status"}, Want: []string{"1 livepatch(es)", "livepatch_fixes_2  enabled  2"}},
		{Say: "the default policy has a way: release 2 is disabled first", Args: []string{"plan", storyPath(3)},
			Want: []string{"1. disable", "livepatch_fixes_2", string(finding.IDStates), "3. load"}},

		{Say: "the file system is unmounted", Steps: []guest.Step{guest.Umount(storyMount), guest.LoopDetach("/dev/loop0")}},
		{Say: "unload", Args: []string{"unload", "livepatch_fixes_2"}, Want: []string{"livepatch_fixes_2 is unloaded"}},
		{Say: "pipes of users hold at most, in bytes", Steps: []guest.Step{pipes(original)}},
		{Say: "status", Args: []string{"status"}, Want: []string{"0 livepatch(es)"}},
		{Say: "the kernel log is clean, and so is the taint, but for livepatching and unsigned modules", Steps: []guest.Step{
			guest.CheckDmesg(), guest.CheckTaint(guest.TaintAllowed)}},
	}
}

// exitRefusal is klpforge's exit code for what it refused.
const exitRefusal = 1

// StoryMachine boots CloudRelease and lets the beats happen. program is
// klpforge, out is where release build put the modules. The error says what
// did not go as told.
func (e *Env) StoryMachine(ctx context.Context, program, out string) (*vm.Result, error) {
	img := filepath.Join(e.Dir, "story.img")
	if err := vm.MakeExt4Image(ctx, img); err != nil {
		return nil, err
	}
	installed := path.Join("/var/lib/klpforge/modules", CloudRelease, "livepatch_fixes_1.ko")
	s := vm.Script{Files: []vm.File{
		{Name: "/klpforge", Host: program, Mode: 0o755},
		{Name: "/ext4.img", Host: img},
		{Name: installed, Host: StoryModule(out, CloudRelease, 1)},
	}}
	for n := 1; n <= 3; n++ {
		s.Files = append(s.Files, vm.File{Name: storyPath(n), Host: StoryModule(out, CloudRelease, n)})
	}
	beats := StoryBeats()
	for i, b := range beats {
		steps := b.Steps
		if len(b.Args) > 0 {
			steps = []guest.Step{guest.Exec("/klpforge", b.Args...)}
			if b.Code != 0 {
				steps[0] = steps[0].Optional()
			}
		}
		last := len(steps) - 1
		s = s.Add(steps[:last]...).Add(steps[last].Labelled(b.label(i)))
	}
	opt, err := e.VM(ctx, CloudRelease)
	if err != nil {
		return nil, err
	}
	r, err := vm.Run(ctx, opt, s)
	if err != nil {
		return nil, err
	}
	return r, checkStory(r, beats)
}

// checkStory compares what klpforge said and returned with the beats. A step
// that failed and may not is an error of the result.
func checkStory(r *vm.Result, beats []Beat) error {
	if err := r.Err(); err != nil {
		return err
	}
	fail := func(format string, args ...any) error {
		return &vm.FailedError{Why: fmt.Sprintf(format, args...), Result: r}
	}
	for i, b := range beats {
		st := r.Step(b.label(i))
		if st == nil {
			return fail("%q did not happen", b.Say)
		}
		if b.Code != 0 && !strings.HasSuffix(st.Err, fmt.Sprintf("exit status %d", b.Code)) {
			return fail("klpforge %s: %q, want exit code %d\n%s", strings.Join(b.Args, " "), st.Err, b.Code, st.Out)
		}
		for _, w := range b.Want {
			if !strings.Contains(st.Out, w) {
				return fail("klpforge %s: no %q in\n%s", strings.Join(b.Args, " "), w, st.Out)
			}
		}
	}
	return nil
}

// StoryTold returns, for each label of the machine's steps, the beat.
func StoryTold() map[string]Beat {
	told := map[string]Beat{}
	for i, b := range StoryBeats() {
		told[b.label(i)] = b
	}
	return told
}
