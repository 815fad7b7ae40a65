package offlinequeue

// recent is what the writer lately read or wrote of operations that are on their way:
// numbered, accepted and ended in one breath, each is read once. It is the writer's
// alone, and holds only what is flushed.
type recent struct {
	ops   map[string]*record // by id
	links map[string]link    // by key
	bytes int
	older *recent // what came before; nil: nothing
}

// recentMost bounds it: several batches. Beyond, the older half is forgotten: what is on
// its way is in the other.
const recentMost = 4 << 20

func newRecent() *recent {
	return &recent{ops: map[string]*record{}, links: map[string]link{}}
}

func (r *recent) op(id string) (*record, bool) {
	op, ok := r.ops[id]
	if !ok && r.older != nil {
		op, ok = r.older.ops[id]
	}
	return op, ok
}

func (r *recent) link(key string) (link, bool) {
	l, ok := r.links[key]
	if !ok && r.older != nil {
		l, ok = r.older.links[key]
	}
	return l, ok
}

func (r *recent) drop(id string) {
	delete(r.ops, id)
	if r.older != nil {
		delete(r.older.ops, id)
	}
}

// take takes in a flushed change.
func (r *recent) take(c *change) {
	switch {
	case c.forgets:
		*r = *newRecent()
	case r.bytes > recentMost/2:
		half := *r
		half.older = nil
		*r = *newRecent()
		r.older = &half
	}
	for _, s := range c.saved {
		switch {
		case s.old == nil: // the data of a new one is still its till's
		case s.new == nil || s.new.State.Final():
			r.drop(s.old.ID)
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
