package fetch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/klpforge/klpforge/kernel/fetch/provider"
)

// Package lists of a suite are taken for current for a day; before a kernel is said not
// to be in them, they are read again unless that was just done.
const (
	listAge  = 24 * time.Hour
	freshAge = 10 * time.Minute
)

// plan asks the package system what the release consists of. Without a suite the machine's
// own package sources are asked first, then the suite that the release's name tells.
// f.from becomes the provider that has it.
func (f *fetcher) plan(ctx context.Context, suite string, want provider.Want) (provider.Plan, error) {
	suited, ok := f.from.(provider.Suited)
	if suite != "" && !ok {
		return provider.Plan{}, fmt.Errorf("fetch kernel %s: %s has no suites", f.release, f.from.Name())
	}
	if suite == "" {
		planned, err := f.from.Plan(ctx, f.release, want)
		var gone *provider.NotInArchiveError
		if !errors.As(err, &gone) || !ok {
			return planned, err
		}
		if suite = suited.SuiteOf(f.release); suite == "" {
			return planned, err
		}
		f.say("this machine's package sources do not have it; asking suite " + suite)
		other, serr := f.planInSuite(ctx, suited, suite, want)
		var goneToo *provider.NotInArchiveError
		switch {
		case errors.As(serr, &goneToo) && gone.Version != "":
			return planned, err // the package is known here, in other versions: that says more
		case serr != nil && !errors.As(serr, &goneToo):
			return planned, fmt.Errorf("%w; and suite %s could not be asked: %w", err, suite, serr)
		}
		return other, serr
	}
	found, err := f.planInSuite(ctx, suited, suite, want)
	var gone *provider.NotInArchiveError
	if err != nil && !errors.As(err, &gone) {
		err = fmt.Errorf("fetch kernel %s: %w", f.release, err)
	}
	return found, err
}

// planInSuite reads the lists of the suite again when they do not have the release.
func (f *fetcher) planInSuite(ctx context.Context, in provider.Suited, suite string, want provider.Want) (
	planned provider.Plan, err error,
) {
	ask := func(age time.Duration) error {
		from, err := in.InSuite(ctx, f.cache.Lists(suite), suite, age, f.say)
		if err != nil {
			return err
		}
		f.from = from
		planned, err = from.Plan(ctx, f.release, want)
		return err
	}
	err = ask(listAge)
	var gone *provider.NotInArchiveError
	if errors.As(err, &gone) {
		err = ask(freshAge)
	}
	return planned, err
}
