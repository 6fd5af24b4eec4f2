package main

import (
	"archive/tar"
	"cmp"
	"compress/gzip"
	"io"
	"slices"
	"time"
)

// node is one file or directory of an archive.
type node struct {
	path     string // without a slash at the beginning
	mode     int64
	uid, gid int
	dir      bool
	content  []byte
}

// writeTar writes nodes in the order of their paths, so that a directory comes before what is in it, all with one time and owners
// without names: a name would be looked up where it is unpacked.
func writeTar(w io.Writer, nodes []node, when time.Time) error {
	nodes = slices.SortedFunc(slices.Values(nodes), func(a, b node) int { return cmp.Compare(a.path, b.path) })
	t := tar.NewWriter(w)
	for _, n := range nodes {
		h := &tar.Header{Name: n.path, Mode: n.mode, Uid: n.uid, Gid: n.gid, ModTime: when, Typeflag: tar.TypeReg, Size: int64(len(n.content)), Format: tar.FormatUSTAR}
		if n.dir {
			h.Name, h.Typeflag = n.path+"/", tar.TypeDir
		}
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		if _, err := t.Write(n.content); err != nil {
			return err
		}
	}
	return t.Close()
}

// writeTarGz is the same, compressed; the header of gzip names no file and no time.
func writeTarGz(w io.Writer, nodes []node, when time.Time) error {
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	if err := writeTar(z, nodes, when); err != nil {
		return err
	}
	return z.Close()
}
