package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tidelinehq/tideline/tiering/objstore"
)

// coldMetrics are the rows of reading back from the object store.
var coldMetrics = []metric{
	{scenario: "cold", key: "sequential_share", title: "cold read of one partition: share of a plain client's sequential GETs", unit: "of plain", atLeast: 0.7},
	{scenario: "cold", key: "parallel_share", title: "cold read of four partitions: share of a plain client's 4 parallel GETs", unit: "of plain"},
}

const (
	coldPartitions = 4
	coldBytes      = 2 << 30 // in all partitions
	coldBytesLong  = 8 << 30
	coldTopic      = "bench-cold"
	coldName       = "tideline-cold"
	earliestLocal  = -4 // ListOffsets: the first offset on the local disk
)

// cold fills a topic, waits until it is in the object store alone, and reads it back with a thin consumer and with a plain client
// of the same MinIO in turn. Each consumer finds empty caches: the broker is started anew for it.
func (b *bench) cold(ctx context.Context) (err error) {
	total := int64(coldBytes)
	if b.options.long {
		total = coldBytesLong
	}
	m, err := b.startMinIO(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.stopMinIO(m), os.RemoveAll(filepath.Join(b.dir, coldName))) }()
	store, err := m.store("cold")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	settings := map[string]string{"object.store": m.url("cold"), "cache.disk.bytes": "0"}
	of, err := b.fillCold(ctx, m, settings, total)
	if err != nil {
		return err
	}
	defer func() { of.proc.kill() }()
	keys, err := objectsOf(ctx, store)
	if err != nil {
		return err
	}
	for round := 1; round <= b.options.rounds; round++ {
		values := map[string]float64{}
		load := loadAverage()
		for _, c := range []struct {
			name       string
			partitions int
		}{{"sequential", 1}, {"parallel", coldPartitions}} {
			if err := of.proc.stop(time.Minute); err != nil {
				return err
			}
			if of, _, err = b.restart(ctx, of, settings, m.env); err != nil {
				return err
			}
			bytes := total / coldPartitions * int64(c.partitions)
			plain, err := getAll(ctx, store, keys, bytes, c.partitions)
			if err != nil {
				return err
			}
			wait := b.profile(ctx, of, fmt.Sprintf("cold-%s-%d", c.name, round), 2)
			before, err := of.cpu()
			if err != nil {
				return err
			}
			read, took, err := thinConsumeAll(ctx, of.addr, coldTopic, c.partitions)
			if err = errors.Join(err, wait()); err != nil {
				return err
			}
			after, err := of.cpu()
			if err != nil {
				return err
			}
			values[c.name+"_mb_per_s"], values[c.name+"_plain_mb_per_s"] = float64(read)/1e6/took.Seconds(), plain
			values[c.name+"_share"] = values[c.name+"_mb_per_s"] / plain
			values[c.name+"_cpu_s_per_gb"] = (after - before).Seconds() / (float64(read) / 1e9)
			for key, name := range map[string]string{"gets": "tideline_coldread_gets_total", "fetched_bytes": "tideline_coldread_fetched_bytes_total",
				"stalls": "tideline_coldread_readahead_stalls_total"} {
				if values[c.name+"_"+key], err = of.metric(ctx, name); err != nil {
					return err
				}
			}
			b.say("  %-10s %.0f GETs of %.1f MB, %.0f stalls", c.name, values[c.name+"_gets"], values[c.name+"_fetched_bytes"]/values[c.name+"_gets"]/1e6, values[c.name+"_stalls"])
			b.say("  %-10s %.0f MB/s at %.2f CPU s/GB, a plain client %.0f MB/s: %.2f", c.name, values[c.name+"_mb_per_s"], values[c.name+"_cpu_s_per_gb"], plain, values[c.name+"_share"])
		}
		if err := b.results.add("cold", tidelineName, round, load, values, nil); err != nil {
			return err
		}
	}
	return nil
}

// fillCold returns a broker whose topic is in the object store and nowhere else.
func (b *bench) fillCold(ctx context.Context, m *minio, settings map[string]string, total int64) (of *broker, err error) {
	if of, _, err = b.startTideline(ctx, coldName, settings, m.env); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			of.proc.kill()
		}
	}()
	if err := of.createTopic(ctx, coldTopic, coldPartitions, map[string]string{"local.retention.bytes": "1", "retention.ms": "-1"}); err != nil {
		return nil, err
	}
	if _, err := produceBulk(ctx, of, coldTopic, coldPartitions, total, incompressible(b.options.seed)); err != nil {
		return nil, err
	}
	if err := of.settle(ctx); err != nil {
		return nil, err
	}
	return of, b.onlyRemote(ctx, of)
}

// onlyRemote waits until next to nothing of the topic is on the local disk: the newest batch stays, which holds the one
// byte that local.retention.bytes asks for.
func (b *bench) onlyRemote(ctx context.Context, of *broker) error {
	adm, err := of.admin()
	if err != nil {
		return err
	}
	defer adm.Close()
	return until(ctx, "local copies to go", 2*time.Minute, 250*time.Millisecond, func() (bool, error) {
		local, err := adm.ListOffsetsAfterMilli(ctx, earliestLocal, coldTopic)
		if err != nil {
			return false, err
		}
		end, err := adm.ListEndOffsets(ctx, coldTopic)
		if err != nil {
			return false, err
		}
		for p := range int32(coldPartitions) {
			l, ok1 := local.Lookup(coldTopic, p)
			e, ok2 := end.Lookup(coldTopic, p)
			if !ok1 || !ok2 || l.Err != nil || e.Err != nil || l.Offset < e.Offset-batchBytes/recordBytes {
				return false, errors.Join(l.Err, e.Err)
			}
		}
		return true, nil
	})
}

// objectsOf lists the data objects below the store's prefix.
func objectsOf(ctx context.Context, store objstore.Store) ([]objstore.Info, error) {
	var all []objstore.Info
	for after, more := "", true; more; {
		var page []objstore.Info
		var err error
		if page, more, err = store.List(ctx, "data/", after, 1000); err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) == 0 {
			break
		}
		after = page[len(page)-1].Key
	}
	if len(all) == 0 {
		return nil, errors.New("nothing was tiered")
	}
	return all, nil
}

// getAll reads objects whole, so many at a time, until it has so many bytes, and returns MB/s.
func getAll(ctx context.Context, store objstore.Store, keys []objstore.Info, bytes int64, parallel int) (float64, error) {
	var got int64
	var chosen []objstore.Info
	for i := 0; got < bytes && i < len(keys); i++ {
		chosen = append(chosen, keys[i])
		got += keys[i].Size
	}
	began := time.Now()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, object := range chosen {
		g.Go(func() (err error) {
			body, _, err := store.Get(ctx, object.Key, 0, -1)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, body.Close()) }()
			n, err := io.Copy(io.Discard, body)
			if err == nil && n != object.Size {
				err = fmt.Errorf("short object key=%s bytes=%d of=%d", object.Key, n, object.Size)
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return 0, err
	}
	return float64(got) / 1e6 / time.Since(began).Seconds(), nil
}
