package kimage

import (
	"errors"
	"fmt"
)

// ErrNoBytes means that an address range is not stored in the image (.bss,
// or outside every segment).
var ErrNoBytes = errors.New("no bytes in the image")

// ErrNoKallsyms means that an image holds no kallsyms tables that could be
// decoded.
var ErrNoKallsyms = errors.New("no kallsyms tables in the image")

// AddressError means that the image has no bytes for an address range. It
// wraps [ErrNoBytes].
type AddressError struct {
	Addr uint64
	N    int
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("read %d bytes at %#x: %v", e.N, e.Addr, ErrNoBytes)
}

func (e *AddressError) Unwrap() error { return ErrNoBytes }
