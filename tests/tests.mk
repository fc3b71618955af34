# Tests: how they are built and run. Included by the Makefile.
#
# tests/unit/X_test.cc   GoogleTest, one binary each           tests/fuzz/X_fuzz.cc   libFuzzer, clang only
# tests/sim              the simulator                          tests/bench/X_bench.cc Google Benchmark
# tests/model            SPIN models
# tests/*/X_test.py      Python, against the tree or real processes (tests/harness.py)
UNIT_TESTS := $(patsubst tests/unit/%.cc,$(O)/tests/unit/%,$(wildcard tests/unit/*_test.cc))
SIM_SOURCES := $(sort $(wildcard tests/sim/*.cc))
SIM := $(if $(wildcard tests/sim/main.cc),$(O)/tests/skua-sim)
TOOLS := $(patsubst tests/tools/%.cc,$(O)/tests/%,$(wildcard tests/tools/*.cc))
ALL_LIBS := $(foreach l,fuse cli client blocks shard cdc registry raft core,$(O)/lib$(l).a)
SUITES ?=

$(O)/tests/unit/%: $(O)/obj/tests/unit/%.o $(ALL_LIBS)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK $@")
	$(Q)$(CXX) $(LDFLAGS) -o $@ $(filter %.o,$^) -Wl,--start-group $(ALL_LIBS) -Wl,--end-group -lfuse3 -lgtest -lgtest_main $(LIBS)
$(O)/tests/unit/group_world_test: $(O)/obj/tests/unit/group_world.o $(O)/obj/tests/unit/group_world_run.o
$(O)/tests/skua-sim: $(call objects,$(SIM_SOURCES)) $(ALL_LIBS)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK $@")
	$(Q)$(CXX) $(LDFLAGS) -o $@ $(call objects,$(SIM_SOURCES)) -Wl,--start-group $(ALL_LIBS) -Wl,--end-group $(LIBS)
$(O)/tests/%: $(O)/obj/tests/tools/%.o $(ALL_LIBS)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK $@")
	$(Q)$(CXX) $(LDFLAGS) -o $@ $< -Wl,--start-group $(ALL_LIBS) -Wl,--end-group $(LIBS)

# Fuzz targets are a flavour of their own: everything they link is instrumented.
FUZZ_O := build/fuzz
FUZZ_TARGETS := $(patsubst tests/fuzz/%.cc,%,$(wildcard tests/fuzz/*_fuzz.cc))
FUZZ_LIBS := $(foreach l,blocks shard cdc registry raft core,$(FUZZ_O)/lib$(l).a)
FUZZ_FLAGS := -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -DSKUA_SANITIZED -O1
ifeq ($(O),$(FUZZ_O))
fuzz-binaries: $(foreach t,$(FUZZ_TARGETS),$(O)/tests/fuzz/$(t))
$(O)/tests/fuzz/%: $(O)/obj/tests/fuzz/%.o $(FUZZ_LIBS)
	@mkdir -p $(@D)
	$(if $(V),,@echo "  LINK $@")
	$(Q)$(CXX) -fuse-ld=lld-19 -fsanitize=fuzzer,address,undefined -o $@ $< -Wl,--start-group $(FUZZ_LIBS) -Wl,--end-group $(LIBS_CORE)
else
fuzz-binaries:
	+@$(MAKE) --no-print-directory O=$(FUZZ_O) CXX=clang++-19 EXTRA='$(FUZZ_FLAGS)' fuzz-binaries
endif

test-binaries: all $(UNIT_TESTS) $(SIM) $(TOOLS)

# Each suite may be run alone: make test SUITES=unit,cluster
test: test-binaries $(if $(SAN),,fuzz-binaries)
	@python3 tests/run.py --build $(O) $(if $(SUITES),--suites "$(SUITES)") $(if $(SAN),--sanitized)
test-long: test-binaries fuzz-binaries
	@python3 tests/run.py --build $(O) --long $(if $(SUITES),--suites "$(SUITES)")
	+@$(MAKE) --no-print-directory SAN=address,undefined test
	+@$(MAKE) --no-print-directory SAN=thread SUITES=unit test

SEED ?= 1
RUNS ?= $(if $(TRACE),1,20)
sim: $(SIM)
	$(if $(SIM),,@echo "there is no simulator yet: docs/status.md" >&2; exit 1)
	@$(SIM) --seed $(SEED) --runs $(RUNS) $(if $(TRACE),--trace) $(FLAGS)

demo: all
	@tools/demo.sh
bench: all
	@python3 tests/bench/bench.py --build $(O)
bench-record: all
	@python3 tests/bench/bench.py --build $(O) --record
protocol: $(O)/tests/protocol
	$(O)/tests/protocol > docs/protocol.md
lint:
	@python3 tests/lint.py
	@clang-format-19 --dry-run -Werror $$(git ls-files '*.cc' '*.h')

.PHONY: test test-long test-binaries fuzz-binaries sim demo bench bench-record lint protocol
