{{/* The name of what belongs to the release as a whole. */}}
{{- define "tideline.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 30 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 30 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The service without an address of its own, by which each broker has a name. */}}
{{- define "tideline.headless" -}}
{{ include "tideline.fullname" . }}-brokers
{{- end -}}

{{- define "tideline.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "tideline.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "tideline.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ default .Chart.AppVersion .Values.image.tag }}
{{- end -}}
{{- end -}}

{{/* What selects the brokers of this release, and nothing else. */}}
{{- define "tideline.selector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: broker
{{- end -}}

{{/* Labels of an object: list of the root and its component. */}}
{{- define "tideline.labels" -}}
{{- $ := index . 0 -}}
helm.sh/chart: {{ printf "%s-%s" $.Chart.Name $.Chart.Version | replace "+" "_" }}
app.kubernetes.io/name: {{ default $.Chart.Name $.Values.nameOverride }}
app.kubernetes.io/instance: {{ $.Release.Name }}
app.kubernetes.io/version: {{ default $.Chart.AppVersion $.Values.image.tag | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ $.Release.Service }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/*
The StatefulSets, as a JSON list of {name, zone, replicas, start, storageClass}: one, or one for each zone. The ordinal of
a pod is the id of its broker, so each zone has a hundred of its own unless it says where they begin.
*/}}
{{- define "tideline.sets" -}}
{{- $sets := list -}}
{{- $full := include "tideline.fullname" . -}}
{{- if .Values.zones -}}
{{- $seen := dict -}}
{{- range $i, $zone := .Values.zones -}}
{{- $start := int (mul $i 100) -}}
{{- if hasKey $zone "firstNodeId" -}}{{- $start = int $zone.firstNodeId -}}{{- end -}}
{{- if hasKey $seen $zone.name -}}{{- fail (printf "zones: %s is there twice" $zone.name) -}}{{- end -}}
{{- range $other := $sets -}}
{{- if and (lt $start (int (add $other.start 100))) (lt (int $other.start) (int (add $start 100))) -}}
{{- fail (printf "zones: the ids of %s (from %d) and of %s (from %d) are not a hundred apart: give firstNodeId" $other.zone (int $other.start) $zone.name $start) -}}
{{- end -}}
{{- end -}}
{{- $_ := set $seen $zone.name true -}}
{{- $sets = append $sets (dict "name" (printf "%s-%s" $full $zone.name | trunc 52 | trimSuffix "-") "zone" $zone.name "replicas" (int (default 1 $zone.replicas)) "start" $start "storageClass" (default "" $zone.storageClass)) -}}
{{- end -}}
{{- else -}}
{{- $sets = append $sets (dict "name" $full "zone" "" "replicas" (int .Values.replicas) "start" 0 "storageClass" "") -}}
{{- end -}}
{{- $sets | toJson -}}
{{- end -}}

{{/*
The brokers, as a JSON list of {id, pod, zone, host}: one of each zone, then the second of each, so that those which make
the cluster (cluster.seeds) are in as many zones as can be.
*/}}
{{- define "tideline.brokers" -}}
{{- $brokers := list -}}
{{- $sets := include "tideline.sets" . | fromJsonArray -}}
{{- $most := 0 -}}
{{- range $sets -}}{{- $most = max $most (int .replicas) -}}{{- end -}}
{{- $domain := printf "%s.%s.svc.%s" (include "tideline.headless" .) .Release.Namespace .Values.clusterDomain -}}
{{- range $i := until (int $most) -}}
{{- range $set := $sets -}}
{{- if lt $i (int $set.replicas) -}}
{{- $id := int (add $set.start $i) -}}
{{- $pod := printf "%s-%d" $set.name $id -}}
{{- $brokers = append $brokers (dict "id" $id "pod" $pod "zone" $set.zone "host" (printf "%s.%s" $pod $domain)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- $brokers | toJson -}}
{{- end -}}

{{/* A value of a setting as text: large numbers must not become 6.4e+10. */}}
{{- define "tideline.text" -}}
{{- if kindIs "float64" . -}}
{{- if eq (floor .) . -}}{{- printf "%.0f" . -}}{{- else -}}{{- . -}}{{- end -}}
{{- else if kindIs "slice" . -}}
{{- $texts := list -}}
{{- range . -}}{{- $texts = append $texts (include "tideline.text" .) -}}{{- end -}}
{{- join "," $texts -}}
{{- else -}}
{{- . -}}
{{- end -}}
{{- end -}}

{{- define "tideline.hasTLS" -}}
{{- $some := hasSuffix "SSL" .Values.listeners.client.protocol -}}
{{- if .Values.listeners.external.enabled -}}{{- $some = or $some (hasSuffix "SSL" .Values.listeners.external.protocol) -}}{{- end -}}
{{- if $some -}}true{{- end -}}
{{- end -}}

{{- define "tideline.hasSASL" -}}
{{- $some := hasPrefix "SASL" .Values.listeners.client.protocol -}}
{{- if .Values.listeners.external.enabled -}}{{- $some = or $some (hasPrefix "SASL" .Values.listeners.external.protocol) -}}{{- end -}}
{{- if $some -}}true{{- end -}}
{{- end -}}

{{/* The names of the secrets with certificates; empty: that port has no TLS. Of cert-manager's they are ours. */}}
{{- define "tideline.tls.clients" -}}
{{- if include "tideline.hasTLS" . -}}
{{- if .Values.tls.clients.secretName -}}{{- .Values.tls.clients.secretName -}}
{{- else if .Values.tls.certManager.clients -}}{{ include "tideline.fullname" . }}-clients-tls{{- end -}}
{{- end -}}
{{- end -}}
{{- define "tideline.tls.peers" -}}
{{- if .Values.tls.peers.secretName -}}{{- .Values.tls.peers.secretName -}}
{{- else if .Values.tls.certManager.peers -}}{{ include "tideline.fullname" . }}-peers-tls{{- end -}}
{{- end -}}
{{- define "tideline.tls.admin" -}}
{{- if .Values.tls.admin.secretName -}}{{- .Values.tls.admin.secretName -}}
{{- else if .Values.tls.certManager.admin -}}{{ include "tideline.fullname" . }}-admin-tls{{- end -}}
{{- end -}}

{{/* Whether the admin port asks who comes, and can not be listened to. */}}
{{- define "tideline.adminGuarded" -}}
{{- if and (eq .Values.admin.users "scram") (include "tideline.tls.admin" .) -}}true{{- end -}}
{{- end -}}

{{/* The host that clients from outside reach a broker by: list of the root and the broker. */}}
{{- define "tideline.externalHost" -}}
{{- $ := index . 0 -}}
{{- $id := toString (int (index . 1).id) -}}
{{- $external := $.Values.listeners.external -}}
{{- if hasKey $external.hosts $id -}}
{{- index $external.hosts $id -}}
{{- else if $external.host -}}
{{- $external.host | replace "{id}" $id -}}
{{- else -}}
{{- fail (printf "listeners.external: clients from outside need a name for broker %s: give host (with {id} in it) or hosts.%q" $id $id) -}}
{{- end -}}
{{- end -}}

{{- define "tideline.externalPort" -}}
{{- $ := index . 0 -}}
{{- if eq $.Values.listeners.external.type "NodePort" -}}
{{- add $.Values.listeners.external.firstNodePort 1 (index . 1).id -}}
{{- else -}}
{{- $.Values.listeners.external.port -}}
{{- end -}}
{{- end -}}

{{/* What the services for clients from outside have alike. */}}
{{- define "tideline.external" -}}
{{- $external := .Values.listeners.external -}}
type: {{ $external.type }}
{{- with $external.externalTrafficPolicy }}
externalTrafficPolicy: {{ . }}
{{- end }}
{{- if eq $external.type "LoadBalancer" }}
{{- with $external.loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with $external.loadBalancerSourceRanges }}
loadBalancerSourceRanges: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- end -}}

{{/* Two brokers on one machine are lost together; what the values say of affinity comes on top. */}}
{{- define "tideline.affinity" -}}
{{- $affinity := deepCopy .Values.placement.affinity -}}
{{- $term := dict "topologyKey" "kubernetes.io/hostname" "labelSelector" (dict "matchLabels" (include "tideline.selector" . | fromYaml)) -}}
{{- $anti := default (dict) $affinity.podAntiAffinity -}}
{{- if eq .Values.placement.sameNode "forbid" -}}
{{- $key := "requiredDuringSchedulingIgnoredDuringExecution" -}}
{{- $_ := set $anti $key (append (default (list) (index $anti $key)) $term) -}}
{{- else if eq .Values.placement.sameNode "avoid" -}}
{{- $key := "preferredDuringSchedulingIgnoredDuringExecution" -}}
{{- $_ := set $anti $key (append (default (list) (index $anti $key)) (dict "weight" 100 "podAffinityTerm" $term)) -}}
{{- end -}}
{{- if $anti -}}{{- $_ := set $affinity "podAntiAffinity" $anti -}}{{- end -}}
{{- if $affinity -}}{{- toYaml $affinity -}}{{- end -}}
{{- end -}}

{{/* What selects the pods that run client commands of this release. */}}
{{- define "tideline.cliSelector" -}}
app.kubernetes.io/name: {{ default .Chart.Name .Values.nameOverride }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: health
{{- end -}}
