# Plain compilers and no build system.
set -euxo pipefail

build=$WORK/pkg_config
rm -rf "$build"
mkdir -p "$build"
export PKG_CONFIG_PATH
# The build host's; other systems' are in folders of their own.
PKG_CONFIG_PATH=$(dirname "$(find "$PREFIX"/lib* -name halpool.pc)")
[[ $("$PKG_CONFIG" --modversion halpool) == 0.* ]]

"$CXX" -std=c++17 -Wall -Wextra -Werror -pedantic "$CONSUMERS/cxx/pool.cpp" -o "$build/pool_cxx" \
    $("$PKG_CONFIG" --cflags --libs halpool)
"$build/pool_cxx" | diff - "$CONSUMERS/known_answer.txt"

"$CC" -std=c99 -Wall -Wextra -Werror -pedantic "$CONSUMERS/c/pool.c" -o "$build/pool_c" \
    $("$PKG_CONFIG" --cflags --libs --static halpool)
"$build/pool_c" | diff - "$CONSUMERS/known_answer.txt"
