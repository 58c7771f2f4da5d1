# What find_package refuses, and with which words.
set -euxo pipefail
source "${BASH_SOURCE%/*}/must_fail.sh"

build=$WORK/package_queries
rm -rf "$build"
configure() {
    "$CMAKE" -S "$CONSUMERS/package_queries" -B "$build" -DCMAKE_MAKE_PROGRAM="$MAKE_PROGRAM" \
        -DCMAKE_PREFIX_PATH="$PREFIX" "$@" 2>&1 | tee "$build.txt"
}
refused() {
    must_fail configure "-DQUERY=$1"
    # CMake breaks lines.
    tr -s ' \n' ' ' <"$build.txt" | grep -F "$2"
}

configure '-DQUERY=0.1;REQUIRED'
configure '-DQUERY=REQUIRED;COMPONENTS;x86'
configure '-DQUERY=REQUIRED;COMPONENTS;x86;OPTIONAL_COMPONENTS;nonexistent'
refused 'REQUIRED;COMPONENTS;x86;nonexistent' "without the component 'nonexistent'; it has: x86"
refused '0.2;REQUIRED' 'compatible with requested version "0.2"'
refused '1.0;REQUIRED' 'compatible with requested version "1.0"'
