package kernel

import (
	"context"
	"errors"
	"regexp"
	"sort"
	"strings"
)

// fetchPlan is what a release consists of.
type fetchPlan struct {
	root   []deb // unpacked into root/
	source *deb  // its tarball goes to source/
}

func (p fetchPlan) manifest(release string) manifest {
	m := manifest{Release: release}
	for _, d := range p.root {
		m.Packages = append(m.Packages, d.Name+"="+d.Version)
	}
	if p.source != nil {
		m.Source = p.source.Version
	}
	sort.Strings(m.Packages)
	return m
}

// plan resolves package names and versions.
func (f *fetcher) plan(ctx context.Context, o FetchOptions) (fetchPlan, error) {
	var p fetchPlan
	image, err := f.newest(ctx, "linux-image-"+f.release)
	var gone *NotInArchiveError
	if errors.As(err, &gone) {
		// Unsigned images are what exists where Debian signs none.
		var uerr error
		if image, uerr = f.newest(ctx, "linux-image-"+f.release+"-unsigned"); uerr != nil {
			return p, err
		}
	} else if err != nil {
		return p, err
	}
	p.root = append(p.root, image)
	// Since 7.2 linux-image-R is empty and depends on linux-binary-R,
	// linux-modules-R and linux-base-R.
	for _, prefix := range []string{"linux-binary-", "linux-modules-", "linux-base-"} {
		for _, d := range image.Depends {
			if d.Name == prefix+f.release || d.Name == prefix+f.release+"-unsigned" {
				part, err := f.exactly(ctx, d.Name, wanted(d, image.Version))
				if err != nil {
					return p, err
				}
				p.root = append(p.root, part)
			}
		}
	}
	if o.IncludeDbg {
		d, err := f.exactly(ctx, "linux-image-"+f.release+"-dbg", image.Version)
		if err != nil {
			return p, err
		}
		p.root = append(p.root, d)
	}
	if o.ImageOnly {
		return p, nil
	}
	headers, err := f.exactly(ctx, "linux-headers-"+f.release, image.Version)
	if err != nil {
		return p, err
	}
	p.root = append(p.root, headers)
	for _, d := range headers.Depends {
		if strings.HasPrefix(d.Name, "linux-headers-") {
			common, err := f.exactly(ctx, d.Name, wanted(d, image.Version))
			if err != nil {
				return p, err
			}
			p.root = append(p.root, common)
		}
	}
	src, err := f.exactly(ctx, "linux-source-"+majorMinor.FindString(f.release), sourceVersion(p.root))
	if err != nil {
		return p, err
	}
	p.source = &src
	return p, nil
}

// wanted is the version a dependency demands exactly, else fallback.
func wanted(d dependency, fallback string) string {
	if d.Op == "=" {
		return d.Version
	}
	return fallback
}

// sourceVersion is the version of the linux source package that the image was
// built from. Signed images name it in Built-Using.
func sourceVersion(debs []deb) string {
	for _, d := range debs {
		for _, b := range d.BuiltUsing {
			if (b.Name == "linux" || strings.HasPrefix(b.Name, "linux-")) && b.Op == "=" {
				return b.Version
			}
		}
	}
	return binNMU.ReplaceAllString(debs[0].Version, "")
}

// binNMU is the suffix of a binary-only rebuild.
var binNMU = regexp.MustCompile(`\+b\d+$`)

// newest returns the newest version of a package.
func (f *fetcher) newest(ctx context.Context, pkg string) (deb, error) {
	all, err := f.apt.versions(ctx, pkg)
	if err != nil {
		return deb{}, err
	}
	if len(all) == 0 {
		return deb{}, &NotInArchiveError{Release: f.release, Package: pkg}
	}
	return all[0], nil
}

// exactly returns one version of a package.
func (f *fetcher) exactly(ctx context.Context, pkg, version string) (deb, error) {
	all, err := f.apt.versions(ctx, pkg)
	if err != nil {
		return deb{}, err
	}
	e := &NotInArchiveError{Release: f.release, Package: pkg, Version: version}
	for _, d := range all {
		if d.Version == version {
			return d, nil
		}
		e.Available = append(e.Available, d.Version)
	}
	return deb{}, e
}
