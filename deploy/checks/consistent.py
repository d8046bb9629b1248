"""Holds deploy/ against the program itself: consistent.py PROGRAM

- Every setting in the compose files, the manifests and the unit's file is one that the program knows and takes.
- Probes and health checks ask for what a running server answers.
- Rules and dashboard name only figures that /metrics has.
- Behind the proxy of the compose file: figures stay inside, plain HTTP is sent to HTTPS, and nobody can say that they
  come from elsewhere.
"""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import yaml

DEPLOY = pathlib.Path(__file__).resolve().parent.parent
PROGRAM = str(pathlib.Path(sys.argv[1]).resolve())
CLEAN = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
FILLED_IN = {
    "DOMAIN": "api.example.com",
    "POSTGRES_PASSWORD": "abc",
    "REDIS_PASSWORD": "def",
}
faults = []


def check(right, fault):
    if not right:
        faults.append(fault)


def run(*arguments, env=None):
    return subprocess.run([PROGRAM, *arguments], env={**CLEAN, **(env or {})}, capture_output=True, text=True, timeout=60)


def filled_in(text):
    """What compose makes of `${NAME}`, `${NAME:-else}` and `${NAME:?why}`."""
    return re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", lambda m: FILLED_IN.get(m[1]) or (m[3] if m[2] == "-" else ""), text)


def sound(place, env=None, *flags):
    """The program takes these settings; all bad ones are named at once."""
    done = run("config", "--check", *flags, env=env)
    check(done.returncode == 0, f"{place}: {done.stderr.strip()}")


def settings():
    for path in ("compose/single.yaml", "compose/full.yaml"):
        services = yaml.safe_load((DEPLOY / path).read_text())["services"]
        for name, service in services.items():
            if "sanasend" in service["image"].lower():
                env = {key: filled_in(value) for key, value in service.get("environment", {}).items() if value is not None}
                env.pop("SANASEND_BACKUP_PASSPHRASE", None)
                sound(f"{path}, {name}", env)
    env = yaml.safe_load((DEPLOY / "kubernetes/configmap.yaml").read_text())["data"]
    for secret in yaml.safe_load_all((DEPLOY / "kubernetes/secrets.example.yaml").read_text()):
        if secret["metadata"]["name"] == "sanasend-settings":
            env.update(secret["stringData"])
    env["SANASEND_MEDIA__S3_ACCESS_KEY_ID"], env["SANASEND_MEDIA__S3_SECRET_ACCESS_KEY"] = "id", "key"
    env["SANASEND_METRICS__TOKEN"] = "a-token-of-some-length"
    sound("kubernetes", env)
    sound("systemd/sanasend.toml", None, "--config", str(DEPLOY / "systemd/sanasend.toml"))
    image = dict(re.findall(r"(SANASEND_\w+)=(\S+)", (DEPLOY / "Dockerfile").read_text()))
    check(len(image) >= 3, f"Dockerfile: its settings were read: {image}")
    sound("Dockerfile", image)


def keys():
    """The secret of the manifests has the files that the program makes, and copies of them are taken as they are."""
    with tempfile.TemporaryDirectory() as folder:
        made, node = pathlib.Path(folder) / "made", pathlib.Path(folder) / "node"
        run("migrate", "--data-dir", str(made))
        names = sorted(path.name for path in (made / "secrets").iterdir())
        for secret in yaml.safe_load_all((DEPLOY / "kubernetes/secrets.example.yaml").read_text()):
            if secret["metadata"]["name"] == "sanasend-keys":
                check(sorted(secret["stringData"]) == names, f"secrets.example.yaml names other keys than {names}")
        deployment = yaml.safe_load((DEPLOY / "kubernetes/deployment.yaml").read_text())
        script = deployment["spec"]["template"]["spec"]["initContainers"][0]["args"][0]
        for path in (made / "secrets").iterdir():
            path.chmod(0o440)  # as Kubernetes mounts them for a group
        script = script.replace("/keys/", f"{made}/secrets/").replace("/var/lib/sanasend/data", str(node))
        subprocess.run(["sh", "-ec", script], check=True, env=CLEAN)
        done = run("migrate", "--data-dir", str(node))
        check(done.returncode == 0, f"deployment.yaml: with its copies of the keys: {done.stderr}")


