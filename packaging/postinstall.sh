#!/bin/sh
# After the files are in place: dpkg calls it with "configure" and, on an upgrade,
# the version that was there before.
set -e

# A system that runs without systemd (a container image being built) has nothing to do.
[ -d /run/systemd/system ] || exit 0

systemctl daemon-reload
systemctl enable storehub.service >/dev/null

if [ "$1" = configure ] && [ -n "$2" ]; then
	systemctl try-restart storehub.service
else
	# A hub that is not enrolled cannot serve: it is started by whoever enrols it.
	echo "storehub: next: hub enroll --hq URL --code CODE && systemctl start storehub"
fi
