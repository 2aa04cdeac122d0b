"""What the objects say of each other is so: names lead to something that is there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helm.charts import NAMESPACE, VALUE_SETS, Manifest, Rendered, containers, pod_specs, rendered

pytestmark = pytest.mark.parametrize("values", VALUE_SETS)

# What a set of values says is there already: kind and name.
GIVEN = {
    "embedded-exposed": {("Secret", "bobs")},
    "embedded-openshift": {("Secret", "root-keys"), ("PersistentVolumeClaim", "objects")},
    "embedded-memory": {("ServiceAccount", "default")},
    "gateway-aws": {("Secret", "aws-keys")},
    "gateway-gcp": {("Secret", "gcp-account")},
    "monitored": {("Secret", "scraper")},
}


@pytest.fixture
def chart(values: str) -> Rendered:
    return rendered(4, values)


def test_selectors_find_the_servers_pods_and_no_others(chart: Rendered) -> None:
    labels = chart.workload["spec"]["template"]["metadata"]["labels"]
    assert chart.workload["spec"]["selector"]["matchLabels"].items() <= labels.items()
    others = [each["metadata"]["labels"] for each in chart.of("Pod")]
    others += [each["spec"]["template"]["metadata"]["labels"] for each in chart.of("Job")]
    for name, selector in selectors(chart):
        assert selector.items() <= labels.items(), f"{name} does not select the server"
        assert not any(selector.items() <= each.items() for each in others), f"{name} selects what is no server"


def selectors(chart: Rendered) -> Iterator[tuple[str, dict[str, str]]]:
    for each in chart.manifests:
        spec, name = each.get("spec", {}), f"{each['kind']} {each['metadata']['name']}"
        if each["kind"] == "Service":
            yield name, spec["selector"]
        elif each["kind"] in ("PodDisruptionBudget", "PodMonitor"):
            yield name, spec["selector"]["matchLabels"]
        elif each["kind"] == "NetworkPolicy":
            yield name, spec["podSelector"]["matchLabels"]
    for each in chart.pod.get("topologySpreadConstraints", []):
        yield "topologySpreadConstraints", each["labelSelector"]["matchLabels"]


def test_what_pods_refer_to_is_there(chart: Rendered, values: str) -> None:
    there = {(each["kind"], each["metadata"]["name"]): each for each in chart.manifests}
    given = GIVEN.get(values, set())
    for pod, spec in pod_specs(chart.manifests):
        for kind, name, keys in references(spec):
            if (kind, name) in given or (kind == "Secret" and made_by_cert_manager(chart, name)):
                continue
            assert (kind, name) in there, f"{pod} refers to {kind} {name}"
            missing = keys - set(there[kind, name].get("data", {}))
            assert not missing, f"{kind} {name}, to which {pod} refers, has no {missing}"


def made_by_cert_manager(chart: Rendered, name: str) -> bool:
    return any(each["spec"]["secretName"] == name for each in chart.of("Certificate"))


def references(spec: Manifest) -> Iterator[tuple[str, str, set[str]]]:
    """Kind, name and keys of everything that a pod needs to start."""
    if spec.get("serviceAccountName"):
        yield "ServiceAccount", spec["serviceAccountName"], set()
    for volume in spec["volumes"]:
        sources = [volume, *volume.get("projected", {}).get("sources", [])]
        for each in sources:
            if "secret" in each:
                secret = each["secret"]
                yield "Secret", secret.get("secretName") or secret["name"], keys_of(secret)
            if "configMap" in each:
                yield "ConfigMap", each["configMap"]["name"], keys_of(each["configMap"])
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"], set()
    for container in containers(spec):
        for variable in container.get("env", []):
            key = variable.get("valueFrom", {}).get("secretKeyRef")
            if key:
                yield "Secret", key["name"], {key["key"]}


def keys_of(source: Manifest) -> set[str]:
    return {item["key"] for item in source.get("items", [])}


def test_what_is_mounted_is_a_volume_and_no_volume_is_left_over(chart: Rendered) -> None:
    claims = {each["metadata"]["name"] for each in chart.workload["spec"].get("volumeClaimTemplates", [])}
    for pod, spec in pod_specs(chart.manifests):
        there = {each["name"] for each in spec["volumes"]} | (claims if spec is chart.pod else set())
        mounted = [mount for each in containers(spec) for mount in each.get("volumeMounts", [])]
        assert {each["name"] for each in mounted} == there, pod
        for container in containers(spec):
            paths = [each["mountPath"] for each in container.get("volumeMounts", [])]
            assert len(set(paths)) == len(paths), pod
            # A mount point inside of what is mounted read-only could not be made.
            assert not any(one.startswith(f"{other}/") for one in paths for other in paths), pod


def test_ports_have_names_that_lead_somewhere(chart: Rendered) -> None:
    ports = {each["name"] for each in chart.container["ports"]}
    for service in chart.of("Service"):
        assert {each["targetPort"] for each in service["spec"]["ports"]} <= ports
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert chart.container[probe]["httpGet"]["port"] in ports
    for policy in chart.of("NetworkPolicy"):
        allowed = {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]}
        assert allowed == ports
    for monitor in chart.of("PodMonitor"):
        assert {each["port"] for each in monitor["spec"]["podMetricsEndpoints"]} <= ports


def test_a_service_monitor_finds_one_service_and_a_port_of_it(chart: Rendered) -> None:
    for monitor in chart.of("ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"].items()
        (service,) = [each for each in chart.of("Service") if wanted <= each["metadata"]["labels"].items()]
        assert {each["port"] for each in monitor["spec"]["endpoints"]} <= {
            each["name"] for each in service["spec"]["ports"]
        }
        assert monitor["spec"]["namespaceSelector"] == {"matchNames": [NAMESPACE]}


def test_routes_lead_to_the_service(chart: Rendered) -> None:
    services = {each["metadata"]["name"]: each["spec"]["ports"] for each in chart.of("Service")}
    for ingress in chart.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            (path,) = rule["http"]["paths"]
            backend = path["backend"]["service"]
            assert backend["port"]["name"] in {each["name"] for each in services[backend["name"]]}
            assert backend["port"]["name"] == ("console" if "console" in rule["host"] else "s3")
    for route in chart.of("HTTPRoute"):
        assert is_console_route(route) == (route["metadata"]["name"] == "demo-bleepstore-console")
        (rule,) = route["spec"]["rules"]
        (backend,) = rule["backendRefs"]
        assert backend["port"] in {each["port"] for each in services[backend["name"]]}


def is_console_route(route: Manifest) -> bool:
    """Those of the sets of values say so in the name of the host."""
    hosts: list[str] = route["spec"]["hostnames"]
    return all("console" in each for each in hosts)


def test_a_certificate_covers_what_is_served_with_it(chart: Rendered) -> None:
    for ingress in chart.of("Ingress"):
        certificate = chart.one("Certificate")["spec"]
        for tls in ingress["spec"]["tls"]:
            assert tls["secretName"] == certificate["secretName"]
            assert set(tls["hosts"]) <= set(certificate["dnsNames"])
            assert set(tls["hosts"]) == {each["host"] for each in ingress["spec"]["rules"]}


def test_the_workload_and_what_scales_it_are_of_one_kind(chart: Rendered) -> None:
    for scaler in chart.of("HorizontalPodAutoscaler"):
        target = scaler["spec"]["scaleTargetRef"]
        assert (target["kind"], target["name"]) == (chart.workload["kind"], chart.workload["metadata"]["name"])
        assert "replicas" not in chart.workload["spec"], "two would decide how many pods there are"
    for budget in chart.of("PodDisruptionBudget"):
        given = {
            name: budget["spec"].get(name) for name in ("minAvailable", "maxUnavailable") if name in budget["spec"]
        }
        assert given in ({"minAvailable": 2}, {"maxUnavailable": 1})
    if chart.workload["kind"] == "StatefulSet":
        headless = chart.one("Service", chart.workload["spec"]["serviceName"])
        assert headless["spec"]["clusterIP"] == "None"
        assert chart.workload["spec"]["replicas"] == 1


def test_every_pod_is_restricted(chart: Rendered) -> None:
    """Kubernetes' Pod Security Standard "restricted", and a root file system that nobody writes to."""
    for pod, spec in pod_specs(chart.manifests):
        assert spec["securityContext"]["runAsNonRoot"] is True, pod
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, pod
        assert spec["automountServiceAccountToken"] is False, pod
        assert spec["enableServiceLinks"] is False, pod
        for container in containers(spec):
            if container["image"].startswith("busybox"):
                continue  # the set of values adds it as it is
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, pod
            assert context["readOnlyRootFilesystem"] is True, pod
            assert context["capabilities"] == {"drop": ["ALL"]}, pod


