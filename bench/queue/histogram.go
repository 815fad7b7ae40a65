package main

import (
	"math/bits"
	"time"
)

// histogram counts durations, each to within a thirty-second.
type histogram struct {
	n      int64
	counts [60 * 32]uint32
}

func (h *histogram) add(d time.Duration) {
	h.n++
	h.counts[bucket(uint64(max(d, 0)))]++
}

func bucket(v uint64) int {
	if v < 32 {
		return int(v)
	}
	shift := bits.Len64(v) - 6
	return (shift+1)*32 + int(v>>shift) - 32
}

// lowest is the smallest value in a bucket.
func lowest(i int) uint64 {
	if i < 32 {
		return uint64(i)
	}
	return uint64(i%32+32) << (i/32 - 1)
}

func (h *histogram) merge(o *histogram) {
	h.n += o.n
	for i, n := range o.counts {
		h.counts[i] += n
	}
}

func (h *histogram) quantile(q float64) time.Duration {
	left := int64(q * float64(h.n))
	for i, n := range h.counts {
		if left -= int64(n); left < 0 {
			return time.Duration(lowest(i))
		}
	}
	return 0
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func us(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
