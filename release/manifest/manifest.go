// Package manifest reads livepatch.yaml, the description of a release: what
// goes into it, for which kernels, and what its author answers for. Reading is
// strict: an unknown key, a missing one or a value out of range is an error
// with its line.
package manifest

import "github.com/klpforge/klpforge/finding"

// File is the usual name of a release manifest.
const File = "livepatch.yaml"

// Manifest is a release. Paths are relative to the manifest's directory.
type Manifest struct {
	Name        string              `yaml:"name" doc:"series of releases that this is one of; it stays the same from release to release" required:"true"`
	Vendor      string              `yaml:"vendor" doc:"who ships it"`
	Version     string              `yaml:"version" doc:"version of this release; ordered by runs of digits and of other characters, so 1.9 comes before 1.10" required:"true"`
	Description string              `yaml:"description" doc:"one line for the module"`
	Module      string              `yaml:"module" doc:"template of the kernel module's name; {name}, {version} and {release} are replaced, and what a C identifier cannot hold becomes _" default:"livepatch_{name}_{version}"`
	Replace     *bool               `yaml:"replace" doc:"replace all loaded livepatches, so that each release holds all fixes; needs Linux 5.1" default:"true"`
	Immediate   bool                `yaml:"immediate" doc:"patch without waiting for tasks, on kernels whose interface has it (4.12 to 4.15)"`
	Targets     []Target            `yaml:"targets" doc:"kernels to build for" required:"true"`
	Patches     []Patch             `yaml:"patches" doc:"patches in order of application" required:"true"`
	Callbacks   map[string][]string `yaml:"callbacks" doc:"callbacks that the patched sources bring, by object (vmlinux or a module): pre_patch, post_patch, pre_unpatch, post_unpatch; a release whose callbacks differ is refused"`
	States      []State             `yaml:"states" doc:"system states that the callbacks change"`
	Shadows     []Shadow            `yaml:"shadows" doc:"ids of shadow variables that the code uses"`
	Allow       []Allow             `yaml:"allow" doc:"findings that the author has judged and accepts"`
	Signing     *Signing            `yaml:"signing" doc:"sign the modules as the kernel does"`

	// Dir is the directory that paths are relative to.
	Dir string `yaml:"-"`
}

// Target is one kernel.
type Target struct {
	Release string `yaml:"release" doc:"as uname -r prints it" required:"true"`
	Root    string `yaml:"root" doc:"directory to look for the kernel's files in; default the cache that klpforge kernel fetch fills"`
}

// Patch is one entry of the list of patches: a file or a git range.
type Patch struct {
	File    string   `yaml:"file" doc:"patch file, mailbox, quilt series, or directory with one"`
	Git     string   `yaml:"git" doc:"repository to take a range of commits from"`
	Range   string   `yaml:"range" doc:"commits A..B of git"`
	IDs     []string `yaml:"ids" doc:"what the patch is known by: CVE numbers, commits; added to those that its description names"`
	Targets []string `yaml:"targets" doc:"only for these releases; * stands for any text; default all"`
	Line    int      `yaml:"-"`
}

// State is one system state (struct klp_state, Linux 5.5).
type State struct {
	ID      uint64 `yaml:"id" doc:"number of the state; never used for another meaning" required:"true"`
	Version uint32 `yaml:"version" doc:"raised when the meaning changes, never lowered"`
	Meaning string `yaml:"meaning" doc:"what the callbacks change" required:"true"`
}

// Shadow is one id of shadow variables.
type Shadow struct {
	ID      uint64 `yaml:"id" doc:"id that the code passes to klp_shadow_alloc and its like" required:"true"`
	Meaning string `yaml:"meaning" doc:"what it holds, and for which objects" required:"true"`
}

// Allow accepts one kind of finding.
type Allow struct {
	ID     finding.ID `yaml:"id" doc:"KLP and three digits" required:"true"`
	Reason string     `yaml:"reason" doc:"why it is safe; recorded in the module" required:"true"`
}

// Signing says how modules are signed.
type Signing struct {
	Key  string `yaml:"key" doc:"private key, PEM, or the pkcs11: URI of one in a token" required:"true"`
	Cert string `yaml:"cert" doc:"X.509 certificate, PEM or DER" required:"true"`
	Hash string `yaml:"hash" doc:"sha256, sha384 or sha512; default that of the target's own modules (CONFIG_MODULE_SIG_HASH)"`
}

// Replaces reports whether the release replaces what is loaded.
func (m *Manifest) Replaces() bool { return m.Replace == nil || *m.Replace }
