// Package kernel models one target kernel: its release, configuration,
// symbols with their kallsyms positions, exports, shipped code, modules and
// livepatch API generation. It reads what a distribution ships and needs no
// debug package; it knows nothing of patches.
//
// [Open] finds the parts of a release, with a [Finder]: under a root directory, in the
// cache that package fetch fills, or wherever a finder of one's own looks. Every part is
// read when it is first asked for, so a missing one is an error only for who
// needs it. What is in the parts, the packages kconfig, kimage and kmod decode.
package kernel
