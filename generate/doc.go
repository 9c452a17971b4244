// Package generate turns a plan and the prebuilt objects into a livepatch
// module. It works in steps, because linking is kbuild's business:
//
//  1. Emit writes a directory that a person can read and kbuild can build.
//  2. kbuild links it; references to kernel-internal symbols are still
//     undefined symbols named .klp.sym.<object>.<symbol>,<position>.
//  3. PostLink turns those into livepatch symbols and relocations and adds a
//     note that says what is in it.
//  4. Verify reads the finished module back and checks it against the target.
//
// The module format follows Documentation/livepatch/module-elf-format.rst and
// kernel/livepatch/core.c of Linux 6.1.
package generate
