# make help lists what there is. `make test` is everything CI runs.

SHELL       := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.ONESHELL:
.DEFAULT_GOAL := help

export CGO_ENABLED ?= 0
export GOTOOLCHAIN ?= local
export GOFLAGS     ?= -buildvcs=auto

VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# A Debian version begins with a digit.
DEBVERSION = $(patsubst v%,%,$(if $(filter v0% v1% v2% v3% v4% v5% v6% v7% v8% v9%,$(VERSION)),$(VERSION),v0.0.0~git$(VERSION)))
LDFLAGS  := -s -w -X storehub/internal/buildinfo.version=$(VERSION)
TOOLS    := $(CURDIR)/.tools
LINT     := $(TOOLS)/golangci-lint
LINT_VERSION := v2.15.0
NFPM     := $(TOOLS)/nfpm
NFPM_VERSION := v2.45.2
PEBBLE   := $(TOOLS)/pebble
PEBBLE_VERSION := v2.10.3
CYCLONEDX := $(TOOLS)/cyclonedx-gomod
CYCLONEDX_VERSION := v1.10.0
GOVULNCHECK_VERSION := v1.9.0
PLATFORMS := linux/amd64 linux/arm64 linux/arm/7 windows/amd64 darwin/arm64
DEBIAN := $(TOOLS)/debian
OPENRC := $(TOOLS)/openrc
FUZZTIME ?= 10s
RACEFLAGS ?= -shuffle=on
PATH := $(PATH):/usr/sbin:/sbin

# What the tests need of the system, as command:package pairs.
APT := gcc:gcc ip:iproute2 unshare:util-linux nft:nftables dnsmasq:dnsmasq-base systemd-analyze:systemd \
       busybox:busybox-static ethtool:ethtool strace:strace mkfs.ext4:e2fsprogs mount:mount pg_ctlcluster:postgresql pdftotext:poppler-utils promtool:prometheus \
       dbus-daemon:dbus-daemon avahi-daemon:avahi-daemon avahi-browse:avahi-utils \
       node:nodejs npm:npm chromium:chromium certutil:libnss3-tools lintian:lintian debootstrap:debootstrap systemd-nspawn:systemd-container rpm:rpm buildah:buildah \
       prometheus-blackbox-exporter:prometheus-blackbox-exporter dig:bind9-dnsutils pgrep:procps curl:curl ping:iputils-ping named:bind9 \
       gpg:gpg gpg-agent:gpg-agent gpgv:gpgv debsig-verify:debsig-verify

MSIAPT := wixl:wixl msiinfo:msitools osslsigncode:osslsigncode

.PHONY: help
help: ## list these targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F':.*## ' '{printf "  %-16s %s\n", $$1, $$2}'

.PHONY: run
run: ## the whole system on this machine: sandbox, headquarters, hub, three readers
	go run ./cmd/hub try

.PHONY: test
test: apt check race platforms js test-windows ## everything CI runs: checks, all tests with the race detector, builds for every platform, the tills' client, the service under wine
	@echo "make test: all passed"

.PHONY: check
check: $(LINT) ## formatting, vet on three systems, lint, tidy modules, the architecture and the documents
	@test -z "$$(gofmt -l . | tee /dev/stderr)" || { echo "check: run gofmt -w on these"; exit 1; }
	go mod verify >/dev/null
	go mod tidy -diff
	go vet ./...
	for bench in queue hq till; do
	  go -C bench/$$bench mod tidy -diff
	  go -C bench/$$bench vet ./...
	done
	GOOS=windows go vet ./...
	GOOS=darwin GOARCH=arm64 go vet ./...
	$(LINT) run --allow-parallel-runners ./...
	go test -count=1 .

# SQLite is C that was translated: it knows nothing of Go's rules for memory, and takes most of the
# tests' time when each of its accesses is watched. All else is watched: a package that shares generic
# code with others, as modernc.org/libc does sync.Map's, must be, or the others' is not either.
RACE := -race -gcflags='modernc.org/sqlite/lib=-race=false'

.PHONY: race
race: apt $(PEBBLE) $(NFPM) $(DEBIAN).made $(OPENRC).made ## all tests with the race detector, in random order
	CGO_ENABLED=1 go test $(RACE) -timeout 20m $(RACEFLAGS) ./...
	go -C bench/queue test ./...
	go -C bench/hq test ./...
	go -C bench/till test ./...

.PHONY: quick
quick: $(PEBBLE) ## all tests without the race detector, results cached
	go test ./...

