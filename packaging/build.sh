#!/bin/bash
# Makes the packages of what `make platforms` has built, into OUT: for each program and
# architecture a Debian package, an rpm and a plain archive, all of the same files.
# The same sources give the same bytes: every time is SOURCE_DATE_EPOCH.
#
#   VERSION=1.4.0 NFPM=.tools/nfpm SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) \
#     packaging/build.sh OUT [ARCH…]
#
# DIST is where the programs are (dist), PROGRAMS which of them to pack (hub hq).
# With SIGN_PGP_KEY (a file with a secret OpenPGP key; SIGN_PGP_PASSPHRASE_FILE, where it
# has a passphrase) deb and rpm carry a signature, which is another at each time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
: "${VERSION:?}" "${NFPM:?}" "${SOURCE_DATE_EPOCH:?}" "${DIST:=dist}" "${PROGRAMS:=hub hq}"
export SOURCE_DATE_EPOCH TZ=UTC LC_ALL=C
umask 022
out=$(realpath -m "$1")
shift
[ $# != 0 ] || set -- amd64 arm64 armv7
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# signature: what nfpm is told of it; it takes the passphrase from its environment alone.
signature() { [ -z "${SIGN_PGP_KEY:-}" ] || printf '  signature: {key_file: "%s"}\n' "$(realpath "$SIGN_PGP_KEY")"; }
passphrase=
[ -z "${SIGN_PGP_PASSPHRASE_FILE:-}" ] || passphrase=$(<"$SIGN_PGP_PASSPHRASE_FILE")

# native PROGRAM: the one of them that runs here.
native() { echo "$(realpath "$DIST")/$1-linux-$(go env GOARCH)"; }
queue_format=$("$(native hub)" version --format json | sed -n 's/.*"queue_format": \([0-9]*\).*/\1/p')
[ -n "$queue_format" ]
# fill PROGRAM FILE: a script with the version and the queue's format in it.
fill() { sed -e "s/@VERSION@/$VERSION/g" -e "s/@QUEUE_FORMAT@/$queue_format/g" "$1"; }

declare -A package=([hub]=storehub [hq]=storehub-hq)
declare -A summary=(
  [hub]="hub of one store for Stripe Terminal"
  [hq]="headquarters of stores with Stripe Terminal"
)
declare -A description=(
  [hub]="Makes Stripe Terminal work in one shop, and proves that it does:
connection tokens and payments for its tills, a queue that survives
outages and power cuts, and a diagnosis with proof."
  [hq]="Holds the Stripe keys and the ledger of all stores, on SQLite for one
of them or on PostgreSQL for thousands. Hubs in the stores enrol at it."
)

# The manual pages and completions are the same for every architecture.
for program in $PROGRAMS; do
  made=$work/made/$program
  mkdir -p "$made"
  "$(native $program)" man | gzip -9n >"$made/man"
  for shell in bash zsh fish; do
    "$(native $program)" completion $shell >"$made/$shell"
  done
done

# tree PROGRAM ARCH DIR: everything that is installed, as it is installed.
tree() {
  local program=$1 arch=$2 root=$3 name=${package[$1]}
  local doc=$root/usr/share/doc/$name made=$work/made/$program
  install -Dm755 "$DIST/$program-linux-$arch" "$root/usr/bin/$program"
  install -Dm644 "systemd/$program.service" "$root/lib/systemd/system/$name.service"
  install -Dm644 "$program/$program.yaml" "$root.etc/storehub/$program.yaml"
  install -Dm644 "$made/man" "$root/usr/share/man/man1/$program.1.gz"
  install -Dm644 "$made/bash" "$root/usr/share/bash-completion/completions/$program"
  install -Dm644 "$made/zsh" "$root/usr/share/zsh/vendor-completions/_$program"
  install -Dm644 "$made/fish" "$root/usr/share/fish/vendor_completions.d/$program.fish"
  install -Dm644 packaging/deb/copyright "$doc/copyright"
  gzip -9n <CHANGELOG.md >"$doc/changelog.gz"
  gzip -9n <docs/operations.md >"$doc/operations.md.gz"
  { printf '%s (%s) stable; urgency=medium\n\n  * See changelog.gz.\n\n' "$name" "$VERSION"
    printf ' -- The Store Hub authors <maintainers@storehub.example>  %s\n' "$(date -ud "@$SOURCE_DATE_EPOCH" '+%a, %d %b %Y %T +0000')"
  } | gzip -9n >"$doc/changelog.Debian.gz"
  install -Dm644 "packaging/deb/lintian-overrides" "$root/usr/share/lintian/overrides/$name"
  sed -i "s/@PACKAGE@/$name/" "$root/usr/share/lintian/overrides/$name"
  find "$root" "$root.etc" -exec touch -hd "@$SOURCE_DATE_EPOCH" {} +
}

for arch in "$@"; do
  for program in $PROGRAMS; do
    name=${package[$program]}
    root=$work/tree/$program-$arch
    tree "$program" "$arch" "$root"
    for script in deb/$program.{preinst,postinst,prerm,postrm} rpm/$program.{pre,post,preun,postun}; do
      [ ! -e packaging/$script ] && continue
      mkdir -p "$work/scripts/$(dirname $script)"
      fill packaging/$script >"$work/scripts/$script"
    done
    scripts() { # FORMAT WORD=FILE…: those that there are
      local format=$1 pair
      shift
      for pair in "$@"; do
        [ ! -e "$work/scripts/$format/$program.${pair#*=}" ] || echo "      ${pair%=*}: $work/scripts/$format/$program.${pair#*=}"
      done
    }
    cat >"$work/nfpm.yaml" <<YAML
name: $name
arch: ${arch/armv7/arm7}
platform: linux
version: "$VERSION"
version_schema: none
mtime: $(date -ud "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)
section: net
priority: optional
maintainer: The Store Hub authors <maintainers@storehub.example>
vendor: The Store Hub authors
license: Apache-2.0
description: |
  ${summary[$program]}
$(sed 's/^/  /' <<<"${description[$program]}")
contents:
  - {src: $root, dst: /, type: tree}
  - {src: $root.etc/storehub/$program.yaml, dst: /etc/storehub/$program.yaml, type: config|noreplace}
overrides:
  deb:
    scripts:
$(scripts deb preinstall=preinst postinstall=postinst preremove=prerm postremove=postrm)
  rpm:
    scripts:
$(scripts rpm preinstall=pre postinstall=post preremove=preun postremove=postun)
rpm:
  summary: ${summary[$program]}
  group: System Environment/Daemons
  buildhost: localhost
$(signature)
deb:
$(signature)
YAML
    for format in deb rpm; do
      NFPM_PASSPHRASE=$passphrase "$NFPM" package --config "$work/nfpm.yaml" --packager $format --target "$out/" >"$work/said" || { cat "$work/said" >&2; exit 1; }
    done
    mv "$root.etc" "$root/etc" && touch -d "@$SOURCE_DATE_EPOCH" "$root"
    tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -c . |
      gzip -9n >"$out/$name-$VERSION-linux-$arch.tar.gz"
  done
done
