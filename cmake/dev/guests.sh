# ./dev guests: unmodified Debian kernels and an initramfs with busybox, for three architectures.
# shellcheck shell=bash

readonly guests_dir=$root/build/guests
# shellcheck disable=SC2016
readonly guest_init='#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox echo "USERLAND-UP $(/bin/busybox uname -m) $(/bin/busybox uname -r)"
/bin/busybox cat /proc/cpuinfo | /bin/busybox head -12
/bin/busybox sh -c '\''i=0; while [ $i -lt 200 ]; do i=$((i+1)); done; echo LOOP $i'\''
/bin/busybox sha256sum /bin/busybox
/bin/busybox echo "USERLAND-DONE"
/bin/busybox poweroff -f'

# make_initrd BUSYBOX TREE OUT: the same bytes for the same busybox, whenever and wherever it is
# made. TREE is a directory that does not exist yet.
make_initrd() {
  local tree=$2
  mkdir -p "$tree"/bin "$tree"/dev "$tree"/proc "$tree"/sys
  install -m 0755 "$1" "$tree"/bin/busybox
  printf '%s\n' "$guest_init" >"$tree"/init
  chmod 0755 "$tree" "$tree"/*
  find "$tree" -exec touch -h -d @0 {} +
  (cd "$tree" && find . -mindepth 1 -print0 | LC_ALL=C sort -z |
    cpio --quiet --null -o -H newc --reproducible -R 0:0) | gzip -n -9 >"$3"
}

# Drivers that Debian's kernels have as modules, in the order in which they are loaded.
readonly guest_modules="virtio_mmio virtio-rng"

# unpack_modules PACKAGE_TREE OUT: puts them into OUT/modules, not compressed.
unpack_modules() {
  local name packed
  mkdir -p "$2"/modules
  for name in $guest_modules; do
    packed=$(find "$1" -name "$name.ko.xz" -type f)
    [ -f "$packed" ] || die "guests: the kernel's package holds no $name.ko.xz"
    xz -dc "$packed" >"$2/modules/$name.ko"
  done
}

# fetch_guest OUT ARCH DEBIAN_ARCH RELEASES KERNEL_PATTERN BOOT_FILE: fills the directory OUT.
fetch_guest() {
  local out=$1 arch=$2 debian_arch=$3 releases=$4 pattern=$5 file=$6 kernel deb boot
  local work=$out/work options
  options=(-o APT::Architecture="$debian_arch" -o APT::Architectures="$debian_arch")
  mkdir -p "$work"/debs
  # shellcheck disable=SC2086
  foreign_state "$work" $releases
  twice foreign "$work" apt-get "${options[@]}" update -qq >/dev/null ||
    die "guests: cannot read the package lists of $debian_arch"
  kernel=$(foreign "$work" apt-cache "${options[@]}" pkgnames linux-image- | grep -Ex "$pattern" |
    sort -V | tail -n 1) || true
  [ -n "$kernel" ] || die "guests: no package of $debian_arch in $releases matches $pattern"
  say "guests: $arch: $kernel"
  (cd "$work"/debs &&
    twice foreign "$work" apt-get "${options[@]}" download -qq "$kernel" busybox-static >/dev/null) ||
    die "guests: cannot download $kernel and busybox-static of $debian_arch"
  for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work"/unpacked; done
  boot=("$work"/unpacked/boot/$file)
  install -m 0644 "${boot[0]}" "$out"/kernel
  make_initrd "$(busybox_of "$work"/unpacked)" "$work"/tree "$out"/initrd.gz
  unpack_modules "$work"/unpacked "$out"
  sha256sum <"$work"/tree/bin/busybox | cut -d ' ' -f 1 >"$out"/busybox.sha256
  printf '%s\n' "$kernel" >"$out"/version
  rm -rf "$work"
}

# The static busybox below a package tree; releases differ in where they put it.
busybox_of() {
  local place
  for place in usr/bin/busybox bin/busybox; do
    [ -f "$1/$place" ] && { printf '%s\n' "$1/$place"; return 0; }
  done
  die "guests: the package busybox-static holds no busybox"
}

# ensure_guest ARCH ...: does nothing where the guest is there; never leaves half of one. Call it
# plainly: behind `||` or `if` bash would go on after a failure in here.
ensure_guest() {
  local arch=$1 file whole=yes
  # shellcheck disable=SC2086
  for file in kernel initrd.gz busybox.sha256 $(printf 'modules/%s.ko ' $guest_modules); do
    [ -s "$guests_dir/$arch/$file" ] || whole=no
  done
  [ "$whole" = no ] || return 0
  need apt-get apt-cache dpkg cpio gzip sha256sum xz
  mkdir -p "$guests_dir"
  guest_out=$(mktemp -d "$guests_dir/.$arch.XXXXXX")
  trap 'rm -rf "$guest_out"' EXIT
  fetch_guest "$guest_out" "$@"
  chmod 0755 "$guest_out"
  rm -rf "${guests_dir:?}/$arch"
  mv "$guest_out" "$guests_dir/$arch"
}

dev_guests() {
  local name='linux-image-[0-9][^-]*(-[0-9]+)?'
  ensure_guest x86_64 amd64 "bookworm bookworm-backports" "$name-cloud-amd64" 'vmlinuz-*'
  ensure_guest aarch64 arm64 "bookworm bookworm-backports" "$name-cloud-arm64" 'vmlinuz-*'
  ensure_guest riscv64 riscv64 "trixie" "$name-riscv64" 'vmlinux-*'
  say "guests: $(cd "$guests_dir" && grep -H . ./*/version | sed 's,^\./,,;s,/version:,: ,' |
    paste -sd ';')"
}