def test_there_is_time_to_end(chart: Rendered) -> None:
    """The wait before SIGTERM counts too, and the server needs what it says it needs."""
    stop = chart.container.get("lifecycle", {}).get("preStop", {}).get("sleep", {"seconds": 0})["seconds"]
    assert chart.pod["terminationGracePeriodSeconds"] > stop + chart.config["server"]["shutdown_timeout_s"]


def test_every_object_says_whose_it_is(chart: Rendered, values: str) -> None:
    for each in chart.manifests:
        if "helm.sh/chart" in each["metadata"].get("labels", {}):
            assert each["metadata"]["labels"]["app.kubernetes.io/instance"] == "demo"
            is_elsewhere = values == "monitored" and each["metadata"]["name"].endswith("-dashboard")
            assert each["metadata"]["namespace"] == ("grafana" if is_elsewhere else NAMESPACE)
        else:
            assert values == "embedded-extras", f"{each['kind']} {each['metadata']['name']} has no labels of the chart"
    names = [(each["kind"], each["metadata"]["name"]) for each in chart.manifests]
    assert len(set(names)) == len(names)


def test_no_secret_is_where_everybody_may_read(chart: Rendered) -> None:
    secrets = {"a-long-random-text", "anns-secret-text"}
    for each in chart.manifests:
        if each["kind"] != "Secret":
            assert not any(secret in str(each) for secret in secrets), each["metadata"]["name"]
