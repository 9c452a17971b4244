// Package module reads what a finished livepatch module says of itself: its
// modinfo, the note that klpforge leaves in it, and its signature. Everything
// that is needed to decide about an upgrade or a downgrade travels in the
// module, and survives strip and compression; for a loaded module the note is
// in /sys/module/<name>/notes/.note.klpforge.
package module
