// Package kmod reads what a kernel ships for its modules: the .ko files, with
// their symbols in kallsyms order, exports and version tables, the directory they
// lie in, and Module.symvers. A module has no link-time addresses; places in
// one are offsets from the start of a section.
package kmod
