package main

import (
	"context"
	"errors"
)

// publish packs the row's own kernel into RPM packages, puts them into a repository, and
// makes dnf on r.home know that alone. It returns the release to fetch.
func (r *runner) publish(ctx context.Context) (string, error) {
	return "", errors.New("not there yet")
}
