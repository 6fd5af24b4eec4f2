"""The mocked AWS: moto's server, and what the real one does where moto does not.

    aws.py PORT
"""

import sys

from moto.ec2.models.instances import Instance
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

main(["-H", "127.0.0.1", "-p", sys.argv[1]])
