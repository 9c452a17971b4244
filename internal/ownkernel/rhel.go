package ownkernel

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

//go:embed rhel.spec
var rhelSpec string

// rhel packs a kernel that pack has built once more, with the names and places of RHEL 9, into
// a repository, and returns its directory. What is there already is not made again.
func (m *maker) rhel(k Kernel) (string, error) {
	tarballs, err := filepath.Glob(filepath.Join(m.dir, "build", "kernel-*.tar.gz"))
	if err != nil || len(tarballs) != 1 {
		return "", fmt.Errorf("make rpm-pkg left the tarballs %q (%w)", tarballs, err)
	}
	version, _, _ := strings.Cut(k.Release, "-")
	spec := strings.NewReplacer("@VERSION@", version, "@RELEASE@", k.Release, "@TARBALL@", filepath.Base(tarballs[0])).Replace(rhelSpec)
	top := filepath.Join(m.dir, "rhel")
	packages, stamp := filepath.Join(top, "packages"), filepath.Join(top, "made")
	sum := sha256.Sum256([]byte(spec))
	made := hex.EncodeToString(sum[:]) + "\n"
	if have, err := os.ReadFile(stamp); err == nil && string(have) == made {
		return packages, nil
	}

	if err := errors.Join(os.RemoveAll(top), os.MkdirAll(packages, 0o755), os.MkdirAll(filepath.Join(top, "SOURCES"), 0o755)); err != nil {
		return "", err
	}
	if err := os.Symlink(tarballs[0], filepath.Join(top, "SOURCES", filepath.Base(tarballs[0]))); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(top, "kernel.spec"), []byte(spec), 0o644); err != nil {
		return "", err
	}
	if err := m.run(top, "rpmbuild", "--nodeps", "--target", "x86_64", "--define", "_topdir "+top, "--define", "built "+k.Build,
		"-ba", "kernel.spec"); err != nil {
		return "", err
	}
	if err := m.run(top, "sh", "-c", `mv RPMS/*/*.rpm SRPMS/*.rpm packages && createrepo_c -q packages && rm -rf BUILD BUILDROOT`); err != nil {
		return "", err
	}
	return packages, os.WriteFile(stamp, []byte(made), 0o644)
}
