#!/usr/bin/env bash
# Builds a Kubernetes control plane, which `make kube` applies the chart to, into .tools/kube (git-ignored, never linked into
# the product): kube-apiserver, kube-controller-manager, kube-scheduler, etcd, and Helm. The nodes are played by `make kube`.
#
#   scripts/kube.sh   build what is missing (about 15 minutes on two cores, once), print the directory
#
# Each is pinned, and built in a throw-away module by the module proxy alone: their own go.mod files replace modules by
# directories that are not there, so `go install module@version` refuses them. A pin is changed here, in one place.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
dir=$root/.tools/kube

kubernetes=v1.37.2
etcd=v3.7.3
helm=v4.3.1

mkdir -p "$dir"
exec 9>"$dir/.lock"
# Where there is no flock(1), two first builds at once are wasteful, not wrong: the rename decides.
if command -v flock >/dev/null; then flock 9; fi

stage=$(mktemp -d "$dir/.stage.XXXXXX")
trap 'rm -rf "$stage"' EXIT
export CGO_ENABLED=0 GOWORK=off GOFLAGS=-mod=mod

# build MODULE VERSION LDFLAGS NAME=PACKAGE... builds programs of one module, unless they are there at this version.
build() {
  local module=$1 version=$2 ldflags=$3 program
  shift 3
  for program in "$@"; do
    local name=${program%%=*}
    if [[ -x $dir/$name && -f $dir/.$name.version && $(<"$dir/.$name.version") == "$version" ]]; then
      continue
    fi
    echo "kube.sh: building $name $version" >&2
    module "$module" "$version"
    (cd "$stage/$version" && go build -trimpath -ldflags="-s -w $ldflags" -o "$stage/$name" "${program#*=}") >&2
    mv -f "$stage/$name" "$dir/$name"
    printf '%s\n' "$version" >"$dir/.$name.version"
  done
}

# module MODULE VERSION makes the module in which that one is required. What it requires at v0.0.0 lies beside it in its own
# repository, and is published as a module of its own at the version that goes with it: v1.2.3 with v0.2.3.
module() {
  [[ -d $stage/$2 ]] && return
  mkdir "$stage/$2"
  (
    cd "$stage/$2"
    go mod init throwaway
    go mod download "$1@$2"
    local beside
    for beside in $(awk '$2 == "v0.0.0" { print $1 }' "$(go env GOMODCACHE)/cache/download/$1/@v/$2.mod"); do
      go mod edit -replace="$beside=$beside@v0.${2#v1.}"
    done
    go get "$1@$2"
  ) >&2
}

stamp=
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  minor=${kubernetes#v1.}
  stamp+=" -X $package.gitVersion=$kubernetes -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
done
build go.etcd.io/etcd/server/v3 "$etcd" '' etcd=go.etcd.io/etcd/server/v3
build helm.sh/helm/v4 "$helm" '' helm=helm.sh/helm/v4/cmd/helm
build k8s.io/kubernetes "$kubernetes" "$stamp" kube-scheduler=k8s.io/kubernetes/cmd/kube-scheduler \
  kube-controller-manager=k8s.io/kubernetes/cmd/kube-controller-manager kube-apiserver=k8s.io/kubernetes/cmd/kube-apiserver
echo "$dir"
