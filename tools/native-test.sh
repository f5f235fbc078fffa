#!/bin/sh
# Runs the C unit tests under AddressSanitizer and UndefinedBehaviorSanitizer, those of threads (*_thread_test.c)
# under ThreadSanitizer as well, and with --fuzz SECONDS each libFuzzer target for that long.
# usage: tools/native-test.sh [--fuzz SECONDS] [part of a test's path]
set -eu
cd "$(dirname "$0")/.."
if ! command -v clang >/dev/null; then
    echo "skip: native: clang is not installed (Debian: apt-get install clang llvm)"
    exit 0
fi
fuzz=
if [ "${1-}" = --fuzz ]; then
    fuzz=$2
    shift 2
fi
filter=${1-}
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0 UBSAN_OPTIONS=print_stacktrace=1

# run SANITIZER PATTERN: builds and runs the tests whose path has the pattern and the filter in it.
run() {
    targets=
    out=build/test/$(echo "$1" | tr , -)
    for source in native/*/test/*_test.c; do
        case $source in
            *$2*) case $source in *"$filter"*) targets="$targets $out/${source%.c}" ;; esac ;;
        esac
    done
    [ -n "$targets" ] || return 0
    # shellcheck disable=SC2086
    make -s -f tools/native-test.mk -j2 SAN="$1" $targets
    for test in $targets; do
        echo "# $test"
        "$test" || { echo "not ok - $test failed under $1" >&2; exit 1; }
    done
}

if [ -n "$fuzz" ]; then
    for source in native/*/fuzz/*_fuzz.c; do
        case $source in *"$filter"*) ;; *) continue ;; esac
        [ -e "$source" ] || continue
        target=build/test/address-undefined-fuzzer-no-link/${source%.c}
        make -s -f tools/native-test.mk -j2 SAN=address,undefined,fuzzer-no-link "$target"
        corpus=build/fuzz/$(basename "${source%.c}")
        mkdir -p "$corpus"
        echo "# $target for $fuzz s"
        "$target" -max_total_time="$fuzz" -print_final_stats=1 -verbosity=0 "$corpus" ||
            { echo "not ok - $target" >&2; exit 1; }
        echo "ok - $(basename "$target") found nothing in $fuzz s"
    done
    exit 0
fi
run address,undefined _test
run thread _thread_test
