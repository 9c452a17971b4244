// Package report renders what a lint or a build found, for people and for CI:
// text, JSON ("klpforge.lint/v1"), SARIF 2.1.0 and one self-contained HTML page.
//
// All formats show the same Report. Rendering depends on the report alone.
package report
