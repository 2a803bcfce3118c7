#!/bin/sh
# Makes a machine of this one's files, and becomes its first process: machine.sh FOLDER PROGRAM...
# What is written in it is in memory and ends with it; units and mounts of this machine are not in
# it; its network is this machine's. The name of its cgroup is left in FOLDER/cgroup, for the
# caller to remove. Needs root with the right to mount, and a cgroup v2 that can be written.
set -eu
folder=$1
shift

cgroups=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts)
[ -n "$cgroups" ] || { echo "no cgroup v2 is mounted" >&2; exit 1; }
cgroup=$cgroups/roustabout-test-$$
mkdir "$cgroup"
echo "$cgroup" > "$folder/cgroup"
echo $$ > "$cgroup/cgroup.procs"

exec unshare --mount --propagation private --pid --uts --ipc --cgroup --fork --kill-child sh -euc '
  folder=$1
  shift
  mount -t tmpfs tmpfs "$folder"
  mkdir "$folder/upper" "$folder/own" "$folder/root"
  mount -t overlay -o "lowerdir=/,upperdir=$folder/upper,workdir=$folder/own" overlay "$folder/root"
  cd "$folder/root"

  mount -t proc proc proc
  mount --bind proc/sys proc/sys
  mount -o remount,bind,ro proc/sys
  mount -t sysfs -o ro sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs -o mode=755 tmpfs dev
  for device in null zero full random urandom tty; do
    : > "dev/$device"
    mount --bind "/dev/$device" "dev/$device"
  done
  mkdir dev/pts dev/shm
  mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts
  ln -s pts/ptmx dev/ptmx
  mount -t tmpfs tmpfs dev/shm
  mount -t tmpfs -o mode=755 tmpfs run
  mount -t tmpfs tmpfs tmp
  mount -t tmpfs tmpfs var/log
  # What a roustabout that serves on this machine has is not in it.
  rm -rf etc/roustabout var/lib/roustabout var/lib/private/roustabout
  mount -t tmpfs -o mode=755 tmpfs etc/systemd
  mkdir etc/systemd/system
  : > etc/fstab
  # Without one it would be a first boot, which enables whatever is installed.
  echo 726f757374610000726f757374610001 > etc/machine-id

  mkdir old
  pivot_root . old
  umount -l old
  rmdir old
  # As systemd does itself where it is in no container: it hands credentials over by it.
  mount --make-rshared /
  hostname roustabout-test
  exec setpriv --bounding-set -sys_module,-sys_time,-sys_boot,-sys_rawio,-audit_read,-audit_control \
    env -i container=roustabout-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
' sh "$folder" "$@"
