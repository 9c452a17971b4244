// Package release compares livepatches as releases: what one has that the
// other has not, and from that whether a machine can go from one to the other.
//
// Three movements are judged. Upgrade: the old one is loaded, the new one is
// to be. Downgrade: the new one is loaded, the old one is to be. Side by side:
// the old one is loaded and stays. Each is allowed, needs the loaded livepatch
// disabled first, or is refused, with reasons.
//
// The judgement follows the kernel's own rules (klp_is_patch_compatible in
// kernel/livepatch/state.c, and the atomic replace of
// Documentation/livepatch/cumulative-patches.rst, v6.1), above all these two:
// a replacing livepatch must know every system state of those it replaces, in
// at least that version; and replacing runs the callbacks of the new livepatch
// only, so that what the callbacks of the old one did is undone by nobody
// unless the new one takes it over by its states.
//
// Everything here is a pure function of the notes that modules carry.
package release
