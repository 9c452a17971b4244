package main

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/klpforge/klpforge/internal/releases"
)

func (a *app) releaseMatrixCmd() *cobra.Command {
	var job releases.Job
	cmd := &cobra.Command{
		Use:   "matrix [flags] SYSTEM",
		Short: "Print the jobs that build a release on many machines",
		Long: `Print the jobs that build a release, one for each target kernel, and the one that
collects their results: for GitHub Actions (github), GitLab (gitlab), or as an
indexed Job of Kubernetes (kubernetes), which needs --image.

With --parts N, N more jobs for each target come first, which compile a share of its
objects each. That pays where a patch affects hundreds of objects, by a header.`,
		Example: `  klpforge release matrix github >.github/workflows/livepatch.yml
  klpforge release matrix --image registry.example/klpforge kubernetes | kubectl apply -f -`,
		Args: exactArgs(1, "one of "+strings.Join(releases.Systems, ", ")),
		RunE: func(_ *cobra.Command, args []string) error { return a.releaseMatrix(args[0], job) },
	}
	manifestFlag(cmd, &job.File)
	cmd.Flags().StringVar(&job.Image, "image", "", "container `IMAGE` with klpforge and the compilers")
	cmd.Flags().StringVar(&job.Launcher, "launcher", "", "put `PROGRAM` before the compiler command in each job")
	cmd.Flags().IntVar(&job.Parts, "parts", 0, "compile the objects of each target in `N` jobs")
	return cmd
}

// releaseMatrix prints the jobs of a release for one of releases.Systems.
func (a *app) releaseMatrix(system string, job releases.Job) error {
	if !slices.Contains(releases.Systems, system) {
		return usageError("unknown system %q: want one of %s", system, strings.Join(releases.Systems, ", "))
	}
	if system == "kubernetes" && job.Image == "" {
		return usageError("kubernetes needs the image with klpforge: give --image")
	}
	if job.Parts < 0 || job.Parts > 256 {
		return usageError("--parts %d: want 0 to 256", job.Parts)
	}

	var err error
	if job.Manifest, err = readManifest(job.File); err != nil {
		return err
	}
	return releases.Matrix(a.out, system, job)
}
