# The vocabulary of this project. `make help` explains it.

export PATH := $(PATH):/usr/local/go/bin
export GOFLAGS ?= -buildvcs=false

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
FUZZTIME ?= 10s
SAMPLE  ?= 1
PAIRS   ?= $(or $(KLPFORGE_CACHE),$(HOME)/.cache/klpforge)/pairs
PEER    ?=
ARCHES  ?= 7.2-arm64

.DEFAULT_GOAL := build
.PHONY: build install packages deps demo demo-release test lint mutate unit kernels userlands e2e corpus matrix klp-build cross arches hazards bench bench-differ bench-scale figures annotbench truth fuzz clean help

build: ## build bin/klpforge
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-X main.version=$(VERSION)" -o bin/klpforge ./cmd/klpforge

install: ## install klpforge where go install puts programs
	CGO_ENABLED=0 $(GO) install -trimpath -ldflags "-X main.version=$(VERSION)" ./cmd/klpforge

packages: ## .deb and .rpm in dist/, the same bytes for the same commit
	scripts/packages

deps: ## install, with apt and as root, what builds and tests need
	scripts/install-deps

demo: deps build ## repair a panicking Debian kernel in a VM, and tell the story
	$(GO) run ./internal/demo -klpforge bin/klpforge

demo-release: deps build ## three cumulative releases: build, compare, upgrade, downgrade, refuse, in a VM
	$(GO) run ./internal/demo -klpforge bin/klpforge -case release

test: ## everything: install what is missing, lint, unit, kernels, VMs, corpus sample
	scripts/test

lint: ## gofmt, vet, staticcheck, unused code, branches and parameters that say nothing
	scripts/lint

mutate: ## faults put into the core, and which of them the tests notice (hours; SAMPLE=0.05 takes a part)
	$(GO) run ./internal/mutate -sample $(SAMPLE) -json mutation.json -v

unit: ## tests that need no root, network, kernel or VM
	$(GO) run ./internal/testsum -- -timeout 10m ./...

kernels: ## fetch and prepare the kernels that make e2e works on
	$(GO) run ./internal/e2e/prepare

userlands: ## installations of bullseye, trixie and sid in the cache, each with its compiler (as root)
	$(GO) run ./internal/userland/run bullseye trixie sid

kernels-own: ## compile small kernels as one's own: in place, O=, clang, ThinLTO (minutes each; they stay in the cache)
	$(GO) run ./internal/ownkernel/make

e2e: kernels ## tests on real kernels and in VMs
	scripts/e2e

corpus: ## a whole stable update, one livepatch per changed file (hours; see docs/corpus.md)
	$(GO) run ./internal/corpus -json corpus.json

matrix: ## kernels × compilers × hosts, each tried from fetching to unloading in a VM (hours; goes on where it was stopped; as root)
	scripts/install-deps --all
	$(GO) run ./internal/matrix -write $(ROWS)

klp-build: ## beside the kernel's own tool on 7.2: functions, result, time (an hour; as root; writes docs/measured/klp-build.md)
	scripts/install-deps --all
	$(GO) run ./internal/klpbuild -write

cross: ## the differ on objects for arm64, ppc64le, s390x, loongarch64 (an hour; see docs/architectures.md)
	for a in arm64 ppc64le s390x loongarch64; do scripts/cross-objects $$a 22 && $(GO) run ./internal/cross $$a || exit 1; done

arches: ## kernels of other architectures, made by cross compilers and kept in the cache: livepatches built for each and loaded in a VM (half an hour the first time)
	scripts/install-deps --arches
	$(GO) run ./internal/ownkernel/make $(ARCHES)
	$(GO) test -tags arches ./locate -count 1 -run '^TestArm64Fresh$$'
	KLPFORGE_E2E=1 $(GO) test -tags arches ./internal/e2e -count 1 -timeout 40m -v -run '^TestArches$$'

hazards: kernels ## dangers of a transition shown in VMs, with a hundred rounds of the remedy (half an hour)
	KLPFORGE_E2E=1 KLPFORGE_ROUNDS=100 $(GO) test -tags hazards ./internal/e2e -count 1 -timeout 60m -v -run '^(TestFooLock|TestLockOrder|TestSleepInAtomic|TestThreadStallsTransition|TestUnseenCode|TestHazardsShown)$$'

secureboot: kernels ## a signed livepatch under UEFI Secure Boot, in a VM; needs Debian's ovmf
	KLPFORGE_E2E=1 $(GO) test -tags secureboot ./internal/e2e -count 1 -timeout 20m -v -run '^TestSecureBoot$$'

bench: build ## time and memory of building a one-file livepatch, and micro benchmarks
	$(GO) run ./internal/bench -klpforge bin/klpforge
	$(GO) test -run '^$$' -bench . -benchmem ./elfobj ./elfdiff ./kernel ./patchset

bench-scale: build ## time and memory over the number of objects (SIZES=1,10,30,100,600), and of a header that 500 read
	$(GO) run ./internal/bench -klpforge bin/klpforge -scale $(or $(SIZES),1,10,30,100,600)

figures: ## how the code is written, a column for each of DIRS
	@$(GO) run ./internal/figures $(or $(DIRS),.)

bench-differ: ## the differ against create-diff-object (PEER=its path) on pairs of objects (PAIRS=their directory)
	$(GO) run ./internal/differbench -pairs "$(PAIRS)" -peer "$(PEER)"

annotbench: ## lock effects against the annotations of the kernel: recall, precision, misses
	$(GO) run ./internal/annotbench -check -sample 20

truth: ## patches with known answers: which hazards the checks see (testdata/truth; RUN=regexp takes some)
	$(GO) run ./internal/truth $(if $(RUN),-run '$(RUN)',-write)

fuzz: ## fuzz every decoder for FUZZTIME (10s) each
	scripts/fuzz $(FUZZTIME)

clean: ## remove what was built here; the cache stays (see README)
	rm -rf bin dist corpus.json mutation.json .cache

help: ## this text
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16
	@echo
	@echo "Kernels and prepared trees are kept in \$$KLPFORGE_CACHE (default ~/.cache/klpforge)."
