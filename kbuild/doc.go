// Package kbuild builds kernel objects the way the target kernel's own makefiles
// do, and is the only package that runs make or the compiler. It prepares a
// source tree once per (source, configuration, compiler, release), gives out
// private hard-linked copies of it, tells which vmlinux or module an object
// belongs to, which objects a changed file can affect, compiles those before and
// after a change with exactly the same command, and links external modules.
//
// It treats objects as opaque files and does not know ELF.
//
// # Paths
//
// Objects and sources are named relative to the root of the kernel tree, with
// forward slashes: "fs/ext4/mballoc.o". What the package hands out as Path or
// Dir is an absolute path of the machine.
//
// # The cache
//
//	trees/<key>/linux/       the prepared tree; never written once ready
//	trees/<key>/meta.json    present only when the tree is complete
//	trees/<key>/*.json, *.lst  facts derived from the tree (owners, includes, environment)
//	trees/<key>.lock         flock held while a tree is made
//	work/<pid>-<random>/     private trees, removed by Close or by the next run
//	objects/<xx>/<key>.*     objects compiled from unchanged sources
//	logs/                    full output of commands that failed
//
// A prepared tree is built at its final path, because host tools record
// absolute paths; it counts as present only when meta.json has been renamed into
// place, and a tree without it is removed by the next Prepare.
package kbuild
