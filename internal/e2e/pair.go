package e2e

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// Pair is a release and the version of a newer source of its series.
type Pair struct {
	Release string
	Newer   string
}

// CorpusPair fetches the older kernel of the corpus and returns the usual pair,
// or, when the archive no longer has one of its sides, the next that it has:
// expected then is false, and it is told loudly.
func (e *Env) CorpusPair(ctx context.Context) (p Pair, expected bool, err error) {
	p = Pair{CorpusRelease, CorpusSource}
	if err = e.Fetch(ctx, p.Release); err == nil {
		if _, err = e.deb(ctx, sourcePackage(p.Release), p.Newer); err == nil {
			return p, true, nil
		}
	}
	var gone *provider.NotInArchiveError
	var unserved *notServedError
	if !errors.As(err, &gone) && !errors.As(err, &unserved) {
		return p, false, err
	}
	names, aptErr := exec.CommandContext(ctx, "apt-cache", "pkgnames", "linux-image-6.1.0-").Output()
	if aptErr != nil {
		return p, false, fmt.Errorf("ask apt for kernels: %w", aptErr)
	}
	images := slices.DeleteFunc(strings.Fields(string(names)), func(n string) bool { return !cloudImageRE.MatchString(n) })
	out, aptErr := exec.CommandContext(ctx, "apt-cache", append([]string{"madison"}, images...)...).Output()
	if aptErr != nil {
		return p, false, fmt.Errorf("ask apt for versions of kernels: %w", aptErr)
	}
	next, ok := pairOf(string(out))
	if !ok {
		return p, false, fmt.Errorf("no two 6.1 cloud kernels in the archive: %w", err)
	}
	fmt.Fprintf(e.Log, "\n*** %s OR SOURCE %s IS NOT IN THE ARCHIVE ANY MORE, USING %s AND %s: %v\n\n", p.Release, p.Newer, next.Release, next.Newer, err)
	return next, false, e.Fetch(ctx, next.Release)
}

var cloudImageRE = regexp.MustCompile(`^linux-image-(6\.1\.0-(\d+)-cloud-amd64)$`)

// pairOf picks, from the output of apt-cache madison, the oldest release and
// the version of the next one.
func pairOf(madison string) (Pair, bool) {
	type image struct {
		abi              int
		release, version string
	}
	var all []image
	for line := range strings.Lines(madison) {
		f := strings.Split(line, "|")
		if len(f) < 3 {
			continue
		}
		m := cloudImageRE.FindStringSubmatch(strings.TrimSpace(f[0]))
		if m == nil {
			continue
		}
		abi, err := strconv.Atoi(m[2])
		if err != nil {
			continue
		}
		all = append(all, image{abi, m[1], strings.TrimSpace(f[1])})
	}
	slices.SortFunc(all, func(a, b image) int { return a.abi - b.abi })
	for _, i := range all {
		if i.version != all[0].version {
			return Pair{Release: all[0].release, Newer: i.version}, true
		}
	}
	return Pair{}, false
}
