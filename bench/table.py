"""Prints what bench/run measured as one Markdown table, with the machine's own limits beside it."""
import json
import pathlib
import sys

figures = {path.stem: json.loads(path.read_text()) for path in pathlib.Path(sys.argv[1]).glob("*.json")}
if len(sys.argv) > 2:
    pathlib.Path(sys.argv[2]).write_text(json.dumps(figures, indent=2) + "\n")


def get(*path):
    value = figures
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value


def rate(found):
    return f"{found['per_s']:,.0f}/s (p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.1f} ms)" if found else "-"


def mib(kib):
    return f"{kib / 1024:,.0f} MiB" if kib is not None else "-"


def number(value, unit):
    return f"{value:,.0f} {unit}" if value is not None else "-"


one, many = get("sanasend", "accept", "c1"), get("sanasend", "accept", "c64")
rows = [
    ("durable accepts, 1 client", rate(one), rate(get("django-one")), "keeps nothing", number(get("sanasend", "raw", "commit_per_s"), "SQLite commits/s")),
    ("durable accepts, many clients", rate(many), rate(get("django-many")), "keeps nothing", number(get("sanasend", "raw", "rows_per_s_batch64"), "SQLite rows/s, 64 a commit")),
    ("lists of 20", rate(get("sanasend", "list")), "-", "-", number(get("sanasend", "raw", "lists_per_s"), "bare queries/s")),
    ("texts sent, one connection each", number(get("sanasend", "sends_per_s", "one_account"), "/s to the acknowledgement"), "-", rate(get("baileys-many")) + " to the socket", ""),
    ("memory before any account", mib(get("sanasend", "memory", "empty_kib")), mib(get("django-memory", "resident_kib")), mib(get("baileys-ready", "base_kib")), ""),
    ("memory of an account", number(get("sanasend", "memory", "per_account_kib"), "KiB"), "a browser", number(get("baileys-ready", "per_account_kib"), "KiB"), ""),
    ("memory after the load", "", "", mib(get("baileys-memory", "resident_kib")), ""),
    ("start to first answer", number(get("sanasend", "latency", "start_ms"), "ms"), "", "", ""),
]
print("| figure | SanaSend | Django REST Framework | Baileys + Express | the machine's own limit |")
print("|---|---|---|---|---|")
for row in rows:
    print("| " + " | ".join(row) + " |")
if many and get("django-many"):
    print(f"\nSanaSend accepts {many['per_s'] / get('django-many')['per_s']:.0f} times as many as Django.")
