// Package arch holds the rules of who may import what, as
// docs/architecture.md draws them. The package's test applies them to the
// module's source.
package arch