.PHONY: golden
golden: ## write the golden files anew; review the difference before committing
	go test ./... -run 'Golden|Report|Metrics|Help|Script' -update

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (default 10s)
	@for pkg in $$(go list ./...); do
	  dir=$$(go list -f '{{.Dir}}' $$pkg)
	  for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$dir/*_test.go 2>/dev/null | sed 's/func //' | sort -u); do
	    echo "fuzz $$pkg $$f"
	    # The time being over in the middle of a run is sometimes reported as a failure
	    # of its own; only an input that fails is one.
	    go test $$pkg -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) 2>&1 | tee /tmp/fuzz.$$$$ ||
	      { grep -q 'context deadline exceeded' /tmp/fuzz.$$$$ && ! grep -q 'Failing input' /tmp/fuzz.$$$$; }
	    rm -f /tmp/fuzz.$$$$
	  done
	done

SIMTIME ?= 1m
.PHONY: sim
sim: ## a random walk of everything that goes wrong in a shop, for SIMTIME (default 1m)
	CGO_ENABLED=1 go test ./internal/storesim $(RACE) -v -timeout 0 -run TestWalk -simtime $(SIMTIME)

SOAKSTRIDE ?= 1
.PHONY: soak
soak: apt ## the queue's long proofs, hours: 1,000 kills, every byte flipped (SOAKSTRIDE=n: one in n), 200 fillings
	go test ./offlinequeue -count=1 -v -timeout 0 -run '^(TestNothingAcknowledgedIsLost|TestWhatIsAcknowledgedIsOnBothDisks|TestOneFlippedByte|TestQueueAgainstAMap)' \
	  -args -soak -stride $(SOAKSTRIDE) -rapid.checks 1000
	go test ./offlinequeue -count=1 -timeout 0 -args -encrypted

SIMOPERATIONS ?= 5000
SIMSTORES ?= 20
.PHONY: sim-hq
sim-hq: apt ## exactly once with replicas and a database that are killed, for SIMOPERATIONS (default 5000) of SIMSTORES (20)
	CGO_ENABLED=1 go test ./hq $(RACE) -v -timeout 0 -database postgres -run TestMoney_2_1_ExactlyOnce \
	  -simoperations $(SIMOPERATIONS) -simstores $(SIMSTORES)

SIMDAYS ?= 30
.PHONY: sim-heartbeats
sim-heartbeats: apt ## one store's heartbeats for SIMDAYS (default 30), and the rows that headquarters keeps of them
	go test ./hq -count=1 -v -timeout 0 -run TestMoney_1_1_AMonthOfHeartbeats -simdays $(SIMDAYS)

OUTAGE ?= 100000
.PHONY: sim-outage
sim-outage: ## the backlog of 40 h without headquarters, taken little by little: nothing lapses; of OUTAGE operations (default 100000)
	go test ./offlinequeue -count=1 -v -timeout 0 -run TestMoney_3_2_NothingLapses -outage $(OUTAGE)

.PHONY: bench-queue
bench-queue: ## durable enqueue beside five other stores and a bare file; recovery, drain (docs/benchmarks.md)
	go -C bench/queue run . $(BENCHFLAGS)

.PHONY: bench-hq
bench-hq: apt ## headquarters for a fleet: hubs held, tokens beside nginx, operations into PostgreSQL, fan-out, the opening hour (docs/scale.md)
	$(MAKE) --no-print-directory apt APT="nginx:nginx-light"
	go -C bench/hq run . $(BENCHFLAGS)

.PHONY: bench-token
bench-token: apt ## a connection token through the hub beside nginx and Caddy, with 1, 8 and 64 connections (docs/benchmarks.md)
	$(MAKE) --no-print-directory apt APT="nginx:nginx-light caddy:caddy wrk:wrk"
	go -C bench/till run . $(BENCHFLAGS)

.PHONY: bench-abuse
bench-abuse: ## a till's token while 2,000 connections abuse the hub for a minute, on loopback (docs/benchmarks.md)
	go -C bench/till run . -part abuse $(BENCHFLAGS)

.PHONY: bench-scrape
bench-scrape: apt ## scrape a hub with 500 readers beside Debian's node_exporter; prints a table of docs/benchmarks.md
	$(MAKE) --no-print-directory apt APT="prometheus-node-exporter:prometheus-node-exporter"
	mkdir -p dist
	go test ./hub -count=1 -v -run '^TestAScrapeOfManyReaders' -args -scrape-table $(CURDIR)/dist/bench-scrape.md

FOOTPRINTTIME ?= 600
.PHONY: bench-footprint
bench-footprint: apt ## start, size and what an idle hub takes in FOOTPRINTTIME seconds (default 600), beside node_exporter and avahi (as root)
	$(MAKE) --no-print-directory apt APT="prometheus-node-exporter:prometheus-node-exporter avahi-daemon:avahi-daemon unshare:util-linux"
	mkdir -p dist
	go build -trimpath -ldflags '$(LDFLAGS)' -o dist/hub-footprint ./cmd/hub
	bench/footprint.sh dist/hub-footprint $(FOOTPRINTTIME)

WEARCAPTURES ?= 200
WEARTIME ?= 600
.PHONY: bench-wear
bench-wear: apt ## what a hub has its disk write for WEARCAPTURES captures (default 200), and idle for WEARTIME seconds (600), beside a plain file (as root)
	mkdir -p dist
	go build -trimpath -ldflags '$(LDFLAGS)' -o dist/hub-wear ./cmd/hub
	bench/wear.sh dist/hub-wear $(WEARCAPTURES) $(WEARTIME)

.PHONY: bench-traffic
bench-traffic: apt ## count the bytes of one look at a healthy network, in a shop of namespaces (as root)
	go test ./internal/lab -count=1 -timeout 15m -v -run '^TestExam$$' -args -exam healthy

.PHONY: lab-exam
lab-exam: apt ## put every fault into a shop of namespaces and ask the doctor; prints the table of docs/lab.md (as root)
	mkdir -p dist
	go test ./internal/lab -count=1 -timeout 30m -v -run '^TestExam$$' -args -exam all -distant 20 -labs 2 -table $(CURDIR)/dist/lab-exam.md

.PHONY: lab-readers
lab-readers: apt ## have things befall readers in shops of namespaces and time what the hub says; prints a table of docs/lab.md (as root)
	mkdir -p dist
	go test ./internal/lab -count=1 -timeout 15m -v -run '^TestReadersAre' -args -reader-limit 20s -labs 3 -table $(CURDIR)/dist/lab-readers.md

.PHONY: lab-compare
lab-compare: apt ## put the doctor beside blackbox_exporter and a person's usual tools; prints a table of docs/lab.md (as root)
	mkdir -p dist
	go test ./internal/lab -count=1 -timeout 30m -v -run '^TestCompare$$' -args -compare -labs 1 -table $(CURDIR)/dist/lab-compare.md

.PHONY: platforms
platforms: ## build hub and hq for every platform, stripped, into dist/, and say how large they are
	@mkdir -p dist
	for p in $(PLATFORMS); do
	  IFS=/ read -r os arch arm <<<"$$p"
	  for cmd in hub hq; do
	    out=dist/$$cmd-$$os-$$arch$${arm:+v$$arm}; [ $$os = windows ] && out=$$out.exe
	    GOOS=$$os GOARCH=$$arch GOARM=$$arm go build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/$$cmd
	    printf '%-28s %6.1f MiB\n' $$out $$(stat -c %s $$out | awk '{print $$1/1048576}')
	  done
	done

.PHONY: js
js: apt ## the tills' TypeScript client: types, that dist is what src builds, its tests; a till and both consoles in Chromium
	@mkdir -p dist
	hub=$(CURDIR)/dist/hub-$$(go env GOOS)-$$(go env GOARCH)
	go build -trimpath -ldflags '$(LDFLAGS)' -o $$hub ./cmd/hub
	go test -c -o $(CURDIR)/dist/hqconsole.test ./hq/console
	cd packaging/js
	npm ci --ignore-scripts --silent
	fresh=$$(mktemp -d)
	trap 'rm -rf "$$fresh"' EXIT
	npx tsc --outDir $$fresh
	diff -r $$fresh dist || { echo "js: dist is old; run npm run build in packaging/js"; exit 1; }
	npm test --silent
	HUB=$$hub HQCONSOLE=$(CURDIR)/dist/hqconsole.test npm run test:browser --silent

.PHONY: screenshots
screenshots: apt ## the pictures of README and docs, of a hub and a headquarters that run (docs/screenshots)
	@mkdir -p dist
	hub=$(CURDIR)/dist/hub-$$(go env GOOS)-$$(go env GOARCH)
	go build -trimpath -ldflags '$(LDFLAGS)' -o $$hub ./cmd/hub
	go test -c -o $(CURDIR)/dist/hqconsole.test ./hq/console
	cd packaging/js
	npm ci --ignore-scripts --silent
	HUB=$$hub HQCONSOLE=$(CURDIR)/dist/hqconsole.test OUT=$(CURDIR)/docs/screenshots npm run screenshots --silent

.PHONY: msi
msi: platforms ## the installer for Windows, into dist/; signed with SIGN_KEY and SIGN_CERT, if they are set
	$(MAKE) --no-print-directory apt APT="$(MSIAPT)"
	VERSION=$(VERSION) SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) packaging/windows/build.sh dist

.PHONY: test-windows
test-windows: platforms ## the installer's tables and signatures, and the service under wine (Debian, as root)
	$(MAKE) --no-print-directory apt APT="$(MSIAPT) wine:wine /usr/lib/wine/wine64:wine64 x86_64-w64-mingw32-gcc:gcc-mingw-w64-x86-64-win32 curl:curl"
	go test ./packaging/windows -count=1 -v -args -exe $(CURDIR)/dist/hub-windows-amd64.exe

.PHONY: dist
dist: platforms msi sbom $(NFPM) ## platforms, packages for Debian and rpm, archives, the installer for Windows, and checksums, into dist/; signed with SIGN_PGP_KEY, if it is set
	VERSION=$(DEBVERSION) NFPM=$(NFPM) SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) packaging/build.sh dist
	packaging/sums.sh dist

.PHONY: images
images: platforms ## container images of hub and headquarters, storehub:VERSION and storehub-hq:VERSION, by BUILDER (docker, podman or buildah)
	for program in hub hq; do
	  name=storehub$$([ $$program = hub ] || echo -hq)
	  VERSION=$(VERSION) packaging/container/build.sh $$program $$(go env GOARCH) $$name:$(VERSION)
	done

.PHONY: apt
apt: ## install what the tests need of the system, if it is missing (Debian, as root)
	@need=(); for p in $(APT); do command -v "$${p%%:*}" >/dev/null || need+=("$${p#*:}"); done
	[ $${#need[@]} = 0 ] && exit 0
	echo "installing $${need[*]}"
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then echo "make apt: install $${need[*]} and try again"; exit 1; fi
	export DEBIAN_FRONTEND=noninteractive
	# No package's service is started; the tests start what they need.
	policy=/usr/sbin/policy-rc.d
	if [ ! -e $$policy ]; then
	  trap "rm -f $$policy" EXIT
	  printf '#!/bin/sh\nexit 101\n' > $$policy && chmod +x $$policy
	fi
	apt-get update -qq
	apt-get install -y -qq --no-install-recommends "$${need[@]}" >/dev/null

$(LINT):
	GOBIN=$(TOOLS) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION)

$(NFPM):
	GOBIN=$(TOOLS) go install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)

$(PEBBLE):
	GOBIN=$(TOOLS) go install github.com/letsencrypt/pebble/v2/cmd/pebble@$(PEBBLE_VERSION)

# The tree of a Debian with systemd, for the tests of the packages.
$(DEBIAN).made: | apt
	rm -rf $(DEBIAN)
	debootstrap --variant=minbase --include=systemd,systemd-sysv,init-system-helpers,dbus bookworm $(DEBIAN) >/dev/null
	touch $@

# OpenRC's programs, unpacked: installed it would be this machine's own first process.
$(OPENRC).made: | apt
	rm -rf $(OPENRC) && mkdir -p $(OPENRC)/usr $(OPENRC)/debs
	apt-get update -qq
	cd $(OPENRC)/debs && apt-get -o APT::Sandbox::User=root download -qq openrc libeinfo1 librc1
	for deb in *.deb; do dpkg-deb -x $$deb ../tree; done
	cd .. && for part in bin sbin lib; do [ ! -d tree/$$part ] || { mkdir -p usr/$$part; cp -a tree/$$part/. usr/$$part/; }; done
	[ ! -d tree/usr ] || cp -a tree/usr/. usr/
	rm -rf debs tree
	touch $@

$(CYCLONEDX):
	GOBIN=$(TOOLS) go install github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)

.PHONY: sbom
sbom: $(CYCLONEDX) ## what hub and hq are built of, with hashes and licences (CycloneDX), into dist/
	mkdir -p dist
	for cmd in hub hq; do
	  $(CYCLONEDX) app -json -licenses -main ./cmd/$$cmd -output dist/$$cmd.cdx.json . 2>/dev/null
	  printf '%-20s %s modules\n' dist/$$cmd.cdx.json $$(grep -c '"purl": "pkg:golang' dist/$$cmd.cdx.json)
	done

.PHONY: vuln
vuln: ## known vulnerabilities in what is called (govulncheck); needs its database on the internet, or a copy: VULNDB=file:///path
	@if ! command -v $(TOOLS)/govulncheck >/dev/null; then GOBIN=$(TOOLS) go install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION); fi
	$(TOOLS)/govulncheck $(if $(VULNDB),-db $(VULNDB)) ./... || { rc=$$?; [ $$rc = 3 ] || echo "make vuln: NOT CHECKED: the database of vulnerabilities was not reached; name a copy with VULNDB=file:///path"; exit $$rc; }

.PHONY: scan
scan: apt ## look at the hub's port as a tester would, in a sealed namespace (nmap, testssl; as root; docs/scan.md)
	$(MAKE) --no-print-directory apt APT="nmap:nmap testssl:testssl.sh"
	mkdir -p dist && go build -o dist/hub-scan ./cmd/hub
	unshare -n packaging/scan.sh dist/hub-scan dist

.PHONY: clean
clean: ## remove what was built
	rm -rf dist .tools
