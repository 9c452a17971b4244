package rpm

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// remedy is what to do when no repository has a package.
const remedy = "see `dnf repoquery kernel-core`, enable the repository that has it, " +
	"or unpack the packages elsewhere and use --root"

// Plan implements [provider.Provider]. Packages are found by what they provide and are
// called; where a distribution splits the modules differs by version:
//
//	kernel-core          image, configuration, System.map, symvers
//	kernel-modules-core  modules, since RHEL 9.2 and Fedora 38
//	kernel-modules       the other modules; before, all that are not in kernel-core
//	kernel-modules-extra more of them
//	kernel-devel         configured headers
//	kernel-debuginfo     vmlinux
//
// with kernel-rt, kernel-debug and the like instead of kernel for other flavours. The
// kernel's own makefiles make packages kernel (image and modules) and kernel-devel.
func (r Provider) Plan(ctx context.Context, release string, want provider.Want) (provider.Plan, error) {
	core, err := r.core(ctx, release)
	if err != nil {
		return provider.Plan{}, err
	}
	planned := provider.Plan{Root: []provider.Package{core.pkg()}}

	flavour := strings.TrimSuffix(core.Name, "-core")
	optional, needed := []string{"-modules-core", "-modules", "-modules-extra"}, []string(nil)
	if want.Debug {
		needed = append(needed, "-debuginfo")
	}
	if !want.ImageOnly {
		needed = append(needed, "-devel")
	}

	// All packages are built from one source, so they differ in the name alone.
	sibling := func(suffix string) rpm {
		pkg := core
		pkg.Name = flavour + suffix
		return pkg
	}
	var ask []string
	for _, suffix := range append(slices.Clone(optional), needed...) {
		ask = append(ask, sibling(suffix).nevra())
	}
	have, err := r.query(ctx, ask...)
	if err != nil {
		return provider.Plan{}, err
	}

	// Which of the optional ones exist depends on the release; the archive was asked for all at
	// once.
	for _, suffix := range append(optional, needed...) {
		name := sibling(suffix).Name
		switch i := slices.IndexFunc(have, func(p rpm) bool { return p.Name == name }); {
		case i >= 0:
			planned.Root = append(planned.Root, have[i].pkg())
		case slices.Contains(needed, suffix):
			return provider.Plan{}, &provider.NotInArchiveError{
				Release: release, Package: name, Version: core.Version + "-" + core.Release, Remedy: remedy,
			}
		}
	}

	if !want.ImageOnly {
		src, err := source(core)
		if err != nil {
			return provider.Plan{}, fmt.Errorf("fetch kernel %s: %w", release, err)
		}
		planned.Source = &src
	}
	return planned, nil
}

// core finds the package with the image.
func (r Provider) core(ctx context.Context, release string) (rpm, error) {
	for _, provides := range []string{"kernel-uname-r = " + release, "kernel-" + release} {
		list, err := r.query(ctx, "--whatprovides", provides)
		if err != nil {
			return rpm{}, err
		}
		// A package that only demands the others, and one that is the image for
		// another kind of machine (kernel-uki-virt), say so too in some versions.
		found := slices.IndexFunc(list, func(p rpm) bool { return strings.HasSuffix(p.Name, "-core") })
		if found < 0 {
			found = slices.IndexFunc(list, func(p rpm) bool { return p.Name == "kernel" })
		}
		if found >= 0 {
			return list[found], nil
		}
	}
	missing := &provider.NotInArchiveError{Release: release, Package: "kernel-core", Version: release, Remedy: remedy}
	others, err := r.query(ctx, "kernel-core", "kernel")
	if err != nil {
		return rpm{}, err
	}
	for _, p := range others {
		if v := p.Version + "-" + p.Release + "." + p.Arch; !slices.Contains(missing.Available, v) {
			missing.Available = append(missing.Available, v)
		}
	}
	return rpm{}, missing
}

// source is the source package that a package was built from.
func source(of rpm) (provider.Package, error) {
	rest, ok := strings.CutSuffix(of.Source, ".src.rpm")
	parts := strings.Split(rest, "-")
	if !ok || len(parts) < 3 {
		return provider.Package{}, fmt.Errorf("package %s does not say what it was built from (%q)", of.Name, of.Source)
	}
	n := len(parts)
	return provider.Package{
		Name: strings.Join(parts[:n-2], "-"), Version: parts[n-2] + "-" + parts[n-1],
		File: of.Source, Ref: of.Repo + " " + of.nevra(),
	}, nil
}

// Complete implements [provider.Provider].
func (Provider) Complete(_ string, want provider.Want, packages []string, source string) bool {
	found := slices.IndexFunc(packages, func(p string) bool {
		return strings.HasSuffix(p, "-core") && !strings.HasSuffix(p, "-modules-core") || p == "kernel"
	})
	if found < 0 {
		return false
	}
	flavour := strings.TrimSuffix(packages[found], "-core")
	return (!want.Debug || slices.Contains(packages, flavour+"-debuginfo")) &&
		(want.ImageOnly || source != "" && slices.Contains(packages, flavour+"-devel"))
}
