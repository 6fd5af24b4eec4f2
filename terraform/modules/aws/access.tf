# Clients from elsewhere: a network load balancer with a port for each broker, because a
# Kafka client must reach the very broker that leads a partition.
#
# Traffic does not cross zones in the balancer: it would be paid for twice. So clients are
# told the balancer's name in the zone of the broker; its plain name could lead to another
# zone, where this broker is not. Only the first contact may go anywhere.

locals {
  nlb = var.access.kind == "nlb"

  # By broker: what the balancer's end in its zone is called.
  zonal = { for k, n in local.nodes : k => local.nlb ? "${n.zone}.${aws_lb.this[0].dns_name}" : "" }

  external = { for k, n in local.nodes : k => "${var.access.domain != "" ? "b${n.id}.${var.access.domain}" : local.zonal[k]}:${var.access.port_base + n.id}" }

  listeners = { for k, n in local.nodes : k => concat(
    [{ name = "CLIENTS", port = local.ports.clients, advertised = "${n.dns}:${local.ports.clients}" }],
    local.nlb ? [{ name = "EXTERNAL", port = local.ports.external, advertised = local.external[k] }] : [],
  ) }
}

resource "aws_lb" "this" {
  #checkov:skip=CKV_AWS_150:terraform destroy is to leave nothing; a balancer holds no data.
  #checkov:skip=CKV_AWS_152:It would be paid for by the byte; clients are told the name of the balancer in the zone of the broker (decision 0025).
  #checkov:skip=CKV_AWS_91:Access logs of a network balancer are of TLS listeners only, and it has none: TLS ends at the broker.
  count = local.nlb ? 1 : 0

  name                             = var.name
  load_balancer_type               = "network"
  internal                         = var.access.internal
  subnets                          = length(var.access.subnet_ids) > 0 ? var.access.subnet_ids : var.access.internal ? local.subnet_ids : aws_subnet.public[*].id
  security_groups                  = [aws_security_group.balancer[0].id]
  enable_cross_zone_load_balancing = false
  tags                             = local.tags

  lifecycle {
    precondition {
      condition     = var.access.internal || var.network.create || length(var.access.subnet_ids) > 0
      error_message = "access.internal = false in a given network needs access.subnet_ids: public subnets in the zones of the brokers."
    }
  }
}

resource "aws_lb_target_group" "bootstrap" {
  count = local.nlb ? 1 : 0

  name               = "${var.name}-boot"
  vpc_id             = local.vpc_id
  target_type        = "ip"
  protocol           = "TCP"
  port               = local.ports.external
  preserve_client_ip = true
  tags               = local.tags

  health_check {
    protocol            = "TCP"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_target_group_attachment" "bootstrap" {
  for_each = local.nlb ? local.nodes : {}

  target_group_arn = aws_lb_target_group.bootstrap[0].arn
  target_id        = aws_network_interface.node[each.key].private_ip
  port             = local.ports.external
}

resource "aws_lb_listener" "bootstrap" {
  count = local.nlb ? 1 : 0

  load_balancer_arn = aws_lb.this[0].arn
  protocol          = "TCP"
  port              = var.access.port_base
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.bootstrap[0].arn
  }
}

resource "aws_lb_target_group" "broker" {
  for_each = local.nlb ? local.nodes : {}

  name               = "${var.name}-b${each.key}"
  vpc_id             = local.vpc_id
  target_type        = "ip"
  protocol           = "TCP"
  port               = local.ports.external
  preserve_client_ip = true
  tags               = local.tags

  health_check {
    protocol            = "TCP"
    interval            = 10
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_lb_target_group_attachment" "broker" {
  for_each = local.nlb ? local.nodes : {}

  target_group_arn = aws_lb_target_group.broker[each.key].arn
  target_id        = aws_network_interface.node[each.key].private_ip
  port             = local.ports.external
}

resource "aws_lb_listener" "broker" {
  for_each = local.nlb ? local.nodes : {}

  load_balancer_arn = aws_lb.this[0].arn
  protocol          = "TCP"
  port              = var.access.port_base + each.value.id
  tags              = local.tags

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.broker[each.key].arn
  }
}

resource "aws_route53_record" "external" {
  for_each = local.nlb && var.access.domain != "" ? local.nodes : {}

  zone_id = var.access.zone_id
  name    = "b${each.value.id}.${var.access.domain}"
  type    = "CNAME"
  ttl     = 60
  records = [local.zonal[each.key]]
}

resource "aws_route53_record" "external_bootstrap" {
  count = local.nlb && var.access.domain != "" ? 1 : 0

  zone_id = var.access.zone_id
  name    = "bootstrap.${var.access.domain}"
  type    = "CNAME"
  ttl     = 60
  records = [aws_lb.this[0].dns_name]
}
