package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/pipeline"
)

// TestLockFindings has each check of locks, sleeping and RCU look at a patch of
// the real kernel that does what it warns of.
func TestLockFindings(t *testing.T) {
	t.Parallel() // mostly waits for a VM
	e := env(t)
	cases := []struct {
		id, function string
		severity     finding.Severity
		says         string
	}{
		{"KLP202", "register_filesystem", finding.Warning, "file_systems: under write:file_systems_lock before"},
		{"KLP203", "cgroup_update_dfl_csses", finding.Error, "new code holds percpu-rwsem-write:cgroup_threadgroup_rwsem and takes percpu-rwsem-write:cpu_hotplug_lock"},
		{"KLP206", "___neigh_create", finding.Warning, "ip_finish_output2 -> __neigh_create -> ___neigh_create -> __kmalloc"},
		{"KLP211", "___neigh_create", finding.Error, "before: gives neigh_hash_free_rcu to call_rcu"},
		{"KLP214", "cgroup_apply_control_enable", finding.Error, "cgroup_mkdir holds mutex:cgroup_mutex and waits for it again"},
	}
	o := pipeline.Options{Kernel: kernel.Options{Release: CloudRelease, Root: string(e.Cache.TargetRoot(CloudRelease)), Cache: e.Cache}, DiffOnly: true}
	for _, c := range cases {
		o.Patches = append(o.Patches, filepath.Join("testdata", "locks", c.id+".patch"))
	}
	res, err := pipeline.Run(t.Context(), o)
	if res.Findings == nil {
		t.Fatalf("no findings: %v", err)
	}
	for _, c := range cases {
		i := slices.IndexFunc(res.Findings, func(f finding.Finding) bool { return string(f.ID) == c.id && f.Symbol == c.function })
		if i < 0 {
			t.Errorf("no %s: %+v", c.id, res.Findings)
			continue
		}
		f := res.Findings[i]
		if f.Severity != c.severity || !strings.Contains(strings.Join(f.Evidence, "\n"), c.says) {
			t.Errorf("%s: %v\n%s", f.Line(), f.Severity, strings.Join(f.Evidence, "\n"))
		}
	}
}
