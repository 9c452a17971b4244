package analyze

import "github.com/klpforge/klpforge/analyze/typecheck"

// TypeCheck is what comparing a unit's types with the target's brought.
type TypeCheck struct {
	Source string            // "vmlinux's BTF"; "" when the target has no types
	Report *typecheck.Report // nil without a Source
	Err    error             // the comparison failed
	// Without a Source, members that the code that travels can use, "struct inode.i_mode",
	// and those of them whose offset code of the same object shows that the target has
	// byte by byte, both sorted.
	Members, Proved []string
	// Headers are differences between the prepared tree's generated headers and the
	// target's, without a Source.
	Headers []string
}

// ConfigDiff is an option that the prepared tree has otherwise than the target's own
// configuration says, which was not the one that was given.
type ConfigDiff struct {
	Name    string   // "CONFIG_AUDIT"
	Tree    string   // value as written; "" means not set
	Target  string   // likewise
	From    string   // where the target's own configuration was found
	Reaches []string // objects of the patch that the option can change, sorted
}
