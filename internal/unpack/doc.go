// Package unpack undoes the compression of kernel images, modules and their
// tables, for every command alike. How much may come out is bounded by how much
// goes in (Limit), and so is the memory that it takes: a size that a header claims, of a
// dictionary, a window or the content, is never believed before it is checked.
package unpack
