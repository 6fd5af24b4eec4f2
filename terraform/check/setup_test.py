"""tideline-setup, held against what it talks to: its signatures against those of AWS's
own library, its secrets against a mocked AWS, its files and packages against a disk.

    AWS_ENDPOINT_URL=... python -m unittest setup_test
"""

import datetime, hashlib, importlib.machinery, importlib.util, json, os, pathlib, sys, tempfile, unittest

import boto3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

HERE = pathlib.Path(__file__).resolve().parent
REGION = "eu-central-1"


def load():
    path = HERE.parent / "modules/cloudinit/files/tideline-setup"
    sys.dont_write_bytecode = True
    loader = importlib.machinery.SourceFileLoader("tideline_setup", str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("tideline_setup", loader))
    loader.exec_module(module)
    return module


setup = load()


class Signatures(unittest.TestCase):
    def test_as_the_library_of_aws(self):
        for token in ("", "a/session+token=="):
            body, host, target = '{"Name": "/orders/1"}', "ssm.eu-central-1.amazonaws.com", "AmazonSSM.GetParameter"
            now = datetime.datetime.now(datetime.timezone.utc)
            ours = setup.aws_signed(("AKIDEXAMPLE", "secret/key", token), REGION, "ssm", host, target, body, now)
            request = AWSRequest("POST", "https://%s/" % host, data=body.encode(), headers={"content-type": "application/x-amz-json-1.1", "x-amz-target": target})
            auth = SigV4Auth(Credentials("AKIDEXAMPLE", "secret/key", token or None), "ssm", REGION)
            # The library takes the time itself: give it ours.
            request.context["timestamp"] = now.strftime("%Y%m%dT%H%M%SZ")
            auth._modify_request_before_signing(request)
            signed = auth.string_to_sign(request, auth.canonical_request(request))
            auth._inject_signature_to_request(request, auth.signature(signed, request))
            self.assertEqual(request.headers["Authorization"], ours["authorization"])


class Secrets(unittest.TestCase):
    def test_parameter_and_secret(self):
        pem = "-----BEGIN PRIVATE KEY-----\n" + "x" * 3000 + "\n-----END PRIVATE KEY-----\n"
        boto3.client("ssm", REGION).put_parameter(Name="/setup-test/key", Value=pem, Type="SecureString", Overwrite=True)
        manager = boto3.client("secretsmanager", REGION)
        manager.create_secret(Name="setup-test", SecretString="pass\"word")
        try:
            m = {"region": REGION}
            self.assertEqual(setup.secret(m, "ssm:/setup-test/key"), pem)
            self.assertEqual(setup.secret(m, "secretsmanager:setup-test"), 'pass"word')
            with self.assertRaises(SystemExit) as refused:
                setup.secret(m, "ssm:/setup-test/none")
            self.assertIn("ParameterNotFound", str(refused.exception))
        finally:
            boto3.client("ssm", REGION).delete_parameter(Name="/setup-test/key")
            manager.delete_secret(SecretId="setup-test", ForceDeleteWithoutRecovery=True)

    def test_unknown_kind(self):
        with self.assertRaises(SystemExit):
            setup.secret({}, "vault:x")


class Packages(unittest.TestCase):
    def test_what_is_not_the_one_that_was_asked_for_is_not_installed(self):
        with tempfile.TemporaryDirectory() as d:
            path = os.path.join(d, "release.tar.gz")
            pathlib.Path(path).write_bytes(b"!<arch>\nnot a package")
            with self.assertRaises(SystemExit) as refused:
                setup.package({"package": {"url": "file://" + path, "sha256": "0" * 64}})
            self.assertIn(hashlib.sha256(b"!<arch>\nnot a package").hexdigest(), str(refused.exception))


if __name__ == "__main__":
    unittest.main()
