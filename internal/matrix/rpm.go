package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/klpforge/klpforge/kernel/cachedir"
)

// alone runs a command in which dnf has the configuration $1 and no other.
const alone = `mount --bind "$1" /etc/dnf/dnf.conf && shift && exec "$@"`

// publish makes dnf on r.home know a repository of the RPM packages of the row's own
// kernel, and no other, and a cache that no other row fetches into. It returns the release to fetch.
func (r *runner) publish(ctx context.Context) (string, error) {
	k, err := r.own(ctx)
	if err != nil {
		return "", err
	}
	packages := k.Packages
	if r.Row.RHEL {
		if packages, err = r.packRHEL(ctx, k); err != nil {
			return "", err
		}
	}
	repos, conf := filepath.Join(r.dir, "repos"), filepath.Join(r.dir, "dnf.conf")
	if err := os.MkdirAll(repos, 0o755); err != nil {
		return "", err
	}
	for path, text := range map[string]string{
		filepath.Join(repos, "own.repo"): fmt.Sprintf("[own]\nname=own\nbaseurl=file://%s\nenabled=1\ngpgcheck=0\n", packages),
		conf:                             fmt.Sprintf("[main]\nreposdir=%s\ncachedir=%[2]s/dnf\npersistdir=%[2]s/persist\nlogdir=%[2]s\n", repos, r.dir),
	} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	// Rows that differ in the packages alone have kernels of one release.
	apart := cachedir.Dir(filepath.Join(r.dir, "cache"))
	r.home.cache, r.builds.cache = apart, apart
	r.home.wrap = []string{"unshare", "--mount", "sh", "-c", alone, "sh", conf}
	return k.Release, nil
}
