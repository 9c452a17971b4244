package e2e

import (
	"cmp"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Newest is the newest release of a suite that ends as like does, of a suite whose
// lists were read: sid has one version of a kernel at a time.
func (e *Env) Newest(ctx context.Context, suite, like string) (string, error) {
	names, err := e.images(ctx, suite)
	if err != nil {
		return "", err
	}
	found := newest(names, like)
	if found == "" {
		return "", fmt.Errorf("no kernel like %s in suite %s", like, suite)
	}
	return found, nil
}

// Serves reports whether a suite, whose lists were read, has an image of a release.
func (e *Env) Serves(ctx context.Context, suite, release string) (bool, error) {
	names, err := e.images(ctx, suite)
	return slices.Contains(strings.Fields(names), "linux-image-"+release), err
}

// images are the names of the packages of kernels of a suite, "" for the machine's, one a line.
func (e *Env) images(ctx context.Context, suite string) (string, error) {
	args := []string{"pkgnames", "linux-image-"}
	if suite != "" {
		args = append([]string{"-c", filepath.Join(e.Cache.Lists(suite), "apt.conf")}, args...)
	}
	names, err := exec.CommandContext(ctx, "apt-cache", args...).Output()
	if err != nil {
		return "", fmt.Errorf("ask apt for the kernels of %s: %w", suite, err)
	}
	return string(names), nil
}

var releaseRE = regexp.MustCompile(`^linux-image-(\d+\.\d+\.\d+(?:\+deb[\d.]+|-\d+)(-[a-z-]*amd64))$`)

// newest picks from names of packages, one a line, the release with the flavour of like
// and the highest numbers; "" when there is none.
func newest(names, like string) string {
	best := ""
	want := releaseRE.FindStringSubmatch("linux-image-" + like)
	for line := range strings.Lines(names) {
		m := releaseRE.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil || want == nil || m[2] != want[2] {
			continue
		}
		if best == "" || slices.CompareFunc(numbers(m[1]), numbers(best), cmp.Compare[int]) > 0 {
			best = m[1]
		}
	}
	return best
}

var digits = regexp.MustCompile(`\d+`)

// numbers are those of a release, in their order.
func numbers(release string) []int {
	var out []int
	for _, d := range digits.FindAllString(release, -1) {
		n, err := strconv.Atoi(d)
		if err != nil {
			n = 0 // longer than any version's
		}
		out = append(out, n)
	}
	return out
}
