// Package elfdiff compares two builds of one relocatable object, before and
// after a source patch, and cuts out of the second what a livepatch needs.
//
// The unit of everything is the atom: one function, one variable, or one
// nameless piece of constant data. An object built with -ffunction-sections
// and -fdata-sections has mostly one atom in a section, but bundled sections
// (.init.text, .sched.text, .data..read_mostly, .data..percpu …) hold many and
// are split at their symbols.
//
// The work is done in four steps, each a pure function of its input:
//
//  1. Load splits an object into atoms, resolves every relocation to what it
//     means (an atom and an offset, an outside symbol, the bytes of a string),
//     and reads the kernel's special sections as tables whose entries belong
//     to atoms.
//  2. correlate pairs the atoms of both objects: by name where a name is
//     stable, by position in the references of already paired atoms where the
//     compiler numbered the name (static locals, clones).
//  3. compare decides which pairs differ. Two atoms are equal when their bytes
//     are equal outside relocated fields and every relocation means the same.
//  4. Extract builds the minimal object that holds the changed functions, what
//     is new, and the table entries that belong to them. All else is referred
//     to by the symbols of the running kernel.
package elfdiff
