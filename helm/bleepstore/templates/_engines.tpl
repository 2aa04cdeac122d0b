{{/* What the server of this release has. A test compares these lists with the server's own. */}}
{{- define "bleepstore.metadataEngines" -}}{{ toJson (list "sqlite" "memory") }}{{- end -}}
{{- define "bleepstore.localStorages" -}}{{ toJson (list "local" "sqlite" "memory") }}{{- end -}}
{{- define "bleepstore.remoteStorages" -}}{{ toJson (list "aws" "gcp" "azure") }}{{- end -}}
{{/* Those of the engines that several pods may use at once. */}}
{{- define "bleepstore.sharedEngines" -}}{{ toJson (list) }}{{- end -}}

{{/* "true" where several pods may use the chosen metadata engine at once. */}}
{{- define "bleepstore.isShared" -}}
{{- $plugin := .Values.metadata.plugin -}}
{{- if or (has .Values.metadata.engine (include "bleepstore.sharedEngines" . | fromJsonArray)) (and $plugin.enabled $plugin.shared) -}}true{{- end -}}
{{- end -}}

{{/* "true" where the pod keeps something on a volume of its own. */}}
{{- define "bleepstore.hasData" -}}
{{- if not (include "bleepstore.isShared" .) -}}true{{- end -}}
{{- end -}}

{{- define "bleepstore.hasClaim" -}}
{{- if and (include "bleepstore.hasData" .) .Values.persistence.enabled -}}true{{- end -}}
{{- end -}}
