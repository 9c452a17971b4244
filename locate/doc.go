// Package locate finds a compiled original object in the kernel that is
// shipped. Shipped code is the judge: a function is placed where the image
// holds the same instructions, and the addresses that those instructions
// refer to tell where every function and variable of the object really is,
// which of several namesakes is meant, and whether the build matches at all.
//
// Code compiled with one section per function may hold near jumps where the
// shipped object has short ones, because there both ends lie in one section.
// The comparison therefore walks both instruction streams in step and accepts
// the two forms of one branch as equal, if they lead to the same place.
package locate
