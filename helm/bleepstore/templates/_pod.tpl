{{/* The pod, as the StatefulSet and the Deployment have it. */}}
{{- define "bleepstore.pod" -}}
metadata:
  labels:
    {{- include "bleepstore.labels" (list . "server" .Values.podLabels) | nindent 4 }}
  annotations:
    checksum/config: {{ include "bleepstore.config" . | sha256sum }}
    {{- /* So short that nobody finds a secret by trying. */}}
    checksum/secrets: {{ list .Values.auth .Values.users | toJson | sha256sum | trunc 8 | quote }}
    {{- with merge (deepCopy .Values.podAnnotations) (deepCopy .Values.commonAnnotations) }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- with include "bleepstore.pullSecrets" . }}
  {{- . | nindent 2 }}
  {{- end }}
  serviceAccountName: {{ include "bleepstore.serviceAccount" . }}
  automountServiceAccountToken: {{ .Values.serviceAccount.automountToken }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ add (int .Values.shutdown.drainSeconds) (int .Values.shutdown.timeoutSeconds) 5 }}
  {{- with include "bleepstore.securityContext" .Values.podSecurityContext }}
  securityContext:
    {{- . | nindent 4 }}
  {{- end }}
  {{- include "bleepstore.placement" . | nindent 2 }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    {{- include "bleepstore.container" . | nindent 4 }}
    {{- with .Values.sidecars }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    {{- include "bleepstore.volumes" . | nindent 4 }}
{{- end -}}

{{/* Without what was taken out, by null or by "": Helm 4 does not hear the null of a parent chart's values. */}}
{{- define "bleepstore.securityContext" -}}
{{- $kept := dict -}}
{{- range $name, $value := . -}}
{{- if not (or (kindIs "invalid" $value) (eq "" (toString $value))) -}}{{- $_ := set $kept $name $value -}}{{- end -}}
{{- end -}}
{{- with $kept -}}{{- toYaml . -}}{{- end -}}
{{- end -}}

{{- define "bleepstore.placement" -}}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.topologySpreadConstraints }}
topologySpreadConstraints:
  {{- range . }}
  - {{- toYaml (merge (deepCopy .) (dict "labelSelector" (dict "matchLabels" (include "bleepstore.selector" (list $ "server") | fromYaml)))) | nindent 4 }}
  {{- end }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . | quote }}
{{- end }}
{{- with .Values.runtimeClassName }}
runtimeClassName: {{ . | quote }}
{{- end }}
{{- end -}}

