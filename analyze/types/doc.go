// Package types says how structures and unions are laid out, and how that
// differs between two builds: from the DWARF of compiled objects, and from the
// BTF of a kernel or module.
//
// Types are named as C does: "struct inode", "union thread_union", and
// "foo_t" for an anonymous structure that only a typedef names. Anonymous
// members are taken apart: what they hold counts as members of the type around
// them. All offsets are in bytes from the start of the type, but for bit
// fields, which add the number of their first bit.
package types
