"""What an AWS has: one line for each thing, sorted. What a cloud brings along (default
networks) is in it too, so that two inventories are compared, before and after.

    inventory.py REGION...
"""

import sys

import boto3

GONE = {"terminated", "deleted", "deleting", "PendingDeletion"}


def things(region):
    ec2 = boto3.client("ec2", region)
    for r in ec2.describe_instances()["Reservations"]:
        for i in r["Instances"]:
            if i["State"]["Name"] not in GONE:
                yield "instance", i["InstanceId"]
    for kind, call, many, name in (
        ("volume", ec2.describe_volumes, "Volumes", "VolumeId"),
        ("interface", ec2.describe_network_interfaces, "NetworkInterfaces", "NetworkInterfaceId"),
        ("network", ec2.describe_vpcs, "Vpcs", "VpcId"),
        ("subnet", ec2.describe_subnets, "Subnets", "SubnetId"),
        ("route table", ec2.describe_route_tables, "RouteTables", "RouteTableId"),
        ("gateway", ec2.describe_internet_gateways, "InternetGateways", "InternetGatewayId"),
        ("security group", ec2.describe_security_groups, "SecurityGroups", "GroupId"),
        ("address", ec2.describe_addresses, "Addresses", "AllocationId"),
        ("launch template", ec2.describe_launch_templates, "LaunchTemplates", "LaunchTemplateId"),
    ):
        for t in call()[many]:
            yield kind, t[name]
    for e in ec2.describe_vpc_endpoints()["VpcEndpoints"]:
        if e["State"] not in GONE:
            yield "endpoint", e["VpcEndpointId"]
    for g in ec2.describe_nat_gateways()["NatGateways"]:
        if g["State"] not in GONE:
            yield "nat gateway", g["NatGatewayId"]
    for p in ec2.describe_vpc_peering_connections()["VpcPeeringConnections"]:
        if p["Status"]["Code"] not in GONE:
            yield "peering", p["VpcPeeringConnectionId"]
    lb = boto3.client("elbv2", region)
    for b in lb.describe_load_balancers()["LoadBalancers"]:
        yield "load balancer", b["LoadBalancerName"]
    for g in lb.describe_target_groups()["TargetGroups"]:
        yield "target group", g["TargetGroupName"]
    kms = boto3.client("kms", region)
    aliases = kms.list_aliases()["Aliases"]
    # AWS makes keys of its own when something is first encrypted, and never takes them back.
    its_own = {a.get("TargetKeyId") for a in aliases if a["AliasName"].startswith("alias/aws/")}
    for k in kms.list_keys()["Keys"]:
        if k["KeyId"] not in its_own and kms.describe_key(KeyId=k["KeyId"])["KeyMetadata"]["KeyState"] not in GONE:
            yield "key", k["KeyId"]
    for a in aliases:
        if not a["AliasName"].startswith("alias/aws/"):
            yield "key alias", a["AliasName"]


def everywhere():
    iam = boto3.client("iam")
    for r in iam.list_roles()["Roles"]:
        yield "role", r["RoleName"]
    for p in iam.list_instance_profiles()["InstanceProfiles"]:
        yield "instance profile", p["InstanceProfileName"]
    for b in boto3.client("s3").list_buckets()["Buckets"]:
        yield "bucket", b["Name"]
    for z in boto3.client("route53").list_hosted_zones()["HostedZones"]:
        yield "zone", z["Name"]


lines = ["%s %s" % t for t in everywhere()]
for region in sys.argv[1:]:
    lines += ["%s %s %s" % (region, *t) for t in things(region)]
print("\n".join(sorted(lines)))
