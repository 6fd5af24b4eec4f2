# Tideline. `make help` lists the verbs; CI calls only these.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO      ?= go
BIN     := bin
TOOLS   := .tools/bin
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)

# Tools are built from source at a pinned version, by the module proxy alone.
LINT_VERSION := v2.15.0
LINT         := $(TOOLS)/golangci-lint-$(LINT_VERSION)

VULN_VERSION := v1.9.0
VULN         := $(TOOLS)/govulncheck-$(VULN_VERSION)

# How many packages are tested at once: the race detector is hungry for memory.
TEST_PARALLEL ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$(( n < 4 ? n : 4 )))
# The first package that needs MinIO builds it, which takes minutes.
TEST_TIMEOUT  ?= 20m
FUZZ_TIME     ?= 20s

.PHONY: help
help: ## list the verbs
	@grep -hE '^[a-z][a-z-]*:.*##' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  %-12s %s\n", $$1, $$2}'

.PHONY: build
build: ## bin/tideline, static, version and commit stamped in
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/tideline ./cmd/tideline

.PHONY: run
run: build ## build, then tideline dev with its data in .data
	$(BIN)/tideline dev --data-dir .data

.PHONY: cluster
cluster: build ## three brokers and a MinIO in one terminal, data in .data/cluster; CLUSTER='-set key=value' and others
	$(GO) build -trimpath -o $(BIN)/cluster ./loadtest/cluster
	exec $(BIN)/cluster $(CLUSTER)

.PHONY: test
test: ## all tests with the race detector; what a clean machine must pass
	CGO_ENABLED=1 $(GO) test -race -p $(TEST_PARALLEL) -timeout $(TEST_TIMEOUT) ./...
	$(GO) test -timeout $(TEST_TIMEOUT) ./loadtest/sim ./metadata # what the race detector is too slow for, or sees in a library
	@$(MAKE) --no-print-directory deploy-check
	@$(MAKE) --no-print-directory compat

.PHONY: deploy-check
deploy-check: ## what lies in deploy/ and terraform/, held against what will read it
	cd deploy/check && $(GO) vet ./... && $(GO) test ./...
	cd deploy/check/prometheus && $(GO) vet ./... && $(GO) test ./...
	cd deploy/release && $(GO) vet ./... && $(GO) test ./...

.PHONY: compat
compat: ## foreign clients and frameworks against the broker, and its answers beside Apache Kafka's
	cd loadtest/compat && $(GO) vet ./... && $(GO) test -count=1 -timeout 30m ./...

.PHONY: test-quick
test-quick: ## all tests without the race detector
	$(GO) test -timeout $(TEST_TIMEOUT) ./...

.PHONY: lint
lint: $(LINT) ## gofmt, go vet, golangci-lint, generated pages, go.mod
	@unformatted=$$(git ls-files -z '*.go' | xargs -0 gofmt -l); \
	if [[ -n $$unformatted ]]; then echo "gofmt: $$unformatted"; exit 1; fi
	$(GO) mod verify
	$(LINT) run ./...
	cd loadtest/compat && ../../$(LINT) run ./...
	cd deploy/check && ../../$(LINT) run ./...
	cd deploy/check/prometheus && ../../../$(LINT) run ./...
	cd deploy/release && ../../$(LINT) run ./...
	cd deploy/kube && ../../$(LINT) run ./...
	@$(MAKE) --no-print-directory gen-check

# Outside the module, so that its go.mod has no say in the tool's dependencies.
$(LINT):
	@mkdir -p $(TOOLS)
	@stage=$$(mktemp -d) && trap 'rm -rf "$$stage"' EXIT && root=$$PWD && cd "$$stage" && \
	echo "building golangci-lint $(LINT_VERSION) (two minutes on two cores, once)" && \
	CGO_ENABLED=0 GOWORK=off GOFLAGS= GOBIN="$$stage" $(GO) install -trimpath -ldflags='-s -w' \
	  github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION) && \
	mv golangci-lint "$$root/$@"

# A verb of its own: its database is on the network, and what it says changes while the code does not.
.PHONY: vulncheck
vulncheck: $(VULN) ## known vulnerabilities in what the program calls; needs vuln.go.dev, or VULN_DB=URL of a copy
	@out=$$($(VULN) $(if $(VULN_DB),-db $(VULN_DB)) ./... 2>&1) && { echo "$$out"; exit 0; }; \
	status=$$?; echo "$$out"; \
	if grep -qE 'fetching vulnerabilities|dial tcp|no such host|proxyconnect|Forbidden|i/o timeout' <<<"$$out"; then \
	  echo "vulncheck: the database of vulnerabilities cannot be reached from here, so nothing is known; VULN_DB=URL names a copy of it" >&2; \
	fi; exit $$status

