{{/* What cannot work is refused here, before anything is installed, with the reason. */}}
{{- define "bleepstore.check" -}}
{{- include "bleepstore.checkMode" . -}}
{{- include "bleepstore.checkReplicas" . -}}
{{- include "bleepstore.checkStorage" . -}}
{{- include "bleepstore.checkAccess" . -}}
{{- include "bleepstore.checkNetwork" . -}}
{{- include "bleepstore.checkMetrics" . -}}
{{- end -}}

{{- define "bleepstore.checkMode" -}}
{{- $engines := include "bleepstore.metadataEngines" . | fromJsonArray -}}
{{- $engine := .Values.metadata.engine -}}
{{- if eq .Values.mode "cluster" -}}
{{- fail "mode: cluster takes a replicated metadata engine, which this release of the server does not have yet. Use embedded or gateway" -}}
{{- end -}}
{{- if and .Values.metadata.plugin.enabled (has $engine $engines) -}}
{{- fail (printf "metadata.plugin.enabled: %s is the server's own engine; metadata.engine must be the name of the plug-in's" $engine) -}}
{{- end -}}
{{- if and (not .Values.metadata.plugin.enabled) (not (has $engine $engines)) -}}
{{- fail (printf "metadata.engine: this release of the server has %s, and no %s. Where a package in an image of your own brings it, set metadata.plugin.enabled" (join ", " $engines) $engine) -}}
{{- end -}}
{{- if and .Values.metadata.plugin.shared (not .Values.metadata.plugin.enabled) -}}
{{- fail (printf "metadata.plugin.shared says something of a plug-in's engine; %s is the server's own, which one pod owns" $engine) -}}
{{- end -}}
{{- if and .Values.metadata.plugin.shared (ne .Values.mode "gateway") -}}
{{- fail "metadata.plugin.shared: pods that share metadata must share the bytes too, which mode embedded keeps on one pod's volume. Set mode: gateway" -}}
{{- end -}}
{{- end -}}

