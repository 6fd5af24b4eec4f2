#!/usr/bin/env bash
# Checks terraform/ against a mocked AWS (moto): formatting, validation, plan tests, the set-up program of machines, and both
# examples from apply to destroy. `make terraform` calls it. Everything is said into one log, .data/terraform/log.
#
#   scripts/terraform.sh            all of it
#   scripts/terraform.sh quick      without the examples
#   scripts/terraform.sh examples   the examples alone; one-region or two-regions for one of them
#
#   TF_PROVIDER_MIRROR=DIR          where the AWS provider lies, as `terraform providers mirror` lays it out; else it is looked for
#                                   on this machine, and else the registry is asked
#   CLOUD_INIT_SCHEMA=FILE          cloud-init's schema of cloud-config; else it is taken out of the Debian package
#
# It needs terraform and Python 3 with venv. The programs below .tools are installed at their pins.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
tools=$root/.tools
venv=$tools/py-moto
image=ami-12c6146b # one that moto knows
mode=${1:-all}

say() { printf '%s terraform.sh: %s\n' "$(date +%H:%M:%S)" "$*"; }
die() { say "$*" >&2; exit 1; }

examples=(one-region two-regions)
case $mode in
  all | examples) ;;
  quick) examples=() ;;
  one-region | two-regions) examples=("$mode") ;;
  *) die "usage: terraform.sh [all | quick | examples | one-region | two-regions]" ;;
esac
command -v terraform >/dev/null ||
  die "terraform is missing. Install version 1.9 or later (https://developer.hashicorp.com/terraform/install), and the AWS provider 5.80 or later if the registry is out of reach (TF_PROVIDER_MIRROR)"
command -v python3 >/dev/null || die "python3 is missing"

work=$(mktemp -d)
pids=()
cleanup() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  rm -rf "$work"
}
trap cleanup EXIT

mkdir -p "$root/.data/terraform" "$tools"
log=$root/.data/terraform/log
exec > >(tee "$log") 2>&1
say "$(terraform version 2>/dev/null | head -1), log in .data/terraform/log"

# --- what it needs

