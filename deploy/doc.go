// Package deploy is livepatching on the machine that runs the kernel: what is
// loaded, what loading a module would do under a policy, doing it, watching the
// transition and naming the tasks that hold it up, and loading at boot.
//
// It knows the kernel by sysfs, procfs and three system calls, all behind
// Machine, and needs neither a compiler nor anything of the kernel's build.
//
// Nothing is remembered between runs but failures at boot: each run reads the
// state of the kernel, decides on the next step, does it and reads again. So a
// run that was killed is picked up by the next one, wherever it was.
package deploy
