#!/bin/bash
# try.sh TREE HUB: the service's life under OpenRC's own programs, in namespaces of its
# own: started as its user, killed, started again by the supervisor, stopped. TREE is
# Debian's openrc, unpacked. As root; nothing of the machine is written to.
set -euo pipefail
tree=$(realpath "$1") hub=$(realpath "$2") script=$(realpath "$(dirname "$0")")/storehub
if [ -z "${SEALED:-}" ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  SEALED=$work unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private "$0" "$tree" "$hub"
  exit
fi
w=$SEALED
ip link set lo up

mkdir -p "$w/bin" "$w/etc/storehub" "$w/etc/init.d"
install -m 755 "$script" "$w/etc/init.d/storehub"
touch "$w/etc/insserv.conf" # Debian's openrc asks for it
{ cat /etc/passwd; echo 'storehub:x:990:990::/var/lib/storehub:/bin/false'; } >"$w/etc/passwd"
{ cat /etc/group; echo 'storehub:x:990:'; } >"$w/etc/group"
{ cat /etc/shadow; echo 'storehub:!:20000::::::'; } >"$w/etc/shadow" # without it PAM refuses the user
printf 'store: "0412"\nlisten: 127.0.0.1:7443\nmdns: off\nhq: {url: "http://127.0.0.1:9"}\nchecks: {every: off}\n' >"$w/etc/storehub/hub.yaml"
install -m 755 "$hub" "$w/bin/hub"
chmod 755 "$w" "$w/bin" "$w/etc" "$w/etc/storehub" "$w/etc/init.d"
chmod 600 "$w/etc/shadow"
chmod 644 "$w/etc/storehub/hub.yaml"
mkdir -p "$w/more/bin" && mv "$w/bin/hub" "$w/more/bin/hub"
mount -t overlay overlay -o "lowerdir=$w/more:$tree/usr:/usr" /usr
mount -t overlay overlay -o "lowerdir=$w/etc:/etc" /etc
mount -t tmpfs tmpfs /run
mkdir -p /run/openrc/{starting,started,stopping,inactive,wasinactive,failed,hotplugged,daemons,options,exclusive,scheduled,init.d,tmp}
touch /run/openrc/softlevel
mount -t tmpfs tmpfs /var/lib
install -d -m 700 -o 990 -g 990 /var/lib/storehub
install -m 600 -o 990 -g 990 /dev/stdin /var/lib/storehub/hq.credential <<<not-a-credential

rc() { openrc-run /etc/init.d/storehub "$@"; }
pid() { pgrep -f '^/usr/bin/hub serve'; }
# within WHAT COMMAND…: the command succeeds within 15 s.
within() {
  local what=$1 end=$((SECONDS + 15))
  shift
  until "$@" >/dev/null 2>&1; do
    [ $SECONDS -lt $end ] || { echo "try: $what"; exit 1; }
    sleep 0.1
  done
}
answers() { curl -sf http://127.0.0.1:7443/healthz; }
silent() { ! answers; }

rc start
within "it does not answer" answers
rc status
p=$(pid)
[ "$(ps -o user= -p "$p" | tr -d ' ')" = storehub ] || { echo "try: it runs as another user"; exit 1; }
grep -qz '^GOMEMLIMIT=96MiB$' "/proc/$p/environ" || { echo "try: no memory ceiling"; exit 1; }
grep -Eq '^NoNewPrivs:[[:space:]]+1$' "/proc/$p/status" || { echo "try: it may have new privileges"; exit 1; }
grep -Eq '^Max core file size +0 +0' "/proc/$p/limits" || { echo "try: it may dump a core"; exit 1; }
[ "$(stat -c '%a %U' /var/lib/storehub-keys)" = "700 storehub" ] || { echo "try: no directory for keys"; exit 1; }

kill -9 "$p"
within "it still answers" silent
within "it was not started again" answers
[ "$(pid)" != "$p" ]
rc stop
! pid >/dev/null || { echo "try: it runs on after the stop"; exit 1; }
[ "$(grep -o '"stopped":true' /var/lib/storehub/starts.json | wc -l)" = 1 ] || { echo "try: the stop was no clean one"; cat /var/lib/storehub/starts.json; exit 1; }

# A wrong configuration is not started, and so not started again and again.
mkdir "$w/wrong" && mkdir "$w/wrong/storehub" && echo 'nonsense: 1' >"$w/wrong/storehub/hub.yaml"
mount --bind "$w/wrong/storehub" /etc/storehub
if rc start; then echo "try: it was started with a wrong configuration"; exit 1; fi
echo "try: all of it"
