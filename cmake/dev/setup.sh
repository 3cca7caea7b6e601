# ./dev setup: the packages that the project needs, and a clear word where they cannot be had.
# shellcheck shell=bash

readonly unicorn_min=2.1.4 capstone_min=5.0

packages_core="g++ git cmake ninja-build pkg-config ccache ca-certificates clang-19 lld-19
  libgtest-dev libgmock-dev libbenchmark-dev libexpected-dev libfmt-dev libcli11-dev
  libtomlplusplus-dev libfdt-dev libelf-dev libdw-dev libzstd-dev nlohmann-json3-dev"
packages_test="libclang-rt-19-dev device-tree-compiler cpio gzip xz-utils chromium
  qemu-user"
packages_lint="clang-format-19 clang-tidy-19"
packages_bench="qemu-system-x86 qemu-system-arm qemu-system-misc opensbi seabios gdb-multiarch"
# Debian 12 and 13 have versions of these that are too old for us; they come from the first of these
# releases that can be read.
readonly newer_releases="forky sid"
packages_newer="libunicorn2t64 libunicorn-dev libcapstone5 libcapstone-dev"

# Prints the packages of "$@" that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
      printf '%s ' "$package"
  done
}

have_engines() {
  command -v pkg-config >/dev/null && pkg-config --atleast-version="$unicorn_min" unicorn &&
    pkg-config --atleast-version="$capstone_min" capstone
}

as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  else
    sudo -n env DEBIAN_FRONTEND=noninteractive "$@"
  fi
}

can_be_root() {
  [ "$(id -u)" -eq 0 ] || { command -v sudo >/dev/null && sudo -n true 2>/dev/null; }
}

# Runs a command that needs the network once more where it failed.
twice() { "$@" || { say "that failed; once more in 5 s: $*"; sleep 5; "$@"; }; }

apt_options=(-o Acquire::Retries=3 -o Acquire::http::Timeout=60 -o DPkg::Lock::Timeout=300)
apt_updated=no

# Some other source of the machine may be out of reach; that is no business of ours.
apt_update() {
  [ "$apt_updated" = no ] || return 0
  twice as_root apt-get "${apt_options[@]}" update -qq >/dev/null || say "apt-get update had trouble"
  apt_updated=yes
}

apt_install() {
  as_root apt-get "${apt_options[@]}" install -y -qq --no-install-recommends "$@" >/dev/null
}

# Prints the archive that this machine takes Debian from: no host is named in the project.
debian_mirror() {
  local filter mirror
  # shellcheck disable=SC1091
  . /etc/os-release
  for filter in "Codename: ${VERSION_CODENAME:-}" "Release: ${VERSION_CODENAME:-}"; do
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "$filter" \
      'Label: Debian' 2>/dev/null | sort -u | head -n 1)
    [ -n "$mirror" ] && break
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "$filter" \
      2>/dev/null | sort -u | head -n 1)
    [ -n "$mirror" ] && break
  done
  [ -n "$mirror" ] || die "apt knows no Debian archive for '${VERSION_CODENAME:-this system}'"
  printf '%s\n' "$mirror"
}

# foreign_state STATE RELEASE...: prepares STATE for foreign(), knowing these releases of Debian.
foreign_state() {
  local state=$1 mirror release
  shift
  mirror=$(debian_mirror)
  mkdir -p "$state"/lists/partial "$state"/cache/archives/partial
  for release in "$@"; do
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main"
  done >"$state"/sources.list
}

# foreign STATE apt-get|apt-cache ARGS...: with sources and lists of its own under STATE. The
# machine's apt configuration and lists stay as they are, and no root is needed. Signatures are
# checked; the date is not, for a mirror may lag behind a release that moves every few hours.
foreign() {
  local state=$1 tool=$2
  shift 2
  "$tool" "${apt_options[@]}" -o Dir::Etc::sourcelist="$state"/sources.list \
    -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists="$state"/lists \
    -o Dir::Cache="$state"/cache -o APT::Sandbox::User=root \
    -o Acquire::Check-Valid-Until=false "$@"
}

# download_engines STATE RELEASE: the packages into STATE; fails where the release has them not.
download_engines() {
  foreign_state "$1" "$2"
  twice foreign "$1" apt-get update -qq >/dev/null || return 1
  # shellcheck disable=SC2086
  (cd "$1" && twice foreign "$1" apt-get download -qq $packages_newer >/dev/null)
}

install_engines() {
  local state release
  for release in $newer_releases; do
    say "taking Unicorn and Capstone from Debian $release"
    state=$(mktemp -d)
    if download_engines "$state" "$release"; then
      chmod -R a+rX "$state"
      twice apt_install "$state"/*.deb
      rm -rf "$state"
      return 0
    fi
    rm -rf "$state"
  done
}

# What to tell those for whom we cannot install.
refuse_setup() {
  say "$1; install this yourself, or run ./dev setup as root:"
  [ -z "$2" ] || say "  packages: $2"
  have_engines ||
    say "  Unicorn >= $unicorn_min and Capstone >= $capstone_min, as pkg-config sees them (Debian ${newer_releases%% *} has both: $packages_newer)"
  exit 1
}

# ensure_packages GROUP...: does nothing, without a call to apt, where all is there already.
ensure_packages() {
  local group name wanted="" missing
  for group in "$@"; do
    name=packages_$group
    wanted+=" ${!name}"
  done
  wanted=$(echo $wanted)
  command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
    { have_engines && return 0; refuse_setup "this system has no apt" "$wanted"; }
  # shellcheck disable=SC2086
  missing=$(missing_packages $wanted)
  if [ -n "$missing" ]; then
    can_be_root || refuse_setup "not root, and no sudo without a password" "$missing"
    say "installing $missing"
    apt_update
    # shellcheck disable=SC2086
    twice apt_install $missing || die "apt could not install: $missing"
  fi
  have_engines && return 0
  can_be_root || refuse_setup "not root, and no sudo without a password" ""
  apt_update
  install_engines
  have_engines || die "still no Unicorn >= $unicorn_min and Capstone >= $capstone_min: $(
    pkg-config --modversion unicorn capstone 2>&1 | tr '\n' ' ')"
}

dev_setup() {
  case ${1:-all} in
    core) ensure_packages core ;;
    test) ensure_packages core test ;;
    lint) ensure_packages core test lint ;;
    all) ensure_packages core test lint ;;
    bench) ensure_packages core test bench ;;
    *) die "./dev setup knows core, test, lint, bench and all, not '$1'" ;;
  esac
  say "setup: Unicorn $(pkg-config --modversion unicorn), Capstone $(
    pkg-config --modversion capstone), $(g++ --version | head -n 1)"
}
