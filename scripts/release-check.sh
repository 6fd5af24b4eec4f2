#!/usr/bin/env bash
# Tries what `make release` has made, as those do who get it:
#
#   1. the checksums are right
#   2. made a second time, in a clone elsewhere with an empty build cache, the bytes are the same
#   3. the Debian package installs into a clean root: user, modes, unit; the broker runs there and keeps records over a stop;
#      removal keeps settings and records; a purge takes the settings, never records
#   4. a package of a former commit is upgraded to this one while its broker serves, and back: nothing stops it, records and what the
#      administrator has written stay, and what he left alone is the new package's
#   5. the archive and the image have a broker that runs in a root of nothing but their files, as the user of the image
#   6. the programs for arm64 run, too (emulated by qemu)
#
#   scripts/release-check.sh [DIST]
#
# Needs Debian or one of its kind, root, and what apt-get can fetch of debootstrap and qemu-user-static (unpacked into .tools, not
# installed). FAST=1 leaves out step 2, which builds everything anew. FORMER=REVISION is the commit that is upgraded from; if it is
# not said, the last one that was made in another second, since without tags the second is what orders versions.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
dist=$(cd "${1:-dist}" && pwd)
tools=$root/.tools/release-check
suite=bookworm

fail() { echo "release-check: $*" >&2; exit 1; }
say() { echo "release-check: $*"; }

[[ $(uname -s) == Linux && $EUID == 0 ]] || fail "it needs Linux and root: packages are installed into roots of their own"
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || fail "it needs apt-get and dpkg-deb"
[[ $(uname -m) == x86_64 ]] || fail "it knows only machines of kind amd64"

stage=$(mktemp -d)
broker=
cleanup() {
  if [[ -n $broker ]]; then kill -KILL "$broker" 2>/dev/null || true; fi
  rm -rf --one-file-system "$stage"
}
trap cleanup EXIT

version=$(cd "$dist" && ls tideline_*_linux_amd64.tar.gz | sed -E 's/^tideline_(.*)_linux_amd64\.tar\.gz$/\1/')
[[ -n $version && $version != *$'\n'* ]] || fail "not one release is in $dist"
head=$(git rev-parse HEAD) # once: this takes minutes, in which somebody may commit

# --- 1

(cd "$dist" && sha256sum --check --quiet --strict SHA256SUMS)
say "checksums are right"

# --- 2

if [[ ${FAST:-} == 1 ]]; then
  say "NOT CHECKED: whether a second build has the same bytes (FAST=1)"
elif [[ $version == *.dirty ]]; then
  fail "the tree differs from its commit: what was made cannot be made again"
else
  git clone --quiet --no-hardlinks "$root" "$stage/a clone"
  git -C "$stage/a clone" checkout --quiet --detach "$head"
  mkdir "$stage/cache"
  archs=$(cd "$dist" && ls tideline_*_linux_*.tar.gz | sed -E 's/.*_linux_(.*)\.tar\.gz$/\1/' | paste -sd,)
  (umask 077 && TZ=Asia/Kolkata LC_ALL=C GOCACHE=$stage/cache bin/release -root "$stage/a clone" -out "$stage/again" \
    -version "$(git describe --tags --always --abbrev=12 "$head")" -commit "$(git rev-parse --short=12 "$head")" -epoch "$(git log -1 --format=%ct "$head")" -arch "$archs" >"$stage/log" 2>&1) || { cat "$stage/log"; exit 1; }
  diff "$dist/SHA256SUMS" "$stage/again/SHA256SUMS" || fail "a second build has other bytes"
  rm -rf "$stage/a clone" "$stage/cache" "$stage/again"
  say "a second build, elsewhere and from nothing, has the same bytes"
fi

# --- what apt-get fetches, unpacked

