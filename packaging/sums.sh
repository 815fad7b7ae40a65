#!/bin/bash
# sums.sh DIR: writes DIR/SHA256SUMS over everything in it and, with SIGN_PGP_KEY (a file
# with a secret OpenPGP key; SIGN_PGP_PASSPHRASE_FILE, where it has a passphrase), the
# signature of that, SHA256SUMS.asc. The key is in a keyring of its own, which is removed.
set -euo pipefail
export LC_ALL=C
[ -z "${SIGN_PGP_KEY:-}" ] || SIGN_PGP_KEY=$(realpath "$SIGN_PGP_KEY")
[ -z "${SIGN_PGP_PASSPHRASE_FILE:-}" ] || SIGN_PGP_PASSPHRASE_FILE=$(realpath "$SIGN_PGP_PASSPHRASE_FILE")
cd "$1"
rm -f SHA256SUMS SHA256SUMS.asc
files=(*)
sha256sum -- "${files[@]}" >SHA256SUMS
[ -n "${SIGN_PGP_KEY:-}" ] || exit 0
GNUPGHOME=$(mktemp -d)
export GNUPGHOME
trap 'gpgconf --kill all; rm -rf "$GNUPGHOME"' EXIT
pgp=(gpg --batch --quiet --pinentry-mode loopback)
[ -z "${SIGN_PGP_PASSPHRASE_FILE:-}" ] || pgp+=(--passphrase-file "$SIGN_PGP_PASSPHRASE_FILE")
"${pgp[@]}" --import "$SIGN_PGP_KEY"
"${pgp[@]}" --digest-algo SHA256 --armor --output SHA256SUMS.asc --detach-sign SHA256SUMS
