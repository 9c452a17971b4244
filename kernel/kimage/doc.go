// Package kimage reads a linked kernel: it unpacks a bzImage or maps a vmlinux, and
// decodes what is in it. That is its symbols with their kallsyms positions, its banner,
// its configuration and types where it carries them, its ftrace locations and
// the functions that indirect branches may enter.
//
// All addresses are link-time virtual addresses, as in vmlinux.
package kimage
