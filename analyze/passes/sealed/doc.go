// Package sealed finds new stores to data that the kernel write-protects: constants,
// variables that are set while booting (__ro_after_init), and the tables that the
// linker puts beside them. Such a store is a fault in supervisor mode, and the kernel
// panics or kills the task.
//
// The instructions of new and changed functions before and after the patch decide,
// also those that reach the variable over a register, and calls of memset, memcpy and
// their like. What a section is for tells whether it is protected; where another object
// defines the variable, its address in the target's image, or its section in the target's
// module, does. Addresses that pass through memory are not followed, and a module's
// variables that are not in its file are not known.
//
// It is a warning where other code of the object file, which is not for booting alone,
// wrote to the variable before: such code may run while booting only.
//
// What to do: do not write there. Keep the value in a new variable of the patch, or
// change the code that reads the variable. A callback faults in the same way.
package sealed