# fetch NAME: a package of Debian, unpacked into a directory of its own.
fetch() {
  local into=$tools/$1
  if [[ ! -d $into ]]; then
    mkdir -p "$stage/fetch-$1" "$tools"
    (cd "$stage/fetch-$1" && apt-get -q -o APT::Sandbox::User=root download "$1" >/dev/null 2>&1) ||
      { apt-get -q update >/dev/null && (cd "$stage/fetch-$1" && apt-get -q -o APT::Sandbox::User=root download "$1" >/dev/null); } || fail "apt-get has no $1"
    dpkg-deb -x "$stage/fetch-$1"/*.deb "$stage/unpacked-$1"
    mv "$stage/unpacked-$1" "$into"
  fi
  echo "$into"
}

# A root as debootstrap makes it, with systemd, whose judgement of the unit is wanted. Made once, copied for each run.
clean=$tools/$suite
if [[ ! -e $clean/etc/debian_version ]]; then
  say "debootstrap makes a root of Debian $suite (minutes, once)"
  debootstrap=$(fetch debootstrap)
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME)' 'Identifier: Packages' | awk -v suite=$suite '$2 == suite { print $1; exit }')
  [[ -n $mirror ]] || fail "apt knows no mirror of Debian $suite"
  DEBOOTSTRAP_DIR=$debootstrap/usr/share/debootstrap "$debootstrap/usr/sbin/debootstrap" --variant=minbase --include=systemd \
    $suite "$stage/$suite" "$mirror" >"$stage/debootstrap.log" 2>&1 || { tail -20 "$stage/debootstrap.log"; fail "debootstrap failed"; }
  rm -rf "$stage/$suite"/var/cache/apt/archives/*.deb
  mv "$stage/$suite" "$clean"
fi

# --- a broker in a root

# serve ROOT USER:GROUP ENVIRONMENT... -- COMMAND...: starts a broker in the root and returns when it serves; its address is in $kafka.
serve() {
  local in=$1 as=$2
  shift 2
  rm -f "$stage/ready" && mkfifo "$stage/ready"
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin TIDELINE_HTTP_LISTENER=127.0.0.1:0 TIDELINE_LISTENERS=PLAINTEXT://127.0.0.1:0 TIDELINE_WAL_MAX_BYTES=256MiB TIDELINE_WAL_FILE_BYTES=16MiB \
    chroot --userspec="$as" "$in" "$@" >"$stage/ready" 2>"$stage/broker.log" &
  broker=$!
  local line=
  read -r -t 120 line <"$stage/ready" || { tail -5 "$stage/broker.log"; fail "the broker did not serve"; }
  kafka=$(sed -E 's/^ready kafka=([^ ]+) .*/\1/' <<<"$line")
}

stop() {
  kill -TERM "$broker"
  wait "$broker" || { tail -5 "$stage/broker.log"; fail "the broker did not stop in order"; }
  broker=
}

# exchange PROGRAM NUMBER: writes a record and reads as many as there should be.
exchange() {
  local program=$1 want=$2 got
  "$program" topic create orders --brokers "$kafka" >/dev/null 2>&1 || true
  echo "record $want" | "$program" produce orders --brokers "$kafka"
  got=$("$program" consume orders --from-beginning --until-end --brokers "$kafka" | wc -l)
  [[ $got == "$want" ]] || fail "read $got records, expected $want"
}

# is PATH MODE OWNER:GROUP, in the root of the machine.
is() {
  local got
  got=$(chroot "$machine" stat -c '%a %U:%G' "$1")
  [[ $got == "$2 $3" ]] || fail "$1 is $got, expected $2 $3"
}

# --- 3

