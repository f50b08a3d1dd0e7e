# The words people type; Meson and ninja do the work. `make` alone builds everything into build/.
BUILD := build
SANITIZED := build-sanitized

# Progress on a terminal, silence in a log.
NINJA := ninja $(if $(MAKE_TERMOUT),,--quiet)

.PHONY: all run test sanitized check check-model bench campaign install format clean

all:
	@tools/install-needs build
	@test -f $(BUILD)/build.ninja || tools/configure $(BUILD)
	@$(NINJA) -C $(BUILD)

run: all
	@tools/run

sanitized:
	@tools/install-needs build
	@test -f $(SANITIZED)/build.ninja || tools/configure $(SANITIZED) \
		-Db_sanitize=address,undefined -Dstatic=false -Db_lundef=false
	@$(NINJA) -C $(SANITIZED)

test: all sanitized
	@tools/install-needs test
	@tools/run-tests --build $(BUILD) --sanitized $(SANITIZED)

check:
	@tools/install-needs check
	@tools/check

check-model:
	@tools/install-needs model
	@tools/check-model

bench: all
	@tools/install-needs bench
	@tools/bench --build $(BUILD)

campaign: all sanitized
	@tools/install-needs campaign
	@tools/campaign --build $(BUILD) --sanitized $(SANITIZED)

install: all
	@meson install -C $(BUILD) --no-rebuild --quiet

format:
	@tools/install-needs check
	@find . -name '*.[ch]' -not -path './build*' -not -path './.*' -print0 | xargs -0 clang-format -i

clean:
	rm -rf $(BUILD) $(SANITIZED) build-*