{{- define "bleepstore.checkReplicas" -}}
{{- if not (include "bleepstore.isShared" .) -}}
{{- $why := printf "the metadata engine %s belongs to one pod" .Values.metadata.engine -}}
{{- if eq .Values.metadata.engine "sqlite" -}}
{{- $why = "SQLite's write-ahead log works between processes of one machine only: two pods would each have a database of their own, or damage a common one on a network file system" -}}
{{- end -}}
{{- if gt (int .Values.replicas) 1 -}}
{{- fail (printf "replicas: %d cannot be, for %s. Set replicas: 1; one pod has several worker processes. More pods take a metadata engine that they can share (metadata.plugin)" (int .Values.replicas) $why) -}}
{{- end -}}
{{- if .Values.autoscaling.enabled -}}
{{- fail (printf "autoscaling.enabled cannot be, for %s. More pods than one take mode: gateway and a metadata engine that they can share (metadata.plugin)" $why) -}}
{{- end -}}
{{- end -}}
{{- with .Values.autoscaling -}}
{{- if and .enabled (gt (int .minReplicas) (int .maxReplicas)) -}}
{{- fail "autoscaling.minReplicas is more than autoscaling.maxReplicas" -}}
{{- end -}}
{{- if and .enabled (not .targetCPUUtilizationPercentage) (not .targetMemoryUtilizationPercentage) (not .metrics) -}}
{{- fail "autoscaling.enabled: nothing says by what; set targetCPUUtilizationPercentage, targetMemoryUtilizationPercentage or metrics" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bleepstore.checkStorage" -}}
{{- $backend := .Values.storage.backend -}}
{{- $local := include "bleepstore.localStorages" . | fromJsonArray -}}
{{- $remote := include "bleepstore.remoteStorages" . | fromJsonArray -}}
{{- if and (eq .Values.mode "embedded") (not (has $backend $local)) -}}
{{- fail (printf "storage.backend: mode embedded keeps bytes in the pod, by %s; for %s set mode: gateway" (join ", " $local) $backend) -}}
{{- end -}}
{{- if and (eq .Values.mode "gateway") (not (has $backend $remote)) -}}
{{- fail (printf "storage.backend: mode gateway keeps bytes in a service: %s; %s is for mode embedded" (join ", " $remote) $backend) -}}
{{- end -}}
{{- if and (has $backend (list "aws" "gcp")) (not (index .Values.storage $backend).bucket) -}}
{{- fail (printf "storage.%s.bucket is missing: the bucket that holds the bytes, which must be there" $backend) -}}
{{- end -}}
{{- with .Values.storage.azure -}}
{{- if eq $backend "azure" -}}
{{- if not .container }}{{ fail "storage.azure.container is missing: the container that holds the bytes, which must be there" }}{{ end -}}
{{- if eq .useManagedIdentity (ne .existingSecret "") }}{{ fail "storage.azure: set existingSecret (a Secret with a connection string) or useManagedIdentity, one of them" }}{{ end -}}
{{- if and .useManagedIdentity (not .account) (not .endpointUrl) }}{{ fail "storage.azure.account is missing: an identity does not say whose storage is meant" }}{{ end -}}
{{- end -}}
{{- end -}}
{{- if include "bleepstore.hasClaim" . -}}
{{- range .Values.persistence.accessModes -}}
{{- if has . (list "ReadWriteMany" "ReadOnlyMany") -}}
{{- fail (printf "persistence.accessModes: a volume for several machines (%s) is a network file system, where SQLite loses data. Use ReadWriteOnce or ReadWriteOncePod" .) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "bleepstore.checkAccess" -}}
{{- if and .Values.auth.existingSecret .Values.auth.secretKey -}}
{{- fail "auth.secretKey and auth.existingSecret are both given; leave one of them out" -}}
{{- end -}}
{{- $keys := list .Values.auth.accessKey -}}{{- if .Values.auth.existingSecret -}}{{- $keys = list -}}{{- end -}}
{{- $names := list "root" -}}
{{- range .Values.users -}}
{{- $name := default .accessKey .name -}}
{{- if has .accessKey $keys }}{{ fail (printf "users: two have the access key %s (the root user counts)" .accessKey) }}{{ end -}}
{{- if has $name $names }}{{ fail (printf "users: two have the name %s (the root user is called root)" $name) }}{{ end -}}
{{- $keys = append $keys .accessKey -}}{{- $names = append $names $name -}}
{{- end -}}
{{- $buckets := list -}}
{{- range .Values.buckets -}}
{{- if has .name $buckets }}{{ fail (printf "buckets: %s is there twice" .name) }}{{ end -}}
{{- $buckets = append $buckets .name -}}
{{- end -}}
{{- range $at, $user := .Values.users -}}
{{- if eq (empty $user.secretKey) (empty $user.existingSecret) -}}
{{- fail (printf "users[%d]: give secretKey, or existingSecret and existingSecretKey, one of them" $at) -}}
{{- end -}}
{{- if and $user.existingSecret (not $user.existingSecretKey) -}}
{{- fail (printf "users[%d].existingSecretKey is missing: where the secret key is in %s" $at $user.existingSecret) -}}
{{- end -}}
{{- if $user.policy -}}
{{- fail (printf "users[%d].policy: the server has no policies of users. Leave it out: %s owns the buckets that it creates, and a bucket policy gives it more" $at $user.accessKey) -}}
{{- end -}}
{{- end -}}
{{- range $at, $bucket := .Values.buckets -}}
{{- if $bucket.purge -}}
{{- fail (printf "buckets[%d].purge: the chart removes no data; empty %s with a client" $at $bucket.name) -}}
{{- end -}}
{{- if $bucket.objectlocking -}}
{{- fail (printf "buckets[%d].objectlocking: the server has no object lock yet" $at) -}}
{{- end -}}
{{- end -}}
{{- if .Values.policies -}}
{{- fail "policies: the server has no policies of users. A user owns the buckets that it creates; buckets[].policy opens a bucket to everybody" -}}
{{- end -}}
{{- if .Values.svcaccts -}}
{{- fail "svcaccts: a user has one pair of keys. Make each service account one of users, with buckets of its own" -}}
{{- end -}}
{{- end -}}

{{- define "bleepstore.checkNetwork" -}}
{{- if and .Values.tls.enabled (not (include "bleepstore.tlsSecret" .)) -}}
{{- fail "tls.enabled: there is no certificate; set tls.existingSecret, or certificate.enabled" -}}
{{- end -}}
{{- if .Values.certificate.enabled -}}
{{- if not .Values.certificate.issuerRef.name }}{{ fail "certificate.issuerRef.name is missing: cert-manager's issuer" }}{{ end -}}
{{- if and (not .Values.domain) (not .Values.certificate.dnsNames) (not .Values.certificate.clusterNames) -}}
{{- fail "certificate: there is no name to certify; set domain, certificate.dnsNames or certificate.clusterNames" -}}
{{- end -}}
{{- end -}}
{{- if .Values.ingress.enabled -}}
{{- if not (or .Values.ingress.hosts .Values.domain) }}{{ fail "ingress.enabled: no host is named; set domain or ingress.hosts" }}{{ end -}}
{{- if and .Values.ingress.tls (not (include "bleepstore.ingressTlsSecret" .)) }}{{ fail "ingress.tls: there is no certificate; set ingress.tlsSecret, or certificate.enabled" }}{{ end -}}
{{- end -}}
{{- if .Values.httpRoute.enabled -}}
{{- if not .Values.httpRoute.parentRefs }}{{ fail "httpRoute.parentRefs is missing: the Gateway that the route belongs to" }}{{ end -}}
{{- if not (or .Values.httpRoute.hosts .Values.domain) }}{{ fail "httpRoute.enabled: no host is named; set domain or httpRoute.hosts" }}{{ end -}}
{{- end -}}
{{- with .Values.console -}}
{{- if and .hosts (not .enabled) }}{{ fail "console.hosts: console.enabled is false, so nothing would answer there" }}{{ end -}}
{{- if and .enabled (has (int .port) (list 9000 (int $.Values.metrics.port) (int $.Values.service.port))) -}}
{{- fail (printf "console.port: %d is the port of S3, of its service or of the metrics; take another" (int .port)) -}}
{{- end -}}
{{- end -}}
{{- $budget := .Values.podDisruptionBudget -}}
{{- if and $budget.enabled (kindIs "invalid" $budget.minAvailable) (kindIs "invalid" $budget.maxUnavailable) -}}
{{- fail "podDisruptionBudget: neither minAvailable nor maxUnavailable is set" -}}
{{- end -}}
{{- end -}}

{{- define "bleepstore.checkMetrics" -}}
{{- with .Values.metrics -}}
{{- if and .serviceMonitor.enabled .podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor are both enabled: everything would be counted twice. Choose one" -}}
{{- end -}}
{{- if and (not .enabled) (or .serviceMonitor.enabled .podMonitor.enabled .prometheusRule.enabled .dashboard.enabled) -}}
{{- fail "metrics.enabled is false, so there is nothing to scrape, to watch or to show" -}}
{{- end -}}
{{- if and .port (eq (int .port) 9000) -}}
{{- fail "metrics.port: 9000 is the S3 port; take another, or 0 for the same" -}}
{{- end -}}
{{- end -}}
{{- end -}}
