#!/bin/bash
# Makes the MSI of the hub from what `make platforms` has built, into OUT:
#
#   VERSION=1.4.0 SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) packaging/windows/build.sh OUT
#
# DIST is where hub-windows-amd64.exe is (dist). With SIGN_KEY and SIGN_CERT (PEM files)
# program and MSI are signed; without them the same sources give the same bytes.
# Prints the MSI's name.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
: "${VERSION:?}" "${SOURCE_DATE_EPOCH:?}" "${DIST:=$here/../../dist}"
export TZ=UTC LC_ALL=C
mkdir -p "$1"
msi=$(realpath "$1")/storehub-$VERSION-windows-amd64.msi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sign() {
  [ -n "${SIGN_KEY:-}" ] || return 0
  osslsigncode sign -key "$SIGN_KEY" -certs "$SIGN_CERT" -n "Store Hub" -h sha256 -in "$1" -out "$1.signed" >/dev/null
  mv "$1.signed" "$1"
}
# id TEXT: a name for a thing that is the same for the same thing.
id() { sha256sum <<<"$1" | sed -E 's/^(.{8})(.{4})(.{4})(.{4})(.{12}).*/{\1-\2-\3-\4-\5}/' | tr a-f A-F; }
# bytes NUMBER: 64 bits, least first, as printf's escapes.
bytes() { local n=$1 i; for ((i = 0; i < 8; i++)); do printf '\\x%02x' $((n >> 8 * i & 255)); done; }
# put FILE OFFSET TEXT: writes over what is there.
put() { printf "$3" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none; }

# An MSI's version is three numbers; what is built between versions comes before the first.
number=$(grep -oE '^v?[0-9]+\.[0-9]+\.[0-9]+' <<<"$VERSION" | tr -d v || echo 0.0.0)

install -m755 "$DIST/hub-windows-amd64.exe" "$work/hub.exe"
touch -d "@$SOURCE_DATE_EPOCH" "$work/hub.exe"
sign "$work/hub.exe"
touch -d "@$SOURCE_DATE_EPOCH" "$work/hub.exe"
content=$(sha256sum <"$work/hub.exe")$number$(sha256sum <"$here/hub.wxs")
cp "$here/hub.wxs" "$work"
(cd "$work" && wixl -a x64 -D "VERSION=$number" -D "PRODUCT=$(id "product $content")" -o hub.msi hub.wxs)

# wixl makes up the package's id, and takes the clock's time twice: both stand in the
# summary, the times behind the id, each after the mark of its kind (0x40, 32 bits).
made=$(msiinfo suminfo "$work/hub.msi" | sed -n 's/^Revision number (UUID): //p')
at=$(grep -aboF "$made" "$work/hub.msi" | cut -d: -f1)
put "$work/hub.msi" "$at" "$(id "package $content")"
time=$(bytes $(((SOURCE_DATE_EPOCH + 11644473600) * 10000000)))
for mark in $(tail -c +$((at + 1)) "$work/hub.msi" | head -c 120 | grep -aboP '\x40\x00\x00\x00' | cut -d: -f1); do
  put "$work/hub.msi" $((at + mark + 4)) "$time"
done

sign "$work/hub.msi"
mv "$work/hub.msi" "$msi"
echo "$msi"
