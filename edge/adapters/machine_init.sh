#!/bin/busybox sh
# The first process of an emulated machine. When it ends, the kernel panics, which ends the machine.
/bin/busybox mount -t proc proc /proc
for module in virtio_ring virtio virtio_mmio virtio_blk; do
    # Each needs those before it.
    /bin/busybox insmod "/$module.ko" || /bin/busybox echo "@edgekit-failed insmod $module"
done
/bin/busybox mount -t devtmpfs dev /dev
tries=0
while [ ! -b /dev/vda ] && [ "$tries" -lt 100 ]; do
    tries=$((tries + 1))
    /bin/busybox usleep 100000
done
if /bin/busybox mount -t ext4 /dev/vda /system; then
    /bin/busybox rm -f /*.ko
    /bin/busybox mount -t proc proc /system/proc
    /bin/busybox mount -t sysfs sys /system/sys
    /bin/busybox mount -t devtmpfs dev /system/dev
    /bin/busybox mkdir -p /system/dev/shm
    /bin/busybox mount -t tmpfs shm /system/dev/shm
    python=$(/bin/busybox sed -n 's/.*edgekit\.python=\([0-9.]*\).*/\1/p' /proc/cmdline)
    # What the kernel prints could fall into a line of the report.
    /bin/busybox dmesg -n 1
    /bin/busybox chroot /system "/usr/bin/python$python" -I /edgekit/guest.py \
        "/usr/bin/python$python" /edgekit/bundle.pyz run --json \
        || /bin/busybox echo "@edgekit-failed watching"
else
    /bin/busybox echo "@edgekit-failed mount"
fi
/bin/busybox poweroff -f
