{{/* Of (list $ path): a file of the chart. */}}
{{- define "bleepstore.file" -}}
{{- $text := (index . 0).Files.Get (index . 1) -}}
{{- if not $text }}{{ fail (printf "%s is not in this chart" (index . 1)) }}{{ end -}}
{{- $text -}}
{{- end -}}

{{/* Of (list $ monitor): how each pod's metrics are got. */}}
{{- define "bleepstore.scrape" -}}
{{- $root := index . 0 -}}
{{- $monitor := index . 1 -}}
port: {{ include "bleepstore.metricsPort" $root }}
path: /metrics
scheme: {{ include "bleepstore.scheme" $root }}
interval: {{ $monitor.interval }}
{{- with $monitor.scrapeTimeout }}
scrapeTimeout: {{ . }}
{{- end }}
{{- if $root.Values.tls.enabled }}
tlsConfig:
  {{- toYaml $monitor.tlsConfig | nindent 2 }}
{{- end }}
{{- with $root.Values.metrics.existingSecret }}
authorization:
  type: Bearer
  credentials: {name: {{ . | quote }}, key: {{ $root.Values.metrics.tokenKey | quote }}}
{{- end }}
{{- with $monitor.metricRelabelings }}
metricRelabelings:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}
