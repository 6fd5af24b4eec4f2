# The network, unless one is given: a private subnet for each zone, and a public one where
# something needs it. The object store is reached by a gateway endpoint, whose traffic costs
# nothing and never leaves the region.

locals {
  vpc_id     = var.network.create ? aws_vpc.this[0].id : var.network.vpc_id
  subnet_ids = var.network.create ? aws_subnet.private[*].id : var.network.subnet_ids

  public      = var.network.create && (var.network.egress != "none" || local.nlb && !var.access.internal)
  nat_count   = !var.network.create ? 0 : { nat = 1, nat_per_zone = length(local.zones), none = 0 }[var.network.egress]
  zone_count  = var.network.create ? length(local.zones) : 0
  public_nets = local.public ? length(local.zones) : 0
}

resource "aws_vpc" "this" {
  #checkov:skip=CKV2_AWS_11:Flow logs of a broker are as many as its connections; whoever needs them adds them to output network.vpc_id.
  count = var.network.create ? 1 : 0

  cidr_block           = var.network.cidr
  enable_dns_support   = true
  enable_dns_hostnames = true
  tags                 = merge(local.tags, { Name = var.name })
}

# The group that members get which name none: it lets nothing in and nothing out.
resource "aws_default_security_group" "closed" {
  count = var.network.create ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = "${var.name}-default-closed" })
}

resource "aws_subnet" "private" {
  count = local.zone_count

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.network.cidr, 4, count.index)
  tags              = merge(local.tags, { Name = "${var.name}-private-${local.zones[count.index]}" })
}

resource "aws_route_table" "private" {
  count = local.zone_count

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = "${var.name}-private-${local.zones[count.index]}" })
}

resource "aws_route_table_association" "private" {
  count = local.zone_count

  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private[count.index].id
}

resource "aws_vpc_endpoint" "bucket" {
  count = var.network.create ? 1 : 0

  vpc_id            = aws_vpc.this[0].id
  service_name      = "com.amazonaws.${local.region}.s3"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = aws_route_table.private[*].id
  tags              = merge(local.tags, { Name = "${var.name}-s3" })
}

# The way out, for packages and secrets.

resource "aws_internet_gateway" "this" {
  count = local.public ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = var.name })
}

resource "aws_subnet" "public" {
  count = local.public_nets

  vpc_id            = aws_vpc.this[0].id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.network.cidr, 4, 8 + count.index)
  tags              = merge(local.tags, { Name = "${var.name}-public-${local.zones[count.index]}" })
}

resource "aws_route_table" "public" {
  count = local.public ? 1 : 0

  vpc_id = aws_vpc.this[0].id
  tags   = merge(local.tags, { Name = "${var.name}-public" })
}

resource "aws_route" "public" {
  count = local.public ? 1 : 0

  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count = local.public_nets

  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_eip" "nat" {
  count = local.nat_count

  domain = "vpc"
  tags   = merge(local.tags, { Name = "${var.name}-nat-${count.index}" })
}

resource "aws_nat_gateway" "this" {
  count = local.nat_count

  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.public[count.index].id
  tags          = merge(local.tags, { Name = "${var.name}-${local.zones[count.index]}" })

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route" "nat" {
  count = local.nat_count == 0 ? 0 : local.zone_count

  route_table_id         = aws_route_table.private[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this[count.index % local.nat_count].id
}

# Names within the network: one for each broker, which follows its address.

resource "aws_route53_zone" "private" {
  name    = local.domain
  comment = "The brokers of ${var.name}"
  tags    = local.tags

  vpc {
    vpc_id = local.vpc_id
  }

  # Networks elsewhere may be let in as well (aws_route53_zone_association).
  lifecycle {
    ignore_changes = [vpc]
  }
}

resource "aws_route53_record" "broker" {
  #checkov:skip=CKV2_AWS_23:It points to a network interface or to the balancer, by address or by alias.
  for_each = local.nodes

  zone_id = aws_route53_zone.private.zone_id
  name    = each.value.dns
  type    = "A"
  ttl     = 60
  records = [aws_network_interface.node[each.key].private_ip]
}