{{- define "bleepstore.container" -}}
- name: bleepstore
  image: {{ include "bleepstore.image" . | quote }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args:
    - serve
    {{- with .Values.extraArgs }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- include "bleepstore.environment" . | nindent 4 }}
  {{- with .Values.extraEnvFrom }}
  envFrom:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  ports:
    - {name: s3, containerPort: 9000, protocol: TCP}
    {{- if .Values.console.enabled }}
    - {name: console, containerPort: {{ int .Values.console.port }}, protocol: TCP}
    {{- end }}
    {{- if include "bleepstore.hasMetricsPort" . }}
    - {name: metrics, containerPort: {{ int .Values.metrics.port }}, protocol: TCP}
    {{- end }}
  startupProbe:
    {{- include "bleepstore.probe" (list . .Values.startupProbe "/healthz") | nindent 4 }}
  livenessProbe:
    {{- include "bleepstore.probe" (list . .Values.livenessProbe "/healthz") | nindent 4 }}
  readinessProbe:
    {{- include "bleepstore.probe" (list . .Values.readinessProbe "/readyz") | nindent 4 }}
  {{- with int .Values.shutdown.drainSeconds }}
  lifecycle:
    preStop:
      {{- /* The server takes connections until SIGTERM; the wait lets every proxy hear first that this pod goes. */}}
      {{- if semverCompare ">=1.30.0-0" $.Capabilities.KubeVersion.Version }}
      sleep: {seconds: {{ . }}}
      {{- else }}
      exec: {command: [python, -c, "import time; time.sleep({{ . }})"]}
      {{- end }}
  {{- end }}
  {{- with .Values.resources }}
  resources:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with include "bleepstore.securityContext" .Values.containerSecurityContext }}
  securityContext:
    {{- . | nindent 4 }}
  {{- end }}
  volumeMounts:
    - {name: config, mountPath: /etc/bleepstore/config, readOnly: true}
    - {name: auth, mountPath: /etc/bleepstore/auth, readOnly: true}
    - {name: data, mountPath: /data}
    - {name: tmp, mountPath: /tmp}
    {{- if .Values.tls.enabled }}
    - {name: tls, mountPath: /etc/bleepstore/tls, readOnly: true}
    {{- end }}
    {{- if include "bleepstore.gcpSecret" . }}
    - {name: gcp, mountPath: /etc/bleepstore/gcp, readOnly: true}
    {{- end }}
    {{- with .Values.extraVolumeMounts }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
{{- end -}}

{{/* Of (list $ times path). The metrics' port answers even when the other is full of clients. */}}
{{- define "bleepstore.probe" -}}
{{- $root := index . 0 -}}
{{- $get := dict "path" (index . 2) "port" (include "bleepstore.metricsPort" $root) "scheme" (include "bleepstore.scheme" $root | upper) -}}
{{- toYaml (merge (dict "httpGet" $get) (deepCopy (index . 1))) -}}
{{- end -}}

{{- define "bleepstore.gcpSecret" -}}
{{- if eq .Values.storage.backend "gcp" -}}{{ .Values.storage.gcp.existingSecret }}{{- end -}}
{{- end -}}

{{- define "bleepstore.volumes" -}}
- name: config
  configMap: {name: {{ include "bleepstore.fullname" . }}}
- name: auth
  projected:
    sources:
      - secret:
          name: {{ include "bleepstore.authSecret" . | quote }}
          items:
            - {key: {{ include "bleepstore.accessKeyKey" . | quote }}, path: access-key}
            - {key: {{ include "bleepstore.secretKeyKey" . | quote }}, path: secret-key}
      {{- with .Values.metrics.existingSecret }}
      - secret:
          name: {{ . | quote }}
          items: [{key: {{ $.Values.metrics.tokenKey | quote }}, path: metrics-token}]
      {{- end }}
      {{- range $at, $user := .Values.users }}
      - secret:
          name: {{ default (printf "%s-users" (include "bleepstore.fullname" $)) $user.existingSecret | quote }}
          items:
            - {key: {{ ternary $user.existingSecretKey (toString $at) (not (empty $user.existingSecret)) | quote }}, path: users/{{ $at }}}
      {{- end }}
- name: tmp
  emptyDir: {{ ternary (dict) (dict "sizeLimit" .Values.tmpSize) (empty .Values.tmpSize) | toJson }}
{{- if not (include "bleepstore.hasClaim" .) }}
- name: data
  emptyDir: {}
{{- else if .Values.persistence.existingClaim }}
- name: data
  persistentVolumeClaim: {claimName: {{ .Values.persistence.existingClaim | quote }}}
{{- end }}
{{- if .Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ include "bleepstore.tlsSecret" . | quote }}
    items:
      - {key: {{ ternary .Values.tls.certKey "tls.crt" (ne .Values.tls.existingSecret "") | quote }}, path: tls.crt}
      - {key: {{ ternary .Values.tls.keyKey "tls.key" (ne .Values.tls.existingSecret "") | quote }}, path: tls.key}
{{- end }}
{{- with include "bleepstore.gcpSecret" . }}
- name: gcp
  secret:
    secretName: {{ . | quote }}
    items: [{key: {{ $.Values.storage.gcp.credentialsKey | quote }}, path: credentials.json}]
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end -}}
