#!/usr/bin/env bash
# Lints terraform/: by checkov, what is careless about security; by tflint, what is declared and not used, not typed, not described or not
# pinned. `make terraform-lint` calls it. A finding that is meant has its reason beside it in the module; one that is wrong everywhere has it
# in terraform/.checkov.yaml or terraform/.tflint.hcl.
#
# It needs Python 3 with venv, and Go. checkov is installed into .tools/py-checkov, tflint is built into .tools/bin (minutes, once).
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

# Only the rules that are built into it: those of clouds are programs of their own, which it would fetch.
tflint=$("$root/scripts/tools.sh" tflint)
"$tflint" --chdir="$root/terraform" --recursive --config="$root/terraform/.tflint.hcl"
echo "tflint: nothing found"
