// Package kernel models one target kernel: its release, configuration,
// symbols with their kallsyms positions, exports, shipped code, modules and
// livepatch API generation. It reads what a distribution ships and needs no
// debug package; it knows nothing of patches.
//
// [Open] finds the parts of a release under a root directory or in the cache
// that [Fetch] fills. Every part is read when it is first asked for, so a
// missing one is an error only for who needs it. All addresses in this
// package are link-time virtual addresses, as in vmlinux, unless a comment
// says otherwise.
package kernel
