# SkuaFS: one Makefile for everything.
#
#   make               build the binaries into build/release/
#   make demo          build, start a cluster, use it, break it, measure it, take it down
#   make test          every test, at most 15 minutes          make test-long   the same, longer, with sanitizers
#   make sim SEED=n RUNS=m   m simulated runs from seed n      make sim SEED=n TRACE=1   one, told step by step
#   make bench         figures with their bounds, into build/bench.json; make bench-record writes them to docs/
#   make deps          install what is missing from Debian     make format, make lint
#   make protocol     docs/protocol.md from the declarations
#   make install PREFIX=/usr/local DESTDIR=                    make uninstall, make clean, make help
#
# Variables: BUILD=release|debug, SAN=address,undefined or SAN=thread, CXX=clang++-19 or g++, V=1 to see commands.
BUILD ?= release
SAN ?=
V ?=
comma := ,
ifeq ($(origin CXX),default)
CXX := clang++-19
endif
PREFIX ?= /usr/local
DESTDIR ?=
FLAVOUR := $(BUILD)$(if $(SAN),-$(subst $(comma),-,$(SAN)))$(if $(findstring clang,$(CXX)),,-gcc)
O ?= build/$(FLAVOUR)
CCACHE := $(shell command -v ccache 2>/dev/null)
Q := $(if $(V),,@)

VERSION := 0.1.0
CPPFLAGS += -I. -DSKUA_VERSION='"$(VERSION)"' -D_FILE_OFFSET_BITS=64 -DSPDLOG_COMPILED_LIB -DSPDLOG_FMT_EXTERNAL
CXXFLAGS += -std=c++23 -g1 -Wall -Wextra -Werror -MMD -MP
ifeq ($(BUILD),debug)
CXXFLAGS += -O1 -fno-omit-frame-pointer -DSKUA_DEBUG
else
CXXFLAGS += -O2
endif
ifneq ($(SAN),)
CXXFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all -DSKUA_SANITIZED
LDFLAGS += -fsanitize=$(SAN)
endif
ifneq ($(findstring clang,$(CXX)),)
LDFLAGS += -fuse-ld=lld-19
else
# g++ 12 warns of overlap where std::string copies into itself (GCC bugs 105329, 105651), and of the else inside EXPECT_*.
CXXFLAGS += -Wno-maybe-uninitialized -Wno-missing-field-initializers -Wno-restrict -Wno-dangling-else
endif
CXXFLAGS += $(EXTRA)
LIBS_CORE := -luring -lrocksdb -lisal -lxxhash -lcrypto -lspdlog -lfmt -lpthread
LIBS := $(LIBS_CORE) $(if $(SAN),,-ljemalloc)

