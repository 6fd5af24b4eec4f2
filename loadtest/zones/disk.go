//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// diskBytes is the size of a machine's data disk. The file takes the space that is used.
const diskBytes = 4 << 30

// disk is a file that the kernel shows as a block device.
type disk struct {
	image  string
	device string   // /dev/loopN
	held   *os.File // while it is open, the device stays
}

// attach makes the file, if it is not there, and the device. The device goes away by itself when nobody has it open or mounted,
// so that none is left behind by a run that was killed.
func attach(image string) (_ *disk, err error) {
	f, err := os.OpenFile(image, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(diskBytes), f.Close()); err != nil {
		return nil, err
	}
	d := &disk{image: image}
	if d.device, err = command("losetup", "--find", "--show", image); err != nil {
		return nil, err
	}
	if d.held, err = os.OpenFile(d.device, os.O_RDONLY, 0); err != nil {
		return nil, err
	}
	// A device that is in use is only marked by this.
	if _, err := command("losetup", "--detach", d.device); err != nil {
		return nil, errors.Join(err, d.held.Close())
	}
	return d, nil
}

// detach lets the device go, once nobody has it mounted.
func (d *disk) detach() error { return d.held.Close() }

// clear removes the disks of a run: what it left when it was killed, or what it has no use for any more.
func clear(o *options) error {
	machines, err := filepath.Glob(filepath.Join(o.Dir, "machines", "*"))
	if err != nil {
		return err
	}
	for _, dir := range machines {
		// A run that was killed between two steps of attach may have left a device.
		devices, err := command("losetup", "--associated", filepath.Join(dir, "disk"), "--noheadings", "--output", "NAME")
		if err != nil {
			return err
		}
		for _, device := range strings.Fields(devices) {
			if _, err := command("losetup", "--detach", device); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"machines", "minio", "render", "certificates"} {
		if err := os.RemoveAll(filepath.Join(o.Dir, name)); err != nil {
			return fmt.Errorf("remove what the last run left: %w", err)
		}
	}
	return nil
}
