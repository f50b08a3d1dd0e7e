# The words people type; Meson and ninja do the work.
BUILD := build
SANITIZED := build-sanitized

.PHONY: all run test check bench campaign install format clean setup

all: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

setup:
	@tools/install-needs build

$(BUILD)/build.ninja: meson.build
	@tools/install-needs build
	@test -f $@ || meson setup $(BUILD) >/dev/null

$(SANITIZED)/build.ninja: meson.build
	@tools/install-needs build
	@test -f $@ || meson setup $(SANITIZED) -Db_sanitize=address,undefined -Dstatic=false -Db_lundef=false >/dev/null

clean:
	rm -rf $(BUILD) $(SANITIZED) build-*
