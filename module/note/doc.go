// Package note is what klpforge records in a livepatch module: the types, their JSON
// form, which an emitted directory has as manifest.json, and the note section that
// carries it. Everything that is needed to decide about an upgrade or a downgrade
// travels in it. Who makes a note is package generate; who reads one needs nothing but
// this.
package note
