package kernel

// Part is one of the things that a kernel consists of, each a file or a directory.
type Part int

// The parts of a kernel.
const (
	PartConfig        Part = iota // its .config
	PartSymvers                   // Module.symvers; may be compressed
	PartImage                     // the image as it is booted, or a linked vmlinux when only that is there
	PartVmlinux                   // a linked vmlinux with a symbol table
	PartSystemMap                 // System.map
	PartModules                   // the directory with its modules, as /lib/modules/RELEASE
	PartHeaders                   // configured headers: .config, Module.symvers, include/generated
	PartCommonHeaders             // the headers proper, where they are apart from the configured ones
	PartSource                    // its source, a directory or a tarball
)

// String is the part's name in messages.
func (p Part) String() string {
	return [...]string{
		"config", "Module.symvers", "kernel image", "vmlinux with symbols", "System.map", "modules",
		"kernel headers", "common kernel headers", "kernel source",
	}[p]
}

// A Finder knows where the parts of one kernel lie: in the places of a
// distribution, in a tree that somebody built, and so on. It finds; reading, and
// refusing what does not belong together, is the [Target]'s.
type Finder interface {
	// Release is the kernel release, as `uname -r` prints it.
	Release() string
	// Find returns the path of a part, "" when it is not there, and then the
	// places looked at, in order. It is asked for a part at most once per
	// Target, and may be asked for several at the same time.
	Find(p Part) (path string, searched []string)
	// Remedy says what to do about a part that is missing, or not that of
	// this kernel: an imperative sentence without a full stop, "" when nothing can be said.
	Remedy(p Part) string
}
