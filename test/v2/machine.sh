#!/bin/bash
# Boots a machine with systemd and control groups v2, without any virtualisation: Debian as a plain
# process, by User Mode Linux. Runs test/v2/guest.sh in it as root, prints what that prints, and
# ends as it ends. Takes a minute, and half a minute more to build the disk the first time.
#
#   apt-get install user-mode-linux mmdebstrap e2fsprogs
#   npm run test:v2
set -euo pipefail

repository=$(realpath "$(dirname "$0")/../..")
image=${TUCANO_V2_IMAGE:-${XDG_CACHE_HOME:-$HOME/.cache}/tucano/v2.img}
packages=systemd,systemd-sysv,dbus,kmod,procps,util-linux,iproute2,perl-base
work=$(mktemp -d)
machine=
trap '[ -z "$machine" ] || kill -KILL "$machine" 2>/dev/null || true; rm -rf "$work"' EXIT

for tool in linux.uml mmdebstrap mke2fs; do
  command -v "$tool" >/dev/null || { echo "test:v2 needs $tool (see $0)" >&2; exit 2; }
done

# What boots runs one script and powers off.
build_image() {
  mmdebstrap --quiet --variant=minbase --include=$packages trixie "$work/tree"
  rm -rf "$work/tree"/var/cache/apt/archives/*.deb "$work/tree"/var/lib/apt/lists/*
  cp -a /usr/lib/uml/modules/. "$work/tree/lib/modules/"
  chroot "$work/tree" depmod -a "$(ls /usr/lib/uml/modules)"
  echo '/dev/ubda / ext4 defaults 0 1' >"$work/tree/etc/fstab"
  echo v2 >"$work/tree/etc/hostname"
  for unit in serial-getty@ getty@; do
    ln -sf /dev/null "$work/tree/etc/systemd/system/$unit.service"
  done
  cat >"$work/tree/etc/systemd/system/guest.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
StandardOutput=null
ExecStart=/bin/sh -c 'set -- $(sed -n "s/.*tucano=\\([^ ]*\\) \\([^ ]*\\).*/\\1 \\2/p" /proc/cmdline); mkdir -p /repo /out; mount -t hostfs none -o $1 /repo; mount -t hostfs none -o $2 /out; sh /repo/test/v2/guest.sh >/out/output 2>&1; echo $? >/out/code; sync; systemctl poweroff --no-block'
UNIT
  mkdir -p "$work/tree/etc/systemd/system/multi-user.target.wants"
  ln -sf ../guest.service "$work/tree/etc/systemd/system/multi-user.target.wants/"
  mkdir -p "$(dirname "$image")"
  mke2fs -q -t ext4 -d "$work/tree" "$work/image" 2G
  mv "$work/image" "$image"
  rm -rf "$work/tree"
}

[ -f "$image" ] || build_image
touch "$work/output"
linux.uml ubd0="$work/disk,$image" root=/dev/ubda rw mem=1536M con=null con0=null,fd:1 ssl=null \
  panic=1 quiet tucano="$repository $work" </dev/null >"$work/console" 2>&1 &
machine=$!
tail -f --pid=$machine "$work/output"
wait "$machine" || true
machine=
[ -f "$work/code" ] || { tail -20 "$work/console" >&2; exit 1; }
exit "$(cat "$work/code")"
