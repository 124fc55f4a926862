"""A strict reader of the Prometheus text format 0.0.4 that also holds the names to the conventions, as promtool's
`check metrics` does."""
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
SAMPLE = re.compile(rf"({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? ([0-9.e+-]+|\+Inf|NaN)")
NOT_BASE_UNITS = ("milliseconds", "microseconds", "nanoseconds", "minutes", "hours", "days", "kilobytes", "megabytes",
                  "kibibytes", "mebibytes", "percent", "ms", "us")


class Wrong(Exception):
    pass


def require(condition, text):
    if not condition:
        raise Wrong(text)


def _check_name(family: str, kind: str) -> None:
    require(re.fullmatch(r"perch(_[a-z][a-z0-9]*)+", family), f"{family}: not in snake case, or not ours")
    require((kind == "counter") == family.endswith("_total"), f"{family}: a {kind}; counters, and they alone, end in _total")
    require(not family.endswith(("_count", "_sum", "_bucket")), f"{family}: ends as the parts of a histogram do")
    require(kind not in family.split("_"), f"{family}: has its type in its name")
    require(not set(NOT_BASE_UNITS) & set(family.split("_")), f"{family}: not in a base unit")


def _check_histogram(family: str, samples: dict[str, float]) -> None:
    buckets = [(re.search(r'le="([^"]+)"', series)[1], value) for series, value in samples.items()
               if series.startswith(f"{family}_bucket")]
    bounds, counts = [float(bound) for bound, _ in buckets], [value for _, value in buckets]
    require(bounds == sorted(set(bounds)) and bounds[-1] == float("inf"), f"{family}: bounds {bounds}")
    require(counts == sorted(counts), f"{family}: a bucket holds less than the one before")
    require(samples.get(f"{family}_count") == counts[-1] and f"{family}_sum" in samples, f"{family}: sum or count")


def read(text: str) -> dict[str, float]:
    """Series and their values. Raises Wrong."""
    require(text.endswith("\n"), "the last line has no end")
    series: dict[str, float] = {}
    seen: set[str] = set()
    family = kind = ""
    own: dict[str, float] = {}
    lines = iter(text[:-1].split("\n"))

    def end_family():
        require(not family or own, f"{family}: no sample")
        if kind == "histogram":
            _check_histogram(family, own)

    for line in lines:
        if line.startswith("#"):
            end_family()
            match = re.fullmatch(rf"# HELP ({NAME}) (\S.*)", line)
            require(match, f"no HELP: {line}")
            family, own = match[1], {}
            require(family not in seen, f"{family}: its lines do not stand together")
            seen.add(family)
            match = re.fullmatch(rf"# TYPE {family} (counter|gauge|histogram)", next(lines, ""))
            require(match, f"{family}: no TYPE behind its HELP")
            kind = match[1]
            _check_name(family, kind)
            continue
        match = SAMPLE.fullmatch(line)
        require(match, f"no sample: {line}")
        name, labels, value = match.groups()
        parts = [family + part for part in ("_bucket", "_sum", "_count")] if kind == "histogram" else [family]
        require(name in parts, f"{line}: below {family}")
        names = re.findall(r'([a-zA-Z_][a-zA-Z0-9_]*)="', labels or "")
        require(len(names) == len(set(names)), f"{line}: a label twice")
        key = line.rsplit(" ", 1)[0]
        require(key not in series, f"{key}: twice")
        series[key] = own[key] = float(value)
        require(kind == "gauge" or series[key] >= 0, f"{line}: below zero")
    end_family()
    return series
