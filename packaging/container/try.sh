#!/bin/bash
# try.sh DIST: images of hub and headquarters built by a real builder and run as their
# user in namespaces of their own, with nothing of this machine's files. As root.
set -euo pipefail
here=$(realpath "$(dirname "$0")") dist=$(realpath "$1")
if [ -z "${SEALED:-}" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  SEALED=$work unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private "$0" "$dist"
  exit
fi
ip link set lo up
mount -t tmpfs tmpfs "$SEALED"
wrong() { echo "try: $*"; exit 1; }

# Only what is in the image is wanted of the builder, so it has no network either.
cat >"$SEALED/buildah" <<'SH'
#!/bin/bash
command=$1
shift
exec buildah --root "$SEALED/images" --runroot "$SEALED/run" --storage-driver vfs "$command" \
  ${command:+$([ "$command" != build ] || echo --isolation=chroot --format=docker)} "$@"
SH
chmod +x "$SEALED/buildah"
export SEALED
arch=$(go env GOARCH)
for program in hub hq; do
  VERSION=1.0.0 BUILDER=$SEALED/buildah DIST=$dist "$here/build.sh" $program "$arch" localhost/$program:1.0.0 >"$SEALED/said" 2>&1 ||
    { cat "$SEALED/said"; wrong "$program: not built"; }
done

# opened PROGRAM: where the files of its image are, with what a runtime puts there.
opened() {
  local container root
  container=$("$SEALED/buildah" from --pull-never localhost/$1:1.0.0)
  root=$("$SEALED/buildah" mount "$container")
  mkdir -p "$root/proc"
  mount -t proc proc "$root/proc"
  echo "$root"
}
# told PROGRAM WHAT: a field of the image's own description.
told() { "$SEALED/buildah" inspect --type image --format "{{.Docker.Config.$2}}" localhost/$1:1.0.0; }
[ "$(told hub User)" = 65532:65532 ] || wrong "the hub runs as $(told hub User)"
[ "$(told hub Entrypoint)" = "[/usr/bin/hub]" ] || wrong "the hub begins with $(told hub Entrypoint)"
[ "$(told hq Entrypoint)" = "[/usr/bin/hq]" ] || wrong "headquarters begins with $(told hq Entrypoint)"
told hub Env | grep -q GOMEMLIMIT=96MiB || wrong "no memory ceiling: $(told hub Env)"

root=$(opened hub)
hub() { chroot --userspec=65532:65532 "$root" /usr/bin/hub "$@"; }
[ "$(cd "$root" && find . -path ./proc -prune -o -type f -print | sort | paste -sd' ')" = \
  "./etc/ssl/certs/ca-certificates.crt ./etc/storehub/hub.yaml ./usr/bin/hub" ] || wrong "the image holds more: $(cd "$root" && find . -path ./proc -prune -o -type f -print)"
hub version | grep -q '^hub ' || wrong "no version"
printf 'store: "0412"\nlisten: 127.0.0.1:7443\nmdns: off\nhq: {url: "http://127.0.0.1:9"}\nchecks: {every: off}\n' >"$root/etc/storehub/hub.yaml"
install -m 600 -o 65532 -g 65532 /dev/stdin "$root/var/lib/storehub/hq.credential" <<<not-a-credential
check=($(told hub 'Healthcheck.Test' | tr -d '[]'))
[ "${check[0]:-}" = CMD ] || wrong "no health check: ${check[*]}"
health() { chroot --userspec=65532:65532 "$root" "${check[@]:1}"; }
health >/dev/null 2>&1 && wrong "healthy before it runs"
chroot --userspec=65532:65532 "$root" /usr/bin/hub serve >"$SEALED/log" 2>&1 &
pid=$!
for _ in $(seq 300); do health >/dev/null 2>&1 && break; sleep 0.1; done
health || { cat "$SEALED/log"; wrong "not healthy after 30 s"; }
curl -sf http://127.0.0.1:7443/healthz >/dev/null || wrong "it does not answer"
kill -TERM $pid
wait $pid || wrong "it ended with $?"
health >/dev/null 2>&1 && wrong "healthy after it ended"

root=$(opened hq)
chroot --userspec=65532:65532 "$root" /usr/bin/hq version | grep -q '^hq ' || wrong "no version of headquarters"
echo "try: all of it"
