package deploy

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/klpforge/klpforge/module/note"
)

const testRelease = "6.1.0-test"

// fakeKernel is a tree of files that behaves like Linux 6.1 as far as this
// package looks. It runs in a synctest bubble: transitions take takes.
type fakeKernel struct {
	t      *testing.T
	root   string
	files  map[string]*fakeModule // by path
	takes  time.Duration
	stuck  map[string]bool // livepatches whose transition to the new code does not end
	held   map[string]bool // and those whose transition back does not
	refuse map[string]unix.Errno
	pinned map[string]bool // modules that stay in use
	did    []string
	taken  []byte // what the descriptor given to Finit last has
	denied error
	log    []string
}

// fakeModule is a module file and, once loaded, a module.
type fakeModule struct {
	name     string
	manifest *note.Note // nil for one that klpforge did not make
	note     []byte
	inTree   bool
	going    bool // its transition is under way
}

func newFake(t *testing.T) (*fakeKernel, *Machine) {
	t.Helper()
	k := &fakeKernel{t: t, root: t.TempDir(), files: map[string]*fakeModule{}, takes: time.Second,
		stuck: map[string]bool{}, held: map[string]bool{}, refuse: map[string]unix.Errno{}, pinned: map[string]bool{}}
	k.put("proc/sys/kernel/osrelease", testRelease+"\n")
	k.put("proc/sys/kernel/random/boot_id", "boot-1\n")
	k.put("proc/modules", "")
	k.mkdir("sys/kernel/livepatch")
	for pid := 1; pid <= 3; pid++ {
		k.task(pid, "-1")
	}
	return k, &Machine{Root: k.root, Calls: k}
}

func (k *fakeKernel) check(err error) {
	k.t.Helper()
	if err != nil {
		k.t.Fatal(err)
	}
}

func (k *fakeKernel) mkdir(rel string) { k.check(os.MkdirAll(filepath.Join(k.root, rel), 0o755)) }

func (k *fakeKernel) put(rel, text string) {
	k.mkdir(filepath.Dir(rel))
	k.check(os.WriteFile(filepath.Join(k.root, rel), []byte(text), 0o644))
}

func (k *fakeKernel) get(rel string) string {
	b, err := os.ReadFile(filepath.Join(k.root, rel))
	k.check(err)
	return strings.TrimSpace(string(b))
}

func (k *fakeKernel) remove(rel string) { k.check(os.RemoveAll(filepath.Join(k.root, rel))) }

// task writes a task; the second of them is a kernel thread in a patched function.
func (k *fakeKernel) task(pid int, state string) {
	dir := fmt.Sprintf("proc/%d/task/%d/", pid, pid)
	k.put(dir+"patch_state", state+"\n")
	k.put(dir+"comm", fmt.Sprintf("task%d\n", pid))
	status := "Name:\ttask\nState:\tS (sleeping)\nVmSize:\t  100 kB\n"
	stack := "[<0>] do_nanosleep+0x1/0x2\n"
	if pid == 2 {
		status = "Name:\ttask\nState:\tS (sleeping)\n"
		stack = "[<0>] schedule+0x1/0x2\n[<0>] f+0x5c/0x240\n[<0>] klp_f+0x5c/0x240 [old]\n[<0>] ret_from_fork+0x22/0x30\n"
	}
	k.put(dir+"status", status)
	k.put(dir+"stack", stack)
}

// file makes a module file of a manifest that edit fills.
func (k *fakeKernel) file(name string, edit func(*note.Note)) *Module {
	man := &note.Note{Schema: "klpforge.module/v1", Name: name, Release: testRelease}
	if edit != nil {
		edit(man)
	}
	text, err := json.Marshal(man)
	k.check(err)
	fm := &fakeModule{name: name, manifest: man, note: encodeNote(text)}
	path := filepath.Join(k.root, "files", fmt.Sprintf("%s-%d.ko", name, len(k.files)))
	k.files[path] = fm
	return k.open(&Module{Name: name, File: path, Livepatch: true, Release: testRelease, Facts: factsOf(man), notes: map[string][]byte{".note.klpforge": fm.note}})
}

// foreign makes a module file that says nothing of itself.
func (k *fakeKernel) foreign(name string) *Module {
	path := filepath.Join(k.root, "files", name+".ko")
	fm := &fakeModule{name: name, note: []byte(name + " build id")}
	k.files[path] = fm
	return k.open(&Module{Name: name, File: path, Livepatch: true, Release: testRelease, Facts: factsOf(nil), notes: map[string][]byte{buildID: fm.note}})
}

