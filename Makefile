# Targets that need root use sudo. Those that need packages of Debian install them.
# test/README.md says what the targets of the tests do.
VERSION ?= $(shell sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
SUDO    := $(shell [ "$$(id -u)" = 0 ] || echo "sudo env PATH=$$PATH:/usr/sbin:/sbin")
# Browsers speak HTTP/2 only with TLS, which a server before the page does. Without it
# the page takes 350 kB less.
BUILD   := CGO_ENABLED=0 go build -buildvcs=false -trimpath -tags nethttpomithttp2 -ldflags "-s -w -X main.version=$(VERSION)"
# A package of Debian for each: the monitor, its page and metrics, and its publisher.
PROGRAMS := service-monitor service-monitor-web service-monitor-mqtt
# GOARCH, and GOARM where it matters. Debian's armhf is arm.7 and its armel arm.5;
# arm.6 is armhf for the first Raspberry Pi.
TARGETS := amd64 arm64 arm.7 arm.6 arm.5
DEBS    := build/deb
REPO    := build/repo
# The largest programs that a gateway's flash has room for, in bytes.
MAXSIZE_service-monitor      := 8388608
MAXSIZE_service-monitor-web  := 12582912
MAXSIZE_service-monitor-mqtt := 9437184
NFPM_service-monitor         := nfpm.yaml
NFPM_service-monitor-web     := debian/web/nfpm.yaml
NFPM_service-monitor-mqtt    := debian/mqtt/nfpm.yaml
# Debian 11, 12 and 13, whose systemd is 247, 252 and 257. The tests boot a root of
# each. It is made once, and again after it was deleted.
RELEASES := bullseye bookworm trixie
# A fourth root: Debian 12 for ARM, which runs emulated.
SUITE_armhf := --arch=armhf bookworm
# The packages that the tests need in a root. The path of the roots contains this
# list, so that another list makes other roots.
PACKAGES := dbus,strace,systemd-sysv
ROOTS    ?= $(or $(XDG_CACHE_HOME),/var/cache)/service-monitor/$(PACKAGES)
# Servers of Debian that the tests start: nginx, Prometheus with an exporter, and mosquitto
# with its clients.
SERVERS  ?= $(or $(XDG_CACHE_HOME),/var/cache)/service-monitor/nginx,prometheus,prometheus-mqtt-exporter,mosquitto
export PATH := $(PATH):$(SERVERS)/usr/bin:$(SERVERS)/usr/sbin
# The release of this machine, if it is a Debian.
HOST     := $(shell . /etc/os-release && echo $$VERSION_CODENAME)
# The mirror that this machine's apt uses. If it is empty, debootstrap uses its own.
MIRROR   ?= $(shell apt-get indextargets --format '$$(REPO_URI) $$(LABEL)' | sed -nE '/^http.* Debian$$/{s/ .*//p;q}')
# The tests in test/ build the daemon themselves, which go test does not see. Without
# -count=1 it would show their last result again, even if the daemon has changed.
CODE     := ./cmd/... ./pipeline/... ./stages/...
WHOLE    := -count=1 ./test/...
BOOTED    = go test -buildvcs=false -tags booted -count=1 -p 1 -timeout 90m $(if $(SHORT),-short)

# What make test leaves out, see there. OWN are the tests of the daemon's own files, configuration,
# memory and threads, of what it answers, and those that boot no machine.
SHORT      ?=
OWN        := Disk|Idle|StalledJournal|Storm|Bench|FallBehind|Hang|Kill|Damage|PowerCuts|Planted.*|ByHand|Crowds|ManyServices|Check.*|Reload.*|Zone|Ask|LastWords|Folded|Lies.*|StateGone.*|DirectoriesGone|FileIsAway|Record.*|Years|Reproducible
BEDS        = $(if $(SHORT),$(patsubst %,./test/%,cases e2e gateway held packaging),./test/...)
SELECT      = $(if $(SHORT),-skip '^Test($(OWN))$$')
LIFE_armhf  = $(if $(SHORT),-run '^TestLife$$')

# need installs the packages $(2) if one of the commands or files $(1) is missing. Two
# jobs may need some at the same time.
need = set -e; PATH=$$PATH:/usr/sbin:/sbin; for c in $(1); do [ -e $$c ] || command -v $$c >/dev/null || missing=1; done; [ -z "$$missing" ] || { \
	$(SUDO) flock /var/lib/apt apt-get update -q; \
	$(SUDO) flock /var/lib/apt env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $(2); }

.PHONY: help build run test chain-booted chain-check quick check format deps booted versions emulation emulated arm cross deb repo lifecycle lint powercuts bench microbench fuzz record hooks clean
.PHONY: $(foreach r,$(RELEASES) armhf,booted-$r record-$r lifecycle-$r)

help: ## show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /\1\t/' | expand -t 10

# What is no target is a typing error.
.DEFAULT:
	@echo "there is no target $@; make alone lists the targets" >&2; exit 2

build: ## build the programs for this machine: build/service-monitor*
	@mkdir -p build
	$(BUILD) -o build/ $(PROGRAMS:%=./cmd/%)

run: build ## monitor this machine's services; without systemd, those of a throw-away gateway
	@if [ -d /run/systemd/system ]; then \
		mkdir -p build/run; [ "$$(id -u)" != 0 ] || chown -hR --reference=. build/run; \
		echo "monitoring all services of this machine; log and state file are in build/run; Ctrl-C stops"; \
		exec build/service-monitor -l build/run/service-monitor.log -p build/run/service_states.json --services '*.service'; \
	else $(MAKE) --no-print-directory deps && $(SUDO) go run -buildvcs=false ./test/demo build/service-monitor; fi

# Two chains run at a time, because the tests of the first mostly wait, and those of the second
# mostly compute. On other systemds than this machine's, it is enough to test what depends on
# systemd, so the tests in OWN are skipped, and those of the page. An emulated machine takes
# long, so the life of the daemon's package is enough there. Where a test tries the same thing
# with many random lives, -short tries fewer.
test: deps format ## run all tests, on booted machines too (50 minutes)
	SHORT=yes $(MAKE) --no-print-directory -j2 -Oline chain-booted chain-check

chain-booted: CHAIN := booted $(filter-out %-$(HOST),booted-bookworm booted-trixie)
chain-check:  CHAIN := check lint lifecycle lifecycle-armhf arm emulated
chain-booted chain-check:
	$(MAKE) --no-print-directory -j1 $(CHAIN)

quick: format ## in less than a minute: format, vet and the tests that need no root
	go vet ./...
	go test $(CODE)
	go test $(WHOLE)

check: format ## before a commit: quick, and staticcheck, tidy, race detector and 32 bits
	go mod tidy -diff
	go vet -tags booted,lifecycle ./...
	go tool staticcheck -tags booted,lifecycle ./...
	go test $(CODE)
	go test -short -race $(CODE)
	$(if $(SHORT),@echo "make booted runs the tests in test/",go test $(WHOLE))
	@mkdir -p build
	CGO_ENABLED=0 GOARCH=386 go build -buildvcs=false -o build/service-monitor-linux-386 ./cmd/service-monitor
	@build/service-monitor-linux-386 --version >/dev/null 2>&1; if [ $$? = 126 ]; then \
		echo "this kernel runs no 32-bit programs for x86; make arm runs the same tests as 32-bit programs for ARM"; \
	else set -x; CGO_ENABLED=0 GOARCH=386 go test $(CODE); fi

format:
	@test -z "$$(gofmt -l .)" || { gofmt -l .; echo "run gofmt -w on these"; exit 1; }

# Install the packages of Debian that the tests need.
deps: $(SERVERS)
	@$(call need,systemd-nspawn dbus-daemon gcc strace debootstrap mkfs.ext4 mkfs.xfs losetup man mandoc zsh openssl chromium /usr/share/bash-completion/bash_completion /usr/include/systemd/sd-bus.h, \
		systemd-container dbus gcc libc6-dev strace debootstrap debian-archive-keyring e2fsprogs xfsprogs mount man-db mandoc zsh openssl chromium bash-completion libsystemd-dev)

# These servers are unpacked and not installed, because Debian starts what it installs.
# mosquitto needs libraries that this machine may lack. Their names differ from release to
# release, so apt finds them. A script runs mosquitto with them, and is itself gone then: a
# signal to it is a signal to mosquitto.
$(SERVERS):
	$(SUDO) mkdir -p $(dir $@)
	$(SUDO) flock $(dir $@) sh -ec '[ ! -d $@ ] || exit 0; rm -rf $@.new; mkdir -p $@.new/usr/libexec; cd $@.new; chown _apt . || :; \
		apt-get update -q; apt-get download -q nginx prometheus prometheus-mqtt-exporter; \
		apt-get install -qy --reinstall --download-only --no-install-recommends -o Dir::Cache::archives=$$PWD mosquitto mosquitto-clients; \
		for d in *.deb; do dpkg-deb -x $$d .; rm $$d; done; rm -rf lock partial; \
		libs=$$(ls -d lib/*-linux-gnu* usr/lib/*-linux-gnu* 2>/dev/null | sed "s|^|$@/|" | paste -sd:); \
		for p in usr/sbin/mosquitto usr/bin/mosquitto_pub usr/bin/mosquitto_sub; do mv $$p usr/libexec/; \
			printf "#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s \"\$$@\"\n" $$libs $@/usr/libexec/$${p##*/} >$$p; chmod 755 $$p; done; \
		mv $@.new $@'

booted: ## run the tests that boot machines, on this machine's systemd
	$(SUDO) $(BOOTED) ./test/... ./cmd/service-monitor-web/... ./cmd/service-monitor-mqtt/...

versions: $(RELEASES:%=booted-%) ## run them on systemd 247, 252 and 257 (Debian 11, 12 and 13)

# An emulated machine has the memory and the speed of the emulator, and strace(1)
# and a second nsenter(1) do not work in it. So some tests are skipped.
booted-armhf: SELECT := -skip '^Test(Lies|Idle|Storm|Bench|FallBehind|StalledJournal|Disk|PowerCuts)$$'
$(RELEASES:%=booted-%) booted-armhf: booted-%: $(ROOTS)/%
	$(SUDO) env GATEWAY_SYSTEM=$(ROOTS)/$* $(BOOTED) $(SELECT) $(BEDS)

# A root gets its name when it is complete. debootstrap mounts file systems in it, in
# a mount namespace: they are gone afterwards, even if debootstrap was killed.
$(ROOTS)/armhf: | emulation
$(RELEASES:%=$(ROOTS)/%) $(ROOTS)/armhf: $(ROOTS)/%: | deps
	$(SUDO) mkdir -p $(ROOTS)
	$(SUDO) flock $(ROOTS) unshare --mount sh -ec '[ ! -d $@ ] || exit 0; rm -rf $@.new; \
		debootstrap --variant=minbase --include=$(PACKAGES) $(or $(SUITE_$*),$*) $@.new $(MIRROR); \
		rm -r $@.new/var/cache/apt/archives/*.deb $@.new/var/lib/apt/lists/*; mv $@.new $@'

# Let programs for ARM run here. They run in machines and roots, too, because the
# kernel opens the emulator only once, when it is registered (flag F, see
# systemd-binfmt(8)).
emulation: | deps
	@$(call need,qemu-arm-static,qemu-user-static)
	@[ -e /proc/sys/fs/binfmt_misc/register ] || $(SUDO) mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
	@for a in arm aarch64; do grep -qs '^flags:.*F' /proc/sys/fs/binfmt_misc/qemu-$$a || \
		$(SUDO) /usr/lib/systemd/systemd-binfmt qemu-$$a.conf; done

# Run the tests that need no machine as ARM programs, the recordings of systemd among
# them, and each program on the oldest CPU that it is built for.
arm: emulation cross
	GOARCH=arm GOARM=7 go test -buildvcs=false -short $(CODE)
	GOARCH=arm GOARM=7 go test -buildvcs=false -short -count=1 ./test/e2e
	set -e; for t in arm.5/arm926 arm.6/arm1176 arm.7/cortex-a7 arm64/cortex-a53; do \
		export QEMU_CPU=$${t#*/}; \
		build/service-monitor-linux-$${t%/*} --check --config debian/config.json; \
		for p in $(PROGRAMS); do build/$$p-linux-$${t%/*} --version; done; done

# Test the emulated machine that the lifecycle on ARM runs in. On other machines
# TestEmulation has nothing to test.
emulated: $(ROOTS)/armhf
	$(SUDO) env GATEWAY_SYSTEM=$(ROOTS)/armhf $(BOOTED) -run '^Test(Emulation|Copy)$$' ./test/gateway

lifecycle: $(RELEASES:%=lifecycle-%) ## install, upgrade and purge the packages on Debian 11, 12 and 13

$(RELEASES:%=lifecycle-%) lifecycle-armhf: lifecycle-%: $(ROOTS)/% | deps
	@$(call need,gpg apt-ftparchive,gnupg apt-utils)
	$(SUDO) go test -buildvcs=false -tags lifecycle -count=1 -timeout 40m $(LIFE_$*) ./test/lifecycle -args -system=$(ROOTS)/$*

# Build the programs for each architecture, static, and check the sizes.
cross: $(foreach p,$(PROGRAMS),$(TARGETS:%=cross/$p/%))

cross/%:
	@out=build/$(*D)-linux-$(*F); t=$(*F); most=$(MAXSIZE_$(*D)); \
		GOARCH=$${t%.*} GOARM=$${t#*.} $(BUILD) -o $$out ./cmd/$(*D) || exit; \
		size=$$(stat -c %s $$out); echo "$$out: $$size bytes"; \
		if [ $$size -gt $$most ]; then echo "$$out is larger than $$most bytes"; exit 1; fi

# The same commit gives the same bytes, so each file has the time of the changelog.
deb: export SOURCE_DATE_EPOCH = $(shell date -d "$$(sed -n '/^ -- /{s/.*>  //p;q}' debian/changelog)" +%s)
deb: cross ## build the Debian packages: build/deb/*.deb
	@mkdir -p build/package $(DEBS)/armv6
	@for f in changelog service-monitor.5 service-monitor.8 web/service-monitor-web.8 mqtt/service-monitor-mqtt.8; do gzip -9nc debian/$$f >build/package/$${f##*/}.gz; done
	@set -e; for t in $(TARGETS); do \
		out=$(DEBS); [ $$t != arm.6 ] || out=$(DEBS)/armv6; \
		export VERSION=$(VERSION) ARCH=$$(echo $$t | tr -d .); \
		$(foreach p,$(PROGRAMS),BINARY=build/$p-linux-$$t go tool nfpm package --config $(NFPM_$p) --packager deb --target $$out;) done

repo: deb ## build a signed apt repository of them: build/repo (KEY= your key)
	@$(call need,gpg apt-ftparchive,gnupg apt-utils)
	debian/repository $(DEBS) $(REPO)

# piuparts installs the packages for this machine's architecture in a Debian. What they
# depend on comes from the repository. lintian
# is not to look for misspelt words in the programs: Go keeps its strings without gaps,
# and the end of one and the beginning of the next may look like a word.
lint: repo $(ROOTS)/bookworm ## check the packages with lintian, piuparts and shellcheck
	@$(call need,lintian piuparts shellcheck,lintian piuparts shellcheck)
	shellcheck debian/postinst debian/prerm debian/postrm debian/repository $(foreach d,web mqtt,debian/$d/postinst debian/$d/prerm debian/$d/postrm)
	shellcheck --shell=bash debian/completion.bash debian/web/completion.bash debian/mqtt/completion.bash
	lintian --allow-root --display-info --pedantic --suppress-tags spelling-error-in-binary --fail-on error,warning,info,pedantic $(DEBS)/*.deb $(DEBS)/armv6/*.deb
	$(SUDO) piuparts --existing-chroot=$(ROOTS)/bookworm --distribution=bookworm --mirror='$(MIRROR) main' \
		--bindmount=$(abspath $(REPO)) --extra-repo='deb [trusted=yes] file:$(abspath $(REPO)) stable main' \
		--no-upgrade-test --install-remove-install --install-purge-install --log-level=error \
		$(DEBS)/*_$$(dpkg --print-architecture).deb

# Cut the power of the monitor CUTS times, while services crash in loops.
powercuts: deps
	$(SUDO) $(BOOTED) -v ./test/powercuts -args -cuts=$(or $(CUTS),300) -seed=$(or $(SEED),0)

bench: build deb deps ## measure what the daemon costs: build/bench (test/bench/README.md)
	@mkdir -p build/bench
	go build -buildvcs=false -o build/bench/bench ./test/bench
	$(SUDO) build/bench/bench $(BENCH)

# Report nanoseconds and allocations for each signal.
microbench:
	go test -run '^$$' -bench . -benchmem ./stages/decode ./stages/classify ./stages/bus/wire

# Fuzz the readers of D-Bus data against godbus, and what a client may send, a minute each.
fuzz:
	go test -run '^$$' -fuzz FuzzChanged -fuzztime 1m -fuzzminimizetime 100x ./stages/decode
	go test -run '^$$' -fuzz FuzzBody -fuzztime 1m -fuzzminimizetime 100x ./stages/bus/wire
	go test -run '^$$' -fuzz FuzzHeader -fuzztime 1m -fuzzminimizetime 100x ./stages/bus/wire
	go test -run '^$$' -fuzz FuzzQuery -fuzztime 1m -fuzzminimizetime 100x ./cmd/service-monitor-web/internal/server
	go test -run '^$$' -fuzz FuzzTimeline -fuzztime 1m -fuzzminimizetime 100x ./cmd/internal/view
	go test -run '^$$' -fuzz FuzzFrames -fuzztime 1m -fuzzminimizetime 100x ./cmd/service-monitor-mqtt/internal/broker

# Record the signals of cases that have no recording yet.
record: $(RELEASES:%=record-%)

$(RELEASES:%=record-%): record-%: $(ROOTS)/%
	$(SUDO) env GATEWAY_SYSTEM=$(ROOTS)/$* $(BOOTED) -run TestCases ./test/e2e -args -record

# Let git run make check before each commit.
hooks:
	mkdir -p "$$(git rev-parse --git-path hooks)"
	printf '#!/bin/sh\nexec make check\n' > "$$(git rev-parse --git-path hooks)/pre-commit"
	chmod +x "$$(git rev-parse --git-path hooks)/pre-commit"

clean: ## remove what was built, but not the key of the apt repository
	@[ ! -d build ] || find build -mindepth 1 -maxdepth 1 ! -name repo.key -exec rm -rf {} +
