#!/bin/sh
# Builds the addon under ASan and UBSan into build-asan/paipainet.node, with the sources, defines and standard of
# binding.gyp. To run under it:
#
#   LD_PRELOAD="$(gcc -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0 PAIPAINET_ADDON=$PWD/build-asan/paipainet.node node ...
#
# Leak detection is off because V8 keeps pointers where the detector does not look.
set -eu
cd "$(dirname "$0")/../.."

out=build-asan
headers="$(dirname "$(dirname "$(node -p process.execPath)")")/include/node"
[ -f "$headers/node_api.h" ] || { echo "Node's headers are missing: $headers/node_api.h" >&2; exit 1; }
defines=$(python3 -c 'import ast; t = ast.literal_eval(open("binding.gyp").read())["targets"][0]; print(*["-D" + d for d in t["defines"]])')
sanitize='-fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=undefined -fno-omit-frame-pointer'
# -fno-sanitize=vptr: that check needs the type information that -fno-rtti leaves out.
flags="-std=c++20 -O1 -g -fPIC -fno-exceptions -fno-rtti -fvisibility=hidden $sanitize $defines
  -Inative -I$(node -p "require('node-addon-api').include_dir") -isystem $headers"

mkdir -p "$out"
# Every object: the core is small, and a stale one would be worse than the wait.
sed 's/[[:space:]]//g; /^$/d' native/sources.txt | FLAGS="$flags" OUT="$out" xargs -P "$(nproc)" -I {} sh -c \
  '"${CXX:-g++}" $FLAGS -c "$1" -o "$OUT/$(echo "$1" | tr / _).o"' compile {}
objects=$(sed 's/[[:space:]]//g; /^$/d; s|/|_|g; s|^|'"$out"'/|; s|$|.o|' native/sources.txt)
# shellcheck disable=SC2086
"${CXX:-g++}" -shared $sanitize $objects -o "$out/paipainet.node"
echo "$out/paipainet.node"
