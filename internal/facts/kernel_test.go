package facts_test

import (
	"os"
	"syscall"
	"testing"

	"github.com/klpforge/klpforge/internal/e2e"
	"github.com/klpforge/klpforge/internal/facts"
	"github.com/klpforge/klpforge/kernel"
)

// open opens the cloud kernel of the tests on real kernels, with facts in a
// cache of its own.
func open(t testing.TB, cache string) *facts.Kernel {
	t.Helper()
	dir := os.Getenv("KLPFORGE_E2E_CACHE")
	if os.Getenv("KLPFORGE_E2E") == "" || dir == "" {
		t.Skip("needs a real kernel; run `make e2e`")
	}
	k, err := facts.Open(kernel.Options{Release: e2e.CloudRelease, Root: string(kernel.Cache(dir).TargetRoot(e2e.CloudRelease)), Cache: kernel.Cache(cache)})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The shipped image alone gives the effects that everybody knows, at once and
// again from the cache; a damaged cache changes nothing.
func TestCloudKernel(t *testing.T) {
	cache := t.TempDir()
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
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	}
}

func damage(t *testing.T, cache string) {
	t.Helper()
	dir := cache + "/facts"
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 1 {
		t.Fatalf("%d files of facts, error %v", len(list), err)
	}
	p := dir + "/" + list[0].Name()
	b, err := os.ReadFile(p)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/3] ^= 1
	if err := os.WriteFile(p, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkFirst is one look at a kernel that was never analysed; the image is
// unpacked before.
func BenchmarkFirst(b *testing.B) {
	cache := b.TempDir()
	open(b, cache).Close()
	b.ReportAllocs()
	for b.Loop() {
		if err := os.RemoveAll(cache + "/facts"); err != nil {
			b.Fatal(err)
		}
		open(b, cache).Close()
	}
	reportPeak(b)
}

// BenchmarkCached is a later look at the same kernel.
func BenchmarkCached(b *testing.B) {
	cache := b.TempDir()
	open(b, cache).Close()
	b.ReportAllocs()
	for b.Loop() {
		if k := open(b, cache); !k.Cached {
			b.Fatal("not from the cache")
		} else {
			k.Close()
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
