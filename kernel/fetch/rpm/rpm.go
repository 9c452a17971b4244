// Package rpm fetches the kernels of RHEL, Fedora and what descends from them, with dnf and
// rpm's programs. It needs nothing of the machine's rpm database: packages are checked with
// the keys that their repository's configuration names.
package rpm

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
	"github.com/klpforge/klpforge/kernel/kconfig"
)

// Provider fetches kernels from repositories of RPMs. The zero value uses those of the
// machine.
type Provider struct {
	// Config is a configuration file of dnf to use instead of the machine's; "" for that.
	Config string
}

var _ provider.Provider = Provider{}

// Programs are those that must be installed. For the source rpmbuild is needed as
// well.
var Programs = []string{"dnf", "rpmkeys", "rpm2cpio", "cpio"}

// Name implements [provider.Provider].
func (Provider) Name() string { return "dnf" }

// dnf runs dnf.
func (r Provider) dnf(ctx context.Context, dir string, args ...string) ([]byte, error) {
	all := []string{"dnf", "-q"}
	if r.Config != "" {
		all = append(all, "--config", r.Config)
	}
	return provider.Run(ctx, dir, append(all, args...)...)
}

// rpm is what dnf knows of one version of a package.
type rpm struct {
	Name, Epoch, Version, Release, Arch string
	Source                              string // file name of its source package
	Size                                int64  // of the file, bytes
	Repo                                string // id of the repository
}

// nevra is the name by which dnf knows exactly this package.
func (p rpm) nevra() string {
	epoch := ""
	if p.Epoch != "0" && p.Epoch != "" {
		epoch = p.Epoch + ":"
	}
	return p.Name + "-" + epoch + p.Version + "-" + p.Release + "." + p.Arch
}

// pkg is what the engine needs to know of it.
func (p rpm) pkg() provider.Package {
	return provider.Package{
		Name: p.Name, Version: p.Version + "-" + p.Release, Size: p.Size, Ref: p.Repo + " " + p.nevra(),
		File: p.Name + "-" + p.Version + "-" + p.Release + "." + p.Arch + ".rpm",
	}
}

// query asks dnf for packages. What no repository has is not an error.
func (r Provider) query(ctx context.Context, args ...string) ([]rpm, error) {
	const format = "%{name}|%{epoch}|%{version}|%{release}|%{arch}|%{sourcerpm}|%{downloadsize}|%{repoid}\n"
	out, err := r.dnf(ctx, "", append([]string{"repoquery", "--queryformat", format}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("ask dnf for %s: %w", strings.Join(args, " "), err)
	}
	return parseQuery(string(out))
}

// parseQuery reads what dnf prints for query's format: a line for each package, of dnf 4
// followed by an empty one.
func parseQuery(out string) ([]rpm, error) {
	var list []rpm
	for line := range strings.Lines(out) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		fields := strings.Split(line, "|")
		if len(fields) != 8 || fields[0] == "" || fields[2] == "" || fields[3] == "" {
			return nil, fmt.Errorf("read what dnf says: %q is no package", line)
		}
		size, err := strconv.ParseInt(fields[6], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read what dnf says: the size in %q: %w", line, err)
		}
		list = append(list, rpm{
			Name: fields[0], Epoch: fields[1], Version: fields[2], Release: fields[3], Arch: fields[4],
			Source: fields[5], Size: size, Repo: fields[7],
		})
	}
	return list, nil
}

// Download implements [provider.Provider]. Repositories of sources, which are mostly
// disabled, are asked for source packages by dnf itself.
func (r Provider) Download(ctx context.Context, dir string, pkg provider.Package) error {
	repo, nevra, _ := strings.Cut(pkg.Ref, " ")
	args := []string{"download", "--destdir", dir}
	if isSource(pkg.File) {
		args = append(args, "--source")
	}
	if _, err := r.dnf(ctx, dir, append(args, nevra)...); err != nil {
		return err
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.rpm"))
	for _, f := range files {
		if err := r.check(ctx, repo, f); err != nil {
			return err
		}
	}
	return nil
}

func isSource(file string) bool { return strings.HasSuffix(file, ".src.rpm") }

// Unpack implements [provider.Provider].
func (Provider) Unpack(ctx context.Context, file, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	// Absolute names stay below dir; what the package owns is not this user's to give.
	return provider.Pipe(ctx, dir, []string{"rpm2cpio", file},
		[]string{"cpio", "--quiet", "-idmu", "--no-absolute-filenames", "--no-preserve-owner"})
}

// Install implements [provider.Provider].
func (Provider) Install(_ context.Context, _ string, packages ...string) string {
	return "dnf install " + strings.Join(packages, " ")
}

// Compiler implements [provider.Provider]. A kernel is built by the distribution's own
// compiler, which is always current there.
func (Provider) Compiler(c kconfig.Compiler) []string {
	switch c.Kind {
	case "gcc":
		return []string{"gcc"}
	case "clang":
		return []string{"clang", "lld", "llvm"}
	}
	return nil
}
