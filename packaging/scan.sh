#!/bin/sh
# scan.sh HUB DIR: starts `hub try` on every address of a network namespace that has
# loopback alone, looks at its port, and leaves nmap.txt and testssl.txt in DIR.
set -u
hub=$(realpath "$1") dir=$(realpath "$2")
ip link set lo up
state=$(mktemp -d)
"$hub" try --listen 0.0.0.0:7443 --state-dir "$state" --ready-file "$state/ready.json" >"$dir/scan-hub.log" 2>&1 &
pid=$!
for _ in $(seq 1 120); do
	[ -e "$state/ready.json" ] && break
	sleep 0.5
done
timeout 300 nmap -n -Pn -p 7443 -sV --version-light --script ssl-enum-ciphers,ssl-cert,http-headers,http-methods,http-security-headers,http-trace 127.0.0.1 >"$dir/nmap.txt" 2>&1
timeout 300 testssl --quiet --color 0 -p -S -U -h --fast https://localhost:7443 >"$dir/testssl.txt" 2>&1
kill "$pid"
wait "$pid"
rm -rf "$state"
cat "$dir/nmap.txt" "$dir/testssl.txt"
