{{/* What pods beside the server have in common with it: who they are, and where they may run. */}}
{{- define "bleepstore.jobPod" -}}
restartPolicy: Never
automountServiceAccountToken: false
enableServiceLinks: false
{{- with include "bleepstore.pullSecrets" . }}
{{ . }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with include "bleepstore.securityContext" .Values.podSecurityContext }}
securityContext:
  {{- . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* Of (list $ resources): no rights, and nothing writable but what is mounted. */}}
{{- define "bleepstore.jobContainer" -}}
{{- with index . 1 -}}
resources:
  {{- toYaml . | nindent 2 }}
{{ end -}}
{{- with include "bleepstore.securityContext" (index . 0).Values.containerSecurityContext -}}
securityContext:
  {{- . | nindent 2 }}
{{- end -}}
{{- end -}}

{{/* Of (list $ prefix): the root user's keys, as variables. */}}
{{- define "bleepstore.keyVariables" -}}
{{- $root := index . 0 -}}{{- $prefix := index . 1 -}}
- name: {{ $prefix }}ACCESS_KEY{{ ternary "_ID" "" (eq $prefix "AWS_") }}
  valueFrom:
    secretKeyRef: {name: {{ include "bleepstore.authSecret" $root | quote }}, key: {{ include "bleepstore.accessKeyKey" $root | quote }}}
- name: {{ ternary "AWS_SECRET_ACCESS_KEY" (printf "%sSECRET_KEY" $prefix) (eq $prefix "AWS_") }}
  valueFrom:
    secretKeyRef: {name: {{ include "bleepstore.authSecret" $root | quote }}, key: {{ include "bleepstore.secretKeyKey" $root | quote }}}
{{- end -}}

{{/* The region that signatures name; the server takes any where its own is empty. */}}
{{- define "bleepstore.region" -}}{{ default "us-east-1" (dig "server" "region" "" .Values.config) }}{{- end -}}
