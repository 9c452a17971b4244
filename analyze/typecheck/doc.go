// Package typecheck compares the types of a compiled object with those of the
// kernel that runs: sizes, offsets of members, bit fields, lengths of arrays, what
// pointers lead to, values of enumerators, prototypes of functions.
//
// A type is compared by its name, as C writes it: "struct inode", "union nf_inet_addr",
// "enum pid_type", and "atomic_t" for one that only a typedef names. What an
// anonymous member holds counts as members of the type around it ("rlim"), and so
// does what a member of an anonymous type holds ("prev_cputime.lock"). One name can
// stand for several types in different files: one that is the same suffices. Types
// of function bodies are not compared; opaque declarations have nothing to compare.
// Enumerators of anonymous enumerations are compared by their own names.
//
// The kernel's side is its BTF, with that of a module on top, or the DWARF of a
// vmlinux. The object's side is its DWARF. What code depends on is told by its
// preprocessed text, see [Text].
package typecheck