# The provider: $TF_PROVIDER_MIRROR, or whatever lies on this machine in the layout HOST/NAMESPACE/TYPE/VERSION/OS_ARCH.
mirror=${TF_PROVIDER_MIRROR:-}
if [[ -z $mirror ]]; then
  found=$(find /opt /usr/local/share /usr/share/terraform /var/lib/terraform "${HOME:-/nowhere}/.terraform.d" -maxdepth 9 -type f -path '*/hashicorp/aws/*' -name 'terraform-provider-aws*' 2>/dev/null | head -1 || true)
  [[ -z $found ]] || mirror=${found%/*/hashicorp/aws/*}
fi
if [[ -n $mirror ]]; then
  say "the provider comes from a mirror on this machine"
  printf 'provider_installation {\n  filesystem_mirror {\n    path = "%s"\n  }\n}\n' "$mirror" >"$work/terraformrc"
else
  say "the provider comes from the registry"
  printf 'disable_checkpoint = true\n' >"$work/terraformrc"
fi
export TF_CLI_CONFIG_FILE=$work/terraformrc TF_IN_AUTOMATION=1 CHECKPOINT_DISABLE=1

(
  if command -v flock >/dev/null; then flock 9; fi
  pinned=$(cksum <"$root/terraform/check/requirements.txt")
  if [[ ! -f $venv/.stamp || $(<"$venv/.stamp") != "$pinned" ]]; then
    say "installing moto into .tools/py-moto (once)"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$root/terraform/check/requirements.txt"
    printf '%s\n' "$pinned" >"$venv/.stamp"
  fi
) 9>"$tools/.py-moto.lock"

schema=${CLOUD_INIT_SCHEMA:-$tools/cloud-init/schema-cloud-config-v1.json}
if [[ ! -f $schema ]]; then
  if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
    die "cloud-init's schema is missing: name a copy by CLOUD_INIT_SCHEMA (cloudinit/config/schemas/schema-cloud-config-v1.json of cloud-init)"
  fi
  say "fetching cloud-init's schema out of its Debian package (once)"
  (cd "$work" && apt-get download cloud-init && dpkg -x cloud-init_*.deb cloud-init) >"$work/apt.log" 2>&1 || { cat "$work/apt.log"; die "apt-get could not fetch cloud-init"; }
  mkdir -p "$tools/cloud-init"
  cp "$work"/cloud-init/usr/lib/python3/dist-packages/cloudinit/config/schemas/schema-cloud-config-v1.json "$tools/cloud-init/"
fi

# Nothing of this ever talks to the real AWS: the endpoint, the keys and the instance metadata are those of the mock.
export AWS_ACCESS_KEY_ID=mock AWS_SECRET_ACCESS_KEY=mock AWS_DEFAULT_REGION=eu-central-1 AWS_EC2_METADATA_DISABLED=true
export AWS_CONFIG_FILE=/dev/null AWS_SHARED_CREDENTIALS_FILE=/dev/null PYTHONDONTWRITEBYTECODE=1
unset AWS_PROFILE AWS_SESSION_TOKEN AWS_REGION

# moto NAME: a mocked AWS of its own; its URL goes to $work/NAME.url.
moto() {
  local port
  port=$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  "$venv/bin/python" "$root/terraform/check/aws.py" "$port" >"$work/$1.moto.log" 2>&1 &
  pids+=($!)
  echo "http://127.0.0.1:$port" >"$work/$1.url"
  for _ in $(seq 120); do
    if "$venv/bin/python" -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$port/moto-api/', timeout=2)" 2>/dev/null; then return 0; fi
    sleep 0.5
  done
  cat "$work/$1.moto.log"
  die "moto did not come up"
}

# A copy, so that .terraform, locks and states stay out of the tree.
cp -r "$root/terraform" "$work/terraform"
find "$work/terraform" \( -name .terraform -o -name '*.tfstate*' -o -name .terraform.lock.hcl \) -prune -exec rm -rf {} +

# --- the checks

say "fmt"
terraform fmt -check -diff -recursive "$root/terraform" || die "not formatted; run: terraform fmt -recursive terraform"

modules=()
[[ $mode != all && $mode != quick ]] || modules=(modules/cloudinit modules/aws)
dirs=("${modules[@]}" "${examples[@]/#/examples/}")
[[ $mode != quick ]] || dirs+=(examples/one-region examples/two-regions)
for dir in "${dirs[@]}"; do
  say "init, validate: $dir"
  (cd "$work/terraform/$dir" && terraform init -backend=false -no-color >"$work/init.log" 2>&1) || { cat "$work/init.log"; die "init failed in $dir"; }
  (cd "$work/terraform/$dir" && terraform validate -no-color)
done

for dir in "${modules[@]}"; do
  say "test: $dir"
  (cd "$work/terraform/$dir" && terraform test -no-color)
done

if ((${#modules[@]} > 0)); then
  say "tideline-setup"
  moto setup
  (cd "$work/terraform/check" && AWS_ENDPOINT_URL=$(<"$work/setup.url") "$venv/bin/python" -m unittest setup_test)
fi

# example NAME REGION...: from apply to destroy, with all that a cluster goes through between.
example() {
  local name=$1 dir=$work/terraform/examples/$1 run
  shift
  AWS_ENDPOINT_URL=$(<"$work/$name.url")
  export AWS_ENDPOINT_URL
  cp "$root/terraform/check/$name.tfvars" "$dir/check.auto.tfvars"
  if [[ $name == one-region ]]; then echo "image = \"$image\""; else printf 'image_a = "%s"\nimage_b = "%s"\n' "$image" "$image"; fi >"$dir/image.auto.tfvars"
  run="terraform -chdir=$dir"

  "$venv/bin/python" "$root/terraform/check/inventory.py" "$@" >"$work/$name.before"

  say "$name: apply"
  $run apply -no-color -auto-approve -input=false
  say "$name: plan again, which must change nothing"
  $run plan -no-color -detailed-exitcode -input=false >"$work/$name.plan" || { cat "$work/$name.plan"; die "$name: a second plan wants changes"; }

  say "$name: cloud-init"
  "$venv/bin/python" "$root/terraform/check/userdata.py" "$schema" "$dir/terraform.tfstate"

  if [[ $name == one-region ]]; then
    say "$name: another package, then one machine replaced"
    sed -i 's/sha256 = "0/sha256 = "1/' "$dir/check.auto.tfvars"
    $run output -json brokers >"$work/brokers.1"
    $run apply -no-color -auto-approve -input=false
    $run output -json brokers >"$work/brokers.2"
    cmp "$work/brokers.1" "$work/brokers.2" || die "another package replaced machines by itself"
    [[ $($run output -json nodes_to_replace) == '[1,2,3,4]' ]] || die "nodes_to_replace: $($run output -json nodes_to_replace), all four are made of something older"
    $run apply -no-color -auto-approve -input=false -replace='module.tideline.aws_instance.node["1"]'
    $run output -json brokers >"$work/brokers.3"
    [[ $($run output -json nodes_to_replace) == '[2,3,4]' ]] || die "nodes_to_replace: $($run output -json nodes_to_replace), the first was replaced"
    "$venv/bin/python" - "$work/brokers.2" "$work/brokers.3" <<'PY'
import json, sys
before, after = (json.load(open(p)) for p in sys.argv[1:])
assert before["1"]["instance_id"] != after["1"]["instance_id"], "the machine is the old one"
for b in (before, after):
    b["1"].pop("instance_id")
assert before == after, "something else than the one machine has changed: %s %s" % (before, after)
print("one machine replaced; names, addresses and the other machines stayed")
PY
  fi

  say "$name: destroy"
  $run destroy -no-color -auto-approve -input=false
  [[ -z $($run state list) ]] || die "$name: destroy left something in the state"
  "$venv/bin/python" "$root/terraform/check/inventory.py" "$@" >"$work/$name.after"
  diff "$work/$name.before" "$work/$name.after" || die "$name: destroy left something in the cloud"
  say "$name: nothing is left"
}

declare -A regions=([one-region]=eu-central-1 [two-regions]="eu-central-1 eu-west-1") running=()
# They have nothing in common, and each spends most of its time waiting.
for name in "${examples[@]}"; do
  moto "$name"
  # shellcheck disable=SC2086 # regions are words
  example "$name" ${regions[$name]} >"$work/$name.log" 2>&1 &
  running[$name]=$!
done
failed=()
for name in "${examples[@]}"; do
  wait "${running[$name]}" || failed+=("$name")
  cat "$work/$name.log"
done
((${#failed[@]} == 0)) || die "an example failed: ${failed[*]}"
say "all is well"
