// Package future finds patches that only work for what comes after them: every
// changed function runs only when a device is probed, a file system mounted, a
// file opened, a link created, or an inode allocated. What exists already stays
// as it was made by the old code.
//
// A function counts as such when it is private to its object file, every caller
// there is boot code or counts too, and its address is held by nothing but
// tables, where the source assigns it to such members only (.probe, .mount,
// .init_fs_context, .open and so on). The check speaks only when that holds for
// all functions of the patch; in every other case it is silent.
//
// What to do: see whether existing devices, mounts or files need the repair; if
// so, walk over them in a post-patch callback, or reload or remount.
package future
