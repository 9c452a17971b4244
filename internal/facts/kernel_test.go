package facts_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/klpforge/klpforge/analyze/model"
	"github.com/klpforge/klpforge/analyze/sleeps"
	"github.com/klpforge/klpforge/analyze/stacks"
	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/kernel/cachedir"
)

// open opens the cloud kernel of the tests on real kernels, with facts in a
// cache of its own.
func open(t testing.TB, cache string) *facts.Kernel {
	t.Helper()
	dir := os.Getenv("KLPFORGE_E2E_CACHE")
	if os.Getenv("KLPFORGE_E2E") == "" || dir == "" {
		t.Skip("needs a real kernel; run `make e2e`")
	}
	k, err := facts.Open(kernel.Options{Release: e2e.CloudRelease, Root: string(cachedir.Dir(dir).TargetRoot(e2e.CloudRelease)), Cache: cachedir.Dir(cache)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The shipped image alone gives the effects that everybody knows, at once and
// again from the cache; a damaged cache changes nothing.
func TestCloudKernel(t *testing.T) {
	cache := t.TempDir()
	var first, last map[string]content
	var frames []string
	for _, round := range []string{"first", "cached", "damaged"} {
		if round == "damaged" {
			damage(t, cache)
		}
		k := open(t, cache)
		if k.Cached != (round == "cached") {
			t.Errorf("%s: facts from the cache: %v", round, k.Cached)
		}
		for name, want := range map[string]string{
			"rtnl_lock":           "mutex:rtnl_mutex",
			"_raw_spin_lock":      "spin:raw_spinlock",
			"lock_sock_nested":    "sock:sock",
			"__lock_task_sighand": "spin:sighand_struct.siglock",
			"unix_seq_start":      "spin:?",
		} {
			ids := k.Model.Lookup(name)
			if len(ids) == 0 {
				t.Errorf("%s: no function %s", round, name)
				continue
			}
			s := k.Locks.Summary(k.Locks.Effect(ids[0]), k.Types)
			if len(s.Acquires) != 1 || s.Acquires[0] != want || len(s.Releases) != 0 {
				t.Errorf("%s: %s acquires %v, releases %v, want %s", round, name, s.Acquires, s.Releases, want)
			}
		}
		sleeping := k.Sleeps()
		for name, want := range map[string]sleeps.Answer{"mutex_lock": sleeps.May, "vfs_read": sleeps.May, "_raw_spin_lock": sleeps.Never} {
			if got := sleeping.Fact(k.Model.Lookup(name)[0]).Answer; got != want {
				t.Errorf("%s: %s sleeps: %v, want %v", round, name, got, want)
			}
		}
		r, err := facts.Stacks(k.Target, k.Model)
		if err != nil {
			t.Fatal(err)
		}
		id := k.Model.Lookup("pipe_read")[0]
		if _, calls := r.Roots(id, 10); !r.Facts[id].Stays() || len(r.Path(id)) == 0 || !slices.Contains(calls, "read") {
			t.Errorf("%s: pipe_read %+v, path %v, from %v", round, r.Facts[id], r.Path(id), calls)
		}
		got := moduleFrames(t, k, r)
		if round == "first" {
			frames = got
		}
		if d := cmp.Diff(frames, got); d != "" {
			t.Errorf("%s: a module's functions are judged otherwise (-first +now):\n%s", round, d)
		}
		if err := k.Close(); err != nil {
			t.Error(err)
		}
		now := contents(t, cache)
		if round == "first" {
			first, last = now, now
		}
		for name, c := range now {
			// What was read is still the file that was; what was damaged is found again.
			if c.inode == last[name].inode != (round != "damaged") || c.sum != first[name].sum {
				t.Errorf("%s: %s is another file: %v, with other content: %v", round, name, c.inode != last[name].inode, c.sum != first[name].sum)
			}
		}
		last = now
	}
}

// moduleFrames tells how tasks get to where they sleep in functions of a module,
// which the kernel decides.
func moduleFrames(t *testing.T, k *facts.Kernel, base *stacks.Result) []string {
	t.Helper()
	m, err := k.Target.Module("sunrpc")
	if err != nil {
		t.Fatal(err)
	}
	p, err := model.FromObject(m.File, model.ObjectOptions{Name: m.Name})
	if err != nil {
		t.Fatal(err)
	}
	mm := model.Build(p)
	r, err := stacks.Object(mm, base)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range mm.Funcs {
		if r.Facts[i].Stays() {
			out = append(out, fmt.Sprintf("%s: %+v %s", mm.Funcs[i].Name, r.Facts[i], strings.Join(r.Path(model.FuncID(i)), ", ")))
		}
	}
	if len(out) < 10 {
		t.Errorf("tasks sleep in %d functions of %s only", len(out), m.Name)
	}
	return out
}

// content tells what a file is and what it holds.
type content struct {
	inode uint64
	sum   [sha256.Size]byte
}

// contents looks at the four files of a kernel's facts.
func contents(t *testing.T, cache string) map[string]content {
	t.Helper()
	list, err := filepath.Glob(cache + "/facts/*")
	if err != nil || len(list) != 4 {
		t.Fatalf("%d files of facts, error %v", len(list), err)
	}
	out := map[string]content{}
	for _, p := range list {
		i, err := os.Stat(p)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		out[p] = content{i.Sys().(*syscall.Stat_t).Ino, sha256.Sum256(b)}
	}
	return out
}

func damage(t *testing.T, cache string) {
	t.Helper()
	for p := range contents(t, cache) {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		b[len(b)/3] ^= 1
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// all finds every fact of the kernel and reports whether Open's were cached.
func all(b *testing.B, cache string) bool {
	k := open(b, cache)
	defer k.Close()
	k.Sleeps()
	if _, err := facts.Stacks(k.Target, nil); err != nil {
		b.Fatal(err)
	}
	return k.Cached
}

// BenchmarkFirst is one look at all facts of a kernel that was never analysed;
// the image is unpacked before.
func BenchmarkFirst(b *testing.B) {
	cache := b.TempDir()
	open(b, cache).Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := os.RemoveAll(cache + "/facts"); err != nil {
			b.Fatal(err)
		}
		all(b, cache)
	}
	reportPeak(b)
}

// BenchmarkCached is a later look at the same kernel.
func BenchmarkCached(b *testing.B) {
	cache := b.TempDir()
	all(b, cache)
	b.ReportAllocs()
	for b.Loop() {
		if !all(b, cache) {
			b.Fatal("not from the cache")
		}
	}
	reportPeak(b)
}

// reportPeak reports the largest size of this process so far, which includes
// the first look in either benchmark.
func reportPeak(b *testing.B) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(u.Maxrss)/1024, "peak-MB")
}
