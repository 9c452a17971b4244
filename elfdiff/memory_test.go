package elfdiff

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/klpforge/klpforge/elfobj"
)

// What reading and comparing two objects may make of memory in all, garbage too, as
// a multiple of both files. These consist of tiny functions that all differ: those of a
// kernel take half (docs/benchmarks.md).
const (
	maxRead = 2.2
	maxDiff = 5.5
)

// TestMemory: no step of reading and comparing holds the files or their tables twice.
func TestMemory(t *testing.T) {
	dir, size := t.TempDir(), 0
	paths := [2]string{filepath.Join(dir, "before.o"), filepath.Join(dir, "after.o")}
	for i, p := range paths {
		raw, err := manyFunctions(8000, byte(1+i)).Write()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		size += len(raw)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	var files [2]*elfobj.File
	for i, p := range paths {
		var err error
		if files[i], err = elfobj.ReadFile(p); err != nil {
			t.Fatal(err)
		}
	}
	var read runtime.MemStats
	runtime.ReadMemStats(&read)
	if _, err := Diff(files[0], files[1]); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	got := func(m *runtime.MemStats) float64 { return float64(m.TotalAlloc-before.TotalAlloc) / float64(size) }
	t.Logf("%d bytes: %.2f times as much to read, %.2f in all", size, got(&read), got(&after))
	if got(&read) > maxRead || got(&after) > maxDiff {
		t.Errorf("more than %.1f and %.1f times as much", maxRead, maxDiff)
	}
}
