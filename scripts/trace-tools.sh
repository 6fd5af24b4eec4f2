#!/usr/bin/env bash
# Fetches what loadtest/trace needs beside Tideline, pinned, from package registries alone, and prints where it is.
#
#   scripts/trace-tools.sh python    a Python with OpenTelemetry's instrumentation of a Kafka client (PyPI)
#   scripts/trace-tools.sh zipkin    the jar of a Zipkin server (Maven Central; needs mvn)
#   scripts/trace-tools.sh node      the folder of the npm packages that drive a browser
#   scripts/trace-tools.sh chromium  a browser (Debian's package and what it needs, unpacked; needs root for apt-get)
#
# All of it lies in .tools, git-ignored, and is fetched once for each pin. Callers that come at the same time wait for one.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.tools
here=$root/loadtest/trace
zipkin=3.5.1

python() { # DIR
  python3 -m venv "$1"
  "$1/bin/python" -m pip install -q --disable-pip-version-check -r "$here/python/requirements.txt"
}

zipkin() {
  mvn --quiet --batch-mode dependency:copy "-Dartifact=io.zipkin:zipkin-server:$zipkin:jar:exec" "-DoutputDirectory=$1" -Dmdep.useBaseVersion=true
}

node() {
  cp "$here/browser/package.json" "$here/browser/package-lock.json" "$1"
  (cd "$1" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
}

# The package's libraries go beside it instead of into the system.
chromium() {
  mkdir -p "$1/debs/partial"
  apt-get update -qq
  apt-get -qq -y --no-install-recommends --download-only -o "Dir::Cache::archives=$1/debs" install chromium fonts-dejavu-core >&2
  local deb
  for deb in "$1"/debs/*.deb; do dpkg -x "$deb" "$1/root"; done
  rm -rf "$1/debs"
  # It is run through a script that finds the libraries there.
  cat >"$1/chromium" <<'WRAPPER'
#!/usr/bin/env bash
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/root" && pwd)
export LD_LIBRARY_PATH=$(echo "$root"/usr/lib/*-linux-gnu{,/pulseaudio} | tr ' ' ':'):$root/usr/lib/chromium
exec "$root/usr/lib/chromium/chromium" "$@"
WRAPPER
  chmod +x "$1/chromium"
}

name=${1:-}
case $name in
  python) pin=$(sha256sum <"$here/python/requirements.txt"); result=bin/python ;;
  zipkin) pin=$zipkin; result=zipkin-server-$zipkin-exec.jar ;;
  node) pin=$(sha256sum <"$here/browser/package-lock.json"); result=node_modules ;;
  chromium) pin=debian; result=chromium ;;
  *) echo "usage: scripts/trace-tools.sh python|zipkin|node|chromium" >&2; exit 2 ;;
esac
case $name in python) dir=$tools/py-trace ;; *) dir=$tools/trace-$name ;; esac
mkdir -p "$tools"
(
  flock 9
  if [[ -f $dir/.pin && $(<"$dir/.pin") == "$pin" ]]; then exit 0; fi
  echo "trace-tools.sh: fetching $name" >&2
  rm -rf "$dir"
  mkdir -p "$dir"
  "$name" "$dir" >&2
  printf '%s\n' "$pin" >"$dir/.pin"
) 9>"$dir.lock"
echo "$dir/$result"
