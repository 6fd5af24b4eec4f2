"""Holds what the machines of a state were told at their first boot against cloud-init's
own schema, and against what will read the files in it.

    userdata.py SCHEMA terraform.tfstate
"""

import base64, gzip, json, sys

import jsonschema, yaml

with open(sys.argv[1]) as f:
    schema = json.load(f)
with open(sys.argv[2]) as f:
    state = json.load(f)
documents = {
    "%s %s[%s]" % (r.get("module", ""), r["name"], i["index_key"]): gzip.decompress(base64.b64decode(i["attributes"]["user_data_base64"])).decode()
    for r in state["resources"]
    if r["type"] == "aws_instance"
    for i in r["instances"]
}
if not documents:
    sys.exit("the state has no machines")
for name, text in documents.items():
    if not text.startswith("#cloud-config\n"):
        sys.exit("%s: a cloud-config document begins with #cloud-config" % name)
    document = yaml.safe_load(text)
    faults = sorted(jsonschema.Draft4Validator(schema).iter_errors(document), key=str)
    for fault in faults:
        print("%s: %s: %s" % (name, "/".join(map(str, fault.absolute_path)), fault.message))
    if faults:
        sys.exit(1)
    for f in document["write_files"]:
        if f["path"] == "/etc/tideline/machine.json":
            json.loads(f["content"])
        if f["path"] == "/etc/tideline/tideline.yaml":
            settings = yaml.safe_load(f["content"])
            assert settings and all(isinstance(v, str) for v in settings.values()), settings
        if f["path"].endswith("tideline-setup"):
            compile(f["content"], f["path"], "exec")
print("%d documents hold" % len(documents))
