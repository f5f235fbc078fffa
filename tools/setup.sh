#!/bin/sh
# Sets up a checkout: compilers, npm packages, the native addon and the compiled TypeScript.  Does only what is missing
# or out of date, prints what it does, and is what `npm start`, `npm test` and `npm run build` all begin with.
#   SLUICE_NO_APT=1   never call apt-get, print the command instead.
set -eu
cd "$(dirname "$0")/.."

say() { printf '%s\n' "sluice: $*" >&2; }

major=$(node -p 'process.versions.node.split(".")[0]')
if [ "$major" -lt 20 ]; then
    say "Node $(node -v) is too old; install Node 20.17 or newer"
    exit 1
fi

# With the word `demo`: also what the demonstration uses to make hosts, where it may be installed.
missing=""
command -v cc >/dev/null 2>&1 || missing="$missing gcc"
command -v c++ >/dev/null 2>&1 || missing="$missing g++"
command -v make >/dev/null 2>&1 || missing="$missing make"
command -v cmake >/dev/null 2>&1 || missing="$missing cmake"
if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && [ -z "${SLUICE_NO_APT:-}" ]; then
        say "installing$missing with apt-get: the native datapath is compiled here (SLUICE_NO_APT=1 turns this off)"
        apt-get update -qq
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        say "the native datapath needs$missing; install with: sudo apt-get install -y$missing"
        exit 1
    fi
fi

if [ "${1:-}" = demo ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 && [ -z "${SLUICE_NO_APT:-}" ]; then
    tools=""
    command -v ip >/dev/null 2>&1 || tools="$tools iproute2"
    command -v ping >/dev/null 2>&1 || tools="$tools iputils-ping"
    if [ -n "$tools" ]; then
        say "installing$tools with apt-get: the demonstration makes hosts with them (SLUICE_NO_APT=1 turns this off)"
        apt-get update -qq
        # shellcheck disable=SC2086
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $tools >/dev/null
    fi
fi

if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    say "installing npm packages"
    npm ci --include=dev --ignore-scripts --no-audit --no-fund --loglevel=error
    touch node_modules/.package-lock.json
fi

addon=build/Release/sluice.node
if [ ! -f "$addon" ] || [ -n "$(find native CMakeLists.txt package-lock.json -newer "$addon" -type f -print -quit)" ]; then
    say "building the native datapath"
    if ! npx --no-install cmake-js compile --out build --loglevel error >build.log 2>&1; then
        cat build.log >&2
        say "the native build failed; the log above says why"
        exit 1
    fi
    rm -f build.log
    touch "$addon"
fi

if [ ! -f dist/ts/index.js ] || [ -n "$(find ts test tools bench tsconfig.json -newer dist/.built -type f -print -quit 2>/dev/null || echo new)" ]; then
    say "compiling TypeScript"
    npx --no-install tsc -p tsconfig.json
    touch dist/.built
fi
