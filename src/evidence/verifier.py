#!/usr/bin/env python3
"""Verifies this bundle with nothing but Python: python3 verify.py [FOLDER] [PUBLIC KEY IN HEX ...]

Without a key, those in public-keys.txt are taken, which proves only that the bundle is whole: whoever makes a bundle could make a key.
Compare with a key that you got another way. README.txt says what is checked and what the hashes are."""
import hashlib, json, pathlib, struct, sys

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P


def add(p, q):
    a, b = (p[1] - p[0]) * (q[1] - q[0]) % P, (p[1] + p[0]) * (q[1] + q[0]) % P
    c, d = 2 * p[3] * q[3] * D % P, 2 * p[2] * q[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(n, p):
    q = (0, 1, 1, 0)
    while n:
        q, p, n = (add(q, p) if n & 1 else q), add(p, p), n >> 1
    return q


def point(data):
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (1 << 255) - 1
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * pow(2, (P - 1) // 4, P) % P
    if y >= P or (x * x - square) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = point(bytes.fromhex("58" + "66" * 31))


def ed25519(key, message, signature):  # RFC 8032, section 5.1.7
    a, r, s = point(key), point(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    p, q = times(s, BASE), add(r, times(k, a))
    return (p[0] * q[2] - q[0] * p[2]) % P == 0 and (p[1] * q[2] - q[1] * p[2]) % P == 0


H = lambda *parts: hashlib.sha256(b"".join(parts)).digest()


def root(leaf, index, size, path):  # RFC 9162, section 2.1.3.2
    last, hash = size - 1, leaf
    for other in path:
        if last == 0:
            return None
        if index & 1 or index == last:
            hash = H(b"\1", other, hash)
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            hash = H(b"\1", hash, other)
        index, last = index >> 1, last >> 1
    return hash if last == 0 else None


def fail(*why):
    sys.exit("broken: " + " ".join(map(str, why)))


folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else __file__ and pathlib.Path(__file__).parent)
keys = set(sys.argv[2:]) or set((folder / "public-keys.txt").read_text().split())
unhex = bytes.fromhex
checkpoints = {}
for line in (folder / "checkpoints.jsonl").read_text().splitlines():
    it = json.loads(line)
    said = (b"clapet journal checkpoint 1\n" + unhex(it["journal"]) + struct.pack("<QQQ", it["first"], it["last"], it["batches"])
            + unhex(it["previous"]) + unhex(it["head"]) + unhex(it["tree"]) + struct.pack("<q", it["at"]))
    if it["key"] not in keys:
        fail("checkpoint", it["last"], "is signed by a key that is not trusted:", it["key"])
    if not ed25519(unhex(it["key"]), said, unhex(it["signature"])):
        fail("checkpoint", it["last"], "is not signed by the key it names")
    checkpoints[it["last"]] = it
count = erased = before = 0
with open(folder / "records.jsonl") as lines:
    for line in lines:
        it = json.loads(line)["proof"]
        here = it["sequence"]
        under = checkpoints.get(it["checkpoint"])
        if here <= before or under is None:
            fail("record", here, "is out of order, or its checkpoint is missing")
        if it["opening"]:
            if H(b"\2", unhex(it["opening"]["salt"]), unhex(it["opening"]["body"])) != unhex(it["commitment"]):
                fail("record", here, "has not the body that was committed to")
        else:
            erased += 1
        leaf = H(b"\0", struct.pack("<QqIB", here, it["at"], it["siren"], it["kind"]), unhex(it["commitment"]))
        top = root(leaf, here - it["batch_first"], it["batch_count"], list(map(unhex, it["record_path"])))
        if top is None:
            fail("record", here, "is not in its batch")
        link = H(b"\3", unhex(it["previous"]), top, struct.pack("<QI", it["batch_first"], it["batch_count"]))
        tree = root(H(b"\5", link), it["batch_index"], under["batches"], list(map(unhex, it["batch_path"])))
        if tree != unhex(under["tree"]):
            fail("record", here, "is not in the chain at this place")
        before, count = here, count + 1
manifest = json.loads((folder / "manifest.json").read_text())
if count != manifest["records"]:
    fail(count, "records where the manifest says", manifest["records"])
print(f"whole: {count} records ({erased} erased) under {len(checkpoints)} checkpoints signed by {', '.join(sorted(keys))}")
