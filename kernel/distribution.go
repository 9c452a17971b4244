package kernel

import (
	"path/filepath"

	"github.com/klpforge/klpforge/kernel/cachedir"
)

// distribution finds the parts of a release where distributions put them, under a
// root and in the cache, which is laid out like one.
type distribution struct {
	release string
	cache   cachedir.Dir
	roots   []root // where parts are searched, in order
	headers string // the configured headers, when the user named them
	unknown bool   // nothing of the release is in any place of a distribution
}

// findDistribution looks for a release. searched are the places that would have made it
// known; known says that there is something in at least one of them.
func findDistribution(release string, opts Options, cache cachedir.Dir) (dist *distribution, known bool,
	searched []string) {
	system, cached := root(opts.Root), root(cache.TargetRoot(release))
	for _, under := range []root{system, cached} {
		for _, places := range [][]string{
			under.images(release), under.moduleDirs(release), under.headers(release), under.vmlinuxes(release),
		} {
			searched = append(searched, places[0])
			known = known || len(under.existing(places)) > 0
		}
	}
	dist = &distribution{release: release, cache: cache, roots: []root{system, cached}, headers: opts.Headers}
	// Parts of one release shall come from one place: the one with the image.
	if len(system.existing(system.images(release))) == 0 && len(cached.existing(cached.images(release))) > 0 {
		dist.roots = []root{cached, system}
	}
	dist.unknown = !known
	return dist, known, searched
}

// Release implements [Finder].
func (d *distribution) Release() string { return d.release }

// Find implements [Finder].
func (d *distribution) Find(part Part) (path string, searched []string) {
	if part == PartSource {
		if tarball := d.fetchedSource(); tarball != "" {
			return tarball, nil
		}
	}
	for _, under := range d.roots {
		places := d.places(under, part)
		if found := under.existing(places); len(found) > 0 {
			return found[0], nil
		}
		searched = append(searched, places...)
	}
	return "", searched
}

// places are those of a part under one root, the best first.
func (d *distribution) places(under root, p Part) []string {
	switch p {
	case PartConfig:
		return under.configs(d.release)
	case PartSymvers:
		return under.symvers(d.release)
	case PartImage:
		return append(under.images(d.release), under.vmlinuxes(d.release)...)
	case PartVmlinux:
		return under.vmlinuxes(d.release)
	case PartSystemMap:
		return under.systemMaps(d.release)
	case PartModules:
		return append(under.inModules(d.release, "kernel/.."), under.moduleDirs(d.release)...)
	case PartHeaders:
		return under.headers(d.release)
	case PartCommonHeaders:
		dir := d.headers
		if dir == "" {
			dir, _ = d.Find(PartHeaders)
		}
		return under.commons(d.release, dir)
	case PartSource:
		return under.sources(d.release)
	}
	return nil
}

// fetchedSource is the tarball of a release that was fetched, "" when there is none.
func (d *distribution) fetchedSource() string {
	for _, pattern := range []string{"*.tar.xz", "*.tar.zst", "*.tar.gz", "*.tar.bz2"} {
		if m, _ := filepath.Glob(filepath.Join(d.cache.TargetSource(d.release), pattern)); len(m) == 1 {
			return m[0]
		}
	}
	return ""
}

// flags name the command line's flags for parts that can be named one by one.
var flags = map[Part]string{
	PartConfig: "--config", PartSymvers: "--symvers", PartImage: "--vmlinux", PartVmlinux: "--vmlinux",
	PartSystemMap: "--system-map", PartHeaders: "--headers", PartSource: "--source", PartModules: "--modules",
}

// Remedy implements [Finder].
func (d *distribution) Remedy(part Part) string {
	if d.unknown {
		// The user named an image or a source of it: a kernel of his own, which
		// nobody offers.
		remedy := "name the directory that the kernel was built in with --build-tree"
		if flag := flags[part]; flag != "" {
			remedy += ", or this part with " + flag
		}
		return remedy
	}
	remedy := "run `klpforge kernel fetch "
	if part == PartVmlinux {
		remedy += "--dbg "
	}
	remedy += d.release + "`"
	if flag := flags[part]; flag != "" {
		remedy += " or name it with " + flag
	}
	return remedy
}
