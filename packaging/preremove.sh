#!/bin/sh
# Before the files go: dpkg calls it with "remove", or "upgrade" and the new
# version. An upgrade goes on serving until the new files are in place.
set -e

[ "$1" = remove ] || exit 0
[ -d /run/systemd/system ] || exit 0

systemctl disable --now storehub.service
