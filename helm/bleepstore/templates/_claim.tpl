{{/* What the StatefulSet says of its volume. Kubernetes refuses changes of it but for the retention. */}}
{{- define "bleepstore.claim" -}}
{{- with .Values.persistence -}}
persistentVolumeClaimRetentionPolicy:
  whenDeleted: {{ .retention.whenDeleted }}
  whenScaled: {{ .retention.whenScaled }}
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: data
      labels:
        {{- toYaml (merge (include "bleepstore.selector" (list $ "server") | fromYaml) (deepCopy .labels)) | nindent 8 }}
      {{- with .annotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      accessModes: {{ toJson .accessModes }}
      {{- with default $.Values.global.storageClass .storageClass }}
      storageClassName: {{ ternary "" . (eq . "-") | quote }}
      {{- end }}
      {{- with .selector }}
      selector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        requests: {storage: {{ .size | quote }}}
{{- end -}}
{{- end -}}
