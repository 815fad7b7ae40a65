#!/bin/bash
# wear.sh HUB CAPTURES SECONDS: what a hub has a disk write, counted where an SD card
# wears: at the block device, file system and its journal included. As root: it seals
# itself into a network of its own, and makes its file systems in files.
#
# `hub try` has its hub's directories on an ext4 of their own (headquarters and Stripe's
# sandbox are elsewhere), captures CAPTURES payments, one a second, and then idles for
# SECONDS. Beside it, at the same moments, what was asked of the hub is appended to a
# plain file and flushed, on another ext4; and a hub whose headquarters is silent, which
# looks at its network every 5 minutes, idles on a third.
set -euo pipefail
hub=$(realpath "$1") captures=$2 seconds=$3
if [ -z "${SEALED:-}" ]; then SEALED=1 exec unshare --net --mount --propagation private "$0" "$@"; fi
ip link set lo up
work=$(mktemp -d)
pids=()
finish() {
  [ ${#pids[@]} = 0 ] || { kill "${pids[@]}" 2>/dev/null || true; wait "${pids[@]}" || true; }
  for on in "$work"/try/hub "$work"/try/hub-keys "$work"/disk-*/; do
    ! mountpoint -q "$on" || umount "$on"
  done
  rm -rf "$work"
}
trap finish EXIT

# disk NAME: a fresh ext4, at $work/disk-NAME. What mkfs leaves to be written later would
# be counted as the hub's, so it leaves nothing.
disk() {
  truncate -s 1G "$work/$1.ext4"
  mkfs.ext4 -q -E lazy_itable_init=0,lazy_journal_init=0 "$work/$1.ext4"
  mkdir "$work/disk-$1"
  mount -o loop "$work/$1.ext4" "$work/disk-$1"
}
# written NAME: KiB that the device of the disk was given to write since it was mounted.
written() {
  sync -f "$work/disk-$1"
  cat "/sys/fs/ext4/$(basename "$(findmnt -no SOURCE "$work/disk-$1")")/session_write_kbytes"
}
for name in hub plain silent; do disk $name; done

mkdir "$work/disk-silent/state"
install -m 600 /dev/stdin "$work/disk-silent/state/hq.credential" <<<not-a-credential
cat >"$work/silent.yaml" <<YAML
store: "0412"
state_dir: $work/disk-silent/state
listen: 127.0.0.1:7443
mdns: off
hq: {url: "http://127.0.0.1:9"}
checks: {readers: [127.0.0.11, 127.0.0.12, 127.0.0.13]}
YAML
"$hub" serve --config "$work/silent.yaml" >/dev/null 2>&1 & pids+=($!)

mkdir -m 700 "$work/try"
for part in hub hub-keys; do
  mkdir -m 700 "$work/try/$part" "$work/disk-hub/$part"
  mount --bind "$work/disk-hub/$part" "$work/try/$part"
done
"$hub" try --listen 127.0.0.1:7444 --state-dir "$work/try" --ready-file "$work/ready" >"$work/said" 2>&1 & pids+=($!)
for _ in $(seq 300); do [ ! -s "$work/ready" ] || break; sleep 0.1; done
[ -s "$work/ready" ] || { cat "$work/said"; echo "wear: the hub did not come up"; exit 1; }
ready() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" "$work/ready"; }
at=$(ready hub_url) credential=$(ready pos_credential) stripe=$(ready stripe_url) key=$(ready stripe_key)

stripe() { curl -sf -u "$key:" "$stripe$1" "${@:2}"; }
field() { grep -o "\"$1\": *\"[^\"]*\"" | head -1 | cut -d'"' -f4; }
reader=$(stripe /v1/terminal/readers | grep -o '"tmr_[^"]*"' | head -1 | tr -d '"')
intents=()
for _ in $(seq "$captures"); do
  intent=$(stripe /v1/payment_intents -d amount=2000 -d currency=usd -d capture_method=manual -d 'payment_method_types[]=card_present' | field id)
  stripe "/v1/terminal/readers/$reader/process_payment_intent" -d "payment_intent=$intent" >/dev/null
  stripe "/v1/test_helpers/terminal/readers/$reader/present_payment_method" -X POST >/dev/null
  intents+=("$intent")
done

sleep 10 # the starts are over
declare -A first idle
names=(hub plain silent)
began=$(date +%s) silent0=$(written silent)
for name in hub plain; do first[$name]=$(written $name); done
next=$(date +%s%N) start=$next
for intent in "${intents[@]}"; do
  body="{\"kind\":\"capture\",\"ref\":\"$intent\",\"amount\":2000}"
  curl -sf "$at/v1/operations" -H "Authorization: Bearer $credential" -H 'Content-Type: application/json' -H "Idempotency-Key: capture-$intent" -d "$body" >/dev/null ||
    { echo "wear: $intent was not taken"; exit 1; }
  dd if=<(echo "$body") of="$work/disk-plain/file" oflag=append conv=notrunc,fsync status=none iflag=fullblock
  next=$((next + 1000000000)) left=$((next - $(date +%s%N)))
  [ $left -le 0 ] || sleep "$(awk "BEGIN {print $left / 1e9}")"
done
captured() { "$hub" queue list --config "$(ready config_file)" --state succeeded --limit $((2 * captures)) --format json | grep -c '"ref"' || true; }
for _ in $(seq 300); do [ "$(captured)" != "$captures" ] || break; sleep 0.2; done
[ "$(captured)" = "$captures" ] || { echo "wear: $(captured) of $captures captured"; exit 1; }
took=$((($(date +%s%N) - start) / 1000000))
for name in hub plain; do first[$name]=$(($(written $name) - first[$name])); done

sleep 10 # the last capture is over, in the store too
for name in hub plain; do idle[$name]=$(written $name); done
sleep "$seconds"
for name in hub plain; do idle[$name]=$(($(written $name) - idle[$name])); done
silent=$(($(written silent) - silent0)) whole=$(($(date +%s) - began))

echo "machine: $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg), Linux $(uname -r)"
echo
echo "$captures captures in $((took / 1000)) s, then idle for $seconds s; ext4 as mkfs makes it, journal counted"
echo
awk -v n="$captures" -v took="$took" -v s="$seconds" -v h="${first[hub]} ${idle[hub]}" -v p="${first[plain]} ${idle[plain]}" -v w="$silent $whole" '
  function row(name, both,   a, hour, each) {
    split(both, a); hour = a[2] * 3600 / s; each = (a[1] - hour * took / 3600000) / n
    day = 500 * each + 24 * hour
    return sprintf("| %s | %d | %.1f | %.1f | %.0f | %.0f | ", name, a[1], a[1] / n, each, hour, day)
  }
  BEGIN {
    plain = row("plain file, appended and flushed", p); of = day
    print "| | KiB while capturing | KiB a capture | the same less what idles | KiB an idle hour | KiB a day of 500 sales | of the plain file |"
    print "|---|--:|--:|--:|--:|--:|--:|"
    text = row("hub, headquarters answers, three readers", h)
    printf "%s%.1f |\n", text, day / of
    print plain "1 |"
    split(w, x)
    printf "| hub, headquarters silent, looks every 5 min (over %d s) | | | | %.0f | | |\n", x[2], x[1] * 3600 / x[2]
  }'
