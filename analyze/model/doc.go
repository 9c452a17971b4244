// Package model is the program model that checks reason over: the functions
// of a linked kernel or of one relocatable object, with their control flow,
// calls, callers, and the places in data that hold pointers to them. It
// decodes compiled code, so macros, inlining and the configuration are
// already decided.
//
// A [Program] is what the model is made from: bytes at addresses, symbols and
// the kernel's special tables. FromImage takes a vmlinux, FromObject lays a
// relocatable object (a .o or .ko) out at made-up addresses and binds it to a
// kernel, so that both look the same to everything above. Build decodes a
// Program; the result is immutable and safe for concurrent use.
//
// What cannot be followed stays visible: an indirect call has no target, a
// function with an indirect jump that nothing resolves, or with bytes that do
// not decode, is marked [Func.Unknown].
//
// All addresses are link-time virtual addresses; End is exclusive. What
// instructions do, and which architectures there are, is package machine's matter.
package model
