package rpm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// check verifies a downloaded package: its digests, and, unless the configuration of its
// repository says gpgcheck=0, that it was signed with one of that repository's keys. dnf
// does so only for what it installs. The machine's own keys are not asked, since
// they are imported with the first package that is installed, if at all.
func (r Provider) check(ctx context.Context, repo, file string) error {
	keys, signed, err := r.keys(ctx, repo)
	if err != nil {
		return err
	}
	db, err := os.MkdirTemp("", "klpforge-rpmdb-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(db)
	args := []string{"rpmkeys", "--dbpath", db}
	if !signed {
		args = append(args, "--define", "_pkgverify_level digest", "--nosignature", "--checksig", file)
		_, err := provider.Run(ctx, "", args...)
		return err
	}
	if len(keys) == 0 {
		return fmt.Errorf("check %s: repository %s demands signatures (gpgcheck) and names no keys (gpgkey)",
			filepath.Base(file), repo)
	}
	for _, key := range keys {
		if _, err := provider.Run(ctx, "", append(args, "--import",
			strings.TrimPrefix(key, "file://"))...); err != nil {
			return fmt.Errorf("check %s: %w", filepath.Base(file), err)
		}
	}
	// "all" also refuses a package that has no signature.
	_, err = provider.Run(ctx, "", append(args, "--define", "_pkgverify_level all", "--checksig", file)...)
	return err
}

// keys are those that a repository's packages are signed with, as addresses or files, and
// whether they have to be.
func (r Provider) keys(ctx context.Context, repo string) (keys []string, signed bool, err error) {
	out, err := r.dnf(ctx, "", "config-manager", "--dump", repo) // dnf 4
	if err != nil {
		var err5 error
		if out, err5 = r.dnf(ctx, "", "--dump-repo-config="+repo); err5 != nil {
			return nil, false, fmt.Errorf("find the keys of repository %s: %w", repo, errors.Join(err, err5))
		}
	}
	keys, signed = parseKeys(string(out), repo)
	return keys, signed, nil
}

// parseKeys reads a dump of a repository's configuration. What does not say otherwise
// demands signatures.
func parseKeys(dump, repo string) (keys []string, signed bool) {
	signed = true
	section := ""
	for line := range strings.Lines(dump) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") || strings.HasPrefix(line, "====") {
			section = strings.Trim(line, "[]= ")
			section = strings.TrimPrefix(section, "repo: ")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || section != repo {
			continue
		}
		value = strings.TrimSpace(value)
		switch strings.TrimSpace(key) {
		case "gpgcheck", "pkg_gpgcheck":
			signed = value != "0" && !strings.EqualFold(value, "false") && !strings.EqualFold(value, "no")
		case "gpgkey":
			keys = strings.FieldsFunc(strings.Trim(value, "[]"),
				func(r rune) bool { return strings.ContainsRune(", '\"\n", r) })
		}
	}
	return keys, signed
}