// open writes the file of a module, whose content is of no concern, and keeps it open.
func (k *fakeKernel) open(mod *Module) *Module {
	mod.data = []byte("module " + mod.Name)
	k.check(os.MkdirAll(filepath.Dir(mod.File), 0o755))
	k.check(os.WriteFile(mod.File, mod.data, 0o644))
	f, err := os.Open(mod.File)
	k.check(err)
	k.t.Cleanup(func() { f.Close() })
	mod.file = f
	return mod
}

func encodeNote(desc []byte) []byte {
	var b bytes.Buffer
	for _, n := range []int{9, len(desc), 1} {
		_ = binary.Write(&b, binary.NativeEndian, uint32(n)) // a buffer takes everything
	}
	b.WriteString("klpforge\x00\x00\x00\x00")
	b.Write(desc)
	for b.Len()%4 != 0 {
		b.WriteByte(0)
	}
	return b.Bytes()
}

// series fills a manifest as a release of a cumulative series does.
func series(version string, funcs ...string) func(*note.Note) {
	return func(m *note.Note) {
		m.Product, m.Vendor, m.Version, m.Replace = "demo", "example", version, true
		setFuncs(m, funcs)
	}
}

// single fills a manifest of a livepatch that comes beside others.
func single(funcs ...string) func(*note.Note) {
	return func(m *note.Note) { setFuncs(m, funcs) }
}

func setFuncs(m *note.Note, funcs []string) {
	text, _ := json.Marshal(map[string]any{"objects": []any{map[string]any{"name": "vmlinux", "functions": funcList(funcs)}}})
	if err := json.Unmarshal(text, m); err != nil {
		panic(err)
	}
}

func funcList(names []string) []map[string]any {
	out := []map[string]any{}
	for _, n := range names {
		out = append(out, map[string]any{"name": n, "new": "klp_" + n})
	}
	return out
}

func (k *fakeKernel) Privileged() error { return k.denied }

func (k *fakeKernel) loaded(name string) *fakeModule {
	for _, f := range k.files {
		if f.name == name && slices.Contains(k.modules(), name) {
			if got, err := os.ReadFile(filepath.Join(k.root, "sys/module", name, "notes", f.noteName())); err == nil && bytes.Equal(got, f.note) {
				return f
			}
		}
	}
	return nil
}

func (f *fakeModule) noteName() string {
	if f.manifest == nil {
		return buildID
	}
	return ".note.klpforge"
}

func (k *fakeKernel) modules() []string {
	var out []string
	for line := range strings.Lines(k.get("proc/modules")) {
		name, _, _ := strings.Cut(line, " ")
		out = append(out, name)
	}
	return out
}

func (k *fakeKernel) moving() *fakeModule {
	for _, f := range k.files {
		if f.going {
			return f
		}
	}
	return nil
}

func (k *fakeKernel) Finit(file *os.File, params string) error {
	b, err := io.ReadAll(io.NewSectionReader(file, 0, 1<<20))
	k.check(err)
	k.taken = b
	return k.insert(file.Name())
}

func (k *fakeKernel) insert(path string) error {
	f := k.files[path]
	if f == nil {
		return &os.PathError{Op: "open", Path: path, Err: unix.ENOENT}
	}
	k.did = append(k.did, "load "+f.name)
	if e := k.refuse[f.name]; e != 0 {
		k.log = append(k.log, "livepatch: symbol 'g' not found", "unrelated")
		return e
	}
	if slices.Contains(k.modules(), f.name) {
		return unix.EEXIST
	}
	if k.moving() != nil {
		return unix.EBUSY
	}
	k.put("proc/modules", f.name+" 16384 1 - Live 0x0 (OEK)\n"+k.get("proc/modules")+"\n")
	dir := "sys/module/" + f.name + "/"
	k.put(dir+"taint", "OEK\n")
	k.put(dir+"refcnt", "1\n")
	k.put(dir+"notes/"+f.noteName(), string(f.note))
	klp := "sys/kernel/livepatch/" + f.name + "/"
	k.put(klp+"enabled", "1\n")
	f.inTree = true
	if f.manifest != nil {
		for _, o := range f.manifest.Objects {
			k.put(klp+o.Name+"/patched", "1\n")
			for _, fn := range o.Funcs {
				k.mkdir(klp + o.Name + "/" + fn.Name + ",1")
			}
		}
	}
	k.start(f)
	return nil
}

