#!/bin/bash
# try.sh TREE QUEUE OLDER.rpm NEWER.rpm: the package's life under rpm itself, in
# namespaces of its own: installed, upgraded, not set back under a queue of a newer
# program, not removed while money waits, removed in somebody's name. TREE is a
# Debian's, nothing is written to it; QUEUE is a queue's directory with one operation.
set -euo pipefail
tree=$(realpath "$1") queue=$(realpath "$2") older=$(realpath "$3") newer=$(realpath "$4")
if [ -z "${SEALED:-}" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  SEALED=$work unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private \
    "$0" "$tree" "$queue" "$older" "$newer"
  exit
fi
mount -t tmpfs tmpfs "$SEALED"
mkdir "$SEALED"/{upper,work,root}
root=$SEALED/root
mount -t overlay overlay -o "lowerdir=$tree,upperdir=$SEALED/upper,workdir=$SEALED/work" "$root"
mount -t proc proc "$root/proc"

wrong() { echo "try: $*"; exit 1; }
package() { rpm --root "$root" --dbpath /var/lib/rpm "$@"; }
runs() { chroot "$root" hub version | grep -q "^hub $1 " || wrong "not version $1: $(chroot "$root" hub version)"; }
waits() { chroot "$root" hub queue list --state pending 2>&1 | grep -q pi_waits || wrong "$1: $(chroot "$root" hub queue list 2>&1)"; }
# refused WORDS COMMAND…: it ends with an error that says so.
refused() {
  local words=$1 said
  shift
  if said=$("$@" 2>&1); then wrong "not refused: $*"; fi
  grep -q "$words" <<<"$said" || wrong "refused without \"$words\": $said"
}

# No dependency is looked for: the packages of the tree are Debian's.
package --initdb
package --install --nodeps "$older"
runs 1.0.0
config=$root/etc/storehub/hub.yaml
sed -i 's|^#store: |store: |' "$config"
grep -q '^store: "0412"$' "$config" || wrong "the installed configuration names no store"
cp "$config" "$SEALED/config"
install -d -m 700 "$root/var/lib/storehub"
cp -r "$queue" "$root/var/lib/storehub/queue"
waits "installed"

package --upgrade --nodeps "$newer"
runs 1.1.0
waits "upgraded"
cmp "$config" "$SEALED/config" || wrong "the upgrade took the configuration away"

format=$root/var/lib/storehub/queue/format
cp "$format" "$SEALED/format"
echo 99 >"$format"
refused "cannot read what a newer one has written" package --upgrade --nodeps --oldpackage "$older"
cp "$SEALED/format" "$format"
runs 1.1.0
package --upgrade --nodeps --oldpackage "$older"
runs 1.0.0
waits "set back"

refused "1 operation of a till waits on this disk alone" package --erase storehub
runs 1.0.0
waits "not removed"
echo "J. Doe" >"$root/etc/storehub/despite-money"
package --erase storehub
[ ! -e "$root/usr/bin/hub" ] || wrong "the program stays"
[ -e "$format" ] || wrong "the queue went with the package"
cmp "$config.rpmsave" "$SEALED/config" || wrong "the configuration is not kept"
grep -q "^by J. Doe, although" "$root/var/lib/storehub/released" || wrong "nobody is named for what was left behind"
package --query storehub >/dev/null 2>&1 && wrong "rpm still names it"
echo "try: all of it"
