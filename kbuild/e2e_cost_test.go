package kbuild

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpu is the processor time that this process and its children have used.
func cpu(t testing.TB) time.Duration {
	t.Helper()
	var sum time.Duration
	for _, who := range []int{syscall.RUSAGE_SELF, syscall.RUSAGE_CHILDREN} {
		var u syscall.Rusage
		if err := syscall.Getrusage(who, &u); err != nil {
			t.Fatal(err)
		}
		sum += time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	return sum
}

// BenchmarkRealCost compares everything this package does for a patch to one file of
// a prepared kernel with the two compilations themselves, by processor time, as other
// things may be running: the metric "ratio". Run it with -benchtime 1x -v, and
// KLPFORGE_E2E_CACHE set, to see the stages.
func BenchmarkRealCost(b *testing.B) {
	for _, obj := range []string{"fs/proc/meminfo.o", "fs/ext4/mballoc.o", "net/ipv4/tcp_input.o"} {
		b.Run(strings.ReplaceAll(strings.TrimSuffix(obj, ".o"), "/", "_"), func(b *testing.B) {
			var sum float64
			for b.Loop() {
				sum += realCost(b, obj)
			}
			b.ReportMetric(sum/float64(b.N), "ratio")
		})
	}
}

func realCost(t testing.TB, obj string) float64 {
	ctx := context.Background()
	e2eTree(t)
	opts := e2eOptions(t)
	report := map[string]time.Duration{}
	var order []string
	last, begin := cpu(t), cpu(t)
	wall := time.Now()
	mark := func(name string) {
		now := cpu(t)
		report[name] = (now - last).Round(time.Millisecond)
		order = append(order, name)
		last = now
	}
	tree, err := Prepare(ctx, opts)
	if err != nil {
		t.Fatal(err)
	}
	mark("find tree")
	if _, err := tree.Affected(ctx, []string{obj[:len(obj)-1] + "c"}); err != nil {
		t.Fatal(err)
	}
	mark("affected")
	w, err := tree.Work(ctx, WorkOptions{})
	if err != nil {
		t.Fatal(err)
	}
	mark("work tree")
	os.Remove(w.objectPath(w.objectKey(obj), ".json"))
	built, err := w.Before(ctx, []string{obj})
	if err != nil {
		t.Fatal(err)
	}
	mark("before")
	edit(t, w, obj[:len(obj)-1]+"c", "{\n", "{\n\n")
	if _, err := w.After(ctx, []string{obj}); err != nil {
		t.Fatal(err)
	}
	mark("after")
	total, took := cpu(t)-begin, time.Since(wall)
	start := cpu(t)
	for range 2 {
		if _, err := (command{name: "compile", dir: w.Dir, env: baseEnv(), argv: []string{"sh", "-c", "set -e; " + built[0].Command}}).run(ctx); err != nil {
			t.Fatal(err)
		}
	}
	pure := cpu(t) - start
	last = cpu(t)
	w.Close()
	mark("close")
	ratio := float64(total) / float64(pure)
	for _, name := range order {
		t.Logf("%s: %-10s %v", obj, name, report[name])
	}
	t.Logf("%s: %v of processor time in %v, two compilations %v: ratio %.2f", obj, total.Round(time.Millisecond), took.Round(time.Millisecond), pure.Round(time.Millisecond), ratio)
	return ratio
}
