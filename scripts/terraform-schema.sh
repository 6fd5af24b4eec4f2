#!/usr/bin/env bash
# Holds the modules whose providers cannot be had against the schema of these providers. `make terraform-schema` calls it.
#
# The schema comes out of the typings that each provider's schema was once turned into (npm packages, at pins, see
# deploy/check/terraform/schema). A stand-in serves it to Terraform as that provider: enough for init and validate, which look at every
# argument and reference, and for the plans of tests/ against a mock. Nothing is asked of any cloud.
#
# It needs terraform, npm and Go. The typings stay in .tools/tf-typings.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
typings=$root/.tools/tf-typings

say() { printf '%s terraform-schema.sh: %s\n' "$(date +%H:%M:%S)" "$*"; }
die() { say "$*" >&2; exit 1; }

for program in terraform npm go; do
  command -v "$program" >/dev/null || die "$program is missing"
done

# package version sha256
pins='google 16.12.1 c13e11596542ffb7412d5f4caa9376525fbef88d18cdedac03c9b3c392a1fc80
azurerm 14.23.1 5a0f614dae844379768e17881015f2d4cc02b4d195ce401aeadd9c18b6c9e90a
helm 12.1.2 a9dd5089ab5204d2838977dddeef54f9871242426d0af2c11f9bf0b182efbd3e
kubernetes 12.1.1 0a58a193de50c8475fd53ed0e541ed2f1254dd72f14815943fd9374e6d81b5df'

modules=(modules/gcp modules/azure modules/kubernetes)
examples=(examples/gcp examples/azure examples/kubernetes)

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

sum() { if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1; }

mkdir -p "$typings" "$work/typings"
while read -r name version digest; do
  archive=cdktf-provider-$name-$version.tgz
  if [[ ! -f $typings/$archive || $(sum "$typings/$archive") != "$digest" ]]; then
    say "fetching the typings of $name (once)"
    stage=$(mktemp -d "$typings/.stage.XXXXXX")
    (cd "$stage" && npm pack --silent "@cdktf/provider-$name@$version" >/dev/null) || { rm -rf "$stage"; die "npm could not fetch @cdktf/provider-$name@$version"; }
    mv -f "$stage/$archive" "$typings/$archive"
    rm -rf "$stage"
    [[ $(sum "$typings/$archive") == "$digest" ]] || die "the typings of $name are not the ones that were pinned"
  fi
  ln -s "$typings/$archive" "$work/typings/$archive"
done <<<"$pins"

say "the stand-in"
(cd "$root/deploy/check" && go build -o "$work/terraform-provider-schema" ./cmd/terraform-provider-schema)
"$work/terraform-provider-schema" install -mirror "$work/mirror" -typings "$work/typings" "${modules[@]/#/$root/terraform/}" "${examples[@]/#/$root/terraform/}"

printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$work/mirror" >"$work/terraformrc"
export TF_CLI_CONFIG_FILE=$work/terraformrc TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1

# A copy, so that .terraform, locks and states stay out of the tree. The chart lies where the module looks for it.
mkdir -p "$work/tree/deploy"
cp -r "$root/terraform" "$work/tree/terraform"
if [[ -d $root/deploy/helm ]]; then cp -r "$root/deploy/helm" "$work/tree/deploy/helm"; fi
find "$work/tree" \( -name .terraform -o -name '*.tfstate*' -o -name .terraform.lock.hcl \) -prune -exec rm -rf {} +

say "fmt"
terraform fmt -check -diff -recursive "$root/terraform" || die "not formatted; run: terraform fmt -recursive terraform"

for dir in "${modules[@]}" "${examples[@]}"; do
  say "init, validate: $dir"
  (cd "$work/tree/terraform/$dir" && terraform init -backend=false -no-color >"$work/init.log" 2>&1) || { cat "$work/init.log"; die "init failed in $dir"; }
  (cd "$work/tree/terraform/$dir" && terraform validate -no-color)
  if [[ -d $work/tree/terraform/$dir/tests ]]; then
    say "test: $dir"
    (cd "$work/tree/terraform/$dir" && terraform test -no-color)
  fi
done

# A check that finds nothing must be able to find something.
say "what is wrong is found"
wrong() {
  local dir=$1 old=$2 new=$3
  cp -r "$work/tree/terraform/$dir" "$work/tree/terraform/modules/wrong"
  grep -rlF "$old" "$work/tree/terraform/modules/wrong" --include='*.tf' | head -1 | xargs sed -i.bak "s/$old/$new/"
  if (cd "$work/tree/terraform/modules/wrong" && terraform validate -no-color >"$work/wrong.log" 2>&1); then
    die "$new in $dir was not found"
  fi
  # Whatever else keeps it from being valid does not count.
  grep -qF "\"${new%% *}\"" "$work/wrong.log" || { cat "$work/wrong.log"; die "$new in $dir was not what was found"; }
  rm -rf "$work/tree/terraform/modules/wrong"
}
wrong modules/gcp enable_vtpm enable_tpm
wrong modules/azure disk_iops_read_write disk_iops
wrong modules/azure 'boot_diagnostics {}' 'boot_diagnostic {}'

say "all is well"
