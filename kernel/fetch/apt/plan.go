package apt

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// remedy is what to do when the archive lacks a package.
func (a Provider) remedy() string {
	if a.Suite != "" {
		return "see what suite " + a.Suite + " has, name another one with --suite, " +
			"or unpack the packages elsewhere and use --root"
	}
	return "run apt-get update, name the suite that has it with --suite, or unpack the packages " +
		"elsewhere and use --root"
}

// Plan implements [provider.Provider]: the image, since 7.2 with the packages it is
// split into, the configured headers, those shared between flavours, and the source of
// exactly the version that the image was built from.
func (a Provider) Plan(ctx context.Context, release string, w provider.Want) (provider.Plan, error) {
	planning := planner{Provider: a, release: release}
	if err := planning.plan(ctx, w); err != nil {
		return provider.Plan{}, err
	}
	out := provider.Plan{Suite: a.Suite}
	for _, d := range planning.root {
		out.Root = append(out.Root, d.pkg())
	}
	if planning.source != nil {
		src := planning.source.pkg()
		if planning.rt {
			src.Ref, src.Name = src.Name, src.Name+rtSuffix
		}
		out.Source = &src
	}
	return out, nil
}

// Complete implements [provider.Provider].
func (Provider) Complete(release string, w provider.Want, packages []string, source string) bool {
	has := func(name string) bool { return slices.Contains(packages, name) }
	return (has("linux-image-"+release) || has("linux-image-"+release+"-unsigned")) &&
		(!w.Debug || has("linux-image-"+release+"-dbg")) &&
		(w.ImageOnly || has("linux-headers-"+release) && source != "" &&
			strings.Contains(source, rtSuffix+".tar.") == patchedForRT(release))
}

// planner collects the packages of one release.
type planner struct {
	Provider
	release string
	root    []deb
	source  *deb
	rt      bool // the source needs the patches of PREEMPT_RT
}

// plan resolves package names and versions.
func (p *planner) plan(ctx context.Context, want provider.Want) error {
	image, err := p.newest(ctx, "linux-image-"+p.release)
	var gone *provider.NotInArchiveError
	if errors.As(err, &gone) {
		// Unsigned images are what exists where Debian signs none.
		var uerr error
		if image, uerr = p.newest(ctx, "linux-image-"+p.release+"-unsigned"); uerr != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	p.root = append(p.root, image)

	// Since 7.2 linux-image-R is empty and depends on linux-binary-R,
	// linux-modules-R and linux-base-R.
	for _, prefix := range []string{"linux-binary-", "linux-modules-", "linux-base-"} {
		for _, needed := range image.Depends {
			if needed.Name == prefix+p.release || needed.Name == prefix+p.release+"-unsigned" {
				if err := p.add(ctx, needed.Name, wanted(needed, image.Version)); err != nil {
					return err
				}
			}
		}
	}
	if want.Debug {
		if err := p.add(ctx, "linux-image-"+p.release+"-dbg", image.Version); err != nil {
			return err
		}
	}
	if want.ImageOnly {
		return nil
	}

	headers, err := p.exactly(ctx, "linux-headers-"+p.release, image.Version)
	if err != nil {
		return err
	}
	p.root = append(p.root, headers)
	for _, needed := range headers.Depends {
		if strings.HasPrefix(needed.Name, "linux-headers-") {
			if err := p.add(ctx, needed.Name, wanted(needed, image.Version)); err != nil {
				return err
			}
		}
	}
	src, err := p.exactly(ctx, "linux-source-"+series.FindString(p.release), sourceVersion(p.root))
	if err != nil {
		return err
	}
	p.source = &src
	if p.rt = patchedForRT(p.release); p.rt {
		return p.haveRTPatches(ctx)
	}
	return nil
}

// add takes one version of a package into the root.
func (p *planner) add(ctx context.Context, pkg, version string) error {
	d, err := p.exactly(ctx, pkg, version)
	if err == nil {
		p.root = append(p.root, d)
	}
	return err
}

// series is the part of a release that names its line: "6.1".
var series = regexp.MustCompile(`^\d+\.\d+`)

// wanted is the version a dependency demands exactly, else fallback.
func wanted(needed dependency, fallback string) string {
	if needed.Op == "=" {
		return needed.Version
	}
	return fallback
}

// sourceVersion is the version of the linux source package that the image was
// built from. Signed images name it in Built-Using.
func sourceVersion(debs []deb) string {
	for _, d := range debs {
		for _, needed := range d.BuiltUsing {
			if (needed.Name == "linux" || strings.HasPrefix(needed.Name, "linux-")) && needed.Op == "=" {
				return needed.Version
			}
		}
	}
	return binNMU.ReplaceAllString(debs[0].Version, "")
}

// binNMU is the suffix of a binary-only rebuild.
var binNMU = regexp.MustCompile(`\+b\d+$`)

// newest returns the newest version of a package.
func (p *planner) newest(ctx context.Context, pkg string) (deb, error) {
	all, err := p.versions(ctx, pkg)
	if err != nil {
		return deb{}, err
	}
	if len(all) == 0 {
		return deb{}, &provider.NotInArchiveError{Release: p.release, Package: pkg, Remedy: p.remedy()}
	}
	return all[0], nil
}

// exactly returns one version of a package.
func (p *planner) exactly(ctx context.Context, pkg, version string) (deb, error) {
	all, err := p.versions(ctx, pkg)
	if err != nil {
		return deb{}, err
	}
	missing := &provider.NotInArchiveError{Release: p.release, Package: pkg, Version: version, Remedy: p.remedy()}
	for _, d := range all {
		if d.Version == version {
			return d, nil
		}
		missing.Available = append(missing.Available, d.Version)
	}
	return deb{}, missing
}
