// Zones runs, on this machine, what Terraform would have machines of a cloud run: the user data of
// terraform/modules/cloudinit, in three roots that boot like machines.
//
//	make zones      is      bin/zones [-keep] [-package DEB] [-lasts 1m]
//
// A root is Debian as debootstrap makes it, with systemd as its first process and with cloud-init, which is handed a
// disk and user data and nothing else. What follows is the work of the user data: the disk is formatted and mounted, the
// package fetched over HTTP, checked and installed, the settings written, the unit started. Each root is a zone:
//
//	      services 10.81.0.1: S3 (MinIO), packages, and the clients
//	    ┌────────────────────────┼────────────────────────┐   a router, in a network namespace that leads nowhere
//	10.81.1.0/24             10.81.2.0/24             10.81.3.0/24
//	broker-1 in zone-a       broker-2 in zone-b       broker-3 in zone-c
//	overlay + ext4 disk      overlay + ext4 disk      overlay + ext4 disk
//
// # The story
//
//	three boot ─▶ one cluster, healthy ─▶ Kafka's console clients write through one zone and read in each
//	─▶ the history checker (package verify) writes and reads from here on
//	─▶ one is killed: its line cut, all its processes ended ─▶ the others go on ─▶ it boots from its disks, catches up
//	─▶ another one is destroyed with its disks ─▶ the same user data makes it anew: same node id, its share again
//	─▶ the checker reads everything again and judges ─▶ the bucket is verified ─▶ all power off, in order
//
// # What it needs, and what it leaves
//
// Linux, root, and what `make zones` asks for by name when it is missing. Whatever it makes exists in namespaces of its own: mounts,
// networks, loop devices and processes are gone with its first process, however that ends. What stays is the base root
// (.tools/zones, made once), and logs: zones.log and those of each machine, in .data/zones.
//
// # What it is not
//
// The roots share this machine's kernel, and there is no firmware, boot loader or metadata service: cloud-init finds its user data
// in a directory (the NoCloud data source). The first process is a systemd that knows that it lives in a container, so that
// it leaves the kernel's settings alone.
package main
