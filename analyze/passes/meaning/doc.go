// Package meaning finds values that a patch introduces, or gives another form, and
// stores where code that does not know them looks.
//
// A new enumerator or #define counts when a changed function assigns it to a
// member of a structure, sets it there with |=, or passes it to set_bit,
// smp_store_release, WRITE_ONCE or atomic_set for one, itself or in a function of
// the file that is inlined into it. So does one whose value changes, when the file
// compares it or takes it for a bit: limits and times do not count. So does a
// literal number that is newly set in a member with |=.
// During the transition tasks in the old code meet the new value, and functions
// of the same file that use the member and are not patched meet it ever after: a
// switch without a case for it, a comparison, a mask that keeps it. Where changed
// functions test for the value too, they depend on state that only new code makes:
// objects from before the patch never have it. It is a warning when functions that
// are not patched use the member, or the value was another one before, else a note.
//
// Values that are computed are followed in the compiled code from where they leave a
// changed function, a store, its result, or the choice of an element of a table, back
// to what they are made of. When that is the same before and after the patch, and the
// operations are not (shifts, multiplication and division, exclusive or, rotation,
// exchange of bytes, another mask by constants), the value has another form: a hash, a unit, an
// encoding, a byte order. It is a warning, since objects from before hold the old
// form; callers and functions of the file that use the member are named. Sums, and
// values that are only limited by a mask or to a range, are no other form, and
// values that are not followed to their end are not compared. Neither is anything
// where members of types move (KLP208), and where the patch only adds or drops lines.
//
// An order is turned round when a comparison changes from < to > and nothing else on
// its line, in a function that walks along a list or a tree, or one that returns how
// a member of two objects compares; or when a function returns a difference the other
// way round. That is a warning: what is in order already has the old one.
//
// The source decides for names, with what was compiled telling which functions change.
// Macros that assign, and users of the member in other files, are not seen. Values
// of local variables say nothing to others and are left out.
//
// What to do: see what old code does with the value it does not know; patch the
// functions that use the member; convert old objects in a post-patch callback, or keep
// the new state in a shadow variable.
package meaning