# --- what is built from what --------------------------------------------------------------------------
# A program is its main file and the libraries of the folders it may know (tests/include_test.py checks).
sources = $(sort $(filter-out %/main.cc,$(wildcard $(addsuffix /*.cc,$(1)))))
LIB_core     := $(call sources,core/base core/wire core/async core/net core/store core/data)
LIB_raft     := $(call sources,raft)
LIB_registry := $(call sources,registry registry/ops)
LIB_shard    := $(call sources,shard shard/ops)
LIB_cdc      := $(call sources,cdc cdc/ops)
LIB_blocks   := $(call sources,blocks blocks/ops)
LIB_client   := $(call sources,client)
LIB_cli      := $(call sources,client/cli)
LIB_fuse     := $(call sources,fuse fuse/requests)
LIBRARIES := core raft registry shard cdc blocks client cli fuse

PROGRAMS := skua skua-registry skua-cdc skua-shard skua-blocks skua-fuse
USES_skua          := cli client core
USES_skua-registry := registry raft core
USES_skua-cdc      := cdc raft core
USES_skua-shard    := shard raft core
USES_skua-blocks   := blocks core
USES_skua-fuse     := fuse client core
MAIN_skua          := client/cli/main.cc
MAIN_skua-registry := registry/main.cc
MAIN_skua-cdc      := cdc/main.cc
MAIN_skua-shard    := shard/main.cc
MAIN_skua-blocks   := blocks/main.cc
MAIN_skua-fuse     := fuse/main.cc
LIBS_skua-fuse     := -lfuse3

BINARIES := $(foreach p,$(PROGRAMS),$(if $(wildcard $(MAIN_$(p))),$(O)/$(p)))

.DEFAULT_GOAL := all
all: $(BINARIES) compile_commands.json

objects = $(patsubst %.cc,$(O)/obj/%.o,$(1))
define library
$(O)/lib$(1).a: $$(call objects,$$(LIB_$(1)))
endef
$(foreach l,$(LIBRARIES),$(eval $(call library,$(l))))
$(O)/lib%.a:
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $^

define program
$(O)/$(1): $(call objects,$(MAIN_$(1))) $(foreach l,$(USES_$(1)),$(O)/lib$(l).a)
	$(if $(V),,@echo "  LINK $$@")
	$(Q)$(CXX) $(LDFLAGS) -o $$@ $$^ $(LIBS_$(1)) $(LIBS)
endef
$(foreach p,$(PROGRAMS),$(eval $(call program,$(p))))

$(O)/obj/%.o: %.cc | deps-quick
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CXX $<")
	$(Q)$(CCACHE) $(CXX) $(CPPFLAGS) $(CXXFLAGS) -c $< -o $@

ALL_SOURCES := $(foreach l,$(LIBRARIES),$(LIB_$(l))) $(wildcard $(foreach p,$(PROGRAMS),$(MAIN_$(p))))
compile_commands.json: Makefile tools/compile_commands.py
	@python3 tools/compile_commands.py '$(CXX) $(CPPFLAGS) $(filter-out -MMD -MP,$(CXXFLAGS))' > $@

# --- what it needs from Debian -------------------------------------------------------------------------
deps:
	@tools/deps.sh
deps-quick:
	@tools/deps.sh --quick

-include tests/tests.mk

# --- installing: skua into bin, the daemons beside it in libexec/skua; man pages and completion from the commands' own words
INSTALLED := $(DESTDIR)$(PREFIX)
install: all
	install -d $(INSTALLED)/bin $(INSTALLED)/libexec/skua $(INSTALLED)/share/man/man1 $(INSTALLED)/share/man/man8 $(INSTALLED)/share/bash-completion/completions $(INSTALLED)/share/doc/skua
	install -m 755 $(O)/skua $(INSTALLED)/bin/skua
	install -m 755 $(filter-out $(O)/skua,$(BINARIES)) $(INSTALLED)/libexec/skua/
	$(O)/skua internal man $(O)/man && install -m 644 $(O)/man/*.1 $(INSTALLED)/share/man/man1/
	for p in $(notdir $(filter-out $(O)/skua,$(BINARIES))); do $(O)/$$p --man-page > $(O)/man/$$p.8 || exit 1; done
	install -m 644 $(O)/man/*.8 $(INSTALLED)/share/man/man8/
	$(O)/skua internal completion > $(O)/skua.bash && install -m 644 $(O)/skua.bash $(INSTALLED)/share/bash-completion/completions/skua
	install -m 644 README.md LICENSE docs/*.md $(INSTALLED)/share/doc/skua/
uninstall:
	rm -f $(INSTALLED)/bin/skua $(INSTALLED)/share/man/man1/skua.1 $(INSTALLED)/share/man/man1/skua-*.1 $(INSTALLED)/share/man/man8/skua-*.8 $(INSTALLED)/share/bash-completion/completions/skua
	rm -rf $(INSTALLED)/libexec/skua $(INSTALLED)/share/doc/skua

format:
	clang-format-19 -i $(shell git ls-files '*.cc' '*.h')
help:
	@sed -n 's/^#   //p' Makefile
clean:
	rm -rf build compile_commands.json

.PHONY: all deps deps-quick install uninstall format help clean
.SECONDARY:
-include $(shell find $(O)/obj -name '*.d' 2>/dev/null)
