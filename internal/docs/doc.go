// Package docs keeps the documentation true: its tests compare it with the
// code. docs/findings.md is made from the help texts of the checks; after a
// change of those, run
//
//	go test ./internal/docs -update
package docs
