# SPDX-License-Identifier: Apache-2.0
"""A Debian archive in small: packages made here, served by HTTP, with tools that are scripts."""

import hashlib
import http.server
import io
import lzma
import tarfile
import threading

from fpga import toolchain
from fpga.debian import Package
from fpga.lockfile import Lock, encode

TOOLS = ("nextpnr-himbaechel-xilinx", "xc7frames2bit", "bitread")
LIBRARIES = "usr/lib/x86_64-linux-gnu"
LOADER = f"{LIBRARIES}/ld-linux-x86-64.so.2"
DATABASE = "usr/share/prjxray/database/artix7"
KEEP = (
    "usr/bin/*", f"{LIBRARIES}/*.so*", "usr/lib/python3.*/os.py",
    "usr/share/chip.bin", f"{DATABASE}/mapping/*.yaml",
)  # fmt: skip
LIST = '#!/bin/sh\nprintf "\\tlibused.so.1 => %s/libused.so.1 (0x7f)\\n" "${0%/*}"\n'
"""What the loader answers: every tool loads one library, the one beside the loader."""


def script(text):
    return f"#!/bin/sh\n{text}\n"


def file(name, content="", mode=0o644):
    """A file of a package, as a tar header and its content."""
    header = tarfile.TarInfo(f"./{name}")
    header.mode, header.size = mode, len(content.encode())
    return header, content.encode()


def other(name, kind, target=""):
    """Something else: a link, a device, a folder; the name is taken as it is."""
    header = tarfile.TarInfo(name)
    header.type, header.linkname = kind, target
    return header, b""


def ar(members):
    blocks = [b"!<arch>\n"]
    for name, content in members.items():
        blocks += [f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode()]
        blocks += [content, b"\n" * (len(content) % 2)]
    return b"".join(blocks)


def deb(*files):
    """A package of these files."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as archive:
        for header, content in files:
            archive.addfile(header, io.BytesIO(content))
    xz = lzma.compress(data.getvalue())
    return ar({"debian-binary": b"2.0\n", "control.tar.xz": b"odd", "data.tar.xz": xz})


CONTENTS = {
    "base": [
        file(LOADER, LIST, 0o755),
        file(f"{LIBRARIES}/libused.so.1.0"),
        other(f"./{LIBRARIES}/libused.so.1", tarfile.SYMTYPE, "libused.so.1.0"),
        file(f"{LIBRARIES}/libidle.so.1"),
        # As in libpython: a link that leads away is no harm where it is not kept.
        other("./usr/lib/python3.14/site.py", tarfile.SYMTYPE, "/etc/site.py"),
        file("usr/lib/python3.14/os.py"),
        file("usr/share/doc/base/copyright"),
    ],
    "idle": [file(f"{LIBRARIES}/libidle.so.2"), file("usr/share/doc/idle/copyright")],
    "nextpnr": [
        file("usr/bin/nextpnr-himbaechel-xilinx", script("echo '(Version 1.2-3)'"), 0o755),
        file("usr/share/chip.bin", "chips"),
    ],
    "prjxray": [
        file("usr/bin/xc7frames2bit", script("echo xc7frames2bit"), 0o755),
        file("usr/bin/bitread", script("echo bitread"), 0o755),
        file(f"{DATABASE}/mapping/parts.yaml", "{}"),
        file("usr/share/prjxray/database/zynq7/mapping/parts.yaml", "{}"),
    ],
}


class Archive:
    """Packages and what is served under their paths, which a test may spoil."""

    def __init__(self):
        self.served = {}
        self.requests = []
        self.packages = {}
        for name, contents in CONTENTS.items():
            self.add(name, deb(*contents))

    def add(self, name, content, version="1.0-1"):
        # A file name has no epoch.
        file_name = f"{name}_{version.split(':')[-1]}_amd64.deb"
        path = f"pool/main/{name[0]}/{name}/{file_name}"
        digest = hashlib.sha256(content).hexdigest()
        self.packages[name] = Package(
            name=name, version=version, architecture="amd64",
            path=path, size=len(content), sha256=digest,
        )  # fmt: skip
        self.served[path] = content

    def lock(self, without=("idle",)):
        packages = [each for name, each in sorted(self.packages.items()) if name not in without]
        return Lock(
            suite="forky", roots=("nextpnr", "prjxray"), keep=KEEP,
            unpacked=100_000, packages=tuple(packages),
        )  # fmt: skip

    def release(self, **fields):
        """Serve the suite as it is now: its index, with further fields by package, and release."""
        stanzas = [
            f"Package: {each.name}\nVersion: {each.version}\nArchitecture: amd64\n"
            f"Filename: {each.path}\nSize: {each.size}\nSHA256: {each.sha256}\n"
            + fields.get(each.name, "")
            for each in self.packages.values()
        ]
        index = lzma.compress("\n".join(stanzas).encode())
        digest = hashlib.sha256(index).hexdigest()
        folder = "main/binary-amd64"
        self.served[f"dists/forky/{folder}/by-hash/SHA256/{digest}"] = index
        release = f"Origin: Debian\nSHA256:\n {digest} {len(index)} {folder}/Packages.xz\n"
        self.served["dists/forky/InRelease"] = release.encode()

    def serve(self):
        """Start to serve; return the server, which has an `address`."""
        archive = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                path = self.path.partition("/debian/")[2]
                archive.requests.append(path)
                content = archive.served.get(path, 404)
                if isinstance(content, int):
                    self.send_error(content)
                    return
                self.send_response(200)
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.address = f"http://127.0.0.1:{server.server_port}/debian"
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server


class Bench:
    """An archive that is served, a lock of it, and a folder for the toolchain.

    Of this machine nothing is on the path. In ``bin`` lies a patchelf that only notes its
    arguments; a test may add programs.
    """

    def __init__(self, monkeypatch, place):
        self.archive = Archive()
        self.folder = place / "toolchain"
        self.prefix = self.folder / "prefix"
        self.packages = self.folder / "packages"
        self.lock_file = place / "lock.json"
        self.bin = place / "bin"
        self.bin.mkdir()
        self.program("patchelf", f'echo "$@" >> "{place}/patched"')
        self.patched = place / "patched"
        self.lock()
        self.server = self.archive.serve()
        monkeypatch.setattr("sysconfig.get_path", lambda name: str(self.bin))
        monkeypatch.setenv("PATH", str(self.bin))
        monkeypatch.setenv("XRAY_DATABASE_DIR", str(place / "none"))
        monkeypatch.setenv("SHIFTBAR_DEBIAN_MIRROR", self.server.address)
        monkeypatch.setenv("no_proxy", "*")

    def program(self, name, text):
        (self.bin / name).write_text(script(text))
        (self.bin / name).chmod(0o755)

    def lock(self):
        self.lock_file.write_text(encode(self.archive.lock()))

    def install(self, **options):
        return toolchain.install(self.folder, self.lock_file, **options)

    def find(self):
        return toolchain.find(self.folder, self.lock_file)

    def close(self):
        self.server.shutdown()
        self.server.server_close()
