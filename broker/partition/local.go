package partition

import (
	"time"
)

// LocalBound returns the offset below which local.retention.ms and
// local.retention.bytes do not want the local copy of tiered records any more.
// A negative limit means no limit. It never passes the tiered offset.
func (p *Partition) LocalBound(retentionMS, retentionBytes int64, now time.Time) (int64, error) {
	start, tiered := p.LocalStart(), p.Tiered()
	bound := start
	if start >= tiered {
		return start, nil
	}
	if retentionBytes >= 0 {
		total, err := p.log.Bytes()
		if err != nil {
			return start, err
		}
		if excess := total - retentionBytes; excess > 0 {
			to, bytes, err := p.log.Cut(start, tiered, excess)
			if err != nil {
				return start, err
			}
			// Cut gives at least one batch, even when that is more than the excess.
			if bytes <= excess {
				bound = max(bound, to)
			}
		}
	}
	if retentionMS >= 0 {
		young, found, err := p.log.FindTime(now.UnixMilli()-retentionMS, start, tiered)
		if err != nil {
			return start, err
		}
		if !found {
			young = tiered
		}
		bound = max(bound, young)
	}
	return min(bound, tiered), nil
}
