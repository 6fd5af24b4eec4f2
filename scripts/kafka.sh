#!/usr/bin/env bash
# Fetches Apache Kafka (broker, clients, tools) from Maven Central into loadtest/compat/.deps (git-ignored) and prints that
# directory. The version is pinned in loadtest/compat/pom.xml. It needs Maven and Java 17.
#
# Callers that come at the same time wait for one download; jars that are there for the same pom.xml are not fetched again.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
pom=$root/loadtest/compat/pom.xml
deps=$root/loadtest/compat/.deps

mkdir -p "$deps"
(
  if command -v flock >/dev/null; then flock 9; fi
  pinned=$(cksum <"$pom")
  if [[ -f $deps/.stamp && $(<"$deps/.stamp") == "$pinned" ]]; then
    exit 0
  fi
  command -v mvn >/dev/null || { echo "kafka.sh: mvn is not installed" >&2; exit 1; }
  # The stamp comes last: a download that broke off is done again.
  rm -f "$deps"/*.jar "$deps/.stamp"
  mvn --quiet --batch-mode --file "$pom" dependency:copy-dependencies -DincludeScope=runtime "-DoutputDirectory=$deps" >&2
  printf '%s\n' "$pinned" >"$deps/.stamp"
) 9>"$deps/.lock"
echo "$deps"
