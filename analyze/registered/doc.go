// Package registered finds out where a program keeps the addresses of its functions: in
// which members of which structures, by tables in data and by stores in code, and which
// functions are given which; and which calls go through which members. From that follows
// in what context a function is called that no code calls by name.
//
// Types come from BTF (package fields). A table in data has the type of the structure
// whose members fit all function pointers in it by place and prototype; where several
// fit, a function may be any of their members. A store counts where the pointer that it
// goes through has a known type. What is not seen is not known: that a function has no
// member says nothing.
package registered