$(VULN):
	@mkdir -p $(TOOLS)
	@stage=$$(mktemp -d) && trap 'rm -rf "$$stage"' EXIT && root=$$PWD && cd "$$stage" && \
	CGO_ENABLED=0 GOWORK=off GOFLAGS= GOBIN="$$stage" $(GO) install -trimpath -ldflags='-s -w' \
	  golang.org/x/vuln/cmd/govulncheck@$(VULN_VERSION) && \
	mv govulncheck "$$root/$@"

.PHONY: tidy
tidy: ## go.mod, go.sum and the formatting in order
	$(GO) mod tidy
	@git ls-files -z '*.go' | xargs -0 gofmt -w

.PHONY: gen
gen: ## the generated pages of docs/: configuration, commands, formats, metrics
	$(GO) run ./cmd/tideline docs docs
	$(GO) run ./docs/gen docs
	$(GO) test -count=1 -run '^TestInstruments$$' ./broker -instruments

.PHONY: gen-check
gen-check: ## fails when a generated page is out of date
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && $(GO) run ./cmd/tideline docs "$$dir" && $(GO) run ./docs/gen "$$dir" && \
	for page in "$$dir"/*; do \
	  diff -u "docs/$$(basename "$$page")" "$$page" || { echo "run: make gen"; exit 1; }; \
	done

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZ_TIME (20s)
	@git grep -oE '^func Fuzz[A-Za-z0-9_]+' -- '*_test.go' | while IFS=: read -r file func; do \
	  echo "$$(dirname "$$file") $${func#func }"; \
	  $(GO) test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZ_TIME) "./$$(dirname "$$file")" </dev/null; \
	done

.PHONY: fuzz-campaign
fuzz-campaign: ## every fuzz target for two minutes, and what ran for how long; CAMPAIGN='-time 10m -only "hostile FuzzRequest"'
	$(GO) run ./loadtest/fuzz $(CAMPAIGN)

.PHONY: certs
certs: ## certificates to try TLS with: an authority, a broker, two clients, in .data/certs; CERTS='-hosts a,b'
	$(GO) run ./loadtest/certs $(CERTS)

.PHONY: verify
verify: ## judge a cluster from outside: VERIFY='run -brokers HOST:PORT -dir DIR -duration 1m'; see bin/verify run -help
	$(GO) build -trimpath -o $(BIN)/verify ./loadtest/verify/cmd
	$(BIN)/verify $(VERIFY)

.PHONY: chaos
chaos: ## faults against three real brokers, checked; CHAOS='-rounds 100 -seed 7 -only kill-leader,s3-away', see loadtest/chaos
	$(GO) test -count=1 -timeout 0 -v -run '^TestCampaign$$' ./loadtest/chaos -slack 1 -rounds 20 $(CHAOS)

.PHONY: exactly-once owners queue
exactly-once: ## transactions while brokers and clients are killed, checked; ONCE='-lasts 30m -seed 7'
	$(GO) test -count=1 -timeout 0 -v -run '^TestExactlyOnce$$' ./loadtest/chaos -slack 1 $(ONCE)

owners: ## groups while members and coordinators are killed, checked; OWNERS='-members 50 -owned 200 -kills 100 -seed 3'
	$(GO) test -count=1 -timeout 0 -v -run '^TestGroups$$' ./loadtest/chaos -slack 1 $(OWNERS)

queue: ## a share group while members and brokers are killed, checked; QUEUE='-kills 100 -seed 3'
	$(GO) test -count=1 -timeout 0 -v -run '^TestQueue$$' ./loadtest/chaos -slack 1 $(QUEUE)

.PHONY: upgrade
upgrade: ## a rolling upgrade, back, and again, under load, checked; UPGRADE='-from REVISION' (the commit before)
	$(GO) test -count=1 -timeout 0 -v -run '^TestUpgrade$$' ./loadtest/chaos -slack 1 $(or $(UPGRADE),-from HEAD~1)

# Each seed is a process of its own, so that one that hangs is one that fails.
SIM_FROM ?= 1
SIM_SEEDS ?= 50

.PHONY: sim
sim: ## clusters in virtual time: SIM_SEEDS (50) seeds from SIM_FROM (1) on; a seed that fails says how to see it again
	@mkdir -p $(BIN) && $(GO) test -c -o $(BIN)/sim.test ./loadtest/sim
	@failed=0; for seed in $$(seq $(SIM_FROM) $$(( $(SIM_FROM) + $(SIM_SEEDS) - 1 ))); do \
	  if out=$$(cd loadtest/sim && ../../$(BIN)/sim.test -test.v -test.run '^TestSeeds$$' -sim.seed $$seed 2>&1); \
	  then sed -nE 's/.*(seed [0-9]+: .*)/\1/p' <<<"$$out"; else echo "$$out"; failed=$$(( failed + 1 )); fi; \
	done; echo "$(SIM_SEEDS) seeds, $$failed failed"; [[ $$failed = 0 ]]

.PHONY: sim-mutants
sim-mutants: ## the simulation must notice each way in which the product is broken on purpose, 10 minutes
	$(GO) run ./loadtest/sim/mutants

.PHONY: micro
micro: ## the benchmarks beside the code
	$(GO) test -run '^$$' -bench . -benchmem ./...

.PHONY: bench
bench: build ## side by side with Apache Kafka on this machine, 8 minutes; BENCH='-long' and others, see bin/bench -help
	$(GO) build -trimpath -o $(BIN)/bench ./loadtest/bench
	$(BIN)/bench $(BENCH)

.PHONY: flood
flood: build ## what floods do to the latency of an honest client, 7 minutes; FLOOD='-rounds 5' and others, see bin/bench -help
	$(GO) build -trimpath -o $(BIN)/bench ./loadtest/bench
	$(BIN)/bench -only flood -systems tideline $(FLOOD)

.PHONY: bench-trace
bench-trace: build ## what tracing costs: processor time of a broker that traces beside one that does not, 7 minutes; TRACE='-rounds 9' and others, see bin/bench -help
	$(GO) build -trimpath -o $(BIN)/bench ./loadtest/bench
	$(BIN)/bench -only trace -systems tideline $(TRACE)

# What is handed out is decided by the commit: its time is that of all files, and its name has one length in every clone.
RELEASE_VERSION ?= $(shell git describe --tags --always --abbrev=12 --dirty 2>/dev/null || echo devel)
RELEASE_EPOCH   ?= $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null))
RELEASE_ARCH    ?= amd64,arm64
DIST            ?= dist

.PHONY: release
release: ## archives, Debian packages and OCI images for amd64 and arm64, bills of materials, checksums, in dist/
	$(GO) -C deploy/release build -trimpath -o $(CURDIR)/$(BIN)/release .
	$(BIN)/release -out '$(DIST)' -version '$(RELEASE_VERSION)' -commit '$(COMMIT)' -epoch '$(RELEASE_EPOCH)' -arch '$(RELEASE_ARCH)'

.PHONY: release-check
release-check: release ## made a second time elsewhere, the same bytes; package and image run in clean roots (Debian, root), 10 minutes
	scripts/release-check.sh '$(DIST)'
# Needs terraform and the AWS provider, from the registry or a mirror; see scripts/terraform.sh.
.PHONY: terraform
terraform: ## the AWS modules and examples against a mocked AWS, from fmt to destroy, 8 minutes; TERRAFORM=quick or examples for a part
	nice -n 10 scripts/terraform.sh $(TERRAFORM)

.PHONY: terraform-schema terraform-lint terraform-docs
terraform-schema: ## the modules for other clouds against the schema of their providers, and their plans by mocks, 2 minutes
	nice -n 10 scripts/terraform-schema.sh

terraform-lint: ## checkov and tflint over all modules and examples, a minute
	nice -n 10 scripts/terraform-lint.sh

terraform-docs: ## the tables of variables and outputs in the README of each module
	cd deploy/check && $(GO) run ./cmd/terraform-docs ../../terraform/modules/*/

.PHONY: zones
zones: ## the cloud-init of Terraform, run by three roots that boot, with zones that are lost; root and Linux; ZONES='-keep'
	$(GO) build -trimpath -o $(BIN)/zones ./loadtest/zones
	$(BIN)/zones $(ZONES)
.PHONY: helm
helm: ## the chart's own copies and table of values made anew, and the chart checked
	cd deploy/check && $(GO) test ./helm -count=1 -run 'TestReadme|TestCopies' -rewrite
	cd deploy/check && $(GO) test ./helm -count=1

.PHONY: trace-picture
trace-picture: ## one record's life in one trace: Python, three brokers, Zipkin, and docs/pictures/trace.png; needs mvn, npm and root
	$(GO) test -count=1 -timeout 60m -v -run '^TestLifeOfARecord$$' ./loadtest/trace -picture $(CURDIR)/docs/pictures/trace.png

# A verb of its own: the control plane is built from source, a quarter of an hour on two cores, once.
.PHONY: kube
kube: ## the chart applied to a real API server with nodes that are played, a minute once it is built
	scripts/kube.sh
	cd deploy/kube && $(GO) vet . && $(GO) run .

.PHONY: clean
clean: ## remove what build made; tools stay
	rm -rf $(BIN)
