package e2e

import (
	"context"
	"fmt"
	"path/filepath"
)

// sourceOf are releases whose source package has a line's newest source here.
var sourceOf = map[string]string{"6.1": CloudRelease, "6.12": IBTRelease, "7.2": SidRelease}

// SourceTarball fetches, if need be, the packed source of a line such as "6.1".
func (e *Env) SourceTarball(ctx context.Context, line string) (string, error) {
	release, ok := sourceOf[line]
	if !ok {
		return "", fmt.Errorf("no source package of Linux %s is known here", line)
	}
	find := func() string {
		found, _ := filepath.Glob(filepath.Join(e.Cache.Target(release), "source", "linux-source-*.tar.*"))
		if len(found) == 0 {
			return ""
		}
		return found[0]
	}
	if p := find(); p != "" {
		return p, nil
	}
	if err := e.Fetch(ctx, release); err != nil {
		return "", err
	}
	if p := find(); p != "" {
		return p, nil
	}
	return "", fmt.Errorf("the package of %s has no source", release)
}
