// Command release makes what is handed out of Tideline, into one directory:
//
//	tideline_VERSION_linux_ARCH.tar.gz      the program, the unit, settings, licences
//	tideline_VERSION_ARCH.deb               the same as a package of Debian
//	tideline_VERSION_image_ARCH.tar         an OCI image from scratch, as a layout that docker and podman load, too
//	tideline_VERSION_linux_ARCH.spdx.json   what the program is made of (SPDX 2.3)
//	tideline_VERSION_image_ARCH.spdx.json   what the image is made of
//	SHA256SUMS                              of all of these
//
// It is what `make release` runs. No container engine, no package tools and no network beside the module proxy are needed.
//
// # Reproducible
//
// The same commit and the same Go toolchain give the same bytes, on every machine and in every directory: paths are trimmed,
// what the go command would note of the repository is left out, files are in a fixed order, with fixed owners and modes and with
// the time of the commit. What is compressed is compressed by code that go.sum pins.
//
// # What it refuses
//
// A program that has a module without a licence, or with one that is not known to go with Apache-2.0; a version that cannot be
// ordered. It signs nothing and sends nothing anywhere.
//
// It is a module of its own, so that packagers and image libraries never come near the product's go.mod.
package main
