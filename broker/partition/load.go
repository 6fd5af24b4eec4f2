package partition

import "time"

// meter measures how much is written to a partition. It is guarded by the acks mutex.
type meter struct {
	began time.Time // of the measure under way
	total int64     // then
	rate  int64     // bytes per second, of the last whole measure
}

// meterPeriod is how long a measure lasts at least: shorter ones would take a burst for a load.
const meterPeriod = 10 * time.Second

// read takes the bytes that were ever written, and returns the bytes per second of the last
// measure; of the one under way where there was none before.
func (m *meter) read(total int64, now time.Time) int64 {
	elapsed := now.Sub(m.began)
	switch {
	case m.began.IsZero():
		m.began, m.total = now, total
	case elapsed >= meterPeriod:
		m.rate = int64(float64(total-m.total) / elapsed.Seconds())
		m.began, m.total = now, total
	case m.rate == 0 && elapsed >= time.Second:
		return int64(float64(total-m.total) / elapsed.Seconds())
	}
	return m.rate
}

// Load returns how many bytes per second were committed since somebody asked before, and how
// many are not in the object store.
func (p *Partition) Load() (bytesIn, tail int64) {
	p.acks.Lock()
	defer p.acks.Unlock()
	tail, _ = p.acks.pending.bytes()
	return p.acks.meter.read(p.acks.pending.total, p.now()), tail
}
