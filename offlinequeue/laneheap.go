package offlinequeue

import "container/heap"

const (
	byOrder = iota
	byLate
)

// laneHeap is lanes by one of their entries.
type laneHeap struct {
	list []*lane
	by   int // which
}

// put has a lane stand where that entry belongs; nil: nowhere.
func (h *laneHeap) put(l *lane, e *entry) {
	was := l.best[h.by]
	switch {
	case e == was:
	case e == nil:
		heap.Remove(h, l.at[h.by])
		l.best[h.by] = nil
	case was == nil:
		l.best[h.by] = e
		heap.Push(h, l)
	default:
		l.best[h.by] = e
		heap.Fix(h, l.at[h.by])
	}
}

func (h *laneHeap) first() *lane {
	if len(h.list) == 0 {
		return nil
	}
	return h.list[0]
}

// Len, Less, Swap, Push and Pop are heap.Interface.
func (h *laneHeap) Len() int { return len(h.list) }

// Less compares two lanes by their entries.
func (h *laneHeap) Less(i, j int) bool {
	a, b := h.list[i].best[h.by], h.list[j].best[h.by]
	if h.by == byLate {
		return a.seq < b.seq
	}
	return before(a, b)
}

// Swap swaps two lanes.
func (h *laneHeap) Swap(i, j int) {
	h.list[i], h.list[j] = h.list[j], h.list[i]
	h.list[i].at[h.by], h.list[j].at[h.by] = i, j
}

// Push adds a lane.
func (h *laneHeap) Push(v any) {
	l := v.(*lane)
	l.at[h.by] = len(h.list)
	h.list = append(h.list, l)
}

// Pop removes the last lane.
func (h *laneHeap) Pop() any {
	n := len(h.list) - 1
	l := h.list[n]
	h.list[n] = nil
	h.list = h.list[:n]
	return l
}
