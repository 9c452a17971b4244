// Package patchset reads source patches and applies them in memory.
//
// A [Series] is an ordered list of patches, read from unified diffs, mails,
// quilt series ([Read]) or a git range ([ReadGitRange]). [Series.Apply] turns
// it and a source tree into an [Overlay]: the text of every changed file
// before and after. The tree is only ever read.
//
// For C sources the overlay also carries a line-stable text, in which
// "#line" directives give unchanged code below a change its original
// __LINE__, so that only functions that really changed compile differently.
//
// The package knows nothing of kernels, compilers or ELF.
package patchset
