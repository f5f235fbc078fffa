# Builds the C unit tests and fuzz targets; tools/native-test.sh calls it with SAN set.
# Every test is one main() in native/<room>/test/<name>_test.c, linked with all sources of native/sources.json.
SAN ?= address,undefined
CC = clang
OUT = build/test/$(subst $(comma),-,$(SAN))
comma := ,
CFLAGS = -std=gnu11 -O1 -g -D_GNU_SOURCE -Inative/include -Inative -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes \
	-fno-omit-frame-pointer -fsanitize=$(SAN) -fno-sanitize-recover=all
SOURCES := $(shell node -p "JSON.parse(require('fs').readFileSync('native/sources.json', 'utf8')).common.join(' ')")
TESTS := $(wildcard native/*/test/*_test.c)
FUZZERS := $(wildcard native/*/fuzz/*_fuzz.c)

OBJECTS = $(SOURCES:%.c=$(OUT)/%.o)
LIBRARY = $(OUT)/libsluice.a

tests: $(TESTS:%.c=$(OUT)/%)
fuzzers: $(FUZZERS:%.c=$(OUT)/%)

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -MMD -MP -c $< -o $@

$(LIBRARY): $(OBJECTS) native/sources.json
	@rm -f $@
	ar rcs $@ $(OBJECTS)

$(OUT)/%_test: $(OUT)/%_test.o $(LIBRARY)
	$(CC) $(CFLAGS) $< $(LIBRARY) -lpthread -lm -o $@

$(OUT)/%_fuzz: $(OUT)/%_fuzz.o $(LIBRARY)
	$(CC) $(CFLAGS) -fsanitize=fuzzer $< $(LIBRARY) -lpthread -lm -o $@

.SECONDARY:
-include $(shell find $(OUT) -name '*.d' 2>/dev/null)
