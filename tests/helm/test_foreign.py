"""Objects of operators, for which Kubernetes has no schema: written out by hand from their documentation.

cert-manager.io/v1 Certificate; gateway.networking.k8s.io/v1 HTTPRoute; monitoring.coreos.com/v1 ServiceMonitor, PodMonitor.
"""

from __future__ import annotations

from tests.helm.charts import NAMESPACE, rendered

SERVER = {
    "app.kubernetes.io/name": "bleepstore",
    "app.kubernetes.io/instance": "demo",
    "app.kubernetes.io/component": "server",
}


def test_a_certificate_has_the_names_of_the_domain_and_of_the_service() -> None:
    assert rendered(4, "embedded-tls").one("Certificate")["spec"] == {
        "secretName": "demo-bleepstore-tls",
        "issuerRef": {"name": "ca", "kind": "Issuer", "group": "cert-manager.io"},
        "dnsNames": [
            "s3.example.com",
            "*.s3.example.com",
            "objects.example.com",
            "*.objects.example.com",
            "s3-console.example.com",
            "demo-bleepstore",
            f"demo-bleepstore.{NAMESPACE}",
            f"demo-bleepstore.{NAMESPACE}.svc",
            f"demo-bleepstore.{NAMESPACE}.svc.cluster.local",
            "s3.internal",
        ],
        "duration": "2160h",
        "renewBefore": "360h",
        "privateKey": {"rotationPolicy": "Always"},
    }


def test_a_public_authority_is_asked_for_public_names_only() -> None:
    assert rendered(4, "embedded-exposed").one("Certificate")["spec"] == {
        "secretName": "objects-tls",
        "issuerRef": {"name": "letsencrypt", "kind": "ClusterIssuer"},
        "dnsNames": ["s3.example.com", "*.s3.example.com", "console.example.com"],
        "privateKey": {"rotationPolicy": "Always"},
    }


def test_a_route_takes_the_domains_and_the_buckets_in_them() -> None:
    assert rendered(4, "embedded-tls").one("HTTPRoute", "demo-bleepstore")["spec"] == {
        "parentRefs": [{"name": "public", "namespace": "gateways", "sectionName": "https"}],
        "hostnames": ["s3.example.com", "*.s3.example.com", "objects.example.com", "*.objects.example.com"],
        "rules": [
            {
                "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                "backendRefs": [{"name": "demo-bleepstore", "port": 443}],
            }
        ],
    }


def test_a_pod_monitor_asks_the_port_that_speaks_tls() -> None:
    monitor = rendered(4, "embedded-tls").one("PodMonitor")
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    assert monitor["spec"] == {
        "namespaceSelector": {"matchNames": [NAMESPACE]},
        "selector": {"matchLabels": SERVER},
        "podMetricsEndpoints": [
            {
                "port": "s3",
                "path": "/metrics",
                "scheme": "https",
                "interval": "30s",
                "tlsConfig": {"insecureSkipVerify": True},
            }
        ],
    }


def test_a_service_monitor_has_the_token() -> None:
    assert rendered(4, "monitored").one("ServiceMonitor")["spec"] == {
        "namespaceSelector": {"matchNames": [NAMESPACE]},
        "selector": {"matchLabels": SERVER | {"bleepstore/service": "headless"}},
        "endpoints": [
            {
                "port": "metrics",
                "path": "/metrics",
                "scheme": "http",
                "interval": "15s",
                "scrapeTimeout": "10s",
                "authorization": {"type": "Bearer", "credentials": {"name": "scraper", "key": "token"}},
                "metricRelabelings": [{"sourceLabels": ["bucket"], "regex": "tmp-.*", "action": "drop"}],
            }
        ],
    }


def test_without_a_wildcard_only_the_domain_itself_leads_here() -> None:
    chart = rendered(4, "embedded-exposed", "--set=ingress.wildcard=false")
    assert [each["host"] for each in chart.one("Ingress")["spec"]["rules"]] == [
        "s3.example.com",
        "console.example.com",
    ]
