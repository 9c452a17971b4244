package e2e

import (
	"path/filepath"
	"testing"
)

// TestStory builds three releases of a series for one kernel and lives through
// what StoryBeats tells. make demo-release shows the same to a person, and
// builds release 2 for its two other kernels as well.
func TestStory(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	c := newCLI(t, e, CloudRelease)
	dir := t.TempDir()
	if err := e.Story(t.Context(), dir, c.run(t, StoryState...).want(t, exitDone).out); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	for n := 1; n <= 3; n++ {
		c.run(t, "release", "build", "-f", StoryManifest(dir, n), "-o", out, CloudRelease).want(t, exitDone)
	}
	up := c.run(t, "release", "diff", StoryModule(out, CloudRelease, 1), StoryModule(out, CloudRelease, 2)).want(t, exitDone)
	t.Log(up.out)
	r, err := e.StoryMachine(t.Context(), c.bin, out)
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Logf("boot %v, total %v", r.Boot, r.Total)
}
