# The two networks reach each other, and know each other's names.

resource "aws_vpc_peering_connection" "this" {
  provider = aws.a

  vpc_id      = module.a.network.vpc_id
  peer_vpc_id = module.b.network.vpc_id
  peer_region = var.region_b
  auto_accept = false
  tags        = { Name = var.name }
}

resource "aws_vpc_peering_connection_accepter" "this" {
  provider = aws.b

  vpc_peering_connection_id = aws_vpc_peering_connection.this.id
  auto_accept               = true
  tags                      = { Name = var.name }
}

resource "aws_route" "a_to_b" {
  provider = aws.a
  count    = 3 # one for each zone

  route_table_id            = module.a.network.private_route_table_ids[count.index]
  destination_cidr_block    = var.cidr_b
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.this.id
}

resource "aws_route" "b_to_a" {
  provider = aws.b
  count    = 3

  route_table_id            = module.b.network.private_route_table_ids[count.index]
  destination_cidr_block    = var.cidr_a
  vpc_peering_connection_id = aws_vpc_peering_connection_accepter.this.id
}

resource "aws_route53_zone_association" "a_in_b" {
  provider = aws.a

  zone_id    = module.a.network.private_zone_id
  vpc_id     = module.b.network.vpc_id
  vpc_region = var.region_b
}

resource "aws_route53_zone_association" "b_in_a" {
  provider = aws.b

  zone_id    = module.b.network.private_zone_id
  vpc_id     = module.a.network.vpc_id
  vpc_region = var.region_a
}
