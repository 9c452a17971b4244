package pipeline

import (
	"github.com/klpforge/klpforge/finding"
	"github.com/klpforge/klpforge/kbuild"
	"github.com/klpforge/klpforge/kernel"
	"github.com/klpforge/klpforge/modsign"
	"github.com/klpforge/klpforge/patchset"
	"github.com/klpforge/klpforge/plan"
)

// Options say what to build for which kernel.
type Options struct {
	Kernel   kernel.Options
	Patches  []string // patch files, mailboxes, quilt series
	GitDir   string   // with GitRange: take the patches from a repository
	GitRange string
	// Series, when not nil, is what is built; Patches then names the files in
	// which findings are accepted only.
	Series *patchset.Series
	// Present are patches of the release that the source has already; the
	// module records them.
	Present []*patchset.Patch
	// ExternalSource is the directory of modules that are built outside of the
	// kernel's tree, and the root of the names in the patches; the modules
	// themselves are Kernel.ExtraModules. "" patches the kernel.
	ExternalSource string
	// Goals limits what is patched to what these goals of kbuild make, see
	// kbuild.CheckGoal; none means everything. They do not apply to ExternalSource.
	Goals []string
	Strip int // as patchset.ReadOptions
	Fuzz  int

	Name                                  string // module name; "" makes one from the first patch
	NameFrom                              string // what Name was made of, where that was no module name; told in a note
	Product, Vendor, Version, Description string // recorded in the module; may be empty

	States  []plan.State  // system states that the callbacks change
	Shadows []plan.Shadow // ids of shadow variables that the code uses
	// API forces the generation of the livepatch interface that the sources
	// are made for; "" takes that of the target's headers.
	API       string
	Immediate bool // set the immediate flag where the interface has it
	// Callbacks, when not nil, are those that each object must have, and no
	// others: "vmlinux": {"pre_patch"}.
	Callbacks map[string][]string
	// Sign, when not nil, signs the finished module.
	Sign *modsign.Signer
	// Provenance puts a statement beside the module of what it was made of.
	Provenance bool
	Builder    string // version of this program, for Provenance; "" is what the Go toolchain recorded

	Output string // path of the .ko; "" is <name>.ko in the current directory
	Emit   string // directory to keep the generated sources in; "" keeps none
	// KeepObjects is a directory to keep what was compiled before and after in,
	// as <object, / is _>.orig.o and .patched.o; "" keeps none.
	KeepObjects string
	NoReplace   bool // leave klp_patch.replace off
	// NoAutoCallers leaves out callers that must switch together with what they
	// call; KLP201 is an error then.
	NoAutoCallers bool
	kbuild.Toolchain
	Jobs int
	// Allow accepts problems by id; the value is the reason, which is recorded.
	Allow     map[finding.ID]string
	AllowFrom string // where Allow comes from; "" is the command line
	// AllowCompilerMismatch and AllowSourceMismatch pass to kbuild: shipped
	// code is compared in any case.
	AllowCompilerMismatch bool
	AllowSourceMismatch   bool
	DiffOnly              bool // stop before a module is made
	// KeepGoing has objects that do not compile left out and named in Result.Broken,
	// instead of failing for the first of them; the result is for DiffOnly alone.
	KeepGoing bool
	// KeepAfter keeps what is compiled with the patches in the cache, for a run with
	// somewhat other patches.
	KeepAfter bool
	// Only, when not nil, limits what is compiled to these object files.
	Only map[string]bool
	// Sandbox says whether the programs of the build must be confined; "" is "auto".
	Sandbox kbuild.Sandbox
	// TrustPatch lets makefiles, scripts and host programs of the patches run. It
	// means nothing with DiffOnly: a review runs nothing of a patch.
	TrustPatch bool
	// Part, when its Of is not 0, compiles one share of the objects into the cache
	// and stops; a run that follows, with all shares in its cache, finds them there.
	Part Part

	Progress func(stage string, done, total int)
}

// Part is one of Of shares, numbered from 1.
type Part struct {
	Number int `json:"number"`
	Of     int `json:"of"`
}

// share takes every Of-th name, so that neighbours, which cost alike, are spread.
func (p Part) share(names []string) []string {
	var out []string
	for i, n := range names {
		if i%p.Of == p.Number-1 {
			out = append(out, n)
		}
	}
	return out
}
