"""The mocked AWS: moto's server, and what the real one does where moto does not.

    aws.py PORT
"""

import sys

from moto.ec2.models.instances import Instance
from moto.route53.responses import Route53
from moto.server import main

terminate = Instance.terminate


def terminate_and_let_go(self, *args, **kwargs):
    """A network interface that outlives its machine is free when the machine is gone."""
    state = terminate(self, *args, **kwargs)
    for interface in list(self.nics.values()):
        if not interface.delete_on_termination:
            self.detach_eni(interface)
    return state


Instance.terminate = terminate_and_let_go

get_bool_param = Route53._get_bool_param


def get_bool_param_private(self, name, *args, **kwargs):
    """A zone that is made with a network is a private one, whether that is said or not."""
    if name == "HostedZoneConfig.PrivateZone" and self._get_param("VPC.VPCId"):
        return True
    return get_bool_param(self, name, *args, **kwargs)


Route53._get_bool_param = get_bool_param_private

main(["-H", "127.0.0.1", "-p", sys.argv[1]])
