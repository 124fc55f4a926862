#!/usr/bin/python3
"""Logins with an Ed25519 key, over IPv6 where the machine has it, beside those with a secret."""
import base64
import json
import re
import socket
import subprocess
import sys
import time

from harness import ROOT, Device, Server, require, run, wait_until

KID = "ed"


def openssl(*arguments):
    return subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True).stdout


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def eddsa_token(folder, key, sub):
    """As an operator's own backend would mint it (RFC 8037): the server has the public half only."""
    payload = {"sub": sub, "dev": "phone", "exp": int(time.time()) + 3600}
    text = ".".join(base64url(json.dumps(part).encode()) for part in ({"alg": "EdDSA", "kid": KID}, payload))
    to_sign = folder / "to_sign"
    to_sign.write_text(text)
    signature = openssl("pkeyutl", "-sign", "-inkey", key, "-rawin", "-in", to_sign)
    return f"{text}.{base64url(signature)}"


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as listener:
            listener.bind(("::1", 0))
        return True
    except OSError:
        return False


def logins(folder):
    server = Server(folder + "/server")
    key, public, other = (server.folder / name for name in ("key.pem", "public.pem", "other.pem"))
    for private in (key, other):
        openssl("genpkey", "-algorithm", "ed25519", "-out", private)
    openssl("pkey", "-in", key, "-pubout", "-out", public)
    server.address = "[::1]:0" if has_ipv6() else "127.0.0.1:0"
    server.start("--public-key-file", public, "--public-key-kid", KID)
    alice, bob = Device(server, "alice", "phone", folder), Device(server, "bob", "phone", folder)

    # The key's own algorithm and no other; the classic confusion is to sign with the public key as a secret.
    confused = subprocess.run([ROOT / "tools/mint-token", "--secret-file", public, "--sub", "alice", "--dev", "phone",
                               "--kid", KID], check=True, capture_output=True, text=True).stdout
    for name, token in (("another key", eddsa_token(server.folder, other, "alice")),
                        ("the public key as a secret", confused)):
        alice.token_file.write_text(token)
        done = alice.send("bob", "let me in", wait=3)
        require(done.returncode == 5 and "token" in done.stdout, f"{name}: {done.returncode} {done.stdout}{done.stderr}")
        require(alice.identity()[0] == 0, f"{name} logged in")
    log = (server.folder / "perchd.log").read_text()
    require(re.search(r'TokenInvalid.* peer="?(127\.0\.0\.1|\[::1\]):\d+', log), f"the log does not say who: {log}")
    alice.token_file.write_text(eddsa_token(server.folder, key, "alice"))
    bob.listen()
    try:
        wait_until(lambda: bob.identity()[1], 10, "bob does not log in")
        done = alice.send("bob", "hello")
        require(done.returncode == 0, f"{done.returncode} {done.stderr}")
        wait_until(lambda: any(bytes(row[-1]) == b"hello" for row in bob.inbox()), 10, "nothing arrived")
    finally:
        bob.leave()
    require(server.drain() == 0, "perchd did not end cleanly")
    where = server.address if has_ipv6() else f"{server.address} (no IPv6 here)"
    return f"an Ed25519 token logs in at {where}; one of another key or algorithm does not"


if __name__ == "__main__":
    sys.exit(run(logins))
