// Package build runs the whole flow from patch files and a target kernel to a
// checked livepatch module. It decides nothing by itself: it moves values
// between the packages that do the work, collects their problems, and keeps
// account of time.
package build
