#!/usr/bin/python3
"""What `cmake --install` puts where, what the shared library exports and needs, and programs in C that use the
installed copy: one all of the C interface, one OpenSSL and libcurl beside it."""
import errno
import http.server
import pathlib
import re
import ssl
import sys
import threading

from harness import ROOT, Installed, Server, do, fail_io_uring, require, run

COMPONENTS = {  # files that must be there
    "client": {"bin/perch", "share/bash-completion/completions/perch", "share/man/man1/perch.1.gz"},
    "server": {"bin/perchd", "bin/perchctl", "etc/perch/perchd.toml", "lib/systemd/system/perch.service",
               "lib/systemd/system/perch.socket", "share/man/man8/perchd.8.gz", "share/man/man8/perchctl.8.gz",
               "share/man/man5/perchd.toml.5.gz", "share/perch/perch.rules.yml", "share/perch/perch.json",
               "share/doc/perch-server/operating.md"},
    "bench": {"bin/perch-bench", "bin/perch-relay", "share/man/man1/perch-bench.1.gz"},
    "library": set(),
    "dev": set(),
}
HEADERS = {"api.h", "check.h", "client.h", "events.h", "identity.h", "item.h", "message.h", "perch.h", "result.h", "row.h", "types.h"}
MAY_NEED = r"lib(sqlite3|stdc\+\+|gcc_s|m|c)\.so\.\d+|ld-linux.*"
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Werror"]


def check_components(folder):
    found = {name: Installed(folder / name, name).files() for name in COMPONENTS}
    for name, files in COMPONENTS.items():
        require(files <= found[name], f"component {name} lacks {files - found[name]}")
        for other in COMPONENTS:
            require(other == name or not found[name] & found[other],
                    f"components {name} and {other} both have {found[name] & found[other]}")
    require({path for path in found["dev"] if path.startswith("include/")} == {f"include/perch/{name}" for name in HEADERS},
            f"the public headers are others: {sorted(found['dev'])}")
    names = {name: {pathlib.Path(path).name for path in found[name]} for name in found}
    require({"libperch.so.0.1", "libperch.so.0.1.0"} <= names["library"], f"no library: {names['library']}")
    require({"libperch.so", "libperch.a", "perch.pc", "PerchConfig.cmake", "PerchConfigVersion.cmake"} <= names["dev"],
            f"{names['dev']}")
    # BoringSSL is where the loader does not look by itself.
    do(folder / "server/bin/perchd", "--help")
    do(folder / "server/bin/perchctl", "--help")
    do(folder / "bench/bin/perch-bench", "--help")
    do(folder / "client/bin/perch", "--help")


def check_headers(installed):
    for path in installed.prefix.rglob("*.h"):
        for name in re.findall(r'#include "(.*?)"', path.read_text()):
            require((installed.prefix / "include" / name).exists(), f"{path.name} includes {name}")


def check_library(installed):
    functions = set(re.findall(r"PERCH_API [^;]*?\b(perch_\w+)\(", (installed.prefix / "include/perch/perch.h").read_text()))
    exported = {line.split(maxsplit=2)[2] for line in
                do("nm", "--dynamic", "--defined-only", "--demangle", installed.library()).splitlines()}
    in_c = {name for name in exported if name.startswith("perch_")}
    require(in_c == functions and len(in_c) > 20, f"not exported: {functions - in_c}; not in perch.h: {in_c - functions}")
    public = r"perch::(check_failed|name_of|client::(name_of|encode_item|decode_item)|client::Client::~?\w+(\[abi:cxx11\])?)\("
    other = {name for name in exported - in_c if not re.match(public, name)}
    require(not other, f"exported, and not public: {other}")
    require(any("client::Client::open(" in name for name in exported), f"the C++ interface is not exported: {exported}")
    dynamic = do("readelf", "--dynamic", "--wide", installed.library())
    require("[libperch.so.0.1]" in dynamic, f"no soname: {dynamic}")
    for needed in re.findall(r"\(NEEDED\).*\[(.*)\]", dynamic):
        require(re.fullmatch(MAY_NEED, needed), f"who embeds Perch gets {needed}")


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "8")
        self.end_headers()
        self.wfile.write(b"over TLS")

    def log_message(self, *_):
        pass


def tls_server(folder):
    """An HTTPS server on a port of its own, and the file of its certificate."""
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    do("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
       "-out", certificate, "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hello)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, certificate


def use(folder):
    folder = pathlib.Path(folder)
    check_components(folder / "components")
    installed = Installed(folder / "installed", "library", "dev")
    check_headers(installed)
    check_library(installed)
    c_api, three_libraries = folder / "c_api", folder / "three_libraries"
    do("cc", "-std=c11", *STRICT, ROOT / "tests/e2e/c_api.c", "-o", c_api, "-pthread", *installed.flags())
    do("cc", "-std=c11", *STRICT, ROOT / "tests/e2e/three_libraries.c", "-o", three_libraries,
       *installed.flags("libcurl", "openssl"))
    server = Server(folder / "server")
    server.start()
    web, certificate = tls_server(folder)
    try:
        # The client waits in poll(2): it runs where a container's profile refuses io_uring.
        said = do(c_api, folder, server.address, server.token("alice", "c"), server.token("bob", "c"), timeout=120,
                  preexec_fn=fail_io_uring(errno.EPERM))
        said += do(three_libraries, folder / "note", server.address, server.token("carol", "c"),
                   f"https://127.0.0.1:{web.server_address[1]}/", certificate, timeout=120)
    finally:
        web.shutdown()
        server.kill()
    return said.strip()


if __name__ == "__main__":
    sys.exit(run(use))
