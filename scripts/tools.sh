#!/usr/bin/env bash
# Builds the programs that tests, demos and checks run beside Tideline, into .tools/bin (git-ignored, never linked into the product).
#
#   scripts/tools.sh minio [...]   build what is missing, print its path
#   scripts/tools.sh --list        names that can be built
#
# Each tool is pinned. A tool that is already there at its pin is not built again; callers that come at the same time wait
# for one build. A pin is changed here, in one place: the stamp beside the binary no longer matches, and it is rebuilt.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin=$root/.tools/bin

# name → module@version. MinIO's release tags are not valid module versions, so the commit of the release is named.
pin() {
  case $1 in
    minio) echo 'github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c' ;;
    tflint) echo 'github.com/terraform-linters/tflint@v0.64.0' ;;
    *) return 1 ;;
  esac
}

build() {
  local name=$1 module
  if ! module=$(pin "$name"); then
    echo "tools.sh: unknown tool name=$name (known: minio tflint)" >&2
    return 2
  fi
  mkdir -p "$bin"
  local stamp=$bin/.$name.version
  (
    # Where there is no flock(1) (macOS), two first builds at once are wasteful, not wrong: the rename decides.
    if command -v flock >/dev/null; then flock 9; fi
    if [[ -x $bin/$name && -f $stamp && $(<"$stamp") == "$module" ]]; then
      exit 0
    fi
    echo "tools.sh: building $module (minutes on a small machine)" >&2
    # Installed into a directory of its own and renamed: nobody ever runs half a binary.
    stage=$(mktemp -d "$bin/.stage.XXXXXX")
    trap 'rm -rf "$stage"' EXIT
    # Outside the module, so that neither its go.mod nor a workspace has a say in the tool's dependencies.
    (cd "$stage" && CGO_ENABLED=0 GOWORK=off GOFLAGS= GOBIN=$stage nice -n 10 go install -trimpath -ldflags='-s -w' "$module")
    mv -f "$stage/$name" "$bin/$name"
    printf '%s\n' "$module" >"$stamp"
  ) 9>"$bin/.$name.lock"
  echo "$bin/$name"
}

if [[ $# -eq 0 ]]; then
  echo "usage: scripts/tools.sh NAME... | --list" >&2
  exit 2
fi
if [[ $1 == --list ]]; then
  printf '%s\n' minio tflint
  exit 0
fi
for name in "$@"; do
  build "$name"
done
