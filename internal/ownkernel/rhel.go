package ownkernel

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

//go:embed rhel.spec
var rhelSpec string

// PackRHEL packs a kernel that Make has made, and its source, into RPM packages with the names
// and places of RHEL 9, in a repository below cache, and returns the repository's directory.
// What is there already is not made again.
func (s Spec) PackRHEL(ctx context.Context, cache string, k Kernel, log io.Writer) (string, error) {
	m := maker{Spec: s, ctx: ctx, log: log, dir: filepath.Join(cache, "kernels-own", s.Name)}
	dir, err := m.rhel(k, filepath.Join(cache, "kernels-own", "source-"+s.Line))
	if err != nil {
		return "", fmt.Errorf("pack kernel %s: %w", s.Name, err)
	}
	return dir, nil
}

// rhel makes the packages; source has nothing that a build left.
func (m *maker) rhel(k Kernel, source string) (string, error) {
	version, _, _ := strings.Cut(k.Release, "-")
	spec := strings.NewReplacer("@VERSION@", version, "@RELEASE@", k.Release).Replace(rhelSpec)
	top := filepath.Join(m.dir, "rhel")
	packages, stamp := filepath.Join(top, "packages"), filepath.Join(top, "made")
	sum := sha256.Sum256([]byte(m.stamp() + spec))
	made := hex.EncodeToString(sum[:]) + "\n"
	if have, err := os.ReadFile(stamp); err == nil && string(have) == made {
		return packages, nil
	}

	sources := filepath.Join(top, "SOURCES")
	if err := errors.Join(os.RemoveAll(top), os.MkdirAll(packages, 0o755), os.MkdirAll(sources, 0o755)); err != nil {
		return "", err
	}
	name := "linux-" + version
	if err := m.run(source, "tar", "-I", "gzip -1", "-cf", filepath.Join(sources, name+".tar.gz"), "--transform", "s:^\\.:"+name+":S", "."); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(top, "kernel.spec"), []byte(spec), 0o644); err != nil {
		return "", err
	}
	if err := m.run(top, "rpmbuild", "--nodeps", "--target", "x86_64", "--define", "_topdir "+top, "--define", "built "+k.Build,
		"--define", "source "+source, "-ba", "kernel.spec"); err != nil {
		return "", err
	}
	if err := m.run(top, "sh", "-c", `mv RPMS/*/*.rpm SRPMS/*.rpm packages && createrepo_c -q packages && rm -rf BUILD BUILDROOT SOURCES`); err != nil {
		return "", err
	}
	return packages, os.WriteFile(stamp, []byte(made), 0o644)
}
