// Package provider is what fetching a kernel needs of a distribution's package
// system: which packages make up a release, how to download and unpack them, and how to
// install what is missing on this machine. The engine is package fetch; the
// implementations are beside this package, one each.
package provider

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/klpforge/klpforge/kernel/kconfig"
)

// Provider brings the packages of kernels from one kind of archive. An
// implementation may be used by several goroutines at the same time. None of its
// methods installs anything.
type Provider interface {
	// Name is that of the package system: "apt".
	Name() string
	// Plan resolves a release to packages with exact versions. The error is a
	// [NotInArchiveError] when the archive lacks one.
	Plan(ctx context.Context, release string, w Want) (Plan, error)
	// Complete reports whether packages of these names are all that w asks
	// for, of those that cannot be absent, and a packed source of that name ("" for
	// none) the one that UnpackSource makes. It does not ask the archive.
	Complete(release string, w Want, packages []string, source string) bool
	// Download leaves the package's file in dir, which is empty, and nothing else.
	Download(ctx context.Context, dir string, p Package) error
	// Unpack extracts the files of a package below dir, which stands for /.
	Unpack(ctx context.Context, file, dir string) error
	// UnpackSource leaves in dir the packed source that the file of a source
	// package holds, ready to be compiled once unpacked, named NAME.tar.* after
	// the package. scratch is an empty directory for what it needs meanwhile.
	UnpackSource(ctx context.Context, p Package, file, dir, scratch string) error
	// Compiler names the packages that hold a compiler, as the configuration of a
	// kernel records it; none when that cannot be told.
	Compiler(c kconfig.Compiler) []string
	// Install says how to get packages of a suite ("" for the machine's own) on this
	// machine, for messages: a command, or what to do when they are not for this machine.
	Install(ctx context.Context, suite string, packages ...string) string
}

// Suited is a provider whose archive has several suites: the machine's own, and others
// whose kernels can be fetched as well.
type Suited interface {
	Provider
	// SuiteOf guesses which suite has a release, "" when nothing says so.
	SuiteOf(release string) string
	// InSuite returns the provider of another suite. It keeps package lists of that
	// below dir, and downloads them when they are older than age. say is told so.
	InSuite(ctx context.Context, dir, name string, age time.Duration, say func(string)) (Provider, error)
}

// Want says which parts of a release are wanted beside image and modules.
type Want struct {
	Debug     bool // also vmlinux with symbols and DWARF (several GB unpacked)
	ImageOnly bool // neither headers nor source
}

// Package is one version of a package in an archive.
type Package struct {
	Name, Version string
	File          string // the name of its file in the cache
	SHA256        string // of the file, from the archive's signed index; "" when the provider checks it by itself
	Size          int64  // of the file, bytes; 0 when not known
	// Ref is what the provider downloads it by, when that is not its name and version.
	Ref string
}

// Plan is what a release consists of.
type Plan struct {
	Root   []Package // unpacked one over the other, as if at /
	Source *Package  // the source that the image was built from; nil with [Want].ImageOnly
	Suite  string    // the suite that has them; "" for the machine's own package sources
}

// NotInArchiveError means that no configured package source has a package, or
// not in the version that belongs to the release.
type NotInArchiveError struct {
	Release   string
	Package   string
	Version   string   // "" when no version at all is there
	Available []string // versions that are there
	Remedy    string   // an imperative sentence without a full stop
}

func (e *NotInArchiveError) Error() string {
	text := fmt.Sprintf("fetch kernel %s: package %s", e.Release, e.Package)
	if e.Version != "" {
		text += " " + e.Version
	}
	text += " is not in the archive"
	if len(e.Available) > 0 {
		text += " (it has " + strings.Join(e.Available, ", ") + ")"
	}
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}
