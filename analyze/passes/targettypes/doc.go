// Package targettypes compares the types that the code of the livepatch uses with
// those of the kernel that runs, and the configuration it was compiled with.
//
// That shipped functions match byte by byte proves what the old code used. New code
// may read a member that the old did not; with the source or the configuration of
// another kernel it reads the wrong offset, and nothing else tells.
//
// All types, enumerators and prototypes that the compiled object describes are
// compared, by name, with the target's BTF (that of vmlinux, with the module's own on
// top), or with the DWARF of a vmlinux: sizes, offsets, bit fields, lengths of arrays,
// what pointers lead to. A prototype is compared when one function alone has its name.
// What the patch itself changes is compared as it was before; KLP208 tells of the
// change. Types that only the object has are new.
//
// KLP127: a difference is an error when the code that travels can depend on it: the
// name of the member, enumerator or function occurs in its preprocessed text, in what
// is inlined into it, or in the macros it uses, and the type is one that its names lead
// to. A type that the code handles, of which only the size differs, is a warning when
// neither sizeof nor an array nor arithmetic on pointers is seen. Other differences are
// one note.
//
// What is no type, a constant that a macro names or an inline function, is told by the
// headers alone. Where those of the source differ from those of the target's header
// packages, the object is preprocessed a second time, with the target's in place of its
// own. It is an error when that makes another text of the code that travels, of what can
// be inlined into it, or of a constant it names; else it is a note.
//
// When the target has no types, a note says which of the members in use are proved
// otherwise: code of the same object, found byte by byte in the target, has their
// offsets in it.
//
// KLP128: when the configuration was given by hand, it is compared with the target's
// own, which the image holds (CONFIG_IKCONFIG) or which lies beside it. An option that
// differs is an error when a file that the patched object is compiled from names it.
// The others are one note.
//
// What to do: build with the source and the configuration that the target was built
// from. A module records what was compared; klpforge info shows it, and klpforge verify
// checks that it is the types of the kernel at hand.
package targettypes
