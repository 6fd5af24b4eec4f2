#!/usr/bin/env bash
# Lints terraform/ by checkov: what is careless about security. `make terraform-lint` calls it. A finding that is meant has its reason beside it in the
# module; one that is wrong everywhere has it in terraform/.checkov.yaml.
#
# It needs Python 3 with venv. checkov is installed into .tools/py-checkov (minutes, once).
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.tools
venv=$tools/py-checkov
checkov=checkov==3.3.30

mkdir -p "$tools"
(
  if command -v flock >/dev/null; then flock 9; fi
  if [[ ! -f $venv/.stamp || $(<"$venv/.stamp") != "$checkov" ]]; then
    echo "terraform-lint.sh: installing checkov into .tools/py-checkov (minutes, once)" >&2
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check "$checkov"
    printf '%s\n' "$checkov" >"$venv/.stamp"
  fi
) 9>"$tools/.py-checkov.lock"

"$venv/bin/checkov" --config-file "$root/terraform/.checkov.yaml" --skip-download --framework terraform --compact --quiet --download-external-modules false -d "$root/terraform"
echo "checkov: nothing found"
