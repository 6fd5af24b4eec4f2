//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const (
	release = "bookworm"
	// baseVersion changes when what is below does: a base of another version is made anew.
	baseVersion = "1 " + release
)

// basePackages are beside the smallest Debian what the images of clouds have, as far as it matters here.
var basePackages = []string{"systemd", "systemd-sysv", "dbus", "udev", "cloud-init", "ca-certificates", "curl", "iproute2", "e2fsprogs", "fdisk", "procps"}

// baseFiles are those of the image.
func baseFiles() map[string]string {
	return map[string]string{
		"etc/hostname":    "debian\n",
		"etc/hosts":       hostsFile(),
		"etc/resolv.conf": "", // nobody is asked: names are in etc/hosts
		"etc/machine-id":  "uninitialized\n",
		"etc/fstab":       "",
		// An image says where its cloud's user data is to be looked for. This one has no SSH and no locales.
		"etc/cloud/cloud.cfg.d/90_zones.cfg": "datasource_list: [NoCloud]\nnetwork: {config: disabled}\napt: {preserve_sources_list: true}\n" +
			"locale: false\nssh_genkeytypes: []\nusers: []\ndisable_root: false\n",
		// udev asks for all devices of the kernel when it starts; of these a machine is to know its own disk alone.
		"etc/systemd/system/systemd-udev-trigger.service.d/zones.conf": "[Service]\nExecStart=\nExecStart=-/bin/sh -c 'exec udevadm trigger --type=devices --action=add /sys/block/$$(basename $$(readlink -f " + dataDisk + "))'\n",
	}
}

// masked are units without a purpose where the kernel and the network come from outside.
var masked = []string{"console-getty.service", "getty@.service", "getty-static.service", "apt-daily.timer", "apt-daily-upgrade.timer", "e2scrub_all.timer",
	"systemd-firstboot.service", "systemd-networkd.service", "systemd-timesyncd.service", "systemd-resolved.service"}

// base makes the root that machines begin with, if it is not there.
func base(ctx context.Context, o *options, say *teller) (err error) {
	stamp := o.Base + ".version"
	if have, err := os.ReadFile(stamp); err == nil && string(have) == baseVersion {
		return writeBaseFiles(o.Base)
	}
	if o.Mirror == "" {
		if o.Mirror, err = mirror("/etc/apt"); err != nil {
			return err
		}
	}
	say.say("debootstrap makes the base root (minutes, once) dir=%s", o.Base)
	tools := filepath.Join(filepath.Dir(o.Base), "debootstrap")
	if err := fetchDebootstrap(ctx, tools); err != nil {
		return err
	}
	// Made beside its place and renamed: nobody ever boots half a root.
	staged := o.Base + ".stage"
	for _, old := range []string{stamp, staged, o.Base} {
		if err := os.RemoveAll(old); err != nil {
			return err
		}
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(staged))
		}
	}()
	script := `
set -eu
export DEBOOTSTRAP_DIR="$TOOLS/usr/share/debootstrap" DEBIAN_FRONTEND=noninteractive
"$TOOLS/usr/sbin/debootstrap" --variant=minbase --include=ca-certificates "$RELEASE" "$STAGED" "$MIRROR"
cp /etc/resolv.conf "$STAGED/etc/resolv.conf"
printf '#!/bin/sh\nexit 101\n' >"$STAGED/usr/sbin/policy-rc.d"
chmod 755 "$STAGED/usr/sbin/policy-rc.d"
mount -t proc proc "$STAGED/proc"
chroot "$STAGED" apt-get -q -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io install $PACKAGES
chroot "$STAGED" apt-get -q clean
umount "$STAGED/proc"
rm -rf "$STAGED/usr/sbin/policy-rc.d" "$STAGED/var/lib/apt/lists"
`
	// In mounts of its own: what is mounted is gone with it.
	if _, err := quietly(ctx, o.Root, "env", "TOOLS="+tools, "RELEASE="+release, "STAGED="+staged, "MIRROR="+o.Mirror, "PACKAGES="+strings.Join(basePackages, " "),
		"unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", script); err != nil {
		return err
	}
	// The journal outlives a boot.
	if err := os.MkdirAll(filepath.Join(staged, "var/log/journal"), 0o755); err != nil {
		return err
	}
	if err := errors.Join(writeBaseFiles(staged), os.Rename(staged, o.Base)); err != nil {
		return err
	}
	return os.WriteFile(stamp, []byte(baseVersion), 0o644)
}

func writeBaseFiles(dir string) error {
	for path, text := range baseFiles() {
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		// The path may be a link to somewhere on this machine.
		if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	for _, unit := range masked {
		if err := os.Symlink("/dev/null", filepath.Join(dir, "etc/systemd/system", unit)); err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// fetchDebootstrap unpacks the package of that name, which needs nothing to be installed.
func fetchDebootstrap(ctx context.Context, dir string) (err error) {
	if _, err := os.Stat(filepath.Join(dir, "usr/sbin/debootstrap")); err == nil {
		return nil
	}
	stage, err := os.MkdirTemp("", "tideline-zones-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stage)) }()
	if _, err := quietly(ctx, stage, "apt-get", "-q", "-o", "APT::Sandbox::User=root", "download", "debootstrap"); err != nil {
		return fmt.Errorf("fetch debootstrap (apt-get update may be due): %w", err)
	}
	found, err := filepath.Glob(filepath.Join(stage, "*.deb"))
	if err != nil || len(found) != 1 {
		return errors.Join(fmt.Errorf("apt-get fetched %q", found), err)
	}
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil { // dpkg-deb makes the last folder only
		return err
	}
	_, err = quietly(ctx, stage, "dpkg-deb", "-x", found[0], dir)
	return err
}

// mirror finds where this machine's apt gets Debian from.
func mirror(dir string) (string, error) {
	lists, err := filepath.Glob(filepath.Join(dir, "sources.list.d", "*"))
	if err != nil {
		return "", err
	}
	for _, path := range append(lists, filepath.Join(dir, "sources.list")) {
		text, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		if url := mirrorIn(string(text)); url != "" {
			return url, nil
		}
	}
	return "", fmt.Errorf("no mirror of Debian %s is known to apt: give one with -mirror", release)
}

// mirrorIn reads a list of sources, in the form of one line or in that of deb822.
func mirrorIn(text string) string {
	uri := ""
	for lines := bufio.NewScanner(strings.NewReader(text)); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		switch {
		case len(fields) == 0:
			uri = ""
		case len(fields) > 1 && fields[0] == "URIs:":
			uri = fields[1]
		case fields[0] == "Suites:" && uri != "":
			for _, suite := range fields[1:] {
				if suite == release {
					return uri
				}
			}
		case fields[0] == "deb":
			// deb [options] URI suite component…
			rest := fields[1:]
			for len(rest) > 0 && strings.HasPrefix(fields[1], "[") {
				closed := strings.HasSuffix(rest[0], "]")
				if rest = rest[1:]; closed {
					break
				}
			}
			if len(rest) > 1 && rest[1] == release {
				return rest[0]
			}
		}
	}
	return ""
}
