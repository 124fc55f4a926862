#!/usr/bin/python3
"""-DBORINGSSL_ROOT=DIR takes BoringSSL from DIR, in every layout that an upstream build or its installation has, and
from nowhere else. Configures a project without a language, which takes a moment; the libraries are empty files."""
import pathlib
import subprocess
import sys
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROJECT = f"""cmake_minimum_required(VERSION 3.25)
project(boringssl_root NONE)
list(APPEND CMAKE_MODULE_PATH {ROOT}/cmake)
find_package(BoringSSL REQUIRED)
get_target_property(include BoringSSL::Crypto INTERFACE_INCLUDE_DIRECTORIES)
get_target_property(crypto BoringSSL::Crypto IMPORTED_LOCATION)
get_target_property(ssl BoringSSL::SSL IMPORTED_LOCATION)
message(STATUS "found ${{include}} ${{crypto}} ${{ssl}}")
"""
LAYOUTS = {"installed": ("lib", "lib"), "make": ("build/crypto", "build/ssl"), "ninja": ("build", "build"),
           "flat": (".", ".")}


class BoringSslRoot(unittest.TestCase):
    def setUp(self):
        holder = tempfile.TemporaryDirectory(prefix="perch-boringssl-")
        self.addCleanup(holder.cleanup)
        self.folder = pathlib.Path(holder.name)
        (self.folder / "CMakeLists.txt").write_text(PROJECT)

    def file(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def root(self, name, crypto, ssl, header="is_boringssl.h", ending="a"):
        root = self.folder / name
        self.file(root / "include/openssl" / header)
        self.file(root / crypto / f"libcrypto.{ending}")
        self.file(root / ssl / f"libssl.{ending}")
        return root

    def configure(self, root):
        elsewhere = self.root("elsewhere", "lib", "lib")  # where CMake looks unless it is told not to
        done = subprocess.run(["cmake", "-G", "Ninja", "-S", self.folder, "-B", self.folder / "build", f"-DBORINGSSL_ROOT={root}",
                               f"-DCMAKE_PREFIX_PATH={elsewhere}"],
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout

    def found(self, root):
        status, told = self.configure(root)
        self.assertEqual(status, 0, told)
        line = next(line for line in told.splitlines() if line.startswith("-- found "))
        return [str(pathlib.Path(path)) for path in line.split()[2:]]

    def test_every_layout_also_in_place_of_another(self):
        # One build folder: the next root takes the place of the one before.
        for name, (crypto, ssl) in LAYOUTS.items():
            for ending in ("a", "so"):
                with self.subTest(name, ending=ending):
                    root = self.root(f"{name}-{ending}", crypto, ssl, ending=ending)
                    self.assertEqual(self.found(root), [str(root / "include"), str(root / crypto / f"libcrypto.{ending}"),
                                                        str(root / ssl / f"libssl.{ending}")])

    def test_what_is_missing_comes_from_nowhere_else(self):
        for name, change in {"library": lambda root: (root / "lib/libssl.a").unlink(),
                             "headers": lambda root: (root / "include/openssl/is_boringssl.h").unlink()}.items():
            with self.subTest(name):
                root = self.root(name, "lib", "lib")
                change(root)
                self.refused(root)

    def test_openssl_is_not_boringssl(self):
        self.refused(self.root("openssl", "lib", "lib", header="ssl.h"))

    def refused(self, root):
        status, told = self.configure(root)
        self.assertNotEqual(status, 0, told)
        self.assertIn("-DBORINGSSL_ROOT=DIR", told)


if __name__ == "__main__":
    sys.exit(unittest.main())
