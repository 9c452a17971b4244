package guest

import "time"

// Insmod loads the module file at path with the parameters params
// (space-separated, may be empty).
func Insmod(path, params string) Step { return Step{Op: OpInsmod, Path: path, Data: params} }

// Rmmod unloads a module by name. A module that is still being released
// (EAGAIN, EBUSY) is retried for up to 10 s, unless the step shall fail.
func Rmmod(name string) Step { return Step{Op: OpRmmod, Module: name} }

// Modprobe loads a module of the target kernel and everything it needs. The
// host resolves it before boot and puts the files into the initramfs; for
// what is built into the kernel or is loaded already, it does nothing.
func Modprobe(name string) Step { return Step{Op: OpModprobe, Module: name} }

// LoopAttach binds the file to a loop device such as /dev/loop0.
func LoopAttach(dev, file string) Step { return Step{Op: OpLoopAttach, Path: dev, To: file} }

// LoopDetach releases a loop device.
func LoopDetach(dev string) Step { return Step{Op: OpLoopDetach, Path: dev} }

// Mount mounts dev at dir, which is made when missing. The file system "bind" shows the
// directory dev there.
func Mount(dev, dir, fs, options string) Step {
	return Step{Op: OpMount, Path: dev, To: dir, FS: fs, Data: options}
}

// Umount unmounts dir.
func Umount(dir string) Step { return Step{Op: OpUmount, Path: dir} }

// Remove removes a file or an empty directory.
func Remove(path string) Step { return Step{Op: OpRemove, Path: path} }

// Copy copies a file with its mode, leaving holes where it has whole pages of zeros.
// Directories are made as needed.
func Copy(from, to string) Step { return Step{Op: OpCopy, Path: from, To: to} }

// WriteFile writes a file of size bytes with a pattern that depends on seed.
func WriteFile(path string, size, seed int64) Step {
	return Step{Op: OpWriteFile, Path: path, Size: size, Seed: seed}
}

// VerifyFile checks a file made by WriteFile.
func VerifyFile(path string, size, seed int64) Step {
	return Step{Op: OpVerifyFile, Path: path, Size: size, Seed: seed}
}

// Write writes data to an existing file in one system call, as sysfs needs it.
func Write(path, data string) Step { return Step{Op: OpWrite, Path: path, Data: data} }

// Read reports the content of a file.
func Read(path string) Step { return Step{Op: OpRead, Path: path} }

// Expect reads a file and fails unless its content matches want.
func Expect(path string, m Match, want string) Step {
	return Step{Op: OpExpect, Path: path, Match: m, Want: want}
}

// Within returns s, an Expect, changed so that it reads the file again and again
// until it matches, for as long as d.
func (s Step) Within(d time.Duration) Step { s.Millis = d.Milliseconds(); return s }

// ExpectLog waits until what the kernel said since the script began matches a
// regular expression, for as long as d.
func ExpectLog(want string, d time.Duration) Step {
	return Step{Op: OpExpectLog, Want: want, Match: MatchRegexp, Millis: d.Milliseconds()}
}

// Sync calls sync(2).
func Sync() Step { return Step{Op: OpSync} }

// DropCaches drops clean page cache, dentries and inodes, also those that a
// plain write to /proc/sys/vm/drop_caches passes over.
func DropCaches() Step { return Step{Op: OpDropCaches} }

// WaitTransition waits until the livepatch has no transition under way.
func WaitTransition(name string, timeout time.Duration) Step {
	return Step{Op: OpWaitTransition, Module: name, Millis: timeout.Milliseconds()}
}

// ExpectEnabled fails unless the livepatch is enabled and its transition over.
func ExpectEnabled(name string) Step { return Step{Op: OpExpectEnabled, Module: name} }

// Disable disables the livepatch and waits until it is out of force.
func Disable(name string, timeout time.Duration) Step {
	return Step{Op: OpDisable, Module: name, Millis: timeout.Milliseconds()}
}

// Livepatches reports the tree below /sys/kernel/livepatch.
func Livepatches() Step { return Step{Op: OpLivepatches} }

// CheckDmesg fails when the kernel complained since the script began or since
// the last CheckDmesg. Messages that match one of allow are no complaint.
func CheckDmesg(allow ...string) Step { return Step{Op: OpCheckDmesg, Allow: allow} }

// CheckTaint fails when the kernel has a taint bit outside mask that it did
// not have when the script began.
func CheckTaint(mask uint64) Step { return Step{Op: OpCheckTaint, Mask: mask} }

// Probe makes one system call; see ProbeNames. Its outcome, "ok [value]" or an
// errno name, is reported, and compared with want when m is not empty.
func Probe(m Match, want, name string, args ...string) Step {
	return Step{Op: OpProbe, Module: name, Args: args, Match: m, Want: want}
}

// Exec runs a program and reports its output; it fails when the exit status is not 0.
func Exec(path string, args ...string) Step { return Step{Op: OpExec, Path: path, Args: args} }

// ExecIn is Exec with dir as the program's root directory, for at most d: then it is
// killed, and the step fails. Path is below dir.
func ExecIn(dir string, d time.Duration, path string, args ...string) Step {
	return Step{Op: OpExec, Path: path, To: dir, Args: args, Millis: d.Milliseconds()}
}

// Reverse disables a livepatch at once, in the middle of its transition if that has not
// ended yet, and waits until it is out of force. The outcome is "in transition" or
// "in force", by what it was.
func Reverse(name string, timeout time.Duration) Step {
	return Step{Op: OpReverse, Module: name, Millis: timeout.Milliseconds()}
}

// Sleep does nothing for a while.
func Sleep(d time.Duration) Step { return Step{Op: OpSleep, Millis: d.Milliseconds()} }

// Repeat runs steps n times.
func Repeat(n int, steps ...Step) Step { return Step{Op: OpRepeat, Count: n, Steps: steps} }

// Background starts n threads that make system calls until StopBackground,
// so that transitions happen under load. Kinds are named by LoadNames; none
// means all of them in turn.
func Background(n int, kinds ...string) Step {
	return Step{Op: OpBackground, Count: n, Args: kinds}
}

// StopBackground ends the threads that Background started.
func StopBackground() Step { return Step{Op: OpStopBackground} }

// Batch tries modules one after another, going on after a failure: load,
// wait, record, disable, wait, unload. It fails when a module did. timeout is
// for each wait; 0 means DefaultWait.
func Batch(timeout time.Duration, allow []string, mods ...BatchModule) Step {
	return Step{Op: OpBatch, Millis: timeout.Milliseconds(), Allow: allow, Batch: mods}
}

// Poweroff ends the script before its last step.
func Poweroff() Step { return Step{Op: OpPoweroff} }

// Fails returns s changed so that it must fail with that errno.
func (s Step) Fails(errno string) Step { s.WantErrno = errno; return s }

// Optional returns s changed so that its failure does not end the script.
func (s Step) Optional() Step { s.MayFail = true; return s }

// Labelled returns s with a label.
func (s Step) Labelled(label string) Step { s.Label = label; return s }
