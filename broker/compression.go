package broker

import (
	"github.com/tidelinehq/tideline/broker/config"
	"github.com/tidelinehq/tideline/internal/record"
)

// compressionOf is the codec in which the batches of a topic are kept; nil: as they come.
func compressionOf(t *config.TopicConfig) *record.Compression {
	codec, err := record.ParseCodec(t.CompressionType)
	if err != nil {
		return nil // producer
	}
	c := record.Compression{Codec: codec, Level: record.UsualLevel}
	switch codec {
	case record.Gzip:
		c.Level = int(t.GzipLevel)
	case record.LZ4:
		c.Level = int(t.LZ4Level)
	case record.Zstd:
		c.Level = int(t.ZstdLevel)
	case record.None, record.Snappy:
	}
	return &c
}
