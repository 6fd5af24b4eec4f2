{{/* The settings that have places of their own among the values: given elsewhere, one of the two would be lost. */}}
{{- define "tideline.owned" -}}
{
  "node.id": "zones[].firstNodeId", "broker.id": "zones[].firstNodeId", "broker.rack": "zones or rackLabel", "data.dir": "persistence",
  "cluster.seeds": "replicas or zones", "listeners": "listeners", "advertised.listeners": "listeners",
  "listener.security.protocol.map": "listeners", "rpc.listener": "listeners.rpc", "rpc.advertised": "listeners.rpc",
  "http.listener": "listeners.http", "object.store": "objectStore.url", "object.store.ca.file": "objectStore.caSecret",
  "peer.tls.certificate": "tls.peers", "peer.tls.key": "tls.peers", "peer.tls.ca": "tls.peers",
  "http.ssl.certificate": "tls.admin", "http.ssl.key": "tls.admin", "http.users": "admin.users",
  "http.allow.unauthenticated": "admin.allowUnauthenticated", "ssl.keystore.location": "tls.clients",
  "ssl.truststore.location": "tls.clients", "ssl.client.auth": "tls.clients.clientAuth", "sasl.enabled.mechanisms": "sasl.mechanisms",
  "sasl.plain.users.file": "sasl.usersSecret", "authorizer.class.name": "authorization.enabled", "super.users": "authorization.superUsers"
}
{{- end -}}

