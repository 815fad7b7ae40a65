#!/bin/bash
# wine.sh DLL OLDER.msi NEWER.msi: the life of a hub under wine, told line by line.
# WINEPREFIX is a folder that is not there yet.
set -euo pipefail
dll=$1 older="Z:${2//\//\\}" newer="Z:${3//\//\\}"
ip link set lo up
wineboot -i >/dev/null 2>&1 </dev/null
wineserver -k
cp "$dll" "$WINEPREFIX/drive_c/windows/system32/"
# The service manager goes when the last program does: one stays.
mkfifo "$WINEPREFIX/stay"
exec 8<>"$WINEPREFIX/stay"
wine cmd <"$WINEPREFIX/stay" >/dev/null 2>&1 &
trap 'wineserver -k' EXIT
# Two programs that start in one prefix at once can wait for each other for ever: the
# next one starts when this one answers.
printf 'echo up> C:\\up\r\n' >&8
for _ in $(seq 600); do [ -e "$WINEPREFIX/drive_c/up" ] && break; sleep 0.1; done

hub='C:\Program Files\Store Hub\hub.exe'
data=$WINEPREFIX/drive_c/ProgramData/storehub
# say COMMAND…: what it prints, without what wine's manager has not, and how it ends.
say() {
  local code=0 out
  out=$(wine "$@" 2>&1) || code=$?
  out=$(tr -d '\r' <<<"$out" | sed -E '/Invalid level/d; s/storehub-queue-[0-9]+/storehub-queue-N/' || true)
  echo "$out${out:+ }($code)"
}
# soon COMMAND…: within 20 s it succeeds.
soon() {
  for _ in $(seq 100); do "$@" >/dev/null 2>&1 && return; sleep 0.2; done
  echo "not within 20 s: $*"
}
answers() { curl -fs -m 1 http://127.0.0.1:7443/healthz; }
silent() { ! answers; }

echo "install: $(say msiexec /i "$newer" /qn)"
cat >"$data/hub.yaml" <<YAML
store: "0412"
state_dir: 'C:\ProgramData\storehub\data'
listen: "127.0.0.1:7443"
mdns: off
hq:
  url: http://127.0.0.1:1
checks:
  every: off
YAML
echo not-a-credential >"$data/data/hq.credential"
echo "status: $(say "$hub" service status)"
echo "start: $(say "$hub" service start)"
soon answers
echo "answers: $(answers)"
echo "status: $(say "$hub" service status)"
echo "its commands: $(say "$hub" queue list)"
echo "stop: $(say "$hub" service stop --flush 0s)"
soon silent
echo "downgrade: $(say msiexec /i "$older" /qn)"
echo "status: $(say "$hub" service status)"
echo "uninstall: $(say msiexec /x "$newer" /qn HUB_DESPITE_MONEY=test)"
echo "program: $(ls "$WINEPREFIX/drive_c/Program Files/Store Hub" 2>/dev/null || true)"
echo "kept: $(cd "$data" && ls -d hub.yaml data/queue | paste -sd' ')"
