{{/* bleepstore.yaml: what `config` says, and above it what other values decide. No secret is in it. */}}
{{- define "bleepstore.config" -}}
{{- $server := dict
  "port" 9000
  "shutdown_timeout_s" (int .Values.shutdown.timeoutSeconds)
  "domain" (include "bleepstore.domains" . | fromJsonArray | join ",")
  "default_buckets" (include "bleepstore.defaultBuckets" . | fromJsonArray) -}}
{{- if .Values.tls.enabled -}}
{{- $_ := set $server "tls" (dict "cert_file" "/etc/bleepstore/tls/tls.crt" "key_file" "/etc/bleepstore/tls/tls.key") -}}
{{- end -}}
{{- if .Values.console.enabled -}}
{{- $_ := set $server "console_bind" (printf "%s:%d" (include "bleepstore.bindHost" .) (int .Values.console.port)) -}}
{{- end -}}
{{- $auth := dict
  "access_key_file" "/etc/bleepstore/auth/access-key"
  "secret_key_file" "/etc/bleepstore/auth/secret-key"
  "users" (include "bleepstore.configUsers" . | fromJsonArray) -}}
{{- $storage := dict "backend" .Values.storage.backend -}}
{{- if eq .Values.mode "gateway" -}}
{{- $_ := set $storage .Values.storage.backend (include "bleepstore.remoteStorage" . | fromJson) -}}
{{- end -}}
{{- $observability := dict "health_check" true "metrics" .Values.metrics.enabled -}}
{{- if include "bleepstore.hasMetricsPort" . -}}
{{- $_ := set $observability "metrics_bind" (printf "%s:%d" (include "bleepstore.bindHost" .) (int .Values.metrics.port)) -}}
{{- end -}}
{{- if .Values.metrics.existingSecret -}}
{{- $_ := set $observability "metrics_token_file" "/etc/bleepstore/auth/metrics-token" -}}
{{- end -}}
{{- $own := dict
  "server" $server
  "auth" $auth
  "metadata" (dict "engine" .Values.metadata.engine)
  "storage" $storage
  "observability" $observability -}}
{{- toYaml (mergeOverwrite (deepCopy .Values.config) $own) -}}
{{- end -}}

{{/* An IPv6 address in front of a port stands in brackets. */}}
{{- define "bleepstore.bindHost" -}}
{{- ternary (printf "[%s]" .Values.service.listenAddress) .Values.service.listenAddress (contains ":" .Values.service.listenAddress) -}}
{{- end -}}

{{- define "bleepstore.hasMetricsPort" -}}
{{- if and .Values.metrics.enabled (gt (int .Values.metrics.port) 0) -}}true{{- end -}}
{{- end -}}

{{/* JSON: "NAME:versioned:public" for each of buckets. */}}
{{- define "bleepstore.defaultBuckets" -}}
{{- $all := list -}}
{{- range .Values.buckets -}}
{{- $words := list .name -}}
{{- if .versioning -}}{{- $words = append $words "versioned" -}}{{- end -}}
{{- if and .policy (ne .policy "none") -}}{{- $words = append $words .policy -}}{{- end -}}
{{- $all = append $all (join ":" $words) -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* JSON: auth.users, each with the file that holds its secret key. */}}
{{- define "bleepstore.configUsers" -}}
{{- $all := list -}}
{{- range $at, $user := .Values.users -}}
{{- $all = append $all (dict
  "name" (default $user.accessKey $user.name)
  "access_key" $user.accessKey
  "secret_key_file" (printf "/etc/bleepstore/auth/users/%d" $at)) -}}
{{- end -}}
{{- toJson $all -}}
{{- end -}}

{{/* JSON: the chosen service's section, without what is secret or said nothing about. */}}
{{- define "bleepstore.remoteStorage" -}}
{{- $section := dict -}}
{{- range $name, $value := index .Values.storage .Values.storage.backend -}}
{{- if and $value (ne $name "existingSecret") (not (hasSuffix "Key" $name)) -}}
{{- $_ := set $section (snakecase $name) $value -}}
{{- end -}}
{{- end -}}
{{- if and (eq .Values.storage.backend "gcp") .Values.storage.gcp.existingSecret -}}
{{- $_ := set $section "credentials_file" "/etc/bleepstore/gcp/credentials.json" -}}
{{- end -}}
{{- toJson $section -}}
{{- end -}}

{{/* What the server gets by variables: where it finds its files, and what it does not take from one. */}}
{{- define "bleepstore.environment" -}}
- name: BLEEPSTORE_CONFIG
  value: /etc/bleepstore/config/bleepstore.yaml
- name: BLEEPSTORE_DATA_DIR
  value: /data
- name: BLEEPSTORE_SERVER_HOST
  value: {{ .Values.service.listenAddress | quote }}
{{- if eq .Values.storage.backend "aws" }}
{{- with .Values.storage.aws }}
{{- if .existingSecret }}
- name: BLEEPSTORE_STORAGE_AWS_ACCESS_KEY_ID
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .accessKeyIdKey | quote }}}
- name: BLEEPSTORE_STORAGE_AWS_SECRET_ACCESS_KEY
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .secretAccessKeyKey | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- if eq .Values.storage.backend "azure" }}
{{- with .Values.storage.azure }}
{{- if .existingSecret }}
- name: BLEEPSTORE_STORAGE_AZURE_CONNECTION_STRING
  valueFrom:
    secretKeyRef: {name: {{ .existingSecret | quote }}, key: {{ .connectionStringKey | quote }}}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}
