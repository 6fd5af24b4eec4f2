"""The mocked AWS: moto's server, and what the real one does where moto does not.

    aws.py PORT
"""

import copy, sys

from moto.core.responses import ActionResult
from moto.ec2.models.instances import Instance
from moto.ec2.models.nat_gateways import NatGatewayBackend
from moto.route53.responses import Route53
from moto.s3.exceptions import ReplicationConfigurationNotFoundError
from moto.s3.responses import S3Response
from moto.server import main

terminate = Instance.terminate
add_block_device = Instance.add_block_device
delete_nat_gateway = NatGatewayBackend.delete_nat_gateway
get_bool_param = Route53._get_bool_param


def terminate_and_let_go(self, *args, **kwargs):
    """A network interface that outlives its machine is free when the machine is gone."""
    state = terminate(self, *args, **kwargs)
    for index, interface in list(self.nics.items()):
        if not interface.delete_on_termination and interface.instance is self:
            self.nics[index] = copy.copy(interface)  # what the machine that was tells of itself
            interface.instance = interface.attachment_id = interface.attach_time = interface.device_index = None
            interface.status = "available"
    return state


def add_block_device_instead(self, size, device_path, *args, **kwargs):
    """A disk that a template describes is there in place of the image's own, not beside it."""
    before = self.block_device_mapping.get(device_path)
    if before:
        self.ec2_backend.detach_volume(before.volume_id, self.id, device_path)
        self.ec2_backend.delete_volume(before.volume_id)
    add_block_device(self, size, device_path, *args, **kwargs)


def delete_nat_gateway_with_its_interface(self, nat_gateway_id):
    """The network interface of a gateway goes with it."""
    gateway = delete_nat_gateway(self, nat_gateway_id)
    self.enis.pop(gateway._eni.id, None)
    return gateway


def get_bool_param_private(self, name, *args, **kwargs):
    """A zone that is made with a network is a private one, whether that is said or not."""
    if name == "HostedZoneConfig.PrivateZone" and self._get_param("VPC.VPCId"):
        return True
    return get_bool_param(self, name, *args, **kwargs)


def get_bucket_replication(self):
    """Rules of replication are told as they were given, with their filters."""
    self.data["Action"] = "GetBucketReplication"
    given = self.backend.get_bucket_replication(self.bucket_name)
    if not given:
        raise ReplicationConfigurationNotFoundError(bucket_name=self.bucket_name)
    rules = []
    for r in given["Rule"]:
        rule = {k: r[k] for k in ("ID", "Priority", "Status", "Destination")}
        rule["DeleteMarkerReplication"] = r.get("DeleteMarkerReplication", {"Status": "Disabled"})
        rule["Filter"] = r.get("Filter") or {"Prefix": ""}
        rules.append(rule)
    return self.serialized(ActionResult({"ReplicationConfiguration": {"Role": given["Role"], "Rules": rules}}))


Instance.terminate = terminate_and_let_go
Instance.add_block_device = add_block_device_instead
NatGatewayBackend.delete_nat_gateway = delete_nat_gateway_with_its_interface
Route53._get_bool_param = get_bool_param_private
S3Response.get_bucket_replication = get_bucket_replication

main(["-H", "127.0.0.1", "-p", sys.argv[1]])