machine=$stage/machine
cp -a --reflink=auto "$clean" "$machine"
install -m 644 "$dist/tideline_${version}_amd64.deb" "$machine/tideline.deb"
in_machine() { DEBIAN_FRONTEND=noninteractive LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$machine" "$@"; }

in_machine dpkg -i /tideline.deb >"$stage/dpkg.log" 2>&1 || { cat "$stage/dpkg.log"; fail "the package does not install"; }
[[ -z $(in_machine dpkg --verify tideline) ]] || fail "what dpkg has installed is not what is there: $(in_machine dpkg --verify tideline)"
in_machine getent passwd tideline | grep -q ':/var/lib/tideline:/usr/sbin/nologin$' || fail "there is no user tideline, or not as it should be"
is /usr/bin/tideline 755 root:root
is /etc/tideline 750 root:tideline
is /etc/tideline/tideline.yaml 640 root:tideline
is /etc/default/tideline 600 root:root
is /var/lib/tideline 750 tideline:tideline
[[ ! -e $machine/etc/systemd/system/multi-user.target.wants/tideline.service ]] || fail "the package has enabled its unit"
in_machine systemd-analyze verify /usr/lib/systemd/system/tideline.service >"$stage/verify.log" 2>&1 || { cat "$stage/verify.log"; fail "systemd refuses the unit"; }
! grep -q tideline.service "$stage/verify.log" || { cat "$stage/verify.log"; fail "systemd has something to say of the unit"; }
in_machine systemd-analyze security --offline=true --threshold=20 tideline.service >"$stage/security.log" 2>&1 ||
  { cat "$stage/security.log"; fail "the unit leaves the broker too much"; }
in_machine tideline --version | grep -qF "commit=$(git rev-parse --short=12 "$head")" || fail "the program is of another commit: $(in_machine tideline --version)"

program=$machine/usr/bin/tideline
broker_there=(/usr/bin/tideline server --config /etc/tideline/tideline.yaml)
serve "$machine" tideline:tideline "${broker_there[@]}"
exchange "$program" 1
stop
serve "$machine" tideline:tideline "${broker_there[@]}"
exchange "$program" 2
stop

echo '# by the administrator' >>"$machine/etc/tideline/tideline.yaml"
in_machine dpkg -i /tideline.deb >"$stage/dpkg.log" 2>&1 || { cat "$stage/dpkg.log"; fail "the package does not install over itself"; }
grep -q '^# by the administrator' "$machine/etc/tideline/tideline.yaml" || fail "an upgrade has changed the settings"
is /etc/tideline/tideline.yaml 640 root:tideline
is /var/lib/tideline 750 tideline:tideline

in_machine dpkg -r tideline >"$stage/dpkg.log" 2>&1 || { cat "$stage/dpkg.log"; fail "the package cannot be removed"; }
[[ ! -e $machine/usr/bin/tideline && -e $machine/etc/tideline/tideline.yaml && -d $machine/var/lib/tideline/objects ]] ||
  fail "removal left the program, or took settings or records"
in_machine dpkg -P tideline >"$stage/dpkg.log" 2>&1 || { cat "$stage/dpkg.log"; fail "the package cannot be purged"; }
[[ ! -e $machine/etc/tideline && ! -e $machine/etc/default/tideline && -d $machine/var/lib/tideline/objects ]] || fail "the purge left settings, or took records"
in_machine getent passwd tideline >/dev/null || fail "the purge took the owner of records that stay"
in_machine dpkg -i /tideline.deb >"$stage/dpkg.log" 2>&1 || { cat "$stage/dpkg.log"; fail "the package does not install again"; }
serve "$machine" tideline:tideline "${broker_there[@]}"
exchange "$program" 3
stop
rm -rf "$machine/var/lib/tideline"
in_machine dpkg -P tideline >"$stage/dpkg.log" 2>&1 || { cat "$stage/dpkg.log"; fail "the package cannot be purged"; }
! in_machine getent passwd tideline >/dev/null || fail "the purge left the user, who owns nothing"
left=$(diff <(cd "$clean" && find . -path ./proc -prune -o -print | sort) <(cd "$machine" && find . -path ./proc -prune -o -print | sort) | grep '^>' | grep -vE '/tideline\.deb$|/var/(cache|log|lib/dpkg)/|/etc/(passwd|group|g?shadow|sub[ug]id)-$|^> ./run/|/var/lib/systemd' || true)
[[ -z $left ]] || fail "the package has left: $left"
rm -rf --one-file-system "$machine"
say "the package installs, runs, goes, and leaves records where they are"

# --- 4

# The former package is made by today's releaser of the sources of then, with other settings and another unit, so that dpkg has
# something to decide even where the two commits are alike.
former=${FORMER:-$(git rev-list -1 --min-age=$(($(git log -1 --format=%ct "$head") - 1)) "$head")}
former=$(git rev-parse --verify --quiet "$former^{commit}") || fail "there is no commit to upgrade from: FORMER=${FORMER:-}"
git clone --quiet --no-hardlinks "$root" "$stage/former"
git -C "$stage/former" checkout --quiet --detach "$former"
for file in tideline.yaml tideline.default tideline.service; do echo '# of the former package' >>"$stage/former/deploy/systemd/$file"; done
bin/release -root "$stage/former" -out "$stage/former-dist" -arch amd64 -version "$(git describe --tags --always --abbrev=12 "$former")" \
  -commit "$(git rev-parse --short=12 "$former")" -epoch "$(git log -1 --format=%ct "$former")" >"$stage/log" 2>&1 || { cat "$stage/log"; fail "the former package cannot be made"; }
cp -a --reflink=auto "$clean" "$machine"
install -m 644 "$stage"/former-dist/tideline_*_amd64.deb "$machine/former.deb"
install -m 644 "$dist/tideline_${version}_amd64.deb" "$machine/tideline.deb"
rm -rf "$stage/former" "$stage/former-dist"
older=$(dpkg-deb -f "$machine/former.deb" Version)
dpkg --compare-versions "$older" lt "$version" || fail "Debian does not hold $older for older than $version"

# install_package FILE: as apt does it where nobody can be asked: what the administrator has changed stays.
install_package() {
  in_machine dpkg --force-confdef --force-confold -i "$1" >"$stage/dpkg.log" 2>&1 </dev/null || { cat "$stage/dpkg.log"; fail "$1 does not install over what is there"; }
}
# after FILE: what must be so after FILE was installed.
after() {
  in_machine dpkg --status tideline | grep -qx 'Status: install ok installed' || fail "dpkg holds the package for half installed"
  dpkg-deb -x "$machine$1" "$stage/wanted"
  cmp "$machine/usr/bin/tideline" "$stage/wanted/usr/bin/tideline" || fail "the program is not that of $1"
  cmp "$machine/usr/lib/systemd/system/tideline.service" "$stage/wanted/usr/lib/systemd/system/tideline.service" || fail "the unit is not that of $1"
  cmp "$machine/etc/default/tideline" "$stage/wanted/etc/default/tideline" || fail "a file that nobody has changed is not that of $1"
  rm -rf "$stage/wanted"
  cmp "$machine/etc/tideline/tideline.yaml" "$stage/settings" || fail "the administrator's settings were changed"
  is /etc/tideline 750 root:tideline
  is /etc/tideline/tideline.yaml 640 root:tideline
  is /etc/default/tideline 600 root:root
  is /var/lib/tideline 700 tideline:tideline
}

install_package /former.deb
printf '\n# by the administrator\nnum.partitions: 3\n' >>"$machine/etc/tideline/tideline.yaml"
cp "$machine/etc/tideline/tideline.yaml" "$stage/settings"
chmod 700 "$machine/var/lib/tideline"
serve "$machine" tideline:tideline "${broker_there[@]}"
exchange "$program" 1
install_package /tideline.deb
after /tideline.deb
cmp "$machine/etc/tideline/tideline.yaml.dpkg-dist" deploy/systemd/tideline.yaml || fail "the settings of the new package are not beside those of the administrator"
is /etc/tideline/tideline.yaml.dpkg-dist 640 root:tideline
exchange "$program" 2 # with the broker of before, which nobody has stopped
stop
serve "$machine" tideline:tideline "${broker_there[@]}"
exchange "$program" 3
[[ $("$program" topic describe orders --brokers "$kafka" | grep -c '^orders  *[0-9]') == 3 ]] || fail "the administrator's settings do not count"
stop
install_package /former.deb
after /former.deb
serve "$machine" tideline:tideline "${broker_there[@]}"
exchange "$program" 4
stop
rm -rf --one-file-system "$machine"
say "a package of $older is upgraded under a broker that serves, and back; records and settings stay"

# --- 5

mkdir "$stage/archive" "$stage/alone" "$stage/alone/data"
tar -xzf "$dist/tideline_${version}_linux_amd64.tar.gz" -C "$stage/archive"
unpacked=$stage/archive/tideline_${version}_linux_amd64
cmp "$unpacked/systemd/tideline.service" deploy/systemd/tideline.service
cmp "$unpacked/LICENSE" LICENSE
cp "$unpacked/bin/tideline" "$stage/alone/tideline"
chown 12345:12345 "$stage/alone/data"
serve "$stage/alone" 12345:12345 /tideline server --set data.dir=/data
exchange "$unpacked/bin/tideline" 1
stop
say "the archive has a broker that runs with nothing beside it"

# unpack ARCH: the layers of an image, one over the other.
unpack() {
  local image=$dist/tideline_${version}_image_$1.tar
  mkdir "$stage/image-$1"
  tar -xOf "$image" manifest.json | sed -E 's/.*"Layers":\[([^]]*)\].*/\1/' | tr -d '"' | tr ',' '\n' | while read -r layer || [[ -n $layer ]]; do
    tar -xOf "$image" "$layer" | tar -xz --same-owner --numeric-owner -p -C "$stage/image-$1"
  done
}
unpack amd64
image=$stage/image-amd64
[[ $(stat -c '%a %u:%g' "$image/var/lib/tideline") == '750 65532:65532' ]] || fail "the data directory of the image is not its user's"
grep -q 'BEGIN CERTIFICATE' "$image/etc/ssl/certs/ca-certificates.crt" || fail "the image has no authorities"
serve "$image" 65532:65532 /usr/bin/tideline server --config /etc/tideline/tideline.yaml
exchange "$image/usr/bin/tideline" 1
stop
serve "$image" 65532:65532 /usr/bin/tideline server --config /etc/tideline/tideline.yaml
exchange "$image/usr/bin/tideline" 2
stop
say "the image has a broker that runs as its user"

# --- 6

if [[ -e $dist/tideline_${version}_arm64.deb ]]; then
  qemu=$(fetch qemu-user-static)/usr/bin/qemu-aarch64-static
  dpkg-deb -x "$dist/tideline_${version}_arm64.deb" "$stage/deb-arm64"
  [[ $(dpkg-deb -f "$dist/tideline_${version}_arm64.deb" Architecture) == arm64 ]] || fail "the package for arm64 says that it is another"
  mkdir "$stage/archive-arm64"
  tar -xzf "$dist/tideline_${version}_linux_arm64.tar.gz" -C "$stage/archive-arm64"
  unpack arm64
  for program in "$stage/deb-arm64/usr/bin/tideline" "$stage"/archive-arm64/*/bin/tideline "$stage/image-arm64/usr/bin/tideline"; do
    "$qemu" "$program" --version | grep -q 'linux/arm64$' || fail "$program is not for arm64"
  done
  say "the programs for arm64 run, emulated"
fi
say "all is well: tideline $version"
