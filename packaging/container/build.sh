#!/bin/bash
# Makes the image of a program that `make platforms` has built:
#
#   VERSION=1.4.0 packaging/container/build.sh hub amd64 storehub:1.4.0
#
# BUILDER is docker, podman or buildah (docker), DIST where the programs are (dist).
# Nothing is fetched: the image begins empty. The roots that certificates are checked
# against are those of the machine that builds (ROOTS).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
: "${VERSION:?}" "${BUILDER:=docker}" "${DIST:=dist}" "${ROOTS:=/etc/ssl/certs/ca-certificates.crt}"
program=${1:?} arch=${2:?} tag=${3:?}
case $program in
  hub) owns=(storehub storehub-keys) ;;
  hq) owns=(storehub-hq) ;;
  *) echo "build.sh: no program $program" >&2; exit 2 ;;
esac
case $arch in
  armv7) platform=linux/arm/v7 ;;
  *) platform=linux/$arch ;;
esac
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
install -Dm755 "$DIST/$program-linux-$arch" "$context/root/usr/bin/$program"
install -Dm644 "$ROOTS" "$context/root/etc/ssl/certs/ca-certificates.crt"
install -Dm644 "$program/$program.yaml" "$context/root/etc/storehub/$program.yaml"
install -dm1777 "$context/root/tmp"
for dir in "${owns[@]}"; do install -dm700 "$context/var/$dir"; done
"$BUILDER" build --platform "$platform" --build-arg "VERSION=$VERSION" \
  --file "packaging/container/$program.Dockerfile" --tag "$tag" "$context"
