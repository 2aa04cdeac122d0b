{{- define "bleepstore.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* Short enough for what is put behind it, such as "-headless" and the number of a pod. */}}
{{- define "bleepstore.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 45 | trimSuffix "-" -}}
{{- else if contains (include "bleepstore.name" .) .Release.Name -}}
{{- .Release.Name | trunc 45 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "bleepstore.name" .) | trunc 45 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* Of (list $ component): which pods are meant. */}}
{{- define "bleepstore.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "bleepstore.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* Of (list $ component) or (list $ component labels): all labels of an object. Its own win over the common ones. */}}
{{- define "bleepstore.labels" -}}
{{- $root := index . 0 -}}
{{- $own := ternary (last .) (dict) (gt (len .) 2) -}}
{{- $always := include "bleepstore.selector" (list $root (index . 1)) | fromYaml -}}
{{- $always = merge $always (dict
  "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-")
  "app.kubernetes.io/version" $root.Chart.AppVersion
  "app.kubernetes.io/part-of" "bleepstore"
  "app.kubernetes.io/managed-by" $root.Release.Service) -}}
{{- toYaml (merge $always (deepCopy $own) (deepCopy $root.Values.commonLabels)) -}}
{{- end -}}

{{/* Of (list $ annotations): "annotations:" and what is below it, or nothing. */}}
{{- define "bleepstore.annotations" -}}
{{- with merge (deepCopy (index . 1)) (deepCopy (index . 0).Values.commonAnnotations) -}}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "bleepstore.headless" -}}{{ include "bleepstore.fullname" . }}-headless{{- end -}}

{{/* Of (list $ image): registry/repository@digest, or :tag. */}}
{{- define "bleepstore.imageOf" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- $registry := default $image.registry $root.Values.global.imageRegistry -}}
{{- with $registry }}{{ trimSuffix "/" . }}/{{ end }}{{ $image.repository }}
{{- if $image.digest }}@{{ $image.digest }}{{ else }}:{{ default $root.Chart.AppVersion $image.tag }}{{ end -}}
{{- end -}}

{{- define "bleepstore.image" -}}{{ include "bleepstore.imageOf" (list . .Values.image) }}{{- end -}}

{{/* A parent's are names, or the objects that a pod has; ours are names. */}}
{{- define "bleepstore.pullSecrets" -}}
{{- $names := list -}}
{{- range concat (default (list) .Values.global.imagePullSecrets) .Values.image.pullSecrets -}}
{{- $names = append $names (ternary . (dict "name" .) (kindIs "map" .)) -}}
{{- end -}}
{{- with uniq $names -}}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end -}}
{{- end -}}

{{- define "bleepstore.serviceAccount" -}}
{{- default (ternary (include "bleepstore.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "bleepstore.authSecret" -}}
{{- default (printf "%s-auth" (include "bleepstore.fullname" .)) .Values.auth.existingSecret -}}
{{- end -}}

{{/* The keys inside that Secret: in ours they have the names that the values have by default. */}}
{{- define "bleepstore.accessKeyKey" -}}{{ ternary .Values.auth.accessKeyKey "access-key" (ne .Values.auth.existingSecret "") }}{{- end -}}
{{- define "bleepstore.secretKeyKey" -}}{{ ternary .Values.auth.secretKeyKey "secret-key" (ne .Values.auth.existingSecret "") }}{{- end -}}

{{- define "bleepstore.certificateSecret" -}}
{{- default (printf "%s-tls" (include "bleepstore.fullname" .)) .Values.certificate.secretName -}}
{{- end -}}

{{/* "" where there is none. */}}
{{- define "bleepstore.tlsSecret" -}}
{{- if .Values.tls.existingSecret }}{{ .Values.tls.existingSecret }}{{ else if .Values.certificate.enabled }}{{ include "bleepstore.certificateSecret" . }}{{ end -}}
{{- end -}}

{{- define "bleepstore.ingressTlsSecret" -}}
{{- if .Values.ingress.tlsSecret }}{{ .Values.ingress.tlsSecret }}{{ else if .Values.certificate.enabled }}{{ include "bleepstore.certificateSecret" . }}{{ end -}}
{{- end -}}

{{- define "bleepstore.scheme" -}}{{ ternary "https" "http" .Values.tls.enabled }}{{- end -}}
{{- define "bleepstore.metricsPort" -}}{{ ternary "metrics" "s3" (ne (include "bleepstore.hasMetricsPort" .) "") }}{{- end -}}

{{/* Where pods of the cluster reach the release. */}}
{{- define "bleepstore.endpoint" -}}
{{ include "bleepstore.scheme" . }}://{{ include "bleepstore.fullname" . }}.{{ .Release.Namespace }}.svc:{{ int .Values.service.port }}
{{- end -}}

{{/* JSON: the domain's names, without blanks. */}}
{{- define "bleepstore.domains" -}}
{{- $names := list -}}
{{- range splitList "," .Values.domain -}}{{- with trim . -}}{{- $names = append $names . -}}{{- end -}}{{- end -}}
{{- toJson $names -}}
{{- end -}}

{{/* JSON, of (list $ hosts wildcard): these or else the domain's, each with its wildcard where that is wanted. */}}
{{- define "bleepstore.hosts" -}}
{{- $names := list -}}
{{- range default (include "bleepstore.domains" (index . 0) | fromJsonArray) (index . 1) -}}
{{- $names = append $names . -}}
{{- if and (index $ 2) (not (hasPrefix "*." .)) -}}{{- $names = append $names (printf "*.%s" .) -}}{{- end -}}
{{- end -}}
{{- toJson (uniq $names) -}}
{{- end -}}