{{/* What all brokers have alike, as a JSON map of texts. */}}
{{- define "tideline.settings" -}}
{{- $v := .Values -}}
{{- $brokers := include "tideline.brokers" . | fromJsonArray -}}
{{- $external := $v.listeners.external -}}
{{- $s := dict "data.dir" "/var/lib/tideline" "logging.format" "json" "object.store" $v.objectStore.url -}}
{{- $listeners := list (printf "CLIENT://:%v" $v.listeners.client.port) -}}
{{- $protocols := list (printf "CLIENT:%s" $v.listeners.client.protocol) -}}
{{- if $external.enabled -}}
{{- $listeners = append $listeners (printf "EXTERNAL://:%v" $external.port) -}}
{{- $protocols = append $protocols (printf "EXTERNAL:%s" $external.protocol) -}}
{{- end -}}
{{- $_ := set $s "listeners" (join "," $listeners) -}}
{{- $_ := set $s "listener.security.protocol.map" (join "," $protocols) -}}
{{- $_ := set $s "rpc.listener" (printf ":%v" $v.listeners.rpc.port) -}}
{{- $_ := set $s "http.listener" (printf ":%v" $v.listeners.http.port) -}}
{{- if eq (len $brokers) 2 -}}
{{- fail "a cluster has one broker, for a try, or at least three: of two neither can do without the other" -}}
{{- end -}}
{{- if gt (len $brokers) 1 -}}
{{- $voters := int (include "tideline.text" (index $v.settings "controller.voters" | default 3)) -}}
{{- $seeds := list -}}
{{- range $i, $b := $brokers -}}
{{- if lt $i $voters -}}{{- $seeds = append $seeds (printf "%s:%v" $b.host $v.listeners.rpc.port) -}}{{- end -}}
{{- end -}}
{{- $_ := set $s "cluster.seeds" (join "," $seeds) -}}
{{- $_ := set $s "default.replication.factor" "3" -}}
{{- $_ := set $s "min.insync.replicas" "2" -}}
{{- end -}}
{{- if $v.objectStore.caSecret.name -}}
{{- $_ := set $s "object.store.ca.file" (printf "/etc/tideline/object-store/%s" $v.objectStore.caSecret.key) -}}
{{- end -}}
{{- if include "tideline.hasTLS" . -}}
{{- if not (include "tideline.tls.clients" .) -}}
{{- fail "a listener with TLS needs a certificate: give tls.clients.secretName, or tls.certManager.clients" -}}
{{- end -}}
{{- $_ := set $s "ssl.keystore.location" "/etc/tideline/tls/clients" -}}
{{- $_ := set $s "ssl.client.auth" $v.tls.clients.clientAuth -}}
{{- if ne $v.tls.clients.clientAuth "none" -}}{{- $_ := set $s "ssl.truststore.location" "/etc/tideline/tls/clients" -}}{{- end -}}
{{- end -}}
{{- if include "tideline.hasSASL" . -}}
{{- if not $v.sasl.mechanisms -}}{{- fail "a listener with SASL needs sasl.mechanisms" -}}{{- end -}}
{{- $_ := set $s "sasl.enabled.mechanisms" (join "," $v.sasl.mechanisms) -}}
{{- end -}}
{{- if $v.sasl.usersSecret.name -}}
{{- $_ := set $s "sasl.plain.users.file" (printf "/etc/tideline/sasl/%s" $v.sasl.usersSecret.key) -}}
{{- end -}}
{{- if include "tideline.tls.peers" . -}}
{{- $_ := set $s "peer.tls.certificate" "/etc/tideline/tls/peers/tls.crt" -}}
{{- $_ := set $s "peer.tls.key" "/etc/tideline/tls/peers/tls.key" -}}
{{- $_ := set $s "peer.tls.ca" "/etc/tideline/tls/peers/ca.crt" -}}
{{- end -}}
{{- if include "tideline.tls.admin" . -}}
{{- $_ := set $s "http.ssl.certificate" "/etc/tideline/tls/admin/tls.crt" -}}
{{- $_ := set $s "http.ssl.key" "/etc/tideline/tls/admin/tls.key" -}}
{{- end -}}
{{- $_ := set $s "http.users" $v.admin.users -}}
{{- if not (include "tideline.adminGuarded" .) -}}
{{- if not (or $v.networkPolicy.enabled $v.admin.allowUnauthenticated) -}}
{{- fail "anybody in the cluster could move replicas by the admin port: give admin.users scram with a certificate for it (tls.admin), or networkPolicy.enabled, or admin.allowUnauthenticated" -}}
{{- end -}}
{{- $_ := set $s "http.allow.unauthenticated" "true" -}}
{{- end -}}
{{- if $v.authorization.enabled -}}
{{- $_ := set $s "authorizer.class.name" "org.apache.kafka.metadata.authorizer.StandardAuthorizer" -}}
{{- if $v.authorization.superUsers -}}{{- $_ := set $s "super.users" (join ";" $v.authorization.superUsers) -}}{{- end -}}
{{- end -}}
{{- $owned := include "tideline.owned" . | fromJson -}}
{{- range $key, $value := $v.settings -}}
{{- if hasKey $owned $key -}}{{- fail (printf "settings: %s is made of the value %s" $key (index $owned $key)) -}}{{- end -}}
{{- $_ := set $s $key (include "tideline.text" $value) -}}
{{- end -}}
{{- range $key, $value := $v.secretSettings -}}
{{- if hasKey $owned $key -}}{{- fail (printf "secretSettings: %s is made of the value %s" $key (index $owned $key)) -}}{{- end -}}
{{- if hasKey $v.settings $key -}}{{- fail (printf "secretSettings: %s is among the settings, too" $key) -}}{{- end -}}
{{- end -}}
{{- $s | toJson -}}
{{- end -}}

{{/* The file of one broker: list of the root, the settings of all, and the broker. */}}
{{- define "tideline.file" -}}
{{- $ := index . 0 -}}
{{- $b := index . 2 -}}
{{- $s := deepCopy (index . 1) -}}
{{- $_ := set $s "node.id" (toString (int $b.id)) -}}
{{- if $b.zone -}}{{- $_ := set $s "broker.rack" $b.zone -}}{{- end -}}
{{- $advertised := list (printf "CLIENT://%s:%v" $b.host $.Values.listeners.client.port) -}}
{{- if $.Values.listeners.external.enabled -}}
{{- $advertised = append $advertised (printf "EXTERNAL://%s:%s" (include "tideline.externalHost" (list $ $b)) (include "tideline.externalPort" (list $ $b))) -}}
{{- end -}}
{{- $_ := set $s "advertised.listeners" (join "," $advertised) -}}
{{- $_ := set $s "rpc.advertised" (printf "%s:%v" $b.host $.Values.listeners.rpc.port) -}}
{{- range $key := keys $s | sortAlpha }}
{{ $key }}: {{ index $s $key | quote }}
{{- end }}
{{- end -}}
