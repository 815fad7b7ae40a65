#!/bin/bash
# footprint.sh HUB SECONDS: what a hub takes of a machine, beside Debian's
# prometheus-node-exporter and avahi-daemon in the same run. As root: it seals itself
# into a network of its own, so that the packets counted are these programs' alone.
#
# Two hubs are measured: one whose headquarters is silent, and `hub try`, which is hub,
# headquarters, Stripe's sandbox and three readers in one process, and so an upper bound.
set -euo pipefail
hub=$(realpath "$1") seconds=$2
if [ -z "${SEALED:-}" ]; then SEALED=1 exec unshare --net --mount "$0" "$hub" "$seconds"; fi
ip link set lo up
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir "$work/state"
echo not-a-credential >"$work/state/hq.credential"
chmod 600 "$work/state/hq.credential"
cat >"$work/hub.yaml" <<YAML
store: "0412"
state_dir: $work/state
listen: 127.0.0.1:7443
mdns: off
hq: {url: "http://127.0.0.1:9"}
checks: {every: off, readers: [127.0.0.11, 127.0.0.12, 127.0.0.13]}
YAML

# answers PORT: until the hub there answers, and how many ms that took since $began.
answers() {
  until (exec 3<>"/dev/tcp/127.0.0.1/$1" && printf 'GET /healthz HTTP/1.0\r\n\r\n' >&3 && grep -q ok <&3) 2>/dev/null; do :; done
  echo $((($(date +%s%N) - began) / 1000000))
}
times=()
for _ in 1 2 3 4 5 6 7 8 9; do
  began=$(date +%s%N)
  "$hub" serve --config "$work/hub.yaml" >/dev/null 2>&1 & pid=$!
  times+=("$(answers 7443)")
  kill $pid
  wait $pid || true
done
mapfile -t times < <(printf '%s\n' "${times[@]}" | sort -n)

# Each program in a network of its own, where nobody else sends.
measure() { # NAME COMMAND…
  local name=$1 cpu0 cpu1 written0 written1 sent0 sent1 rss
  shift
  unshare --net bash -c 'ip link set lo up; exec "$@"' - "$@" >/dev/null 2>&1 & pid=$!
  trap 'kill $pid 2>/dev/null || true; wait' EXIT
  sleep 10 # the start is over
  cpu() { awk '{print ($14 + $15) / 100}' "/proc/$pid/stat"; }
  written() { awk '/^write_bytes/ {print $2}' "/proc/$pid/io"; }
  sent() { awk '/lo:/ {print $11}' "/proc/$pid/net/dev"; }
  cpu0=$(cpu) written0=$(written) sent0=$(sent)
  sleep "$seconds"
  cpu1=$(cpu) written1=$(written) sent1=$(sent)
  rss=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
  awk -v n="$name" -v s="$seconds" -v r="$rss" -v c="$cpu0 $cpu1" -v w="$written0 $written1" -v p="$sent0 $sent1" 'BEGIN {
    split(c, cpu); split(w, wr); split(p, pk)
    printf "| %s | %.1f | %.2f | %.0f | %.0f |\n", n, r / 1024, (cpu[2] - cpu[1]) * 3600 / s, (wr[2] - wr[1]) * 3600 / s / 1024, (pk[2] - pk[1]) * 3600 / s
  }' >"$work/row.$name"
}
printf '[server]\nenable-dbus=no\n' >"$work/avahi.conf"
measure "hub, headquarters silent" "$hub" serve --config "$work/hub.yaml" & one=$!
measure "hub try: all of it, three readers" "$hub" try --listen 127.0.0.1:7444 --state-dir "$work/try" & two=$!
measure "prometheus-node-exporter" prometheus-node-exporter --web.listen-address=127.0.0.1:9100 & three=$!
measure "avahi-daemon" avahi-daemon --no-chroot --no-drop-root --file="$work/avahi.conf" & four=$!
wait $one $two $three $four

echo "machine: $(nproc) processors, load $(cut -d' ' -f1-3 /proc/loadavg)"
echo
echo "start to first answer: ${times[4]} ms (median of 9; ${times[0]} to ${times[8]}) · size: $(stat -c %s "$hub" | awk '{printf "%.1f", $1 / 1048576}') MiB"
echo
echo "| idle for $seconds s | RSS, MiB | CPU, s an hour | written, KiB an hour | packets an hour |"
echo "|---|--:|--:|--:|--:|"
cat "$work"/row.*
