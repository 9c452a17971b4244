package kernel

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
)

// root is a directory that stands for /.
type root string

// join places an absolute path of the target system under the root.
func (r root) join(elem ...string) string {
	return filepath.Join(append([]string{string(r)}, elem...)...)
}

// follow resolves symbolic links under the root: an absolute link target is
// looked up below the root, as it would be after installation.
func (r root) follow(path string) string {
	for range 40 {
		link, err := os.Readlink(path)
		if err != nil {
			return path
		}
		if filepath.IsAbs(link) {
			path = r.join(link)
		} else {
			path = filepath.Join(filepath.Dir(path), link)
		}
	}
	return path
}

// existing returns those of the paths that exist, links followed.
func (r root) existing(paths []string) []string {
	var out []string
	for _, p := range paths {
		f := r.follow(p)
		if _, err := os.Stat(f); err == nil && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}

// The places below list where distributions keep each part: Debian and Ubuntu
// in /boot and /usr/src, Fedora and SUSE in /lib/modules/<release>, which
// may be /usr/lib/modules on a merged or an unpacked system.

func (r root) moduleDirs(rel string) []string {
	return []string{r.join("lib/modules", rel), r.join("usr/lib/modules", rel)}
}

func (r root) inModules(rel string, names ...string) []string {
	var out []string
	for _, d := range r.moduleDirs(rel) {
		for _, n := range names {
			out = append(out, filepath.Join(d, n))
		}
	}
	return out
}

func (r root) images(rel string) []string {
	return append([]string{r.join("boot/vmlinuz-" + rel), r.join("boot/vmlinux-" + rel)},
		r.inModules(rel, "vmlinuz", "vmlinux")...)
}

// ImagesUnder returns the images of a release that exist under a root ("" means
// "/"), links followed; the cache is not looked at.
func ImagesUnder(dir, release string) []string {
	under := root(dir)
	if dir == "" {
		under = "/"
	}
	return under.existing(under.images(release))
}

func (r root) configs(rel string) []string {
	return append([]string{r.join("boot/config-" + rel)}, r.inModules(rel, "config", "build/.config")...)
}

func (r root) systemMaps(rel string) []string {
	return append([]string{r.join("usr/lib/debug/boot/System.map-" + rel), r.join("boot/System.map-" + rel)},
		r.inModules(rel, "System.map")...)
}

// vmlinuxes are uncompressed images with a symbol table.
func (r root) vmlinuxes(rel string) []string {
	return []string{
		r.join("usr/lib/debug/boot/vmlinux-" + rel), r.join("usr/lib/debug/lib/modules", rel, "vmlinux"),
		r.join("usr/lib/debug/usr/lib/modules", rel, "vmlinux"), r.join("usr/lib/debug/vmlinux-" + rel),
	}
}

func (r root) headers(rel string) []string {
	return append([]string{r.join("usr/src/linux-headers-" + rel), r.join("usr/src/kernels", rel)},
		r.inModules(rel, "build")...)
}

// commons are the places of the headers that Debian shares between flavours.
// The headers' own Makefile names it; the release without its flavour is the
// fallback.
func (r root) commons(rel, headers string) []string {
	var out []string
	if b, err := os.ReadFile(filepath.Join(headers, "Makefile")); err == nil {
		if m := commonMakefile.FindSubmatch(b); m != nil {
			out = append(out, r.join(string(m[1])))
		}
	}
	if m := debianRelease.FindStringSubmatch(rel); m != nil {
		out = append(out, r.join("usr/src/linux-headers-"+m[1]+"-common"),
			r.join("usr/src/linux-headers-"+m[1]+"-common-rt"))
	}
	return append(out, r.inModules(rel, "source")...)
}

func (r root) symvers(rel string) []string {
	var out []string
	for _, h := range r.headers(rel) {
		out = append(out, filepath.Join(h, "Module.symvers"))
	}
	return append(append(out, r.inModules(rel, "symvers", "symvers.gz", "symvers.xz", "symvers.zst",
		"Module.symvers")...),
		r.join("boot/symvers-"+rel+".gz"), r.join("boot/symvers-"+rel+".xz"))
}

func (r root) sources(rel string) []string {
	xy := majorMinor.FindString(rel)
	if xy == "" {
		return nil
	}
	base := r.join("usr/src/linux-source-" + xy)
	return []string{base + ".tar.xz", base + ".tar.zst", base + ".tar.bz2", base}
}

var (
	commonMakefile = regexp.MustCompile(`(?m)^include\s+(/\S+)/Makefile\s*$`)
	debianRelease  = regexp.MustCompile(`^(\d+\.\d+(?:\.\d+)*(?:[-+~][0-9a-z.+~]*?\d)?)-[a-z]`)
	majorMinor     = regexp.MustCompile(`^\d+\.\d+`)
)
