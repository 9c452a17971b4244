// Package meaning finds values that a patch introduces and stores where code that
// does not know them looks.
//
// A new enumerator or #define counts when a changed function assigns it to a
// member of a structure, sets it there with |=, or passes it to set_bit for one,
// itself or in a function of the file that is inlined into it.
// During the transition tasks in the old code meet the new value, and functions
// of the same file that use the member and are not patched meet it ever after: a
// switch without a case for it, a comparison, a mask that keeps it. Where changed
// functions test for the value too, they depend on state that only new code makes:
// objects from before the patch never have it.
//
// The source decides, with what was compiled telling which functions change. Macros
// that assign, and users of the member in other files, are not seen. It is a
// warning when functions that are not patched use the member, else a note. Values
// of local variables say nothing to others and are left out.
//
// What to do: see what old code does with the value it does not know; patch the
// functions that use the member; mark old objects in a post-patch callback, or keep
// the new state in a shadow variable.
package meaning