class Server:
    """The program on free ports, mostly with the simulated network (not in production, where it is refused)."""

    def __init__(self, env=None, sandbox=True):
        self.folder = tempfile.TemporaryDirectory()
        ports = ["--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0", "--sandbox-tls-listen", "127.0.0.1:0"]
        command = [PROGRAM, "--data-dir", self.folder.name + "/data", "serve", "--json", *ports, *(["--sandbox"] if sandbox else [])]
        self.process = subprocess.Popen(command, env={**CLEAN, **(env or {})}, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.api = json.loads(self.process.stdout.readline())["api"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)
        self.folder.cleanup()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


def get(url, headers=None):
    """Status, headers and text of an answer, whatever it is."""
    opener = urllib.request.build_opener(NoRedirect, urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers or {}), timeout=10) as answer:
            return answer.status, dict(answer.headers), answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, dict(error.headers), error.read().decode()


def probes(server):
    deployment = yaml.safe_load((DEPLOY / "kubernetes/deployment.yaml").read_text())
    pod = deployment["spec"]["template"]["spec"]
    container = pod["containers"][0]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        path = container[probe]["httpGet"]["path"]
        check(get(server.api + path)[0] == 200, f"deployment.yaml: {probe} asks for {path}, which is not answered")
    # Variables that Kubernetes makes of a service's name would be settings that do not exist.
    check(pod.get("enableServiceLinks") is False, "deployment.yaml: enableServiceLinks must be false")
    check(run("health", "--url", server.api).returncode == 0, "the health check of the image fails on a server that is well")


def figures(server):
    source = "".join(path.read_text() for path in (DEPLOY.parent / "crates/server/src/metrics").glob("*.rs"))
    known = set(re.findall(r'"((?:sanasend|process)_\w+)"', source))
    page = set(re.findall(r"^# TYPE (\S+)", get(server.api + "/metrics")[2], re.M))
    check(len(page) > 15 and page <= known, f"/metrics has figures that the source does not name: {page - known}")
    for path in ("monitoring/sanasend.rules.yml", "monitoring/grafana-dashboard.json", "monitoring/sanasend.rules.test.yml"):
        named = set(re.findall(r"(?<![\w:$./])((?:sanasend|process)_\w+)", (DEPLOY / path).read_text()))
        named = {name if name in known else re.sub(r"_(bucket|sum|count)$", "", name) for name in named}
        check(len(named) > 8, f"{path}: its figures were read: {named}")
        check(named <= known, f"{path} names figures that do not exist: {sorted(named - known)}")
    recorded = set(re.findall(r"record: (\S+)", (DEPLOY / "monitoring/sanasend.rules.yml").read_text()))
    used = set(re.findall(r"sanasend:\w+(?::\w+)?", (DEPLOY / "monitoring/sanasend.rules.yml").read_text()))
    check(used <= recorded, f"rules use what is not recorded: {used - recorded}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def proxy():
    env = {"SANASEND_PROFILE": "production", "SANASEND_TRUSTED_PROXIES": "127.0.0.1"}
    with Server(env, sandbox=False) as server, tempfile.TemporaryDirectory() as folder:
        port = free_port()
        text = (DEPLOY / "compose/Caddyfile").read_text()
        check("sanasend:8080" in text, "Caddyfile: it leads to the service of the compose file")
        file = pathlib.Path(folder) / "Caddyfile"
        file.write_text("{\n\tadmin off\n}\n" + text.replace("sanasend:8080", server.api.removeprefix("http://")))
        env = {**CLEAN, "HOME": folder, "DOMAIN": f"http://127.0.0.1:{port}"}
        command = ["caddy", "run", "--adapter", "caddyfile", "--config", str(file)]
        caddy = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            base, end = f"http://127.0.0.1:{port}", time.monotonic() + 30
            while time.monotonic() < end:
                try:
                    if get(base + "/health/ready/")[0] == 200:
                        break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(0.1)
            check(get(base + "/health/ready/")[0] == 200, "Caddyfile: health is not answered through it")
            check(get(base + "/metrics")[0] == 404, "Caddyfile: /metrics can be read from outside")
            status, headers, _ = get(base + "/api/v1/users/")
            check(status in (301, 308) and headers.get("Location", "").startswith("https://"), f"plain HTTP is not sent to HTTPS: {status}")
            status, _, _ = get(base + "/api/v1/users/", {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"})
            check(status in (301, 308), f"Caddyfile: a caller can claim to have come by HTTPS: {status}")
        finally:
            caddy.terminate()
            caddy.wait(30)


settings()
keys()
with Server() as running:
    probes(running)
    figures(running)
proxy()
for fault in faults:
    print(fault)
sys.exit(1 if faults else 0)
