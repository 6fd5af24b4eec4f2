# Who may talk to whom. Rules are resources of their own, so that others may add theirs
# without the two being at odds.

# Belongs to clients: give it to a machine, and it may connect.
resource "aws_security_group" "clients" {
  #checkov:skip=CKV2_AWS_5:It is there to be given to the machines of clients, which are not made here.
  name        = "${var.name}-clients"
  description = "Members may connect to the brokers of ${var.name}"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-clients" })
}

resource "aws_security_group" "brokers" {
  name        = "${var.name}-brokers"
  description = "The brokers of ${var.name}"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-brokers" })
}

resource "aws_vpc_security_group_ingress_rule" "clients" {
  security_group_id            = aws_security_group.brokers.id
  tags                         = merge(local.tags, { Name = "Kafka clients that are members of ${var.name}-clients" })
  referenced_security_group_id = aws_security_group.clients.id
  ip_protocol                  = "tcp"
  from_port                    = local.ports.clients
  to_port                      = local.ports.clients
}

resource "aws_vpc_security_group_ingress_rule" "client_cidrs" {
  for_each = toset(var.client_cidrs)

  security_group_id = aws_security_group.brokers.id
  tags              = merge(local.tags, { Name = "Kafka clients from ${each.value}" })
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.ports.clients
  to_port           = local.ports.clients
}

resource "aws_vpc_security_group_ingress_rule" "peers" {
  security_group_id            = aws_security_group.brokers.id
  tags                         = merge(local.tags, { Name = "The other brokers: replication and metadata" })
  referenced_security_group_id = aws_security_group.brokers.id
  ip_protocol                  = "tcp"
  from_port                    = local.ports.peers
  to_port                      = local.ports.peers
}

resource "aws_vpc_security_group_ingress_rule" "scrape" {
  for_each = toset(var.telemetry.scrape_cidrs)

  security_group_id = aws_security_group.brokers.id
  tags              = merge(local.tags, { Name = "Metrics and admin API from ${each.value}" })
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = local.ports.http
  to_port           = local.ports.http
}

resource "aws_vpc_security_group_egress_rule" "brokers" {
  security_group_id = aws_security_group.brokers.id
  tags              = merge(local.tags, { Name = "Object store and packages and collector" })
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}

resource "aws_security_group" "balancer" {
  count = local.nlb ? 1 : 0

  name        = "${var.name}-balancer"
  description = "The network load balancer of ${var.name}"
  vpc_id      = local.vpc_id
  tags        = merge(local.tags, { Name = "${var.name}-balancer" })
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each = local.nlb ? toset(var.access.allowed_cidrs) : []

  security_group_id = aws_security_group.balancer[0].id
  tags              = merge(local.tags, { Name = "Kafka clients from ${each.value}" })
  cidr_ipv4         = each.value
  ip_protocol       = "tcp"
  from_port         = var.access.port_base
  to_port           = var.access.port_base + var.node_count
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  count = local.nlb ? 1 : 0

  security_group_id            = aws_security_group.balancer[0].id
  tags                         = merge(local.tags, { Name = "The brokers" })
  referenced_security_group_id = aws_security_group.brokers.id
  ip_protocol                  = "tcp"
  from_port                    = local.ports.external
  to_port                      = local.ports.external
}

resource "aws_vpc_security_group_ingress_rule" "external" {
  count = local.nlb ? 1 : 0

  security_group_id            = aws_security_group.brokers.id
  tags                         = merge(local.tags, { Name = "Kafka clients by the load balancer" })
  referenced_security_group_id = aws_security_group.balancer[0].id
  ip_protocol                  = "tcp"
  from_port                    = local.ports.external
  to_port                      = local.ports.external
}
