// Package pipeline runs the whole flow from patch files and a target kernel to a
// checked livepatch module. It moves values between the packages that do the work,
// collects what they find, and keeps account of time. What is decided, the packages
// below decide.
//
//	patches            patchset    read, in order; what they accept
//	   |
//	change             kbuild      the kernel's source, prepared, and the patches in it
//	   |
//	objects            kbuild      what the patches can affect, compiled before and after
//	   |
//	units              elfdiff     each pair compared: the change set
//	   |
//	located units      locate      each original found in the shipped image or module
//	   |                            ... and analyze/join: the callers that must join
//	cuts               elfdiff     the changed code, cut out, its references named
//	   |
//	plan               plan        what will be in struct klp_patch
//	   |
//	judged plan        analyze     every check; whether there may be a module at all
//	   |
//	module             generate    sources written, linked by kbuild, finished, verified
//
// Each arrow is a function of run.go's flow, which takes the values of those before it
// and returns its own. A review (Options.DiffOnly) ends with the judgement.
//
// Findings are data, and an error value means that klpforge, its environment or the
// patches themselves failed; see Run.
package pipeline