func (k *fakeKernel) Init(image []byte, params string) error {
	for path, f := range k.files {
		if bytes.Equal(image, f.note) {
			return k.insert(path)
		}
	}
	return unix.ENOEXEC
}

// start begins a transition to what enabled says.
func (k *fakeKernel) start(f *fakeModule) {
	klp := "sys/kernel/livepatch/" + f.name + "/"
	k.put(klp+"transition", "1\n")
	f.going = true
	on := k.get(klp+"enabled") == "1"
	for pid := 1; pid <= 3; pid++ {
		done := map[bool]string{true: stateNew, false: stateOld}[on]
		if pid == 2 {
			done = map[bool]string{true: stateOld, false: stateNew}[on]
		}
		k.task(pid, done)
	}
	if on && k.stuck[f.name] || !on && k.held[f.name] {
		return
	}
	time.AfterFunc(k.takes, func() {
		if f.going && (k.get(klp+"enabled") == "1") == on {
			k.finish(f)
		}
	})
}

func (k *fakeKernel) finish(f *fakeModule) {
	f.going = false
	for pid := 1; pid <= 3; pid++ {
		k.task(pid, "-1")
	}
	klp := "sys/kernel/livepatch/" + f.name
	if k.get(klp+"/enabled") == "0" {
		k.free(f)
		return
	}
	k.put(klp+"/transition", "0\n")
	if f.manifest == nil || !f.manifest.Replace {
		return
	}
	for _, o := range k.files {
		if o != f && o.inTree {
			k.free(o)
		}
	}
}

// free is what remains of a livepatch that is not in force any more.
func (k *fakeKernel) free(f *fakeModule) {
	f.inTree = false
	k.remove("sys/kernel/livepatch/" + f.name)
	if !k.pinned[f.name] {
		k.put("sys/module/"+f.name+"/refcnt", "0\n")
	}
}

func (k *fakeKernel) Delete(name string) error {
	f := k.loaded(name)
	switch {
	case f == nil:
		return unix.ENOENT
	case k.get("sys/module/"+name+"/refcnt") != "0":
		return unix.EAGAIN
	}
	k.did = append(k.did, "remove "+name)
	k.remove("sys/module/" + name)
	var rest []string
	for line := range strings.Lines(k.get("proc/modules")) {
		if !strings.HasPrefix(line, name+" ") {
			rest = append(rest, strings.TrimSpace(line)+"\n")
		}
	}
	k.put("proc/modules", strings.Join(rest, ""))
	return nil
}

func (k *fakeKernel) Write(path, data string) error {
	rel, err := filepath.Rel(filepath.Join(k.root, "sys/kernel/livepatch"), path)
	k.check(err)
	name, what := filepath.Split(rel)
	f := k.loaded(strings.TrimSuffix(name, "/"))
	k.did = append(k.did, what+"="+data+" "+strings.TrimSuffix(name, "/"))
	switch {
	case f == nil || !f.inTree:
		return unix.ENOENT
	case what == "force" && f.going:
		k.finish(f)
		return nil
	case what != "enabled" || k.get("sys/kernel/livepatch/"+f.name+"/enabled") == data:
		return unix.EINVAL
	case k.moving() != nil && k.moving() != f:
		return unix.EBUSY
	case data == "1" && !f.going:
		return unix.EINVAL
	}
	k.put("sys/kernel/livepatch/"+f.name+"/enabled", data+"\n")
	k.start(f)
	return nil
}

func (k *fakeKernel) LogMark() int64 { return int64(len(k.log)) }

func (k *fakeKernel) LogSince(mark int64) []string { return k.log[mark:] }

// states lists what is loaded, as "name state".
func states(t *testing.T, m *Machine) []string {
	t.Helper()
	sys, err := m.System()
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, l := range sys.Livepatches {
		out = append(out, l.Name+" "+string(l.Phase))
	}
	return out
}

func mustLoad(t *testing.T, m *Machine, mod *Module, o Options) {
	t.Helper()
	if _, err := m.Load(t.Context(), mod, o); err != nil {
		t.Fatal(err)
	}
}

var errDenied = errors.New("denied")
