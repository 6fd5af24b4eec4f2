package metadata

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrIdentity says that a data directory belongs to another node or cluster.
var ErrIdentity = errors.New("data directory belongs to another node")

// identityFile names the node that a directory belongs to. It is text that an
// operator can read:
//
//	version=1
//	node.id=1
//	cluster.id=…        absent until the cluster has one
const identityFile = "node.properties"

type identity struct {
	node    int32
	cluster string
}

// readIdentity returns false when the directory has no identity yet.
func readIdentity(dir string) (identity, bool, error) {
	path := filepath.Join(dir, identityFile)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return identity{}, false, nil
	}
	if err != nil {
		return identity{}, false, fmt.Errorf("read node identity: %w", err)
	}
	values := map[string]string{}
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if k, v, ok := strings.Cut(strings.TrimSpace(lines.Text()), "="); ok {
			values[k] = v
		}
	}
	if v := values["version"]; v != "1" {
		return identity{}, false, fmt.Errorf("read node identity: unknown version: path=%s version=%q", path, v)
	}
	node, err := strconv.ParseInt(values["node.id"], 10, 32)
	if err != nil {
		return identity{}, false, fmt.Errorf("read node identity: bad node.id: path=%s value=%q", path, values["node.id"])
	}
	return identity{node: int32(node), cluster: values["cluster.id"]}, true, nil
}

// ClusterOf returns the cluster that a metadata directory belongs to, empty while it belongs to none. Who opens the internal port needs it
// before the state is open.
func ClusterOf(dir string) (string, error) {
	id, _, err := readIdentity(dir)
	return id.cluster, err
}

// writeIdentity replaces the file durably.
func writeIdentity(dir string, id identity) error {
	text := fmt.Sprintf("version=1\nnode.id=%d\n", id.node)
	if id.cluster != "" {
		text += "cluster.id=" + id.cluster + "\n"
	}
	path := filepath.Join(dir, identityFile)
	if err := replaceFile(dir, path, []byte(text)); err != nil {
		return fmt.Errorf("write node identity: %w", err)
	}
	return nil
}

func replaceFile(dir, path string, b []byte) error {
	f, err := os.OpenFile(path+".tmp", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// check refuses a directory of another node or cluster.
func (id identity) check(dir string, node int32, cluster string) error {
	if id.node != node {
		return fmt.Errorf("%w: dir=%s node.id=%d configured=%d: set node.id or data.dir right", ErrIdentity, dir, id.node, node)
	}
	if cluster != "" && id.cluster != "" && id.cluster != cluster {
		return fmt.Errorf("%w: dir=%s cluster.id=%s expected=%s: set data.dir right", ErrIdentity, dir, id.cluster, cluster)
	}
	return nil
}
