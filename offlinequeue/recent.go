package offlinequeue

// recent is what the writer lately read or wrote of operations that are on their way:
// numbered, accepted and ended in one breath, each is read once. It is the writer's
// alone, and holds only what is flushed.
type recent struct {
	ops   map[string]*record // by id
	links map[string]link    // by key
	bytes int
}

// recentMost bounds it: several batches. Beyond, it begins anew.
const recentMost = 4 << 20

func newRecent() *recent {
	return &recent{ops: map[string]*record{}, links: map[string]link{}}
}

// take takes in a flushed change.
func (r *recent) take(c *change) {
	if c.forgets || r.bytes > recentMost {
		*r = *newRecent()
	}
	for _, s := range c.saved {
		switch {
		case s.old == nil: // the data of a new one is still its till's
		case s.new == nil || s.new.State.Final():
			delete(r.ops, s.old.ID)
		default:
			r.ops[s.new.ID] = s.new
			r.bytes += s.new.size
		}
	}
	for key, l := range c.linked {
		r.links[key] = l
		r.bytes += len(key) + len(l.ID) + len(l.Head)
	}
}
