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

# The packages of the guests: file in the archive's pool, and SHA-256. One kernel, so one digest,
# everywhere, for as long as the archive has these, whatever its lists say today.
readonly guest_debs='
x86_64 l/linux-signed-amd64/linux-image-6.12.95+deb12-cloud-amd64_6.12.95-1~bpo12+1_amd64.deb 69c92f43b23821de79576fa4d7c86e2924ae2c1b247a47cc5ed9339e220fbcb7
x86_64 b/busybox/busybox-static_1.35.0-4+deb12u1+b1_amd64.deb 3d3fdbe91d4660c873e14b092c213fe81c1da6362daa236eb25d0171eb108744
aarch64 l/linux-signed-arm64/linux-image-6.12.95+deb12-cloud-arm64_6.12.95-1~bpo12+1_arm64.deb 3d1283d15afe078c9fa7a4de66d989fc7d84103912dc2792d5a85bfdb3eb88b5
aarch64 b/busybox/busybox-static_1.35.0-4+deb12u1+b1_arm64.deb 732c9135564fc71337e0e05fb4da4d11e6c28c1834bce3e405e575afef2a52f5
riscv64 l/linux/linux-image-6.12.107+deb13-riscv64_6.12.107-1_riscv64.deb abe9f65d74b434692149482b031db7a2aaf832921e09f69f775293c0e0c5799c
riscv64 b/busybox/busybox-static_1.37.0-6+b9_riscv64.deb 4add476d2b185c5b487c285b38d790f0881a7e4a8e2ddde835f917e770eb8633'

# fetch_known_debs WORK ARCH: the packages above into WORK/debs; fails where one cannot be had.
fetch_known_debs() {
  local mirror arch file sha
  mirror=$(debian_mirror) || return 1
  while read -r arch file sha; do
    [ "$arch" = "$2" ] || continue
    twice /usr/lib/apt/apt-helper "${apt_options[@]}" -o APT::Sandbox::User=root download-file \
      "${mirror%/}/pool/main/$file" "$1/debs/${file##*/}" "SHA256:$sha" >/dev/null </dev/null || return 1
  done <<<"$guest_debs"
}

# fetch_newest_debs WORK DEBIAN_ARCH RELEASES KERNEL_PATTERN: what the lists of RELEASES name last.
fetch_newest_debs() {
  local work=$1 debian_arch=$2 releases=$3 pattern=$4 kernel options
  options=(-o APT::Architecture="$debian_arch" -o APT::Architectures="$debian_arch")
  # shellcheck disable=SC2086
  foreign_state "$work" $releases
  twice foreign "$work" apt-get "${options[@]}" update -qq >/dev/null ||
    die "guests: cannot read the package lists of $debian_arch"
  kernel=$(foreign "$work" apt-cache "${options[@]}" pkgnames linux-image- | grep -Ex "$pattern" |
    sort -V | tail -n 1) || true
  [ -n "$kernel" ] || die "guests: no package of $debian_arch in $releases matches $pattern"
  (cd "$work"/debs &&
    twice foreign "$work" apt-get "${options[@]}" download -qq "$kernel" busybox-static >/dev/null) ||
    die "guests: cannot download $kernel and busybox-static of $debian_arch"
}

# fetch_guest OUT ARCH DEBIAN_ARCH RELEASES KERNEL_PATTERN BOOT_FILE: fills the directory OUT.
fetch_guest() {
  local out=$1 arch=$2 file=$6 work=$1/work deb boot kernel
  mkdir -p "$work"/debs
  fetch_known_debs "$work" "$arch" || {
    say "guests: $arch: the known packages cannot be had; taking the newest, so digests may differ from the documented ones"
    rm -rf "$work"/debs && mkdir "$work"/debs
    fetch_newest_debs "$work" "$3" "$4" "$5"
  }
  for deb in "$work"/debs/*.deb; do dpkg -x "$deb" "$work"/unpacked; done
  kernel=$(cd "$work"/debs && echo linux-image-*.deb)
  say "guests: $arch: ${kernel%%_*}"
  boot=("$work"/unpacked/boot/$file)
  install -m 0644 "${boot[0]}" "$out"/kernel
  make_initrd "$(busybox_of "$work"/unpacked)" "$work"/tree "$out"/initrd.gz
  unpack_modules "$work"/unpacked "$out"
  sha256sum <"$work"/tree/bin/busybox | cut -d ' ' -f 1 >"$out"/busybox.sha256
  printf '%s\n' "${kernel%%_*}" >"$out"/version
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
