// Package fields finds out which member of which structure an instruction
// touches, by following typed pointers through registers and stack slots of
// compiled code. Types come from a kernel's BTF: prototypes give the types of
// arguments and results, structures those of what is loaded from them.
//
// What is not followed has no type: global variables (BTF does not list them),
// pointers that a cast made, members of unions that disagree, and registers
// that hold different types on the paths that join. No type means not known; a
// type that is given can be wrong only where the kernel casts pointers.
package fields
