// Package apt fetches the kernels of Debian and what descends from it.
package apt

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
	"github.com/klpforge/klpforge/kernel/kconfig"
)

// deb is what apt knows of one version of a binary package.
type deb struct {
	Name, Version, Arch string
	SHA256              string
	Size                int64 // bytes
	Filename            string
	Depends             []dependency
	BuiltUsing          []dependency
}

// dependency is the first alternative of one entry of a relation field.
type dependency struct {
	Name, Op, Version string
}

// Provider fetches Debian's kernels with apt's and dpkg's programs. The zero value
// uses the package sources of the machine.
type Provider struct {
	// Config is an apt.conf to use instead of the machine's, see [Suite]; "" for that.
	Config string
	// Suite is what Config's package sources are, for messages; "" for the machine's.
	Suite string
}

var _ provider.Suited = Provider{}

// Programs are those that must be installed.
var Programs = []string{"apt-get", "apt-cache", "dpkg"}

// Name implements [provider.Provider].
func (Provider) Name() string { return "apt" }

// apt runs one of apt's programs.
func (a Provider) apt(ctx context.Context, dir string, args ...string) ([]byte, error) {
	if a.Config == "" {
		return provider.Run(ctx, dir, args...)
	}
	return provider.RunEnv(ctx, dir, []string{"APT_CONFIG=" + a.Config}, args...)
}

// versions returns all versions of a package that the archive has, in apt's
// order, which is newest first. None is not an error.
func (a Provider) versions(ctx context.Context, pkg string) ([]deb, error) {
	out, err := a.apt(ctx, "", "apt-cache", "show", "--all-versions", pkg)
	var ce *provider.CommandError
	if errors.As(err, &ce) && strings.Contains(ce.Output, "No packages found") {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("ask apt for %s: %w", pkg, err)
	}
	return parseStanzas(out, pkg)
}

// parseStanzas reads the output of apt-cache show.
func parseStanzas(out []byte, pkg string) ([]deb, error) {
	var list []deb
	for _, st := range bytes.Split(out, []byte("\n\n")) {
		var d deb
		sc := bufio.NewScanner(bytes.NewReader(st))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			k, v, ok := strings.Cut(sc.Text(), ":")
			if !ok || strings.HasPrefix(k, " ") {
				continue
			}
			v = strings.TrimSpace(v)
			switch k {
			case "Package":
				d.Name = v
			case "Version":
				d.Version = v
			case "Architecture":
				d.Arch = v
			case "SHA256":
				d.SHA256 = v
			case "Size":
				fmt.Sscan(v, &d.Size)
			case "Filename":
				d.Filename = v
			case "Depends", "Pre-Depends":
				d.Depends = append(d.Depends, parseRelations(v)...)
			case "Built-Using":
				d.BuiltUsing = parseRelations(v)
			}
		}
		if err := sc.Err(); err != nil {
			return nil, fmt.Errorf("read what apt says of %s: %w", pkg, err)
		}
		// A stanza without a file is an installed package that the archive
		// no longer has.
		if d.Name == pkg && d.Version != "" && d.Filename != "" {
			list = append(list, d)
		}
	}
	return list, nil
}

// parseRelations reads "a (>= 1) | b, c (= 2)".
func parseRelations(s string) []dependency {
	var out []dependency
	for e := range strings.SplitSeq(s, ",") {
		e, _, _ = strings.Cut(e, "|")
		name, rest, _ := strings.Cut(strings.TrimSpace(e), " ")
		d := dependency{Name: strings.TrimSpace(name)}
		d.Name, _, _ = strings.Cut(d.Name, ":")
		if f := strings.Fields(strings.Trim(strings.TrimSpace(rest), "()")); len(f) == 2 {
			d.Op, d.Version = f[0], f[1]
		}
		if d.Name != "" {
			out = append(out, d)
		}
	}
	return out
}

// file is the name apt-get download gives a package: the epoch's colon is
// escaped.
func (d deb) file() string {
	return d.Name + "_" + strings.ReplaceAll(d.Version, ":", "%3a") + "_" + d.Arch + ".deb"
}

// pkg is what the engine needs to know of it.
func (d deb) pkg() provider.Package {
	return provider.Package{Name: d.Name, Version: d.Version, File: d.file(), SHA256: d.SHA256, Size: d.Size}
}

// Download implements [provider.Provider]. apt drops to the user _apt for the download itself
// and warns when that user may not write to dir.
func (a Provider) Download(ctx context.Context, dir string, p provider.Package) error {
	_, err := a.apt(ctx, dir, "apt-get", "-q", "download", cmp.Or(p.Ref, p.Name)+"="+p.Version)
	return err
}

// Unpack implements [provider.Provider].
func (a Provider) Unpack(ctx context.Context, file, dir string) error {
	_, err := provider.Run(ctx, "", "dpkg", "-x", file, dir)
	return err
}

// UnpackSource implements [provider.Provider]: a linux-source package holds a tarball,
// which has Debian's patches, but for those of PREEMPT_RT.
func (a Provider) UnpackSource(ctx context.Context, p provider.Package, file, dir, scratch string) error {
	if err := a.Unpack(ctx, file, scratch); err != nil {
		return err
	}
	tarballs, _ := filepath.Glob(filepath.Join(scratch, "usr/src/linux-source-*.tar.*"))
	if len(tarballs) != 1 {
		return fmt.Errorf("%s holds %d source tarballs, want 1", filepath.Base(file), len(tarballs))
	}
	if strings.HasSuffix(p.Name, rtSuffix) {
		return a.patchForRT(ctx, p, tarballs[0], dir, scratch)
	}
	return os.Rename(tarballs[0], filepath.Join(dir, filepath.Base(tarballs[0])))
}

// Install implements [provider.Provider].
func (Provider) Install(ctx context.Context, suite string, packages ...string) string {
	install := "apt-get install " + strings.Join(packages, " ")
	for _, p := range packages {
		all, err := Provider{}.versions(ctx, p)
		switch {
		case err == nil && len(all) > 0:
		case suite == "":
			return "this machine's package sources do not have " + p
		default:
			return fmt.Sprintf("this machine's package sources do not have %s; work in a userland of %s "+
				"(debootstrap %[2]s DIR), and there: %s", p, suite, install)
		}
	}
	return install
}

// Compiler implements [provider.Provider]: Debian has a package for each major version.
func (Provider) Compiler(c kconfig.Compiler) []string {
	switch {
	case c.Major == 0:
		return nil
	case c.Kind == "gcc":
		return []string{fmt.Sprintf("gcc-%d", c.Major)}
	case c.Kind == "clang":
		return []string{fmt.Sprintf("clang-%d", c.Major), fmt.Sprintf("lld-%d", c.Major), fmt.Sprintf("llvm-%d", c.Major)}
	}
	return nil
}
