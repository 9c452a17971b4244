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
		var stanza deb
		sc := bufio.NewScanner(bytes.NewReader(st))
		sc.Buffer(nil, 1<<20)
		for sc.Scan() {
			key, value, ok := strings.Cut(sc.Text(), ":")
			if !ok || strings.HasPrefix(key, " ") {
				continue
			}
			value = strings.TrimSpace(value)
			switch key {
			case "Package":
				stanza.Name = value
			case "Version":
				stanza.Version = value
			case "Architecture":
				stanza.Arch = value
			case "SHA256":
				stanza.SHA256 = value
			case "Size":
				fmt.Sscan(value, &stanza.Size)
			case "Filename":
				stanza.Filename = value
			case "Depends", "Pre-Depends":
				stanza.Depends = append(stanza.Depends, parseRelations(value)...)
			case "Built-Using":
				stanza.BuiltUsing = parseRelations(value)
			}
		}
		if err := sc.Err(); err != nil {
			return nil, fmt.Errorf("read what apt says of %s: %w", pkg, err)
		}
		// A stanza without a file is an installed package that the archive
		// no longer has.
		if stanza.Name == pkg && stanza.Version != "" && stanza.Filename != "" {
			list = append(list, stanza)
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
		dep := dependency{Name: strings.TrimSpace(name)}
		dep.Name, _, _ = strings.Cut(dep.Name, ":")
		if f := strings.Fields(strings.Trim(strings.TrimSpace(rest), "()")); len(f) == 2 {
			dep.Op, dep.Version = f[0], f[1]
		}
		if dep.Name != "" {
			out = append(out, dep)
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
func (a Provider) UnpackSource(ctx context.Context, pkg provider.Package, file, dir, scratch string) error {
	if err := a.Unpack(ctx, file, scratch); err != nil {
		return err
	}
	tarballs, _ := filepath.Glob(filepath.Join(scratch, "usr/src/linux-source-*.tar.*"))
	if len(tarballs) != 1 {
		return fmt.Errorf("%s holds %d source tarballs, want 1", filepath.Base(file), len(tarballs))
	}
	if strings.HasSuffix(pkg.Name, rtSuffix) {
		return a.patchForRT(ctx, pkg, tarballs[0], dir, scratch)
	}
	return os.Rename(tarballs[0], filepath.Join(dir, filepath.Base(tarballs[0])))
}

// Install implements [provider.Provider].
func (Provider) Install(ctx context.Context, suite string, packages ...string) string {
	install := "apt-get install " + strings.Join(packages, " ")
	for _, pkg := range packages {
		all, err := Provider{}.versions(ctx, pkg)
		switch {
		case err == nil && len(all) > 0:
		case suite == "":
			return "this machine's package sources do not have " + pkg
		default:
			return fmt.Sprintf("this machine's package sources do not have %s; work in a userland of %s "+
				"(debootstrap %[2]s DIR), and there: %s", pkg, suite, install)
		}
	}
	return install
}

// Compiler implements [provider.Provider]: Debian has a package for each major version.
func (Provider) Compiler(compiler kconfig.Compiler) []string {
	switch {
	case compiler.Major == 0:
		return nil
	case compiler.Kind == "gcc":
		return []string{fmt.Sprintf("gcc-%d", compiler.Major)}
	case compiler.Kind == "clang":
		return []string{fmt.Sprintf("clang-%d", compiler.Major), fmt.Sprintf("lld-%d", compiler.Major),
			fmt.Sprintf("llvm-%d", compiler.Major)}
	}
	return nil
}
