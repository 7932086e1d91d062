#!/bin/sh
# Does what a container runtime does in the namespaces of a new container: mounts its file system, and becomes its program.
#
#   container.sh ROOT ro|rw [SOURCE TARGET ro|rw]... -- PROGRAM [ARGUMENT]...
#
# The targets are there already, and are no symbolic links.
set -eu
root=$1
root_access=$2
shift 2

bind() {
    mount --bind "$1" "$2"
    [ "$3" = rw ] || mount -o remount,bind,ro "$2"
}

# Before everything else that is mounted into it.
mount --bind "$root" "$root"
# The machine's own, for the libraries and the tools.
bind /usr "$root/usr" ro
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "$root/dev"
for device in null zero random urandom; do
    touch "$root/dev/$device"
    bind "/dev/$device" "$root/dev/$device" rw
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"
while [ "$1" != -- ]; do
    bind "$1" "$root$2" "$3"
    shift 3
done
shift
[ "$root_access" = rw ] || mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
